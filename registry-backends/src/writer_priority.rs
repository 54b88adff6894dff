//! Priority for waiting writers where a lock prefers readers.
//!
//! The locks of dashmap and of the reference let a reader pass a waiting writer, because reads nest, and a nested read
//! must not wait for a writer that waits for the outer read. Overlapping readers would therefore starve writers. But a
//! read that is not nested holds nothing yet, so it can wait for a writer.
//!
//! # Freedom from deadlock
//!
//! A reader that waits here is about to start a read and has none active, nor holds any lock of a shard, so no thread
//! waits for it in this crate. A nested read does not wait. And since code of the user may wait in ways that are unknown
//! here, such as for a mutex that is locked inside one read and outside of another, every wait ends after
//! [`YIELD_TIMEOUT`]. As long as the same writer keeps waiting, further reads wait for [`REPEATED_YIELD_TIMEOUT`].
//!
//! # Fairness
//!
//! A reader waits until any one writer has acquired the lock, and then proceeds, so writers do not starve readers. A
//! writer waits for the reads in progress, and for at most one more read of each thread, if none of them takes longer
//! than [`YIELD_TIMEOUT`]; and for the writers before it.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use registry_core::reentrancy;

use crate::contention::ContentionCounter;

/// The maximum time for which a read waits for a writer.
const YIELD_TIMEOUT: Duration = Duration::from_millis(250);

/// The maximum time if an earlier wait for the same writer has timed out.
const REPEATED_YIELD_TIMEOUT: Duration = Duration::from_millis(25);

/// The writers that wait for one lock, and the readers that let them go first.
#[derive(Debug, Default)]
pub(crate) struct WriterPriority {
    /// The number of waiting writers. Seldom written, and next to what readers load anyway.
    waiting: AtomicUsize,
    readers: Box<WaitingReaders>,
}

#[derive(Debug, Default)]
struct WaitingReaders {
    progress: Mutex<Progress>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct Progress {
    /// The number of writers that had to wait and have acquired the lock.
    acquired: usize,
    /// Whether a reader has timed out since the last of them.
    timed_out: bool,
}

impl WriterPriority {
    /// Waits for a waiting writer before a read starts, unless the read is nested in another one.
    #[inline]
    pub(crate) fn yield_to_writer(&self, contention: &ContentionCounter) {
        if self.waiting.load(Ordering::Relaxed) > 0 {
            self.wait(contention);
        }
    }

    #[cold]
    fn wait(&self, contention: &ContentionCounter) {
        if reentrancy::is_active() {
            return;
        }
        contention.increment();
        let progress = self.readers.progress();
        let (before, timeout) =
            (progress.acquired, if progress.timed_out { REPEATED_YIELD_TIMEOUT } else { YIELD_TIMEOUT });
        let no_progress =
            |progress: &mut Progress| progress.acquired == before && self.waiting.load(Ordering::Relaxed) > 0;
        let waited = self.readers.changed.wait_timeout_while(progress, timeout, no_progress);
        let (mut progress, outcome) = waited.unwrap_or_else(PoisonError::into_inner);
        progress.timed_out |= outcome.timed_out();
    }

    /// Acquires the lock for writing, while new reads wait.
    pub(crate) fn write<G>(&self, lock: impl FnOnce() -> G) -> G {
        self.waiting.fetch_add(1, Ordering::Relaxed);
        let guard = lock();
        self.waiting.fetch_sub(1, Ordering::Relaxed);
        let mut progress = self.readers.progress();
        *progress = Progress { acquired: progress.acquired.wrapping_add(1), timed_out: false };
        drop(progress);
        self.readers.changed.notify_all();
        guard
    }
}

impl WaitingReaders {
    fn progress(&self) -> MutexGuard<'_, Progress> {
        self.progress.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
