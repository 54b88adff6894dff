//! The plainly correct backend: `std`'s hash map behind `std`'s lock, to hold the others against.
//!
//! # Trade-offs
//!
//! For tests and as the line to beat; nothing here was done for speed.
//!
//! - Every read writes to the lock, so readers on several cores slow each other down.
//! - A writer waits for a moment without readers, spinning; a read that is inside no other one lets it go first.
//! - A removed value is dropped at once, by the thread that removed it. The table shrinks only when it is told to.
//!
//! # How it works
//!
//! Entries lie in the table; a read holds the read lock while it shows one.
//!
//! `std`'s lock makes a new reader wait behind a waiting writer, and a read inside a read would then wait for a writer
//! that waits for it. So no writer ever queues: it tries the lock until it gets it, with `gate.rs` to hold back those
//! who are about to read.
//! A removal asks `owned` under the write lock that it removes with.
//!
//! In a build that explores schedules (`--cfg shuttle`) the lock is the scheduler's.

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
#[cfg(shuttle)]
use shuttle::{
    sync::{RwLock, RwLockReadGuard, RwLockWriteGuard},
    thread,
};

use registry_core::{Backend, Contention, Value, Key, ContentionKind, NotInserted, Shard, State, reentrancy};

#[cfg(not(shuttle))]
use crate::gate::Gate;
use crate::hashed::{Hashed, Lookup, PassThrough, Query};
use crate::met::{Met, free};

/// Shards that are a `HashMap` in an `RwLock`.
#[derive(Clone, Copy, Debug, Default)]
pub struct Reference;

/// A shard of [`Reference`].
pub struct ReferenceShard<K, V, S> {
    table: RwLock<Table<K, V, S>>,
    #[cfg(not(shuttle))]
    gate: Gate,
    met: Met,
    /// How many entries it was made for.
    least: usize,
    /// How many it has room for. The table itself counts only the room that those who left have made free again.
    ///
    /// A plain atomic, whatever schedules are explored: it is a figure.
    room: AtomicUsize,
}

type Table<K, V, S> = HashMap<Hashed<K>, (V, S), PassThrough>;

impl Backend for Reference {
    const NAME: &'static str = "reference";

    type Shard<K: Key, V: Value, S: State> = ReferenceShard<K, V, S>;

    fn shard<K: Key, V: Value, S: State>(&self, capacity: usize) -> Self::Shard<K, V, S> {
        let table = HashMap::with_capacity_and_hasher(capacity, PassThrough::default());
        let room = AtomicUsize::new(table.capacity());
        ReferenceShard {
            table: RwLock::new(table),
            #[cfg(not(shuttle))]
            gate: Gate::default(),
            met: Met::default(),
            least: capacity,
            room,
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
        let enter_predicate = reentrancy::enter_predicate();
        let completed = complete(slice::from_mut(&mut value));
        drop(enter_predicate);
        if let Err(why) = completed {
            return Err(NotInserted::Declined(value, state, why));
        }
        table.insert(key, (value, state));
        let room = table.capacity().max(self.room.load(Ordering::Relaxed));
        self.room.store(room, Ordering::Relaxed);
        Ok(())
    }

    fn remove_if(&self, hash: u64, key: &[u8], mut owned: impl FnMut(&K, &V, &S) -> bool) -> bool {
        reentrancy::check_write("remove_if");
        let query: &dyn Lookup = &Query { hash, key };
        let mut table = self.write();
        let Some((found, (value, state))) = table.get_key_value(query) else {
            return false;
        };
        let enter_predicate = reentrancy::enter_predicate();
        let removes = owned(found.key(), value, state);
        drop(enter_predicate);
        let removed = if removes { table.remove_entry(query) } else { None };
        drop(table);
        // The entry is dropped here, with no lock held.
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
        self.room.load(Ordering::Relaxed)
    }

    fn shrink(&self) {
        reentrancy::check_write("shrink");
        let mut table = self.write();
        let room = (2 * table.len()).max(self.least);
        table.shrink_to(room);
        self.room.store(table.capacity(), Ordering::Relaxed);
    }

    fn contention(&self) -> Option<Contention> {
        self.met.as_contention(ContentionKind::LockWait)
    }
}

// A closure that panics under a lock unwinds before anything is changed, so poison is ignored.
impl<K, V, S> ReferenceShard<K, V, S> {
    #[inline]
    fn read(&self) -> RwLockReadGuard<'_, Table<K, V, S>> {
        #[cfg(not(shuttle))]
        self.gate.give_way(&self.met);
        let wait = || self.table.read().unwrap_or_else(PoisonError::into_inner);
        self.met.at_once_or(free(self.table.try_read()), wait)
    }

    fn write(&self) -> RwLockWriteGuard<'_, Table<K, V, S>> {
        let lock = || {
            loop {
                thread::yield_now();
                if let Some(table) = free(self.table.try_write()) {
                    return table;
                }
            }
        };
        #[cfg(not(shuttle))]
        let lock = || self.gate.write(lock);
        self.met.at_once_or(free(self.table.try_write()), lock)
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
