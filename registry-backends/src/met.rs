//! How often operations on a shard met, counted by those who met somebody.

use std::sync::atomic::{AtomicU64, Ordering};

use crossbeam_utils::CachePadded;
use registry_core::{Contention, Meeting};

/// A count on lines of its own, for it is written when many are at work, and those who meet nobody read what would lie
/// beside it. And apart from the shard, whose lines all stay warm in a thread that looks things up all over.
///
/// A plain atomic, whatever schedules are explored: it is a figure, and nothing is decided by it.
#[derive(Debug, Default)]
pub(crate) struct Met(Box<CachePadded<AtomicU64>>);

impl Met {
    #[cold]
    pub(crate) fn somebody(&self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn as_contention(&self, meeting: Meeting) -> Option<Contention> {
        Some(Contention { meeting, count: self.0.load(Ordering::Relaxed) })
    }
}
