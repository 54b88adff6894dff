//! Histograms of latencies: exact count, mean, minimum and maximum, and percentiles with a bounded error.

use std::time::Duration;

use hdrhistogram::{Counter, Histogram};
use registry_core::LatencyStats;

/// Longer latencies count as this one, in nanoseconds: 292 years.
///
/// Half the range of 64 bits, which the histogram holds at its usual precision.
pub(crate) const MAX_LATENCY_NS: u64 = i64::MAX as u64;

/// The most latencies in a histogram of 32-bit buckets, so that no bucket overflows, even after two histograms are added.
///
/// Beyond two thousand million in one slice, the percentiles are those of the first ones; all else stays exact.
const MAX_HISTOGRAM_COUNT: u64 = (u32::MAX / 2) as u64;

/// Latencies, with buckets that count in `C`: 32 bits suffice for one slice of the window, [`LifetimeHistogram`] is for
/// totals.
#[derive(Clone, Debug)]
pub(crate) struct LatencyHistogram<C: Counter = u32> {
    count: u64,
    sum_ns: u128,
    /// Unspecified while `count` is zero.
    min_ns: u64,
    max_ns: u64,
    /// Allocated by the first record: most shards of an idle registry never need one.
    ///
    /// One significant decimal digit means that buckets are exact below 32 ns, and from there on at most as wide as 1/16 of
    /// their lower end.
    histogram: Option<Histogram<C>>,
}

/// Latencies without a limit to their number: no bucket of 64 bits overflows.
pub(crate) type LifetimeHistogram = LatencyHistogram<u64>;

/// Returns a duration in nanoseconds, saturating at five hundred years.
#[inline]
pub(crate) fn nanoseconds(duration: Duration) -> u64 {
    duration.as_secs().saturating_mul(1_000_000_000).saturating_add(u64::from(duration.subsec_nanos()))
}

impl<C: Counter> LatencyHistogram<C> {
    /// Adds a latency. Those above [`MAX_LATENCY_NS`] count as that.
    pub(crate) fn record(&mut self, latency: Duration) {
        let ns = nanoseconds(latency).min(MAX_LATENCY_NS);
        self.min_ns = if self.count == 0 { ns } else { self.min_ns.min(ns) };
        self.max_ns = self.max_ns.max(ns);
        self.count += 1;
        self.sum_ns += u128::from(ns);
        if self.count <= MAX_HISTOGRAM_COUNT || size_of::<C>() > size_of::<u32>() {
            let recorded = self.histogram.get_or_insert_with(empty).record(ns);
            debug_assert!(recorded.is_ok(), "the histogram resizes itself: {recorded:?}");
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// Adds all latencies of another histogram of the same type.
    pub(crate) fn add(&mut self, other: &Self) {
        self.add_exact(other);
        match (&mut self.histogram, &other.histogram) {
            (Some(ours), Some(theirs)) => {
                let added = ours.add(theirs);
                debug_assert!(added.is_ok(), "the histogram resizes itself: {added:?}");
            }
            (ours @ None, Some(theirs)) => *ours = Some(theirs.clone()),
            (_, None) => {}
        }
    }

    /// Adds everything except the buckets.
    fn add_exact<D: Counter>(&mut self, other: &LatencyHistogram<D>) {
        if other.count == 0 {
            return;
        }
        self.min_ns = if self.count == 0 { other.min_ns } else { self.min_ns.min(other.min_ns) };
        self.max_ns = self.max_ns.max(other.max_ns);
        self.count += other.count;
        self.sum_ns += other.sum_ns;
    }

    /// Removes all latencies, and keeps the allocation.
    pub(crate) fn clear(&mut self) {
        let histogram = self.histogram.take().map(|mut histogram| {
            histogram.reset();
            histogram
        });
        *self = Self { histogram, ..Self::default() };
    }

    /// Returns the statistics, with `window` as given: zero for totals.
    ///
    /// A percentile is at least the exact one by nearest rank, and at most 1/16 above it.
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
            // The histogram returns the upper end of a bucket, which may exceed the maximum.
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
    /// Adds all latencies of a slice.
    ///
    /// O(buckets of the slice in use): a few hundred at most, once per slice.
    pub(crate) fn add_slice(&mut self, slice: &LatencyHistogram) {
        self.add_exact(slice);
        let Some(theirs) = &slice.histogram else { return };
        let ours = self.histogram.get_or_insert_with(empty);
        for bucket in theirs.iter_recorded() {
            // Both have the same bucket boundaries, so each count goes where its latencies would have gone.
            let added = ours.record_n(bucket.value_iterated_to(), u64::from(bucket.count_at_value()));
            debug_assert!(added.is_ok(), "the histogram resizes itself: {added:?}");
        }
    }
}

impl<C: Counter> Default for LatencyHistogram<C> {
    fn default() -> Self {
        Self { count: 0, sum_ns: 0, min_ns: 0, max_ns: 0, histogram: None }
    }
}

fn empty<C: Counter>() -> Histogram<C> {
    Histogram::new(1).expect("one significant digit is valid")
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

    /// Compares with the sorted latencies: percentiles within 1/16, all else exactly.
    fn check(all_ns: &[u64], stats: &LatencyStats) {
        let mut sorted = all_ns.to_vec();
        sorted.sort_unstable();
        let sum: u128 = sorted.iter().map(|&ns| u128::from(ns)).sum();
        assert_eq!(stats.count, sorted.len() as u64);
        assert_eq!((stats.min_ns, stats.max_ns), (sorted[0], sorted[sorted.len() - 1]));
        assert_eq!(stats.mean_ns, sum as f64 / sorted.len() as f64);
        for (per_mille, actual) in percentiles(stats) {
            let rank = (sorted.len() as u64 * per_mille).div_ceil(1_000);
            let exact = sorted[rank as usize - 1];
            assert!(actual >= exact, "{per_mille} of {}: {actual} is below {exact}", sorted.len());
            assert!(actual - exact <= exact / 16, "{per_mille} of {}: {actual} is too far above {exact}", sorted.len());
        }
    }

    #[test]
    fn percentile_error_is_bounded_for_any_count_and_scale() {
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
    fn percentile_error_is_bounded_at_bucket_boundaries() {
        for bits in 0..63 {
            for ns in [(1_u64 << bits) - 1, 1 << bits, (1 << bits) + 1] {
                // With a larger maximum, the upper end of the bucket is returned.
                let all = [ns, ns, ns, MAX_LATENCY_NS];
                check(&all[..3], &latencies(&all[..3]).summary(Duration::ZERO));
                let stats = latencies(&all).summary(Duration::ZERO);
                assert!(stats.p50_ns >= ns && stats.p50_ns - ns <= ns / 16, "{ns}: {}", stats.p50_ns);
            }
        }
    }

    #[test]
    fn add_equals_recording_both() {
        for (ours, theirs) in [(&[5, 70, 900][..], &[1, 1_000_000_000][..]), (&[], &[3]), (&[3], &[]), (&[9; 50], &[8])]
        {
            let mut sum = latencies(ours);
            sum.add(&latencies(theirs));
            check(&[ours, theirs].concat(), &sum.summary(Duration::ZERO));
        }
    }

    #[test]
    fn add_slice_equals_recording_all() {
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
    fn totals_exceed_32_bits() {
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
    fn empty_statistics_are_zero() {
        let mut expected = LatencyStats::default();
        expected.window = Duration::from_secs(1);
        assert_eq!(<LatencyHistogram>::default().summary(Duration::from_secs(1)), expected);
        let mut cleared = latencies(&[1, 2, 3]);
        cleared.clear();
        assert_eq!(cleared.summary(Duration::from_secs(1)), expected);
    }

    #[test]
    fn clearing_removes_all_latencies() {
        let mut latencies = latencies(&[1_000_000; 10]);
        latencies.clear();
        latencies.record(Duration::from_nanos(40));
        check(&[40], &latencies.summary(Duration::ZERO));
    }

    #[test]
    fn zero_latencies_are_recorded() {
        check(&[0, 0, 0], &latencies(&[0, 0, 0]).summary(Duration::ZERO));
        check(&[0, 10], &latencies(&[0, 10]).summary(Duration::ZERO));
    }

    #[test]
    fn long_latencies_saturate() {
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
    fn beyond_its_maximum_count_only_percentiles_are_lost() {
        let mut latencies = latencies(&[7; 10]);
        latencies.count = MAX_HISTOGRAM_COUNT;
        latencies.record(Duration::from_nanos(9));
        let stats = latencies.summary(Duration::ZERO);
        assert_eq!((stats.count, stats.max_ns, stats.p999_ns), (MAX_HISTOGRAM_COUNT + 1, 9, 7));
    }
}
