//! A timeline from the instants of many callers, which recovers if one of them was wrong.
//!
//! Instants arrive roughly in order: one may be late because its thread was preempted. An instant that is far ahead of all
//! others cannot be told from one after a long idle time, so it is accepted. If the following instants are far behind it,
//! and stay so for a while, then it was wrong, or the clock was set back. The timeline then continues from its latest time,
//! at the rate of the callers' instants.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use crate::latency::histogram::nanoseconds;

/// The value of `first_behind` while no reading is behind.
const NOT_BEHIND: u64 = u64::MAX;

/// The reading of the start. Readings before the start are below it, in case the start was the wrong instant.
const START_READING: u64 = 1 << 62;

/// Maps instants to nanoseconds since the start, and recovers from wrong ones.
///
/// While the clock is right, the result is the time of the clock, for late instants too.
///
/// The atomics are written about eight times per [`tolerance`](Self::new) while the clock is right.
#[derive(Debug)]
pub(crate) struct Timeline {
    start: Instant,
    /// A reading that is behind the latest by less than this may be late.
    tolerance: u64,
    /// If readings beyond the tolerance span this much, the latest was wrong.
    patience: u64,
    /// The latest reading, or up to an eighth of the tolerance less.
    latest: AtomicU64,
    /// The time of the start.
    origin: u64,
    /// Added to all readings.
    shift: AtomicU64,
    /// The first reading beyond the tolerance since the last one within it.
    first_behind: AtomicU64,
}

impl Timeline {
    /// Creates a timeline that recovers when instants have been behind by more than `tolerance` for `patience`.
    ///
    /// If the wrong instant was ahead by less than `tolerance` plus `patience`, the clock may catch up with it instead.
    /// Either way recovery takes at most `tolerance` plus `patience`.
    pub(crate) fn new(start: Instant, tolerance: Duration, patience: Duration) -> Self {
        let [latest, shift, first_behind] = [START_READING, 0, NOT_BEHIND].map(AtomicU64::new);
        let (tolerance, patience) = (nanoseconds(tolerance), nanoseconds(patience));
        Self { start, tolerance, patience, latest, origin: 0, shift, first_behind }
    }

    /// Sets the time of the start, in nanoseconds, so that instants that far before the start differ in their times.
    pub(crate) fn with_origin(self, origin: u64) -> Self {
        Self { origin, ..self }
    }

    /// Returns the time of an instant, and advances the timeline to it.
    pub(crate) fn advance(&self, now: Instant) -> u64 {
        let reading = self.reading(now);
        let latest = self.latest.load(Ordering::Relaxed);
        if reading > latest.saturating_add(self.tolerance / 8) {
            self.latest.fetch_max(reading, Ordering::Relaxed);
        }
        self.map(reading, latest)
    }

    /// Returns the time of an instant without advancing to it, so that an instant in the future does no harm.
    pub(crate) fn peek(&self, now: Instant) -> u64 {
        self.map(self.reading(now), self.latest.load(Ordering::Relaxed))
    }

    fn reading(&self, now: Instant) -> u64 {
        match now.checked_duration_since(self.start) {
            Some(after) => START_READING.saturating_add(nanoseconds(after)),
            None => START_READING.saturating_sub(nanoseconds(self.start.saturating_duration_since(now))),
        }
    }

    fn map(&self, reading: u64, latest: u64) -> u64 {
        if reading.saturating_add(self.tolerance) < latest {
            self.record_behind(reading, latest);
        } else if self.first_behind.load(Ordering::Relaxed) != NOT_BEHIND {
            self.first_behind.store(NOT_BEHIND, Ordering::Relaxed);
        }
        let shift = self.shift.load(Ordering::Relaxed).saturating_add(self.origin);
        reading.saturating_add(shift).saturating_sub(START_READING)
    }

    #[cold]
    fn record_behind(&self, reading: u64, latest: u64) {
        let since = self.first_behind.load(Ordering::Relaxed);
        if reading < since {
            self.first_behind.store(reading, Ordering::Relaxed);
        } else if reading - since >= self.patience
            && self.first_behind.compare_exchange(since, NOT_BEHIND, Ordering::Relaxed, Ordering::Relaxed).is_ok()
        {
            // The shift maps the first reading behind to the time of the latest.
            self.shift.fetch_add(latest - since, Ordering::Relaxed);
            self.latest.store(reading, Ordering::Relaxed);
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const SECOND: Duration = Duration::from_secs(1);
    const HOUR: Duration = Duration::from_secs(3_600);

    /// A timeline and the start of its clock.
    struct Fixture {
        start: Instant,
        timeline: Timeline,
    }

    impl Fixture {
        fn new() -> Self {
            let start = Instant::now() + 10 * HOUR;
            Self { start, timeline: Timeline::new(start, SECOND, 2 * SECOND) }
        }

        fn advance(&self, after_start: Duration) -> Duration {
            Duration::from_nanos(self.timeline.advance(self.start + after_start))
        }

        fn peek(&self, after_start: Duration) -> Duration {
            Duration::from_nanos(self.timeline.peek(self.start + after_start))
        }
    }

    #[test]
    fn time_equals_the_clock_while_that_is_right() {
        let fixture = Fixture::new();
        for reading in [Duration::ZERO, SECOND, HOUR, HOUR - SECOND / 2, HOUR + SECOND, HOUR, 5 * HOUR] {
            assert_eq!(fixture.advance(reading), reading);
        }
    }

    #[test]
    fn recovers_from_an_instant_in_the_future() {
        let fixture = Fixture::new();
        assert_eq!([SECOND, HOUR].map(|reading| fixture.advance(reading)), [SECOND, HOUR]);
        let within_tolerance = [2 * SECOND, 3 * SECOND];
        assert_eq!(within_tolerance.map(|reading| fixture.advance(reading)), within_tolerance);
        // The readings behind now span two seconds.
        let after = [4, 5, 9].map(|second| fixture.advance(second * SECOND));
        assert_eq!(after, [2, 3, 7].map(|more| HOUR + more * SECOND));
    }

    #[test]
    fn recovers_from_a_start_in_the_future() {
        let fixture = Fixture::new();
        let before = fixture.start - HOUR;
        let times = [0, 1, 2, 3].map(|second| fixture.timeline.advance(before + second * SECOND) / 1_000_000_000);
        assert_eq!(times, [0, 0, 2, 3]);
    }

    #[test]
    fn late_instants_change_nothing() {
        let fixture = Fixture::new();
        for second in 1..100 {
            for reading in [(100 + second) * SECOND, second * SECOND] {
                assert_eq!(fixture.advance(reading), reading);
            }
        }
    }

    #[test]
    fn peeking_does_not_advance_but_may_recover() {
        let fixture = Fixture::new();
        assert_eq!([fixture.peek(HOUR), fixture.advance(SECOND)], [HOUR, SECOND]);
        fixture.advance(HOUR);
        let peeked = [2, 4, 5].map(|second| fixture.peek(second * SECOND));
        assert_eq!(peeked, [2 * SECOND, HOUR + 2 * SECOND, HOUR + 3 * SECOND]);
    }

    proptest! {
        /// After any jumps of the clock, time advances at the rate of the clock again.
        #[test]
        fn recovers_from_any_jumps(jumps in prop::collection::vec(0..7_200_u32, 0..20), begin in 0..7_200_u32) {
            let fixture = Fixture::new();
            // Between an hour before the start and an hour after it.
            let at = |tenths: u32| fixture.timeline.advance(fixture.start - HOUR + tenths * SECOND / 10);
            for jump in jumps {
                at(10 * jump);
            }
            let recovered = 10 * begin + 30;
            (10 * begin..recovered).for_each(|tenths| _ = at(tenths));
            let then = at(recovered);
            for more in 0..100_u32 {
                prop_assert_eq!(at(recovered + more) - then, u64::from(more) * 100_000_000);
            }
        }
    }
}
