//! The words that the calling thread counted in last, so that it need not look for them each time.
//!
//! Programs have one registry, mostly: what was remembered last is found by one comparison. The three before are kept at
//! hand, for a thread that uses several registries in turns; one that uses more than four looks for its words each time.

use std::cell::Cell;
use std::sync::atomic::{AtomicU64, Ordering};

/// Words to count in, which are never freed.
pub(crate) type Words = &'static [AtomicU64];

/// Who the words belong to, under the name that it has at present: no two names in a process are alike.
///
/// Who takes a new name makes all threads look for their words again, each when it counts next.
#[derive(Debug)]
pub(crate) struct AtomicCacheKey(AtomicU64);

/// A name of an owner.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct CacheKey(u64);

impl AtomicCacheKey {
    pub(crate) fn new() -> Self {
        Self(AtomicU64::new(next_key()))
    }

    /// One that no thread ever remembers anything of.
    pub(crate) fn unused() -> Self {
        Self(AtomicU64::new(u64::MAX))
    }

    #[inline(always)]
    pub(crate) fn load(&self) -> CacheKey {
        CacheKey(self.0.load(Ordering::Acquire))
    }

    /// Takes a new name. Who sees it sees what was done before.
    pub(crate) fn renew(&self) {
        self.0.store(next_key(), Ordering::Release);
    }
}

fn next_key() -> u64 {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    NEXT.fetch_add(1, Ordering::Relaxed)
}

/// What a thread remembers that remembers nothing.
const EMPTY: (u64, Words) = (u64::MAX - 1, &[]);

thread_local! {
    // Without a destructor, so that reading it needs no check, and works in the destructors of others.
    static NEWEST: Cell<(u64, Words)> = const { Cell::new(EMPTY) };
    /// Those that were remembered before, the newest first.
    static OLDER: [Cell<(u64, Words)>; 3] = const { [const { Cell::new(EMPTY) }; 3] };
}

/// Does something with the calling thread's words, if it counted last for the owner of this name.
// With a closure, for then the compiler sees that the thread-local is always there.
#[inline(always)]
pub(crate) fn with_newest<R>(key: CacheKey, act: impl FnOnce(Words) -> R) -> Option<R> {
    NEWEST.with(|recent| {
        let (last, words) = recent.get();
        if last == key.0 { Some(act(words)) } else { None }
    })
}

/// Returns the calling thread's words for the owner of this name, if it counted for that one not long ago.
///
/// They stay where they are kept: of two that are used in turns, each is found in its place.
pub(crate) fn find_older(key: CacheKey) -> Option<Words> {
    OLDER.with(|older| older.iter().map(Cell::get).find(|(load, _)| *load == key.0).map(|(_, words)| words))
}

/// Remembers the calling thread's words, in the place of those that were remembered longest ago.
pub(crate) fn insert(key: CacheKey, words: Words) {
    let mut last = NEWEST.replace((key.0, words));
    OLDER.with(|older| {
        for entry in older {
            // The same words under an older name need no place.
            if std::ptr::eq(last.1, words) {
                return;
            }
            last = entry.replace(last);
        }
    });
}

/// Forgets them all, because somebody else may count there from now on.
pub(crate) fn clear() {
    NEWEST.set(EMPTY);
    OLDER.with(|older| older.iter().for_each(|entry| entry.set(EMPTY)));
}
