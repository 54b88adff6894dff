//! Counts what an idle mailbox takes, in a program of its own, whose allocator counts.

#![allow(clippy::print_stdout, reason = "what it measures goes to standard output")]

use std::alloc::System;

use anyhow::Result;
use clap::Parser;
use registry_bench::mailboxes;
use registry_bench::plan::at_least_one;
use registry_bench::record::Line;
use stats_alloc::{INSTRUMENTED_SYSTEM, StatsAlloc};

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

/// Prints the bytes per mailbox as JSON lines; `cargo xtask bench` calls it.
#[derive(Debug, Parser)]
#[command(name = "registry-bench-mailboxes")]
struct Arguments {
    /// The queue; may be given several times. All, if none is named.
    #[arg(long = "queue")]
    queues: Vec<String>,
    /// For how many messages a mailbox has room; may be given several times.
    #[arg(long = "capacity", required = true, value_parser = at_least_one)]
    capacities: Vec<usize>,
    /// How many there are at the same time.
    #[arg(long, value_parser = at_least_one)]
    mailboxes: usize,
}

fn main() -> Result<()> {
    let arguments = Arguments::parse();
    let all: Vec<String> = mailboxes::QUEUES.iter().map(|&name| name.to_owned()).collect();
    for queue in if arguments.queues.is_empty() { &all } else { &arguments.queues } {
        for &capacity in &arguments.capacities {
            let idle = mailboxes::measure(queue, capacity, arguments.mailboxes, &live)?;
            println!("{}", serde_json::to_string(&Line::Idle(idle))?);
        }
    }
    Ok(())
}

/// How many bytes are allocated at present.
fn live() -> usize {
    let stats = ALLOCATOR.stats();
    stats.bytes_allocated.saturating_sub(stats.bytes_deallocated)
}
