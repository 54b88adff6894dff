//! Latencies under a load that does not wait for answers: operations begin when it is their time, late or not.

use serde::{Deserialize, Serialize};

/// One operation's latencies in one run under open-loop load.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Tail {
    /// What went on: `mixed`, `lookups-alone`, `lookups-under-churn`, and the like.
    pub scenario: String,
    /// Which operation: `lookup`, `route`, `register`, `bind`, or `all`.
    pub operation: String,
    /// `registry` or `bare`.
    pub subject: String,
    /// The name of the backend.
    pub backend: String,
    /// How many shards the registry has; 1 for a bare map.
    pub shards: usize,
    /// How many threads work.
    pub threads: usize,
    /// How many live tasks with a mailbox there are; they are idle but for what is sent to them.
    pub tasks: usize,
    /// How many entries there are beforehand.
    pub entries: usize,
    /// Operations per second when each begins as soon as the one before it has ended.
    pub saturated_per_s: f64,
    /// Operations per second that were due.
    pub offered_per_s: f64,
    /// Operations per second that were done.
    pub achieved_per_s: f64,
    /// How long they went on, in seconds.
    pub seconds: f64,
    /// How many operations were timed.
    pub timed: u64,
    /// From the beginning of an operation to its end, in nanoseconds.
    pub service: Percentiles,
    /// From when an operation was due to its end, in nanoseconds: no operation is omitted because another was slow.
    pub response: Percentiles,
    /// What ids and order are drawn from.
    pub seed: u64,
}

/// Percentiles, in nanoseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Percentiles {
    /// Half stay within this.
    pub p50_ns: u64,
    /// 95 % do.
    pub p95_ns: u64,
    /// 99 % do.
    pub p99_ns: u64,
    /// 99.9 % do.
    pub p999_ns: u64,
    /// All do.
    pub max_ns: u64,
}
