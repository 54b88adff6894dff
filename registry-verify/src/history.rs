//! Records what several threads do to a registry at once, and checks it against the sequential specification.
//!
//! A [`Program`] says what each thread does, a [`Hand`] does it and records every call with its result and the times
//! before and after it, and [`judge`] puts the records of all hands together, looks into the inboxes, and asks
//! [`linear`](crate::linear) whether the [specification](spec) explains them.
//!
//! A history is short, and there are many of them, each on a registry of its own: what is hard to explain is found
//! sooner in short ones. A history that goes wrong can be run again by its seed; its program is then the same, but not
//! how the threads met.

mod crew;
mod faltering;
mod hand;
mod holding;
mod judge;
mod messages;
mod post;
mod program;
pub mod spec;

use std::sync::Arc;
use std::time::{Duration, Instant};

use fastrand::Rng;
use registry_core::Backend;

pub use faltering::{Faltering, FalteringMailbox, FalteringProbe};
pub use hand::Hand;
pub use judge::{judge, judge_history};
pub use post::{Post, Receive, TurnedDown};
pub use program::{Program, Todo};

use crate::account::Account;
use crew::{Arena, Batch, Crew};

/// The name of this check in an account.
const CHECK: &str = "history";

/// How many histories the threads make before they report.
const BATCH: u64 = 32;

/// After so many violations there is no need for more.
const ENOUGH: u64 = 3;

/// Makes and checks histories on one backend for as long as it is given, from the seed on.
///
/// While the threads make the next histories, those before are checked.
pub fn run<B: Backend>(seed: u64, budget: Duration) -> Account {
    let mut account = Account::of(B::NAME);
    let deadline = Instant::now() + budget;
    let crew = Crew::<B>::new();
    let mut seeds = Rng::with_seed(seed);
    let mut batch = || -> Batch<B> { Arc::new((0..BATCH).map(|_| Arena::new(seeds.u64(..))).collect()) };
    let mut running = batch();
    crew.start(&running);
    loop {
        let goes_on = Instant::now() < deadline && account.violations < ENOUGH;
        let next = goes_on.then(&mut batch);
        let arenas = match crew.wait(running) {
            Ok(arenas) => arenas,
            Err((seed, hangs)) => {
                account.violated(CHECK, seed, hangs);
                return account;
            }
        };
        if let Some(next) = &next {
            crew.start(next);
        }
        for arena in arenas {
            if account.violations < ENOUGH {
                note(&mut account, arena);
            }
        }
        match next {
            Some(next) => running = next,
            None => return account,
        }
    }
}

/// Runs the history of a seed again, which is the one of a [`Case`](crate::account::Case), until it fails or has been
/// run `tries` times. The threads do the same things, but do not meet in the same way.
///
/// Returns the number of calls that were checked.
///
/// # Errors
///
/// What was wrong, for a person to read.
pub fn one<B: Backend>(seed: u64, tries: u64) -> Result<u64, String> {
    let mut account = Account::of(B::NAME);
    let crew = Crew::<B>::new();
    for _ in 0..tries.div_ceil(BATCH) {
        let batch: Batch<B> = Arc::new((0..BATCH).map(|_| Arena::new(seed)).collect());
        crew.start(&batch);
        for arena in crew.wait(batch).map_err(|(_, hangs)| hangs)? {
            note(&mut account, arena);
        }
        if let Some(case) = account.cases.pop() {
            return Err(case.case);
        }
    }
    Ok(account.operations)
}

fn note<B: Backend>(account: &mut Account, arena: Arena<B>) {
    let seed = arena.seed;
    match arena.judge() {
        Ok(operations) => {
            account.histories += 1;
            account.operations += operations as u64;
        }
        Err(wrong) => account.violated(CHECK, seed, wrong),
    }
}
