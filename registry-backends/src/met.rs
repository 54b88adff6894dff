//! How often operations on a shard met, counted by those who met somebody.

use std::sync::TryLockError;
use std::sync::atomic::{AtomicU64, Ordering};

use crossbeam_utils::CachePadded;
use registry_core::{Contention, ContentionKind};

/// A count on lines of its own, for it is written when many are at work, and those who meet nobody read what would lie
/// beside it. And apart from the shard, whose lines all stay warm in a thread that looks things up all over.
///
/// A plain atomic, whatever schedules are explored: it is a figure, and nothing is decided by it.
#[derive(Debug, Default)]
pub(crate) struct Met(Box<CachePadded<AtomicU64>>);

/// What was got at once, if it was free. Poison is ignored: who panics under a lock here has changed nothing yet.
pub(crate) fn free<G>(tried: Result<G, TryLockError<G>>) -> Option<G> {
    match tried {
        Ok(guard) => Some(guard),
        Err(TryLockError::Poisoned(poisoned)) => Some(poisoned.into_inner()),
        Err(TryLockError::WouldBlock) => None,
    }
}

impl Met {
    /// What was got at once, or else is waited for, which counts.
    #[inline]
    pub(crate) fn at_once_or<G>(&self, free: Option<G>, wait: impl FnOnce() -> G) -> G {
        free.unwrap_or_else(|| {
            self.somebody();
            wait()
        })
    }

    #[cold]
    pub(crate) fn somebody(&self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn as_contention(&self, kind: ContentionKind) -> Option<Contention> {
        Some(Contention { kind, count: self.0.load(Ordering::Relaxed) })
    }
}
