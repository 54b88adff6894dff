//! When a shard is slow: the rule by which its latencies are judged.
//!
//! A rule is a pure function of figures; what is remembered from check to check is a [latch](super::hysteresis).

use std::time::Duration;

use registry_core::{Alarm, AlarmMetric, BuildError, LatencyStats, Operation, ShardStats, SlowOps};

use super::hysteresis::Condition;
use crate::latency::slow_ops::{SlowThresholds, is_fast, is_slow};

/// Alarm when a shard is slow, and all clear when it has been fast for a while.
///
/// By default a shard alarms when the 99th percentile of its sampled lookups, or of its registrations and removals, is
/// over 100 µs with at least ten over it, and clears when it has been below 50 µs for five seconds.
/// The percentile is that of the window or of any shorter stretch that ends now, in steps of a tenth of the window: so a
/// shard that has just become slow is seen at once, whatever it was before. A shorter stretch counts if it is over the
/// threshold beyond chance, by three standard deviations: 20 of 1,000, or 131 of 10,000. A window with few operations may
/// be over it by chance; [`min_samples`](Self::min_samples) says how many are few.
#[derive(Clone, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize), serde(default, deny_unknown_fields))]
pub struct AlarmRule {
    /// Which figure is judged. Default: the 99th percentile.
    pub metric: AlarmMetric,
    /// The figure must be above this; one that equals it is still good. Default: 100 µs.
    pub threshold: Duration,
    /// How many operations are enough to tell. Default: 10.
    ///
    /// Of the 99th percentile, so many must be over the threshold: one hiccup among a hundred tells nothing.
    /// Of a mean, there must be so many writes.
    pub min_samples: u64,
    /// The alarm is cleared below this share of the threshold, above 0 and at most 1. Default: 0.5.
    pub clear_below: f64,
    /// For how long the figure must have been below that, at every check. Default: 5 s.
    pub clear_after: Duration,
}

impl AlarmRule {
    /// The rule of the original design: the mean of the last ten writes is over 100 ms, and there were ten. Without
    /// hysteresis.
    ///
    /// One thing differs: a shard without any write in the window is calm, for otherwise it would stay in alarm until
    /// somebody writes.
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

    /// Whether the rule makes sense.
    ///
    /// # Errors
    ///
    /// [`BuildError::Setting`], naming what does not.
    pub fn check(&self) -> Result<(), BuildError> {
        let setting = |name, must| Err(BuildError::Setting { name, must });
        if self.threshold.is_zero() || self.threshold > Duration::from_secs(3_600) {
            return setting("alarm.threshold", "from above zero to an hour");
        }
        if self.min_samples == 0 {
            return setting("alarm.enough", "at least 1");
        }
        if !(self.clear_below > 0.0 && self.clear_below <= 1.0) {
            return setting("alarm.clear_below", "above 0 and at most 1");
        }
        Ok(())
    }

    /// What the pace of a shard is told by.
    pub(crate) fn thresholds(&self) -> SlowThresholds {
        let clear_below = if self.clear_below.is_finite() { self.clear_below.clamp(0.0, 1.0) } else { 1.0 };
        SlowThresholds {
            slow: self.threshold,
            elevated: self.threshold.mul_f64(clear_below),
            min_samples: self.min_samples,
        }
    }

    /// What a shard's figures say, and the figure that says it.
    pub(crate) fn evaluate(&self, stats: &ShardStats) -> (Condition, Alarm) {
        match self.metric {
            AlarmMetric::Mean => {
                let LatencyStats { count, mean_ns, .. } = stats.writes;
                self.evaluate_mean(stats, count, mean_ns)
            }
            AlarmMetric::MeanOfLast => {
                let is_silent = stats.writes.count == 0 && stats.slow_writes.count == 0;
                let count = if is_silent { 0 } else { stats.recent_writes.count };
                self.evaluate_mean(stats, count, stats.recent_writes.mean_ns)
            }
            // New measures fall back to the default one.
            _ => {
                let reads = self.evaluate_slow_ops(stats, Operation::Read, &stats.slow_reads, &stats.reads);
                let writes = self.evaluate_slow_ops(stats, Operation::Write, &stats.slow_writes, &stats.writes);
                if reads.0 > writes.0 { reads } else { writes }
            }
        }
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
        // None that is known, but there were some: the figures have been reset.
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

    fn slow_write_stats(count: u64, slow: u64, elevated: u64) -> ShardStats {
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
    fn more_than_one_in_a_hundred_must_be_slow_and_enough_of_them() {
        let rule = AlarmRule::default();
        assert_eq!(condition(&rule, &slow_write_stats(0, 0, 0)), Condition::Good);
        assert_eq!(condition(&rule, &slow_write_stats(9, 9, 9)), Condition::Marginal);
        assert_eq!(condition(&rule, &slow_write_stats(10, 10, 10)), Condition::Bad);
        assert_eq!(condition(&rule, &slow_write_stats(1_000, 10, 10)), Condition::Good);
        assert_eq!(condition(&rule, &slow_write_stats(1_000, 10, 11)), Condition::Marginal);
        assert_eq!(condition(&rule, &slow_write_stats(1_000, 11, 11)), Condition::Bad);
    }

    #[test]
    fn the_worse_of_reads_and_writes_counts() {
        let mut stats = slow_write_stats(100, 50, 50);
        let (condition, alarm) = AlarmRule::default().evaluate(&stats);
        assert_eq!((condition, alarm.operation, alarm.samples), (Condition::Bad, Operation::Write, 100));
        stats.slow_reads = std::mem::take(&mut stats.slow_writes);
        stats.reads.p99_ns = 7;
        let (condition, alarm) = AlarmRule::default().evaluate(&stats);
        assert_eq!((condition, alarm.operation, alarm.measured_ns), (Condition::Bad, Operation::Read, 7.0));
    }

    #[test]
    fn the_original_takes_the_mean_of_ten() {
        let rule = AlarmRule::mean_of_last_writes();
        let of_last = |count, mean_ns| condition(&rule, &mean_stats(1, 0.0, count, mean_ns));
        assert_eq!(of_last(10, 100_000_001.0), Condition::Bad);
        assert_eq!(of_last(10, 100_000_000.0), Condition::Good);
        assert_eq!(of_last(9, 1e12), Condition::Marginal);
        assert_eq!(condition(&rule, &mean_stats(0, 0.0, 10, 1e12)), Condition::Good, "they are older than the window");
    }

    #[test]
    fn a_mean_is_that_of_the_window() {
        let rule = AlarmRule { metric: AlarmMetric::Mean, ..AlarmRule::default() };
        let of_window = |count, mean_ns| condition(&rule, &mean_stats(count, mean_ns, 0, 0.0));
        assert_eq!(of_window(10, 100_001.0), Condition::Bad);
        assert_eq!([of_window(10, 100_000.0), of_window(9, 1e9)], [Condition::Marginal; 2]);
        assert_eq!([of_window(10, 50_000.0), of_window(0, 0.0)], [Condition::Good; 2]);
    }

    #[test]
    fn senseless_rules_are_errors_and_no_panic() {
        assert_eq!([AlarmRule::default().check(), AlarmRule::mean_of_last_writes().check()], [Ok(()); 2]);
        let default = AlarmRule::default;
        for rule in [
            AlarmRule { threshold: Duration::ZERO, ..default() },
            AlarmRule { threshold: Duration::MAX, ..default() },
            AlarmRule { min_samples: 0, ..default() },
            AlarmRule { clear_below: 0.0, ..default() },
            AlarmRule { clear_below: 1.1, ..default() },
            AlarmRule { clear_below: f64::NAN, ..default() },
        ] {
            assert!(matches!(rule.check(), Err(BuildError::Setting { .. })), "{rule:?}");
            rule.thresholds();
            rule.evaluate(&slow_write_stats(1, 1, 1));
        }
    }
}
