//! Thread slots: small numbers, each of which is owned by at most one running thread.
//!
//! A thread acquires the lowest free slot on first use and releases it when it exits. So there are as many blocks of
//! counters as threads that run at the same time, and not as many as ever ran. The thread [caches](super::thread_cache) the
//! blocks of its slot in between, so the slot itself is read on a cache miss only.
//!
//! To see what a block per slot gains over one shared block of atomics, build with a [`thread_slot`] that always returns
//! `None`: `cargo xtask instructions` (row `lookup`) shows the instructions of the locked path, and `cargo xtask bench` its
//! contention.
//!
//! The `thread_local` crate numbers threads in the same way, but may panic in destructors that run after it has released
//! the number. Here they get `None`.

use std::cell::Cell;
use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::sync::{Mutex, PoisonError};

use crate::counters::thread_cache;

/// The number of slots. Threads that find none free have none until they exit.
pub(crate) const MAX_SLOTS: usize = 512;

/// Returns the slot of the calling thread, below [`MAX_SLOTS`].
///
/// Returns `None` in destructors that run after the thread has released its slot, and on threads that found none free.
/// A thread that acquires a slot sees all writes of the threads that owned it before.
pub(crate) fn thread_slot() -> Option<usize> {
    let slot = SLOT.get();
    if slot < MAX_SLOTS { Some(slot) } else { acquire_slot(slot) }
}

/// The thread has not acquired a slot yet.
const UNASSIGNED: usize = MAX_SLOTS;
/// The thread has released its slot, or found none free.
const NO_SLOT: usize = MAX_SLOTS + 1;

thread_local! {
    static SLOT: Cell<usize> = const { Cell::new(UNASSIGNED) };
    /// Releases the slot when the thread exits.
    static GUARD: SlotGuard = SlotGuard::acquire();
}

/// The slots that no thread owns.
struct SlotPool {
    /// Released slots, lowest first.
    released: BinaryHeap<Reverse<usize>>,
    /// This slot and all above it have never been acquired.
    first_unused: usize,
}

static POOL: Mutex<SlotPool> = Mutex::new(SlotPool { released: BinaryHeap::new(), first_unused: 0 });

struct SlotGuard(Option<usize>);

impl SlotGuard {
    fn acquire() -> Self {
        let mut pool = POOL.lock().unwrap_or_else(PoisonError::into_inner);
        let slot = pool.released.pop().map(|Reverse(slot)| slot).or_else(|| {
            let unused = pool.first_unused;
            pool.first_unused = MAX_SLOTS.min(unused + 1);
            (unused < MAX_SLOTS).then_some(unused)
        });
        Self(slot)
    }
}

impl Drop for SlotGuard {
    fn drop(&mut self) {
        // The thread must stop using its slot before another thread can acquire it.
        SLOT.set(NO_SLOT);
        thread_cache::clear();
        if let Some(slot) = self.0 {
            POOL.lock().unwrap_or_else(PoisonError::into_inner).released.push(Reverse(slot));
        }
    }
}

#[cold]
fn acquire_slot(slot: usize) -> Option<usize> {
    if slot == NO_SLOT {
        return None;
    }
    let acquired = GUARD.try_with(|guard| guard.0).ok().flatten();
    SLOT.set(acquired.unwrap_or(NO_SLOT));
    acquired
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;
    use std::sync::Barrier;
    use std::thread;

    use super::*;

    #[test]
    fn running_threads_have_distinct_and_constant_slots() {
        let all_have_slots = Barrier::new(50);
        let slots: HashSet<usize> = thread::scope(|scope| {
            let threads: Vec<_> = (0..50)
                .map(|_| {
                    scope.spawn(|| {
                        let slot = thread_slot();
                        all_have_slots.wait();
                        assert_eq!(thread_slot(), slot);
                        slot.expect("there are slots for fifty threads")
                    })
                })
                .collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).collect()
        });
        assert_eq!(slots.len(), 50);
    }

    #[test]
    fn slots_of_exited_threads_are_reused() {
        let highest = (0..1_000).map(|_| thread::spawn(thread_slot).join().unwrap().unwrap()).max();
        // Not 0, because other tests of this process run threads too.
        assert!(highest < Some(500), "{highest:?} of 1,000 threads, one after the other");
    }
}
