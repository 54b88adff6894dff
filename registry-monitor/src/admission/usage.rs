//! A counter of entries with a limit that is never exceeded.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

/// Counts the entries under one limit.
#[derive(Debug)]
pub(super) struct UsageCounter {
    max: usize,
    used: AtomicUsize,
    hits: AtomicU64,
}

impl UsageCounter {
    pub(super) fn new(max: usize) -> Self {
        Self { max, used: AtomicUsize::new(0), hits: AtomicU64::new(0) }
    }

    /// Adds an entry, or counts a hit and returns `false` if the limit is reached.
    pub(super) fn try_acquire(&self) -> bool {
        let increment = |used: usize| (used < self.max).then(|| used + 1);
        let acquired = self.used.fetch_update(Ordering::Relaxed, Ordering::Relaxed, increment).is_ok();
        if !acquired {
            self.hits.fetch_add(1, Ordering::Relaxed);
        }
        acquired
    }

    /// Removes an entry that was added.
    pub(super) fn release(&self) {
        let before = self.used.fetch_sub(1, Ordering::Relaxed);
        debug_assert!(before > 0, "released more often than acquired");
    }

    pub(super) fn max(&self) -> usize {
        self.max
    }

    pub(super) fn used(&self) -> usize {
        self.used.load(Ordering::Relaxed)
    }

    /// Returns how often the limit was reached.
    pub(super) fn hits(&self) -> u64 {
        self.hits.load(Ordering::Relaxed)
    }
}
