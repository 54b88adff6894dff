//! Measures idle mailboxes, in a program of its own, because its allocator counts.

#![allow(clippy::print_stdout, reason = "the figures go to standard output")]

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
    /// The capacity of a mailbox; may be given several times.
    #[arg(long = "capacity", required = true, value_parser = at_least_one)]
    capacities: Vec<usize>,
    /// The number of mailboxes that exist at the same time.
    #[arg(long, value_parser = at_least_one)]
    mailboxes: usize,
}

fn main() -> Result<()> {
    let arguments = Arguments::parse();
    for family in mailboxes::FAMILIES {
        for &capacity in &arguments.capacities {
            let idle = mailboxes::measure(family, capacity, arguments.mailboxes, &live)?;
            println!("{}", serde_json::to_string(&Line::Idle(idle))?);
        }
    }
    Ok(())
}

/// Returns the number of bytes allocated at present.
fn live() -> usize {
    let stats = ALLOCATOR.stats();
    stats.bytes_allocated.saturating_sub(stats.bytes_deallocated)
}
