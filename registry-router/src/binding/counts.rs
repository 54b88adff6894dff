//! The number of transports bound to the servers of each shard, and the limit for one server.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use crossbeam_utils::CachePadded;
use registry_core::{BindError, Limit, LimitUsage};

/// Binding counts of one registry. Updated by all of its groups, each under its own lock.
///
/// Always `std`'s atomics, even where schedules are explored: they are statistics, and no decision depends on them.
#[derive(Debug)]
pub(crate) struct BindingCounts {
    /// The maximum number of transports of a server.
    max: usize,
    retry_after: Duration,
    hits: AtomicU64,
    /// Each on its own cache line, so that binding in one shard does not slow down another.
    bound: Box<[CachePadded<AtomicUsize>]>,
}

impl BindingCounts {
    /// Without `max`, the number of transports of a server is not limited.
    pub(crate) fn new(shards: usize, max: Option<usize>, retry_after: Duration) -> Self {
        Self {
            max: max.unwrap_or(usize::MAX),
            retry_after,
            hits: AtomicU64::new(0),
            bound: (0..shards).map(|_| CachePadded::default()).collect(),
        }
    }

    /// Counts a new member of a group that has `members` so far, unless the limit is reached.
    pub(crate) fn add(&self, shard: usize, members: usize) -> Result<(), BindError> {
        if members >= self.max {
            self.hits.fetch_add(1, Ordering::Relaxed);
            return Err(BindError::ServerFull { max: self.max, retry_after: self.retry_after });
        }
        self.bound[shard].fetch_add(1, Ordering::Relaxed);
        Ok(())
    }

    /// Subtracts members that have left a group.
    pub(crate) fn subtract(&self, shard: usize, members: usize) {
        if members > 0 {
            self.bound[shard].fetch_sub(members, Ordering::Relaxed);
        }
    }

    /// Returns the number of transports bound to the servers of a shard. Exact if no write runs at the same time.
    pub(crate) fn bound(&self, shard: usize) -> usize {
        self.bound[shard].load(Ordering::Relaxed)
    }

    /// Returns the number of bound transports. O(shards).
    pub(crate) fn len(&self) -> usize {
        (0..self.bound.len()).map(|shard| self.bound(shard)).sum()
    }

    /// Returns the use of the limit, if there is one.
    pub(crate) fn usage(&self) -> Option<LimitUsage> {
        let hits = self.hits.load(Ordering::Relaxed);
        (self.max < usize::MAX).then(|| LimitUsage::new(Limit::TransportsPerServer, self.max as u64).with_hits(hits))
    }
}
