//! The words that the calling thread counted in last, so that it need not look for them each time.
//!
//! Programs have one registry, mostly, so remembering one is enough; a thread that goes back and forth between two looks
//! for its words each time it changes.

use std::cell::Cell;
use std::sync::atomic::{AtomicU64, Ordering};

/// Words to count in, which are never freed.
pub(crate) type Words = &'static [AtomicU64];

/// Who the words belong to, under the name that it has at present: no two names in a process are alike.
///
/// Who takes a new name makes all threads look for their words again, each when it counts next.
#[derive(Debug)]
pub(crate) struct Owner(AtomicU64);

/// A name of an owner.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Name(u64);

impl Owner {
    pub(crate) fn new() -> Self {
        Self(AtomicU64::new(fresh()))
    }

    /// One that no thread ever remembers anything of.
    pub(crate) fn nobody() -> Self {
        Self(AtomicU64::new(u64::MAX))
    }

    #[inline(always)]
    pub(crate) fn name(&self) -> Name {
        Name(self.0.load(Ordering::Acquire))
    }

    /// Takes a new name. Who sees it sees what was done before.
    pub(crate) fn rename(&self) {
        self.0.store(fresh(), Ordering::Release);
    }
}

fn fresh() -> u64 {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    NEXT.fetch_add(1, Ordering::Relaxed)
}

/// What a thread remembers that remembers nothing.
const NOTHING: (u64, Words) = (u64::MAX - 1, &[]);

thread_local! {
    // Without a destructor, so that reading it needs no check, and works in the destructors of others.
    static RECENT: Cell<(u64, Words)> = const { Cell::new(NOTHING) };
}

/// Does something with the calling thread's words, if it counted last for the owner of this name.
// With a closure, for then the compiler sees that the thread-local is always there.
#[inline(always)]
pub(crate) fn recall<R>(owner: Name, act: impl FnOnce(Words) -> R) -> Option<R> {
    RECENT.with(|recent| {
        let (last, words) = recent.get();
        if last == owner.0 { Some(act(words)) } else { None }
    })
}

/// Remembers the calling thread's words.
pub(crate) fn remember(owner: Name, words: Words) {
    RECENT.set((owner.0, words));
}

/// Forgets them, because somebody else may count there from now on.
pub(crate) fn forget() {
    RECENT.set(NOTHING);
}
