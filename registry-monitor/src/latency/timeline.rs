//! Time by the instants of many callers, which goes on though one of them was wrong.
//!
//! Callers bring instants in about their order: one may be late, because its thread was held up. An instant that is far
//! ahead of all others cannot be told from a long silence, so it is believed. If those that follow lie far behind it, and
//! go on doing so for a while, then it was wrong, or the clock was set back; then time goes on from the greatest instant
//! so far, by as much as the instants of the callers do.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use crate::latency::histogram::nanoseconds;

/// No instant is behind at present.
const NOT_BEHIND: u64 = u64::MAX;

/// The reading of the start: high enough for what is before it, should the start have been the one that was wrong.
const START_READING: u64 = 1 << 62;

/// Maps instants to a time that heals, in nanoseconds since a start.
///
/// As long as the clock is right, it is what the clock says. An instant that is late stays as much behind.
///
/// Memory of one cache line, which is written about eight times per [`tolerance`](Self::new) while the clock is right.
#[derive(Debug)]
pub(crate) struct Timeline {
    start: Instant,
    /// A reading that lies less than this behind the greatest may be late.
    tolerance: u64,
    /// When readings that lie further behind reach over so much, the greatest was wrong.
    patience: u64,
    /// About the greatest reading: at most an eighth of the tolerance below it.
    latest: AtomicU64,
    /// What is added to all readings.
    shift: AtomicU64,
    /// The first reading that lies too far behind, if no other has come since.
    first_behind: AtomicU64,
}

impl Timeline {
    /// A time that heals when instants have been behind by more than `tolerance` for `patience`.
    ///
    /// One that was ahead by less than both together may be come up with instead; either takes no longer than both together.
    pub(crate) fn new(start: Instant, tolerance: Duration, patience: Duration) -> Self {
        let [latest, shift, first_behind] = [START_READING, 0, NOT_BEHIND].map(AtomicU64::new);
        Self { start, tolerance: nanoseconds(tolerance), patience: nanoseconds(patience), latest, shift, first_behind }
    }

    /// Returns the time of an instant, and goes on to it.
    pub(crate) fn advance(&self, now: Instant) -> u64 {
        let reading = self.reading(now);
        let latest = self.latest.load(Ordering::Relaxed);
        if reading > latest.saturating_add(self.tolerance / 8) {
            self.latest.fetch_max(reading, Ordering::Relaxed);
        }
        self.map(reading, latest)
    }

    /// Returns the time of an instant that others need not go on to: one that is ahead does no harm.
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
        reading.saturating_add(self.shift.load(Ordering::Relaxed)).saturating_sub(START_READING)
    }

    #[cold]
    fn record_behind(&self, reading: u64, latest: u64) {
        let since = self.first_behind.load(Ordering::Relaxed);
        if reading < since {
            self.first_behind.store(reading, Ordering::Relaxed);
        } else if reading - since >= self.patience
            && self.first_behind.compare_exchange(since, NOT_BEHIND, Ordering::Relaxed, Ordering::Relaxed).is_ok()
        {
            // The first that was behind becomes the greatest, and time goes on from there.
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

    /// A time, and the clock that it goes by.
    struct Clocked {
        start: Instant,
        timeline: Timeline,
    }

    impl Clocked {
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
    fn while_the_clock_is_right_time_is_what_it_says() {
        let clocked = Clocked::new();
        for reading in [Duration::ZERO, SECOND, HOUR, HOUR - SECOND / 2, HOUR + SECOND, HOUR, 5 * HOUR] {
            assert_eq!(clocked.advance(reading), reading);
        }
    }

    #[test]
    fn a_reading_that_was_ahead_is_got_over() {
        let clocked = Clocked::new();
        assert_eq!([SECOND, HOUR].map(|reading| clocked.advance(reading)), [SECOND, HOUR]);
        let may_be_late = [2 * SECOND, 3 * SECOND];
        assert_eq!(may_be_late.map(|reading| clocked.advance(reading)), may_be_late);
        // They have reached over two seconds.
        let after = [4, 5, 9].map(|second| clocked.advance(second * SECOND));
        assert_eq!(after, [2, 3, 7].map(|more| HOUR + more * SECOND));
    }

    #[test]
    fn a_start_that_was_ahead_is_got_over() {
        let clocked = Clocked::new();
        let before = clocked.start - HOUR;
        let times = [0, 1, 2, 3].map(|second| clocked.timeline.advance(before + second * SECOND) / 1_000_000_000);
        assert_eq!(times, [0, 0, 2, 3]);
    }

    #[test]
    fn one_that_is_late_changes_nothing() {
        let clocked = Clocked::new();
        for second in 1..100 {
            for reading in [(100 + second) * SECOND, second * SECOND] {
                assert_eq!(clocked.advance(reading), reading);
            }
        }
    }

    #[test]
    fn one_that_is_only_seen_moves_nothing_but_may_heal() {
        let clocked = Clocked::new();
        assert_eq!([clocked.peek(HOUR), clocked.advance(SECOND)], [HOUR, SECOND]);
        clocked.advance(HOUR);
        let seen = [2, 4, 5].map(|second| clocked.peek(second * SECOND));
        assert_eq!(seen, [2 * SECOND, HOUR + 2 * SECOND, HOUR + 3 * SECOND]);
    }

    proptest! {
        /// Whatever jumps the clock makes, once it goes at its pace again, time does so too.
        #[test]
        fn time_goes_on_after_any_jumps(jumps in prop::collection::vec(0..7_200_u32, 0..20), begin in 0..7_200_u32) {
            let clocked = Clocked::new();
            // Between an hour before the start and an hour after it.
            let at = |tenths: u32| clocked.timeline.advance(clocked.start - HOUR + tenths * SECOND / 10);
            for jump in jumps {
                at(10 * jump);
            }
            let healed = 10 * begin + 30;
            (10 * begin..healed).for_each(|tenths| _ = at(tenths));
            let then = at(healed);
            for more in 0..100_u32 {
                prop_assert_eq!(at(healed + more) - then, u64::from(more) * 100_000_000);
            }
        }
    }
}
