//! Statistics of a registry: counts and latencies per shard, and a summary of contention.

use std::fmt;
use std::time::Duration;

use crate::admission::AdmissionState;
use crate::contention::Contention;

/// The statistics of one shard, for servers and transports together.
///
/// Counts cover the time since the start or the last reset, and are exact while no operation runs.
#[derive(Clone, Debug, Default, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub struct ShardStats {
    /// The index of the shard.
    pub shard: usize,
    /// The number of servers registered now.
    pub servers: usize,
    /// The number of transports registered now.
    pub transports: usize,
    /// The number of transports bound now to servers of this shard.
    pub bindings: usize,
    /// Lookups, including those of routing and binding: hits and misses.
    pub lookups: u64,
    /// Lookups that found an entry.
    pub hits: u64,
    /// Lookups that found none.
    pub misses: u64,
    /// Registrations that succeeded.
    pub registrations: u64,
    /// Registrations that ended.
    pub removals: u64,
    /// Registrations that failed: the id was taken, the server to bind to was missing or full, the metadata were too
    /// large, or the registration was not admitted. Invalid ids are not counted.
    pub rejections: u64,
    /// Rejections by admission, or because the server to bind to was full.
    pub refused: u64,
    /// Bindings of transports of this shard; a move counts as one.
    pub binds: u64,
    /// Bindings of transports of this shard that were removed, other than by the end of their server's registration.
    pub unbinds: u64,
    /// Messages sent to a mailbox.
    pub routes: u64,
    /// Messages returned because a mailbox was full.
    pub full: u64,
    /// Messages returned because a mailbox was closed.
    pub closed: u64,
    /// Registrations ended by a sweep because their mailbox was closed; also counted in `removals`.
    pub swept: u64,
    /// Contention in the map since the start or the last reset; `None` if the backend does not count it.
    pub contention: Option<Contention>,
    /// Latency of sampled lookups in the window.
    pub reads: LatencyStats,
    /// Latency of sampled lookups since the start or the last reset.
    pub reads_total: LatencyStats,
    /// Latency of all registrations and removals in the window.
    pub writes: LatencyStats,
    /// Latency of all registrations and removals since the start or the last reset.
    pub writes_total: LatencyStats,
    /// An upper bound of the time between the end of an owner and the sweep that removed its registration, in the
    /// window: the time between two sweeps.
    pub cleanup_lag: LatencyStats,
    /// The same bound for all sweeps since the start or the last reset.
    pub cleanup_lag_total: LatencyStats,
    /// The most recent writes.
    pub recent_writes: RecentWrites,
    /// The number of slow sampled lookups, over the most significant part of the window.
    pub slow_reads: SlowOps,
    /// The number of slow registrations and removals, over the most significant part of the window.
    pub slow_writes: SlowOps,
    /// Whether the shard is in alarm. This is state, not a count: it changes only in a health check.
    pub alarm: bool,
}

/// The most recent writes, regardless of the window.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub struct RecentWrites {
    /// The number of writes.
    pub count: u64,
    /// The mean latency in nanoseconds; zero if there are no writes.
    pub mean_ns: f64,
}

/// The number of slow operations in a period that ends now, by the thresholds of the alarm.
///
/// The period is the shortest one whose 99th percentile exceeds the threshold by more than chance explains, with enough
/// operations to decide. If there is none, it is the whole window.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub struct SlowOps {
    /// The maximum length of the period.
    pub within: Duration,
    /// The number of operations timed in the period.
    pub count: u64,
    /// The number of those that took longer than the threshold at which the alarm is raised.
    pub slow: u64,
    /// The number of those that took longer than the threshold below which the alarm is cleared, `slow` included.
    pub elevated: u64,
}

/// The kind of a timed operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize), serde(rename_all = "snake_case"))]
pub enum Operation {
    /// A lookup, with the work done on the entry: reading it, cloning it, or sending to it.
    Read,
    /// A registration or a removal.
    Write,
    /// The time from the earliest possible end of an owner to the sweep that removed its registration.
    CleanUp,
}

/// A latency distribution, over a rolling window or, as a total, since the start or the last reset.
///
/// Count, mean, minimum and maximum are exact; percentiles are computed from a histogram and are at most 1/16 too high.
/// All are zero if no operation was recorded.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub struct LatencyStats {
    /// The number of timed operations.
    pub count: u64,
    /// The mean in nanoseconds.
    pub mean_ns: f64,
    /// The minimum in nanoseconds.
    pub min_ns: u64,
    /// The median in nanoseconds.
    pub p50_ns: u64,
    /// The 95th percentile in nanoseconds.
    pub p95_ns: u64,
    /// The 99th percentile in nanoseconds.
    pub p99_ns: u64,
    /// The 99.9th percentile in nanoseconds.
    pub p999_ns: u64,
    /// The maximum in nanoseconds.
    pub max_ns: u64,
    /// The maximum length of the window; zero for a total, which has no window.
    pub window: Duration,
}

/// A summary of contention and load distribution.
#[derive(Clone, Debug, Default, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub struct ContentionStatus {
    /// The number of shards.
    pub shards: usize,
    /// The indices of the shards in alarm, ascending.
    pub alarmed: Vec<usize>,
    /// Whether new registrations are admitted.
    pub admission: AdmissionState,
    /// The spread of entries over the shards, (maximum − minimum) / mean; 0 if there are no entries.
    ///
    /// By chance it is about 0.38 for 10,000 ids in 64 shards, and less for more ids.
    pub skew: f64,
    /// Chi-square of the distribution over its degrees of freedom: near 1 for a uniform hash, for any number of
    /// entries; 0 for one shard or no entries.
    pub imbalance: f64,
}

impl fmt::Display for Operation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Read => "read",
            Self::Write => "write",
            Self::CleanUp => "clean-up",
        })
    }
}
