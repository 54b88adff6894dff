//! dashmap: hash tables behind reader-writer locks.
//!
//! # Trade-offs
//!
//! The cheapest read of all on one thread, and compact: entries lie in the table, with no allocation of their own.
//! It costs:
//!
//! - Every read writes to the lock's word, so readers of one shard slow each other down on several cores, even though
//!   none waits for another.
//! - Readers wait while a write changes the table, which takes long once in a while, when the table grows.
//! - Writers wait for the readers of their half; a read that is inside no other one lets a writer that waits go first.
//! - A removed value is dropped at once, by the thread that removed it, but the table shrinks only when it is told to.
//!
//! # How it works
//!
//! A `DashMap` is itself sharded and insists on at least two inner shards, so two it is. Its own methods hash the key;
//! these go to the inner tables directly (dashmap's `raw-api`) with the hash that was given. dashmap chooses the inner
//! shard by the bit below the table's 7-bit tag, so a registry may choose its shards by lower ones.
//! The hash is kept beside the key, 8 bytes per entry, because a table that grows asks for every entry's hash.
//!
//! dashmap's lock lets a reader pass a waiting writer, so reads nest; `gate.rs` holds back those who are about to read.
//! A removal asks `owned` under the write lock that it removes with.

use std::fmt;
use std::ops::ControlFlow;
use std::slice;

use ::dashmap::{DashMap, RwLock, RwLockReadGuard, RwLockWriteGuard, SharedValue};
use registry_core::{Backend, Contention, Value, Key, ContentionKind, NotInserted, Batch, Shard, State, ReadRequest, reentrancy};

use crate::gate::Gate;
use crate::hashed::{Hashed, Lookup, PassThrough, Query, same};
use crate::met::Met;
use crate::batches::read_in_runs;

/// Shards that are a `dashmap::DashMap`.
#[derive(Clone, Copy, Debug, Default)]
pub struct Dashmap;

/// A shard of [`Dashmap`].
pub struct DashmapShard<K, V, S> {
    map: DashMap<Hashed<K>, (V, S), PassThrough>,
    /// One for each lock.
    gates: [Gate; INNER_SHARDS],
    met: Met,
    /// How many entries it was made for.
    least: usize,
}

/// How many inner shards dashmap takes at least.
const INNER_SHARDS: usize = 2;

impl Backend for Dashmap {
    const NAME: &'static str = "dashmap";

    type Shard<K: Key, V: Value, S: State> = DashmapShard<K, V, S>;

    fn shard<K: Key, V: Value, S: State>(&self, capacity: usize) -> Self::Shard<K, V, S> {
        let hasher = PassThrough::default();
        let map = DashMap::with_capacity_and_hasher_and_shard_amount(capacity, hasher, INNER_SHARDS);
        DashmapShard { map, gates: Default::default(), met: Met::default(), least: capacity }
    }
}

// dashmap's locks know no poison, and a closure that panics under one unwinds before anything is changed.
impl<K: Key, V: Value, S: State> Shard<K, V, S> for DashmapShard<K, V, S> {
    #[inline]
    fn with<R>(&self, hash: u64, key: &[u8], read: impl FnOnce(&K, &V, &S) -> R) -> Option<R> {
        reentrancy::check_read("with");
        let query = Query { hash, key };
        let inner = self.inner(hash);
        self.gates[inner].give_way(&self.met);
        let table = lock_read(&self.met, &self.map.shards()[inner]);
        let (key, value) = table.get(hash, |(key, _)| same(key, &query))?;
        let _reading = reentrancy::enter_read();
        let (value, state) = value.get();
        Some(read(key.key(), value, state))
    }

    /// Holds the locks of a run at once. A writer holds one lock and waits for no other, and no reader waits for a reader
    /// once it has taken the first lock of a run, so nobody waits in a circle.
    #[inline]
    fn with_each(wanted: &[ReadRequest<'_, Self>], read: impl FnMut(usize, &Batch<'_, K, V, S>)) {
        let inner = |wanted: &ReadRequest<'_, Self>| wanted.shard.inner(wanted.hash);
        read_in_runs(
            wanted,
            |wanted| wanted.shard.gates[inner(wanted)].give_way(&wanted.shard.met),
            |wanted| lock_read(&wanted.shard.met, &wanted.shard.map.shards()[inner(wanted)]),
            |one, next| std::ptr::eq(one.shard, next.shard) && inner(one) == inner(next),
            |table, query| {
                let (key, value) = table.get(query.hash, |(key, _)| same(key, query))?;
                let (value, state) = value.get();
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
        let mut table = lock_write(&self.met, &self.gates[inner], &self.map.shards()[inner]);
        if table.get(hash, |(other, _)| same(other, &key)).is_some() {
            return Err(NotInserted::Occupied(value, state));
        }
        let enter_predicate = reentrancy::enter_predicate();
        let completed = complete(slice::from_mut(&mut value));
        drop(enter_predicate);
        if let Err(why) = completed {
            return Err(NotInserted::Declined(value, state, why));
        }
        table.insert(hash, (key, SharedValue::new((value, state))), |(key, _)| key.hash());
        Ok(())
    }

    fn remove_if(&self, hash: u64, key: &[u8], mut owned: impl FnMut(&K, &V, &S) -> bool) -> bool {
        reentrancy::check_write("remove_if");
        let query = Query { hash, key };
        let inner = self.inner(hash);
        let mut table = lock_write(&self.met, &self.gates[inner], &self.map.shards()[inner]);
        let Some((found, value)) = table.get(hash, |(key, _)| same(key, &query)) else {
            return false;
        };
        let enter_predicate = reentrancy::enter_predicate();
        let (value, state) = value.get();
        let removes = owned(found.key(), value, state);
        drop(enter_predicate);
        let removed = if removes { table.remove_entry(hash, |(key, _)| same(key, &query)) } else { None };
        drop(table);
        // The entry is dropped here, with no lock held.
        removed.is_some()
    }

    fn for_each(&self, mut visit: impl FnMut(&K, &V, &S) -> ControlFlow<()>) {
        reentrancy::check_read("for_each");
        self.gates.iter().for_each(|gate| gate.give_way(&self.met));
        for entry in self.map.iter() {
            let _reading = reentrancy::enter_read();
            let (value, state) = entry.value();
            if visit(entry.key().key(), value, state).is_break() {
                break;
            }
        }
    }

    fn len(&self) -> usize {
        self.gates.iter().for_each(|gate| gate.give_way(&self.met));
        self.map.len()
    }

    fn capacity(&self) -> usize {
        // A table itself counts only the room that those who left have made free again.
        self.map.shards().iter().map(|inner| lock_read(&self.met, inner).buckets() / 8 * 7).sum()
    }

    fn shrink(&self) {
        reentrancy::check_write("shrink");
        for (gate, inner) in self.gates.iter().zip(self.map.shards()) {
            let mut table = lock_write(&self.met, gate, inner);
            let room = (2 * table.len()).max(self.least.div_ceil(INNER_SHARDS));
            table.shrink_to(room, |(key, _)| key.hash());
        }
    }

    fn contention(&self) -> Option<Contention> {
        self.met.as_contention(ContentionKind::LockWait)
    }
}

impl<K: Key, V: Value, S: State> DashmapShard<K, V, S> {
    /// The inner shard of a hash.
    #[inline]
    fn inner(&self, hash: u64) -> usize {
        self.map.determine_shard(hash as usize)
    }
}

/// Takes the lock for reading, and counts if somebody had it.
#[inline]
fn lock_read<'a, T>(met: &Met, lock: &'a RwLock<T>) -> RwLockReadGuard<'a, T> {
    met.at_once_or(lock.try_read(), || lock.read())
}

/// Takes the lock for writing, and counts if somebody had it.
#[inline]
fn lock_write<'a, T>(met: &Met, gate: &Gate, lock: &'a RwLock<T>) -> RwLockWriteGuard<'a, T> {
    met.at_once_or(lock.try_write(), || gate.write(|| lock.write()))
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
