//! Records concurrent histories of a registry and checks them for linearizability.
//!
//! A [`Program`] lists the operations of each thread. A [`Client`] executes them and records every call with its result
//! and its start and end times. [`check_clients`] merges the records of all clients, inspects the inboxes, and asks
//! [`linear`](crate::linear) whether the history conforms to the [specification](crate::spec).
//!
//! Histories are short and numerous, each on a registry of its own: short ones are cheap to check and easy to explain.
//! A failing history can be rerun by its seed; that reproduces its program, but not the interleaving.

mod checker;
mod client;
mod delay_injecting;
mod mailbox_factory;
mod messages;
mod owned_registration;
mod program;
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

/// The name of this check in reports.
const CHECK: &str = "history";

/// The number of histories that the threads run at a time.
const BATCH: u64 = 32;

/// The number of violations after which a run stops.
const MAX_VIOLATIONS: u64 = 3;

/// Runs and checks histories on one backend, derived from `seed`, until the time budget ends.
///
/// One batch is checked while the threads run the next.
pub fn run<B: Backend>(seed: u64, budget: Duration) -> CheckReport {
    let mut report = CheckReport::of(B::NAME);
    let deadline = Instant::now() + budget;
    let worker_pool = WorkerPool::<B>::new();
    let mut seeds = Rng::with_seed(seed);
    let mut batch = || -> Batch<B> { Arc::new((0..BATCH).map(|_| Trial::new(seeds.u64(..))).collect()) };
    let mut running = batch();
    worker_pool.start(&running);
    loop {
        let continues = Instant::now() < deadline && report.violations < MAX_VIOLATIONS;
        let next = continues.then(&mut batch);
        let trials = match worker_pool.wait(running) {
            Ok(trials) => trials,
            Err((seed, hang)) => {
                report.violated(CHECK, seed, hang);
                return report;
            }
        };
        if let Some(next) = &next {
            worker_pool.start(next);
        }
        for trial in trials {
            if report.violations < MAX_VIOLATIONS {
                record(&mut report, trial);
            }
        }
        match next {
            Some(next) => running = next,
            None => return report,
        }
    }
}

/// Reruns the history of a [`Case`](crate::check_report::Case)'s seed until it fails, at most `tries` times. The
/// program is the same in each run, but the interleaving is not.
///
/// Returns the number of checked calls.
///
/// # Errors
///
/// Returns a description of the violation.
pub fn rerun<B: Backend>(seed: u64, tries: u64) -> Result<u64, String> {
    let mut report = CheckReport::of(B::NAME);
    let worker_pool = WorkerPool::<B>::new();
    for _ in 0..tries.div_ceil(BATCH) {
        let batch: Batch<B> = Arc::new((0..BATCH).map(|_| Trial::new(seed)).collect());
        worker_pool.start(&batch);
        for trial in worker_pool.wait(batch).map_err(|(_, hang)| hang)? {
            record(&mut report, trial);
        }
        if let Some(case) = report.cases.pop() {
            return Err(case.case);
        }
    }
    Ok(report.operations)
}

fn record<B: Backend>(report: &mut CheckReport, trial: Trial<B>) {
    let seed = trial.seed;
    match trial.check() {
        Ok(operations) => {
            report.histories += 1;
            report.operations += operations as u64;
        }
        Err(violation) => report.violated(CHECK, seed, violation),
    }
}
