//! `cargo xtask tidy`: what no other tool checks, and the tests below check again.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use serde::Deserialize;

use crate::cargo::{self, answer, cargo, root};

/// The most lines of a source file.
const MOST_LINES: usize = 600;

/// Which crates of the workspace each crate may depend on, tests included; a crate that is not named may on all but the
/// last.
const ARROWS: [(&str, &[&str]); 6] = [
    ("registry-core", &[]),
    ("registry-conformance", &["registry-core"]),
    ("registry-backends", &["registry-core", "registry-conformance"]),
    ("registry-monitor", &["registry-core"]),
    ("registry-router", &["registry-core", "registry-backends", "registry-monitor"]),
    ("xtask", &[]),
];

/// Crates on which no other depends.
const ENDS: [&str; 5] = ["registry-bench", "registry-demos", "registry-peers", "registry-verify", "xtask"];

/// But peers are measured by the same means as ours.
const BUT: (&str, &str) = ("registry-peers", "registry-bench");

/// A crate of the workspace.
#[derive(Debug)]
pub(crate) struct Package {
    pub(crate) name: String,
    pub(crate) features: Vec<String>,
    dependencies: Vec<String>,
    license: Option<String>,
    rust_version: Option<String>,
}

/// Runs all checks and prints all complaints.
pub(crate) fn run() -> Result<()> {
    let complaints = complaints()?;
    if complaints.is_empty() {
        return Ok(());
    }
    bail!("{}", complaints.join("\n"))
}

/// The crates of the workspace.
pub(crate) fn packages() -> Result<Vec<Package>> {
    #[derive(Deserialize)]
    struct Metadata {
        packages: Vec<Raw>,
    }
    #[derive(Deserialize)]
    struct Raw {
        name: String,
        features: BTreeMap<String, Vec<String>>,
        dependencies: Vec<Dependency>,
        license: Option<String>,
        rust_version: Option<String>,
    }
    #[derive(Deserialize)]
    struct Dependency {
        name: String,
    }
    let output = cargo::output(cargo()?.args(["metadata", "--format-version", "1", "--no-deps"]))?;
    let metadata: Metadata = serde_json::from_slice(&output.stdout).context("cargo metadata is JSON")?;
    let package = |raw: Raw| Package {
        name: raw.name,
        features: raw.features.into_keys().collect(),
        dependencies: raw.dependencies.into_iter().map(|dependency| dependency.name).collect(),
        license: raw.license,
        rust_version: raw.rust_version,
    };
    Ok(metadata.packages.into_iter().map(package).collect())
}

fn complaints() -> Result<Vec<String>> {
    let root = root()?;
    let mut complaints = Vec::new();
    let mut files = Vec::new();
    let mut sources = String::new();
    collect(&root, &mut files)?;
    for file in files {
        let text = std::fs::read_to_string(&file).with_context(|| format!("cannot read {}", file.display()))?;
        let name = file.strip_prefix(&root).unwrap_or(&file).display().to_string();
        complaints.extend(about_file(&name, &text));
        complaints.extend(about_words(&name, &text));
        if name.ends_with(".rs") {
            sources.push_str(&text);
        }
    }
    let semantics = std::fs::read_to_string(root.join("docs").join("semantics.md")).context("no docs/semantics.md")?;
    complaints.extend(about_promises(&semantics, &sources));
    let packages = packages()?;
    complaints.extend(about_arrows(&packages));
    complaints.extend(about_licences(&packages, &root));
    complaints.extend(about_version(&packages, &answer("rustc", &["--version"]).context("there is no rustc")?));
    Ok(complaints)
}

/// Text files that people write.
fn collect(folder: &Path, files: &mut Vec<PathBuf>) -> Result<()> {
    for entry in std::fs::read_dir(folder).with_context(|| format!("cannot read {}", folder.display()))? {
        let path = entry?.path();
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        if path.is_dir() {
            // What git and editors keep is hidden, and so is what we keep for cargo and for machines that check.
            let ours = !name.starts_with('.') || [".cargo", ".ci", ".config"].contains(&name);
            if ours && name != "target" {
                collect(&path, files)?;
            }
        } else if name.ends_with(".rs") || name.ends_with(".toml") || name.ends_with(".md") || name == "run" {
            files.push(path);
        }
    }
    Ok(())
}

/// Words that were replaced by the terms of the field, in two parts so that this file does not contain them.
const FORBIDDEN: [[&str; 2]; 14] = [
    ["some", "body"],
    ["no", "body"],
    ["any", "body"],
    ["every", "body"],
    ["who", "ever"],
    ["look", "-up"],
    ["look", "-ups"],
    ["lim", "bo"],
    ["par", "cel"],
    ["par", "cels"],
    ["deb", "ris"],
    ["turned ", "away"],
    ["turns ", "away"],
    ["the ", "original"],
];

/// Names what CONTRIBUTING.md says of words: a term of the field in place of one that has to be learned here.
fn about_words(name: &str, text: &str) -> Vec<String> {
    let mut complaints = Vec::new();
    for (number, line) in text.lines().enumerate() {
        let line = line.to_lowercase();
        for word in FORBIDDEN.map(|parts| parts.concat()) {
            // An underscore separates the words of an identifier.
            let is_apart = |character: Option<char>| !character.is_some_and(char::is_alphanumeric);
            let found = line.match_indices(&word).any(|(at, _)| {
                is_apart(line[..at].chars().next_back()) && is_apart(line[at + word.len()..].chars().next())
            });
            if found {
                complaints.push(format!("{name}:{}: \"{word}\"; see CONTRIBUTING.md on words", number + 1));
            }
        }
    }
    complaints
}

fn about_file(name: &str, text: &str) -> Vec<String> {
    let mut complaints = Vec::new();
    if name.ends_with(".rs") {
        // A test file that is `include!`d or a shebang would be another matter; there is none.
        if !text.starts_with("//! ") {
            complaints.push(format!("{name}: the first line must be a `//!` sentence that says what the file is for"));
        }
        let lines = text.lines().count();
        if lines > MOST_LINES {
            complaints.push(format!("{name}: {lines} lines, at most {MOST_LINES}; find the two files in it"));
        }
    }
    // Put together here, so that this file does not complain about itself.
    let homes = ["home", "Users", "root", "work"].map(|folder| format!("/{folder}/"));
    for (number, line) in text.lines().enumerate() {
        let absolute = |home: &String| {
            line.match_indices(home.as_str()).any(|(at, _)| {
                // A path on a machine begins there; a URL or a relative path has something before it.
                at == 0 || line[..at].ends_with([' ', '"', '\'', '`', '(', '='])
            })
        };
        if homes.iter().any(absolute) {
            complaints.push(format!("{name}:{}: a path of one machine", number + 1));
        }
    }
    complaints
}

/// A promise is shown by tests, which it names; so the names must be those of tests that exist.
fn about_promises(semantics: &str, sources: &str) -> Vec<String> {
    let is_test = |name: &&str| {
        name.matches('_').count() >= 2 && name.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_')
    };
    let missing = |name: &&str| ["<", "("].iter().all(|next| !sources.contains(&format!("fn {name}{next}")));
    // What stands between backticks is every second part.
    let names = semantics.split('`').skip(1).step_by(2).filter(is_test);
    names.filter(missing).map(|name| format!("docs/semantics.md: there is no test `{name}`")).collect()
}

fn about_arrows(packages: &[Package]) -> Vec<String> {
    let ours = |name: &str| packages.iter().any(|package| package.name == name);
    let mut complaints = Vec::new();
    for package in packages {
        // A crate that depends on itself, which cargo allows its tests, turns a feature of its own on.
        let others = package.dependencies.iter().filter(|dependency| **dependency != package.name);
        for dependency in others.filter(|dependency| ours(dependency)) {
            let allowed = ARROWS.iter().find(|(name, _)| *name == package.name);
            let forbidden = allowed.is_some_and(|(_, allowed)| !allowed.contains(&dependency.as_str()));
            let end = ENDS.contains(&dependency.as_str()) && BUT != (package.name.as_str(), dependency.as_str());
            if forbidden || end {
                complaints.push(format!("{} must not depend on {dependency}; see ARCHITECTURE.md", package.name));
            }
        }
    }
    complaints
}

/// Each licence that is named has its text at the root: `MIT OR Apache-2.0` means `LICENSE-MIT` and `LICENSE-APACHE`.
fn about_licences(packages: &[Package], root: &Path) -> Vec<String> {
    let mut complaints = Vec::new();
    for package in packages {
        let Some(license) = &package.license else {
            complaints.push(format!("{} names no licence", package.name));
            continue;
        };
        for name in license.split(" OR ") {
            let file = format!("LICENSE-{}", name.split('-').next().unwrap_or(name).to_uppercase());
            if !root.join(&file).is_file() {
                complaints.push(format!("{} is under {name}, but there is no {file}", package.name));
            }
        }
    }
    complaints
}

/// Every crate states the minimum Rust version, which is not newer than the compiler of the gates. Clippy's
/// `incompatible_msrv` then refuses calls that are newer than it.
fn about_version(packages: &[Package], rustc: &str) -> Vec<String> {
    let minor = |version: &str| version.split('.').nth(1).and_then(|minor| minor.parse::<u32>().ok());
    let gates = rustc.split_whitespace().nth(1).unwrap_or_default();
    let is_older = |package: &&Package| {
        package.rust_version.as_deref().and_then(minor).is_none_or(|minimum| minor(gates) < Some(minimum))
    };
    let complaint = |package: &Package| {
        let minimum = package.rust_version.as_deref().unwrap_or("missing");
        format!("{}: rust-version is {minimum}, but the gates run on {gates}", package.name)
    };
    packages.iter().filter(is_older).map(complaint).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_workspace_is_tidy() {
        assert_eq!(complaints().unwrap(), Vec::<String>::new());
    }

    fn package(name: &str, dependencies: &[&str]) -> Package {
        Package {
            name: name.to_owned(),
            features: Vec::new(),
            dependencies: dependencies.iter().map(|&name| name.to_owned()).collect(),
            license: Some("MIT".to_owned()),
            rust_version: Some("1.95".to_owned()),
        }
    }

    #[test]
    fn a_wrong_arrow_is_seen() {
        let right = [
            package("registry-core", &["serde"]),
            package("registry-backends", &["registry-core"]),
            package("registry-monitor", &["registry-core", "registry-monitor"]),
            package("registry-bench", &["registry-core"]),
            package("registry-peers", &["registry-bench"]),
        ];
        assert_eq!(about_arrows(&right), Vec::<String>::new());
        let wrong = [
            package("registry-core", &["registry-monitor"]),
            package("registry-backends", &["registry-monitor"]),
            package("registry-monitor", &["registry-bench"]),
            package("registry-bench", &[]),
            package("registry-verify", &["registry-bench"]),
        ];
        assert_eq!(about_arrows(&wrong).len(), 4);
    }

    #[test]
    fn files_say_what_they_are_for_and_are_not_too_long() {
        assert!(about_file("a.rs", "//! What it is for.\n").is_empty());
        assert_eq!(about_file("a.rs", "fn main() {}\n").len(), 1);
        assert_eq!(about_file("a.rs", &("//! Long.\n".to_owned() + &"\n".repeat(MOST_LINES))).len(), 1);
    }

    #[test]
    fn a_path_of_a_machine_is_seen_and_a_url_is_not() {
        let home = "home";
        assert_eq!(about_file("a.md", &format!("see `/{home}/me/x`\n")).len(), 1);
        assert!(about_file("a.md", &format!("see https://example.org/{home}/me and ./{home}/\n")).is_empty());
    }

    #[test]
    fn the_minimum_version_is_stated_and_not_newer_than_the_compiler() {
        let mut one = [package("a", &[])];
        assert!(about_version(&one, "rustc 1.95.0 (59807616e 2026-04-14)").is_empty());
        assert!(about_version(&one, "rustc 1.96.1").is_empty());
        assert_eq!(about_version(&one, "rustc 1.94.0").len(), 1);
        one[0].rust_version = None;
        assert_eq!(about_version(&one, "rustc 1.96.1").len(), 1);
    }

    #[test]
    fn words_of_our_own_are_found_in_prose_and_in_identifiers() {
        let word = FORBIDDEN[0].concat();
        assert_eq!(about_words("a.rs", &format!("// If {word} asks.\n")).len(), 1);
        assert_eq!(about_words("a.rs", &format!("fn {word}_is_found() {{}}\n")).len(), 1);
        assert!(about_words("a.rs", &format!("fn x{word}() {{}}\n")).is_empty());
    }

    #[test]
    fn a_promise_names_a_test_that_exists() {
        let sources = "fn one_of_many_wins<B: Backend>() {}  fn a_name_is_free() {}";
        assert_eq!(about_promises("`one_of_many_wins`, (law `a_name_is_free`), `try_send`", sources), [""; 0]);
        let complaints = about_promises("`one_of_many_wins`, `one_of_many`", sources);
        assert_eq!(complaints, ["docs/semantics.md: there is no test `one_of_many`"]);
    }
}
