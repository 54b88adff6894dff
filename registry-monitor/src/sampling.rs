//! Which lookups are timed: exactly one in each row of N, and not always the same one of the row.

use std::sync::atomic::{AtomicU64, Ordering};

pub(crate) mod controller;

/// 2³² over the golden ratio: its multiples, cut to any number of the top bits of 32, spread evenly over them.
const GOLDEN: u64 = 0x9E37_79B9;

/// Picks one of each N consecutive numbers.
///
/// Taking every N-th would be simpler, and biased: programs repeat themselves, and one that looks up a server and a
/// transport in turn would have only one of the two timed, for ever, because N is even.
/// So each row of N has its own place, which moves by the golden ratio from row to row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Sampling {
    /// N − 1, where N is a power of two.
    mask: u64,
}

/// A sampling that may be changed while others read it.
#[derive(Debug)]
pub(crate) struct AtomicSampling(AtomicU64);

impl AtomicSampling {
    pub(crate) fn new(sampling: Sampling) -> Self {
        Self(AtomicU64::new(sampling.to_bits()))
    }

    pub(crate) fn load(&self) -> Sampling {
        Sampling { mask: self.0.load(Ordering::Relaxed) }
    }

    pub(crate) fn store(&self, sampling: Sampling) {
        self.0.store(sampling.to_bits(), Ordering::Relaxed);
    }
}

impl Sampling {
    /// One in `every`, rounded up to a power of two of at most 2³¹; zero counts as one.
    pub(crate) fn new(every: u32) -> Self {
        Self { mask: u64::from(every.checked_next_power_of_two().unwrap_or(1 << 31)) - 1 }
    }

    /// N.
    pub(crate) fn every(self) -> u64 {
        self.mask + 1
    }

    /// What tells it from others.
    pub(crate) fn to_bits(self) -> u64 {
        self.mask
    }

    /// Whether the number, counted from zero, is picked.
    pub(crate) fn picks(self, number: u64) -> bool {
        self.pick_in_group(number) == number
    }

    /// The first number from this one on that is picked.
    pub(crate) fn next_pick(self, number: u64) -> u64 {
        let picked = self.pick_in_group(number);
        if picked >= number { picked } else { self.pick_in_group((number | self.mask).wrapping_add(1)) }
    }

    /// The number that is picked of the row that this one is in.
    fn pick_in_group(self, number: u64) -> u64 {
        // Setting the low bits leaves what is the same for the whole row. Clearing them would do so too, and pick the
        // very first number: the first lookup of a thread finds cold caches, and would stand for N others.
        let offset = (number | self.mask).wrapping_mul(GOLDEN) >> 32;
        (number & !self.mask) | (offset & self.mask)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_row_has_exactly_one() {
        for every in [1, 2, 4, 64, 1_024] {
            let sampling = Sampling::new(every);
            for group in 0..1_000 {
                let first = group * u64::from(every);
                let picked = (first..first + u64::from(every)).filter(|&number| sampling.picks(number)).count();
                assert_eq!(picked, 1, "row {group} of {every}");
            }
        }
    }

    #[test]
    fn the_next_is_the_first_that_is_picked() {
        for every in [1, 2, 64, 1_024] {
            let sampling = Sampling::new(every);
            for number in 0..5_000 {
                let next_pick = (number..).find(|&number| sampling.picks(number));
                assert_eq!(Some(sampling.next_pick(number)), next_pick, "{number} of {every}");
            }
        }
    }

    #[test]
    fn the_rate_is_rounded_up_to_a_power_of_two() {
        let picked = |every| (0..1 << 14).filter(|&number| Sampling::new(every).picks(number)).count();
        assert_eq!([0, 1, 2, 3, 33, 64, 65].map(picked), [1, 1, 2, 4, 64, 64, 128].map(|rate| (1 << 14) / rate));
        assert_eq!(Sampling::new(u32::MAX).mask, (1 << 31) - 1);
    }

    #[test]
    fn a_program_that_repeats_itself_is_sampled_evenly() {
        let sampling = Sampling::new(64);
        for period in [2, 3, 4, 5, 7, 8, 16] {
            let mut samples = vec![0_u32; period as usize];
            for number in (0..64 * 1_000).filter(|&number| sampling.picks(number)) {
                samples[(number % period) as usize] += 1;
            }
            let fair = 1_000 / period as u32;
            assert!(samples.iter().all(|&n| n.abs_diff(fair) <= fair / 5), "period {period}: {samples:?}");
        }
    }

    #[test]
    fn the_first_number_of_all_is_picked_by_dense_samples_only() {
        assert!(Sampling::new(1).picks(0) && Sampling::new(2).picks(0));
        assert!((2..32).all(|bits| !Sampling::new(1 << bits).picks(0)));
    }
}
