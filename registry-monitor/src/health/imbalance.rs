//! How unevenly entries lie over the shards, as a figure for people and as one that chance does not fool.

use super::chi_square::upper_tail;

/// (most − fewest) / mean of the entries per shard; 0 when there are no shards or no entries.
///
/// Easy to understand, and hard to judge: chance alone makes it large when there are few entries per shard.
/// With 64 shards a perfect hash gives about 0.38 at 10,000 entries. See [`imbalance`] for one to judge by.
#[must_use]
pub fn skew(entries: &[usize]) -> f64 {
    let (Some(most), Some(fewest)) = (entries.iter().max(), entries.iter().min()) else { return 0.0 };
    let mean = mean(entries);
    if mean == 0.0 { 0.0 } else { (most - fewest) as f64 / mean }
}

/// Chi-square over degrees of freedom of the entries per shard; 0 for one shard or none, or no entries.
///
/// Near 1 for a uniform hash, however many entries there are: with *k* shards it has mean 1 and a standard deviation
/// of √(2 / (*k* − 1)), so 0.18 for 64. Far above that, the hash is not uniform; far below, somebody dealt the ids.
#[must_use]
pub fn imbalance(entries: &[usize]) -> f64 {
    let mean = mean(entries);
    if entries.len() < 2 || mean == 0.0 {
        return 0.0;
    }
    let squares: f64 = entries.iter().map(|&count| (count as f64 - mean).powi(2)).sum();
    squares / mean / (entries.len() - 1) as f64
}

/// The probability that chance alone would spread so many entries so unevenly, or more; 1 when there is nothing to judge.
///
/// The upper tail of chi-square. With fewer than ten entries per shard on average it is told as 1, because for so few the
/// tail of chi-square is too thin and would cry wolf.
#[must_use]
pub fn p_value(entries: &[usize]) -> f64 {
    let Some(degrees) = entries.len().checked_sub(1).and_then(|degrees| u32::try_from(degrees).ok()) else {
        return 1.0;
    };
    if mean(entries) < LEAST_MEAN { 1.0 } else { upper_tail(imbalance(entries) * f64::from(degrees), degrees) }
}

/// With fewer entries per shard than this, chance is not judged.
const LEAST_MEAN: f64 = 10.0;

/// 0 for none; summed as floats, so that no sum overflows.
fn mean(entries: &[usize]) -> f64 {
    if entries.is_empty() { 0.0 } else { entries.iter().map(|&count| count as f64).sum::<f64>() / entries.len() as f64 }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::split_mix64::SplitMix64;

    #[test]
    fn nothing_is_even() {
        for entries in [&[][..], &[0], &[0, 0, 0]] {
            assert_eq!((skew(entries), imbalance(entries)), (0.0, 0.0), "{entries:?}");
        }
    }

    #[test]
    fn one_shard_is_even() {
        assert_eq!((skew(&[1_000]), imbalance(&[1_000])), (0.0, 0.0));
    }

    #[test]
    fn equal_shards_are_more_even_than_chance() {
        assert_eq!((skew(&[5; 64]), imbalance(&[5; 64])), (0.0, 0.0));
    }

    #[test]
    fn small_cases_by_hand() {
        // Mean 2; squares 1 + 0 + 1 over mean 2 is 1, over 2 degrees of freedom.
        assert_eq!((skew(&[1, 2, 3]), imbalance(&[1, 2, 3])), (1.0, 0.5));
        // Everything in one shard of k: chi-square is n (k - 1), so n.
        assert_eq!((skew(&[100, 0, 0, 0]), imbalance(&[100, 0, 0, 0])), (4.0, 100.0));
    }

    #[test]
    fn chance_gives_one_however_many_entries() {
        let mut chance = SplitMix64::new(42);
        for balls in [1_000, 10_000, 100_000] {
            let rounds = 100;
            let mean = (0..rounds).map(|_| imbalance(&chance.throw(balls, 64))).sum::<f64>() / f64::from(rounds);
            // Five standard deviations of the mean of so many rounds.
            assert!((mean - 1.0).abs() < 5.0 * (2.0_f64 / 63.0 / f64::from(rounds)).sqrt(), "{balls}: {mean}");
        }
    }

    #[test]
    fn chance_gives_the_skew_that_the_documentation_names() {
        let mut chance = SplitMix64::new(42);
        let mean = (0..100).map(|_| skew(&chance.throw(10_000, 64))).sum::<f64>() / 100.0;
        assert!((0.36..0.40).contains(&mean), "{mean}");
    }

    #[test]
    fn absurd_counts_do_not_overflow() {
        assert!(skew(&[usize::MAX, usize::MAX, 0]) > 1.0);
        assert!(imbalance(&[usize::MAX, usize::MAX, 0]).is_finite());
    }

    #[test]
    fn chance_is_told_as_rare_as_often_as_it_says() {
        for (balls, shards) in [(40, 4), (640, 64), (10_000, 64), (30, 2)] {
            let mut chance = SplitMix64::new(7);
            let rounds = 20_000;
            let rare = (0..rounds).filter(|_| p_value(&chance.throw(balls, shards)) < 0.01).count();
            // A hundredth of the rounds, which is 200; among few entries whole numbers make it more or less.
            assert!((50..=300).contains(&rare), "{balls} in {shards}: {rare} of {rounds}");
        }
    }

    #[test]
    fn what_is_aimed_at_one_shard_is_beyond_chance() {
        let mut entries = SplitMix64::new(1).throw(1_000, 64);
        assert!(p_value(&entries) > 1e-4);
        entries[9] += 60;
        assert!(p_value(&entries) < 1e-20, "{}", p_value(&entries));
    }

    #[test]
    fn few_entries_and_few_shards_are_not_judged() {
        assert_eq!(p_value(&[]), 1.0);
        assert_eq!(p_value(&[1_000_000]), 1.0);
        assert_eq!(p_value(&[39, 0, 0, 0]), 1.0);
        assert!(p_value(&[40, 0, 0, 0]) < 1e-20);
    }
}
