//! The program that `cargo xtask bench --peers` calls: makes a plan, and runs one of its steps.

#![allow(clippy::print_stdout, clippy::print_stderr, reason = "the output of a program")]

use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Result, bail};
use clap::Parser;
use registry_bench::plan::at_least_one;
use registry_bench::record::Line;
use registry_bench::timed_loop::Operation;
use registry_peers::child::{self, Job};
use registry_peers::measure::measure;
use registry_peers::names::Size;
use registry_peers::peers::{self, PEERS, PeerSpec, Setup};
use registry_peers::plan::{self, PlanArgs};

/// Measures peers; `cargo xtask bench --peers` is the way to call it.
#[derive(Debug, Parser)]
#[command(name = "registry-peers", version)]
enum Command {
    /// Lists the peers and the operations.
    List,
    /// Prints a plan as JSON.
    Plan(PlanArgs),
    /// Measures a peer in a child process, and prints JSON lines.
    Run(Target),
    /// Measures a peer in this process, and prints a line for each operation; called by `run`.
    Measure(Target),
}

#[derive(Debug, clap::Args)]
struct Target {
    #[arg(long, value_parser = known)]
    peer: &'static PeerSpec,
    #[arg(long, value_parser = at_least_one)]
    entries: usize,
    #[arg(long, value_parser = at_least_one)]
    threads: usize,
    /// The time of each operation in microseconds.
    #[arg(long)]
    slice_us: u64,
    #[arg(long)]
    seed: u64,
}

impl Target {
    fn job(&self) -> Job {
        Job {
            spec: self.peer,
            size: Size { entries: self.entries, threads: self.threads },
            slice: Duration::from_micros(self.slice_us),
            seed: self.seed,
        }
    }
}

fn known(key: &str) -> Result<&'static PeerSpec, String> {
    peers::find(key).ok_or_else(|| format!("there are {}", PEERS.map(|spec| spec.key).join(", ")))
}

fn main() -> ExitCode {
    match execute(&Command::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn execute(command: &Command) -> Result<()> {
    match command {
        Command::List => list(),
        Command::Plan(args) => println!("{}", serde_json::to_string(&plan::plan(args))?),
        Command::Run(target) => {
            let job = target.job();
            for row in job.run(plan::limit(&job))? {
                println!("{}", serde_json::to_string(&Line::Peer(row))?);
            }
        }
        Command::Measure(target) => {
            let job = target.job();
            let Setup::InProcess(make) = job.spec.make else {
                bail!("{} is measured by another program", target.peer.key)
            };
            let peer = make(job.size, job.seed)?;
            for operation in Operation::ALL {
                println!("{}", child::line(operation, &measure(&*peer, operation, job.size, job.slice)));
            }
        }
    }
    Ok(())
}

fn list() {
    println!("Peers:");
    for spec in &PEERS {
        println!("  {:12} {}, {}", spec.key, spec.kind, spec.named());
    }
    println!("Operations: {}", Operation::ALL.map(Operation::name).join(", "));
}
