//! `cargo xtask verify`: builds once, runs a plan of checks step by step, and hands what came of each to the program
//! that gives the account.
//!
//! What is checked, and how, is decided in `registry-verify`. A step that crashes or hangs is a violation like any
//! other, and does not stop the rest.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result, ensure};
use clap::Args;

use crate::cargo;
use crate::host::Host;
use crate::seeded;
use crate::steps::{self, Programs};

/// Checks every promise on every backend.
#[derive(Args, Debug, Default)]
pub(crate) struct Verify {
    /// How long to check, about, after the build. Default: 60.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) seconds: Option<u64>,
    /// Everything in about half a minute, storms with a small part of their deaths.
    #[arg(long, conflicts_with = "seconds")]
    pub(crate) short: bool,
    /// This backend only; may be given several times.
    #[arg(long)]
    pub(crate) backend: Vec<String>,
    /// What everything random is drawn from. Default: the clock.
    #[arg(long)]
    pub(crate) seed: Option<u64>,
    /// Writes the accounts to this file.
    #[arg(long, value_name = "FILE")]
    pub(crate) json: Option<PathBuf>,
    /// Shows the checks and the backends, and checks nothing.
    #[arg(long)]
    pub(crate) list: bool,
}

const PROGRAM: &str = "registry-verify";

/// Explores schedules; built from the copy with seeded bugs, with all locks and atomics replaced, and so in a directory of
/// its own.
const SCHEDULES: &str = "registry-schedules";

impl Verify {
    /// Does all of it.
    pub(crate) fn run(&self) -> Result<()> {
        if let Some(file) = &self.json {
            steps::ensure_writable(file)?;
        }
        let target = steps::target()?;
        eprintln!("building {PROGRAM}");
        build(PROGRAM, None, &target, None)?;
        let programs = Programs::lie_in(target.join("release"));
        if self.list {
            return cargo::run(programs.command(PROGRAM).arg("list"));
        }
        let seed = self.seed.map_or_else(clock, Ok)?;
        // Before the second build, so that invalid arguments are reported without waiting for it.
        let plan: steps::Plan = steps::ask(programs.command(PROGRAM).arg("plan").args(self.wish(seed)))?;
        let apart = target.join("shuttle");
        if plan.steps.iter().any(|step| step.program == SCHEDULES) {
            eprintln!("building {SCHEDULES}");
            let flags = with_cfgs(|name| std::env::var_os(name), &["shuttle", "seeded"]);
            build(SCHEDULES, Some(&seeded::workspace(&target)?), &apart, Some(flags))?;
        }
        let programs = programs.but(SCHEDULES, apart.join("release"));
        let host = serde_json::to_string(&Host::here())?;
        eprintln!("seed {seed}");
        let mut lines = Vec::new();
        steps::carry_out(&programs, &plan, |done| {
            if let Some(failure) = &done.failure {
                eprintln!("{} failed: {failure}", done.step.label);
            }
            serde_json::to_writer(&mut lines, &done)?;
            lines.push(b'\n');
            Ok(())
        })?;
        let mut report = programs.command(PROGRAM);
        report.args(["report", "--host", &host, "--seed", &seed.to_string(), "--seconds", &plan.seconds.to_string()]);
        if let Some(file) = &self.json {
            report.arg("--json").arg(file);
        }
        ensure!(steps::report(&mut report, &lines)? == Some(0), "not everything is as it must be (seed {seed})");
        Ok(())
    }

    /// What was asked for, in the child's words, which are the same.
    fn wish(&self, seed: u64) -> Vec<String> {
        let mut words = vec!["--seed".to_owned(), seed.to_string()];
        words.extend(self.short.then(|| "--short".to_owned()));
        let mut option = |name: &str, value: String| words.extend([name.to_owned(), value]);
        self.seconds.iter().for_each(|number| option("--seconds", number.to_string()));
        self.backend.iter().for_each(|name| option("--backend", name.clone()));
        words
    }
}

/// Builds a program from this workspace, or from the one in `source`.
fn build(program: &str, source: Option<&Path>, target: &Path, flags: Option<(&str, OsString)>) -> Result<()> {
    let mut build = cargo::cargo()?;
    build.args(["build", "--release", "--package", PROGRAM, "--bin", program]).arg("--target-dir").arg(target);
    if let Some(source) = source {
        build.current_dir(source);
    }
    build.envs(flags);
    cargo::run(&mut build)
}

/// The variable that cargo takes the compiler's flags from, with a `--cfg` for each name at its end.
fn with_cfgs(variable: impl Fn(&str) -> Option<OsString>, cfgs: &[&str]) -> (&'static str, OsString) {
    // If both are there, cargo reads the first only.
    let (name, separator, set) = match variable("CARGO_ENCODED_RUSTFLAGS") {
        Some(set) => ("CARGO_ENCODED_RUSTFLAGS", "\x1f", set),
        None => ("RUSTFLAGS", " ", variable("RUSTFLAGS").unwrap_or_default()),
    };
    let mut flags = set;
    for cfg in cfgs {
        if !flags.is_empty() {
            flags.push(separator);
        }
        flags.push(format!("--cfg{separator}{cfg}"));
    }
    (name, flags)
}

/// A seed that was not there before, in microseconds: JSON numbers of that size are exact everywhere.
fn clock() -> Result<u64> {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).context("the clock is before 1970")?;
    Ok(since.as_micros() as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wish_is_passed_on() {
        let verify =
            Verify { seconds: Some(20), backend: vec!["papaya".to_owned(), "dashmap".to_owned()], ..Verify::default() };
        let words = ["--seed", "7", "--seconds", "20", "--backend", "papaya", "--backend", "dashmap"];
        assert_eq!(verify.wish(7), words);
        assert_eq!(Verify { short: true, ..Verify::default() }.wish(1), ["--seed", "1", "--short"]);
    }

    #[test]
    fn flags_that_are_set_are_kept() {
        let flags = |plain: Option<&str>, encoded: Option<&str>| {
            let variable = |name: &str| if name == "RUSTFLAGS" { plain } else { encoded }.map(OsString::from);
            let (name, flags) = with_cfgs(variable, &["shuttle", "seeded"]);
            (name, flags.into_string().unwrap())
        };
        assert_eq!(flags(None, None), ("RUSTFLAGS", "--cfg shuttle --cfg seeded".to_owned()));
        assert_eq!(flags(Some("-Ctarget-cpu=native"), None).1, "-Ctarget-cpu=native --cfg shuttle --cfg seeded");
        let encoded = ("CARGO_ENCODED_RUSTFLAGS", "-C\x1flto\x1f--cfg\x1fshuttle\x1f--cfg\x1fseeded".to_owned());
        assert_eq!(flags(Some("-g"), Some("-C\x1flto")), encoded);
    }
}
