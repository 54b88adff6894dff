//! Latencies of single operations under open-loop load.
//!
//! There are as many live tasks as entries, each the owner of one mailbox, see [`crate::owners`]; messages wake them,
//! and the bare map uses the same mailboxes. Threads beside them do the operations. First the saturated rate is
//! measured, with each operation starting when the previous one has ended; then half of it is offered, at random times
//! drawn beforehand, see [`open_loop`](mod@open_loop). With two processors, one runs the thread that offers, and the
//! other serves the tasks, or does the churn while the tasks are idle; with more threads than processors the tails are
//! those of the scheduler.
//!
//! - `mixed`: 40 % lookups, 30 % messages, 20 % registrations, 10 % bindings. A registration first ends the previous
//!   one of the thread, so that the number of entries is constant.
//! - `lookups-alone`: lookups only, at half of their saturated rate.
//! - `lookups-under-churn`: the same lookups at the same rate, while one more thread does this as fast as it can: it
//!   registers a server and drops the lease, registers a server whose mailbox is closed, and sweeps a shard after every
//!   32 of each. A bare map has no sweep: there, as many entries are inserted, and half of them removed.
//!
//! The id is cloned before an operation is timed, as a program would own it.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Barrier, OnceLock};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use registry_router::{ServerId, ToServer, TransportId, mailbox};

use crate::choose::{self, Runner};
use crate::failures::Failures;
use crate::fixture::{Counts, Fixture, Message};
use crate::owners::{Owners, threads_beside};
use crate::record::{Percentiles, Tail};
use crate::registry::Layout;
use crate::subject::{Session, Subject};

use self::open_loop::{Clock, Latencies, Since, closed_loop, poisson};

mod load;
pub mod open_loop;

use self::load::{KINDS, Mix, Work};

/// The capacity of the mailbox of a live task.
const CAPACITY: usize = 64;

/// The number of ids under churn, of each of the two kinds.
const CHURNED: usize = 4_096;

/// The number of registrations of each kind between two sweeps.
const BETWEEN_SWEEPS: usize = 32;

/// The delay before the first operation is due, in which all threads start.
const HEAD_START: Duration = Duration::from_millis(1);

/// The greatest number of operations drawn for a thread.
const MOST_DUE: f64 = 2e7;

/// A request to measure one backend.
#[derive(Clone, Debug)]
pub struct Request {
    /// The name of the backend.
    pub backend: String,
    /// The number of shards.
    pub shards: usize,
    /// The number of live tasks.
    pub tasks: usize,
    /// The number of threads that offer load.
    pub threads: usize,
    /// The time of each scenario; a quarter of it for the saturated rate.
    pub duration: Duration,
    /// The operations offered per second, instead of half of the saturated rate.
    pub offered_per_s: Option<f64>,
    /// The seed of ids, order and times.
    pub seed: u64,
}

/// The measurement of a filled subject.
#[derive(Clone, Copy, Debug)]
pub struct Job<'a> {
    owners: &'a Owners,
    threads: usize,
    duration: Duration,
    offered_per_s: Option<f64>,
    seed: u64,
}

/// The outcome of a scenario.
#[derive(Debug)]
pub struct Outcome {
    scenario: &'static str,
    saturated_per_s: f64,
    offered_per_s: f64,
    achieved_per_s: f64,
    seconds: f64,
    /// For each kind of operation.
    latencies: Vec<Latencies>,
}

/// Measures all scenarios on the registry and then on the bare map.
///
/// # Errors
///
/// If the backend or the number of shards is not possible, or a thread cannot be started.
pub fn measure(request: &Request) -> Result<Vec<Tail>> {
    let transports = request.tasks.div_ceil(10);
    let claims = load::CLAIMS * request.threads + 2 * CHURNED;
    let counts = Counts { servers: request.tasks, absent_ids: 0, claims, transports };
    let (fixture, flow, inboxes) = Fixture::with_owners(counts, request.seed, CAPACITY);
    let fixture = Arc::new(fixture);
    let owners = Owners::of(inboxes, &flow, threads_beside(request.threads))?;
    let layout = Layout { shards: request.shards, servers: request.tasks, transports };
    let Request { threads, duration, offered_per_s, seed, .. } = *request;
    let job = Job { owners: &owners, threads, duration, offered_per_s, seed };
    let mut tails = Vec::new();
    let mut on = |name: &str, shards, subject: Box<dyn Runner>| -> Result<()> {
        subject.fill(&fixture);
        for outcome in subject.tails(&fixture, &job)? {
            tails.extend(outcome.lines(request, name, shards, owners.live()));
        }
        Ok(())
    };
    on("registry", request.shards, choose::registry(&request.backend, layout)?)?;
    if let Some(bare) = choose::bare(&request.backend, layout) {
        on("bare", 1, bare)?;
    }
    Ok(tails)
}

/// Measures all scenarios on one subject.
///
/// # Errors
///
/// If a thread panicked, no operation was due, or an operation failed.
pub fn run<S: Subject>(subject: &Arc<S>, fixture: &Arc<Fixture>, job: &Job<'_>) -> Result<Vec<Outcome>> {
    let awake = job.owners.awake();
    let mixed_saturated = saturated(subject, fixture, job, Mix::Mixed)?;
    let mixed = offer(subject, fixture, job, ("mixed", Mix::Mixed), mixed_saturated)?;
    // No more messages are sent, and churn needs the processor.
    drop(awake);
    let lookups_saturated = saturated(subject, fixture, job, Mix::Lookups)?;
    let alone = offer(subject, fixture, job, ("lookups-alone", Mix::Lookups), lookups_saturated)?;
    let over = AtomicBool::new(false);
    let under_churn = thread::scope(|scope| {
        let churn = scope.spawn(|| churn(&subject.session(), fixture, &over));
        let outcome = offer(subject, fixture, job, ("lookups-under-churn", Mix::Lookups), lookups_saturated);
        over.store(true, Ordering::Relaxed);
        churn.join().ok().context("the churn panicked")?.check().context("churn")?;
        outcome
    })?;
    Ok(vec![mixed, alone, under_churn])
}

/// The common start of all threads.
struct Start {
    ready: Barrier,
    clock: OnceLock<Since>,
}

impl Start {
    fn of(threads: usize) -> Self {
        Self { ready: Barrier::new(threads), clock: OnceLock::new() }
    }

    /// Waits for all threads, and returns the clock when it has started.
    fn clock(&self) -> Since {
        self.ready.wait();
        let clock = *self.clock.get_or_init(|| Since(Instant::now() + HEAD_START));
        while clock.now() == 0 {
            std::hint::spin_loop();
        }
        clock
    }
}

/// Returns the operations per second of all threads without pauses.
fn saturated<S: Subject>(subject: &Arc<S>, fixture: &Arc<Fixture>, job: &Job<'_>, mix: Mix) -> Result<f64> {
    let duration = (job.duration / 4).as_nanos() as u64;
    let start = Start::of(job.threads);
    let done = on_threads(job.threads, |thread| {
        let mut work = Work::new(subject.session(), fixture, mix, thread, job.seed);
        let mut latencies = vec![Latencies::default(); KINDS.len()];
        let (done, ended) = closed_loop(&start.clock(), duration, &mut work, &mut latencies);
        (done, ended, work.failures().clone())
    })?;
    fixture.drain_all();
    done.iter().try_for_each(|(_, _, failures)| failures.check()).context("saturated")?;
    let ended = done.iter().map(|&(_, ended, _)| ended).max().context("there must be a thread")?;
    let done: usize = done.iter().map(|&(done, ..)| done).sum();
    Ok(done as f64 * 1e9 / ended.max(1) as f64)
}

/// Offers half of the saturated rate, or the requested rate.
fn offer<S: Subject>(
    subject: &Arc<S>,
    fixture: &Arc<Fixture>,
    job: &Job<'_>,
    (scenario, mix): (&'static str, Mix),
    saturated_per_s: f64,
) -> Result<Outcome> {
    let threads = job.threads as f64;
    let most = MOST_DUE * threads / job.duration.as_secs_f64();
    let offered_per_s = job.offered_per_s.unwrap_or(saturated_per_s / 2.0).min(most);
    let due: Vec<Vec<u64>> = (0..job.threads as u64)
        .map(|n| fastrand::Rng::with_seed(job.seed ^ (n + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15)))
        .map(|mut rng| poisson(offered_per_s / threads, job.duration, &mut rng))
        .collect();
    let start = Start::of(job.threads);
    let all = on_threads(job.threads, |thread| {
        let mut work = Work::new(subject.session(), fixture, mix, thread, job.seed.wrapping_add(1));
        let mut latencies = vec![Latencies::default(); KINDS.len()];
        let ended = open_loop::open_loop(&start.clock(), &due[thread], &mut work, &mut latencies);
        (ended, latencies, work.failures().clone())
    })?;
    fixture.drain_all();
    all.iter().try_for_each(|(_, _, failures)| failures.check()).context(scenario)?;
    let ended = all.iter().map(|&(ended, ..)| ended).max().unwrap_or_default();
    let mut latencies = vec![Latencies::default(); KINDS.len()];
    for (_, of_thread, _) in &all {
        latencies.iter_mut().zip(of_thread).for_each(|(sum, latencies)| sum.add(latencies));
    }
    let done: u64 = latencies.iter().map(|latencies| latencies.service.len()).sum();
    ensure!(done > 0, "no operation was due in {:?}", job.duration);
    let seconds = ended as f64 / 1e9;
    Ok(Outcome { scenario, saturated_per_s, offered_per_s, achieved_per_s: done as f64 / seconds, seconds, latencies })
}

fn on_threads<R: Send>(threads: usize, work: impl Fn(usize) -> R + Sync) -> Result<Vec<R>> {
    thread::scope(|scope| {
        let work = &work;
        let workers: Vec<_> = (0..threads).map(|n| scope.spawn(move || work(n))).collect();
        workers.into_iter().map(|worker| worker.join().ok().context("a worker panicked")).collect()
    })
}

/// Registers and sweeps until `over`, and returns the registrations that failed.
fn churn<Se: Session>(session: &Se, fixture: &Fixture, over: &AtomicBool) -> Failures {
    let mut failures = Failures::default();
    let (dead, inbox) = mailbox::<ToServer<Message>>(1);
    drop(inbox);
    let ids = &fixture.claims[fixture.claims.len() - 2 * CHURNED..];
    let (leaving, dying) = ids.split_at(CHURNED);
    for n in 0.. {
        if over.load(Ordering::Relaxed) {
            break;
        }
        match session.register(&leaving[n % CHURNED], fixture.mailbox(n)) {
            Ok(lease) => session.release(&leaving[n % CHURNED], lease),
            Err(reason) => failures.note(n % CHURNED, reason),
        }
        session.add_server(&dying[n % CHURNED], &dead);
        if n % BETWEEN_SWEEPS == BETWEEN_SWEEPS - 1 {
            session.sweep(n / BETWEEN_SWEEPS);
        }
    }
    failures
}

impl Outcome {
    /// Returns a row for each kind of operation, and one for all of them.
    fn lines(&self, request: &Request, subject: &str, shards: usize, tasks: usize) -> Vec<Tail> {
        let line = |operation: &str, latencies: &Latencies| Tail {
            scenario: self.scenario.to_owned(),
            operation: operation.to_owned(),
            subject: subject.to_owned(),
            backend: request.backend.clone(),
            shards,
            threads: request.threads,
            tasks,
            entries: request.tasks,
            saturated_per_s: self.saturated_per_s,
            offered_per_s: self.offered_per_s,
            achieved_per_s: self.achieved_per_s,
            seconds: self.seconds,
            timed: latencies.service.len(),
            service: percentiles(&latencies.service),
            response: percentiles(&latencies.response),
            seed: request.seed,
        };
        let those = || KINDS.iter().zip(&self.latencies).filter(|(_, latencies)| !latencies.service.is_empty());
        let mut lines: Vec<Tail> = those().map(|(kind, latencies)| line(kind, latencies)).collect();
        if lines.len() > 1 {
            let mut all = Latencies::default();
            those().for_each(|(_, latencies)| all.add(latencies));
            lines.push(line("all", &all));
        }
        lines
    }
}

fn percentiles(histogram: &hdrhistogram::Histogram<u64>) -> Percentiles {
    Percentiles {
        p50_ns: histogram.value_at_quantile(0.5),
        p95_ns: histogram.value_at_quantile(0.95),
        p99_ns: histogram.value_at_quantile(0.99),
        p999_ns: histogram.value_at_quantile(0.999),
        max_ns: histogram.max(),
    }
}

#[cfg(test)]
mod tests;
