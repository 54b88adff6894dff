//! Runs one workload on one subject, on threads or on many tasks, and times a sample of the operations.
//!
//! All workers run until the run is over. Operations count from when all workers have started until the run ends.

use std::cell::RefCell;
use std::fmt::Display;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use hdrhistogram::Histogram;
use thread_local::ThreadLocal;

use registry_router::RegisterErrorKind;

use crate::failures::Failures;
use crate::fixture::{Counts, Fixture};
use crate::spread::zipf;
use crate::subject::{Session, Subject};
use crate::workload::{Claims, Concurrency, Keys, Workload};

/// The number of operations between two yields of a task.
pub const TASK_BURST: u32 = 4;

/// The number of operations between two checks of a thread whether the run is over.
const THREAD_BURST: u32 = 64;

/// The longest wait for the first operation of a run.
const STARTUP_LIMIT: Duration = Duration::from_secs(10);

/// A workload with its threads and duration.
#[derive(Clone, Debug)]
pub struct Job {
    /// The workload, as changed by options.
    pub workload: Workload,
    /// The number of threads, which are those of the runtime if the workers are tasks.
    pub threads: usize,
    /// The duration.
    pub duration: Duration,
}

/// The outcome of a run.
#[derive(Debug)]
pub struct Slice {
    /// The number of operations.
    pub operations: u64,
    /// The time that they took.
    pub elapsed: Duration,
    /// Latencies of the timed operations in nanoseconds, to three digits.
    pub latencies: Histogram<u64>,
}

impl Job {
    /// Returns the number of workers.
    #[must_use]
    pub fn workers(&self) -> usize {
        match self.workload.concurrency {
            Concurrency::Threads => self.threads,
            Concurrency::Tasks(tasks) => tasks,
        }
    }

    /// Returns the numbers of ids that the run needs.
    #[must_use]
    pub fn counts(&self) -> Counts {
        let Workload { mix, entries, transports, claims, .. } = self.workload;
        Counts {
            servers: entries,
            absent_ids: if mix.miss > 0 { entries } else { 0 },
            claims: match (mix.register, claims) {
                (0, _) => 0,
                (_, Claims::Own) => 2 * self.workers(),
                (_, Claims::Shared(n)) => n,
            },
            transports,
        }
    }
}

/// Runs a workload.
///
/// # Errors
///
/// If the runtime or a thread cannot be started, no operation was done, or one failed.
pub fn run<S: Subject>(subject: &Arc<S>, fixture: &Arc<Fixture>, job: &Job) -> Result<Slice> {
    let run = Arc::new(Run::new(Arc::clone(subject), Arc::clone(fixture), job));
    let (operations, elapsed) = match job.workload.concurrency {
        Concurrency::Threads => on_threads(&run, job)?,
        Concurrency::Tasks(tasks) => on_tasks(&run, job, tasks)?,
    };
    ensure!(operations > 0, "no operation was done in {elapsed:?}");
    let run = Arc::into_inner(run).context("a worker is still running")?;
    let (mut latencies, mut failures) = (new_histogram(), Failures::default());
    for local in run.locals {
        failures.add(local.failures.into_inner());
        latencies.add(local.latencies.into_inner()).context("histograms of one kind can be added")?;
    }
    failures.check().with_context(|| format!("workload {}", job.workload.name))?;
    Ok(Slice { operations, elapsed, latencies })
}

fn on_threads<S: Subject>(run: &Arc<Run<S>>, job: &Job) -> Result<(u64, Duration)> {
    let workers: Vec<_> = (0..job.threads)
        .map(|n| {
            let run = Arc::clone(run);
            thread::Builder::new().spawn(move || {
                let mut worker = Worker::new(&run, n);
                run.live.fetch_add(1, Ordering::Relaxed);
                while !run.over.load(Ordering::Relaxed) {
                    worker.burst(&run, THREAD_BURST);
                }
                worker.leave(&run);
            })
        })
        .collect::<Result<_, _>>()?;
    let measured = run.measure(job.threads, job.duration);
    for worker in workers {
        worker.join().ok().context("a worker panicked")?;
    }
    Ok(measured)
}

fn on_tasks<S: Subject>(run: &Arc<Run<S>>, job: &Job, tasks: usize) -> Result<(u64, Duration)> {
    // Tokio's workers poll the global queue rarely while they have local tasks; with tasks that never wait, most would
    // hardly ever run. So the global queue goes first.
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(job.threads).global_queue_interval(1).build()?;
    let tasks_left = Arc::new(AtomicUsize::new(tasks));
    for n in 0..tasks {
        let (run, left) = (Arc::clone(run), Arc::clone(&tasks_left));
        runtime.spawn(async move {
            let mut worker = Worker::new(&run, n);
            run.live.fetch_add(1, Ordering::Relaxed);
            while !run.over.load(Ordering::Relaxed) {
                worker.burst(&run, TASK_BURST);
                tokio::task::yield_now().await;
            }
            worker.leave(&run);
            left.fetch_sub(1, Ordering::Release);
        });
    }
    let measured = run.measure(tasks, job.duration);
    while tasks_left.load(Ordering::Acquire) > 0 {
        thread::sleep(Duration::from_micros(200));
    }
    // Waits for the threads of the runtime, so that all that the tasks held is dropped.
    drop(runtime);
    Ok(measured)
}

/// The state shared by all workers.
struct Run<S: Subject> {
    subject: Arc<S>,
    fixture: Arc<Fixture>,
    workload: Workload,
    /// The cumulative shares in percent.
    thresholds: [u8; 5],
    /// The order of servers, unless it is uniform.
    drawn: Vec<u32>,
    live: AtomicUsize,
    timing: AtomicBool,
    over: AtomicBool,
    locals: ThreadLocal<Local<S::Session>>,
    counts: Mutex<Vec<Arc<AtomicU64>>>,
}

/// The state shared by the workers of one thread.
struct Local<Se> {
    session: Se,
    done: Arc<AtomicU64>,
    latencies: RefCell<Histogram<u64>>,
    failures: RefCell<Failures>,
}

impl<S: Subject> Run<S> {
    fn new(subject: Arc<S>, fixture: Arc<Fixture>, job: &Job) -> Self {
        let mut upto = 0;
        let thresholds = job.workload.mix.shares().map(|share| {
            upto += share;
            upto
        });
        let servers = fixture.servers.len();
        let drawn = match job.workload.keys {
            Keys::Zipf(exponent) => zipf(servers, exponent, 1 << 16, job.workload.seed),
            Keys::Uniform | Keys::OneHot => Vec::new(),
        };
        Self {
            subject,
            fixture,
            workload: job.workload,
            thresholds,
            drawn,
            live: AtomicUsize::new(0),
            timing: AtomicBool::new(false),
            over: AtomicBool::new(false),
            locals: ThreadLocal::new(),
            counts: Mutex::default(),
        }
    }

    /// Waits until all workers have started, counts for the duration, and stops them.
    fn measure(&self, workers: usize, duration: Duration) -> (u64, Duration) {
        while self.live.load(Ordering::Relaxed) < workers {
            thread::sleep(Duration::from_micros(200));
        }
        self.timing.store(true, Ordering::Relaxed);
        let (before, began) = (self.done(), Instant::now());
        thread::sleep(duration);
        // On a busy machine the workers may not have run yet.
        while self.done() == before && began.elapsed() < STARTUP_LIMIT {
            thread::sleep(Duration::from_micros(200));
        }
        let (after, elapsed) = (self.done(), began.elapsed());
        self.over.store(true, Ordering::Relaxed);
        (after - before, elapsed)
    }

    fn done(&self) -> u64 {
        let counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        counts.iter().map(|count| count.load(Ordering::Relaxed)).sum()
    }

    fn local(&self) -> &Local<S::Session> {
        self.locals.get_or(|| {
            let done = Arc::new(AtomicU64::new(0));
            self.counts.lock().unwrap_or_else(PoisonError::into_inner).push(Arc::clone(&done));
            Local {
                session: self.subject.session(),
                done,
                latencies: RefCell::new(new_histogram()),
                failures: RefCell::default(),
            }
        })
    }
}

impl<Se> Local<Se> {
    /// Records a failed operation with the number of its id.
    #[cold]
    fn failed(&self, number: usize, reason: impl Display) {
        self.failures.borrow_mut().note(number, reason);
    }

    /// Runs an operation, and times it if `timed`.
    #[inline]
    fn time<R>(&self, timed: bool, operation: impl FnOnce(&Se) -> R) -> R {
        if !timed {
            return operation(&self.session);
        }
        let began = Instant::now();
        let outcome = operation(&self.session);
        let took = began.elapsed();
        self.latencies.borrow_mut().saturating_record(took.as_nanos() as u64);
        outcome
    }
}

/// Three digits, from a nanosecond to a minute.
fn new_histogram() -> Histogram<u64> {
    Histogram::new_with_bounds(1, 60_000_000_000, 3).expect("the bounds are in order and three digits are possible")
}

/// One thread or one task.
struct Worker<S: Subject> {
    number: usize,
    rng: fastrand::Rng,
    /// The position in `drawn`.
    place: usize,
    /// Its registration: the index of the id among the claims, and the lease.
    held: Option<(usize, <S::Session as Session>::Lease)>,
    flip: bool,
}

impl<S: Subject> Worker<S> {
    fn new(run: &Run<S>, number: usize) -> Self {
        let mut rng = fastrand::Rng::with_seed(run.workload.seed ^ (number as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15));
        let place = rng.usize(..1 << 16);
        Self { number, rng, place, held: None, flip: false }
    }

    fn burst(&mut self, run: &Run<S>, operations: u32) {
        let local = run.local();
        let timing = run.timing.load(Ordering::Relaxed);
        let done = local.done.load(Ordering::Relaxed);
        for n in 0..u64::from(operations) {
            self.step(run, local, timing && (done + n).is_multiple_of(u64::from(run.workload.sample_every)));
        }
        // Only this thread writes it.
        local.done.store(done + u64::from(operations), Ordering::Relaxed);
    }

    fn step(&mut self, run: &Run<S>, local: &Local<S::Session>, timed: bool) {
        let fixture = &*run.fixture;
        let draw = self.rng.u8(..100);
        match run.thresholds.iter().position(|&upto| draw < upto) {
            Some(0) => {
                let n = self.server(run);
                // A copy, as a program would own the id.
                let (id, mailbox) = (fixture.servers[n].clone(), fixture.mailbox(n));
                let found = std::hint::black_box(local.time(timed, |session| session.lookup(&id, mailbox)));
                if found.is_none() {
                    local.failed(n, "it was not found");
                }
            }
            Some(1) => {
                let n = self.rng.usize(..fixture.absent_ids.len());
                let id = fixture.absent_ids[n].clone();
                let found = std::hint::black_box(local.time(timed, |session| session.lookup(&id, fixture.mailbox(0))));
                if found.is_some() {
                    local.failed(n, "it was found");
                }
            }
            Some(2) => {
                let n = self.server(run);
                let id = fixture.servers[n].clone();
                let mut routed = local.time(timed, |session| session.route(&id, &fixture.sender, n as u64));
                if routed.is_err_and(|error| error.is_full()) {
                    // Draining counts as time of the run, not of the operation.
                    fixture.drain(n);
                    routed = local.session.route(&id, &fixture.sender, n as u64);
                }
                // Other workers may have filled it again.
                if let Err(reason) = routed
                    && !reason.is_full()
                {
                    local.failed(n, reason);
                }
            }
            Some(3) => self.register(run, local, timed),
            _ => {
                let n = self.rng.usize(..fixture.transports.len());
                let (transport, server) = (fixture.transports[n].clone(), fixture.servers[self.server(run)].clone());
                if let Err(reason) = local.time(timed, |session| session.bind(&transport, &server)) {
                    local.failed(n, reason);
                }
            }
        }
    }

    fn server(&mut self, run: &Run<S>) -> usize {
        match run.workload.keys {
            Keys::Uniform => self.rng.usize(..run.fixture.servers.len()),
            Keys::OneHot => 0,
            Keys::Zipf(_) => {
                self.place = (self.place + 1) % run.drawn.len();
                run.drawn[self.place] as usize
            }
        }
    }

    fn register(&mut self, run: &Run<S>, local: &Local<S::Session>, timed: bool) {
        let claims = &run.fixture.claims;
        self.flip = !self.flip;
        let next = match run.workload.claims {
            Claims::Own => 2 * self.number + usize::from(self.flip),
            Claims::Shared(n) => self.rng.usize(..n),
        };
        let previous = self.held.take();
        let lease = local.time(timed, |session| {
            if let Some((previous, lease)) = previous {
                session.release(&claims[previous], lease);
            }
            session.register(&claims[next], run.fixture.mailbox(next))
        });
        match lease {
            Ok(lease) => self.held = Some((next, lease)),
            // Another worker holds it, as intended with shared ids.
            Err(RegisterErrorKind::Taken { .. }) if matches!(run.workload.claims, Claims::Shared(_)) => {}
            Err(reason) => local.failed(next, reason),
        }
    }

    /// Ends its registration.
    fn leave(&mut self, run: &Run<S>) {
        if let Some((n, lease)) = self.held.take() {
            run.local().session.release(&run.fixture.claims[n], lease);
        }
    }
}
