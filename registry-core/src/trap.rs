//! A trap for the mistakes that maps answer with a deadlock: a write, or a drop, of a shard inside a read, and anything
//! at all inside the decision about a removal or an insertion.
//!
//! Each thread counts the reads and decisions that it has open, and a write that begins inside one panics, in debug and
//! in release builds alike: an increment and a decrement of a thread-local word per read.
//! It is per thread and not per shard on purpose: two threads that each read one shard and write the other deadlock
//! as well. Builds that explore schedules (`--cfg shuttle`) compile it to nothing, because their threads take turns on
//! one.

#[cfg(not(shuttle))]
use std::cell::Cell;
use std::marker::PhantomData;

// Without a destructor, so that reads and writes in the destructors of other thread-locals work.
#[cfg(not(shuttle))]
thread_local! {
    static OPEN_READS: Cell<usize> = const { Cell::new(0) };
    static OPEN_DECISIONS: Cell<usize> = const { Cell::new(0) };
}

/// An open read of the current thread; it ends when this is dropped.
#[must_use = "the read ends when this is dropped"]
#[derive(Debug)]
pub struct Reading {
    /// A read begins and ends on one thread.
    _not_send: PhantomData<*const ()>,
}

/// An open decision of the current thread; it ends when this is dropped.
#[must_use = "the decision ends when this is dropped"]
#[derive(Debug)]
pub struct Deciding {
    /// A decision begins and ends on one thread.
    _not_send: PhantomData<*const ()>,
}

/// Returns whether the current thread has a read or a decision open, so that a write would be caught.
///
/// Always `false` where schedules are explored.
#[inline]
pub fn is_open() -> bool {
    #[cfg(not(shuttle))]
    return OPEN_READS.get() + OPEN_DECISIONS.get() > 0;
    #[cfg(shuttle)]
    return false;
}

/// A backend must call this at the start of every read, before it takes a lock, naming the operation.
///
/// # Panics
///
/// In debug builds, when the current thread is deciding about a write (and not panicking already).
#[inline]
pub fn looking(operation: &str) {
    #[cfg(all(debug_assertions, not(shuttle)))]
    if OPEN_DECISIONS.get() > 0 && !std::thread::panicking() {
        inside_a_decision(operation);
    }
    let _ = operation;
}

/// A backend must hold this while it runs a closure that was given to a read.
#[inline]
pub fn reading() -> Reading {
    #[cfg(not(shuttle))]
    OPEN_READS.set(OPEN_READS.get().wrapping_add(1));
    Reading { _not_send: PhantomData }
}

/// A backend must hold this while it runs the closure that decides about a removal or an insertion.
#[inline]
pub fn deciding() -> Deciding {
    #[cfg(not(shuttle))]
    OPEN_DECISIONS.set(OPEN_DECISIONS.get().wrapping_add(1));
    Deciding { _not_send: PhantomData }
}

/// A backend must call this at the start of every write, and when a shard is dropped, naming the operation.
///
/// # Panics
///
/// When the current thread is inside a read of any shard, or is deciding about a write (and not panicking already).
#[inline]
pub fn writing(operation: &str) {
    #[cfg(not(shuttle))]
    if is_open() && !std::thread::panicking() {
        if OPEN_DECISIONS.get() > 0 {
            inside_a_decision(operation);
        }
        inside_a_read(operation);
    }
    let _ = operation;
}

#[cfg(not(shuttle))]
#[cold]
#[inline(never)]
fn inside_a_decision(operation: &str) -> ! {
    panic!("`{operation}` inside the decision about a write on the same thread: this deadlocks on several backends");
}

#[cfg(not(shuttle))]
#[cold]
#[inline(never)]
fn inside_a_read(operation: &str) -> ! {
    panic!(
        "`{operation}` inside a read of a shard on the same thread: this deadlocks on several backends; \
         return what you need from the closure and write after it"
    );
}

impl Drop for Reading {
    #[inline]
    fn drop(&mut self) {
        #[cfg(not(shuttle))]
        OPEN_READS.set(OPEN_READS.get().wrapping_sub(1));
    }
}

impl Drop for Deciding {
    #[inline]
    fn drop(&mut self) {
        #[cfg(not(shuttle))]
        OPEN_DECISIONS.set(OPEN_DECISIONS.get().wrapping_sub(1));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_write_after_a_read_passes() {
        drop(reading());
        writing("insert_new");
    }

    #[test]
    #[cfg(not(shuttle))]
    fn a_write_inside_nested_reads_is_caught_until_the_last_ends() {
        let outer = reading();
        drop(reading());
        assert!(is_open());
        assert!(std::panic::catch_unwind(|| writing("insert_new")).is_err());
        drop(outer);
        assert!(!is_open());
        writing("insert_new");
    }

    #[test]
    #[cfg(not(shuttle))]
    fn nothing_may_begin_inside_a_decision() {
        let decision = deciding();
        assert_eq!(std::panic::catch_unwind(|| looking("with")).is_err(), cfg!(debug_assertions));
        assert!(std::panic::catch_unwind(|| writing("insert_new")).is_err());
        drop(decision);
        looking("with");
        writing("insert_new");
    }
}
