//! Adjusts the sampling rate so that a constant number of lookups is timed per second, whatever the load.
//!
//! Timing a lookup costs more than the lookup. A fixed rate costs too much at tens of millions of lookups per second, and
//! yields too little where a shard has become slow: then all callers wait for it, there are few lookups, and it takes
//! long to collect enough samples for an alarm.

use std::time::{Duration, Instant};

use crate::sampling::Sampling;

/// Shorter intervals between checks say too little about the load.
const MIN_INTERVAL: Duration = Duration::from_millis(100);

/// The rate is at most this multiple of the initial one, because the load may grow to any size before the next check.
const MAX_RATE_INCREASE: u64 = 8;

/// Computes the sampling rate from the number of lookups between health checks.
#[derive(Debug)]
pub(crate) struct SampleRateController {
    /// The target number of timed lookups per second; zero disables the controller.
    target_per_second: u32,
    /// The least N of which one lookup is timed.
    min_every: u64,
    last_update: Instant,
    last_lookups: u64,
}

impl SampleRateController {
    /// Creates a controller that starts with the rate `initial`.
    pub(crate) fn new(initial: Sampling, target_per_second: u32, start: Instant) -> Self {
        let min_every = (initial.every() / MAX_RATE_INCREASE).max(1);
        Self { target_per_second, min_every, last_update: start, last_lookups: 0 }
    }

    /// Returns the new sampling if `current` should change, given the total number of lookups so far.
    ///
    /// It is kept if the lookups since the last update gave between half and twice the target.
    pub(crate) fn update(&mut self, current: Sampling, lookups: u64, now: Instant) -> Option<Sampling> {
        // The clock of the last check was ahead, or that of this one is behind: the interval starts again.
        if self.last_update.saturating_duration_since(now) >= MIN_INTERVAL {
            (self.last_update, self.last_lookups) = (now, lookups);
            return None;
        }
        let elapsed = now.saturating_duration_since(self.last_update);
        if self.target_per_second == 0 || elapsed < MIN_INTERVAL {
            return None;
        }
        let new_lookups = lookups.saturating_sub(self.last_lookups);
        (self.last_update, self.last_lookups) = (now, lookups);
        let ideal = new_lookups as f64 / elapsed.as_secs_f64() / f64::from(self.target_per_second);
        let every = current.every() as f64;
        if (every / 2.0..=every * 2.0).contains(&ideal) {
            return None;
        }
        // The conversion saturates.
        let next = Sampling::new((ideal.ceil() as u32).max(self.min_every as u32));
        (next != current).then_some(next)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    /// Updates a controller at the end of each second.
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

        /// Runs for one second per load, which is its number of lookups, and returns N after each.
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
    fn the_target_is_met_at_any_load() {
        for load in [1_000_000, 3_000_000, 30_000_000, 240_000_000, 1_000_000_000_000] {
            let rates = Simulation::new(1_024, 2_000).after(&[load; 5]);
            let timed = load / rates[0];
            assert!((1_000..=4_000).contains(&timed), "{timed} of {load}");
            assert_eq!(rates, [rates[0]; 5], "the rate is stable");
        }
    }

    #[test]
    fn the_rate_is_kept_within_a_factor_of_two() {
        let load = 1_024 * 2_000;
        assert_eq!(Simulation::new(1_024, 2_000).after(&[load, load * 2, load / 2, load]), [1_024; 4]);
    }

    #[test]
    fn the_rate_rises_at_low_load_up_to_its_maximum() {
        let rates = Simulation::new(1_024, 2_000).after(&[30_000_000, 64_000, 0, 30_000_000]);
        assert_eq!(rates, [16_384, 128, 128, 16_384]);
        assert_eq!(Simulation::new(1, 2_000).after(&[10, 0, 4_000, 4_001]), [1, 1, 1, 4]);
    }

    #[test]
    fn a_check_in_the_future_starts_the_interval_again() {
        let Simulation { mut controller, current, now: start, .. } = Simulation::new(1_024, 2_000);
        controller.update(current, 0, start + 3_600 * SECOND);
        assert_eq!(controller.update(current, 30_000_000, start + SECOND), None, "the interval is unknown");
        let next = controller.update(current, 60_000_000, start + 2 * SECOND);
        assert_eq!(next.map(Sampling::every), Some(16_384));
    }

    #[test]
    fn short_intervals_and_extreme_settings_are_handled() {
        let Simulation { mut controller, current, now: start, .. } = Simulation::new(1_024, 2_000);
        assert_eq!(controller.update(current, 1 << 40, start), None);
        assert_eq!(controller.update(current, 1 << 40, start + MIN_INTERVAL / 2), None);
        assert!(
            controller.update(current, 1 << 40, start + MIN_INTERVAL).is_some(),
            "lookups of the short intervals are included"
        );
        let mut controller = Simulation::new(1_024, 0).controller;
        assert_eq!(controller.update(current, 1 << 40, start + SECOND), None);
        assert_eq!(Simulation::new(u32::MAX, u32::MAX).after(&[0, u64::MAX / 4]), [1 << 28, 1 << 31]);
        assert_eq!(Simulation::new(0, 1).current.every(), 1);
    }
}
