//! How many look-ups are timed: about as many in a second, whatever the load.
//!
//! Timing a look-up costs more than doing it. A fixed share of all is too much where there are tens of millions in a
//! second, and too little where a shard has become slow: then all wait for it, few look-ups are done, and it takes long
//! until enough were timed to tell.

use std::time::{Duration, Instant};

/// Checks that come sooner after one another say too little of the load.
const SOONEST: Duration = Duration::from_millis(100);

/// The share of all that is timed is at most so many times that of the start: until the next check, a load can grow to
/// any size.
const DENSEST: u32 = 8;

/// The rate of the moment, and what it was last judged by.
#[derive(Debug)]
pub(crate) struct Rate {
    /// So many are to be timed in a second.
    wanted: u32,
    /// One in so many is timed, a power of two.
    every: u32,
    least: u32,
    at: Instant,
    lookups: u64,
}

impl Rate {
    /// Starts with one in `every`; with none `wanted` it stays so.
    pub(crate) fn new(every: u32, wanted: u32, start: Instant) -> Self {
        let every = every.max(1).checked_next_power_of_two().unwrap_or(1 << 31);
        Self { wanted, every, least: (every / DENSEST).max(1), at: start, lookups: 0 }
    }

    /// Judges by the load since the last time, when there have been so many look-ups in all; the new rate, if another one
    /// is due.
    ///
    /// It is kept while half to twice as many are timed as are wanted.
    pub(crate) fn judge(&mut self, lookups: u64, now: Instant) -> Option<u32> {
        let elapsed = now.saturating_duration_since(self.at);
        if self.wanted == 0 || elapsed < SOONEST {
            return None;
        }
        let more = lookups.saturating_sub(self.lookups);
        (self.at, self.lookups) = (now, lookups);
        let ideal = more as f64 / elapsed.as_secs_f64() / f64::from(self.wanted);
        let every = f64::from(self.every);
        if (every / 2.0..=every * 2.0).contains(&ideal) {
            return None;
        }
        // The conversion ends at both ends of what there is.
        let next = (ideal.ceil() as u32).min(1 << 31).next_power_of_two().max(self.least);
        (next != std::mem::replace(&mut self.every, next)).then_some(next)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    /// The rates after each of some seconds with so many look-ups.
    fn rates(rate: &mut Rate, start: Instant, loads: &[u64]) -> Vec<u32> {
        let (mut lookups, mut now) = (0, start);
        let mut second = |load: &u64| {
            (lookups, now) = (lookups + load, now + SECOND);
            let _ = rate.judge(lookups, now);
            rate.every
        };
        loads.iter().map(&mut second).collect()
    }

    #[test]
    fn about_as_many_are_timed_whatever_the_load() {
        let start = Instant::now();
        for load in [1_000_000, 3_000_000, 30_000_000, 240_000_000, 1_000_000_000_000] {
            let mut rate = Rate::new(1_024, 2_000, start);
            let rates = rates(&mut rate, start, &[load; 5]);
            let timed = load / u64::from(rates[0]);
            assert!((1_000..=4_000).contains(&timed), "{timed} of {load}");
            assert_eq!(rates, [rates[0]; 5], "it stays at what it has found");
        }
    }

    #[test]
    fn a_load_that_varies_by_half_changes_nothing() {
        let start = Instant::now();
        let mut rate = Rate::new(1_024, 2_000, start);
        let load = 1_024 * 2_000;
        assert_eq!(rates(&mut rate, start, &[load, load * 2, load / 2, load]), [1_024; 4]);
    }

    #[test]
    fn when_little_is_done_more_of_it_is_timed_but_not_all() {
        let start = Instant::now();
        let mut rate = Rate::new(1_024, 2_000, start);
        assert_eq!(rates(&mut rate, start, &[30_000_000, 64_000, 0, 30_000_000]), [16_384, 128, 128, 16_384]);
        let mut rate = Rate::new(1, 2_000, start);
        assert_eq!(rates(&mut rate, start, &[10, 0, 4_000, 4_001]), [1, 1, 1, 4]);
    }

    #[test]
    fn checks_in_a_hurry_and_absurd_settings_change_nothing() {
        let start = Instant::now();
        let mut rate = Rate::new(1_024, 2_000, start);
        assert_eq!(rate.judge(1 << 40, start), None);
        assert_eq!(rate.judge(1 << 40, start + SOONEST / 2), None);
        assert!(rate.judge(1 << 40, start + SOONEST).is_some(), "what came meanwhile counts then");
        assert_eq!(Rate::new(1_024, 0, start).judge(1 << 40, start + SECOND), None);
        let mut rate = Rate::new(u32::MAX, u32::MAX, start);
        assert_eq!(rates(&mut rate, start, &[0, u64::MAX / 4]), [1 << 28, 1 << 31]);
        assert_eq!(Rate::new(0, 1, start).every, 1);
    }
}
