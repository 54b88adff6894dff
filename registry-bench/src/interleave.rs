//! Subjects in turns: short slices of an operation on one and on the other, so that what the machine does meanwhile
//! happens to all of them.
//!
//! The order goes forwards in one round and backwards in the next. At the beginning of each slice a quarter as many
//! operations are done untimed, to bring back into the caches what the slices of the others have put out; without that a
//! good part of a short slice on a large map would measure its neighbour. The first round does not count.

use std::sync::Barrier;
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result};

use crate::choose::Runner;
use crate::failures::Failures;
use crate::lap::Act;
use crate::world::World;

/// The most operations in a slice.
const MOST_OPERATIONS: usize = 1 << 18;

/// Untimed operations at the beginning of a slice are this part of it.
const WARMING: usize = 4;

/// What takes its turn.
#[derive(Clone, Copy)]
pub struct Side<'a> {
    /// On what.
    pub runner: &'a dyn Runner,
    /// Which operation.
    pub act: Act,
    /// With how many threads at once.
    pub threads: usize,
}

impl std::fmt::Debug for Side<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Side").field("act", &self.act).field("threads", &self.threads).finish_non_exhaustive()
    }
}

/// What came of it.
#[derive(Debug)]
pub struct Times {
    /// For each round, nanoseconds per operation and thread on each side.
    pub rounds: Vec<Vec<f64>>,
    /// How many operations a slice has on each thread.
    pub operations: usize,
}

/// Times all sides in turns. A round's time is the mean over the threads of a side.
///
/// # Errors
///
/// If some operation did not do what it should, or a thread panicked.
pub fn interleave(world: &World, sides: &[Side<'_>], rounds: usize, slice: Duration) -> Result<Times> {
    let threads = sides.iter().map(|side| side.threads).max().context("there must be sides")?;
    let operations = calibrate(world, sides, slice);
    let warming = operations.div_ceil(WARMING);
    let barrier = Barrier::new(threads);
    let work = |thread: usize| {
        let mut laps: Vec<_> = sides.iter().map(|side| side.runner.lap(side.act, world, thread)).collect();
        let offset = thread * world.order.len() / threads;
        let (mut nanoseconds, mut failures) = (Vec::new(), Failures::default());
        for round in 0..=rounds {
            let mut times = vec![0.0; sides.len()];
            for turn in 0..sides.len() {
                let n = if round % 2 == 0 { turn } else { sides.len() - 1 - turn };
                let takes_part = thread < sides[n].threads;
                let start = offset + round * (warming + operations);
                if takes_part {
                    failures.add(laps[n].run(start, warming).1);
                }
                barrier.wait();
                if takes_part {
                    let (took, failed) = laps[n].run(start + warming, operations);
                    times[n] = took.as_nanos() as f64 / operations as f64;
                    failures.add(failed);
                }
                barrier.wait();
                if thread == 0 && sides[n].act == Act::Route {
                    world.drain_all();
                }
                // Nobody warms up on what is still being emptied.
                barrier.wait();
            }
            if round > 0 {
                nanoseconds.push(times);
            }
        }
        (nanoseconds, failures)
    };
    let outcomes = thread::scope(|scope| {
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

/// How many operations fill a slice on the slowest side.
fn calibrate(world: &World, sides: &[Side<'_>], slice: Duration) -> usize {
    // What is put into mailboxes in a slice, and while warming up for it, must have room there.
    let room = |side: &Side<'_>| match side.act {
        Act::Route => (world.room() / side.threads * WARMING / (WARMING + 1)).min(MOST_OPERATIONS),
        _ => MOST_OPERATIONS,
    };
    let most = sides.iter().map(room).min().unwrap_or(MOST_OPERATIONS);
    let probe = most.min(1_000);
    let time_of = |side: &Side<'_>| {
        let mut lap = side.runner.lap(side.act, world, 0);
        lap.run(0, probe);
        world.drain_all();
        let (took, _) = lap.run(probe, probe);
        world.drain_all();
        took
    };
    let each = sides.iter().map(time_of).max().unwrap_or_default().as_secs_f64() / probe as f64;
    ((slice.as_secs_f64() / each.max(1e-9)) as usize).clamp(16.min(most), most)
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;
    use crate::choose;
    use crate::registry::Layout;
    use crate::world::Counts;

    #[test]
    fn sides_with_fewer_threads_take_their_turn_too() {
        let world = World::new(Counts { servers: 100, strangers: 0, claims: 0, transports: 0 }, 1);
        let bare = choose::bare("papaya", Layout { shards: 1, servers: 100, transports: 0 }).unwrap();
        bare.fill(&world);
        let side = |threads| Side { runner: &*bare, act: Act::Hot, threads };
        let times = interleave(&world, &[side(1), side(2)], 3, Duration::from_micros(20)).unwrap();
        assert_eq!(times.rounds.len(), 3);
        assert!(times.rounds.iter().flatten().all(|&ns| ns > 0.0), "{times:?}");
    }

    #[test]
    fn what_fails_is_told() {
        let world = World::new(Counts { servers: 10, strangers: 0, claims: 0, transports: 0 }, 1);
        let empty = choose::bare("papaya", Layout { shards: 1, servers: 10, transports: 0 }).unwrap();
        let side = Side { runner: &*empty, act: Act::Lookup, threads: 1 };
        let error = interleave(&world, &[side], 1, Duration::from_micros(20)).unwrap_err().to_string();
        assert!(error.contains("did not do what they should"), "{error}");
        assert!(error.contains("it was not found"), "the reason is told: {error}");
    }

    /// Something that notes who is called, in which order.
    struct Noting {
        name: usize,
        calls: &'static Mutex<Vec<usize>>,
        operations: &'static AtomicUsize,
    }

    impl crate::lap::Lap for Noting {
        fn run(&mut self, _: usize, operations: usize) -> (Duration, Failures) {
            self.calls.lock().unwrap().push(self.name);
            self.operations.fetch_add(operations, Ordering::Relaxed);
            (Duration::from_nanos(10 * operations as u64), Failures::default())
        }
    }

    impl Runner for (usize, &'static Mutex<Vec<usize>>, &'static AtomicUsize) {
        fn fill(&self, _: &World) {}

        fn bind_all(&self, _: &World) {}

        fn slice(&self, _: &std::sync::Arc<World>, _: &crate::driver::Job) -> Result<crate::driver::Slice> {
            anyhow::bail!("there is no workload here")
        }

        fn tails(&self, _: &std::sync::Arc<World>, _: &crate::tails::Job) -> Result<Vec<crate::tails::Outcome>> {
            anyhow::bail!("there is no load here")
        }

        fn skew(&self) -> Option<f64> {
            None
        }

        fn lap<'a>(&self, _: Act, _: &'a World, _: usize) -> Box<dyn crate::lap::Lap + 'a> {
            Box::new(Noting { name: self.0, calls: self.1, operations: self.2 })
        }
    }

    #[test]
    fn turns_alternate_and_warming_up_is_not_timed() {
        static CALLS: Mutex<Vec<usize>> = Mutex::new(Vec::new());
        static OPERATIONS: AtomicUsize = AtomicUsize::new(0);
        let world = World::new(Counts { servers: 10, strangers: 0, claims: 0, transports: 0 }, 1);
        let runners = [(1, &CALLS, &OPERATIONS), (2, &CALLS, &OPERATIONS)];
        let sides = runners.each_ref().map(|runner| Side { runner, act: Act::Lookup, threads: 1 });
        let times = interleave(&world, &sides, 1, Duration::from_micros(1)).unwrap();
        // Two calls of each to see how long an operation takes; then twice in each slice.
        assert_eq!(*CALLS.lock().unwrap(), [1, 1, 2, 2, 1, 1, 2, 2, 2, 2, 1, 1]);
        assert_eq!((times.operations, times.rounds), (100, vec![vec![10.0, 10.0]]));
        assert_eq!(OPERATIONS.load(Ordering::Relaxed), 4 * 1_000 + 4 * (100 + 25));
    }
}
