//! The words that the calling thread counted in last, so that it need not look for them each time.
//!
//! Programs have one registry, mostly, so remembering one is enough; a thread that goes back and forth between two looks
//! for its words each time it changes.

use std::cell::Cell;
use std::sync::atomic::{AtomicU64, Ordering};

/// Words to count in, which are never freed.
pub(crate) type Words = &'static [AtomicU64];

/// Who the words belong to: no two that are [new](Owner::new) in a process are alike.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Owner(u64);

impl Owner {
    /// One that no thread ever remembers anything of.
    pub(crate) const NOBODY: Self = Self(u64::MAX);

    pub(crate) fn new() -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        Self(NEXT.fetch_add(1, Ordering::Relaxed))
    }
}

/// What a thread remembers that remembers nothing.
const NOTHING: (u64, Words) = (u64::MAX - 1, &[]);

thread_local! {
    // Without a destructor, so that reading it needs no check, and works in the destructors of others.
    static RECENT: Cell<(u64, Words)> = const { Cell::new(NOTHING) };
}

/// Does something with the calling thread's words, if it counted for this owner last.
// With a closure, for then the compiler sees that the thread-local is always there.
#[inline(always)]
pub(crate) fn recall<R>(owner: Owner, act: impl FnOnce(Words) -> R) -> Option<R> {
    RECENT.with(|recent| {
        let (last, words) = recent.get();
        if last == owner.0 { Some(act(words)) } else { None }
    })
}

/// Remembers the calling thread's words.
pub(crate) fn remember(owner: Owner, words: Words) {
    RECENT.set((owner.0, words));
}

/// Forgets them, because somebody else may count there from now on.
pub(crate) fn forget() {
    RECENT.set(NOTHING);
}
