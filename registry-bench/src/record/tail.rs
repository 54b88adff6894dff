//! Latencies under open-loop load.

use serde::{Deserialize, Serialize};

/// The latencies of one operation in one run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Tail {
    /// The scenario: `mixed`, `lookups-alone` or `lookups-under-churn`.
    pub scenario: String,
    /// The operation: `lookup`, `route`, `register`, `bind`, or `all`.
    pub operation: String,
    /// `registry` or `bare`.
    pub subject: String,
    /// The name of the backend.
    pub backend: String,
    /// The number of shards; 1 for a bare map.
    pub shards: usize,
    /// The number of threads.
    pub threads: usize,
    /// The number of live tasks that receive messages.
    pub tasks: usize,
    /// The number of entries registered beforehand.
    pub entries: usize,
    /// Operations per second without pauses.
    pub saturated_per_s: f64,
    /// Operations per second that were due.
    pub offered_per_s: f64,
    /// Operations per second that were done.
    pub achieved_per_s: f64,
    /// The time in seconds.
    pub seconds: f64,
    /// The number of operations.
    pub timed: u64,
    /// From the start of an operation to its end.
    pub service: Percentiles,
    /// From when an operation was due to its end: no operation is omitted because another was slow.
    pub response: Percentiles,
    /// The seed of ids and their order.
    pub seed: u64,
}

/// Percentiles, in nanoseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Percentiles {
    /// The 50th.
    pub p50_ns: u64,
    /// The 95th.
    pub p95_ns: u64,
    /// The 99th.
    pub p99_ns: u64,
    /// The 99.9th.
    pub p999_ns: u64,
    /// The longest.
    pub max_ns: u64,
}
