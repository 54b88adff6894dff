//! Does one operation so many times and nothing else, for a program that counts instructions to watch.
//!
//! What comes before is the same for any number of times, so the difference of two runs is the operation alone.
//! Ids, their order and the registry's seed are fixed; the registry has its statistics on, as it has by default.
//!
//! The loops stand here and not in the library, so that the compiler makes the registry's code anew for this program,
//! and what else is in the library does not sway what it inlines.

#![allow(clippy::print_stdout, reason = "its plan goes to standard output")]

use std::fmt::Display;
use std::hint::black_box;

use anyhow::Result;
use clap::{Parser, ValueEnum};
use registry_bench::choose::{self, OnBackend, on_backend};
use registry_bench::failures::Failures;
use registry_bench::registry::{Layout, OverRegistry};
use registry_bench::subject::{Session, Subject};
use registry_bench::world::{Counts, World};
use registry_core::Backend;
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
    /// A lookup of a server that is there.
    Lookup,
    /// A lookup of a server that is not there.
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
    on_backend(&arguments.backend, Counted { arguments, world: &world })??.check()
}

/// The work.
struct Counted<'a> {
    arguments: &'a Run,
    world: &'a World,
}

impl OnBackend for Counted<'_> {
    type Outcome = Result<Failures>;

    fn run<B: Backend>(self) -> Self::Outcome {
        on::<B>(self.world, self.arguments)
    }
}

/// What is wrong with a lookup.
const WRONG: &str = "it was not found, or found where it should not be";

/// Fills a registry, does the operation, and says where it went wrong.
fn on<B: Backend>(world: &World, arguments: &Run) -> Result<Failures> {
    let registry = OverRegistry::<B, _>::new(Layout { shards: SHARDS, servers: SERVERS, transports: 0 })?;
    let session = registry.session();
    session.fill(world);
    let mailbox = world.mailbox(0);
    let times = arguments.operations;
    Ok(match arguments.operation {
        Operation::Lookup => repeat(&world.order, times, |id| session.lookup(id, mailbox).map(drop).ok_or(WRONG)),
        Operation::Miss => repeat(&world.strangers, times, |id| match session.lookup(id, mailbox) {
            None => Ok(()),
            Some(_) => Err(WRONG),
        }),
        Operation::Route => repeat(&world.order, times, |id| session.route(id, &world.sender, 1)),
        Operation::Register => {
            repeat(&world.strangers, times, |id| session.register(id, mailbox).map(|lease| session.release(id, lease)))
        }
    })
}

/// Does something to so many keys in a row, beginning again at the end of the row, and counts where it went wrong.
#[inline(never)]
fn repeat<K, E: Display>(keys: &[K], times: usize, operation: impl Fn(&K) -> Result<(), E>) -> Failures {
    let (mut left, mut failures) = (times, Failures::default());
    while left > 0 {
        let row = &keys[..left.min(keys.len())];
        for (number, key) in row.iter().enumerate() {
            if let Err(reason) = operation(black_box(key)) {
                failures.note(number, reason);
            }
        }
        left -= row.len();
    }
    failures
}
