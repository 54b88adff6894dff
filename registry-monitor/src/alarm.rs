//! When the writes of a shard are slow enough to say so: the rule of the original design, and no more.
//!
//! It is a pure function of the latencies of one window: the same figures give the same answer, nothing is
//! remembered, and no clock is read.
//! So it is *not* a state machine. There is no hysteresis: a shard whose mean lies at the limit may enter and leave
//! alarm each time it is asked. It looks at the mean and not at a percentile: one write of a second among a hundred
//! fast ones does not raise it. And it closes no admission: it tells, and others act.

use std::time::Duration;

use registry_core::LatencyStats;

/// Alarm when the mean write of a window took too long, provided that there were enough of them to tell.
///
/// The default is that of the original design: at least 10 writes with a mean above 100 ms.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize), serde(default, deny_unknown_fields))]
pub struct AlarmRule {
    /// With fewer writes than this in the window there is no alarm, however slow they were. Default: 10.
    ///
    /// Without any write there is none either, even if this is zero.
    pub min_writes: u64,
    /// The mean must be above this; one that equals it is still good. Default: 100 ms.
    pub mean: Duration,
}

impl AlarmRule {
    /// Whether these latencies of writes raise the alarm.
    #[must_use]
    pub fn alarms(&self, writes: &LatencyStats) -> bool {
        writes.count > 0 && writes.count >= self.min_writes && writes.mean_ns > self.mean.as_nanos() as f64
    }
}

impl Default for AlarmRule {
    fn default() -> Self {
        Self { min_writes: 10, mean: Duration::from_millis(100) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn writes(count: u64, mean_ns: f64) -> LatencyStats {
        let mut writes = LatencyStats::default();
        writes.count = count;
        writes.mean_ns = mean_ns;
        writes
    }

    #[test]
    fn the_default_is_that_of_the_original() {
        assert_eq!(AlarmRule::default(), AlarmRule { min_writes: 10, mean: Duration::from_millis(100) });
    }

    #[test]
    fn the_mean_must_be_above_the_limit() {
        let rule = AlarmRule::default();
        assert!(!rule.alarms(&writes(10, 99_999_999.0)));
        assert!(!rule.alarms(&writes(10, 100_000_000.0)));
        assert!(rule.alarms(&writes(10, 100_000_001.0)));
    }

    #[test]
    fn there_must_be_enough_writes() {
        let rule = AlarmRule::default();
        assert!(!rule.alarms(&writes(9, 1e12)));
        assert!(rule.alarms(&writes(10, 1e12)));
    }

    #[test]
    fn without_writes_there_is_no_alarm_whatever_the_rule() {
        let strictest = AlarmRule { min_writes: 0, mean: Duration::ZERO };
        assert!(!strictest.alarms(&writes(0, 0.0)));
        assert!(!strictest.alarms(&writes(1, 0.0)));
        assert!(strictest.alarms(&writes(1, 1.0)));
    }

    #[test]
    fn a_limit_beyond_all_latencies_never_alarms() {
        let never = AlarmRule { min_writes: 1, mean: Duration::MAX };
        assert!(!never.alarms(&writes(u64::MAX, u64::MAX as f64)));
    }
}
