//! A thread-local cache of the blocks that the calling thread counted in most recently.
//!
//! A program usually has one registry, so the newest entry is found with one comparison. Three older entries serve threads
//! that alternate between registries; a thread that uses more than four misses the cache on each count.
//!
//! A hit saves the thread slot and the block's [`OnceLock`](std::sync::OnceLock), and renewed keys notify threads of
//! a new sampling without another word to test. `cargo xtask instructions` counts both paths: compare its `lookup` row with
//! the one of a build in which [`with_newest`] always returns `None`.

use std::cell::Cell;
use std::sync::atomic::{AtomicU64, Ordering};

/// The counters of a block. They are never freed.
pub(crate) type Words = &'static [AtomicU64];

/// The present key of one registry's counters. No two keys in a process are equal.
///
/// A new key invalidates the entries of all threads: each misses the cache when it counts next.
#[derive(Debug)]
pub(crate) struct AtomicCacheKey(AtomicU64);

/// A key of a cache entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct CacheKey(u64);

impl AtomicCacheKey {
    pub(crate) fn new() -> Self {
        Self(AtomicU64::new(next_key()))
    }

    /// Returns a key under which no thread ever has an entry.
    pub(crate) fn unused() -> Self {
        Self(AtomicU64::new(u64::MAX))
    }

    #[inline(always)]
    pub(crate) fn load(&self) -> CacheKey {
        CacheKey(self.0.load(Ordering::Acquire))
    }

    /// Replaces the key. A thread that loads the new key also sees all writes before this call.
    pub(crate) fn renew(&self) {
        self.0.store(next_key(), Ordering::Release);
    }
}

fn next_key() -> u64 {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    NEXT.fetch_add(1, Ordering::Relaxed)
}

/// An entry whose key is never used.
const EMPTY: (u64, Words) = (u64::MAX - 1, &[]);

thread_local! {
    // Without a destructor, so that an access needs no check and works in the destructors of other thread-locals.
    static NEWEST: Cell<(u64, Words)> = const { Cell::new(EMPTY) };
    /// The entries before that, newest first.
    static OLDER: [Cell<(u64, Words)>; 3] = const { [const { Cell::new(EMPTY) }; 3] };
}

/// Calls `act` with the words of the newest entry, if that has this key.
// A closure lets the compiler see that the thread-local is always initialized.
#[inline(always)]
pub(crate) fn with_newest<R>(key: CacheKey, act: impl FnOnce(Words) -> R) -> Option<R> {
    NEWEST.with(|newest| {
        let (newest_key, words) = newest.get();
        if newest_key == key.0 { Some(act(words)) } else { None }
    })
}

/// Returns the words of the older entry with this key.
///
/// Does not reorder the entries, so that two registries in alternation each hit the same entry.
pub(crate) fn find_older(key: CacheKey) -> Option<Words> {
    OLDER.with(|older| older.iter().map(Cell::get).find(|(older_key, _)| *older_key == key.0).map(|(_, words)| words))
}

/// Adds a newest entry and evicts the oldest one.
pub(crate) fn insert(key: CacheKey, words: Words) {
    let mut evicted = NEWEST.replace((key.0, words));
    OLDER.with(|older| {
        for entry in older {
            // An entry with the same words has an outdated key.
            if std::ptr::eq(evicted.1, words) {
                return;
            }
            evicted = entry.replace(evicted);
        }
    });
}

/// Removes all entries of the calling thread, because another thread may own the words from now on.
pub(crate) fn clear() {
    NEWEST.set(EMPTY);
    OLDER.with(|older| older.iter().for_each(|entry| entry.set(EMPTY)));
}
