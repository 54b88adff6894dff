//! The alarm of a shard: when its latencies are too high.
//!
//! A rule is a pure function of statistics; the state from check to check is a [`Hysteresis`](super::hysteresis).

use std::time::Duration;

use registry_core::{Alarm, AlarmMetric, BuildError, LatencyStats, Operation, ShardStats, SlowOps};

use super::hysteresis::Condition;
use crate::latency::slow_ops::{SlowThresholds, is_fast, is_slow};

/// The rule that raises and clears the alarm of a shard.
///
/// By default the alarm is raised when the 99th percentile of the shard's sampled lookups, or of its registrations and
/// removals, is above 100 µs with at least ten operations above it. It is cleared when the percentile has been below 50 µs
/// for five seconds.
///
/// The percentile is that of the window, or of any suffix of it in steps of a tenth: so a shard that becomes slow raises its
/// alarm at once, however fast it was before. A suffix shorter than the window must exceed the threshold significantly, by
/// three standard deviations: 20 of 1,000 operations, or 131 of 10,000. A window with few operations may exceed it by
/// chance; [`min_samples`](Self::min_samples) excludes those.
///
/// # Examples
///
/// ```
/// use std::time::Duration;
/// use registry_monitor::AlarmRule;
///
/// let rule = AlarmRule::default().with_threshold(Duration::from_millis(1));
/// assert_eq!((rule.threshold.as_micros(), rule.min_samples), (1_000, 10));
/// assert!(rule.check().is_ok());
/// ```
#[derive(Clone, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize), serde(default, deny_unknown_fields))]
#[non_exhaustive]
pub struct AlarmRule {
    /// The statistic that is compared with the threshold. Default: the 99th percentile.
    pub metric: AlarmMetric,
    /// The alarm is raised above this, and not at it. Default: 100 µs.
    pub threshold: Duration,
    /// The minimum number of operations to raise the alarm. Default: 10.
    ///
    /// For the 99th percentile, the number of operations above the threshold, so that one slow operation in a hundred is
    /// not enough. For a mean, the number of writes.
    pub min_samples: u64,
    /// The fraction of the threshold below which the alarm is cleared, above 0 and at most 1. Default: 0.5.
    pub clear_below: f64,
    /// How long the statistic must have been below that, at every check. Default: 5 s.
    pub clear_after: Duration,
}

impl AlarmRule {
    /// Returns a rule without hysteresis: the alarm is raised while the mean of the last ten writes is above 100 ms.
    ///
    /// A shard without a write in the window is not in alarm, because otherwise its alarm would last until the next write.
    #[must_use]
    pub fn mean_of_last_writes() -> Self {
        Self {
            metric: AlarmMetric::MeanOfLast,
            threshold: Duration::from_millis(100),
            min_samples: 10,
            clear_below: 1.0,
            clear_after: Duration::ZERO,
        }
    }

    /// Checks that all values are in range.
    ///
    /// # Errors
    ///
    /// [`BuildError::Setting`] with the name of the first invalid setting.
    pub fn check(&self) -> Result<(), BuildError> {
        let setting = |name, must| Err(BuildError::Setting { name, must });
        if self.threshold.is_zero() || self.threshold > Duration::from_secs(3_600) {
            return setting("alarm.threshold", "above zero and at most an hour");
        }
        if self.min_samples == 0 {
            return setting("alarm.min_samples", "at least 1");
        }
        if !(self.clear_below > 0.0 && self.clear_below <= 1.0) {
            return setting("alarm.clear_below", "above 0 and at most 1");
        }
        Ok(())
    }

    /// Returns the thresholds for counting slow operations.
    pub(crate) fn thresholds(&self) -> SlowThresholds {
        let clear_below = if self.clear_below.is_finite() { self.clear_below.clamp(0.0, 1.0) } else { 1.0 };
        SlowThresholds {
            slow: self.threshold,
            elevated: self.threshold.mul_f64(clear_below),
            min_samples: self.min_samples,
        }
    }

    /// Returns the condition of a shard, and the alarm with the statistic that it is based on.
    pub(crate) fn evaluate(&self, stats: &ShardStats) -> (Condition, Alarm) {
        if let Some((count, mean_ns)) = self.metric.mean(stats) {
            return self.evaluate_mean(stats, count, mean_ns);
        }
        let reads = self.evaluate_slow_ops(stats, Operation::Read, &stats.slow_reads, &stats.reads);
        let writes = self.evaluate_slow_ops(stats, Operation::Write, &stats.slow_writes, &stats.writes);
        if reads.0 > writes.0 { reads } else { writes }
    }

    fn evaluate_slow_ops(
        &self,
        stats: &ShardStats,
        operation: Operation,
        ops: &SlowOps,
        latency: &LatencyStats,
    ) -> (Condition, Alarm) {
        let condition = match () {
            () if is_slow(ops, self.min_samples) => Condition::Bad,
            () if is_fast(ops, self.min_samples) => Condition::Good,
            () => Condition::Marginal,
        };
        let mut alarm = Alarm::new(stats.shard, operation, AlarmMetric::P99, self.threshold);
        alarm.measured_ns = latency.p99_ns as f64;
        (alarm.samples, alarm.slow) = (ops.count, ops.slow);
        (condition, alarm)
    }

    fn evaluate_mean(&self, stats: &ShardStats, count: u64, mean_ns: f64) -> (Condition, Alarm) {
        let threshold_ns = self.threshold.as_nanos() as f64;
        // Writes were counted but their latencies are gone: the statistics have been reset.
        let is_unknown = count == 0 && stats.slow_writes.count > 0;
        let condition = match () {
            () if is_unknown => Condition::Marginal,
            () if count == 0 || mean_ns <= threshold_ns * self.clear_below => Condition::Good,
            () if count >= self.min_samples && mean_ns > threshold_ns => Condition::Bad,
            () => Condition::Marginal,
        };
        let mut alarm = Alarm::new(stats.shard, Operation::Write, self.metric, self.threshold);
        alarm.measured_ns = if count == 0 { 0.0 } else { mean_ns };
        alarm.samples = count;
        (condition, alarm)
    }
}

impl AlarmRule {
    /// Sets [`metric`](Self::metric).
    #[must_use]
    pub fn with_metric(self, metric: AlarmMetric) -> Self {
        Self { metric, ..self }
    }

    /// Sets [`threshold`](Self::threshold).
    #[must_use]
    pub fn with_threshold(self, threshold: Duration) -> Self {
        Self { threshold, ..self }
    }

    /// Sets [`min_samples`](Self::min_samples).
    #[must_use]
    pub fn with_min_samples(self, min_samples: u64) -> Self {
        Self { min_samples, ..self }
    }

    /// Sets [`clear_below`](Self::clear_below).
    #[must_use]
    pub fn with_clear_below(self, clear_below: f64) -> Self {
        Self { clear_below, ..self }
    }

    /// Sets [`clear_after`](Self::clear_after).
    #[must_use]
    pub fn with_clear_after(self, clear_after: Duration) -> Self {
        Self { clear_after, ..self }
    }
}

impl Default for AlarmRule {
    fn default() -> Self {
        Self {
            metric: AlarmMetric::P99,
            threshold: Duration::from_micros(100),
            min_samples: 10,
            clear_below: 0.5,
            clear_after: Duration::from_secs(5),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn slow_writes(count: u64, slow: u64, elevated: u64) -> ShardStats {
        let mut stats = ShardStats::default();
        (stats.slow_writes.count, stats.slow_writes.slow, stats.slow_writes.elevated) = (count, slow, elevated);
        stats
    }

    fn mean_stats(count: u64, mean_ns: f64, last: u64, last_mean_ns: f64) -> ShardStats {
        let mut stats = ShardStats::default();
        (stats.writes.count, stats.writes.mean_ns) = (count, mean_ns);
        (stats.recent_writes.count, stats.recent_writes.mean_ns) = (last, last_mean_ns);
        stats
    }

    fn condition(rule: &AlarmRule, stats: &ShardStats) -> Condition {
        rule.evaluate(stats).0
    }

    #[test]
    fn more_than_one_in_a_hundred_and_min_samples_must_be_slow() {
        let rule = AlarmRule::default();
        assert_eq!(condition(&rule, &slow_writes(0, 0, 0)), Condition::Good);
        assert_eq!(condition(&rule, &slow_writes(9, 9, 9)), Condition::Marginal);
        assert_eq!(condition(&rule, &slow_writes(10, 10, 10)), Condition::Bad);
        assert_eq!(condition(&rule, &slow_writes(1_000, 10, 10)), Condition::Good);
        assert_eq!(condition(&rule, &slow_writes(1_000, 10, 11)), Condition::Marginal);
        assert_eq!(condition(&rule, &slow_writes(1_000, 11, 11)), Condition::Bad);
    }

    #[test]
    fn the_worse_of_reads_and_writes_is_returned() {
        let mut stats = slow_writes(100, 50, 50);
        let (condition, alarm) = AlarmRule::default().evaluate(&stats);
        assert_eq!((condition, alarm.operation, alarm.samples), (Condition::Bad, Operation::Write, 100));
        stats.slow_reads = std::mem::take(&mut stats.slow_writes);
        stats.reads.p99_ns = 7;
        let (condition, alarm) = AlarmRule::default().evaluate(&stats);
        assert_eq!((condition, alarm.operation, alarm.measured_ns), (Condition::Bad, Operation::Read, 7.0));
    }

    #[test]
    fn mean_of_last_writes_needs_ten_writes() {
        let rule = AlarmRule::mean_of_last_writes();
        let of_last = |count, mean_ns| condition(&rule, &mean_stats(1, 0.0, count, mean_ns));
        assert_eq!(of_last(10, 100_000_001.0), Condition::Bad);
        assert_eq!(of_last(10, 100_000_000.0), Condition::Good);
        assert_eq!(of_last(9, 1e12), Condition::Marginal);
        assert_eq!(
            condition(&rule, &mean_stats(0, 0.0, 10, 1e12)),
            Condition::Good,
            "all writes are older than the window"
        );
    }

    #[test]
    fn the_mean_covers_the_window() {
        let rule = AlarmRule::default().with_metric(AlarmMetric::Mean);
        let of_window = |count, mean_ns| condition(&rule, &mean_stats(count, mean_ns, 0, 0.0));
        assert_eq!(of_window(10, 100_001.0), Condition::Bad);
        assert_eq!([of_window(10, 100_000.0), of_window(9, 1e9)], [Condition::Marginal; 2]);
        assert_eq!([of_window(10, 50_000.0), of_window(0, 0.0)], [Condition::Good; 2]);
    }

    #[test]
    fn invalid_rules_are_errors_and_do_not_panic() {
        assert_eq!([AlarmRule::default().check(), AlarmRule::mean_of_last_writes().check()], [Ok(()); 2]);
        let default = AlarmRule::default;
        for rule in [
            default().with_threshold(Duration::ZERO),
            default().with_threshold(Duration::MAX),
            default().with_min_samples(0),
            default().with_clear_below(0.0),
            default().with_clear_below(1.1),
            default().with_clear_below(f64::NAN),
        ] {
            assert!(matches!(rule.check(), Err(BuildError::Setting { .. })), "{rule:?}");
            rule.thresholds();
            rule.evaluate(&slow_writes(1, 1, 1));
        }
    }
}
