//! Open-loop load: operations are due at times drawn beforehand, whether or not the previous ones have ended.
//!
//! An operation that is late because the previous one was slow is timed from when it was due, so that a stall counts
//! for all operations that were due meanwhile (no coordinated omission). The clock is read twice for each operation, at
//! its start and at its end, and nothing is subtracted for that.

use std::time::{Duration, Instant};

use hdrhistogram::Histogram;

/// A clock that counts nanoseconds.
pub trait Clock {
    /// Returns the time.
    fn now(&self) -> u64;
}

/// The time since an instant; zero before it.
#[derive(Clone, Copy, Debug)]
pub struct Since(pub Instant);

impl Clock for Since {
    #[inline]
    fn now(&self) -> u64 {
        Instant::now().saturating_duration_since(self.0).as_nanos() as u64
    }
}

/// A sequence of operations.
pub trait Load {
    /// Prepares the n-th operation; not timed, unless it makes the operation late.
    fn prepare(&mut self, n: usize);

    /// Runs it and returns its kind.
    fn run(&mut self) -> usize;
}

/// Latencies of one kind of operation.
#[derive(Clone, Debug)]
pub struct Latencies {
    /// From the start of an operation to its end, in nanoseconds.
    pub service: Histogram<u64>,
    /// From when it was due to its end.
    pub response: Histogram<u64>,
}

impl Default for Latencies {
    /// Empty histograms of three digits, up to a minute.
    fn default() -> Self {
        let histogram = || {
            Histogram::new_with_bounds(1, 60_000_000_000, 3)
                .expect("the bounds are in order, three digits are possible")
        };
        Self { service: histogram(), response: histogram() }
    }
}

impl Latencies {
    /// Adds the latencies of another.
    pub fn add(&mut self, other: &Self) {
        // Both have the bounds above.
        let _ = self.service.add(&other.service);
        let _ = self.response.add(&other.response);
    }
}

/// Runs an operation at each of the due times, in order, and returns the time at the end.
pub fn open_loop(clock: &impl Clock, due: &[u64], load: &mut impl Load, latencies: &mut [Latencies]) -> u64 {
    let mut ended = 0;
    for (n, &due) in due.iter().enumerate() {
        load.prepare(n);
        let mut began = clock.now();
        while began < due {
            std::hint::spin_loop();
            began = clock.now();
        }
        let kind = load.run();
        ended = clock.now();
        let latencies = &mut latencies[kind];
        latencies.service.saturating_record(ended - began);
        latencies.response.saturating_record(ended - due);
    }
    ended
}

/// Runs operations one after the other until `until`, at least one, and reads the clock as often as the open loop does.
/// Returns the number of operations and the time at the end.
pub fn closed_loop(clock: &impl Clock, until: u64, load: &mut impl Load, latencies: &mut [Latencies]) -> (usize, u64) {
    let (mut done, mut ended) = (0, 0);
    while done == 0 || ended < until {
        load.prepare(done);
        let began = clock.now();
        let kind = load.run();
        ended = clock.now();
        latencies[kind].service.saturating_record(ended - began);
        done += 1;
    }
    (done, ended)
}

/// Draws the due times of a Poisson process.
#[must_use]
pub fn poisson(per_second: f64, duration: Duration, rng: &mut fastrand::Rng) -> Vec<u64> {
    let mean = 1e9 / per_second;
    let end = duration.as_nanos() as f64;
    let mut at = 0.0;
    let mut due = Vec::with_capacity((end / mean * 1.01) as usize + 64);
    loop {
        // From 0 exclusive to 1 inclusive, so that the logarithm is finite.
        at -= mean * (1.0 - rng.f64()).ln();
        if at >= end {
            return due;
        }
        due.push(at as u64);
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    const READING: u64 = 10;
    const WORK: u64 = 1_000;
    const STALL: u64 = 10_000_000;

    /// A clock that advances when it is read, and by the time of each operation.
    struct ManualClock(Cell<u64>);

    impl Clock for ManualClock {
        fn now(&self) -> u64 {
            self.0.set(self.0.get() + READING);
            self.0.get()
        }
    }

    /// Operations of one microsecond, of which one takes ten milliseconds.
    struct Stalling<'a> {
        clock: &'a ManualClock,
        n: usize,
        stalls_at: usize,
    }

    impl Load for Stalling<'_> {
        fn prepare(&mut self, n: usize) {
            self.n = n;
        }

        fn run(&mut self) -> usize {
            let took = if self.n == self.stalls_at { STALL } else { WORK };
            self.clock.0.set(self.clock.0.get() + took);
            0
        }
    }

    fn count_above(histogram: &Histogram<u64>, nanoseconds: u64) -> u64 {
        histogram.len() - histogram.count_between(0, nanoseconds)
    }

    #[test]
    fn a_stall_counts_in_the_response_times_of_all_operations_due_meanwhile() {
        let clock = ManualClock(Cell::new(0));
        // One every 100 us, so that 99 more are due while the 500th stalls for 10 ms.
        let due: Vec<u64> = (1..=1_000).map(|n| n * 100_000).collect();
        let mut latencies = [Latencies::default()];
        open_loop(&clock, &due, &mut Stalling { clock: &clock, n: 0, stalls_at: 500 }, &mut latencies);
        let [Latencies { service, response }] = &latencies;
        assert_eq!((service.len(), response.len()), (1_000, 1_000));
        assert_eq!(count_above(service, 5_000), 1, "one operation was slow");
        // Those due in the first half of the stall wait for more than 5 ms, the stalled one among them.
        let late = count_above(response, STALL / 2);
        assert!((50..=51).contains(&late), "{late}");
        let waited = count_above(response, 5_000);
        assert!((99..=102).contains(&waited), "{waited}");
        // It shows in percentiles of the response time, and not in those of the service time.
        assert!(service.value_at_quantile(0.99) < 2 * WORK);
        assert!(response.value_at_quantile(0.99) > 8_000_000);
        assert!(response.max() >= STALL && response.max() < STALL + 100_000);
    }

    #[test]
    fn the_closed_loop_runs_until_the_deadline() {
        let clock = ManualClock(Cell::new(0));
        let mut latencies = [Latencies::default()];
        let mut load = Stalling { clock: &clock, n: 0, stalls_at: usize::MAX };
        let (done, ended) = closed_loop(&clock, 1_000_000, &mut load, &mut latencies);
        // A reading before, the work, and a reading after it.
        let each = WORK + 2 * READING;
        assert_eq!((done as u64, ended), (1_000_000_u64.div_ceil(each), 1_000_000_u64.div_ceil(each) * each));
        assert_eq!(latencies[0].service.len(), done as u64);
        assert_eq!(closed_loop(&clock, 0, &mut load, &mut latencies).0, 1, "there is always one");
    }

    #[test]
    fn due_times_follow_the_poisson_process() {
        let mut rng = fastrand::Rng::with_seed(3);
        let due = poisson(1e6, Duration::from_millis(100), &mut rng);
        // The number has a standard deviation of its root, some 316.
        assert!(due.len().abs_diff(100_000) < 1_600, "{}", due.len());
        assert!(due.is_sorted() && due.last() < Some(&100_000_000));
        // Of exponential gaps, one in e is longer than the mean.
        let long = due.windows(2).filter(|pair| pair[1] - pair[0] >= 1_000).count() as f64 / due.len() as f64;
        assert!((long - (-1.0_f64).exp()).abs() < 0.01, "{long}");
    }
}
