//! The shards that share a garbage collector, and the maps of those that have been dropped.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::{fmt, mem};

use seize::Collector;

/// The shards that share a collector.
#[derive(Default)]
pub(super) struct ShardGroup(Mutex<GroupState>);

#[derive(Default)]
struct GroupState {
    live_shards: usize,
    /// Replaced when the last shard is dropped, because then the maps of this collector are dropped.
    collector: Arc<Collector>,
    /// The maps of dropped shards.
    retired: Vec<RetiredMap>,
}

/// A map of any type, kept only to be dropped.
pub(super) type RetiredMap = Box<dyn Send>;

impl ShardGroup {
    /// Adds a shard, and returns the shared collector.
    pub(super) fn add_shard(&self) -> Arc<Collector> {
        let mut state = self.lock();
        state.live_shards += 1;
        Arc::clone(&state.collector)
    }

    /// Removes a shard and retires its map. Returns all retired maps if it was the last shard; they must be dropped with
    /// no lock held, because dropping their entries is code of the user.
    #[must_use]
    pub(super) fn retire(&self, map: RetiredMap) -> Vec<RetiredMap> {
        let mut state = self.lock();
        state.live_shards -= 1;
        state.retired.push(map);
        if state.live_shards > 0 {
            return Vec::new();
        }
        mem::take(&mut *state).retired
    }

    fn lock(&self) -> MutexGuard<'_, GroupState> {
        // No code that can panic runs under this lock.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for ShardGroup {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ShardGroup").field("live_shards", &self.lock().live_shards).finish_non_exhaustive()
    }
}
