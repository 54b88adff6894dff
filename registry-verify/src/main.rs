//! What `cargo xtask verify` calls: makes a plan, carries out one step of it, and gives an account of all steps.

#![allow(clippy::print_stdout, clippy::print_stderr, reason = "it is a program; its output is what it is for")]

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

use crate::report::Document;
use crate::plan::PlanArgs;

/// Storms ask how many bytes are left.
#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

/// Checks what a registry promises; `cargo xtask verify` is the way to call it.
#[derive(Debug, Parser)]
#[command(name = "registry-verify", version)]
enum Command {
    /// Shows the checks and the backends.
    List,
    /// Prints what is to be checked, as JSON.
    Plan(PlanArgs),
    /// Compares random sequences of operations with the model, and prints an account.
    Sequences(Check),
    /// Records what several threads do and checks it for linearizability, and prints an account.
    Histories(Check),
    /// Runs one storm, and prints an account.
    Storm(OneStorm),
    /// Reads accounts and steps from standard input, and prints what came of all.
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
    /// `full` or `short`: all of its deaths, or a small part of them.
    #[arg(long, default_value = "full", value_parser = scale)]
    scale: Scale,
}

#[derive(Debug, clap::Args)]
struct Report {
    /// Where it was checked, as JSON.
    #[arg(long)]
    host: String,
    /// What everything random was drawn from.
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// How long it was to take.
    #[arg(long, default_value_t = 0.0)]
    seconds: f64,
    /// Also writes the accounts to this file.
    #[arg(long)]
    json: Option<PathBuf>,
}

/// The status of a program that was asked for something impossible.
const USAGE: u8 = 2;

fn main() -> ExitCode {
    let command = Command::parse();
    let asked = !matches!(command, Command::Report(_));
    match execute(command) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::from(if asked { USAGE } else { 1 })
        }
    }
}

/// Does it, and says whether everything is as it must be.
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
        Command::Sequences(check) => print_account(&check.backend, check.seed, Kind::Sequences(check.budget()?)),
        Command::Histories(check) => print_account(&check.backend, check.seed, Kind::Histories(check.budget()?)),
        Command::Storm(one) => {
            let known = plan::storms();
            let is_known = known.contains(&one.name.as_str());
            ensure!(is_known, "there is no storm {:?}; there are {}", one.name, known.join(", "));
            print_account(&one.backend, one.seed, Kind::Storm(&one.name, one.scale))
        }
        Command::Report(arguments) => make_report(&arguments),
    }
}

fn list() {
    println!("Checks:");
    for (name, about) in plan::CHECKS {
        println!("  {name:20} {about}");
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

/// What is to be checked on a backend.
enum Kind<'a> {
    Sequences(Duration),
    Histories(Duration),
    Storm(&'a str, Scale),
}

/// Checks it, prints the account, and says whether nothing was wrong.
fn print_account(backend: &str, seed: u64, kind: Kind<'_>) -> Result<bool> {
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

/// How many bytes are allocated at present.
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
        _ => Err("there are full and short".to_owned()),
    }
}
