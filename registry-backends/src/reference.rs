//! The reference backend: the hash map of `std` behind the lock of `std`, as a baseline for the others.
//!
//! # Trade-offs
//!
//! For tests and as a baseline; nothing here is optimised.
//!
//! - Every read writes to the lock, so concurrent readers slow each other down.
//! - A writer spins until it finds the lock without readers; a read that is not nested lets a waiting writer go first.
//! - A removed entry is dropped before the removal returns, by the same thread. The table shrinks only on request.
//!
//! # Implementation
//!
//! Entries are stored in the table; a read holds the read lock while its closure runs.
//!
//! The lock of `std` makes a new reader wait behind a waiting writer, so a nested read would wait for a writer that
//! waits for the outer read. Therefore no writer ever blocks on the lock: it retries `try_write`, and
//! `writer_priority.rs` delays reads that are about to start. A removal calls its predicate under the write lock under
//! which it removes.
//!
//! In builds that explore schedules (`--cfg shuttle`) the lock is the scheduler's.

#[cfg(shuttle)]
use shuttle::{
    sync::{RwLock, RwLockReadGuard, RwLockWriteGuard},
    thread,
};
use std::collections::HashMap;
use std::fmt;
use std::ops::ControlFlow;
use std::slice;
use std::sync::PoisonError;
use std::sync::atomic::{AtomicUsize, Ordering};
#[cfg(not(shuttle))]
use std::{
    sync::{RwLock, RwLockReadGuard, RwLockWriteGuard},
    thread,
};

use registry_core::{Backend, Contention, ContentionKind, Key, NotInserted, Shard, State, Value, reentrancy};

use crate::contention::{ContentionCounter, ignore_poison};
use crate::hashed::{Hashed, Lookup, PassThrough, Query};
use crate::predicate::in_predicate;
#[cfg(not(shuttle))]
use crate::writer_priority::WriterPriority;

/// Shards that are a `HashMap` in an `RwLock`.
#[derive(Clone, Copy, Debug, Default)]
pub struct Reference;

/// A shard of [`Reference`].
pub struct ReferenceShard<K, V, S> {
    table: RwLock<Table<K, V, S>>,
    #[cfg(not(shuttle))]
    writer_priority: WriterPriority,
    contention: ContentionCounter,
    initial_capacity: usize,
    /// The current capacity. `capacity` of the table itself depends on the slots that removed entries have left.
    ///
    /// A plain atomic also in builds that explore schedules, because nothing is decided by it.
    capacity: AtomicUsize,
}

type Table<K, V, S> = HashMap<Hashed<K>, (V, S), PassThrough>;

impl Backend for Reference {
    const NAME: &'static str = "reference";

    type Shard<K: Key, V: Value, S: State> = ReferenceShard<K, V, S>;

    fn shard<K: Key, V: Value, S: State>(&self, capacity: usize) -> Self::Shard<K, V, S> {
        let table = HashMap::with_capacity_and_hasher(capacity, PassThrough::default());
        ReferenceShard {
            #[cfg(not(shuttle))]
            writer_priority: WriterPriority::default(),
            contention: ContentionCounter::default(),
            initial_capacity: capacity,
            capacity: AtomicUsize::new(table.capacity()),
            table: RwLock::new(table),
        }
    }
}

impl<K: Key, V: Value, S: State> Shard<K, V, S> for ReferenceShard<K, V, S> {
    #[inline]
    fn with<R>(&self, hash: u64, key: &[u8], read: impl FnOnce(&K, &V, &S) -> R) -> Option<R> {
        reentrancy::check_read("with");
        let table = self.read();
        let (key, (value, state)) = table.get_key_value(&Query { hash, key } as &dyn Lookup)?;
        let _reading = reentrancy::enter_read();
        Some(read(key.key(), value, state))
    }

    fn insert_new_with<E>(
        &self,
        hash: u64,
        key: K,
        mut value: V,
        state: S,
        complete: impl FnOnce(&mut [V]) -> Result<(), E>,
    ) -> Result<(), NotInserted<V, S, E>> {
        reentrancy::check_write("insert_new");
        let key = Hashed::new(hash, key);
        let mut table = self.write();
        if table.contains_key(&key) {
            return Err(NotInserted::Occupied(value, state));
        }
        if let Err(reason) = in_predicate(|| complete(slice::from_mut(&mut value))) {
            return Err(NotInserted::Declined(value, state, reason));
        }
        table.insert(key, (value, state));
        let capacity = table.capacity().max(self.capacity.load(Ordering::Relaxed));
        self.capacity.store(capacity, Ordering::Relaxed);
        Ok(())
    }

    fn remove_if(&self, hash: u64, key: &[u8], mut predicate: impl FnMut(&K, &V, &S) -> bool) -> bool {
        reentrancy::check_write("remove_if");
        let query: &dyn Lookup = &Query { hash, key };
        let mut table = self.write();
        let Some((found, (value, state))) = table.get_key_value(query) else {
            return false;
        };
        let removes = in_predicate(|| predicate(found.key(), value, state));
        let removed = if removes { table.remove_entry(query) } else { None };
        drop(table);
        // The entry is dropped here, after the lock.
        removed.is_some()
    }

    fn for_each(&self, mut visit: impl FnMut(&K, &V, &S) -> ControlFlow<()>) {
        reentrancy::check_read("for_each");
        let table = self.read();
        let _reading = reentrancy::enter_read();
        for (key, (value, state)) in table.iter() {
            if visit(key.key(), value, state).is_break() {
                break;
            }
        }
    }

    fn len(&self) -> usize {
        self.read().len()
    }

    fn capacity(&self) -> usize {
        self.capacity.load(Ordering::Relaxed)
    }

    fn shrink(&self) {
        reentrancy::check_write("shrink");
        let mut table = self.write();
        let capacity = (2 * table.len()).max(self.initial_capacity);
        table.shrink_to(capacity);
        self.capacity.store(table.capacity(), Ordering::Relaxed);
    }

    fn contention(&self) -> Option<Contention> {
        self.contention.as_contention(ContentionKind::LockWait)
    }
}

// A closure that panics under the lock unwinds before any change, so poison is ignored.
impl<K, V, S> ReferenceShard<K, V, S> {
    #[inline]
    fn read(&self) -> RwLockReadGuard<'_, Table<K, V, S>> {
        #[cfg(not(shuttle))]
        self.writer_priority.yield_to_writer(&self.contention);
        let wait = || self.table.read().unwrap_or_else(PoisonError::into_inner);
        self.contention.or_wait(ignore_poison(self.table.try_read()), wait)
    }

    fn write(&self) -> RwLockWriteGuard<'_, Table<K, V, S>> {
        let lock = || {
            loop {
                thread::yield_now();
                if let Some(table) = ignore_poison(self.table.try_write()) {
                    return table;
                }
            }
        };
        #[cfg(not(shuttle))]
        let lock = || self.writer_priority.write(lock);
        self.contention.or_wait(ignore_poison(self.table.try_write()), lock)
    }
}

impl<K, V, S> Drop for ReferenceShard<K, V, S> {
    fn drop(&mut self) {
        reentrancy::check_write("drop");
    }
}

impl<K, V, S> fmt::Debug for ReferenceShard<K, V, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ReferenceShard").finish_non_exhaustive()
    }
}
