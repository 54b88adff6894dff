//! `cargo xtask bench`: builds once, runs a plan step by step, each step in a child process, and hands what they print
//! to the program that makes the report.
//!
//! What is measured, and how, is decided in `registry-bench`.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use clap::Args;
use indicatif::{ProgressBar, ProgressStyle};
use serde::Deserialize;

use crate::cargo::{self, Usage};
use crate::host::Host;

/// Measures all backends over all workloads.
#[derive(Args, Debug, Default)]
pub(crate) struct Bench {
    /// All of it in less than 3 minutes after the build: short slices. The default.
    #[arg(long, conflicts_with_all = ["full", "smoke"])]
    pub(crate) quick: bool,
    /// Long slices, more rounds, all workloads at all shard counts. Half an hour to hours.
    #[arg(long, conflicts_with = "smoke")]
    pub(crate) full: bool,
    /// As little as possible of everything, to see that it runs; its figures mean nothing.
    #[arg(long)]
    pub(crate) smoke: bool,
    /// Shows the workloads and the backends, and measures nothing.
    #[arg(long)]
    pub(crate) list: bool,
    /// This backend only; may be given several times.
    #[arg(long)]
    pub(crate) backend: Vec<String>,
    /// This workload only, and no ratios of single operations; may be given several times.
    #[arg(long)]
    pub(crate) workload: Vec<String>,
    /// This number of shards only, for all workloads; may be given several times. Default: 64, and 1 and 16 for some.
    #[arg(long)]
    pub(crate) shards: Vec<usize>,
    /// So many threads, instead of one per core, and instead of 1 and 2 for the ratios.
    #[arg(long, value_parser = at_least_one)]
    pub(crate) threads: Option<usize>,
    /// So many servers, instead of what each workload has, and instead of 10,000 and 1,000,000 for the ratios.
    #[arg(long, value_parser = at_least_one)]
    pub(crate) entries: Option<usize>,
    /// What ids and order are drawn from, instead of what each workload has.
    #[arg(long)]
    pub(crate) seed: Option<u64>,
    /// Writes rows, ratios and host to this file.
    #[arg(long, value_name = "FILE")]
    pub(crate) json: Option<PathBuf>,
}

#[derive(Debug, Deserialize)]
struct Plan {
    steps: Vec<Step>,
    seconds: f64,
}

#[derive(Debug, Deserialize)]
struct Step {
    label: String,
    program: String,
    arguments: Vec<String>,
    seconds: f64,
}

impl Bench {
    /// Does all of it.
    pub(crate) fn run(&self) -> Result<()> {
        if let Some(file) = &self.json {
            // Better now than after the measurement.
            let directory = file.parent().filter(|directory| !directory.as_os_str().is_empty());
            let there = directory.is_none_or(Path::is_dir) && !file.is_dir();
            ensure!(there, Usage(format!("--json: cannot write {}", file.display())));
        }
        let programs = build()?;
        if self.list {
            return cargo::run(Command::new(programs.join("registry-bench")).arg("list"));
        }
        let plan = self.plan(&programs)?;
        // Asked before the measurement, so that the date is that of its beginning.
        let host = serde_json::to_string(&Host::here())?;
        let lines = measure(&programs, &plan)?;
        self.report(&programs, &host, &lines)
    }

    fn plan(&self, programs: &Path) -> Result<Plan> {
        let output = cargo::output(Command::new(programs.join("registry-bench")).arg("plan").args(self.wish()))?;
        // The child has said what is wrong.
        ensure!(output.status.success(), Usage(String::new()));
        serde_json::from_slice(&output.stdout).context("a plan is JSON")
    }

    /// What was asked for, in the child's words, which are the same.
    fn wish(&self) -> Vec<String> {
        let mut words = Vec::new();
        let flags = [("--quick", self.quick), ("--full", self.full), ("--smoke", self.smoke)];
        words.extend(flags.iter().filter(|(_, on)| *on).map(|(flag, _)| (*flag).to_owned()));
        let mut option = |name: &str, value: String| words.extend([name.to_owned(), value]);
        self.backend.iter().for_each(|name| option("--backend", name.clone()));
        self.workload.iter().for_each(|name| option("--workload", name.clone()));
        self.shards.iter().for_each(|number| option("--shards", number.to_string()));
        self.threads.iter().for_each(|number| option("--threads", number.to_string()));
        self.entries.iter().for_each(|number| option("--entries", number.to_string()));
        self.seed.iter().for_each(|number| option("--seed", number.to_string()));
        words
    }

    fn report(&self, programs: &Path, host: &str, lines: &[u8]) -> Result<()> {
        let mut command = Command::new(programs.join("registry-bench"));
        command.args(["report", "--host", host]).stdin(Stdio::piped());
        if let Some(file) = &self.json {
            command.arg("--json").arg(file);
        }
        let mut child = command.spawn().context("cannot run registry-bench")?;
        child.stdin.take().context("the child has a standard input")?.write_all(lines)?;
        ensure!(child.wait()?.success(), "the report failed");
        Ok(())
    }
}

/// Builds the programs, and says where they are.
fn build() -> Result<PathBuf> {
    eprintln!("building registry-bench");
    cargo::run(cargo::cargo()?.args(["build", "--release", "--package", "registry-bench"]))?;
    let output = cargo::output(cargo::cargo()?.args(["metadata", "--format-version", "1", "--no-deps"]))?;
    let metadata: serde_json::Value = serde_json::from_slice(&output.stdout).context("cargo metadata is JSON")?;
    let target = metadata["target_directory"].as_str().context("cargo knows its target directory")?;
    Ok(Path::new(target).join("release"))
}

/// Carries the plan out, and returns all that the children printed.
fn measure(programs: &Path, plan: &Plan) -> Result<Vec<u8>> {
    eprintln!("{} steps, about {}", plan.steps.len(), minutes(plan.seconds));
    let bar = ProgressBar::new((plan.seconds * 1000.0) as u64);
    let style = "[{elapsed_precise}] {bar:30} {percent:>3} %  {msg}";
    bar.set_style(ProgressStyle::with_template(style).context("the style is well-formed")?);
    let began = Instant::now();
    let mut told = Instant::now();
    let mut lines = Vec::new();
    for (number, step) in plan.steps.iter().enumerate() {
        bar.set_message(step.label.clone());
        // Where there is no terminal, a line now and then.
        if bar.is_hidden() && (number == 0 || told.elapsed() > Duration::from_secs(10)) {
            eprintln!("[{:>4} s] {} of {}: {}", began.elapsed().as_secs(), number + 1, plan.steps.len(), step.label);
            told = Instant::now();
        }
        let mut command = Command::new(programs.join(&step.program));
        let output = cargo::output(command.args(&step.arguments))?;
        ensure!(output.status.success(), "{} failed: {}", cargo::shown(&command), output.status);
        lines.extend(output.stdout);
        bar.inc((step.seconds * 1000.0) as u64);
    }
    bar.finish_and_clear();
    eprintln!("measured in {}", minutes(began.elapsed().as_secs_f64()));
    Ok(lines)
}

fn minutes(seconds: f64) -> String {
    let seconds = seconds.ceil() as u64;
    if seconds < 60 { format!("{seconds} s") } else { format!("{} min {} s", seconds / 60, seconds % 60) }
}

fn at_least_one(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(0) => Err("there must be at least one".to_owned()),
        Ok(number) => Ok(number),
        Err(_) => Err("not a whole number".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn zero_is_refused() {
        assert_eq!(at_least_one("0"), Err("there must be at least one".to_owned()));
        assert_eq!((at_least_one("2"), at_least_one("-1").is_err()), (Ok(2), true));
    }

    #[test]
    fn a_wish_is_passed_on() {
        let bench = Bench {
            quick: true,
            backend: vec!["papaya".to_owned(), "dashmap".to_owned()],
            shards: vec![16],
            threads: Some(2),
            ..Bench::default()
        };
        let words = ["--quick", "--backend", "papaya", "--backend", "dashmap", "--shards", "16", "--threads", "2"];
        assert_eq!(bench.wish(), words);
    }

    #[test]
    fn time_is_told_in_minutes() {
        assert_eq!([minutes(12.2), minutes(60.0), minutes(179.9)], ["13 s", "1 min 0 s", "3 min 0 s"]);
    }
}
