//! Measures an operation on a peer with the loop of the benches.

use std::time::Duration;

use anyhow::{Result, ensure};
use registry_bench::interleave::{Extent, Side, interleave};
use registry_bench::timed_loop::Operation;

use crate::names::Size;
use crate::peer::Peer;

/// The number of slices that are timed, and drained in between.
const ROUNDS: u32 = 4;

/// What was measured.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Figure {
    /// Nanoseconds per operation and thread.
    pub ns: f64,
    /// Operations per second of all threads together.
    pub ops_per_s: f64,
}

/// Measures an operation for about `time`, warm-up apart.
///
/// # Errors
///
/// If an operation failed, or a thread panicked.
pub fn measure(peer: &dyn Peer, operation: Operation, size: Size, time: Duration) -> Result<Figure> {
    let side = Side {
        make: Box::new(|thread| peer.timed_loop(operation, thread)),
        threads: size.threads,
        room: operation.sends().then(|| peer.room()),
    };
    let extent = Extent { keys: size.entries, rounds: ROUNDS as usize, slice: time / ROUNDS };
    let times = interleave(&[side], extent, &|| peer.drain())?;
    let ns = times.rounds.iter().flatten().sum::<f64>() / f64::from(ROUNDS);
    ensure!(ns > 0.0, "no time has passed");
    Ok(Figure { ns, ops_per_s: size.threads as f64 * 1e9 / ns })
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use registry_bench::failures::Failures;
    use registry_bench::timed_loop::TimedLoop;

    use super::*;

    const SIZE: Size = Size { entries: 10, threads: 2 };

    /// A peer that takes a microsecond for each operation, and fails every so many, if any.
    struct FakePeer {
        fails_every: Option<usize>,
        drained: AtomicUsize,
    }

    impl Peer for FakePeer {
        fn timed_loop(&self, _: Operation, _: usize) -> Box<dyn TimedLoop + '_> {
            Box::new(move |_: usize, operations: usize| {
                let mut failures = Failures::default();
                if let Some(every) = self.fails_every {
                    (1..=operations / every).for_each(|n| failures.note(n * every, "it was lost"));
                }
                (Duration::from_micros(operations as u64), failures)
            })
        }

        fn drain(&self) {
            self.drained.fetch_add(1, Ordering::Relaxed);
        }

        fn room(&self) -> usize {
            1_000
        }
    }

    fn fake(fails_every: Option<usize>) -> FakePeer {
        FakePeer { fails_every, drained: AtomicUsize::new(0) }
    }

    #[test]
    fn a_microsecond_is_measured_as_one_on_each_thread() {
        let peer = fake(None);
        let figure = measure(&peer, Operation::Lookup, SIZE, Duration::from_millis(8)).unwrap();
        assert!((figure.ns - 1_000.0).abs() < 1e-6 && (figure.ops_per_s - 2e6).abs() < 1.0, "{figure:?}");
        assert_eq!(peer.drained.into_inner(), 0);
    }

    #[test]
    fn mailboxes_are_drained_after_every_slice() {
        let peer = fake(None);
        measure(&peer, Operation::Route, SIZE, Duration::from_millis(5)).unwrap();
        // Twice for the calibration, and after each round, of which the first does not count.
        assert_eq!(peer.drained.into_inner(), 2 + 1 + ROUNDS as usize);
    }

    #[test]
    fn a_failure_is_not_a_figure() {
        let error = measure(&fake(Some(1_000)), Operation::Lookup, SIZE, Duration::from_millis(1)).unwrap_err();
        assert_eq!(error.to_string(), "1 operations did not do what they should; the first, id 1000: it was lost");
    }
}
