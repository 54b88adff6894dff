//! A rolling window of latencies: two slices of half a window each, turned over by the instants of the callers, and the
//! sum of what has left it.

use std::time::Duration;

use crate::latency::histogram::{LatencyHistogram, LifetimeHistogram};

/// How time is cut into slices, alike for all windows of a monitor.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Slices {
    slice_ns: u64,
}

impl Slices {
    /// Slices of half a `window` each, at least 1 ns.
    pub(crate) fn new(window: Duration) -> Self {
        let slice_ns = u64::try_from(window.as_nanos() / 2).unwrap_or(u64::MAX).max(1);
        Self { slice_ns }
    }

    /// The number of the slice that is so many nanoseconds after the start.
    #[inline]
    pub(crate) fn number_at(&self, since_start: u64) -> u64 {
        since_start / self.slice_ns
    }

    /// How far back two slices reach at most.
    pub(crate) fn window_length(&self) -> Duration {
        Duration::from_nanos(self.slice_ns).saturating_mul(2)
    }
}

/// The latencies of the newest slice that something was recorded in, and of the slice before that.
///
/// Time here is that of the records. A slice without any is skipped when a later one comes, and reading turns
/// nothing over, so readers with different ideas of the present do not disturb each other.
///
/// A slice that leaves is added to what has left before, so what there ever was costs nothing per record.
#[derive(Debug, Default)]
pub(crate) struct Window {
    /// The number of the newest slice.
    slice: u64,
    current: LatencyHistogram,
    /// Of the slice `slice − 1`.
    previous: LatencyHistogram,
    /// Made when something leaves first: a shard that was never busy has none.
    retired: Option<Box<Retired>>,
}

/// The latencies that are no longer part of a window.
#[derive(Debug, Default)]
struct Retired {
    /// Since it was cleared.
    since_reset: LifetimeHistogram,
    /// Before that.
    before_reset: LifetimeHistogram,
}

/// Which latencies that are not of the window count as well.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum TotalsSince {
    /// Those since the window was cleared last.
    LastReset,
    /// Those since it was made.
    Start,
}

impl Window {
    /// Adds a latency to the slice of this number.
    ///
    /// A thread may be held up between reading the clock and coming here, so a number may be lower than one that came
    /// earlier. It goes where it belongs, be that among those that have left the window.
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

    /// Makes room for a new slice.
    fn advance_to(&mut self, slice: u64) {
        retire(&mut self.previous, &mut self.retired);
        if slice - self.slice == 1 {
            std::mem::swap(&mut self.current, &mut self.previous);
        } else {
            retire(&mut self.current, &mut self.retired);
        }
        self.slice = slice;
    }

    /// The latencies of the window whose present slice has this number.
    ///
    /// With a number below that of the newest slice, everything that is there: the caller read its clock, and others
    /// went on recording before it came here.
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

    /// All latencies that [`read`](Self::read) with this number does not give: those that have left, or are about to.
    ///
    /// Mostly a copy and no more, so that whoever holds a lock on the window can let it go and add the two up then.
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

    /// Forgets all latencies, but for who asks for those [since it was made](TotalsSince::Start).
    pub(crate) fn clear(&mut self) {
        retire(&mut self.previous, &mut self.retired);
        retire(&mut self.current, &mut self.retired);
        if let Some(retired) = &mut self.retired {
            retired.before_reset.add(&retired.since_reset);
            retired.since_reset.clear();
        }
    }
}

/// Moves the latencies of a slice to those of the past.
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

    /// A window on a clock that the test turns.
    struct Clocked {
        slices: Slices,
        window: Window,
    }

    impl Clocked {
        fn new() -> Self {
            Self { slices: Slices::new(WINDOW), window: Window::default() }
        }

        fn record(&mut self, at_ms: u64, ns: u64) {
            let slice = self.slices.number_at(at_ms * 1_000_000);
            self.window.record(slice, Duration::from_nanos(ns));
        }

        /// Count and maximum.
        fn read(&self, at_ms: u64) -> (u64, u64) {
            let slice = self.slices.number_at(at_ms * 1_000_000);
            let stats = self.window.read(slice).summary(self.slices.window_length());
            assert_eq!(stats.window, WINDOW);
            (stats.count, stats.max_ns)
        }

        /// Count, minimum and maximum of all; the same whoever asks when.
        fn read_all(&self, since: TotalsSince) -> (u64, u64, u64) {
            let told = |slice| {
                let mut all = self.window.read_retired(slice, since);
                all.add_slice(&self.window.read(slice));
                all.summary(Duration::ZERO)
            };
            let current = self.window.slice;
            let [stats, others @ ..] = [current, 0, current + 1, current + 2, u64::MAX].map(told);
            assert_eq!(others, [stats; 4]);
            (stats.count, stats.min_ns, stats.max_ns)
        }
    }

    #[test]
    fn it_forgets_what_is_older_and_keeps_the_newer_half() {
        for recorded in (0..25_000).step_by(500) {
            let mut clocked = Clocked::new();
            clocked.record(recorded, 7);
            for age in 0..20_000 {
                let (count, _) = clocked.read(recorded + age);
                assert!(age >= 5_000 || count == 1, "recorded at {recorded} ms, forgotten after {age} ms");
                assert!(age < 10_000 || count == 0, "recorded at {recorded} ms, there after {age} ms");
            }
        }
    }

    #[test]
    fn slices_turn_over_one_by_one() {
        let mut clocked = Clocked::new();
        clocked.record(0, 1);
        clocked.record(4_999, 2);
        clocked.record(5_000, 3);
        assert_eq!(clocked.read(9_999), (3, 3));
        assert_eq!(clocked.read(10_000), (1, 3));
        clocked.record(10_000, 4);
        assert_eq!(clocked.read(10_000), (2, 4));
        assert_eq!(clocked.read(15_000), (1, 4));
        assert_eq!(clocked.read(20_000), (0, 0));
    }

    #[test]
    fn what_leaves_the_window_adds_up() {
        let mut clocked = Clocked::new();
        assert_eq!(clocked.read_all(TotalsSince::LastReset), (0, 0, 0));
        // Every way to leave: slice by slice, after a silence, and as a record that comes too late.
        for (slice, at_ms) in (1..).zip([0, 4_999, 5_000, 10_000, 60_000, 65_000, 30_000, 200_000]) {
            clocked.record(at_ms, slice);
            assert_eq!(clocked.read_all(TotalsSince::LastReset), (slice, 1, slice), "at {at_ms} ms");
        }
        assert_eq!(clocked.read(200_000), (1, 8));
    }

    #[test]
    fn what_is_cleared_is_still_known_to_who_asks_since_it_was_made() {
        let mut clocked = Clocked::new();
        for round in 0..3 {
            for (slice, at_ms) in (1..).zip([0, 5_000, 10_000]) {
                clocked.record(round * 30_000 + at_ms, round * 10 + slice);
            }
            assert_eq!(clocked.read_all(TotalsSince::LastReset), (3, round * 10 + 1, round * 10 + 3));
            assert_eq!(clocked.read_all(TotalsSince::Start), (3 * (round + 1), 1, round * 10 + 3));
            clocked.window.clear();
            assert_eq!(clocked.read_all(TotalsSince::LastReset), (0, 0, 0));
            assert_eq!(clocked.read_all(TotalsSince::Start), (3 * (round + 1), 1, round * 10 + 3));
        }
    }

    #[test]
    fn a_long_silence_leaves_nothing_behind() {
        let mut clocked = Clocked::new();
        clocked.record(0, 1);
        clocked.record(5_000, 2);
        clocked.record(60_000, 3);
        assert_eq!(clocked.read(60_000), (1, 3));
    }

    #[test]
    fn records_that_come_late_go_where_they_belong() {
        let mut clocked = Clocked::new();
        clocked.record(12_000, 1);
        clocked.record(9_000, 2);
        clocked.record(4_000, 3);
        assert_eq!(clocked.read(12_000), (2, 2), "older than the window is dropped");
        assert_eq!(clocked.read(15_000), (1, 1), "the late one leaves with its own slice");
    }

    #[test]
    fn a_reader_that_comes_late_gets_all_there_is() {
        let mut clocked = Clocked::new();
        clocked.record(25_000, 1);
        clocked.record(30_000, 2);
        assert_eq!(clocked.read(0), (2, 2));
    }

    #[test]
    fn clearing_forgets_but_keeps_time() {
        let mut clocked = Clocked::new();
        clocked.record(12_000, 1);
        clocked.window.clear();
        assert_eq!(clocked.read(12_000), (0, 0));
        clocked.record(12_001, 2);
        assert_eq!(clocked.read(12_001), (1, 2));
    }

    #[test]
    fn absurd_windows_work() {
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
    fn the_last_number_of_all_does_not_overflow() {
        let mut window = Window::default();
        window.record(u64::MAX, Duration::ZERO);
        assert_eq!(window.read(u64::MAX).summary(WINDOW).count, 1);
    }
}
