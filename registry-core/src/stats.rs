//! What a registry says of itself: counts and latencies per shard, and where it hurts.

use std::time::Duration;

use crate::admission::AdmissionState;
use crate::contention::Contention;

/// The figures of one shard: both of its tables, servers and transports, taken together.
///
/// Counts run from the start or the last reset, and are exact when nothing runs.
#[derive(Clone, Debug, Default, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub struct ShardStats {
    /// The index of the shard.
    pub shard: usize,
    /// Servers registered now.
    pub servers: usize,
    /// Transports registered now.
    pub transports: usize,
    /// Transports bound now to servers of this shard.
    pub bindings: usize,
    /// Lookups, of routing and binding too: hits and misses.
    pub lookups: u64,
    /// Lookups that found an entry.
    pub hits: u64,
    /// Lookups that found none.
    pub misses: u64,
    /// Registrations that succeeded.
    pub registrations: u64,
    /// Registrations that ended.
    pub removals: u64,
    /// Registrations that were turned down: the id was taken, the server to be bound to was missing or full, the
    /// metadata were too large, or it was not admitted. An invalid id is not counted.
    pub rejections: u64,
    /// Those of them that were turned down by admission, or because the server to be bound to was full.
    pub refused: u64,
    /// Transports of this shard that were bound, a move counted as one.
    pub binds: u64,
    /// Bindings of transports of this shard that were undone, other than by the death of their server.
    pub unbinds: u64,
    /// Messages put into a mailbox.
    pub routes: u64,
    /// Messages given back because a mailbox was full.
    pub full: u64,
    /// Messages given back because a mailbox was closed.
    pub closed: u64,
    /// Registrations whose mailbox was closed that a sweep found and ended; they are removals too.
    pub swept: u64,
    /// How often operations met in the map, since the start or the last reset; `None` if the map cannot tell.
    pub contention: Option<Contention>,
    /// Latency of the lookups that were sampled, in the window.
    pub reads: LatencyStats,
    /// The same, of all that were sampled since the start or the last reset.
    pub reads_total: LatencyStats,
    /// Latency of all registrations and removals, in the window.
    pub writes: LatencyStats,
    /// The same, of all since the start or the last reset.
    pub writes_total: LatencyStats,
    /// How long those that sweeps ended can have been dead at most, in the window: the time between two sweeps.
    pub cleanup_lag: LatencyStats,
    /// The same, of all that sweeps ended since the start or the last reset.
    pub cleanup_lag_total: LatencyStats,
    /// The last few writes.
    pub recent_writes: RecentWrites,
    /// How many of the sampled lookups were slow, where that is most telling.
    pub slow_reads: SlowOps,
    /// How many of the registrations and removals were slow, where that is most telling.
    pub slow_writes: SlowOps,
    /// Whether the shard is in alarm. That is a state and no figure: it changes when the registry is checked.
    pub alarm: bool,
}

/// The last few writes, however long ago.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub struct RecentWrites {
    /// How many they are.
    pub count: u64,
    /// The mean of their latencies, in nanoseconds; zero if there are none.
    pub mean_ns: f64,
}

/// How many operations were slow in a stretch of time that ends now; by the threshold of the alarm.
///
/// The stretch is the shortest one whose 99th percentile is over the threshold beyond chance, with enough operations to
/// tell. If there is none, it is the whole window.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub struct SlowOps {
    /// How long the stretch is at most.
    pub within: Duration,
    /// How many operations were timed in it.
    pub count: u64,
    /// How many of them took longer than the threshold at which the alarm is raised.
    pub slow: u64,
    /// How many took longer than the threshold below which it is cleared, the slow ones included.
    pub elevated: u64,
}

/// A summary of latencies: in a rolling window, or, as a total, since the start or the last reset.
///
/// Count, mean, minimum and maximum are exact; percentiles come from a histogram and are at most 1/16 too high.
/// All are zero when nothing was recorded.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub struct LatencyStats {
    /// How many operations were timed.
    pub count: u64,
    /// The mean, in nanoseconds.
    pub mean_ns: f64,
    /// The fastest, in nanoseconds.
    pub min_ns: u64,
    /// Half were at most this slow, in nanoseconds.
    pub p50_ns: u64,
    /// 95 of 100 were at most this slow, in nanoseconds.
    pub p95_ns: u64,
    /// 99 of 100 were at most this slow, in nanoseconds.
    pub p99_ns: u64,
    /// 999 of 1,000 were at most this slow, in nanoseconds.
    pub p999_ns: u64,
    /// The slowest, in nanoseconds.
    pub max_ns: u64,
    /// How far back the window reaches at most; zero in a total, which has none.
    pub window: Duration,
}

/// Where a registry hurts.
#[derive(Clone, Debug, Default, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub struct ContentionStatus {
    /// How many shards there are.
    pub shards: usize,
    /// The shards in alarm, ascending.
    pub alarmed: Vec<usize>,
    /// Whether new registrations are taken.
    pub admission: AdmissionState,
    /// How unevenly entries lie: (most − fewest) / mean over shards, 0 when there are none.
    ///
    /// Chance alone gives about 0.38 for 10,000 ids in 64 shards, and less for more.
    pub skew: f64,
    /// How unlikely so much skew is, as chi-square over degrees of freedom: near 1 for a uniform hash, whatever the
    /// number of entries; 0 for one shard or no entries.
    pub imbalance: f64,
}
