//! A trap for the mistake that maps answer with a deadlock: a write, or a drop, of a shard inside a read.
//!
//! Debug builds count, per thread, how many reads are open, and panic when a write begins inside one.
//! It is per thread and not per shard on purpose: two threads that each read one shard and write the other deadlock
//! as well. Release builds compile it to nothing.

#[cfg(debug_assertions)]
use std::cell::Cell;
use std::marker::PhantomData;

#[cfg(debug_assertions)]
thread_local! {
    static OPEN_READS: Cell<usize> = const { Cell::new(0) };
}

/// An open read of the current thread; it ends when this is dropped.
#[must_use = "the read ends when this is dropped"]
#[derive(Debug)]
pub struct Reading {
    /// A read begins and ends on one thread.
    _not_send: PhantomData<*const ()>,
}

/// A backend must hold this while it runs a closure that was given to a read.
#[inline]
pub fn reading() -> Reading {
    #[cfg(debug_assertions)]
    OPEN_READS.set(OPEN_READS.get() + 1);
    Reading { _not_send: PhantomData }
}

impl Drop for Reading {
    #[inline]
    fn drop(&mut self) {
        #[cfg(debug_assertions)]
        OPEN_READS.set(OPEN_READS.get() - 1);
    }
}

/// A backend must call this at the start of every write, and when a shard is dropped, naming the operation.
///
/// # Panics
///
/// In debug builds, when the current thread is inside a read of any shard (and not panicking already).
#[inline]
pub fn writing(operation: &str) {
    #[cfg(debug_assertions)]
    if OPEN_READS.get() > 0 && !std::thread::panicking() {
        panic!(
            "`{operation}` inside a read of a shard on the same thread: this deadlocks on several backends; \
             return what you need from the closure and write after it"
        );
    }
    let _ = operation;
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
    #[cfg(debug_assertions)]
    fn a_write_inside_nested_reads_is_caught_until_the_last_ends() {
        let outer = reading();
        drop(reading());
        assert!(std::panic::catch_unwind(|| writing("insert_new")).is_err());
        drop(outer);
        writing("insert_new");
    }
}
