//! Measures of the distribution of entries over the shards.

use super::chi_square::upper_tail;

/// Returns (max − min) / mean of the entries per shard, or 0 without shards or entries.
///
/// Easy to understand, but without a fixed threshold: with few entries per shard it is large by chance alone.
/// With 64 shards and 10,000 entries, a uniform hash gives about 0.38. See [`imbalance`] for a measure that does not depend
/// on the number of entries.
#[must_use]
pub fn skew(entries: &[usize]) -> f64 {
    let (Some(max), Some(min)) = (entries.iter().max(), entries.iter().min()) else { return 0.0 };
    let mean = mean(entries);
    if mean == 0.0 { 0.0 } else { (max - min) as f64 / mean }
}

/// Returns chi-square divided by the degrees of freedom, of the entries per shard, or 0 with fewer than two shards or without
/// entries.
///
/// Near 1 for a uniform hash and any number of entries: with *k* shards the mean is 1 and the standard deviation is
/// √(2 / (*k* − 1)), which is 0.18 for 64 shards. Far above 1, the hash is not uniform; far below, the ids were chosen so
/// that they spread evenly.
#[must_use]
pub fn imbalance(entries: &[usize]) -> f64 {
    let mean = mean(entries);
    if entries.len() < 2 || mean == 0.0 {
        return 0.0;
    }
    let squares: f64 = entries.iter().map(|&count| (count as f64 - mean).powi(2)).sum();
    squares / mean / (entries.len() - 1) as f64
}

/// Returns the p-value of the chi-square test: the probability that a uniform hash distributes the entries at least this
/// unevenly.
///
/// Returns 1 with fewer than two shards, and with fewer than ten entries per shard on average, for which the tail of the
/// chi-square distribution is too thin and would give false alarms.
#[must_use]
pub fn p_value(entries: &[usize]) -> f64 {
    let Some(degrees) = entries.len().checked_sub(1).and_then(|degrees| u32::try_from(degrees).ok()) else {
        return 1.0;
    };
    if mean(entries) < MIN_MEAN { 1.0 } else { upper_tail(imbalance(entries) * f64::from(degrees), degrees) }
}

/// The least average number of entries per shard for the chi-square test.
const MIN_MEAN: f64 = 10.0;

/// Returns 0 without shards. The sum is one of floats, which does not overflow.
fn mean(entries: &[usize]) -> f64 {
    if entries.is_empty() { 0.0 } else { entries.iter().map(|&count| count as f64).sum::<f64>() / entries.len() as f64 }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::split_mix64::SplitMix64;

    #[test]
    fn no_entries_are_balanced() {
        for entries in [&[][..], &[0], &[0, 0, 0]] {
            assert_eq!((skew(entries), imbalance(entries)), (0.0, 0.0), "{entries:?}");
        }
    }

    #[test]
    fn one_shard_is_balanced() {
        assert_eq!((skew(&[1_000]), imbalance(&[1_000])), (0.0, 0.0));
    }

    #[test]
    fn equal_shards_have_no_imbalance() {
        assert_eq!((skew(&[5; 64]), imbalance(&[5; 64])), (0.0, 0.0));
    }

    #[test]
    fn small_cases_match_manual_results() {
        // Mean 2; squares 1 + 0 + 1 over mean 2 is 1, over 2 degrees of freedom.
        assert_eq!((skew(&[1, 2, 3]), imbalance(&[1, 2, 3])), (1.0, 0.5));
        // Everything in one shard of k: chi-square is n (k - 1), so n.
        assert_eq!((skew(&[100, 0, 0, 0]), imbalance(&[100, 0, 0, 0])), (4.0, 100.0));
    }

    #[test]
    fn uniform_entries_have_imbalance_one_for_any_number() {
        let mut rng = SplitMix64::new(42);
        for balls in [1_000, 10_000, 100_000] {
            let rounds = 100;
            let mean = (0..rounds).map(|_| imbalance(&rng.balls_into_bins(balls, 64))).sum::<f64>() / f64::from(rounds);
            // Five standard deviations of the mean of all rounds.
            assert!((mean - 1.0).abs() < 5.0 * (2.0_f64 / 63.0 / f64::from(rounds)).sqrt(), "{balls}: {mean}");
        }
    }

    #[test]
    fn uniform_entries_have_the_documented_skew() {
        let mut rng = SplitMix64::new(42);
        let mean = (0..100).map(|_| skew(&rng.balls_into_bins(10_000, 64))).sum::<f64>() / 100.0;
        assert!((0.36..0.40).contains(&mean), "{mean}");
    }

    #[test]
    fn extreme_counts_do_not_overflow() {
        assert!(skew(&[usize::MAX, usize::MAX, 0]) > 1.0);
        assert!(imbalance(&[usize::MAX, usize::MAX, 0]).is_finite());
    }

    #[test]
    fn p_values_are_calibrated() {
        for (balls, shards) in [(40, 4), (640, 64), (10_000, 64), (30, 2)] {
            let mut rng = SplitMix64::new(7);
            let rounds = 20_000;
            let rare = (0..rounds).filter(|_| p_value(&rng.balls_into_bins(balls, shards)) < 0.01).count();
            // The expected number is 200, a hundredth of the rounds; with few entries the test statistic is coarse.
            assert!((50..=300).contains(&rare), "{balls} in {shards}: {rare} of {rounds}");
        }
    }

    #[test]
    fn ids_chosen_for_one_shard_have_a_small_p_value() {
        let mut entries = SplitMix64::new(1).balls_into_bins(1_000, 64);
        assert!(p_value(&entries) > 1e-4);
        entries[9] += 60;
        assert!(p_value(&entries) < 1e-20, "{}", p_value(&entries));
    }

    #[test]
    fn few_entries_and_few_shards_have_p_value_one() {
        assert_eq!(p_value(&[]), 1.0);
        assert_eq!(p_value(&[1_000_000]), 1.0);
        assert_eq!(p_value(&[39, 0, 0, 0]), 1.0);
        assert!(p_value(&[40, 0, 0, 0]) < 1e-20);
    }
}
