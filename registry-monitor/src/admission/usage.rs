//! A number of places that is never exceeded.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

/// Places that are taken and given back.
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

    /// Takes a place, and says whether there was one.
    pub(super) fn try_acquire(&self) -> bool {
        let increment = |used: usize| (used < self.max).then(|| used + 1);
        let acquired = self.used.fetch_update(Ordering::Relaxed, Ordering::Relaxed, increment).is_ok();
        if !acquired {
            self.hits.fetch_add(1, Ordering::Relaxed);
        }
        acquired
    }

    /// Gives back a place that was taken.
    pub(super) fn release(&self) {
        let before = self.used.fetch_sub(1, Ordering::Relaxed);
        debug_assert!(before > 0, "a place was given back that nobody had taken");
    }

    pub(super) fn max(&self) -> usize {
        self.max
    }

    pub(super) fn used(&self) -> usize {
        self.used.load(Ordering::Relaxed)
    }

    /// How often there was none.
    pub(super) fn hits(&self) -> u64 {
        self.hits.load(Ordering::Relaxed)
    }
}
