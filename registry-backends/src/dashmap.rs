//! dashmap: hash tables behind reader-writer locks.
//!
//! # Trade-offs
//!
//! The cheapest reads on one thread, and compact: entries are stored in the table, without an allocation each. The
//! costs:
//!
//! - Every read writes to the word of the lock, so concurrent readers of one shard slow each other down, although none
//!   waits for another.
//! - Readers wait while a write changes the table, which occasionally takes long, when the table grows.
//! - Writers wait for the readers of their half of the shard; a read that is not nested lets a waiting writer go first.
//! - A removed entry is dropped before the removal returns, by the same thread. The table shrinks only on request.
//!
//! # Implementation
//!
//! A `DashMap` is itself sharded, with at least two inner shards, so it has two here. Its own methods hash the key; this
//! backend uses the inner tables directly (dashmap's `raw-api`) with the hash that was passed. dashmap selects the inner
//! shard by the bit below the 7-bit tag of the table, so a registry may select its shards by lower bits. The hash is
//! stored with the key, 8 bytes per entry, because a growing table asks for the hash of every entry.
//!
//! The lock of dashmap lets a reader pass a waiting writer, so reads can nest; `writer_priority.rs` delays reads that
//! are about to start. A removal calls its predicate under the write lock under which it removes.

use std::fmt;
use std::ops::ControlFlow;
use std::slice;

use ::dashmap::{DashMap, RwLock, RwLockReadGuard, RwLockWriteGuard, SharedValue};
use registry_core::{
    Backend, Batch, Contention, ContentionKind, Key, NotInserted, ReadRequest, Shard, State, Value, reentrancy,
};

use crate::batches::read_in_batches;
use crate::contention::ContentionCounter;
use crate::hashed::{Hashed, Lookup, PassThrough, Query, same};
use crate::predicate::in_predicate;
use crate::writer_priority::WriterPriority;

/// Shards that are a `dashmap::DashMap`.
#[derive(Clone, Copy, Debug, Default)]
pub struct Dashmap;

/// A shard of [`Dashmap`].
pub struct DashmapShard<K, V, S> {
    map: DashMap<Hashed<K>, (V, S), PassThrough>,
    /// One per inner shard.
    writer_priorities: [WriterPriority; INNER_SHARDS],
    contention: ContentionCounter,
    initial_capacity: usize,
}

/// The minimum that dashmap accepts.
const INNER_SHARDS: usize = 2;

impl Backend for Dashmap {
    const NAME: &'static str = "dashmap";

    type Shard<K: Key, V: Value, S: State> = DashmapShard<K, V, S>;

    fn shard<K: Key, V: Value, S: State>(&self, capacity: usize) -> Self::Shard<K, V, S> {
        let hasher = PassThrough::default();
        let map = DashMap::with_capacity_and_hasher_and_shard_amount(capacity, hasher, INNER_SHARDS);
        DashmapShard {
            map,
            writer_priorities: Default::default(),
            contention: ContentionCounter::default(),
            initial_capacity: capacity,
        }
    }
}

// dashmap's locks have no poison, and a closure that panics under one unwinds before any change.
impl<K: Key, V: Value, S: State> Shard<K, V, S> for DashmapShard<K, V, S> {
    #[inline]
    fn with<R>(&self, hash: u64, key: &[u8], read: impl FnOnce(&K, &V, &S) -> R) -> Option<R> {
        reentrancy::check_read("with");
        let query = Query { hash, key };
        let inner = self.inner(hash);
        self.writer_priorities[inner].yield_to_writer(&self.contention);
        let table = lock_read(&self.contention, &self.map.shards()[inner]);
        let (key, entry) = table.get(hash, |(key, _)| same(key, &query))?;
        let _reading = reentrancy::enter_read();
        let (value, state) = entry.get();
        Some(read(key.key(), value, state))
    }

    /// Holds the locks of a batch at the same time. A writer holds one lock and waits for no other, and no reader waits
    /// for a reader once it has acquired the first lock of a batch, so there is no cycle of waiting threads.
    #[inline]
    fn with_each(requests: &[ReadRequest<'_, Self>], read: impl FnMut(usize, &Batch<'_, K, V, S>)) {
        let inner = |request: &ReadRequest<'_, Self>| request.shard.inner(request.hash);
        read_in_batches(
            requests,
            |request| request.shard.writer_priorities[inner(request)].yield_to_writer(&request.shard.contention),
            |request| lock_read(&request.shard.contention, &request.shard.map.shards()[inner(request)]),
            |one, next| std::ptr::eq(one.shard, next.shard) && inner(one) == inner(next),
            |table, query| {
                let (key, entry) = table.get(query.hash, |(key, _)| same(key, query))?;
                let (value, state) = entry.get();
                Some((key.key(), value, state))
            },
            read,
        );
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
        let inner = self.inner(hash);
        let mut table = lock_write(&self.contention, &self.writer_priorities[inner], &self.map.shards()[inner]);
        if table.get(hash, |(other, _)| same(other, &key)).is_some() {
            return Err(NotInserted::Occupied(value, state));
        }
        if let Err(reason) = in_predicate(|| complete(slice::from_mut(&mut value))) {
            return Err(NotInserted::Declined(value, state, reason));
        }
        table.insert(hash, (key, SharedValue::new((value, state))), |(key, _)| key.hash());
        Ok(())
    }

    fn remove_if(&self, hash: u64, key: &[u8], mut predicate: impl FnMut(&K, &V, &S) -> bool) -> bool {
        reentrancy::check_write("remove_if");
        let query = Query { hash, key };
        let inner = self.inner(hash);
        let mut table = lock_write(&self.contention, &self.writer_priorities[inner], &self.map.shards()[inner]);
        let Some((found, entry)) = table.get(hash, |(key, _)| same(key, &query)) else {
            return false;
        };
        let (value, state) = entry.get();
        let removes = in_predicate(|| predicate(found.key(), value, state));
        let removed = if removes { table.remove_entry(hash, |(key, _)| same(key, &query)) } else { None };
        drop(table);
        // The entry is dropped here, after the lock.
        removed.is_some()
    }

    fn for_each(&self, mut visit: impl FnMut(&K, &V, &S) -> ControlFlow<()>) {
        reentrancy::check_read("for_each");
        self.writer_priorities.iter().for_each(|writer_priority| writer_priority.yield_to_writer(&self.contention));
        for entry in self.map.iter() {
            let _reading = reentrancy::enter_read();
            let (value, state) = entry.value();
            if visit(entry.key().key(), value, state).is_break() {
                break;
            }
        }
    }

    fn len(&self) -> usize {
        self.writer_priorities.iter().for_each(|writer_priority| writer_priority.yield_to_writer(&self.contention));
        self.map.len()
    }

    fn capacity(&self) -> usize {
        // `capacity` of the table itself depends on the slots that removed entries have left.
        self.map.shards().iter().map(|inner| lock_read(&self.contention, inner).buckets() / 8 * 7).sum()
    }

    fn shrink(&self) {
        reentrancy::check_write("shrink");
        for (writer_priority, inner) in self.writer_priorities.iter().zip(self.map.shards()) {
            let mut table = lock_write(&self.contention, writer_priority, inner);
            let capacity = (2 * table.len()).max(self.initial_capacity.div_ceil(INNER_SHARDS));
            table.shrink_to(capacity, |(key, _)| key.hash());
        }
    }

    fn contention(&self) -> Option<Contention> {
        self.contention.as_contention(ContentionKind::LockWait)
    }
}

impl<K: Key, V: Value, S: State> DashmapShard<K, V, S> {
    /// Returns the index of the inner shard of a hash.
    #[inline]
    fn inner(&self, hash: u64) -> usize {
        self.map.determine_shard(hash as usize)
    }
}

/// Acquires the lock for reading, and counts if it is held for writing.
#[inline]
fn lock_read<'a, T>(contention: &ContentionCounter, lock: &'a RwLock<T>) -> RwLockReadGuard<'a, T> {
    contention.or_wait(lock.try_read(), || lock.read())
}

/// Acquires the lock for writing, and counts if it is held.
#[inline]
fn lock_write<'a, T>(
    contention: &ContentionCounter,
    writer_priority: &WriterPriority,
    lock: &'a RwLock<T>,
) -> RwLockWriteGuard<'a, T> {
    contention.or_wait(lock.try_write(), || writer_priority.write(|| lock.write()))
}

impl<K, V, S> Drop for DashmapShard<K, V, S> {
    fn drop(&mut self) {
        reentrancy::check_write("drop");
    }
}

impl<K, V, S> fmt::Debug for DashmapShard<K, V, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DashmapShard").finish_non_exhaustive()
    }
}
