//! Which thread this is: a small number, its *seat*, that no other living thread has.
//!
//! A thread takes the lowest free seat when it first asks, and gives it back when it ends.
//! What is counted at it is [remembered](crate::counters::thread_cache) until then.

use std::cell::Cell;
use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::sync::{Mutex, PoisonError};

use crate::counters::thread_cache;

/// How many threads can have a seat at a time; whoever comes then has none until it ends.
pub(crate) const MAX_SLOTS: usize = 512;

/// The calling thread's seat, below [`MAX_SLOTS`].
///
/// `None` for a thread that is ending, in destructors that run after the seat was given back, and for one that found
/// none free. Who takes a seat sees all that those did who had it before.
pub(crate) fn thread_slot() -> Option<usize> {
    let thread_slot = SLOT.get();
    if thread_slot < MAX_SLOTS { Some(thread_slot) } else { acquire_slot(thread_slot) }
}

/// Has not asked yet.
const UNASSIGNED: usize = MAX_SLOTS;
/// Has given its seat back, or never got one.
const NO_SLOT: usize = MAX_SLOTS + 1;

thread_local! {
    static SLOT: Cell<usize> = const { Cell::new(UNASSIGNED) };
    /// Gives the seat back when the thread ends.
    static GUARD: SlotGuard = SlotGuard::acquire();
}

/// Who is seated.
struct SlotPool {
    /// Seats that were given back, the lowest first.
    free: BinaryHeap<Reverse<usize>>,
    /// Seats from here on have never been taken.
    unused: usize,
}

static POOL: Mutex<SlotPool> = Mutex::new(SlotPool { free: BinaryHeap::new(), unused: 0 });

struct SlotGuard(Option<usize>);

impl SlotGuard {
    fn acquire() -> Self {
        let mut pool = POOL.lock().unwrap_or_else(PoisonError::into_inner);
        let thread_slot = pool.free.pop().map(|Reverse(thread_slot)| thread_slot).or_else(|| {
            let unused = pool.unused;
            pool.unused = MAX_SLOTS.min(unused + 1);
            (unused < MAX_SLOTS).then_some(unused)
        });
        Self(thread_slot)
    }
}

impl Drop for SlotGuard {
    fn drop(&mut self) {
        // First leave, then let somebody else sit down.
        SLOT.set(NO_SLOT);
        thread_cache::clear();
        if let Some(thread_slot) = self.0 {
            POOL.lock().unwrap_or_else(PoisonError::into_inner).free.push(Reverse(thread_slot));
        }
    }
}

#[cold]
fn acquire_slot(thread_slot: usize) -> Option<usize> {
    if thread_slot == NO_SLOT {
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
    fn a_seat_is_kept_and_nobody_else_has_it() {
        let all_seated = Barrier::new(50);
        let seats: HashSet<usize> = thread::scope(|scope| {
            let threads: Vec<_> = (0..50)
                .map(|_| {
                    scope.spawn(|| {
                        let mine = thread_slot();
                        all_seated.wait();
                        assert_eq!(thread_slot(), mine);
                        mine.expect("there are seats for fifty")
                    })
                })
                .collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).collect()
        });
        assert_eq!(seats.len(), 50);
    }

    #[test]
    fn seats_are_taken_again() {
        let highest = (0..1_000).map(|_| thread::spawn(thread_slot).join().unwrap().unwrap()).max();
        // Other tests of this process have threads too, hence not 0.
        assert!(highest < Some(500), "{highest:?} of 1,000 threads, one after the other");
    }
}
