//! A pool of threads that run trial after trial, all of them concurrently on the same registry.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use std::{hint, thread};

use registry_core::Backend;
use registry_router::Registry;

use super::checker::check_clients;
use super::client::Client;
use super::delay_injecting::{DelayInjectingMailboxes, DelayInjectingProbe};
use super::program::Program;
use crate::panic_message::panic_message;

/// The number of threads.
pub(super) const THREADS: usize = 3;

/// The time after which a call counts as hanging. It is generous, because it detects deadlocks and not slow machines.
const TIME_LIMIT: Duration = Duration::from_secs(60);

type TrialRegistry<B> = Registry<u64, B, DelayInjectingMailboxes, DelayInjectingProbe>;

/// One trial: a registry, the program run on it, and the clients with their records.
pub(super) struct Trial<B: Backend> {
    pub(super) seed: u64,
    program: Program,
    registry: TrialRegistry<B>,
    clock: AtomicU64,
    barrier: StartBarrier,
    workers: [Worker<B>; THREADS],
}

/// The state of one thread in a trial.
struct Worker<B: Backend> {
    client: Mutex<Option<Client<B, DelayInjectingMailboxes, DelayInjectingProbe>>>,
    /// The call that panicked, and the message of the panic.
    panicked: Mutex<Option<String>>,
    /// The number of completed operations.
    completed: AtomicUsize,
}

/// A barrier that spins first, so that threads start together, and then parks, so that on a busy machine they yield the
/// processor to the missing thread.
#[derive(Default)]
struct StartBarrier {
    /// The number of threads that have arrived.
    arrived: AtomicUsize,
    sleepers: Mutex<()>,
    wake: Condvar,
}

/// The number of spins before a thread parks.
const SPINS: usize = 2_000;

/// Trials that are run one after another.
pub(super) type Batch<B> = Arc<Vec<Trial<B>>>;

/// The pool.
pub(super) struct WorkerPool<B: Backend> {
    queues: Vec<Sender<Batch<B>>>,
    done: Receiver<()>,
}

impl<B: Backend> Trial<B> {
    /// Creates a registry for the program of a seed, and executes the program's setup.
    pub(super) fn new(seed: u64) -> Self {
        let program = Program::of(seed, THREADS);
        let builder = Registry::<u64, B, DelayInjectingMailboxes>::builder()
            .shards(program.shards)
            .probe(|_| DelayInjectingProbe);
        let registry = builder.build().expect("the number of shards is valid");
        let clock = AtomicU64::new(0);
        let mut clients: [_; THREADS] = std::array::from_fn(|thread| Client::new(registry.clone(), thread as u8));
        for (thread, op) in &program.setup {
            clients[*thread].perform(*op, &clock);
        }
        let workers = clients.map(|client| Worker {
            client: Mutex::new(Some(client)),
            panicked: Mutex::default(),
            completed: AtomicUsize::new(0),
        });
        Self { seed, program, registry, clock, barrier: StartBarrier::default(), workers }
    }

    /// Checks the recorded history; returns the number of checked calls.
    pub(super) fn check(self) -> Result<usize, String> {
        let Self { registry, clock, workers, .. } = self;
        let mut clients = Vec::new();
        for worker in workers {
            if let Some(panicked) = worker.panicked.into_inner().unwrap_or_else(PoisonError::into_inner) {
                return Err(panicked);
            }
            clients.extend(worker.client.into_inner().unwrap_or_else(PoisonError::into_inner));
        }
        catch_unwind(AssertUnwindSafe(|| check_clients(&registry, clients, &clock)))
            .unwrap_or_else(|panic| Err(format!("panicked in the final checks: {}", panic_message(&*panic))))
    }

    /// Runs the operations of one thread, once all threads have arrived.
    fn run_worker(&self, thread: usize) {
        let worker = &self.workers[thread];
        let mut client = lock(&worker.client).take();
        fastrand::seed(self.seed.wrapping_add(thread as u64));
        self.barrier.wait();
        let work = AssertUnwindSafe(|| {
            for op in &self.program.threads[thread] {
                if let Some(client) = &mut client {
                    client.perform(*op, &self.clock);
                }
                worker.completed.fetch_add(1, Ordering::Relaxed);
            }
        });
        if let Err(panic) = catch_unwind(work) {
            let at = self.program.threads[thread].get(worker.completed.swap(usize::MAX, Ordering::Relaxed));
            *lock(&worker.panicked) =
                at.map(|op| format!("thread {thread} panicked in {op:?}: {}", panic_message(&*panic)));
        }
        *lock(&worker.client) = client;
    }

    /// Describes how far each thread has come.
    fn positions(&self) -> String {
        let lines = self.workers.iter().zip(&self.program.threads).enumerate().map(|(thread, (worker, program))| {
            let completed = worker.completed.load(Ordering::Relaxed);
            format!("  thread {thread} is at {:?} of {program:?}\n", program.get(completed))
        });
        lines.collect()
    }
}

impl StartBarrier {
    /// Waits until all threads have arrived.
    fn wait(&self) {
        if self.arrived.fetch_add(1, Ordering::SeqCst) + 1 == THREADS {
            // A thread about to park holds the mutex or sees that all have arrived, so no wake-up is lost.
            drop(lock(&self.sleepers));
            self.wake.notify_all();
            return;
        }
        for _ in 0..SPINS {
            if self.is_open() {
                return;
            }
            hint::spin_loop();
        }
        let mut sleepers = lock(&self.sleepers);
        while !self.is_open() {
            sleepers = self.wake.wait(sleepers).unwrap_or_else(PoisonError::into_inner);
        }
    }

    fn is_open(&self) -> bool {
        self.arrived.load(Ordering::SeqCst) == THREADS
    }
}

impl<B: Backend> WorkerPool<B> {
    /// Spawns the threads. They end when the pool is dropped.
    pub(super) fn new() -> Self {
        let (report, done) = channel();
        let queues = (0..THREADS)
            .map(|thread| {
                let (queues, batches) = channel::<Batch<B>>();
                let report = report.clone();
                // Detached, so that a hanging thread does not prevent the report.
                thread::spawn(move || {
                    for batch in batches {
                        for trial in batch.iter() {
                            trial.run_worker(thread);
                        }
                        drop(batch);
                        if report.send(()).is_err() {
                            return;
                        }
                    }
                });
                queues
            })
            .collect();
        Self { queues, done }
    }

    /// Sends a batch to all threads.
    pub(super) fn start(&self, batch: &Batch<B>) {
        for queues in &self.queues {
            // A missing thread is detected in `wait`.
            let _ = queues.send(Arc::clone(batch));
        }
    }

    /// Waits until a batch is complete, and returns its trials.
    ///
    /// # Errors
    ///
    /// Returns the seed of the trial in which a thread hangs, and the positions of all threads.
    pub(super) fn wait(&self, batch: Batch<B>) -> Result<Vec<Trial<B>>, (u64, String)> {
        for _ in 0..THREADS {
            let why = match self.done.recv_timeout(TIME_LIMIT) {
                Ok(()) => continue,
                Err(RecvTimeoutError::Timeout) => "a call did not return",
                Err(RecvTimeoutError::Disconnected) => "a thread has exited",
            };
            let stuck = |trial: &&Trial<B>| {
                let parts = trial.workers.iter().zip(&trial.program.threads);
                parts.into_iter().any(|(worker, program)| worker.completed.load(Ordering::Relaxed) < program.len())
            };
            let trial = batch.iter().find(stuck).or(batch.last());
            let positions = trial.map(Trial::positions).unwrap_or_default();
            return Err((trial.map_or(0, |trial| trial.seed), format!("{why}:\n{positions}")));
        }
        Arc::into_inner(batch).ok_or_else(|| (0, "a thread still holds the batch".to_owned()))
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
