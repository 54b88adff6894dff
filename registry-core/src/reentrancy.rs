//! Detection of forbidden nesting, which would deadlock on several backends: a write to or a drop of a shard inside a
//! read, and any operation inside the predicate of a removal or an insertion.
//!
//! Each thread counts its active reads and predicates, and a write that starts inside one panics, in debug and in
//! release builds. The cost is an increment and a decrement of a thread-local word per read. The count is per thread
//! and not per shard, because two threads that each read one shard and write the other one deadlock as well.
//!
//! In builds that explore schedules (`--cfg shuttle`) all of this compiles to nothing, because there all threads of a
//! schedule run on one thread.

#[cfg(not(shuttle))]
use std::cell::Cell;
use std::marker::PhantomData;

// These have no destructor, so that shards can be used in the destructors of other thread-locals.
#[cfg(not(shuttle))]
thread_local! {
    static ACTIVE_READS: Cell<usize> = const { Cell::new(0) };
    static ACTIVE_PREDICATES: Cell<usize> = const { Cell::new(0) };
}

/// An active read of the current thread. The read ends when the guard is dropped.
#[must_use = "the read ends when this is dropped"]
#[derive(Debug)]
pub struct ReadGuard {
    /// A read starts and ends on one thread.
    _not_send: PhantomData<*const ()>,
}

/// An active predicate of the current thread. The predicate ends when the guard is dropped.
#[must_use = "the predicate ends when this is dropped"]
#[derive(Debug)]
pub struct PredicateGuard {
    /// A predicate starts and ends on one thread.
    _not_send: PhantomData<*const ()>,
}

/// Returns whether the current thread has an active read or predicate, so that a write would panic.
///
/// Always `false` in builds that explore schedules.
#[inline]
pub fn is_active() -> bool {
    #[cfg(not(shuttle))]
    return ACTIVE_READS.get() + ACTIVE_PREDICATES.get() > 0;
    #[cfg(shuttle)]
    return false;
}

/// Checks that a read may start. A backend must call this at the start of every read, before it acquires a lock, with
/// the name of the operation.
///
/// # Panics
///
/// In debug builds, if the current thread is inside a predicate and not already panicking.
#[inline]
pub fn check_read(operation: &str) {
    #[cfg(all(debug_assertions, not(shuttle)))]
    if ACTIVE_PREDICATES.get() > 0 && !std::thread::panicking() {
        is_in_predicate(operation);
    }
    let _ = operation;
}

/// Marks the start of a read. A backend must hold the returned guard while it runs a closure that was passed to a read.
#[inline]
pub fn enter_read() -> ReadGuard {
    #[cfg(not(shuttle))]
    ACTIVE_READS.set(ACTIVE_READS.get().wrapping_add(1));
    ReadGuard { _not_send: PhantomData }
}

/// Marks the start of a predicate. A backend must hold the returned guard while it runs the closure that decides on a
/// removal or an insertion.
#[inline]
pub fn enter_predicate() -> PredicateGuard {
    #[cfg(not(shuttle))]
    ACTIVE_PREDICATES.set(ACTIVE_PREDICATES.get().wrapping_add(1));
    PredicateGuard { _not_send: PhantomData }
}

/// Checks that a write may start. A backend must call this at the start of every write, and when a shard is dropped,
/// with the name of the operation.
///
/// # Panics
///
/// If the current thread is inside a read of any shard or inside a predicate, and not already panicking.
#[inline]
pub fn check_write(operation: &str) {
    #[cfg(not(shuttle))]
    if is_active() && !std::thread::panicking() {
        if ACTIVE_PREDICATES.get() > 0 {
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
    panic!("`{operation}` inside the predicate of a write on the same thread: this deadlocks on several backends");
}

#[cfg(not(shuttle))]
#[cold]
#[inline(never)]
fn is_in_read(operation: &str) -> ! {
    panic!(
        "`{operation}` inside a read of a shard on the same thread: this deadlocks on several backends; \
         return what is needed from the closure and write after it"
    );
}

impl Drop for ReadGuard {
    #[inline]
    fn drop(&mut self) {
        #[cfg(not(shuttle))]
        ACTIVE_READS.set(ACTIVE_READS.get().wrapping_sub(1));
    }
}

impl Drop for PredicateGuard {
    #[inline]
    fn drop(&mut self) {
        #[cfg(not(shuttle))]
        ACTIVE_PREDICATES.set(ACTIVE_PREDICATES.get().wrapping_sub(1));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn write_after_read_is_allowed() {
        drop(enter_read());
        check_write("insert_new");
    }

    #[test]
    #[cfg(not(shuttle))]
    fn write_panics_until_the_outermost_read_ends() {
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
    fn operations_inside_a_predicate_panic() {
        let predicate = enter_predicate();
        assert_eq!(std::panic::catch_unwind(|| check_read("with")).is_err(), cfg!(debug_assertions));
        assert!(std::panic::catch_unwind(|| check_write("insert_new")).is_err());
        drop(predicate);
        check_read("with");
        check_write("insert_new");
    }
}
