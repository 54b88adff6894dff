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
pub(crate) const SEATS: usize = 512;

/// The calling thread's seat, below [`SEATS`].
///
/// `None` for a thread that is ending, in destructors that run after the seat was given back, and for one that found
/// none free. Who takes a seat sees all that those did who had it before.
pub(crate) fn seat() -> Option<usize> {
    let seat = SEAT.get();
    if seat < SEATS { Some(seat) } else { take_seat(seat) }
}

/// Has not asked yet.
const STANDING: usize = SEATS;
/// Has given its seat back, or never got one.
const LEFT: usize = SEATS + 1;

thread_local! {
    static SEAT: Cell<usize> = const { Cell::new(STANDING) };
    /// Gives the seat back when the thread ends.
    static TICKET: Ticket = Ticket::take();
}

/// Who is seated.
struct House {
    /// Seats that were given back, the lowest first.
    free: BinaryHeap<Reverse<usize>>,
    /// Seats from here on have never been taken.
    fresh: usize,
}

static HOUSE: Mutex<House> = Mutex::new(House { free: BinaryHeap::new(), fresh: 0 });

struct Ticket(Option<usize>);

impl Ticket {
    fn take() -> Self {
        let mut house = HOUSE.lock().unwrap_or_else(PoisonError::into_inner);
        let seat = house.free.pop().map(|Reverse(seat)| seat).or_else(|| {
            let fresh = house.fresh;
            house.fresh = SEATS.min(fresh + 1);
            (fresh < SEATS).then_some(fresh)
        });
        Self(seat)
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        // First leave, then let somebody else sit down.
        SEAT.set(LEFT);
        thread_cache::forget();
        if let Some(seat) = self.0 {
            HOUSE.lock().unwrap_or_else(PoisonError::into_inner).free.push(Reverse(seat));
        }
    }
}

#[cold]
fn take_seat(seat: usize) -> Option<usize> {
    if seat == LEFT {
        return None;
    }
    let taken = TICKET.try_with(|ticket| ticket.0).ok().flatten();
    SEAT.set(taken.unwrap_or(LEFT));
    taken
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
                        let mine = seat();
                        all_seated.wait();
                        assert_eq!(seat(), mine);
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
        let highest = (0..1_000).map(|_| thread::spawn(seat).join().unwrap().unwrap()).max();
        // Other tests of this process have threads too, hence not 0.
        assert!(highest < Some(500), "{highest:?} of 1,000 threads, one after the other");
    }
}
