//! What evmap and left-right have in common: one writer at a time, and entries that are dropped after its lock.

use std::sync::{Mutex, MutexGuard, PoisonError};

use registry_core::{Contention, ContentionKind};

use crate::contention::{ContentionCounter, ignore_poison};

/// The lock of the only writer of a map whose writes are published to readers.
pub(crate) struct WriterLock<W> {
    writer: Mutex<W>,
    contention: ContentionCounter,
}

impl<W> WriterLock<W> {
    pub(crate) fn new(writer: W) -> Self {
        Self { writer: Mutex::new(writer), contention: ContentionCounter::default() }
    }

    /// Acquires the lock, and counts if another writer holds it.
    ///
    /// A panic in a predicate poisons the mutex, but comes before any change, so poison is ignored.
    pub(crate) fn lock(&self) -> MutexGuard<'_, W> {
        let wait = || self.writer.lock().unwrap_or_else(PoisonError::into_inner);
        self.contention.or_wait(ignore_poison(self.writer.try_lock()), wait)
    }

    pub(crate) fn contention(&self) -> Option<Contention> {
        self.contention.as_contention(ContentionKind::WriteWait)
    }
}

/// Releases the lock, and then drops the entries that a publish has removed from the tables: their drop is code of the
/// user, which may write to the shard.
pub(crate) fn release_then_drop<W, T>(writer: MutexGuard<'_, W>, removed: T) {
    drop(writer);
    drop(removed);
}
