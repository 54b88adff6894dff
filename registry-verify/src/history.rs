//! Records what several threads do to a registry at once, and checks it against the sequential specification.
//!
//! A [`Program`] says what each thread does, a [`Client`] does it and records every call with its result and the times
//! before and after it, and [`check_clients`] puts the records of all hands together, looks into the inboxes, and asks
//! [`linear`](crate::linear) whether the [specification](spec) explains them.
//!
//! A history is short, and there are many of them, each on a registry of its own: what is hard to explain is found
//! sooner in short ones. A history that goes wrong can be run again by its seed; its program is then the same, but not
//! how the threads met.

mod checker;
mod client;
mod delay_injecting;
mod mailbox_factory;
mod messages;
mod owned_registration;
mod program;
pub mod spec;
mod worker_pool;

use std::sync::Arc;
use std::time::{Duration, Instant};

use fastrand::Rng;
use registry_core::Backend;

pub use checker::{check_clients, check_history};
pub use client::Client;
pub use delay_injecting::{DelayInjectingMailbox, DelayInjectingMailboxes, DelayInjectingProbe};
pub use mailbox_factory::{MailboxFactory, Receiver, Rejections};
pub use program::{Op, Program};

use crate::check_report::CheckReport;
use worker_pool::{Batch, Trial, WorkerPool};

/// The name of this check in an account.
const CHECK: &str = "history";

/// How many histories the threads make before they report.
const BATCH: u64 = 32;

/// After so many violations there is no need for more.
const ENOUGH: u64 = 3;

/// Makes and checks histories on one backend for as long as it is given, from the seed on.
///
/// While the threads make the next histories, those before are checked.
pub fn run<B: Backend>(seed: u64, budget: Duration) -> CheckReport {
    let mut report = CheckReport::of(B::NAME);
    let deadline = Instant::now() + budget;
    let worker_pool = WorkerPool::<B>::new();
    let mut seeds = Rng::with_seed(seed);
    let mut batch = || -> Batch<B> { Arc::new((0..BATCH).map(|_| Trial::new(seeds.u64(..))).collect()) };
    let mut running = batch();
    worker_pool.start(&running);
    loop {
        let goes_on = Instant::now() < deadline && report.violations < ENOUGH;
        let next = goes_on.then(&mut batch);
        let trials = match worker_pool.wait(running) {
            Ok(trials) => trials,
            Err((seed, hangs)) => {
                report.violated(CHECK, seed, hangs);
                return report;
            }
        };
        if let Some(next) = &next {
            worker_pool.start(next);
        }
        for trial in trials {
            if report.violations < ENOUGH {
                note(&mut report, trial);
            }
        }
        match next {
            Some(next) => running = next,
            None => return report,
        }
    }
}

/// Runs the history of a seed again, which is the one of a [`Case`](crate::check_report::Case), until it fails or has been
/// run `tries` times. The threads do the same things, but do not meet in the same way.
///
/// Returns the number of calls that were checked.
///
/// # Errors
///
/// What was wrong, for a person to read.
pub fn one<B: Backend>(seed: u64, tries: u64) -> Result<u64, String> {
    let mut report = CheckReport::of(B::NAME);
    let worker_pool = WorkerPool::<B>::new();
    for _ in 0..tries.div_ceil(BATCH) {
        let batch: Batch<B> = Arc::new((0..BATCH).map(|_| Trial::new(seed)).collect());
        worker_pool.start(&batch);
        for trial in worker_pool.wait(batch).map_err(|(_, hangs)| hangs)? {
            note(&mut report, trial);
        }
        if let Some(case) = report.cases.pop() {
            return Err(case.case);
        }
    }
    Ok(report.operations)
}

fn note<B: Backend>(report: &mut CheckReport, trial: Trial<B>) {
    let seed = trial.seed;
    match trial.check_clients() {
        Ok(operations) => {
            report.histories += 1;
            report.operations += operations as u64;
        }
        Err(wrong) => report.violated(CHECK, seed, wrong),
    }
}
