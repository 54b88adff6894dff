//! Threads that stay, and do one program after another to one registry after another, all at the same time.

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

/// How many threads do things at once.
pub(super) const THREADS: usize = 3;

/// Ends the wait for a call that never returns. Generous: it is there for deadlocks, not for slow machines.
const TIME_LIMIT: Duration = Duration::from_secs(60);

type TrialRegistry<B> = Registry<u64, B, DelayInjectingMailboxes, DelayInjectingProbe>;

/// One history that is to be made, or has been.
pub(super) struct Trial<B: Backend> {
    pub(super) seed: u64,
    program: Program,
    registry: TrialRegistry<B>,
    clock: AtomicU64,
    barrier: StartBarrier,
    workers: [Worker<B>; THREADS],
}

/// One thread's part of an arena.
struct Worker<B: Backend> {
    client: Mutex<Option<Client<B, DelayInjectingMailboxes, DelayInjectingProbe>>>,
    /// Which call panicked, and with what.
    panicked: Mutex<Option<String>>,
    /// How many things it has been through.
    completed: AtomicUsize,
}

/// Where threads wait for one another: at first awake, so that they start together, and then asleep, so that on a busy
/// machine they leave the processor to the one that is waited for.
#[derive(Default)]
struct StartBarrier {
    /// How many threads have come.
    arrived: AtomicUsize,
    sleepers: Mutex<()>,
    wake: Condvar,
}

/// How often a thread looks before it goes to sleep.
const PATIENCE: usize = 2_000;

/// Several histories, done one after the other.
pub(super) type Batch<B> = Arc<Vec<Trial<B>>>;

/// The threads.
pub(super) struct WorkerPool<B: Backend> {
    queues: Vec<Sender<Batch<B>>>,
    done: Receiver<()>,
}

impl<B: Backend> Trial<B> {
    /// A fresh registry for the program of that seed, with what is done before the start.
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

    /// Judges what was done; returns the number of calls that were checked.
    pub(super) fn check_clients(self) -> Result<usize, String> {
        let Self { registry, clock, workers, .. } = self;
        let mut clients = Vec::new();
        for worker in workers {
            if let Some(panicked) = worker.panicked.into_inner().unwrap_or_else(PoisonError::into_inner) {
                return Err(panicked);
            }
            clients.extend(worker.client.into_inner().unwrap_or_else(PoisonError::into_inner));
        }
        catch_unwind(AssertUnwindSafe(|| check_clients(&registry, clients, &clock)))
            .unwrap_or_else(|panic| Err(format!("panicked when all was quiet: {}", panic_message(&*panic))))
    }

    /// Does one thread's part, when all others are there.
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

    /// Where all threads are in their parts.
    fn positions(&self) -> String {
        let lines = self.workers.iter().zip(&self.program.threads).enumerate().map(|(thread, (worker, program))| {
            let completed = worker.completed.load(Ordering::Relaxed);
            format!("  thread {thread} has come to {:?} in {program:?}\n", program.get(completed))
        });
        lines.collect()
    }
}

impl StartBarrier {
    /// Waits until all threads are here, and goes on at the same time as they.
    fn wait(&self) {
        if self.arrived.fetch_add(1, Ordering::SeqCst) + 1 == THREADS {
            // Whoever is about to sleep holds the mutex, or sees that all have come.
            drop(lock(&self.sleepers));
            self.wake.notify_all();
            return;
        }
        for _ in 0..PATIENCE {
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
    /// Threads that wait for work, and end when the crew is gone.
    pub(super) fn new() -> Self {
        let (report, done) = channel();
        let queues = (0..THREADS)
            .map(|thread| {
                let (queues, batches) = channel::<Batch<B>>();
                let report = report.clone();
                // Detached: one that hangs must not keep anybody from saying so.
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

    /// Sets the threads to work.
    pub(super) fn start(&self, batch: &Batch<B>) {
        for queues in &self.queues {
            // A thread that is gone is missed in `wait`.
            let _ = queues.send(Arc::clone(batch));
        }
    }

    /// Waits until a batch is done, which gives it back.
    ///
    /// # Errors
    ///
    /// The seed of the history in which a thread hangs, and what all threads were doing.
    pub(super) fn wait(&self, batch: Batch<B>) -> Result<Vec<Trial<B>>, (u64, String)> {
        for _ in 0..THREADS {
            let why = match self.done.recv_timeout(TIME_LIMIT) {
                Ok(()) => continue,
                Err(RecvTimeoutError::Timeout) => "a call has not returned",
                Err(RecvTimeoutError::Disconnected) => "a thread is gone",
            };
            let stuck = |trial: &&Trial<B>| {
                let parts = trial.workers.iter().zip(&trial.program.threads);
                parts.into_iter().any(|(worker, program)| worker.completed.load(Ordering::Relaxed) < program.len())
            };
            let trial = batch.iter().find(stuck).or(batch.last());
            let positions = trial.map(Trial::positions).unwrap_or_default();
            return Err((trial.map_or(0, |trial| trial.seed), format!("{why}:\n{positions}")));
        }
        Arc::into_inner(batch).ok_or_else(|| (0, "a thread still holds what it has done".to_owned()))
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
