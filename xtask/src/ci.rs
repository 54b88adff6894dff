//! `cargo xtask ci`: the gates that a change has to pass, by name and in order.

use std::path::PathBuf;
use std::time::Instant;

use anyhow::{Context, Result, ensure};
use clap::{Args, ValueEnum};

use crate::bench::{Bench, Delivery};
use crate::cargo::{self, cargo, command, root};
use crate::instructions::Instructions;
use crate::rules;
use crate::steps;
use crate::test::Test;
use crate::tidy;
use crate::verify::Verify;

/// Runs the gates.
#[derive(Args, Debug)]
pub(crate) struct Ci {
    /// Only these; all if none is named.
    gates: Vec<Gate>,
}

/// A gate, in the order in which they are run: what fails fast goes first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Gate {
    /// Formatting.
    Fmt,
    /// What no other tool checks.
    Tidy,
    /// Clippy with all features, and with each feature alone; warnings are errors.
    Clippy,
    /// Documentation; warnings are errors.
    Doc,
    /// All tests, doc tests included.
    Test,
    /// Every check on every backend, in short.
    Verify,
    /// The examples and the demonstration programs, until they exit.
    Examples,
    /// The instructions of the hot operations, against the recorded ones.
    Instructions,
    /// The alerts over what is exported; needs `promtool`.
    Rules,
    /// Every bench, every workload and every ratio, as short as can be.
    BenchSmoke,
    /// What would be published; the packages are not built.
    Package,
}

/// The crates that have features which a user may choose.
const FEATURED: [&str; 4] = ["registry-core", "registry-backends", "registry-monitor", "registry-router"];

impl Ci {
    /// Runs them, and says how long each took.
    pub(crate) fn run(&self) -> Result<()> {
        let gates = if self.gates.is_empty() { Gate::value_variants() } else { &self.gates };
        for &gate in gates {
            eprintln!("gate {}", name(gate));
            let began = Instant::now();
            pass(gate).with_context(|| format!("gate {}", name(gate)))?;
            eprintln!("gate {} passed in {} s", name(gate), began.elapsed().as_secs());
        }
        Ok(())
    }
}

fn name(gate: Gate) -> String {
    gate.to_possible_value().map_or_else(String::new, |value| value.get_name().to_owned())
}

fn pass(gate: Gate) -> Result<()> {
    match gate {
        Gate::Fmt => cargo::run(cargo()?.args(["fmt", "--all", "--check"])),
        Gate::Tidy => tidy::run(),
        Gate::Clippy => clippy(),
        Gate::Doc => {
            let mut doc = cargo()?;
            doc.env("RUSTDOCFLAGS", "-D warnings");
            cargo::run(doc.args(["doc", "--workspace", "--all-features", "--no-deps"]))
        }
        Gate::Test => Test::default().run(),
        Gate::Verify => verify(),
        Gate::Examples => examples(),
        Gate::Instructions => Instructions::default().run(),
        Gate::Rules => rules::run(),
        Gate::BenchSmoke => bench_smoke(),
        Gate::Package => package(),
    }
}

/// The crates that are published, in the order of their dependencies.
const PUBLISHED: [&str; 5] =
    ["registry-core", "registry-conformance", "registry-backends", "registry-monitor", "registry-router"];

/// Packages what would be published, and checks that the licence texts and a readme are in it.
fn package() -> Result<()> {
    let packages = PUBLISHED.iter().flat_map(|name| ["--package", name]);
    // A checkout that is tested may have changes.
    cargo::run(cargo()?.args(["package", "--no-verify", "--allow-dirty"]).args(packages))?;
    for name in PUBLISHED {
        let list = cargo::output(cargo()?.args(["package", "--list", "--allow-dirty", "--package", name]))?;
        let files = String::from_utf8(list.stdout).context("paths are text")?;
        for file in ["LICENSE-APACHE", "LICENSE-MIT", "README.md"] {
            ensure!(files.lines().any(|line| line == file), "the package {name} lacks {file}");
        }
    }
    Ok(())
}

/// With all features on, everything; then the crates that a user chooses features of, with none and with each alone.
fn clippy() -> Result<()> {
    let deny = ["--", "-D", "warnings"];
    cargo::run(cargo()?.args(["clippy", "--workspace", "--all-features", "--all-targets"]).args(deny))?;
    for (package, features) in features()? {
        let alone = ["clippy", "--package", &package, "--no-default-features"];
        cargo::run(cargo()?.args(alone).args(deny))?;
        for feature in features {
            cargo::run(cargo()?.args(alone).args(["--features", &feature]).args(deny))?;
        }
    }
    Ok(())
}

/// The features of each crate that has some to choose.
fn features() -> Result<Vec<(String, Vec<String>)>> {
    let packages = tidy::packages()?;
    FEATURED
        .iter()
        .map(|name| {
            let package = packages.iter().find(|package| package.name == *name).context("a crate is missing")?;
            let features = package.features.iter().filter(|feature| *feature != "default").cloned().collect();
            Ok((package.name.clone(), features))
        })
        .collect()
}

/// The programs of `registry-demos`, with arguments that make them exit without input.
const DEMOS: [(&str, &[&str]); 2] = [("mcp", &[]), ("top", &["--snapshot", "--seconds", "2"])];

/// Runs the examples of `registry-router` (a file, or a folder with a `main.rs`) and the programs of `registry-demos`.
fn examples() -> Result<()> {
    let folder = root()?.join("registry-router").join("examples");
    let mut names = Vec::new();
    for entry in std::fs::read_dir(&folder).with_context(|| format!("no {}", folder.display()))? {
        let path = entry?.path();
        let is_example = path.extension().is_some_and(|extension| extension == "rs") || path.join("main.rs").is_file();
        if let (true, Some(name)) = (is_example, path.file_stem().and_then(|stem| stem.to_str())) {
            names.push(name.to_owned());
        }
    }
    names.sort();
    ensure!(!names.is_empty(), "no examples in {}", folder.display());
    let built = programs()?;
    for name in names {
        cargo::run(&mut command(built.join("examples").join(name))?)?;
    }
    for (name, arguments) in DEMOS {
        cargo::run(command(built.join(name))?.args(arguments))?;
    }
    Ok(())
}

/// Builds all examples and programs, and returns the directory of the programs.
///
/// With the profile and the features of the tests, for which nearly all of it has been compiled.
fn programs() -> Result<PathBuf> {
    cargo::run(cargo()?.args(["build", "--workspace", "--all-features", "--examples", "--bins"]))?;
    Ok(steps::target()?.join("debug"))
}

/// Runs every bench once, and reads back what was written.
///
/// Without optimizations: whether a bench works does not depend on them, and its figures are not read.
fn bench_smoke() -> Result<()> {
    let built = programs()?;
    let bench = ["bench", "--workspace", "--all-features", "--profile", "dev", "--bench", "*", "--", "--test"];
    cargo::run(cargo()?.args(bench))?;
    let smoke = |json| {
        let page = std::env::temp_dir().join(format!("registry-ci-page-{}", std::process::id()));
        let delivery = Delivery { json: Some(json), report: Some(page.clone()), ..Delivery::default() };
        let outcome = Bench { smoke: true, delivery, built: Some(built.clone()), ..Bench::default() }.run();
        let written = page.join("index.html").is_file();
        let _ = std::fs::remove_dir_all(&page);
        outcome?;
        ensure!(written, "there is no page");
        Ok(())
    };
    let document = written(smoke)?;
    for part in ["rows", "ratios", "memory", "points", "tails", "idle"] {
        let filled = document[part].as_array().is_some_and(|rows| !rows.is_empty());
        ensure!(filled, "the document has no {part}");
    }
    for part in ["cpu", "cores", "kernel", "rustc", "revision", "date"] {
        ensure!(!document["host"][part].is_null(), "the document does not say the host's {part}");
    }
    let peers = |json| {
        let delivery = Delivery { json: Some(json), ..Delivery::default() };
        Bench { smoke: true, peers: true, delivery, built: Some(built.clone()), ..Bench::default() }.run()
    };
    about_peers(&written(peers)?)
}

/// Whether every peer did all that it can. What is not installed may be missing.
fn about_peers(document: &serde_json::Value) -> Result<()> {
    let rows = document["peers"].as_array().filter(|rows| !rows.is_empty()).context("the document has no peers")?;
    for row in rows {
        let failed = &row["outcome"]["failed"];
        ensure!(failed.is_null(), "{} at {}: {failed}", row["peer"], row["operation"]);
        ensure!(row["outcome"].is_object(), "{} does not say what came of {}", row["peer"], row["operation"]);
        let there = row["kind"] == "beam" || row["outcome"]["missing"].is_null();
        ensure!(there, "{} is missing", row["peer"]);
    }
    Ok(())
}

/// Runs every check, and reads back what was written.
fn verify() -> Result<()> {
    let document = written(|json| Verify { short: true, json: Some(json), ..Verify::default() }.run())?;
    about_verification(&document)
}

/// Whether everything was checked, and nothing was wrong.
fn about_verification(document: &serde_json::Value) -> Result<()> {
    let some = |figure: &serde_json::Value| figure.as_f64().is_some_and(|figure| figure > 0.0);
    let backends = document["backends"].as_array().filter(|backends| !backends.is_empty());
    for account in backends.context("the document has no backends")? {
        let name = &account["backend"];
        for figure in ["sequences", "steps", "histories", "operations"] {
            ensure!(some(&account[figure]), "the document has no {figure} on {name}");
        }
        let storms = account["storms"].as_array().is_some_and(|storms| !storms.is_empty());
        ensure!(storms, "the document has no storms on {name}");
    }
    let total = &document["total"];
    ensure!(some(&total["schedules"]), "no schedule was explored");
    let seeded = &total["seeded_bugs"];
    ensure!(some(&seeded["of"]) && seeded["found"] == seeded["of"], "not all seeded bugs were found: {seeded}");
    ensure!(total["violations"] == 0, "the document does not say that nothing was wrong");
    Ok(())
}

/// The JSON document that something writes to a file of its own.
fn written(write: impl FnOnce(PathBuf) -> Result<()>) -> Result<serde_json::Value> {
    let file = std::env::temp_dir().join(format!("registry-ci-{}.json", std::process::id()));
    let outcome = write(file.clone());
    let text = std::fs::read_to_string(&file).with_context(|| format!("cannot read {}", file.display()));
    // A failed run may or may not have written it.
    let _ = std::fs::remove_file(&file);
    outcome?;
    serde_json::from_str(&text?).context("the document is JSON")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn every_feature_is_found() {
        let features = features().unwrap();
        let router = &features.iter().find(|(name, _)| name == "registry-router").unwrap().1;
        assert!(["dashmap", "left-right", "papaya", "serde"].iter().all(|name| router.iter().any(|f| f == name)));
        assert!(!router.iter().any(|feature| feature == "default"));
    }

    #[test]
    fn gates_are_called_as_in_the_documentation() {
        let names: Vec<String> = Gate::value_variants().iter().map(|&gate| name(gate)).collect();
        let called = [
            "fmt",
            "tidy",
            "clippy",
            "doc",
            "test",
            "verify",
            "examples",
            "instructions",
            "rules",
            "bench-smoke",
            "package",
        ];
        assert_eq!(names, called);
    }

    #[test]
    fn a_peer_that_failed_is_seen_and_one_that_is_not_installed_is_not() {
        let row = |kind: &str, outcome: serde_json::Value| json!({"peers": [{"peer": "some 1.0", "kind": kind, "operation": "hot", "outcome": outcome}]});
        about_peers(&row("map", json!({"measured": {"ns": 1.0, "ops_per_s": 1e9}}))).unwrap();
        about_peers(&row("beam", json!({"missing": "install it"}))).unwrap();
        for wrong in [
            row("map", json!({"missing": "install it"})),
            row("beam", json!({"failed": "it hung"})),
            row("map", json!(null)),
            json!({"peers": []}),
        ] {
            assert!(about_peers(&wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn what_was_not_checked_is_seen() {
        let account = |name: &str| {
            json!({
                "backend": name, "sequences": 1, "steps": 1, "histories": 1, "operations": 1, "storms": [{}],
                "schedules": 1, "seeded_bugs": {"found": 2, "of": 2}, "violations": 0,
            })
        };
        let right = json!({"backends": [account("papaya")], "total": account("all")});
        about_verification(&right).unwrap();
        let wrong = |pointer: &str, value: serde_json::Value| {
            let mut document = right.clone();
            *document.pointer_mut(pointer).expect("the pointer leads somewhere") = value;
            about_verification(&document).expect_err(pointer).to_string()
        };
        assert!(wrong("/backends", json!([])).contains("no backends"));
        assert!(wrong("/backends/0/operations", json!(0)).contains("no operations on \"papaya\""));
        assert!(wrong("/backends/0/storms", json!([])).contains("no storms"));
        assert!(wrong("/total/schedules", json!(0)).contains("schedule"));
        assert!(wrong("/total/seeded_bugs/found", json!(1)).contains("seeded bugs"));
        assert!(wrong("/total/seeded_bugs", json!({"found": 0, "of": 0})).contains("seeded bugs"));
        assert!(wrong("/total/violations", json!(1)).contains("wrong"));
    }
}
