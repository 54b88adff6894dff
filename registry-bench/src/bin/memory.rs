//! Measures bytes of entries, in a program of its own, because its counting allocator would slow down the others.

#![allow(clippy::print_stdout, reason = "the figures go to standard output")]

use std::alloc::System;

use anyhow::Result;
use clap::Parser;
use registry_bench::memory;
use stats_alloc::{INSTRUMENTED_SYSTEM, StatsAlloc};

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

/// Prints the bytes per entry as JSON lines; `cargo xtask bench` calls it.
#[derive(Debug, Parser)]
#[command(name = "registry-bench-memory")]
struct Arguments {
    /// The backend.
    #[arg(long)]
    backend: String,
    /// The numbers of shards and entries, as in `64:10000`; may be given several times.
    #[arg(long = "size", required = true, value_parser = size)]
    sizes: Vec<(usize, usize)>,
    /// Prints points of a curve, and ratios, too.
    #[arg(long)]
    curve: bool,
}

fn main() -> Result<()> {
    let arguments = Arguments::parse();
    for (shards, entries) in arguments.sizes {
        for line in memory::lines(memory::measure(&arguments.backend, shards, entries, &live)?, arguments.curve) {
            println!("{}", serde_json::to_string(&line)?);
        }
    }
    Ok(())
}

/// Returns the number of bytes allocated at present.
fn live() -> usize {
    let stats = ALLOCATOR.stats();
    stats.bytes_allocated.saturating_sub(stats.bytes_deallocated)
}

fn size(text: &str) -> Result<(usize, usize), String> {
    let parse = || {
        let (shards, entries) = text.split_once(':')?;
        Some((shards.parse().ok()?, entries.parse().ok().filter(|&entries| entries > 0)?))
    };
    parse().ok_or_else(|| format!("{text:?} is not SHARDS:ENTRIES"))
}
