//! A trap for the mistakes that maps answer with a deadlock: a write, or a drop, of a shard inside a read, and anything
//! at all inside the decision of a removal.
//!
//! Debug builds count, per thread, how many reads and decisions are open, and panic when something begins inside that
//! must not.
//! It is per thread and not per shard on purpose: two threads that each read one shard and write the other deadlock
//! as well. Release builds compile it to nothing, and so do those that explore schedules (`--cfg shuttle`), whose
//! threads take turns on one.

#[cfg(all(debug_assertions, not(shuttle)))]
use std::cell::Cell;
use std::marker::PhantomData;

#[cfg(all(debug_assertions, not(shuttle)))]
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

/// A backend must call this at the start of every read, before it takes a lock, naming the operation.
///
/// # Panics
///
/// In debug builds, when the current thread is deciding about a removal (and not panicking already).
#[inline]
pub fn looking(operation: &str) {
    #[cfg(all(debug_assertions, not(shuttle)))]
    if OPEN_DECISIONS.get() > 0 && !std::thread::panicking() {
        panic!(
            "`{operation}` inside the decision about a removal on the same thread: this deadlocks on several backends"
        );
    }
    let _ = operation;
}

/// A backend must hold this while it runs a closure that was given to a read.
#[inline]
pub fn reading() -> Reading {
    #[cfg(all(debug_assertions, not(shuttle)))]
    OPEN_READS.set(OPEN_READS.get() + 1);
    Reading { _not_send: PhantomData }
}

/// A backend must hold this while it runs the closure that decides about a removal.
#[inline]
pub fn deciding() -> Deciding {
    #[cfg(all(debug_assertions, not(shuttle)))]
    OPEN_DECISIONS.set(OPEN_DECISIONS.get() + 1);
    Deciding { _not_send: PhantomData }
}

/// A backend must call this at the start of every write, and when a shard is dropped, naming the operation.
///
/// # Panics
///
/// In debug builds, when the current thread is inside a read of any shard, or is deciding about a removal (and not
/// panicking already).
#[inline]
pub fn writing(operation: &str) {
    looking(operation);
    #[cfg(all(debug_assertions, not(shuttle)))]
    if OPEN_READS.get() > 0 && !std::thread::panicking() {
        panic!(
            "`{operation}` inside a read of a shard on the same thread: this deadlocks on several backends; \
             return what you need from the closure and write after it"
        );
    }
}

impl Drop for Reading {
    #[inline]
    fn drop(&mut self) {
        #[cfg(all(debug_assertions, not(shuttle)))]
        OPEN_READS.set(OPEN_READS.get() - 1);
    }
}

impl Drop for Deciding {
    #[inline]
    fn drop(&mut self) {
        #[cfg(all(debug_assertions, not(shuttle)))]
        OPEN_DECISIONS.set(OPEN_DECISIONS.get() - 1);
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
    #[cfg(all(debug_assertions, not(shuttle)))]
    fn a_write_inside_nested_reads_is_caught_until_the_last_ends() {
        let outer = reading();
        drop(reading());
        assert!(std::panic::catch_unwind(|| writing("insert_new")).is_err());
        drop(outer);
        writing("insert_new");
    }

    #[test]
    #[cfg(all(debug_assertions, not(shuttle)))]
    fn nothing_may_begin_inside_a_decision() {
        let decision = deciding();
        assert!(std::panic::catch_unwind(|| looking("with")).is_err());
        assert!(std::panic::catch_unwind(|| writing("insert_new")).is_err());
        drop(decision);
        looking("with");
        writing("insert_new");
    }
}
