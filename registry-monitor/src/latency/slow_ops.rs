//! How many of the last operations were slow: counts in ten slices of the window, evaluated over every suffix of it.
//!
//! The percentile of a long window rises late when a shard becomes slow: a slow shard completes few operations, and the
//! fast ones before outnumber them. So every suffix of the window is evaluated, from the last slice to all ten.

use std::time::Duration;

use registry_core::SlowOps;

/// The number of slices in a window.
pub(crate) const SLICES: usize = 10;

/// The thresholds of an alarm on the 99th percentile.
#[derive(Clone, Copy, Debug)]
pub(crate) struct SlowThresholds {
    /// Operations that take longer are slow.
    pub(crate) slow: Duration,
    /// Operations that take longer are elevated.
    pub(crate) elevated: Duration,
    /// The least number of slow operations for an alarm.
    pub(crate) min_samples: u64,
}

/// Counts of operations in the newest slice with a record, and in the nine before it.
#[derive(Debug, Default)]
pub(crate) struct SlowOpsWindow {
    /// The number of the newest slice.
    slice: u64,
    /// Slice *n* is at index *n* modulo the number of slices.
    ring: [SliceCounts; SLICES],
}

#[derive(Clone, Copy, Debug, Default)]
struct SliceCounts {
    count: u32,
    slow: u32,
    elevated: u32,
}

impl SlowOpsWindow {
    /// Counts an operation in a slice, unless that has left the window.
    pub(crate) fn record(&mut self, slice: u64, latency: Duration, thresholds: &SlowThresholds) {
        self.add(slice, (1, u32::from(latency > thresholds.slow), u32::from(latency > thresholds.elevated)));
    }

    /// Adds counts of all, slow and elevated operations.
    pub(crate) fn add(&mut self, slice: u64, (count, slow, elevated): (u32, u32, u32)) {
        if slice > self.slice {
            for new in (self.slice + 1..=slice).rev().take(SLICES) {
                self.ring[index(new)] = SliceCounts::default();
            }
            self.slice = slice;
        }
        if self.slice - slice < SLICES as u64 {
            let counts = &mut self.ring[index(slice)];
            counts.count = counts.count.saturating_add(count);
            counts.slow = counts.slow.saturating_add(slow);
            counts.elevated = counts.elevated.saturating_add(elevated);
        }
    }

    /// Returns the counts of the shortest suffix of the window in which significantly more than one in a hundred is slow,
    /// or those of the whole window if there is none.
    ///
    /// The window ends with slice `now`, or with the newest slice if that is later: other threads have recorded since the
    /// caller read the clock.
    pub(crate) fn read(&self, now: u64, slice_length: Duration, thresholds: &SlowThresholds) -> SlowOps {
        let last = now.max(self.slice);
        let mut ops = SlowOps::default();
        for back in 0..SLICES as u64 {
            ops.within = slice_length.saturating_mul(back as u32 + 1);
            let slice = last.checked_sub(back).filter(|&slice| slice <= self.slice);
            if let Some(slice) = slice.filter(|slice| self.slice - slice < SLICES as u64) {
                let counts = &self.ring[index(slice)];
                ops.count += u64::from(counts.count);
                ops.slow += u64::from(counts.slow);
                ops.elevated += u64::from(counts.elevated);
            }
            if is_significantly_slow(&ops, thresholds.min_samples) {
                break;
            }
        }
        ops
    }
}

fn index(slice: u64) -> usize {
    (slice % SLICES as u64) as usize
}

/// Returns whether more than one in a hundred was slow, and at least `min_samples` were.
pub(crate) fn is_slow(ops: &SlowOps, min_samples: u64) -> bool {
    ops.slow >= min_samples.max(1) && ops.slow.saturating_mul(100) > ops.count
}

/// Returns whether [`is_slow`] holds, and the slow operations exceed one in a hundred by three standard deviations.
///
/// Ten suffixes are evaluated each second, and short ones have few operations: of a thousand operations of which one in two
/// hundred is slow, eleven are slow by chance once in a minute.
fn is_significantly_slow(ops: &SlowOps, min_samples: u64) -> bool {
    // Multiplied by a hundred: the excess, and the square root of the expected number.
    let (count, slow) = (u128::from(ops.count), u128::from(ops.slow));
    let excess = (100 * slow).saturating_sub(count);
    is_slow(ops, min_samples) && excess * excess > 9 * 100 * count
}

/// Returns whether at most one in a hundred was elevated, or fewer than half of `min_samples` were.
pub(crate) fn is_fast(ops: &SlowOps, min_samples: u64) -> bool {
    ops.elevated.saturating_mul(100) <= ops.count || ops.elevated < min_samples.div_ceil(2)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);
    const BOUNDS: SlowThresholds =
        SlowThresholds { slow: Duration::from_micros(100), elevated: Duration::from_micros(50), min_samples: 10 };

    fn record(window: &mut SlowOpsWindow, slice: u64, times: u64, micros: u64) {
        (0..times).for_each(|_| window.record(slice, Duration::from_micros(micros), &BOUNDS));
    }

    fn read(window: &SlowOpsWindow, slice: u64) -> (u64, u64, u64, u64) {
        let ops = window.read(slice, SECOND, &BOUNDS);
        (ops.within.as_secs(), ops.count, ops.slow, ops.elevated)
    }

    #[test]
    fn fast_operations_before_do_not_hide_slow_ones() {
        let mut window = SlowOpsWindow::default();
        (0..10).for_each(|slice| record(&mut window, slice, 10_000, 5));
        record(&mut window, 10, 12, 5_000);
        // Twelve in a hundred thousand, but all of the last second.
        assert_eq!(read(&window, 10), (1, 12, 12, 12));
        assert!(is_slow(&window.read(10, SECOND, &BOUNDS), 10));
    }

    #[test]
    fn a_short_suffix_must_be_significantly_slow() {
        let after_fast_slices = |slow| {
            let mut window = SlowOpsWindow::default();
            (0..9).for_each(|slice| record(&mut window, slice, 1_000, 5));
            record(&mut window, 9, 1_000 - slow, 5);
            record(&mut window, 9, slow, 101);
            read(&window, 9)
        };
        // The expected number is ten, and three standard deviations of it are 9.5.
        assert_eq!([after_fast_slices(11), after_fast_slices(19)], [(10, 10_000, 11, 11), (10, 10_000, 19, 19)]);
        assert_eq!(after_fast_slices(20), (1, 1_000, 20, 20));
    }

    #[test]
    fn without_a_slow_suffix_the_whole_window_is_returned() {
        let mut window = SlowOpsWindow::default();
        for slice in 0..30 {
            record(&mut window, slice, 100, 5);
            record(&mut window, slice, 1, 60);
            record(&mut window, slice, u64::from(slice % 5 == 0), 200);
        }
        assert_eq!(read(&window, 29), (10, 1_012, 2, 12));
        assert_eq!(read(&window, 34), (10, 506, 1, 6), "five slices have left the window");
        assert_eq!(read(&window, 39), (10, 0, 0, 0));
        assert_eq!(read(&window, 1_000), (10, 0, 0, 0));
        assert_eq!(read(&window, 0), (10, 1_012, 2, 12), "a late reader gets the whole window");
    }

    #[test]
    fn fewer_than_min_samples_are_not_slow() {
        let mut window = SlowOpsWindow::default();
        record(&mut window, 0, 9, 1_000);
        let ops = window.read(0, SECOND, &BOUNDS);
        assert!(!is_slow(&ops, 10) && !is_fast(&ops, 10));
        let mut window = SlowOpsWindow::default();
        record(&mut window, 0, 4, 1_000);
        assert!(is_fast(&window.read(0, SECOND, &BOUNDS), 10));
    }

    #[test]
    fn exactly_one_in_a_hundred_is_fast() {
        let mut window = SlowOpsWindow::default();
        record(&mut window, 0, 990, 5);
        record(&mut window, 0, 10, 101);
        let ops = window.read(0, SECOND, &BOUNDS);
        assert!(!is_slow(&ops, 10) && is_fast(&ops, 10));
        record(&mut window, 0, 1, 101);
        let ops = window.read(0, SECOND, &BOUNDS);
        assert!(is_slow(&ops, 10) && !is_fast(&ops, 10));
    }

    #[test]
    fn idle_times_and_late_records_are_counted_in_their_slices() {
        let mut window = SlowOpsWindow::default();
        record(&mut window, 3, 5, 5);
        record(&mut window, 1_000, 1, 5);
        record(&mut window, 991, 2, 5);
        record(&mut window, 990, 4, 5);
        assert_eq!(read(&window, 1_000).1, 3);
        record(&mut window, u64::MAX, 1, 5);
        assert_eq!(read(&window, u64::MAX).1, 1);
    }
}
