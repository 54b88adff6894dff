//! The program behind `cargo xtask verify`: prints a plan, runs one step of it, and summarizes the reports of all
//! steps.

#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a command-line program reports on standard output")]

mod plan;
mod report;

use std::alloc::System;
use std::io::{self, BufRead};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use clap::Parser;
use registry_core::Backend;
use registry_router::backends::{Visitor, for_each};
use registry_verify::storm::{Context as StormContext, Scale};
use registry_verify::{CheckReport, history, sequence, storm};
use stats_alloc::{INSTRUMENTED_SYSTEM, StatsAlloc};

use crate::plan::PlanArgs;
use crate::report::Document;

/// Counts the allocated bytes for the storms that check memory.
#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

/// Verifies the registry; normally called through `cargo xtask verify`.
#[derive(Debug, Parser)]
#[command(name = "registry-verify", version)]
enum Command {
    /// Lists the checks, storms and backends.
    List,
    /// Prints the plan of steps, as JSON.
    Plan(PlanArgs),
    /// Runs random sequences of operations, judges them by the specification, and prints a report.
    Sequences(Check),
    /// Records concurrent histories and checks them for linearizability, and prints a report.
    Histories(Check),
    /// Runs one storm, and prints a report.
    Storm(OneStorm),
    /// Reads reports and finished steps from standard input, and prints a summary.
    Report(Report),
}

#[derive(Debug, clap::Args)]
struct Check {
    #[arg(long)]
    backend: String,
    #[arg(long)]
    seed: u64,
    #[arg(long)]
    seconds: f64,
}

#[derive(Debug, clap::Args)]
struct OneStorm {
    #[arg(long)]
    backend: String,
    #[arg(long)]
    seed: u64,
    #[arg(long)]
    name: String,
    /// `full` or `short`: the full size, or a fiftieth of it.
    #[arg(long, default_value = "full", value_parser = scale)]
    scale: Scale,
}

#[derive(Debug, clap::Args)]
struct Report {
    /// The machine and toolchain, as JSON.
    #[arg(long)]
    host: String,
    /// The seed of the run.
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// The planned duration, in seconds.
    #[arg(long, default_value_t = 0.0)]
    seconds: f64,
    /// Also writes the summary to this file, as JSON.
    #[arg(long)]
    json: Option<PathBuf>,
}

/// The exit status for invalid arguments.
const USAGE: u8 = 2;

fn main() -> ExitCode {
    let command = Command::parse();
    let is_check = !matches!(command, Command::Report(_));
    match execute(command) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::from(if is_check { USAGE } else { 1 })
        }
    }
}

/// Executes a command; returns whether no violation was found.
fn execute(command: Command) -> Result<bool> {
    match command {
        Command::List => {
            list();
            Ok(true)
        }
        Command::Plan(args) => {
            println!("{}", serde_json::to_string(&plan::plan(&args)?)?);
            Ok(true)
        }
        Command::Sequences(check) => run_and_print(&check.backend, check.seed, Kind::Sequences(check.budget()?)),
        Command::Histories(check) => run_and_print(&check.backend, check.seed, Kind::Histories(check.budget()?)),
        Command::Storm(one) => {
            let known = plan::storms();
            let is_known = known.contains(&one.name.as_str());
            ensure!(is_known, "unknown storm {:?}; known storms: {}", one.name, known.join(", "));
            run_and_print(&one.backend, one.seed, Kind::Storm(&one.name, one.scale))
        }
        Command::Report(arguments) => make_report(&arguments),
    }
}

fn list() {
    println!("Checks:");
    for (name, description) in plan::CHECKS {
        println!("  {name:20} {description}");
    }
    println!("Storms:");
    for storm in &storm::ALL {
        println!("  {:20} {}", storm.name, storm.description);
    }
    println!("Backends: {}", plan::backends().join(", "));
}

impl Check {
    fn budget(&self) -> Result<Duration> {
        Duration::try_from_secs_f64(self.seconds).context("--seconds")
    }
}

/// A check, with its budget or scale.
enum Kind<'a> {
    Sequences(Duration),
    Histories(Duration),
    Storm(&'a str, Scale),
}

/// Runs a check on one backend and prints its report; returns whether no violation was found.
fn run_and_print(backend: &str, seed: u64, kind: Kind<'_>) -> Result<bool> {
    struct OnBackend<'a> {
        backend: &'a str,
        seed: u64,
        kind: Kind<'a>,
        report: Option<CheckReport>,
    }
    impl Visitor for OnBackend<'_> {
        fn visit<B: Backend>(&mut self) {
            if B::NAME == self.backend {
                self.report = Some(match self.kind {
                    Kind::Sequences(budget) => sequence::run::<B>(self.seed, budget),
                    Kind::Histories(budget) => history::run::<B>(self.seed, budget),
                    Kind::Storm(name, scale) => {
                        storm::run::<B>(name, StormContext::new(scale, self.seed).with_live_bytes(live_bytes))
                    }
                });
            }
        }
    }
    let mut on_backend = OnBackend { backend, seed, kind, report: None };
    for_each(&mut on_backend);
    let report = on_backend.report.with_context(|| plan::unknown_backend(backend))?;
    println!("{}", serde_json::to_string(&report)?);
    Ok(report.violations == 0)
}

/// Returns the number of bytes that are allocated now.
fn live_bytes() -> usize {
    let stats = ALLOCATOR.stats();
    stats.bytes_allocated.saturating_sub(stats.bytes_deallocated)
}

fn make_report(arguments: &Report) -> Result<bool> {
    let host = serde_json::from_str(&arguments.host).context("--host")?;
    let mut document = Document::new(host, arguments.seed, arguments.seconds);
    for line in io::stdin().lock().lines() {
        document.read(&line?)?;
    }
    if let Some(path) = &arguments.json {
        let text = serde_json::to_string_pretty(&document)?;
        std::fs::write(path, text + "\n").with_context(|| format!("cannot write {}", path.display()))?;
    }
    print!("{}", document.text());
    document.is_success()
}

fn scale(text: &str) -> Result<Scale, String> {
    match text {
        "full" => Ok(Scale::Full),
        "short" => Ok(Scale::Short),
        _ => Err("expected full or short".to_owned()),
    }
}
