//! The counts of one shard, by a worker or by the registry.

use registry_router::ShardStats;

/// Counts of one shard.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Tally {
    pub(crate) hits: u64,
    pub(crate) misses: u64,
    pub(crate) registrations: u64,
    pub(crate) removals: u64,
    pub(crate) rejections: u64,
    pub(crate) refused: u64,
    pub(crate) binds: u64,
    pub(crate) unbinds: u64,
    pub(crate) routes: u64,
    pub(crate) full: u64,
    pub(crate) closed: u64,
    /// Lookups, where hits and misses are not distinguished.
    lookups: u64,
}

impl Tally {
    /// The counters of the registry at rest.
    pub(crate) fn counted(stats: &ShardStats) -> Self {
        assert_eq!(stats.hits + stats.misses, stats.lookups, "shard {}", stats.shard);
        Self::of(stats)
    }

    fn of(stats: &ShardStats) -> Self {
        Self {
            hits: stats.hits,
            misses: stats.misses,
            registrations: stats.registrations,
            removals: stats.removals,
            rejections: stats.rejections,
            refused: stats.refused,
            binds: stats.binds,
            unbinds: stats.unbinds,
            routes: stats.routes,
            full: stats.full,
            closed: stats.closed,
            lookups: 0,
        }
    }

    /// The counters of the registry under concurrency, without distinguishing hits and misses: a miss may be counted
    /// after a reset that happened during its lookup, so hits and misses may be off by one then; lookups are not.
    pub(crate) fn counted_concurrently(stats: &ShardStats) -> Self {
        let counts = Self { hits: 0, misses: 0, ..Self::of(stats) };
        Self { lookups: stats.lookups, ..counts }
    }

    /// Returns the same counts without distinguishing hits and misses.
    pub(crate) fn without_hits(self) -> Self {
        Self { hits: 0, misses: 0, lookups: self.lookups(), ..self }
    }

    /// Returns the sum of hits and misses.
    pub(crate) fn lookups(&self) -> u64 {
        self.hits + self.misses + self.lookups
    }

    pub(crate) fn plus(&self, other: &Self) -> Self {
        self.combined(other, u64::wrapping_add)
    }

    /// Returns the difference to `other`.
    pub(crate) fn minus(&self, other: &Self) -> Self {
        self.combined(other, |all, part| all.checked_sub(part).expect("a part exceeds the whole"))
    }

    /// Returns whether no count exceeds that of `other`.
    pub(crate) fn is_within(&self, other: &Self) -> bool {
        self.named().iter().zip(other.named()).all(|(part, all)| part.1 <= all.1) && self.lookups <= other.lookups
    }

    /// Returns all counts but undistinguished lookups, by name.
    pub(crate) fn named(&self) -> [(&'static str, u64); 11] {
        [
            ("hit", self.hits),
            ("missed", self.misses),
            ("registered", self.registrations),
            ("removed", self.removals),
            ("rejected", self.rejections),
            ("refused", self.refused),
            ("bound", self.binds),
            ("unbound", self.unbinds),
            ("routed", self.routes),
            ("full", self.full),
            ("closed", self.closed),
        ]
    }

    fn combined(&self, other: &Self, combine: impl Fn(u64, u64) -> u64) -> Self {
        Self {
            hits: combine(self.hits, other.hits),
            misses: combine(self.misses, other.misses),
            registrations: combine(self.registrations, other.registrations),
            removals: combine(self.removals, other.removals),
            rejections: combine(self.rejections, other.rejections),
            refused: combine(self.refused, other.refused),
            binds: combine(self.binds, other.binds),
            unbinds: combine(self.unbinds, other.unbinds),
            routes: combine(self.routes, other.routes),
            full: combine(self.full, other.full),
            closed: combine(self.closed, other.closed),
            lookups: combine(self.lookups, other.lookups),
        }
    }
}
