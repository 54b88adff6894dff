//! Threads that repeat an operation in laps, a clock around each lap, and mailboxes emptied in between.
//!
//! All threads begin a lap at once. Laps go on until they have taken as long as was asked for; before that come laps
//! that do not count, which warm up and find out how many operations make a lap.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Barrier, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result};
use registry_bench::failures::Failures;

use crate::lap::Peer;
use crate::operation::Operation;

/// The most operations in a lap of a thread.
const MOST_OPERATIONS: usize = 1 << 17;

/// How many operations the first lap has.
const FIRST_OPERATIONS: usize = 512;

/// How many laps make what was asked for, about.
const LAPS: f64 = 4.0;

/// What came of it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Figure {
    /// Nanoseconds per operation and thread.
    pub ns: f64,
    /// Operations per second of all threads together.
    pub ops_per_s: f64,
}

/// Measures an operation, for as long as `slice` after the warm-up.
///
/// # Errors
///
/// If an operation did not do what it should, or a thread panicked.
pub fn measure(peer: &dyn Peer, operation: Operation, threads: usize, slice: Duration) -> Result<Figure> {
    let most = if operation.sends() { MOST_OPERATIONS.min(peer.room() / threads) } else { MOST_OPERATIONS }.max(1);
    let course = Course {
        barrier: Barrier::new(threads + 1),
        operations: AtomicUsize::new(0),
        times: Mutex::new(vec![Default::default(); threads]),
    };
    thread::scope(|scope| {
        let workers: Vec<_> = (0..threads)
            .map(|thread| {
                let course = &course;
                scope.spawn(move || course.work(thread, || peer.lap(operation, thread)))
            })
            .collect();
        let mut operations = FIRST_OPERATIONS.min(most);
        let mut warm_up = 2;
        let mut spent = vec![0.0; threads];
        let mut done = 0;
        let mut failures = Failures::default();
        while failures.count() == 0 && (done == 0 || spent.iter().sum::<f64>() < slice.as_secs_f64() * threads as f64) {
            let times = course.lap(operations);
            if operation.sends() {
                peer.settle();
            }
            times.iter().for_each(|(_, of_thread)| failures.add(of_thread.clone()));
            let longest = times.iter().map(|(took, _)| took.as_secs_f64()).fold(1e-9, f64::max);
            if warm_up > 0 {
                warm_up -= 1;
                let fitting = operations as f64 / longest * slice.as_secs_f64() / LAPS;
                operations = (fitting as usize).clamp(1, most);
            } else {
                times.iter().zip(&mut spent).for_each(|((took, _), spent)| *spent += took.as_secs_f64());
                done += operations;
            }
        }
        // A lap of nothing is the end.
        course.lap(0);
        for worker in workers {
            worker.join().ok().context("a thread panicked")?;
        }
        failures.check()?;
        Ok(Figure {
            ns: spent.iter().sum::<f64>() * 1e9 / (done * threads) as f64,
            ops_per_s: spent.iter().map(|spent| done as f64 / spent).sum(),
        })
    })
}

/// Where threads meet before and after each lap.
struct Course {
    barrier: Barrier,
    operations: AtomicUsize,
    times: Mutex<Vec<(Duration, Failures)>>,
}

impl Course {
    /// What a thread does: makes its lap itself, and runs it whenever told so.
    fn work<'a>(&self, thread: usize, lap: impl FnOnce() -> Box<dyn registry_bench::ratio::Lap + 'a>) {
        let mut lap = lap();
        let mut start = 0;
        loop {
            self.barrier.wait();
            let operations = self.operations.load(Ordering::Relaxed);
            if operations == 0 {
                break;
            }
            let outcome = lap.run(start, operations);
            start += operations;
            self.times.lock().unwrap_or_else(PoisonError::into_inner)[thread] = outcome;
            self.barrier.wait();
        }
    }

    /// Has all threads run a lap, and returns how long each took and which operations went wrong.
    fn lap(&self, operations: usize) -> Vec<(Duration, Failures)> {
        self.operations.store(operations, Ordering::Relaxed);
        self.barrier.wait();
        if operations > 0 {
            self.barrier.wait();
        }
        self.times.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

#[cfg(test)]
mod tests {
    use registry_bench::ratio::Lap;

    use super::*;

    /// A peer that takes a microsecond for each operation, and loses one in so many, if any.
    struct Clockwork {
        loses: Option<usize>,
        settled: AtomicUsize,
    }

    struct Ticks<'a>(&'a Clockwork);

    impl Lap for Ticks<'_> {
        fn run(&mut self, _: usize, operations: usize) -> (Duration, Failures) {
            let mut failures = Failures::default();
            if let Some(every) = self.0.loses {
                (1..=operations / every).for_each(|n| failures.note(n * every, "it was lost"));
            }
            (Duration::from_micros(operations as u64), failures)
        }
    }

    impl Peer for Clockwork {
        fn lap(&self, _: Operation, _: usize) -> Box<dyn Lap + '_> {
            Box::new(Ticks(self))
        }

        fn settle(&self) {
            self.settled.fetch_add(1, Ordering::Relaxed);
        }

        fn room(&self) -> usize {
            1_000
        }
    }

    fn clockwork(loses: Option<usize>) -> Clockwork {
        Clockwork { loses, settled: AtomicUsize::new(0) }
    }

    #[test]
    fn a_microsecond_is_a_microsecond_on_each_thread() {
        let peer = clockwork(None);
        let figure = measure(&peer, Operation::Lookup, 2, Duration::from_millis(8)).unwrap();
        assert!((figure.ns - 1_000.0).abs() < 1e-6 && (figure.ops_per_s - 2e6).abs() < 1.0, "{figure:?}");
        assert_eq!(peer.settled.into_inner(), 0);
    }

    #[test]
    fn mailboxes_are_emptied_before_they_are_full() {
        let peer = clockwork(None);
        measure(&peer, Operation::Route, 2, Duration::from_millis(5)).unwrap();
        // Two laps of 500 at most to warm up, and ten to fill five milliseconds.
        assert_eq!(peer.settled.into_inner(), 12);
    }

    #[test]
    fn what_went_wrong_is_no_figure() {
        let error = measure(&clockwork(Some(512)), Operation::Lookup, 1, Duration::from_millis(1)).unwrap_err();
        assert_eq!(error.to_string(), "1 operations did not do what they should; the first, id 512: it was lost");
    }
}
