//! A rolling window of latencies in two slices of half a window each, and the totals of what has left it.

use std::time::Duration;

use crate::latency::histogram::{LatencyHistogram, LifetimeHistogram};

/// The division of time into numbered slices, the same for all windows of a monitor.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Slices {
    slice_ns: u64,
}

impl Slices {
    /// Creates slices of half a `window` each, at least 1 ns.
    pub(crate) fn new(window: Duration) -> Self {
        let slice_ns = u64::try_from(window.as_nanos() / 2).unwrap_or(u64::MAX).max(1);
        Self { slice_ns }
    }

    /// Returns the number of the slice that contains a time, in nanoseconds since the start.
    #[inline]
    pub(crate) fn number_at(&self, since_start: u64) -> u64 {
        since_start / self.slice_ns
    }

    /// Returns the length of two slices.
    pub(crate) fn window_length(&self) -> Duration {
        Duration::from_nanos(self.slice_ns).saturating_mul(2)
    }
}

/// The latencies of the newest slice with a record, and of the slice before it.
///
/// Only records advance a window, past slices without any. Reading does not, so readers with different instants do not
/// interfere.
///
/// A slice that leaves the window is added to the totals, which therefore cost nothing per record.
#[derive(Debug, Default)]
pub(crate) struct Window {
    /// The number of the newest slice.
    slice: u64,
    current: LatencyHistogram,
    /// The latencies of slice `slice` − 1.
    previous: LatencyHistogram,
    /// Allocated when the first slice with records leaves: a shard that was never used has none.
    retired: Option<Box<Retired>>,
}

/// The latencies that have left a window.
#[derive(Debug, Default)]
struct Retired {
    since_reset: LifetimeHistogram,
    before_reset: LifetimeHistogram,
}

/// The start of the totals.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum TotalsSince {
    /// The last [`Window::clear`].
    LastReset,
    /// The creation of the window.
    Start,
}

impl Window {
    /// Adds a latency to a slice.
    ///
    /// A thread may be preempted between reading the clock and this call, so the slice may be older than the newest one.
    /// The latency is added to the slice given, or to the totals if that has left the window.
    pub(crate) fn record(&mut self, slice: u64, latency: Duration) {
        if slice > self.slice {
            self.advance_to(slice);
        }
        match self.slice - slice {
            0 => self.current.record(latency),
            1 => self.previous.record(latency),
            _ => self.retired.get_or_insert_default().since_reset.record(latency),
        }
    }

    fn advance_to(&mut self, slice: u64) {
        retire(&mut self.previous, &mut self.retired);
        if slice - self.slice == 1 {
            std::mem::swap(&mut self.current, &mut self.previous);
        } else {
            retire(&mut self.current, &mut self.retired);
        }
        self.slice = slice;
    }

    /// Returns the latencies of the window whose present slice is `slice`.
    ///
    /// If `slice` is older than the newest slice, returns all latencies: other threads have recorded since the caller read
    /// the clock.
    pub(crate) fn read(&self, slice: u64) -> LatencyHistogram {
        let mut latencies = LatencyHistogram::default();
        if slice <= self.slice.saturating_add(1) {
            latencies.add(&self.current);
        }
        if slice <= self.slice {
            latencies.add(&self.previous);
        }
        latencies
    }

    /// Returns all latencies that [`read`](Self::read) does not return for this slice.
    ///
    /// Mostly a copy, so that a caller can release its lock on the window before it adds the two results.
    pub(crate) fn read_retired(&self, slice: u64, since: TotalsSince) -> LifetimeHistogram {
        let mut all = LifetimeHistogram::default();
        if let Some(retired) = &self.retired {
            all.add(&retired.since_reset);
            if since == TotalsSince::Start {
                all.add(&retired.before_reset);
            }
        }
        if slice > self.slice.saturating_add(1) {
            all.add_slice(&self.current);
        }
        if slice > self.slice {
            all.add_slice(&self.previous);
        }
        all
    }

    /// Removes all latencies, except from the totals since the [start](TotalsSince::Start).
    pub(crate) fn clear(&mut self) {
        retire(&mut self.previous, &mut self.retired);
        retire(&mut self.current, &mut self.retired);
        if let Some(retired) = &mut self.retired {
            retired.before_reset.add(&retired.since_reset);
            retired.since_reset.clear();
        }
    }
}

/// Moves the latencies of a slice to the totals.
fn retire(slice: &mut LatencyHistogram, retired: &mut Option<Box<Retired>>) {
    if !slice.is_empty() {
        retired.get_or_insert_default().since_reset.add_slice(slice);
        slice.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WINDOW: Duration = Duration::from_secs(10);

    /// A window and its slices, on a manual clock.
    struct Fixture {
        slices: Slices,
        window: Window,
    }

    impl Fixture {
        fn new() -> Self {
            Self { slices: Slices::new(WINDOW), window: Window::default() }
        }

        fn record(&mut self, at_ms: u64, ns: u64) {
            let slice = self.slices.number_at(at_ms * 1_000_000);
            self.window.record(slice, Duration::from_nanos(ns));
        }

        /// Returns the count and the maximum.
        fn read(&self, at_ms: u64) -> (u64, u64) {
            let slice = self.slices.number_at(at_ms * 1_000_000);
            let stats = self.window.read(slice).summary(self.slices.window_length());
            assert_eq!(stats.window, WINDOW);
            (stats.count, stats.max_ns)
        }

        /// Returns the count, minimum and maximum of the totals, which are the same at any instant of reading.
        fn read_all(&self, since: TotalsSince) -> (u64, u64, u64) {
            let total = |slice| {
                let mut all = self.window.read_retired(slice, since);
                all.add_slice(&self.window.read(slice));
                all.summary(Duration::ZERO)
            };
            let current = self.window.slice;
            let [stats, others @ ..] = [current, 0, current + 1, current + 2, u64::MAX].map(total);
            assert_eq!(others, [stats; 4]);
            (stats.count, stats.min_ns, stats.max_ns)
        }
    }

    #[test]
    fn keeps_the_newer_half_and_nothing_older_than_a_window() {
        for recorded in (0..25_000).step_by(500) {
            let mut fixture = Fixture::new();
            fixture.record(recorded, 7);
            for age in 0..20_000 {
                let (count, _) = fixture.read(recorded + age);
                assert!(age >= 5_000 || count == 1, "recorded at {recorded} ms, missing after {age} ms");
                assert!(age < 10_000 || count == 0, "recorded at {recorded} ms, present after {age} ms");
            }
        }
    }

    #[test]
    fn slices_leave_one_by_one() {
        let mut fixture = Fixture::new();
        fixture.record(0, 1);
        fixture.record(4_999, 2);
        fixture.record(5_000, 3);
        assert_eq!(fixture.read(9_999), (3, 3));
        assert_eq!(fixture.read(10_000), (1, 3));
        fixture.record(10_000, 4);
        assert_eq!(fixture.read(10_000), (2, 4));
        assert_eq!(fixture.read(15_000), (1, 4));
        assert_eq!(fixture.read(20_000), (0, 0));
    }

    #[test]
    fn totals_include_what_has_left_the_window() {
        let mut fixture = Fixture::new();
        assert_eq!(fixture.read_all(TotalsSince::LastReset), (0, 0, 0));
        // Every way to leave: slice by slice, after an idle time, and as a late record.
        for (slice, at_ms) in (1..).zip([0, 4_999, 5_000, 10_000, 60_000, 65_000, 30_000, 200_000]) {
            fixture.record(at_ms, slice);
            assert_eq!(fixture.read_all(TotalsSince::LastReset), (slice, 1, slice), "at {at_ms} ms");
        }
        assert_eq!(fixture.read(200_000), (1, 8));
    }

    #[test]
    fn totals_since_the_start_survive_a_clear() {
        let mut fixture = Fixture::new();
        for round in 0..3 {
            for (slice, at_ms) in (1..).zip([0, 5_000, 10_000]) {
                fixture.record(round * 30_000 + at_ms, round * 10 + slice);
            }
            assert_eq!(fixture.read_all(TotalsSince::LastReset), (3, round * 10 + 1, round * 10 + 3));
            assert_eq!(fixture.read_all(TotalsSince::Start), (3 * (round + 1), 1, round * 10 + 3));
            fixture.window.clear();
            assert_eq!(fixture.read_all(TotalsSince::LastReset), (0, 0, 0));
            assert_eq!(fixture.read_all(TotalsSince::Start), (3 * (round + 1), 1, round * 10 + 3));
        }
    }

    #[test]
    fn an_idle_time_empties_the_window() {
        let mut fixture = Fixture::new();
        fixture.record(0, 1);
        fixture.record(5_000, 2);
        fixture.record(60_000, 3);
        assert_eq!(fixture.read(60_000), (1, 3));
    }

    #[test]
    fn late_records_belong_to_their_own_slices() {
        let mut fixture = Fixture::new();
        fixture.record(12_000, 1);
        fixture.record(9_000, 2);
        fixture.record(4_000, 3);
        assert_eq!(fixture.read(12_000), (2, 2), "a record older than the window is not in it");
        assert_eq!(fixture.read(15_000), (1, 1), "the late record leaves with its own slice");
    }

    #[test]
    fn a_late_reader_gets_the_whole_window() {
        let mut fixture = Fixture::new();
        fixture.record(25_000, 1);
        fixture.record(30_000, 2);
        assert_eq!(fixture.read(0), (2, 2));
    }

    #[test]
    fn clearing_keeps_the_slice() {
        let mut fixture = Fixture::new();
        fixture.record(12_000, 1);
        fixture.window.clear();
        assert_eq!(fixture.read(12_000), (0, 0));
        fixture.record(12_001, 2);
        assert_eq!(fixture.read(12_001), (1, 2));
    }

    #[test]
    fn extreme_window_lengths_work() {
        for window in [Duration::ZERO, Duration::from_nanos(1), Duration::MAX] {
            let slices = Slices::new(window);
            let mut rolling = Window::default();
            let later = slices.number_at(1_000_000_000);
            rolling.record(later, Duration::from_nanos(5));
            assert_eq!(rolling.read(later).summary(slices.window_length()).count, 1);
        }
        assert_eq!(Slices::new(Duration::ZERO).window_length(), Duration::from_nanos(2));
    }

    #[test]
    fn the_last_slice_does_not_overflow() {
        let mut window = Window::default();
        window.record(u64::MAX, Duration::ZERO);
        assert_eq!(window.read(u64::MAX).summary(WINDOW).count, 1);
    }
}
