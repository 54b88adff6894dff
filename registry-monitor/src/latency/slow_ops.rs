//! How many of the last operations were slow: counts in ten slices of the window, and the stretch of them that tells most.
//!
//! A percentile of a long window notices late that a shard has become slow: who is slow does little, and all the fast
//! operations of before hide it. So every stretch that ends now is looked at, from one slice to all of them.

use std::time::Duration;

use registry_core::SlowOps;

/// In how many slices the window is cut.
pub(crate) const SLICES: usize = 10;

/// What is slow, in the terms of an alarm whose figure is the 99th percentile.
#[derive(Clone, Copy, Debug)]
pub(crate) struct SlowThresholds {
    /// Longer than this is slow.
    pub(crate) slow: Duration,
    /// Longer than this is warm.
    pub(crate) elevated: Duration,
    /// So many slow ones are enough to tell.
    pub(crate) min_samples: u64,
}

/// The counts of the newest slice that something was recorded in, and of the nine before it.
#[derive(Debug, Default)]
pub(crate) struct SlowOpsWindow {
    /// The number of the newest slice.
    slice: u64,
    /// Slice *n* is at *n* modulo their number.
    ring: [SliceCounts; SLICES],
}

#[derive(Clone, Copy, Debug, Default)]
struct SliceCounts {
    count: u32,
    slow: u32,
    elevated: u32,
}

impl SlowOpsWindow {
    /// Counts an operation in the slice of this number, or nowhere if that is no longer part of the window.
    pub(crate) fn record(&mut self, slice: u64, latency: Duration, thresholds: &SlowThresholds) {
        self.add(slice, (1, u32::from(latency > thresholds.slow), u32::from(latency > thresholds.elevated)));
    }

    /// Adds so many operations, slow ones and warm ones.
    pub(crate) fn add(&mut self, slice: u64, (count, slow, elevated): (u32, u32, u32)) {
        if slice > self.slice {
            // Each slice that was skipped is empty.
            for skipped in (self.slice + 1..=slice).rev().take(SLICES) {
                self.ring[index(skipped)] = SliceCounts::default();
            }
            self.slice = slice;
        }
        if self.slice - slice < SLICES as u64 {
            let slice_counts = &mut self.ring[index(slice)];
            // Four thousand million in one slice are as good as more.
            slice_counts.count = slice_counts.count.saturating_add(count);
            slice_counts.slow = slice_counts.slow.saturating_add(slow);
            slice_counts.elevated = slice_counts.elevated.saturating_add(elevated);
        }
    }

    /// The shortest stretch up to the slice of this number that shows beyond chance that more than one in a hundred is
    /// slow; all of the window if there is none.
    ///
    /// With a number below that of the newest slice, up to the newest: the caller read its clock before others did.
    pub(crate) fn read(&self, now: u64, slice: Duration, thresholds: &SlowThresholds) -> SlowOps {
        let newest = now.max(self.slice);
        let mut ops = SlowOps::default();
        for back in 0..SLICES as u64 {
            ops.within = slice.saturating_mul(back as u32 + 1);
            let present = newest.checked_sub(back).filter(|&number| number <= self.slice);
            if let Some(number) = present.filter(|number| self.slice - number < SLICES as u64) {
                let slice_counts = &self.ring[index(number)];
                ops.count += u64::from(slice_counts.count);
                ops.slow += u64::from(slice_counts.slow);
                ops.elevated += u64::from(slice_counts.elevated);
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

/// Whether more than one in a hundred was slow, with enough slow ones to tell.
pub(crate) fn is_slow(ops: &SlowOps, min_samples: u64) -> bool {
    ops.slow >= min_samples.max(1) && ops.slow.saturating_mul(100) > ops.count
}

/// Whether so many were slow that it is no chance, if one in a hundred is: three standard deviations more than that.
///
/// Ten stretches are looked at each second, and short ones have few operations: of a thousand, of which one in two hundred
/// is slow, eleven are so by chance once in a minute.
fn is_significantly_slow(ops: &SlowOps, min_samples: u64) -> bool {
    // All times a hundred: the excess, and the square root of what is to be expected.
    let (count, slow) = (u128::from(ops.count), u128::from(ops.slow));
    let excess = (100 * slow).saturating_sub(count);
    is_slow(ops, min_samples) && excess * excess > 9 * 100 * count
}

/// Whether there is no sign that more than one in a hundred was warm, half as many of them being a sign as are enough.
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
    fn a_shard_that_has_just_become_slow_is_not_hidden_by_its_past() {
        let mut window = SlowOpsWindow::default();
        (0..10).for_each(|slice| record(&mut window, slice, 10_000, 5));
        record(&mut window, 10, 12, 5_000);
        // Twelve in a hundred thousand; but all of the last second.
        assert_eq!(read(&window, 10), (1, 12, 12, 12));
        assert!(is_slow(&window.read(10, SECOND, &BOUNDS), 10));
    }

    #[test]
    fn a_short_stretch_must_be_slow_beyond_chance() {
        let after_calm = |slow| {
            let mut window = SlowOpsWindow::default();
            (0..9).for_each(|slice| record(&mut window, slice, 1_000, 5));
            record(&mut window, 9, 1_000 - slow, 5);
            record(&mut window, 9, slow, 101);
            read(&window, 9)
        };
        // Ten are one in a hundred, and three times their square root is 9.5.
        assert_eq!([after_calm(11), after_calm(19)], [(10, 10_000, 11, 11), (10, 10_000, 19, 19)]);
        assert_eq!(after_calm(20), (1, 1_000, 20, 20));
    }

    #[test]
    fn without_a_slow_stretch_it_is_the_whole_window() {
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
        assert_eq!(read(&window, 0), (10, 1_012, 2, 12), "a reader who is late gets what there is");
    }

    #[test]
    fn few_slow_ones_tell_nothing() {
        let mut window = SlowOpsWindow::default();
        record(&mut window, 0, 9, 1_000);
        let ops = window.read(0, SECOND, &BOUNDS);
        assert!(!is_slow(&ops, 10) && !is_fast(&ops, 10));
        let mut window = SlowOpsWindow::default();
        record(&mut window, 0, 4, 1_000);
        assert!(is_fast(&window.read(0, SECOND, &BOUNDS), 10));
    }

    #[test]
    fn exactly_one_in_a_hundred_is_neither_slow_nor_warm() {
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
    fn silence_and_late_records_go_where_they_belong() {
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
