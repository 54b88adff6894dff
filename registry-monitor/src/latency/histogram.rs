//! Latencies, summarised: exact count, mean, minimum and maximum, and percentiles within a bound.

use std::time::Duration;

use hdrhistogram::{Counter, Histogram};
use registry_core::LatencyStats;

/// The longest latency that is told from longer ones, in nanoseconds: 292 years.
///
/// Half of what 64 bits can say, which the histogram can hold with its usual precision.
pub(crate) const MAX_LATENCY_NS: u64 = i64::MAX as u64;

/// The most latencies that a histogram takes in, so that no bucket of 32 bits overflows, even after two histograms
/// were added. Two thousand million in one slice: percentiles are those of so many, the rest stays exact.
const MAX_HISTOGRAM_COUNT: u64 = (u32::MAX / 2) as u64;

/// What is known of the latencies of some operations, with buckets that count up to what `C` can hold: the default is for
/// a slice of time, [`LifetimeHistogram`] for however long.
#[derive(Clone, Debug)]
pub(crate) struct LatencyHistogram<C: Counter = u32> {
    count: u64,
    sum_ns: u128,
    /// Meaningless while `count` is zero.
    min_ns: u64,
    max_ns: u64,
    /// Made by the first record: most shards of an idle registry never need one.
    ///
    /// One significant decimal digit means buckets that are exact below 32 ns, and from there on 1/16 of their
    /// lower end wide at most.
    histogram: Option<Histogram<C>>,
}

/// Latencies that add up for ever: no bucket of 64 bits overflows.
pub(crate) type LifetimeHistogram = LatencyHistogram<u64>;

/// A duration in nanoseconds; five hundred years and more are as long as any.
#[inline]
pub(crate) fn nanoseconds(duration: Duration) -> u64 {
    duration.as_secs().saturating_mul(1_000_000_000).saturating_add(u64::from(duration.subsec_nanos()))
}

impl<C: Counter> LatencyHistogram<C> {
    /// Adds one latency; none is too short, and those above [`MAX_LATENCY_NS`] count as that.
    pub(crate) fn record(&mut self, latency: Duration) {
        let ns = nanoseconds(latency).min(MAX_LATENCY_NS);
        self.min_ns = if self.count == 0 { ns } else { self.min_ns.min(ns) };
        self.max_ns = self.max_ns.max(ns);
        self.count += 1;
        self.sum_ns += u128::from(ns);
        if self.count <= MAX_HISTOGRAM_COUNT || size_of::<C>() > size_of::<u32>() {
            let recorded = self.histogram.get_or_insert_with(empty).record(ns);
            debug_assert!(recorded.is_ok(), "the histogram grows as needed: {recorded:?}");
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// Adds all latencies of another of the same kind.
    pub(crate) fn add(&mut self, other: &Self) {
        self.add_exact(other);
        match (&mut self.histogram, &other.histogram) {
            (Some(ours), Some(theirs)) => {
                let added = ours.add(theirs);
                debug_assert!(added.is_ok(), "the histogram grows as needed: {added:?}");
            }
            (ours @ None, Some(theirs)) => *ours = Some(theirs.clone()),
            (_, None) => {}
        }
    }

    /// Adds all but the histogram.
    fn add_exact<D: Counter>(&mut self, other: &LatencyHistogram<D>) {
        if other.count == 0 {
            return;
        }
        self.min_ns = if self.count == 0 { other.min_ns } else { self.min_ns.min(other.min_ns) };
        self.max_ns = self.max_ns.max(other.max_ns);
        self.count += other.count;
        self.sum_ns += other.sum_ns;
    }

    /// Forgets everything, and keeps the memory of the histogram for the next.
    pub(crate) fn clear(&mut self) {
        let histogram = self.histogram.take().map(|mut histogram| {
            histogram.reset();
            histogram
        });
        *self = Self { histogram, ..Self::default() };
    }

    /// The figures, as those of a window that reaches back so far; zero for all that there ever were.
    ///
    /// A percentile is never below the exact one by nearest rank, and at most 1/16 above it.
    pub(crate) fn summary(&self, window: Duration) -> LatencyStats {
        let mut stats = LatencyStats::default();
        stats.window = window;
        if self.count == 0 {
            return stats;
        }
        stats.count = self.count;
        stats.mean_ns = self.sum_ns as f64 / self.count as f64;
        stats.min_ns = self.min_ns;
        stats.max_ns = self.max_ns;
        if let Some(histogram) = &self.histogram {
            // The histogram answers with the upper end of a bucket, which may lie above everything recorded.
            let at = |quantile| histogram.value_at_quantile(quantile).min(self.max_ns);
            stats.p50_ns = at(0.5);
            stats.p95_ns = at(0.95);
            stats.p99_ns = at(0.99);
            stats.p999_ns = at(0.999);
        }
        stats
    }
}

impl LifetimeHistogram {
    /// Adds all latencies of a slice of time.
    ///
    /// A step for each bucket of the slice that is in use: a few hundred at most, once in a slice.
    pub(crate) fn add_slice(&mut self, slice: &LatencyHistogram) {
        self.add_exact(slice);
        let Some(theirs) = &slice.histogram else { return };
        let ours = self.histogram.get_or_insert_with(empty);
        for bucket in theirs.iter_recorded() {
            // The buckets of both are cut alike, so each goes where its latencies would have gone.
            let added = ours.record_n(bucket.value_iterated_to(), u64::from(bucket.count_at_value()));
            debug_assert!(added.is_ok(), "the histogram grows as needed: {added:?}");
        }
    }
}

impl<C: Counter> Default for LatencyHistogram<C> {
    fn default() -> Self {
        Self { count: 0, sum_ns: 0, min_ns: 0, max_ns: 0, histogram: None }
    }
}

fn empty<C: Counter>() -> Histogram<C> {
    Histogram::new(1).expect("one digit is in range")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn latencies(all_ns: &[u64]) -> LatencyHistogram {
        let mut latencies = LatencyHistogram::default();
        for &ns in all_ns {
            latencies.record(Duration::from_nanos(ns));
        }
        latencies
    }

    fn percentiles(stats: &LatencyStats) -> [(u64, u64); 4] {
        [(500, stats.p50_ns), (950, stats.p95_ns), (990, stats.p99_ns), (999, stats.p999_ns)]
    }

    /// Compares with the sorted list: exact where exactness is promised, within 1/16 elsewhere.
    fn check(all_ns: &[u64], stats: &LatencyStats) {
        let mut sorted = all_ns.to_vec();
        sorted.sort_unstable();
        let sum: u128 = sorted.iter().map(|&ns| u128::from(ns)).sum();
        assert_eq!(stats.count, sorted.len() as u64);
        assert_eq!((stats.min_ns, stats.max_ns), (sorted[0], sorted[sorted.len() - 1]));
        assert_eq!(stats.mean_ns, sum as f64 / sorted.len() as f64);
        for (per_mille, told) in percentiles(stats) {
            let rank = (sorted.len() as u64 * per_mille).div_ceil(1_000);
            let exact = sorted[rank as usize - 1];
            assert!(told >= exact, "{per_mille} of {}: {told} is below {exact}", sorted.len());
            assert!(told - exact <= exact / 16, "{per_mille} of {}: {told} is too far above {exact}", sorted.len());
        }
    }

    #[test]
    fn percentiles_keep_their_bound_for_every_length_and_scale() {
        let mut state = 1_u64;
        let mut next = || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            state >> 33
        };
        for length in (1..400).chain([1_000, 2_000, 9_999, 10_000]) {
            // Random magnitudes, so that the tail is long and neighbouring ranks differ by much.
            let all: Vec<u64> = (0..length).map(|_| next() >> (next() % 31)).collect();
            check(&all, &latencies(&all).summary(Duration::ZERO));
        }
    }

    #[test]
    fn the_bound_holds_at_the_edges_of_buckets() {
        for bits in 0..63 {
            for ns in [(1_u64 << bits) - 1, 1 << bits, (1 << bits) + 1] {
                // The larger one keeps the maximum from hiding the bucket's upper end.
                let all = [ns, ns, ns, MAX_LATENCY_NS];
                check(&all[..3], &latencies(&all[..3]).summary(Duration::ZERO));
                let stats = latencies(&all).summary(Duration::ZERO);
                assert!(stats.p50_ns >= ns && stats.p50_ns - ns <= ns / 16, "{ns}: {}", stats.p50_ns);
            }
        }
    }

    #[test]
    fn adding_is_recording_both() {
        for (ours, theirs) in [(&[5, 70, 900][..], &[1, 1_000_000_000][..]), (&[], &[3]), (&[3], &[]), (&[9; 50], &[8])]
        {
            let mut sum = latencies(ours);
            sum.add(&latencies(theirs));
            check(&[ours, theirs].concat(), &sum.summary(Duration::ZERO));
        }
    }

    #[test]
    fn slices_that_add_up_are_as_if_all_had_been_recorded_at_once() {
        let slices: [Vec<u64>; 4] =
            [(0..500).map(|n| n * n * n).collect(), vec![], vec![7; 3], (0..63).map(|bits| 1 << bits).collect()];
        let mut sum = LifetimeHistogram::default();
        slices.iter().for_each(|slice| sum.add_slice(&latencies(slice)));
        sum.record(Duration::from_nanos(33));
        let all = [slices.concat(), vec![33]].concat();
        check(&all, &sum.summary(Duration::ZERO));
        assert_eq!(sum.summary(Duration::ZERO), latencies(&all).summary(Duration::ZERO));
        let mut twice = LifetimeHistogram::default();
        (0..2).for_each(|_| twice.add(&sum));
        check(&all.repeat(2), &twice.summary(Duration::ZERO));
    }

    #[test]
    fn more_than_32_bits_can_count_add_up() {
        let mut slice = latencies(&[7]);
        slice.count = u64::from(u32::MAX);
        slice.histogram.as_mut().unwrap().record_n(7, u32::MAX - 1).unwrap();
        let mut sum = LifetimeHistogram::default();
        (0..3).for_each(|_| sum.add_slice(&slice));
        sum.add_slice(&latencies(&[1_000_000]));
        let stats = sum.summary(Duration::ZERO);
        assert_eq!((stats.count, stats.p999_ns), (3 * u64::from(u32::MAX) + 1, 7));
        assert_eq!(sum.histogram.unwrap().len(), stats.count);
    }

    #[test]
    fn nothing_recorded_is_all_zero() {
        let mut expected = LatencyStats::default();
        expected.window = Duration::from_secs(1);
        assert_eq!(<LatencyHistogram>::default().summary(Duration::from_secs(1)), expected);
        let mut cleared = latencies(&[1, 2, 3]);
        cleared.clear();
        assert_eq!(cleared.summary(Duration::from_secs(1)), expected);
    }

    #[test]
    fn a_cleared_one_starts_afresh() {
        let mut latencies = latencies(&[1_000_000; 10]);
        latencies.clear();
        latencies.record(Duration::from_nanos(40));
        check(&[40], &latencies.summary(Duration::ZERO));
    }

    #[test]
    fn no_time_at_all_is_a_latency_too() {
        check(&[0, 0, 0], &latencies(&[0, 0, 0]).summary(Duration::ZERO));
        check(&[0, 10], &latencies(&[0, 10]).summary(Duration::ZERO));
    }

    #[test]
    fn the_absurdly_long_saturates() {
        let mut endless = LatencyHistogram::default();
        for _ in 0..100 {
            endless.record(Duration::MAX);
        }
        let mut sum = latencies(&[1]);
        sum.add(&endless);
        let stats = sum.summary(Duration::ZERO);
        assert_eq!((stats.min_ns, stats.p50_ns, stats.max_ns), (1, MAX_LATENCY_NS, MAX_LATENCY_NS));
        assert!(stats.mean_ns <= MAX_LATENCY_NS as f64);
    }

    #[test]
    fn more_than_a_histogram_can_hold_loses_percentiles_only() {
        let mut latencies = latencies(&[7; 10]);
        latencies.count = MAX_HISTOGRAM_COUNT;
        latencies.record(Duration::from_nanos(9));
        let stats = latencies.summary(Duration::ZERO);
        assert_eq!((stats.count, stats.max_ns, stats.p999_ns), (MAX_HISTOGRAM_COUNT + 1, 9, 7));
    }
}
