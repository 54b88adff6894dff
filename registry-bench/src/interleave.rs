//! Runs loops in turns, in short slices, so that changes of the machine's speed affect all of them alike.
//!
//! The order is forwards in one round and backwards in the next. Each slice begins with a quarter as many untimed
//! operations, which bring back into the caches what the slices of the others have displaced; without them a good part
//! of a short slice on a large map would measure its neighbour. The first round does not count.

use std::sync::Barrier;
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result};

use crate::choose::Runner;
use crate::failures::Failures;
use crate::fixture::Fixture;
use crate::timed_loop::{Operation, TimedLoop};

/// The greatest number of operations in a slice.
const MAX_OPERATIONS: usize = 1 << 18;

/// The untimed operations at the beginning of a slice are this fraction of it.
const WARM_UP: usize = 4;

/// One side of a comparison.
pub struct Side<'a> {
    /// Makes the loop of the n-th thread, on that thread, one thread after the other.
    pub make: Box<dyn Fn(usize) -> Box<dyn TimedLoop + 'a> + Sync + 'a>,
    /// The number of threads.
    pub threads: usize,
    /// The number of messages that mailboxes have room for; `None` if the operation sends none.
    pub room: Option<usize>,
}

impl<'a> Side<'a> {
    /// Runs an operation on a runner.
    #[must_use]
    pub fn new(runner: &'a dyn Runner, operation: Operation, threads: usize, fixture: &'a Fixture) -> Self {
        let make = Box::new(move |thread| runner.timed_loop(operation, fixture, thread));
        Self { make, threads, room: operation.sends().then(|| fixture.room()) }
    }
}

impl std::fmt::Debug for Side<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Side").field("threads", &self.threads).field("room", &self.room).finish_non_exhaustive()
    }
}

/// How much is run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Extent {
    /// The number of keys; threads begin at places evenly spread over them.
    pub keys: usize,
    /// The number of rounds that count.
    pub rounds: usize,
    /// The approximate time of a slice.
    pub slice: Duration,
}

/// What was measured.
#[derive(Debug)]
pub struct Times {
    /// For each round, nanoseconds per operation and thread on each side: the mean over its threads.
    pub rounds: Vec<Vec<f64>>,
    /// The number of operations of a slice on each thread.
    pub operations: usize,
}

/// Times all sides in turns. `drain` empties the mailboxes, and is called after each slice that sends.
///
/// # Errors
///
/// If an operation failed or a thread panicked.
pub fn interleave(sides: &[Side<'_>], extent: Extent, drain: &(dyn Fn() + Sync)) -> Result<Times> {
    let Extent { keys, rounds, slice } = extent;
    let threads = sides.iter().map(|side| side.threads).max().context("there must be sides")?;
    let operations = calibrate(sides, slice, drain)?;
    let warm_up = operations.div_ceil(WARM_UP);
    let barrier = Barrier::new(threads);
    let work = |thread: usize| {
        let mut loops = Vec::new();
        // Making a loop may send messages and drain the mailboxes.
        for next in 0..threads {
            if next == thread {
                loops.extend(sides.iter().map(|side| (side.make)(thread)));
            }
            barrier.wait();
        }
        let offset = thread * keys / threads;
        let (mut nanoseconds, mut failures) = (Vec::new(), Failures::default());
        for round in 0..=rounds {
            let mut times = vec![0.0; sides.len()];
            for turn in 0..sides.len() {
                let n = if round % 2 == 0 { turn } else { sides.len() - 1 - turn };
                let takes_part = thread < sides[n].threads;
                let start = offset + round * (warm_up + operations);
                if takes_part {
                    failures.add(loops[n].run(start, warm_up).1);
                }
                barrier.wait();
                if takes_part {
                    let (took, failed) = loops[n].run(start + warm_up, operations);
                    times[n] = took.as_nanos() as f64 / operations as f64;
                    failures.add(failed);
                }
                barrier.wait();
                if thread == 0 && sides[n].room.is_some() {
                    drain();
                }
                // The next side warms up only when the mailboxes are empty.
                barrier.wait();
            }
            if round > 0 {
                nanoseconds.push(times);
            }
        }
        (nanoseconds, failures)
    };
    let outcomes = thread::scope(|scope| {
        let work = &work;
        let workers: Vec<_> = (0..threads).map(|n| scope.spawn(move || work(n))).collect();
        workers.into_iter().map(|worker| worker.join().ok().context("a worker panicked")).collect::<Result<Vec<_>>>()
    })?;
    let mut failures = Failures::default();
    outcomes.iter().for_each(|(_, of_thread)| failures.add(of_thread.clone()));
    failures.check()?;
    let mean = |round: usize, n: usize| {
        outcomes.iter().map(|(times, _)| times[round][n]).sum::<f64>() / sides[n].threads as f64
    };
    let rounds = (0..rounds).map(|round| (0..sides.len()).map(|n| mean(round, n)).collect()).collect();
    Ok(Times { rounds, operations })
}

/// Returns how many operations fill a slice on the slowest side.
fn calibrate(sides: &[Side<'_>], slice: Duration, drain: &(dyn Fn() + Sync)) -> Result<usize> {
    // The messages of a slice and of its warm-up must have room in the mailboxes.
    let max = |side: &Side<'_>| match side.room {
        Some(room) => (room / side.threads * WARM_UP / (WARM_UP + 1)).clamp(1, MAX_OPERATIONS),
        None => MAX_OPERATIONS,
    };
    let max = sides.iter().map(max).min().unwrap_or(MAX_OPERATIONS);
    let probe = max.min(1_000);
    let mut slowest = Duration::ZERO;
    for side in sides {
        let mut timed = (side.make)(0);
        for start in [0, probe] {
            let (took, failures) = timed.run(start, probe);
            failures.check()?;
            if side.room.is_some() {
                drain();
            }
            if start > 0 {
                slowest = slowest.max(took);
            }
        }
    }
    let each = slowest.as_secs_f64() / probe as f64;
    Ok(((slice.as_secs_f64() / each.max(1e-9)) as usize).clamp(16.min(max), max))
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;
    use crate::choose;
    use crate::fixture::Counts;
    use crate::registry::Layout;

    fn extent(keys: usize, rounds: usize, microseconds: u64) -> Extent {
        Extent { keys, rounds, slice: Duration::from_micros(microseconds) }
    }

    #[test]
    fn sides_with_fewer_threads_take_their_turns() {
        let fixture = Fixture::new(Counts { servers: 100, absent_ids: 0, claims: 0, transports: 0 }, 1);
        let bare = choose::bare("papaya", Layout { shards: 1, servers: 100, transports: 0 }).unwrap();
        bare.fill(&fixture);
        let side = |threads| Side::new(&*bare, Operation::Hot, threads, &fixture);
        let times = interleave(&[side(1), side(2)], extent(100, 3, 20), &|| ()).unwrap();
        assert_eq!(times.rounds.len(), 3);
        assert!(times.rounds.iter().flatten().all(|&ns| ns > 0.0), "{times:?}");
    }

    #[test]
    fn a_failure_is_reported_with_its_reason() {
        let fixture = Fixture::new(Counts { servers: 10, absent_ids: 0, claims: 0, transports: 0 }, 1);
        let empty = choose::bare("papaya", Layout { shards: 1, servers: 10, transports: 0 }).unwrap();
        let side = Side::new(&*empty, Operation::Lookup, 1, &fixture);
        let error = interleave(&[side], extent(10, 1, 20), &|| ()).unwrap_err().to_string();
        assert!(error.contains("did not do what they should") && error.contains("it was not found"), "{error}");
    }

    #[test]
    fn turns_alternate_and_the_warm_up_is_not_timed() {
        let calls: Mutex<Vec<usize>> = Mutex::new(Vec::new());
        let all = AtomicUsize::new(0);
        let side = |name| {
            let (calls, all) = (&calls, &all);
            let record = move |_: usize, operations: usize| {
                calls.lock().unwrap().push(name);
                all.fetch_add(operations, Ordering::Relaxed);
                (Duration::from_nanos(10 * operations as u64), Failures::default())
            };
            Side { make: Box::new(move |_| Box::new(record)), threads: 1, room: None }
        };
        let times = interleave(&[side(1), side(2)], extent(10, 1, 1), &|| ()).unwrap();
        // Two calls of each for the calibration, then two in each slice.
        assert_eq!(*calls.lock().unwrap(), [1, 1, 2, 2, 1, 1, 2, 2, 2, 2, 1, 1]);
        assert_eq!((times.operations, times.rounds), (100, vec![vec![10.0, 10.0]]));
        assert_eq!(all.load(Ordering::Relaxed), 4 * 1_000 + 4 * (100 + 25));
    }

    #[test]
    fn mailboxes_are_drained_before_they_are_full() {
        let (waiting, most) = (AtomicUsize::new(0), AtomicUsize::new(0));
        let send = |_: usize, operations: usize| {
            most.fetch_max(waiting.fetch_add(operations, Ordering::Relaxed) + operations, Ordering::Relaxed);
            (Duration::from_nanos(operations as u64), Failures::default())
        };
        let side = Side { make: Box::new(|_| Box::new(send)), threads: 2, room: Some(1_000) };
        let times = interleave(&[side], extent(10, 3, 1_000), &|| waiting.store(0, Ordering::Relaxed)).unwrap();
        assert_eq!(times.operations, 400);
        assert!((801..=1_000).contains(&most.into_inner()));
    }
}
