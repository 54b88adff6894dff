//! The instrumentation interface of a registry: event counts, and latencies of sampled reads and of writes.

use std::fmt;
use std::time::Instant;

use crate::health::HotId;
use crate::kind::Kind;
use crate::stats::{LatencyStats, Operation, ShardStats};

/// Records events and latencies of the shards of a registry.
///
/// One probe serves all shards of a registry. A shard is given by its index, which is always less than the number of
/// shards. The methods run on the hot path: they must not block, and those marked *hot* must not write to memory that
/// other threads write to. The implementation for `()` records nothing and costs nothing.
pub trait Probe: fmt::Debug + Send + Sync + 'static {
    /// *Hot.* Counts a lookup in a shard, and returns whether this lookup is to be timed.
    ///
    /// The caller reports a lookup that found no entry as [`Event::Miss`], and the latency of a timed one to
    /// [`record_latency`](Self::record_latency).
    fn lookup(&self, shard: usize) -> bool;

    /// Called with the id of a lookup that is to be timed, registered or not, before the lookup starts.
    ///
    /// Called only if [`lookup`](Self::lookup) has returned `true`. It must not block.
    fn on_sample(&self, _shard: usize, _kind: Kind, _id: &[u8]) {}

    /// *Hot.* Counts an event in a shard.
    fn event(&self, shard: usize, event: Event);

    /// Returns whether writes are to be timed; `false` saves the caller two clock readings.
    fn times_writes(&self) -> bool;

    /// Records the latency of an operation. Both instants come from the caller; a probe must not read a clock.
    fn record_latency(&self, shard: usize, operation: Operation, began: Instant, ended: Instant);

    /// Returns the counts of a shard, and its latencies in the window that ends at `now`.
    ///
    /// Counts must be exact while no operation runs. Entries, bindings and the alarm are unknown to the probe and are
    /// left at zero.
    fn stats(&self, shard: usize, now: Instant) -> ShardStats;

    /// As [`stats`](Self::stats), but unaffected by [`reset`](Self::reset): counts and totals never decrease.
    ///
    /// For exporters whose counters must not decrease. The default returns [`stats`](Self::stats), for probes that do
    /// not keep these figures.
    fn stats_since_start(&self, shard: usize, now: Instant) -> ShardStats {
        self.stats(shard, now)
    }

    /// Returns the latencies of all shards combined, in the window that ends at `now`. The default returns no
    /// latencies.
    ///
    /// Percentiles of the whole registry cannot be computed from the percentiles of its shards.
    fn latency(&self, _operation: Operation, _now: Instant) -> LatencyStats {
        LatencyStats::default()
    }

    /// Returns the ids with the most sampled lookups in the window that ends at `now`, in descending order.
    fn hot_ids(&self, _now: Instant) -> Vec<HotId> {
        Vec::new()
    }

    /// Called after each health check, about once a second; may adjust the sampling rate. It may be called by several
    /// threads concurrently.
    fn on_health_check(&self, _now: Instant) {}

    /// Resets all figures, except those on which health checks are based and which expire by time: a reset must not
    /// hide anything from a health check. Events that occur during a reset are counted before or after it, but not
    /// twice.
    fn reset(&self);
}

/// An event in a shard.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Event {
    /// A lookup found no entry.
    Miss,
    /// An id was registered.
    Registered,
    /// A registration ended, for any reason.
    Removed,
    /// A registration failed: the id was taken, the server to bind to was missing or full, the metadata were too large,
    /// or the registration was not admitted.
    Rejected,
    /// A transport of this shard was bound to a server.
    Bound,
    /// A binding of a transport of this shard was removed, other than by the end of its server's registration.
    Unbound,
    /// A message was sent to the mailbox of an id of this shard.
    Routed,
    /// A message was returned because the mailbox was full.
    Full,
    /// A message was returned because the mailbox was closed.
    Closed,
    /// A sweep ended a registration whose mailbox is closed; also reported as [`Removed`](Self::Removed).
    Swept,
    /// A registration was not admitted, or the server to bind to was full; also reported as
    /// [`Rejected`](Self::Rejected).
    Refused,
}

impl Event {
    /// The number of variants; `event as usize` is less than it.
    pub const COUNT: usize = Self::Refused as usize + 1;
}

impl Probe for () {
    #[inline]
    fn lookup(&self, _shard: usize) -> bool {
        false
    }

    #[inline]
    fn event(&self, _shard: usize, _event: Event) {}

    #[inline]
    fn times_writes(&self) -> bool {
        false
    }

    fn record_latency(&self, _shard: usize, _operation: Operation, _began: Instant, _ended: Instant) {}

    fn stats(&self, shard: usize, _now: Instant) -> ShardStats {
        ShardStats { shard, ..ShardStats::default() }
    }

    fn reset(&self) {}
}
