//! The changes that a health check reports, each with the figures it is based on.

use std::fmt;
use std::time::Duration;

use crate::kind::Kind;
use crate::limit::{LimitCount, LimitUsage};
use crate::stats::{Operation, ShardStats};

/// A change of a registry's health between one health check and the next.
///
/// Every change that starts a condition (raised, detected, closed, reached) is followed by the change that ends it
/// before it is reported again for the same shard, kind, id or limit. Limits that are only counted are cleared in the
/// same total number as they were reached, in one or several changes.
#[derive(Clone, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize), serde(rename_all = "snake_case"))]
#[non_exhaustive]
pub enum HealthChange {
    /// A shard has become slow.
    AlarmRaised(Alarm),
    /// A slow shard has been fast again for the required time.
    AlarmCleared(Alarm),
    /// The distribution of entries over the shards is less even than chance explains.
    ImbalanceRaised(Imbalance),
    /// The distribution is explained by chance again.
    ImbalanceCleared(Imbalance),
    /// One id receives a large share of all lookups.
    HotIdDetected(HotId),
    /// The id no longer receives a large share.
    HotIdCleared(HotId),
    /// New registrations are rejected from now on.
    AdmissionClosed(AlarmedShards),
    /// New registrations are admitted again.
    AdmissionReopened(AlarmedShards),
    /// A limit was hit for the first time in a while.
    LimitReached(LimitUsage),
    /// A limit has not been hit for the required time.
    LimitCleared(LimitUsage),
    /// Label limits were hit, in addition to those that this check reports individually.
    MoreLimitsReached(LimitCount),
    /// Limits reported by [`MoreLimitsReached`](Self::MoreLimitsReached) have not been hit for the required time.
    MoreLimitsCleared(LimitCount),
}

/// The figure that an alarm compares with its threshold.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize), serde(rename_all = "snake_case"))]
#[non_exhaustive]
pub enum AlarmMetric {
    /// The 99th percentile of reads or writes: alarms if more than one operation in a hundred was slower than the
    /// threshold.
    #[default]
    P99,
    /// The mean latency of all writes in the window.
    Mean,
    /// The mean latency of the last few writes.
    MeanOfLast,
}

impl AlarmMetric {
    /// Returns a name for metrics and logs, in snake case.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::P99 => "p99",
            Self::Mean => "mean",
            Self::MeanOfLast => "mean_of_last",
        }
    }

    /// Returns the number of writes of a shard and their mean latency in nanoseconds, if the figure is a mean; `None`
    /// for a percentile. The number is zero if there was no write in the window.
    #[must_use]
    pub fn mean(self, stats: &ShardStats) -> Option<(u64, f64)> {
        match self {
            Self::P99 => None,
            Self::Mean => Some((stats.writes.count, stats.writes.mean_ns)),
            Self::MeanOfLast => {
                let is_idle = stats.writes.count == 0 && stats.slow_writes.count == 0;
                let count = if is_idle { 0 } else { stats.recent_writes.count };
                Some((count, stats.recent_writes.mean_ns))
            }
        }
    }
}

/// An alarm of a slow shard.
#[derive(Clone, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub struct Alarm {
    /// The index of the shard.
    pub shard: usize,
    /// The kind of operation that was slow.
    pub operation: Operation,
    /// The figure that was compared with the threshold.
    pub metric: AlarmMetric,
    /// The maximum of that figure.
    pub threshold: Duration,
    /// The current value of that figure in nanoseconds, over the whole window; zero if no operation was timed.
    pub measured_ns: f64,
    /// The number of operations on which the decision is based. For the 99th percentile, those of the most significant
    /// part of the window.
    pub samples: u64,
    /// The number of those that exceeded the threshold; zero for a mean.
    pub slow: u64,
}

impl Alarm {
    /// Creates an alarm without measurements. For implementations of a health check.
    pub fn new(shard: usize, operation: Operation, metric: AlarmMetric, threshold: Duration) -> Self {
        Self { shard, operation, metric, threshold, measured_ns: 0.0, samples: 0, slow: 0 }
    }
}

/// An uneven distribution of entries of one kind over the shards.
///
/// # Examples
///
/// ```
/// use registry_core::{Imbalance, Kind};
///
/// let mut imbalance = Imbalance::new(Kind::Server, 3);
/// (imbalance.entries, imbalance.mean, imbalance.p_value) = (900, 156.3, 1e-12);
/// assert_eq!(imbalance.to_string(), "shard 3 has 900 servers, the mean is 156.3, chance 1.0e-12");
/// ```
#[derive(Clone, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub struct Imbalance {
    /// The kind of the entries.
    pub kind: Kind,
    /// The shard with the most entries.
    pub shard: usize,
    /// The number of entries of that shard.
    pub entries: usize,
    /// The mean number of entries per shard.
    pub mean: f64,
    /// The probability of a distribution at least this uneven by chance.
    pub p_value: f64,
}

impl Imbalance {
    /// Creates an imbalance without measurements. For implementations of a health check.
    #[must_use]
    pub fn new(kind: Kind, shard: usize) -> Self {
        Self { kind, shard, entries: 0, mean: 0.0, p_value: 0.0 }
    }
}

/// An id with a notable share of the lookups, estimated from sampled lookups.
///
/// # Examples
///
/// ```
/// use registry_core::{HotId, Kind};
///
/// let mut hot = HotId::new(Kind::Server, "echo", 3);
/// (hot.share, hot.share_at_least, hot.samples) = (0.25, 0.24, 1_000);
/// assert_eq!(hot.to_string(), "server echo in shard 3, 25.0 % of 1000 sampled lookups");
/// ```
#[derive(Clone, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub struct HotId {
    /// The kind of registration that was looked up.
    pub kind: Kind,
    /// The id that was looked up, registered or not; invalid UTF-8 is replaced.
    pub id: Box<str>,
    /// The shard of the id.
    pub shard: usize,
    /// An upper bound of its share of the sampled lookups in the window, from 0 to 1.
    pub share: f64,
    /// A lower bound of that share.
    pub share_at_least: f64,
    /// The number of sampled lookups.
    pub samples: u64,
}

impl HotId {
    /// Creates an id without measurements. For implementations of [`Probe::hot_ids`](crate::Probe::hot_ids).
    #[must_use]
    pub fn new(kind: Kind, id: impl Into<Box<str>>, shard: usize) -> Self {
        Self { kind, id: id.into(), shard, share: 0.0, share_at_least: 0.0, samples: 0 }
    }
}

/// The number of shards in alarm when admission changed.
///
/// # Examples
///
/// ```
/// assert_eq!(registry_core::AlarmedShards::new(33, 64).to_string(), "33 of 64 shards in alarm");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub struct AlarmedShards {
    /// The number of shards in alarm.
    pub alarmed: usize,
    /// The number of shards.
    pub shards: usize,
}

impl AlarmedShards {
    /// Creates the number of shards in alarm, of all shards.
    #[must_use]
    pub fn new(alarmed: usize, shards: usize) -> Self {
        Self { alarmed, shards }
    }
}

impl fmt::Display for HealthChange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::AlarmRaised(alarm) => write!(f, "alarm raised: {alarm}"),
            Self::AlarmCleared(alarm) => write!(f, "alarm cleared: {alarm}"),
            Self::ImbalanceRaised(imbalance) => write!(f, "imbalance raised: {imbalance}"),
            Self::ImbalanceCleared(imbalance) => write!(f, "imbalance cleared: {imbalance}"),
            Self::HotIdDetected(hot) => write!(f, "hot id detected: {hot}"),
            Self::HotIdCleared(hot) => write!(f, "hot id cleared: {hot}"),
            Self::AdmissionClosed(alarmed_shards) => write!(f, "admission closed: {alarmed_shards}"),
            Self::AdmissionReopened(alarmed_shards) => write!(f, "admission reopened: {alarmed_shards}"),
            Self::LimitReached(limit) => write!(f, "limit reached: {limit}"),
            Self::LimitCleared(limit) => write!(f, "limit cleared: {limit}"),
            Self::MoreLimitsReached(more) => write!(f, "more limits reached: {}", more.limits),
            Self::MoreLimitsCleared(more) => write!(f, "more limits cleared: {}", more.limits),
        }
    }
}

impl fmt::Display for Alarm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { shard, operation, threshold, samples, slow, .. } = self;
        let measured = Duration::from_nanos(self.measured_ns as u64);
        let mean = match self.metric {
            AlarmMetric::P99 => {
                write!(f, "shard {shard}, {slow} of the last {samples} {operation}s took over {threshold:?}")?;
                return write!(f, ", p99 of the window is {measured:?}");
            }
            AlarmMetric::Mean => "mean of",
            AlarmMetric::MeanOfLast => "mean of the last",
        };
        write!(f, "shard {shard}, {mean} {samples} {operation}s is {measured:?}, threshold {threshold:?}")
    }
}

impl fmt::Display for Imbalance {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { kind, shard, entries, mean, p_value } = self;
        write!(f, "shard {shard} has {entries} {kind}s, the mean is {mean:.1}, chance {p_value:.1e}")
    }
}

impl fmt::Display for HotId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { kind, id, shard, share, samples, .. } = self;
        write!(f, "{kind} {id} in shard {shard}, {:.1} % of {samples} sampled lookups", share * 100.0)
    }
}

impl fmt::Display for AlarmedShards {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} of {} shards in alarm", self.alarmed, self.shards)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn metrics_agree_with_the_statistics_that_they_name() {
        let mut stats = ShardStats::default();
        (stats.writes.count, stats.writes.mean_ns) = (3, 30.0);
        (stats.recent_writes.count, stats.recent_writes.mean_ns) = (2, 20.0);
        let cases = [
            (AlarmMetric::P99, "p99", None),
            (AlarmMetric::Mean, "mean", Some((3, 30.0))),
            (AlarmMetric::MeanOfLast, "mean_of_last", Some((2, 20.0))),
        ];
        for (metric, name, mean) in cases {
            assert_eq!((metric.name(), metric.mean(&stats)), (name, mean));
        }
        // All writes are older than the window.
        stats.writes.count = 0;
        assert_eq!(AlarmMetric::MeanOfLast.mean(&stats), Some((0, 20.0)));
    }
}
