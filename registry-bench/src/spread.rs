//! Medians, ranges, quartiles and Zipf draws.

use serde::{Deserialize, Serialize};

/// A median with its range.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Spread {
    /// The median.
    pub median: f64,
    /// The least.
    pub min: f64,
    /// The greatest.
    pub max: f64,
}

impl Spread {
    /// Returns the spread of some figures; `None` if there are none.
    #[must_use]
    pub fn of(figures: &[f64]) -> Option<Self> {
        let mut sorted = figures.to_vec();
        sorted.sort_by(f64::total_cmp);
        let (min, max) = (*sorted.first()?, *sorted.last()?);
        let middle = sorted.len() / 2;
        let median =
            if sorted.len() % 2 == 1 { sorted[middle] } else { f64::midpoint(sorted[middle - 1], sorted[middle]) };
        Some(Self { median, min, max })
    }

    /// Returns whether the ranges overlap, so that a difference of the medians may be chance.
    #[must_use]
    pub fn overlaps(&self, other: &Self) -> bool {
        self.min <= other.max && other.min <= self.max
    }
}

/// Returns the first and the third quartile, with linear interpolation; `None` if there are no figures.
#[must_use]
pub fn quartiles(figures: &[f64]) -> Option<(f64, f64)> {
    let mut sorted = figures.to_vec();
    sorted.sort_by(f64::total_cmp);
    let last = sorted.len().checked_sub(1)?;
    let at = |part: f64| {
        let place = part * last as f64;
        let (below, rest) = (place.floor() as usize, place.fract());
        sorted[below] + rest * (sorted[(below + 1).min(last)] - sorted[below])
    };
    Some((at(0.25), at(0.75)))
}

/// Returns the median of whole numbers; zero if there are none.
#[must_use]
pub fn median(figures: &[u64]) -> u64 {
    let figures: Vec<f64> = figures.iter().map(|&figure| figure as f64).collect();
    Spread::of(&figures).map_or(0, |spread| spread.median.round() as u64)
}

/// Returns `draws` numbers from 0 to `n` − 1, where k is drawn in proportion to (k + 1) to the power of −`exponent`.
///
/// # Panics
///
/// If `n` is zero.
#[must_use]
pub fn zipf(n: usize, exponent: f64, draws: usize, seed: u64) -> Vec<u32> {
    assert!(n > 0, "`n` must be positive");
    let mut sum = 0.0;
    let cumulated: Vec<f64> = (1..=n)
        .map(|rank| {
            sum += (rank as f64).powf(-exponent);
            sum
        })
        .collect();
    let mut rng = fastrand::Rng::with_seed(seed);
    (0..draws)
        .map(|_| {
            let place = rng.f64() * sum;
            cumulated.partition_point(|&upto| upto <= place).min(n - 1) as u32
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_is_in_the_middle() {
        assert_eq!(Spread::of(&[3.0, 1.0, 2.0]), Some(Spread { median: 2.0, min: 1.0, max: 3.0 }));
        assert_eq!(Spread::of(&[4.0, 1.0]), Some(Spread { median: 2.5, min: 1.0, max: 4.0 }));
        assert_eq!(Spread::of(&[]), None);
        assert_eq!((median(&[9, 1, 5]), median(&[1, 2]), median(&[])), (5, 2, 0));
    }

    #[test]
    fn quartiles_are_interpolated() {
        assert_eq!(quartiles(&[5.0, 1.0, 3.0, 2.0, 4.0]), Some((2.0, 4.0)));
        assert_eq!(quartiles(&[1.0, 2.0, 3.0, 4.0]), Some((1.75, 3.25)));
        assert_eq!((quartiles(&[7.0]), quartiles(&[])), (Some((7.0, 7.0)), None));
    }

    #[test]
    fn ranges_overlap_or_not() {
        let spread = |min, max| Spread { median: min, min, max };
        assert!(spread(1.0, 2.0).overlaps(&spread(2.0, 3.0)));
        assert!(spread(1.0, 9.0).overlaps(&spread(2.0, 3.0)));
        assert!(!spread(1.0, 2.0).overlaps(&spread(2.1, 3.0)));
        assert!(!spread(2.1, 3.0).overlaps(&spread(1.0, 2.0)));
    }

    #[test]
    fn zipf_follows_its_distribution() {
        let (n, draws) = (1_000, 200_000);
        let mut counts = vec![0_u32; n];
        for drawn in zipf(n, 1.0, draws, 7) {
            counts[drawn as usize] += 1;
        }
        let harmonic: f64 = (1..=n).map(|rank| 1.0 / rank as f64).sum();
        for rank in [1, 2, 10] {
            let expected = draws as f64 / harmonic / rank as f64;
            let error = (f64::from(counts[rank - 1]) - expected).abs() / expected;
            assert!(error < 0.05, "rank {rank}: {} drawn, {expected} expected", counts[rank - 1]);
        }
        assert_eq!(zipf(n, 1.0, 100, 7), zipf(n, 1.0, 100, 7));
        assert_eq!(zipf(1, 1.0, 3, 7), [0, 0, 0]);
    }
}
