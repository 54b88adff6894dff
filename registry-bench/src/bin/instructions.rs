//! Repeats one operation, to be run under a program that counts instructions.
//!
//! The setup is the same for any number of repetitions, so the difference of two runs is the operation alone. Ids,
//! their order and the seed of the registry are fixed; statistics are on, as by default.
//!
//! The loops are here and not in the library, so that the code of the registry is compiled for this program, and other
//! code of the library does not affect inlining.

#![allow(clippy::print_stdout, reason = "its plan goes to standard output")]

use std::fmt::Display;
use std::hint::black_box;

use anyhow::Result;
use clap::{Parser, ValueEnum};
use registry_bench::choose::{self, OnBackend, on_backend};
use registry_bench::failures::Failures;
use registry_bench::fixture::{Counts, Fixture};
use registry_bench::registry::{Layout, OverRegistry};
use registry_bench::subject::{Session, Subject};
use registry_core::Backend;
use serde::Serialize;

/// The number of servers: eight to a mailbox, so that the mailboxes have room for all messages of a run.
const SERVERS: usize = 8_192;

/// The number of ids that are looked up without being registered, and registered in turn.
const ABSENT_IDS: usize = 8_192;

/// The number of shards: the default.
const SHARDS: usize = 64;

/// The number of repetitions: a multiple of the servers, so that all are used equally often, and of the 32 messages
/// after which a mailbox allocates.
const OPERATIONS: usize = 131_072;

/// The seed of the ids and their order.
const SEED: u64 = 0x5eed;

/// Repeats one operation; `cargo xtask instructions` calls it.
#[derive(Debug, Parser)]
#[command(name = "registry-bench-instructions")]
enum Command {
    /// Prints what can be counted, as JSON.
    Plan,
    /// Fills a registry and repeats the operation.
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
    /// The number of repetitions; zero for the setup alone.
    #[arg(long)]
    operations: usize,
}

/// The operations that are counted.
#[derive(Clone, Copy, Debug, ValueEnum, Serialize)]
#[serde(rename_all = "snake_case")]
enum Operation {
    /// A lookup of a registered server.
    Lookup,
    /// A lookup of a server that is not registered.
    Miss,
    /// A message to a server.
    Route,
    /// A registration, and its end.
    Register,
}

/// The operations, backends and their extent.
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
    let counts = Counts { servers: SERVERS, absent_ids: ABSENT_IDS, claims: 0, transports: 0 };
    let fixture = Fixture::new(counts, SEED);
    on_backend(&arguments.backend, Counted { arguments, fixture: &fixture })??.check()
}

/// The task on a backend.
struct Counted<'a> {
    arguments: &'a Run,
    fixture: &'a Fixture,
}

impl OnBackend for Counted<'_> {
    type Outcome = Result<Failures>;

    fn run<B: Backend>(self) -> Self::Outcome {
        on::<B>(self.fixture, self.arguments)
    }
}

/// The reason of a failed lookup.
const WRONG: &str = "it was not found, or found where it should not be";

/// Fills a registry, repeats the operation, and returns the failures.
fn on<B: Backend>(fixture: &Fixture, arguments: &Run) -> Result<Failures> {
    let registry = OverRegistry::<B, _>::new(Layout { shards: SHARDS, servers: SERVERS, transports: 0 })?;
    let session = registry.session();
    session.fill(fixture);
    let mailbox = fixture.mailbox(0);
    let times = arguments.operations;
    Ok(match arguments.operation {
        Operation::Lookup => repeat(&fixture.order, times, |id| session.lookup(id, mailbox).map(drop).ok_or(WRONG)),
        Operation::Miss => repeat(&fixture.absent_ids, times, |id| match session.lookup(id, mailbox) {
            None => Ok(()),
            Some(_) => Err(WRONG),
        }),
        Operation::Route => repeat(&fixture.order, times, |id| session.route(id, &fixture.sender, 1)),
        Operation::Register => repeat(&fixture.absent_ids, times, |id| {
            session.register(id, mailbox).map(|lease| session.release(id, lease))
        }),
    })
}

/// Repeats an operation over the keys, beginning again at their end, and counts the failures.
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
