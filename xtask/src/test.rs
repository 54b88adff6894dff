//! `cargo xtask test`: all tests of the workspace, and the examples in its documentation.

use anyhow::Result;
use clap::Args;

use crate::cargo::{self, answer};

/// Runs all tests.
#[derive(Args, Debug, Default)]
pub(crate) struct Test {
    /// Only tests whose name contains this, and no doc tests.
    filter: Option<String>,
}

const EVERYTHING: [&str; 2] = ["--workspace", "--all-features"];

impl Test {
    /// Runs them.
    pub(crate) fn run(&self) -> Result<()> {
        let mut tests = cargo::cargo()?;
        if answer("cargo", &["nextest", "--version"]).is_some() {
            // On a machine that checks, all failures are of interest and not only the first.
            let profile = if std::env::var_os("CI").is_some() { "ci" } else { "default" };
            tests.args(["nextest", "run", "--profile", profile]);
        } else {
            eprintln!("cargo-nextest is not installed, so tests run with cargo, without time limits");
            tests.args(["test", "--lib", "--bins", "--tests", "--examples"]);
        }
        cargo::run(tests.args(EVERYTHING).args(&self.filter))?;
        if self.filter.is_none() {
            cargo::run(cargo::cargo()?.args(["test", "--doc"]).args(EVERYTHING))?;
        }
        Ok(())
    }
}
