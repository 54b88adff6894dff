//! What a check of a registry's health may find: changes, each with the figures that it was judged by.

use std::fmt;
use std::time::Duration;

use crate::admission::Kind;
use crate::metadata::Bytes;
use crate::probe::Operation;

/// A change of a registry's health between one check and the next.
///
/// Every change that begins something (raised, named, closed, hit) is followed by the one that ends it before it comes
/// again for the same shard, kind, id or cap. Where caps are only counted, as many are relieved as were hit, in one or in
/// several changes.
#[derive(Clone, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize), serde(rename_all = "snake_case"))]
#[non_exhaustive]
pub enum HealthChange {
    /// A shard has become slow.
    AlarmRaised(Alarm),
    /// A slow shard has been fast again for long enough.
    AlarmCleared(Alarm),
    /// Entries lie more unevenly over the shards than chance would have it.
    ImbalanceRaised(Imbalance),
    /// They lie as chance would have it again.
    ImbalanceCleared(Imbalance),
    /// One id gets a large share of all lookups.
    HotIdDetected(HotId),
    /// It does not any more.
    HotIdCleared(HotId),
    /// New registrations are refused from now on.
    AdmissionClosed(AlarmedShards),
    /// New registrations are taken again.
    AdmissionReopened(AlarmedShards),
    /// A cap has turned somebody away for the first time in a while.
    LimitReached(LimitUsage),
    /// A cap has turned nobody away for long enough.
    LimitCleared(LimitUsage),
    /// Caps by label have turned registrations away, in addition to those that this check tells one by one.
    MoreLimitsReached(LimitCount),
    /// Caps that were told by [`MoreLimitsReached`](Self::MoreLimitsReached) have turned nothing away for long enough.
    MoreLimitsCleared(LimitCount),
}

/// Which figure an alarm is judged by.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize), serde(rename_all = "snake_case"))]
#[non_exhaustive]
pub enum AlarmMetric {
    /// The 99th percentile of reads or writes: more than one in a hundred was slower than the threshold.
    #[default]
    P99,
    /// The mean of all writes in the window.
    Mean,
    /// The mean of the last few writes, as the original design has it.
    MeanOfLast,
}

/// A slow shard.
#[derive(Clone, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub struct Alarm {
    /// The index of the shard.
    pub shard: usize,
    /// What was slow.
    pub operation: Operation,
    /// The figure that it was judged by.
    pub metric: AlarmMetric,
    /// What that figure must not exceed.
    pub threshold: Duration,
    /// What it is now, in nanoseconds, over the whole window; zero when nothing was timed.
    pub measured_ns: f64,
    /// How many operations it was judged by: of the 99th percentile, those of the stretch of time that tells most.
    pub samples: u64,
    /// How many of them were over the threshold; zero where a mean is judged.
    pub slow: u64,
}

impl Alarm {
    /// An alarm; for those who judge.
    pub fn new(shard: usize, operation: Operation, metric: AlarmMetric, threshold: Duration) -> Self {
        Self { shard, operation, metric, threshold, measured_ns: 0.0, samples: 0, slow: 0 }
    }
}

/// How unevenly entries of one kind lie over the shards.
#[derive(Clone, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Imbalance {
    /// Servers, or transports.
    pub kind: Kind,
    /// The shard that has most of them.
    pub shard: usize,
    /// How many it has.
    pub entries: usize,
    /// How many a shard has on average.
    pub mean: f64,
    /// The probability that chance alone would spread them so unevenly, or more.
    pub p_value: f64,
}

/// An id that gets a share of the lookups, as far as the sampled ones tell.
#[derive(Clone, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct HotId {
    /// Whether it was looked for among servers or among transports.
    pub kind: Kind,
    /// What was looked for, registered or not; bytes that are no text are replaced.
    pub id: Box<str>,
    /// The shard that it is in.
    pub shard: usize,
    /// Its share of the sampled lookups of the window, from 0 to 1: never below the true one.
    pub share: f64,
    /// The same from below: never above the true one.
    pub share_at_least: f64,
    /// How many lookups were sampled.
    pub samples: u64,
}

/// How many shards are in alarm, as it was when admission changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct AlarmedShards {
    /// Shards in alarm.
    pub alarmed: usize,
    /// All shards.
    pub shards: usize,
}

/// A limit on registrations or bindings.
///
/// `Display` and `Debug` show the key of a label and never its value, which may be a secret; the field has it.
#[derive(Clone, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize), serde(rename_all = "snake_case"))]
#[non_exhaustive]
pub enum Limit {
    /// On live servers.
    Servers,
    /// On live transports.
    Transports,
    /// On live registrations of one kind whose metadata have this label.
    Label {
        /// Servers, or transports.
        kind: Kind,
        /// The label's name.
        key: Box<str>,
        /// The label's value.
        value: Box<str>,
    },
    /// On registrations per second.
    Rate,
    /// On transports that are bound to one server.
    TransportsPerServer,
}

impl Limit {
    /// Whether taking out the dead may make room under it.
    pub fn counts_live_entries(&self) -> bool {
        !matches!(self, Self::Rate)
    }
}

impl fmt::Debug for Limit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Servers => "Servers",
            Self::Transports => "Transports",
            Self::Label { kind, key, value } => {
                let mut label = f.debug_struct("Label");
                return label.field("kind", kind).field("key", key).field("value", &Bytes(value.len())).finish();
            }
            Self::Rate => "Rate",
            Self::TransportsPerServer => "TransportsPerServer",
        })
    }
}

impl fmt::Display for Limit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Servers => f.write_str("servers"),
            Self::Transports => f.write_str("transports"),
            Self::Label { kind, key, .. } => write!(f, "{kind}s per value of `{key}`"),
            Self::Rate => f.write_str("registrations per second"),
            Self::TransportsPerServer => f.write_str("transports bound to one server"),
        }
    }
}

/// How much of a cap is used, and how often it turned somebody away.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct LimitUsage {
    /// Which cap.
    pub limit: Limit,
    /// What it allows.
    pub max: u64,
    /// How much of it is taken, those under way included; zero where that is not one figure.
    pub used: u64,
    /// How often it has said no so far, those included who got in after the dead had been taken out.
    pub hits: u64,
}

/// The limits that turned something away between one check of a registry's health and the next.
///
/// For limits of which there can be any number; see [`Admission::take_limit_hits`](crate::Admission::take_limit_hits).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LimitHits {
    /// Those that are known, each once, in the order in which they were hit first.
    pub limits: Vec<LimitUsage>,
    /// How many were hit besides, without it being known which; possibly with some of them counted twice.
    pub unlisted: u64,
}

/// A number of caps by label that a check does not tell one by one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct LimitCount {
    /// How many they are.
    pub limits: u64,
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

impl fmt::Display for LimitUsage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { limit, max, hits, .. } = self;
        write!(f, "{max} {limit}, turned away {hits} so far")
    }
}
