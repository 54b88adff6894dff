//! A contention counter, and locks that count when they have to wait.

use std::sync::TryLockError;
use std::sync::atomic::{AtomicU64, Ordering};

use crossbeam_utils::CachePadded;
use registry_core::{Contention, ContentionKind};

/// A contention counter, incremented on the contended path only.
///
/// It has cache lines of its own, so that an increment does not invalidate what uncontended operations read, and is
/// allocated apart from the shard, to keep the shard small in the caches of threads that read many shards.
///
/// The atomic is a plain one also in builds that explore schedules, because nothing is decided by it.
#[derive(Debug, Default)]
pub(crate) struct ContentionCounter(Box<CachePadded<AtomicU64>>);

/// Returns the guard if the lock was free, and `None` if it was held.
///
/// Poison is ignored: a closure that panics under a lock of this crate has not changed anything yet.
pub(crate) fn ignore_poison<G>(result: Result<G, TryLockError<G>>) -> Option<G> {
    match result {
        Ok(guard) => Some(guard),
        Err(TryLockError::Poisoned(poisoned)) => Some(poisoned.into_inner()),
        Err(TryLockError::WouldBlock) => None,
    }
}

impl ContentionCounter {
    /// Returns the guard if the lock was free, and otherwise counts and waits for it.
    #[inline]
    pub(crate) fn or_wait<G>(&self, free: Option<G>, wait: impl FnOnce() -> G) -> G {
        free.unwrap_or_else(|| {
            self.increment();
            wait()
        })
    }

    #[cold]
    pub(crate) fn increment(&self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn as_contention(&self, kind: ContentionKind) -> Option<Contention> {
        Some(Contention::new(kind, self.0.load(Ordering::Relaxed)))
    }
}
