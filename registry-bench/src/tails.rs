//! Tails: latencies of single operations under a load that does not wait for answers.
//!
//! There are as many live tasks as entries, each the owner of one mailbox, as [`crate::owners`] says; messages wake
//! them, and the bare map's mailboxes are the same. Threads beside them do the operations.
//! First the saturated rate is measured, each operation beginning as soon as the one before has ended; then half as many
//! per second are offered, at random times that were drawn beforehand, as [`open_loop`](mod@open_loop) says.
//! Where there are two processors, one thread offers, and the other processor serves the tasks, or does the churn while
//! the tasks have nothing to do; with more threads than processors the tails are those of the scheduler.
//!
//! - `mixed`: 40 % lookups, 30 % messages, 20 % registrations, 10 % bindings. A registration ends the one that the same
//!   thread made before it, so that the number of entries stays.
//! - `lookups-alone`: lookups only, at half of what saturates those.
//! - `lookups-under-churn`: the same lookups at the same rate, while one more thread does this as fast as it can:
//!   it registers and drops the lease, registers owners that die without a word, and sweeps a shard after every 32 of
//!   each. A bare map knows no death and no sweep: there, as many entries are put in, and half of them taken out.
//!
//! The id is at hand when an operation begins, as a program would have it.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Barrier, OnceLock};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use registry_router::{ServerId, ToServer, TransportId, mailbox};

use crate::choose::{self, Runner};
use crate::failures::Failures;
use crate::owners::{Owners, threads_beside};
use crate::record::{Percentiles, Tail};
use crate::registry::Layout;
use crate::subject::{Session, Subject};
use crate::world::{Counts, Message, World};

use self::open_loop::{Clock, Latencies, Since, closed_loop, poisson};

mod load;
pub mod open_loop;

use self::load::{KINDS, Mix, Work};

/// For how many messages the mailbox of a live task has room.
const CAPACITY: usize = 64;

/// How many ids come and go under churn, of those who say goodbye and of those who do not.
const CHURNED: usize = 4_096;

/// How many registrations of each kind are between two sweeps.
const BETWEEN_SWEEPS: usize = 32;

/// What threads need to get going before the first operation is due.
const HEAD_START: Duration = Duration::from_millis(1);

/// The most operations that are drawn for a thread.
const MOST_DUE: f64 = 2e7;

/// What is to be measured.
#[derive(Clone, Debug)]
pub struct Request {
    /// On which backend.
    pub backend: String,
    /// With how many shards.
    pub shards: usize,
    /// With how many live tasks.
    pub tasks: usize,
    /// With how many threads that offer.
    pub threads: usize,
    /// For how long each scenario; a quarter of it to find the saturated rate.
    pub duration: Duration,
    /// So many operations per second are offered, instead of half of what saturates.
    pub offered_per_s: Option<f64>,
    /// What ids, order and times are drawn from.
    pub seed: u64,
}

/// How a subject is measured, once it is filled.
#[derive(Clone, Copy, Debug)]
pub struct Job<'a> {
    owners: &'a Owners,
    threads: usize,
    duration: Duration,
    offered_per_s: Option<f64>,
    seed: u64,
}

/// What one scenario came to.
#[derive(Debug)]
pub struct Outcome {
    scenario: &'static str,
    saturated_per_s: f64,
    offered_per_s: f64,
    achieved_per_s: f64,
    seconds: f64,
    /// By kind.
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
    let counts = Counts { servers: request.tasks, strangers: 0, claims, transports };
    let (world, flow, inboxes) = World::with_owners(counts, request.seed, CAPACITY);
    let world = Arc::new(world);
    let owners = Owners::of(inboxes, &flow, threads_beside(request.threads))?;
    let layout = Layout { shards: request.shards, servers: request.tasks, transports };
    let Request { threads, duration, offered_per_s, seed, .. } = *request;
    let job = Job { owners: &owners, threads, duration, offered_per_s, seed };
    let mut tails = Vec::new();
    let mut on = |name: &str, shards, subject: Box<dyn Runner>| -> Result<()> {
        subject.fill(&world);
        for outcome in subject.tails(&world, &job)? {
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
/// If a thread panicked, nothing was done, or an operation did not do what it should.
pub fn run<S: Subject>(subject: &Arc<S>, world: &Arc<World>, job: &Job<'_>) -> Result<Vec<Outcome>> {
    let awake = job.owners.awake();
    let mixed_saturated = saturated(subject, world, job, Mix::Mixed)?;
    let mixed = offer(subject, world, job, ("mixed", Mix::Mixed), mixed_saturated)?;
    // Nobody sends to them from here on, and churn needs the processor.
    drop(awake);
    let lookups_saturated = saturated(subject, world, job, Mix::Lookups)?;
    let alone = offer(subject, world, job, ("lookups-alone", Mix::Lookups), lookups_saturated)?;
    let over = AtomicBool::new(false);
    let under_churn = thread::scope(|scope| {
        let churn = scope.spawn(|| churn(&subject.session(), world, &over));
        let outcome = offer(subject, world, job, ("lookups-under-churn", Mix::Lookups), lookups_saturated);
        over.store(true, Ordering::Relaxed);
        churn.join().ok().context("the churn panicked")?.check().context("churn")?;
        outcome
    })?;
    Ok(vec![mixed, alone, under_churn])
}

/// One beginning for all threads, when all are ready.
struct Start {
    ready: Barrier,
    clock: OnceLock<Since>,
}

impl Start {
    fn of(threads: usize) -> Self {
        Self { ready: Barrier::new(threads), clock: OnceLock::new() }
    }

    /// Returns when all threads are here and the clock has begun.
    fn clock(&self) -> Since {
        self.ready.wait();
        let clock = *self.clock.get_or_init(|| Since(Instant::now() + HEAD_START));
        while clock.now() == 0 {
            std::hint::spin_loop();
        }
        clock
    }
}

/// How many operations all threads do in a second when none waits for its time.
fn saturated<S: Subject>(subject: &Arc<S>, world: &Arc<World>, job: &Job<'_>, mix: Mix) -> Result<f64> {
    let duration = (job.duration / 4).as_nanos() as u64;
    let start = Start::of(job.threads);
    let done = on_threads(job.threads, |thread| {
        let mut work = Work::new(subject.session(), world, mix, thread, job.seed);
        let mut latencies = vec![Latencies::default(); KINDS.len()];
        let (done, ended) = closed_loop(&start.clock(), duration, &mut work, &mut latencies);
        (done, ended, work.failures().clone())
    })?;
    world.drain_all();
    done.iter().try_for_each(|(_, _, failures)| failures.check()).context("saturated")?;
    let ended = done.iter().map(|&(_, ended, _)| ended).max().context("there must be a thread")?;
    let done: usize = done.iter().map(|&(done, ..)| done).sum();
    Ok(done as f64 * 1e9 / ended.max(1) as f64)
}

/// Offers half of the saturated rate, or what was asked for.
fn offer<S: Subject>(
    subject: &Arc<S>,
    world: &Arc<World>,
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
        let mut work = Work::new(subject.session(), world, mix, thread, job.seed.wrapping_add(1));
        let mut latencies = vec![Latencies::default(); KINDS.len()];
        let ended = open_loop::open_loop(&start.clock(), &due[thread], &mut work, &mut latencies);
        (ended, latencies, work.failures().clone())
    })?;
    world.drain_all();
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

/// Registers, dies and sweeps until it is over, and says who could not leave because nobody let them in.
fn churn<Se: Session>(session: &Se, world: &World, over: &AtomicBool) -> Failures {
    let mut failures = Failures::default();
    let (dead, inbox) = mailbox::<ToServer<Message>>(1);
    drop(inbox);
    let ids = &world.claims[world.claims.len() - 2 * CHURNED..];
    let (leaving, dying) = ids.split_at(CHURNED);
    for n in 0.. {
        if over.load(Ordering::Relaxed) {
            break;
        }
        match session.register(&leaving[n % CHURNED], world.mailbox(n)) {
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
    /// A line for each operation there was, and one for all of them.
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
