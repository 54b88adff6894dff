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
pub struct ReadGuard {
    /// A read begins and ends on one thread.
    _not_send: PhantomData<*const ()>,
}

/// An open decision of the current thread; it ends when this is dropped.
#[must_use = "the decision ends when this is dropped"]
#[derive(Debug)]
pub struct PredicateGuard {
    /// A decision begins and ends on one thread.
    _not_send: PhantomData<*const ()>,
}

/// Returns whether the current thread has a read or a decision open, so that a write would be caught.
///
/// Always `false` where schedules are explored.
#[inline]
pub fn is_active() -> bool {
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
pub fn check_read(operation: &str) {
    #[cfg(all(debug_assertions, not(shuttle)))]
    if OPEN_DECISIONS.get() > 0 && !std::thread::panicking() {
        is_in_predicate(operation);
    }
    let _ = operation;
}

/// A backend must hold this while it runs a closure that was given to a read.
#[inline]
pub fn enter_read() -> ReadGuard {
    #[cfg(not(shuttle))]
    OPEN_READS.set(OPEN_READS.get().wrapping_add(1));
    ReadGuard { _not_send: PhantomData }
}

/// A backend must hold this while it runs the closure that decides about a removal or an insertion.
#[inline]
pub fn enter_predicate() -> PredicateGuard {
    #[cfg(not(shuttle))]
    OPEN_DECISIONS.set(OPEN_DECISIONS.get().wrapping_add(1));
    PredicateGuard { _not_send: PhantomData }
}

/// A backend must call this at the start of every write, and when a shard is dropped, naming the operation.
///
/// # Panics
///
/// When the current thread is inside a read of any shard, or is deciding about a write (and not panicking already).
#[inline]
pub fn check_write(operation: &str) {
    #[cfg(not(shuttle))]
    if is_active() && !std::thread::panicking() {
        if OPEN_DECISIONS.get() > 0 {
            is_in_predicate(operation);
        }
        is_in_read(operation);
    }
    let _ = operation;
}

#[cfg(not(shuttle))]
#[cold]
#[inline(never)]
fn is_in_predicate(operation: &str) -> ! {
    panic!("`{operation}` inside the decision about a write on the same thread: this deadlocks on several backends");
}

#[cfg(not(shuttle))]
#[cold]
#[inline(never)]
fn is_in_read(operation: &str) -> ! {
    panic!(
        "`{operation}` inside a read of a shard on the same thread: this deadlocks on several backends; \
         return what you need from the closure and write after it"
    );
}

impl Drop for ReadGuard {
    #[inline]
    fn drop(&mut self) {
        #[cfg(not(shuttle))]
        OPEN_READS.set(OPEN_READS.get().wrapping_sub(1));
    }
}

impl Drop for PredicateGuard {
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
        drop(enter_read());
        check_write("insert_new");
    }

    #[test]
    #[cfg(not(shuttle))]
    fn a_write_inside_nested_reads_is_caught_until_the_last_ends() {
        let outer = enter_read();
        drop(enter_read());
        assert!(is_active());
        assert!(std::panic::catch_unwind(|| check_write("insert_new")).is_err());
        drop(outer);
        assert!(!is_active());
        check_write("insert_new");
    }

    #[test]
    #[cfg(not(shuttle))]
    fn nothing_may_begin_inside_a_decision() {
        let decision = enter_predicate();
        assert_eq!(std::panic::catch_unwind(|| check_read("with")).is_err(), cfg!(debug_assertions));
        assert!(std::panic::catch_unwind(|| check_write("insert_new")).is_err());
        drop(decision);
        check_read("with");
        check_write("insert_new");
    }
}
