//! A copy of the workspace with seeded bugs: the router as it is, plus the patch that can switch each bug on.
//!
//! The bugs show that the checks of `registry-verify` find what they look for. They are in no crate of the workspace:
//! `registry-verify/seeded.patch` adds them to a copy below the target directory, and only that copy is built.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

use crate::cargo::{self, root};

/// Where the patch is, below the root of the workspace.
pub(crate) const PATCH: &str = "registry-verify/seeded.patch";

/// Makes or updates the copy below `target`, and returns its root.
///
/// Files whose content did not change keep their times, so that cargo builds what has changed only.
///
/// # Errors
///
/// Fails if the patch does not apply. A change to the patched lines of the router has to update it.
pub(crate) fn workspace(target: &Path) -> Result<PathBuf> {
    let (root, folder) = (root()?, target.join("seeded"));
    let (staging, source) = (folder.join("staging"), folder.join("source"));
    if staging.exists() {
        fs::remove_dir_all(&staging).context("cannot remove the last copy")?;
    }
    let files = files(&root)?;
    for file in &files {
        write(&staging.join(file), &fs::read(root.join(file)).with_context(|| format!("cannot read {file}"))?)?;
    }
    let mut apply = Command::new("git");
    // Outside of any repository, so that paths are those of the folder.
    apply.current_dir(&staging).env("GIT_CEILING_DIRECTORIES", &folder).args(["apply", "--whitespace=nowarn"]);
    cargo::run(apply.arg(root.join(PATCH))).with_context(|| format!("{PATCH} does not apply to the router"))?;
    let patched = self::files(&staging)?;
    for file in &patched {
        let content = fs::read(staging.join(file)).with_context(|| format!("cannot read {file}"))?;
        if fs::read(source.join(file)).ok().as_ref() != Some(&content) {
            write(&source.join(file), &content)?;
        }
    }
    for file in self::files(&source)?.iter().filter(|file| !patched.contains(file)) {
        fs::remove_file(source.join(file)).with_context(|| format!("cannot remove {file}"))?;
    }
    Ok(source)
}

/// The files that a build reads, as paths below `root`.
fn files(root: &Path) -> Result<Vec<String>> {
    let mut files = Vec::new();
    let mut folders = vec![root.to_owned()];
    while let Some(folder) = folders.pop() {
        if !folder.exists() {
            continue;
        }
        for entry in fs::read_dir(&folder).with_context(|| format!("cannot read {}", folder.display()))? {
            let path = entry?.path();
            let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
            if name.starts_with('.') || name == "target" {
                continue;
            }
            if path.is_dir() {
                folders.push(path);
            } else if let Some(relative) = path.strip_prefix(root).ok().and_then(Path::to_str) {
                files.push(relative.to_owned());
            }
        }
    }
    Ok(files)
}

fn write(file: &Path, content: &[u8]) -> Result<()> {
    let folder = file.parent().context("a file is in a folder")?;
    fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
    fs::write(file, content).with_context(|| format!("cannot write {}", file.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_patch_applies_and_an_unchanged_copy_keeps_its_times() {
        let target = std::env::temp_dir().join(format!("registry-seeded-{}", std::process::id()));
        let seeded = || {
            let source = workspace(&target).unwrap();
            let bugs = source.join("registry-router/src/seeded.rs");
            (fs::read_to_string(&bugs).unwrap(), fs::metadata(&bugs).unwrap().modified().unwrap())
        };
        let (first, second) = (seeded(), seeded());
        fs::remove_dir_all(&target).unwrap();
        assert!(first.0.contains("enum SeededBug"));
        assert_eq!(first, second);
        assert!(!root().unwrap().join("registry-router/src/seeded.rs").exists(), "the product has no seeded bugs");
    }
}
