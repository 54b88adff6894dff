//! What a shard reports to: counts, and latencies of some reads and all writes.

use std::fmt;
use std::time::Instant;

use crate::admission::Kind;
use crate::health::HotId;
use crate::stats::{LatencyStats, ShardStats};

/// The ear of a registry's shards.
///
/// One probe hears all shards of a registry; a shard is named by its index, which is always below the number of shards.
/// Its methods run on the hot path: they must not block, and those marked *hot* must not write to memory that another
/// thread writes to.
/// `()` hears nothing and costs nothing.
pub trait Probe: fmt::Debug + Send + Sync + 'static {
    /// *Hot.* Counts a lookup in a shard, and says whether this one is to be timed.
    ///
    /// The caller reports a lookup that found nothing as [`Event::Miss`], and the time of a timed one to
    /// [`record_latency`](Self::record_latency).
    fn lookup(&self, shard: usize) -> bool;

    /// Hears which id a lookup that is to be timed is for, registered or not, before it is looked up and timed.
    ///
    /// Called for those alone for which [`lookup`](Self::lookup) has said yes. It must not block.
    fn on_sample(&self, _shard: usize, _kind: Kind, _id: &[u8]) {}

    /// *Hot.* Counts an event in a shard.
    fn event(&self, shard: usize, event: Event);

    /// Whether writes are to be timed; false spares the caller two readings of the clock.
    fn times_writes(&self) -> bool;

    /// Records how long an operation took. Both instants come from the caller; a probe reads no clock.
    fn record_latency(&self, shard: usize, operation: Operation, began: Instant, ended: Instant);

    /// What was counted in a shard, and its latencies in the window that ends at `now`.
    ///
    /// Counts must be exact when nothing runs. Entries, bindings and the alarm are not the probe's to know and are left
    /// at zero.
    fn stats(&self, shard: usize, now: Instant) -> ShardStats;

    /// The same, but what a [reset](Self::reset) took away counts too: counts and totals never go back.
    ///
    /// For whoever exports them to where a count must not fall. A probe that does not know says what
    /// [`stats`](Self::stats) says.
    fn stats_since_start(&self, shard: usize, now: Instant) -> ShardStats {
        self.stats(shard, now)
    }

    /// The latencies of all shards taken together, in the window that ends at `now`; none, if the probe does not know.
    ///
    /// No percentile of it can be told from those of the shards.
    fn latency(&self, _operation: Operation, _now: Instant) -> LatencyStats {
        LatencyStats::default()
    }

    /// The ids that got most of the sampled lookups in the window that ends at `now`, the hottest first.
    fn hot_ids(&self, _now: Instant) -> Vec<HotId> {
        Vec::new()
    }

    /// Hears that what it knows has just been judged, as is done about once in a second: for a probe that sets its pace
    /// by the load. It may be called by several threads at once.
    fn on_health_check(&self, _now: Instant) {}

    /// Sets all figures back to zero, but for what a check of the health judges by and time takes away: a reset must not
    /// hide anything from it. Events that happen meanwhile are counted before or after, but not twice.
    fn reset(&self);
}

/// What happened in a shard.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Event {
    /// A lookup found nothing.
    Miss,
    /// An id was registered.
    Registered,
    /// A registration ended, for whatever reason.
    Removed,
    /// A registration was turned down: the id was taken, the server to be bound to was missing or full, the metadata
    /// were too large, or it was not admitted.
    Rejected,
    /// A transport of this shard was bound to a server.
    Bound,
    /// A binding of a transport of this shard was undone, other than by the death of its server.
    Unbound,
    /// A message was put into the mailbox of an id of this shard.
    Routed,
    /// A message was given back because the mailbox was full.
    Full,
    /// A message was given back because the mailbox was closed.
    Closed,
    /// A registration whose mailbox is closed was found and ended by a sweep; it is [`Removed`](Self::Removed) too.
    SweepReport,
    /// A registration was not admitted, or the server to be bound to was full; it is [`Rejected`](Self::Rejected) too.
    Refused,
}

impl Event {
    /// How many kinds there are; `event as usize` is below it.
    pub const COUNT: usize = Self::Refused as usize + 1;
}

/// What was timed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize), serde(rename_all = "snake_case"))]
pub enum Operation {
    /// A lookup, with what was done to the entry: reading it, cloning it, delivering to it.
    Read,
    /// A registration or a removal.
    Write,
    /// From when a dead registration can have died at the earliest until a sweep found it.
    CleanUp,
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
