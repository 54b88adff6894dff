//! Does one operation so many times and nothing else, for a program that counts instructions to watch.
//!
//! What comes before is the same for any number of times, so the difference of two runs is the operation alone.
//! Ids, their order and the registry's seed are fixed; the registry has its statistics on, as it has by default.

#![allow(clippy::print_stdout, reason = "its plan goes to standard output")]

use anyhow::{Result, ensure};
use clap::{Parser, ValueEnum};
use registry_bench::choose;
use registry_bench::ratio::Act;
use registry_bench::registry::Layout;
use registry_bench::world::{Counts, World};
use serde::Serialize;

/// How many servers there are: eight to a mailbox, so that all messages of a run find room.
const SERVERS: usize = 8_192;

/// How many ids are looked up in vain, and registered in turn.
const STRANGERS: usize = 8_192;

/// How many shards the registry has: the default.
const SHARDS: usize = 64;

/// How often an operation is repeated: a multiple of the servers, so that each has its turn as often as any other, and
/// of the 32 messages after which a mailbox asks for memory.
const OPERATIONS: usize = 131_072;

/// What the ids and their order are drawn from.
const SEED: u64 = 0x5eed;

/// Repeats one operation; `cargo xtask instructions` calls it.
#[derive(Debug, Parser)]
#[command(name = "registry-bench-instructions")]
enum Command {
    /// Prints what there is to be counted, as JSON.
    Plan,
    /// Fills a registry and does the operation.
    Run(Run),
}

#[derive(Debug, clap::Args)]
struct Run {
    /// The backend.
    #[arg(long)]
    backend: String,
    /// The operation.
    #[arg(long)]
    operation: Operation,
    /// How many times; none to see what the filling costs.
    #[arg(long)]
    operations: usize,
}

/// The operations that are counted.
#[derive(Clone, Copy, Debug, ValueEnum, Serialize)]
#[serde(rename_all = "snake_case")]
enum Operation {
    /// A look-up of a server that is there.
    Lookup,
    /// A look-up of a server that is not there.
    Miss,
    /// A message to a server.
    Route,
    /// A registration, and its end.
    Register,
}

/// What is counted.
#[derive(Debug, Serialize)]
struct Plan {
    servers: usize,
    shards: usize,
    operations: usize,
    backends: Vec<&'static str>,
    acts: Vec<Operation>,
}

fn main() -> Result<()> {
    match Command::parse() {
        Command::Plan => {
            let plan = Plan {
                servers: SERVERS,
                shards: SHARDS,
                operations: OPERATIONS,
                backends: choose::backends(),
                acts: Operation::value_variants().to_vec(),
            };
            println!("{}", serde_json::to_string(&plan)?);
        }
        Command::Run(arguments) => run(&arguments)?,
    }
    Ok(())
}

fn run(arguments: &Run) -> Result<()> {
    let counts = Counts { servers: SERVERS, strangers: STRANGERS, claims: 0, transports: 0 };
    let world = World::new(counts, SEED);
    let registry = choose::registry(&arguments.backend, Layout { shards: SHARDS, servers: SERVERS, transports: 0 })?;
    registry.fill(&world);
    let act = match arguments.operation {
        Operation::Lookup => Act::Lookup,
        Operation::Miss => Act::Miss,
        Operation::Route => Act::Route,
        Operation::Register => Act::Register,
    };
    let (_, failures) = registry.lap(act, &world, 0).run(0, arguments.operations);
    ensure!(failures == 0, "{failures} operations did not do what they should");
    Ok(())
}
