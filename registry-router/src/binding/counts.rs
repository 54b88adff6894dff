//! How many transports are bound to the servers of each shard, and how many one server may have.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use crossbeam_utils::CachePadded;
use registry_core::{BindError, Limit, LimitUsage};

/// Kept by all groups of a registry, each under its own lock, so exact when nobody writes.
///
/// Plain atomics, whatever schedules are explored: they are figures, and nothing is decided by them.
#[derive(Debug)]
pub(crate) struct BindingCounts {
    /// How many transports a server may have.
    max: usize,
    retry_after: Duration,
    hits: AtomicU64,
    /// On cache lines of their own, for binding in one shard should not disturb another.
    bound: Box<[CachePadded<AtomicUsize>]>,
}

impl BindingCounts {
    /// For so many shards, none of which may be asked for beyond. Without a cap, a server may have any number.
    pub(crate) fn new(shards: usize, max: Option<usize>, retry_after: Duration) -> Self {
        Self {
            max: max.unwrap_or(usize::MAX),
            retry_after,
            hits: AtomicU64::new(0),
            bound: (0..shards).map(|_| CachePadded::default()).collect(),
        }
    }

    /// Enters one more into a group of so many, unless that is full.
    pub(crate) fn enter(&self, shard: usize, members: usize) -> Result<(), BindError> {
        if members >= self.max {
            self.hits.fetch_add(1, Ordering::Relaxed);
            return Err(BindError::ServerFull { max: self.max, retry_after: self.retry_after });
        }
        self.bound[shard].fetch_add(1, Ordering::Relaxed);
        Ok(())
    }

    /// Strikes out so many.
    pub(crate) fn strike(&self, shard: usize, members: usize) {
        if members > 0 {
            self.bound[shard].fetch_sub(members, Ordering::Relaxed);
        }
    }

    /// How many are bound to the servers of a shard.
    pub(crate) fn bound(&self, shard: usize) -> usize {
        self.bound[shard].load(Ordering::Relaxed)
    }

    /// How many are bound. O(shards).
    pub(crate) fn len(&self) -> usize {
        (0..self.bound.len()).map(|shard| self.bound(shard)).sum()
    }

    /// How the cap is used, if there is one.
    pub(crate) fn usage(&self) -> Option<LimitUsage> {
        let hits = self.hits.load(Ordering::Relaxed);
        (self.max < usize::MAX).then_some(LimitUsage {
            limit: Limit::TransportsPerServer,
            max: self.max as u64,
            used: 0,
            hits,
        })
    }
}
