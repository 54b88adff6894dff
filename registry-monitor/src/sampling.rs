//! Systematic sampling of lookups: exactly one in each group of N is timed, at a position that varies between groups.

use std::sync::atomic::{AtomicU64, Ordering};

pub(crate) mod controller;

/// 2³² divided by the golden ratio: its multiples modulo 2³², truncated to any number of top bits, are evenly spread.
const GOLDEN: u64 = 0x9E37_79B9;

/// Picks one number of each group of N consecutive ones.
///
/// Picking every N-th would be simpler, and biased: a program that alternates between lookups of a server and of a
/// transport would have only one of the two timed, because N is even.
/// So the position within the group advances by the golden ratio from group to group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Sampling {
    /// N − 1, where N is a power of two.
    mask: u64,
}

/// A [`Sampling`] that can be replaced while other threads read it.
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
    /// Picks one number in `every`, rounded up to a power of two of at most 2³¹. Zero counts as one.
    pub(crate) fn new(every: u32) -> Self {
        Self { mask: u64::from(every.checked_next_power_of_two().unwrap_or(1 << 31)) - 1 }
    }

    /// Returns N.
    pub(crate) fn every(self) -> u64 {
        self.mask + 1
    }

    /// Returns a word that identifies this sampling.
    pub(crate) fn to_bits(self) -> u64 {
        self.mask
    }

    /// Returns whether a number is picked. Numbers count from zero.
    pub(crate) fn picks(self, number: u64) -> bool {
        self.pick_in_group(number) == number
    }

    /// Returns the first number at or after this one that is picked.
    pub(crate) fn next_pick(self, number: u64) -> u64 {
        let picked = self.pick_in_group(number);
        if picked >= number { picked } else { self.pick_in_group((number | self.mask).wrapping_add(1)) }
    }

    /// Returns the picked number of the group that contains this one.
    fn pick_in_group(self, number: u64) -> u64 {
        // Setting the low bits gives one value per group. Clearing them would too, and would pick the number 0: but the
        // first lookup of a thread runs with cold caches and does not represent the N − 1 after it.
        let offset = (number | self.mask).wrapping_mul(GOLDEN) >> 32;
        (number & !self.mask) | (offset & self.mask)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_group_has_exactly_one_pick() {
        for every in [1, 2, 4, 64, 1_024] {
            let sampling = Sampling::new(every);
            for group in 0..1_000 {
                let first = group * u64::from(every);
                let picked = (first..first + u64::from(every)).filter(|&number| sampling.picks(number)).count();
                assert_eq!(picked, 1, "group {group} of {every}");
            }
        }
    }

    #[test]
    fn next_pick_is_the_first_picked_number() {
        for every in [1, 2, 64, 1_024] {
            let sampling = Sampling::new(every);
            for number in 0..5_000 {
                let next_pick = (number..).find(|&number| sampling.picks(number));
                assert_eq!(Some(sampling.next_pick(number)), next_pick, "{number} of {every}");
            }
        }
    }

    #[test]
    fn n_is_rounded_up_to_a_power_of_two() {
        let picked = |every| (0..1 << 14).filter(|&number| Sampling::new(every).picks(number)).count();
        assert_eq!([0, 1, 2, 3, 33, 64, 65].map(picked), [1, 1, 2, 4, 64, 64, 128].map(|rate| (1 << 14) / rate));
        assert_eq!(Sampling::new(u32::MAX).mask, (1 << 31) - 1);
    }

    #[test]
    fn periodic_lookups_are_sampled_evenly() {
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
    fn number_zero_is_picked_only_if_n_is_at_most_two() {
        assert!(Sampling::new(1).picks(0) && Sampling::new(2).picks(0));
        assert!((2..32).all(|bits| !Sampling::new(1 << bits).picks(0)));
    }
}
