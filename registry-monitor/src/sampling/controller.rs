//! How many lookups are timed: about as many in a second, whatever the load.
//!
//! Timing a lookup costs more than doing it. A fixed share of all is too much where there are tens of millions in a
//! second, and too little where a shard has become slow: then all wait for it, few lookups are done, and it takes long
//! until enough were timed to tell.

use std::time::{Duration, Instant};

use crate::sampling::Sampling;

/// Checks that come sooner after one another say too little of the load.
const MIN_INTERVAL: Duration = Duration::from_millis(100);

/// The share of all that is timed is at most so many times that of the start: until the next check, a load can grow to
/// any size.
const MAX_RATE_INCREASE: u64 = 8;

/// What is wanted, and what the rate was last judged by.
#[derive(Debug)]
pub(crate) struct SampleRateController {
    /// So many are to be timed in a second.
    target_per_second: u32,
    /// One in so many is timed at the most.
    min_every: u64,
    last_update: Instant,
    lookups: u64,
}

impl SampleRateController {
    /// For those who begin with this rate; with none `target_per_second` it stays so.
    pub(crate) fn new(first: Sampling, target_per_second: u32, start: Instant) -> Self {
        Self {
            target_per_second,
            min_every: (first.every() / MAX_RATE_INCREASE).max(1),
            last_update: start,
            lookups: 0,
        }
    }

    /// Judges the present rate by the load since the last time, when there have been so many lookups in all; the new
    /// one, if another is due.
    ///
    /// It is kept while half to twice as many are timed as are wanted.
    pub(crate) fn update(&mut self, current: Sampling, lookups: u64, now: Instant) -> Option<Sampling> {
        // The last check was made by a clock that was ahead, or this one by one that is behind: both begin anew.
        if self.last_update.saturating_duration_since(now) >= MIN_INTERVAL {
            (self.last_update, self.lookups) = (now, lookups);
            return None;
        }
        let elapsed = now.saturating_duration_since(self.last_update);
        if self.target_per_second == 0 || elapsed < MIN_INTERVAL {
            return None;
        }
        let more = lookups.saturating_sub(self.lookups);
        (self.last_update, self.lookups) = (now, lookups);
        let ideal = more as f64 / elapsed.as_secs_f64() / f64::from(self.target_per_second);
        let every = current.every() as f64;
        if (every / 2.0..=every * 2.0).contains(&ideal) {
            return None;
        }
        // The conversion ends at both ends of what there is.
        let next = Sampling::new((ideal.ceil() as u32).max(self.min_every as u32));
        (next != current).then_some(next)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    /// A rate that was judged at the end of each second so far.
    struct Simulation {
        controller: SampleRateController,
        current: Sampling,
        now: Instant,
        lookups: u64,
    }

    impl Simulation {
        fn new(every: u32, target_per_second: u32) -> Self {
            let (current, now) = (Sampling::new(every), Instant::now());
            Self { controller: SampleRateController::new(current, target_per_second, now), current, now, lookups: 0 }
        }

        /// One in how many is timed after each of some seconds with so many lookups.
        fn after(&mut self, loads: &[u64]) -> Vec<u64> {
            let second = |load: &u64| {
                (self.lookups, self.now) = (self.lookups + load, self.now + SECOND);
                self.current = self.controller.update(self.current, self.lookups, self.now).unwrap_or(self.current);
                self.current.every()
            };
            loads.iter().map(second).collect()
        }
    }

    #[test]
    fn about_as_many_are_timed_whatever_the_load() {
        for load in [1_000_000, 3_000_000, 30_000_000, 240_000_000, 1_000_000_000_000] {
            let rates = Simulation::new(1_024, 2_000).after(&[load; 5]);
            let timed = load / rates[0];
            assert!((1_000..=4_000).contains(&timed), "{timed} of {load}");
            assert_eq!(rates, [rates[0]; 5], "it stays at what it has found");
        }
    }

    #[test]
    fn a_load_that_varies_by_half_changes_nothing() {
        let load = 1_024 * 2_000;
        assert_eq!(Simulation::new(1_024, 2_000).after(&[load, load * 2, load / 2, load]), [1_024; 4]);
    }

    #[test]
    fn when_little_is_done_more_of_it_is_timed_but_not_all() {
        let rates = Simulation::new(1_024, 2_000).after(&[30_000_000, 64_000, 0, 30_000_000]);
        assert_eq!(rates, [16_384, 128, 128, 16_384]);
        assert_eq!(Simulation::new(1, 2_000).after(&[10, 0, 4_000, 4_001]), [1, 1, 1, 4]);
    }

    #[test]
    fn a_check_from_the_future_is_got_over() {
        let Simulation { mut controller, current, now: start, .. } = Simulation::new(1_024, 2_000);
        controller.update(current, 0, start + 3_600 * SECOND);
        assert_eq!(controller.update(current, 30_000_000, start + SECOND), None, "it is not known since when");
        let next = controller.update(current, 60_000_000, start + 2 * SECOND);
        assert_eq!(next.map(Sampling::every), Some(16_384));
    }

    #[test]
    fn checks_in_a_hurry_and_absurd_settings_change_nothing() {
        let Simulation { mut controller, current, now: start, .. } = Simulation::new(1_024, 2_000);
        assert_eq!(controller.update(current, 1 << 40, start), None);
        assert_eq!(controller.update(current, 1 << 40, start + MIN_INTERVAL / 2), None);
        assert!(controller.update(current, 1 << 40, start + MIN_INTERVAL).is_some(), "what came meanwhile counts then");
        let mut controller = Simulation::new(1_024, 0).controller;
        assert_eq!(controller.update(current, 1 << 40, start + SECOND), None);
        assert_eq!(Simulation::new(u32::MAX, u32::MAX).after(&[0, u64::MAX / 4]), [1 << 28, 1 << 31]);
        assert_eq!(Simulation::new(0, 1).current.every(), 1);
    }
}
