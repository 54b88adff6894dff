//! Threads that stay, and do one program after another to one registry after another, all at the same time.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use std::{hint, thread};

use registry_core::Backend;
use registry_router::Registry;

use super::faltering::{Faltering, FalteringProbe};
use super::hand::Hand;
use super::judge::judge;
use super::program::Program;

/// How many threads do things at once.
pub(super) const THREADS: usize = 3;

/// Ends the wait for a call that never returns. Generous: it is there for deadlocks, not for slow machines.
const TIME_LIMIT: Duration = Duration::from_secs(60);

type Faltered<B> = Registry<u64, B, Faltering, FalteringProbe>;

/// One history that is to be made, or has been.
pub(super) struct Arena<B: Backend> {
    pub(super) seed: u64,
    program: Program,
    registry: Faltered<B>,
    clock: AtomicU64,
    gate: Gate,
    corners: [Corner<B>; THREADS],
}

/// One thread's part of an arena.
struct Corner<B: Backend> {
    hand: Mutex<Option<Hand<B, Faltering, FalteringProbe>>>,
    /// Which call panicked, and with what.
    panicked: Mutex<Option<String>>,
    /// How many things it has been through.
    through: AtomicUsize,
}

/// Where threads wait for one another: at first awake, so that they start together, and then asleep, so that on a busy
/// machine they leave the processor to the one that is waited for.
#[derive(Default)]
struct Gate {
    /// How many threads have come.
    come: AtomicUsize,
    asleep: Mutex<()>,
    wake: Condvar,
}

/// How often a thread looks before it goes to sleep.
const PATIENCE: usize = 2_000;

/// Several histories, done one after the other.
pub(super) type Batch<B> = Arc<Vec<Arena<B>>>;

/// The threads.
pub(super) struct Crew<B: Backend> {
    to_do: Vec<Sender<Batch<B>>>,
    done: Receiver<()>,
}

impl<B: Backend> Arena<B> {
    /// A fresh registry for the program of that seed, with what is done before the start.
    pub(super) fn new(seed: u64) -> Self {
        let program = Program::of(seed, THREADS);
        let builder = Registry::<u64, B, Faltering>::builder().shards(program.shards).probe(|_| FalteringProbe);
        let registry = builder.build().expect("the number of shards is valid");
        let clock = AtomicU64::new(0);
        let mut hands: [_; THREADS] = std::array::from_fn(|thread| Hand::new(registry.clone(), thread as u8));
        for (thread, todo) in &program.setup {
            hands[*thread].perform(*todo, &clock);
        }
        let corners = hands.map(|hand| Corner {
            hand: Mutex::new(Some(hand)),
            panicked: Mutex::default(),
            through: AtomicUsize::new(0),
        });
        Self { seed, program, registry, clock, gate: Gate::default(), corners }
    }

    /// Judges what was done; returns the number of calls that were checked.
    pub(super) fn judge(self) -> Result<usize, String> {
        let Self { registry, clock, corners, .. } = self;
        let mut hands = Vec::new();
        for corner in corners {
            if let Some(panicked) = corner.panicked.into_inner().unwrap_or_else(PoisonError::into_inner) {
                return Err(panicked);
            }
            hands.extend(corner.hand.into_inner().unwrap_or_else(PoisonError::into_inner));
        }
        catch_unwind(AssertUnwindSafe(|| judge(&registry, hands, &clock)))
            .unwrap_or_else(|panic| Err(format!("panicked when all was quiet: {}", words(&*panic))))
    }

    /// Does one thread's part, when all others are there.
    fn take_part(&self, thread: usize) {
        let corner = &self.corners[thread];
        let mut hand = lock(&corner.hand).take();
        fastrand::seed(self.seed.wrapping_add(thread as u64));
        self.gate.pass();
        let work = AssertUnwindSafe(|| {
            for todo in &self.program.threads[thread] {
                if let Some(hand) = &mut hand {
                    hand.perform(*todo, &self.clock);
                }
                corner.through.fetch_add(1, Ordering::Relaxed);
            }
        });
        if let Err(panic) = catch_unwind(work) {
            let at = self.program.threads[thread].get(corner.through.swap(usize::MAX, Ordering::Relaxed));
            *lock(&corner.panicked) =
                at.map(|todo| format!("thread {thread} panicked in {todo:?}: {}", words(&*panic)));
        }
        *lock(&corner.hand) = hand;
    }

    /// Where all threads are in their parts.
    fn whereabouts(&self) -> String {
        let lines = self.corners.iter().zip(&self.program.threads).enumerate().map(|(thread, (corner, program))| {
            let through = corner.through.load(Ordering::Relaxed);
            format!("  thread {thread} has come to {:?} in {program:?}\n", program.get(through))
        });
        lines.collect()
    }
}

impl Gate {
    /// Waits until all threads are here, and goes on at the same time as they.
    fn pass(&self) {
        if self.come.fetch_add(1, Ordering::SeqCst) + 1 == THREADS {
            // Whoever is about to sleep holds the mutex, or sees that all have come.
            drop(lock(&self.asleep));
            self.wake.notify_all();
            return;
        }
        for _ in 0..PATIENCE {
            if self.is_active() {
                return;
            }
            hint::spin_loop();
        }
        let mut asleep = lock(&self.asleep);
        while !self.is_active() {
            asleep = self.wake.wait(asleep).unwrap_or_else(PoisonError::into_inner);
        }
    }

    fn is_active(&self) -> bool {
        self.come.load(Ordering::SeqCst) == THREADS
    }
}

impl<B: Backend> Crew<B> {
    /// Threads that wait for work, and end when the crew is gone.
    pub(super) fn new() -> Self {
        let (report, done) = channel();
        let to_do = (0..THREADS)
            .map(|thread| {
                let (to_do, batches) = channel::<Batch<B>>();
                let report = report.clone();
                // Detached: one that hangs must not keep anybody from saying so.
                thread::spawn(move || {
                    for batch in batches {
                        for arena in batch.iter() {
                            arena.take_part(thread);
                        }
                        drop(batch);
                        if report.send(()).is_err() {
                            return;
                        }
                    }
                });
                to_do
            })
            .collect();
        Self { to_do, done }
    }

    /// Sets the threads to work.
    pub(super) fn start(&self, batch: &Batch<B>) {
        for to_do in &self.to_do {
            // A thread that is gone is missed in `wait`.
            let _ = to_do.send(Arc::clone(batch));
        }
    }

    /// Waits until a batch is done, which gives it back.
    ///
    /// # Errors
    ///
    /// The seed of the history in which a thread hangs, and what all threads were doing.
    pub(super) fn wait(&self, batch: Batch<B>) -> Result<Vec<Arena<B>>, (u64, String)> {
        for _ in 0..THREADS {
            let why = match self.done.recv_timeout(TIME_LIMIT) {
                Ok(()) => continue,
                Err(RecvTimeoutError::Timeout) => "a call has not returned",
                Err(RecvTimeoutError::Disconnected) => "a thread is gone",
            };
            let stuck = |arena: &&Arena<B>| {
                let parts = arena.corners.iter().zip(&arena.program.threads);
                parts.into_iter().any(|(corner, program)| corner.through.load(Ordering::Relaxed) < program.len())
            };
            let arena = batch.iter().find(stuck).or(batch.last());
            let whereabouts = arena.map(Arena::whereabouts).unwrap_or_default();
            return Err((arena.map_or(0, |arena| arena.seed), format!("{why}:\n{whereabouts}")));
        }
        Arc::into_inner(batch).ok_or_else(|| (0, "a thread still holds what it has done".to_owned()))
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What a panic said.
fn words(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().map(String::as_str).or_else(|| panic.downcast_ref::<&str>().copied());
    text.unwrap_or("without a word").to_owned()
}
