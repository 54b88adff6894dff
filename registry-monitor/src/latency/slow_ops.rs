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
pub(crate) struct Bounds {
    /// Longer than this is slow.
    pub(crate) slow: Duration,
    /// Longer than this is warm.
    pub(crate) elevated: Duration,
    /// So many slow ones are enough to tell.
    pub(crate) min_samples: u64,
}

/// The counts of the newest slice that something was recorded in, and of the nine before it.
#[derive(Debug, Default)]
pub(crate) struct Paces {
    /// The number of the newest slice.
    number: u64,
    /// Slice *n* is at *n* modulo their number.
    ring: [Counts; SLICES],
}

#[derive(Clone, Copy, Debug, Default)]
struct Counts {
    count: u32,
    slow: u32,
    elevated: u32,
}

impl Paces {
    /// Counts an operation in the slice of this number, or nowhere if that is no longer part of the window.
    pub(crate) fn record(&mut self, number: u64, latency: Duration, bounds: &Bounds) {
        self.add(number, (1, u32::from(latency > bounds.slow), u32::from(latency > bounds.elevated)));
    }

    /// Adds so many operations, slow ones and warm ones.
    pub(crate) fn add(&mut self, number: u64, (count, slow, elevated): (u32, u32, u32)) {
        if number > self.number {
            // Each slice that was skipped is empty.
            for skipped in (self.number + 1..=number).rev().take(SLICES) {
                self.ring[index(skipped)] = Counts::default();
            }
            self.number = number;
        }
        if self.number - number < SLICES as u64 {
            let counts = &mut self.ring[index(number)];
            // Four thousand million in one slice are as good as more.
            counts.count = counts.count.saturating_add(count);
            counts.slow = counts.slow.saturating_add(slow);
            counts.elevated = counts.elevated.saturating_add(elevated);
        }
    }

    /// The shortest stretch up to the slice of this number that shows beyond chance that more than one in a hundred is
    /// slow; all of the window if there is none.
    ///
    /// With a number below that of the newest slice, up to the newest: the caller read its clock before others did.
    pub(crate) fn read(&self, number: u64, slice: Duration, bounds: &Bounds) -> SlowOps {
        let last = number.max(self.number);
        let mut pace = SlowOps::default();
        for back in 0..SLICES as u64 {
            pace.within = slice.saturating_mul(back as u32 + 1);
            let present = last.checked_sub(back).filter(|&number| number <= self.number);
            if let Some(number) = present.filter(|number| self.number - number < SLICES as u64) {
                let counts = &self.ring[index(number)];
                pace.count += u64::from(counts.count);
                pace.slow += u64::from(counts.slow);
                pace.elevated += u64::from(counts.elevated);
            }
            if is_clearly_slow(&pace, bounds.min_samples) {
                break;
            }
        }
        pace
    }
}

fn index(number: u64) -> usize {
    (number % SLICES as u64) as usize
}

/// Whether more than one in a hundred was slow, with enough slow ones to tell.
pub(crate) fn is_slow(pace: &SlowOps, min_samples: u64) -> bool {
    pace.slow >= min_samples.max(1) && pace.slow.saturating_mul(100) > pace.count
}

/// Whether so many were slow that it is no chance, if one in a hundred is: three standard deviations more than that.
///
/// Ten stretches are looked at each second, and short ones have few operations: of a thousand, of which one in two hundred
/// is slow, eleven are so by chance once in a minute.
fn is_clearly_slow(pace: &SlowOps, min_samples: u64) -> bool {
    // All times a hundred: the excess, and the square root of what is to be expected.
    let (count, slow) = (u128::from(pace.count), u128::from(pace.slow));
    let excess = (100 * slow).saturating_sub(count);
    is_slow(pace, min_samples) && excess * excess > 9 * 100 * count
}

/// Whether there is no sign that more than one in a hundred was warm, half as many of them being a sign as are enough.
pub(crate) fn is_calm(pace: &SlowOps, min_samples: u64) -> bool {
    pace.elevated.saturating_mul(100) <= pace.count || pace.elevated < min_samples.div_ceil(2)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);
    const BOUNDS: Bounds =
        Bounds { slow: Duration::from_micros(100), elevated: Duration::from_micros(50), min_samples: 10 };

    fn record(paces: &mut Paces, number: u64, times: u64, micros: u64) {
        (0..times).for_each(|_| paces.record(number, Duration::from_micros(micros), &BOUNDS));
    }

    fn read(paces: &Paces, number: u64) -> (u64, u64, u64, u64) {
        let pace = paces.read(number, SECOND, &BOUNDS);
        (pace.within.as_secs(), pace.count, pace.slow, pace.elevated)
    }

    #[test]
    fn a_shard_that_has_just_become_slow_is_not_hidden_by_its_past() {
        let mut paces = Paces::default();
        (0..10).for_each(|number| record(&mut paces, number, 10_000, 5));
        record(&mut paces, 10, 12, 5_000);
        // Twelve in a hundred thousand; but all of the last second.
        assert_eq!(read(&paces, 10), (1, 12, 12, 12));
        assert!(is_slow(&paces.read(10, SECOND, &BOUNDS), 10));
    }

    #[test]
    fn a_short_stretch_must_be_slow_beyond_chance() {
        let after_calm = |slow| {
            let mut paces = Paces::default();
            (0..9).for_each(|number| record(&mut paces, number, 1_000, 5));
            record(&mut paces, 9, 1_000 - slow, 5);
            record(&mut paces, 9, slow, 101);
            read(&paces, 9)
        };
        // Ten are one in a hundred, and three times their square root is 9.5.
        assert_eq!([after_calm(11), after_calm(19)], [(10, 10_000, 11, 11), (10, 10_000, 19, 19)]);
        assert_eq!(after_calm(20), (1, 1_000, 20, 20));
    }

    #[test]
    fn without_a_slow_stretch_it_is_the_whole_window() {
        let mut paces = Paces::default();
        for number in 0..30 {
            record(&mut paces, number, 100, 5);
            record(&mut paces, number, 1, 60);
            record(&mut paces, number, u64::from(number % 5 == 0), 200);
        }
        assert_eq!(read(&paces, 29), (10, 1_012, 2, 12));
        assert_eq!(read(&paces, 34), (10, 506, 1, 6), "five slices have left the window");
        assert_eq!(read(&paces, 39), (10, 0, 0, 0));
        assert_eq!(read(&paces, 1_000), (10, 0, 0, 0));
        assert_eq!(read(&paces, 0), (10, 1_012, 2, 12), "a reader who is late gets what there is");
    }

    #[test]
    fn few_slow_ones_tell_nothing() {
        let mut paces = Paces::default();
        record(&mut paces, 0, 9, 1_000);
        let pace = paces.read(0, SECOND, &BOUNDS);
        assert!(!is_slow(&pace, 10) && !is_calm(&pace, 10));
        let mut paces = Paces::default();
        record(&mut paces, 0, 4, 1_000);
        assert!(is_calm(&paces.read(0, SECOND, &BOUNDS), 10));
    }

    #[test]
    fn exactly_one_in_a_hundred_is_neither_slow_nor_warm() {
        let mut paces = Paces::default();
        record(&mut paces, 0, 990, 5);
        record(&mut paces, 0, 10, 101);
        let pace = paces.read(0, SECOND, &BOUNDS);
        assert!(!is_slow(&pace, 10) && is_calm(&pace, 10));
        record(&mut paces, 0, 1, 101);
        let pace = paces.read(0, SECOND, &BOUNDS);
        assert!(is_slow(&pace, 10) && !is_calm(&pace, 10));
    }

    #[test]
    fn silence_and_late_records_go_where_they_belong() {
        let mut paces = Paces::default();
        record(&mut paces, 3, 5, 5);
        record(&mut paces, 1_000, 1, 5);
        record(&mut paces, 991, 2, 5);
        record(&mut paces, 990, 4, 5);
        assert_eq!(read(&paces, 1_000).1, 3);
        record(&mut paces, u64::MAX, 1, 5);
        assert_eq!(read(&paces, u64::MAX).1, 1);
    }
}
