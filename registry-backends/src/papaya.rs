//! papaya: a lock-free hash table, whose reads write to nothing that threads share.
//!
//! # Trade-offs
//!
//! Readers and writers never wait for each other, so the tail latency of reads does not depend on other operations. The
//! costs:
//!
//! - *Late drops.* A removed value is dropped when seize reclaims the batch that contains it. A batch is per thread and
//!   group of shards, and reclaiming is attempted at 32 removals (or at the number of cores, if that is more), so a
//!   thread that removes and then idles keeps up to 31 removed values alive. The drop happens at the end of some later
//!   operation on a shard of the group, possibly a read, on any thread. A long read delays the drops of the whole group.
//! - *Late shrinking.* The table halves only when an insertion resizes it and it is at most an eighth full, and never
//!   below its initial capacity.
//! - *Memory.* An entry is an allocation of its own.
//! - *Insertions* under one key, and one in sixteen under other keys of the shard, wait for each other: an uncontended
//!   lock, some 20 ns, and one more lookup, so that the value is completed for the winner alone. Reads and removals
//!   neither acquire that lock nor wait for it.
//! - A write during thread teardown, after the collector's thread-local is destroyed, spawns a thread and waits for it.
//! - [`for_each`](Shard::for_each) first completes a resize in progress.
//!
//! # Implementation
//!
//! papaya takes its tag from the top 7 bits of the hash and its slot from the low ones, so a registry may select its
//! shards by the bits in between. Values and states are stored in papaya's entries, which do not move when the table
//! grows.
//!
//! The shards made by one value of [`Papaya`] form a *group* and share a collector. With a collector each, a thread that
//! reads all over 64 shards would keep three cache lines of each warm, and leave a batch of removed values in each. A map
//! that is dropped reclaims everything its collector has retired, even values that readers of another map still hold
//! (<https://github.com/ibraheemdev/papaya/issues/102>). So the map of a dropped shard is kept until the last shard of
//! the group is dropped, when no reader can be active.
//!
//! An entry is removed by compare-and-swap after the predicate has returned `true`, so the predicate may be called again
//! for the entry found when the swap fails, and may return `true` on two threads; one of them wins.

mod during_teardown;
mod group;
mod insert_locks;

use std::hash::{Hash, Hasher};
use std::ops::ControlFlow;
use std::sync::Arc;
use std::{fmt, mem, slice};

use ::papaya::{Equivalent, HashMap};
use registry_core::{
    Backend, Batch, Contention, ContentionKind, Key, NotInserted, ReadRequest, Shard, State, Value, reentrancy,
};

use self::group::ShardGroup;
use self::insert_locks::InsertLocks;
use crate::batches::{read_in_batches, read_one_by_one};
use crate::contention::ContentionCounter;
use crate::hashed::{Hashed, PassThrough, Query, same};
use crate::predicate::in_predicate;
use crate::teardown::{collector, read_by_dyn};

/// Shards that are a `papaya::HashMap`.
///
/// The shards made by one value share a garbage collector, and everything they held is freed when the last of them is
/// dropped. So a value is for one registry: a clone shares nothing with it.
#[derive(Debug, Default)]
pub struct Papaya {
    group: Arc<ShardGroup>,
}

impl Clone for Papaya {
    fn clone(&self) -> Self {
        Self::default()
    }
}

/// A shard of [`Papaya`].
pub struct PapayaShard<K: Key, V: Value, S: State> {
    map: Map<K, V, S>,
    group: Arc<ShardGroup>,
    insert_locks: InsertLocks,
    contention: ContentionCounter,
}

type Map<K, V, S> = HashMap<Hashed<K>, (V, S), PassThrough>;

impl Backend for Papaya {
    const NAME: &'static str = "papaya";

    type Shard<K: Key, V: Value, S: State> = PapayaShard<K, V, S>;

    fn shard<K: Key, V: Value, S: State>(&self, capacity: usize) -> Self::Shard<K, V, S> {
        let map = HashMap::builder()
            .capacity(capacity)
            .hasher(PassThrough::default())
            .shared_collector(self.group.add_shard())
            .build();
        PapayaShard {
            map,
            group: Arc::clone(&self.group),
            insert_locks: InsertLocks::default(),
            contention: ContentionCounter::default(),
        }
    }
}

// In all methods the reentrancy guard is dropped before the pin, because dropping the pin may drop removed values, and
// their drop may write.
impl<K: Key, V: Value, S: State> Shard<K, V, S> for PapayaShard<K, V, S> {
    #[inline]
    fn with<R>(&self, hash: u64, key: &[u8], read: impl FnOnce(&K, &V, &S) -> R) -> Option<R> {
        reentrancy::check_read("with");
        if !collector::is_usable() {
            return read_by_dyn(read, |read| self.read_during_teardown(hash, key, read));
        }
        let map = self.map.pin();
        let (key, (value, state)) = map.get_key_value(&Query { hash, key })?;
        let _reading = reentrancy::enter_read();
        Some(read(key.key(), value, state))
    }

    #[inline]
    fn with_each(requests: &[ReadRequest<'_, Self>], read: impl FnMut(usize, &Batch<'_, K, V, S>)) {
        if !collector::is_usable() {
            return read_one_by_one(requests, 0, read);
        }
        read_in_batches(
            requests,
            |_| (),
            |request| request.shard.map.pin(),
            |one, next| std::ptr::eq(one.shard, next.shard),
            |map, query| map.get_key_value(query).map(|(key, (value, state))| (key.key(), value, state)),
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
        if !collector::is_usable() {
            return self.insert_during_teardown(key, value, state, complete);
        }
        // The pin is created before the lock and dropped after it, because dropping it may drop removed values.
        let map = self.map.pin();
        let insert_lock = self.insert_locks.lock(hash);
        if map.contains_key(&key) {
            return Err(NotInserted::Occupied(value, state));
        }
        if let Err(reason) = in_predicate(|| complete(slice::from_mut(&mut value))) {
            return Err(NotInserted::Declined(value, state, reason));
        }
        let inserted = map.try_insert(key, (value, state)).map(|_| ());
        drop(insert_lock);
        inserted.map_err(|occupied| {
            let (value, state) = occupied.not_inserted;
            NotInserted::Occupied(value, state)
        })
    }

    fn remove_if(&self, hash: u64, key: &[u8], mut predicate: impl FnMut(&K, &V, &S) -> bool) -> bool {
        reentrancy::check_write("remove_if");
        if !collector::is_usable() {
            return self.remove_during_teardown(hash, key, &mut predicate);
        }
        let map = self.map.pin();
        let mut approvals = 0;
        let removed = map.remove_if(&Query { hash, key }, |key, (value, state)| {
            let removes = in_predicate(|| predicate(key.key(), value, state));
            approvals += u32::from(removes);
            removes
        });
        let removed = matches!(removed, Ok(Some(_)));
        if approvals > u32::from(removed) {
            self.contention.increment();
        }
        removed
    }

    fn for_each(&self, mut visit: impl FnMut(&K, &V, &S) -> ControlFlow<()>) {
        reentrancy::check_read("for_each");
        let mut visit = |key: &Hashed<K>, (value, state): &(V, S)| visit(key.key(), value, state).is_break();
        if collector::is_usable() {
            let map = self.map.pin();
            let _reading = reentrancy::enter_read();
            map.iter().any(|(key, value)| visit(key, value));
        } else {
            let map = self.map.pin_owned();
            let _reading = reentrancy::enter_read();
            map.iter().any(|(key, value)| visit(key, value));
        }
    }

    fn len(&self) -> usize {
        self.map.len()
    }

    fn contention(&self) -> Option<Contention> {
        self.contention.as_contention(ContentionKind::LostRace)
    }
}

impl Hash for Query<'_> {
    #[inline]
    fn hash<V: Hasher>(&self, state: &mut V) {
        state.write_u64(self.hash);
    }
}

impl<K: Key> Equivalent<Hashed<K>> for Query<'_> {
    #[inline]
    fn equivalent(&self, key: &Hashed<K>) -> bool {
        same(self, key)
    }
}

impl<K: Key, V: Value, S: State> Drop for PapayaShard<K, V, S> {
    fn drop(&mut self) {
        reentrancy::check_write("drop");
        let map = mem::replace(&mut self.map, HashMap::with_hasher(PassThrough::default()));
        drop(self.group.retire(Box::new(map)));
    }
}

impl<K: Key, V: Value, S: State> fmt::Debug for PapayaShard<K, V, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PapayaShard").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;
    use std::sync::atomic::{AtomicBool, Ordering};

    use super::*;

    /// A state that records its drop.
    struct RecordsDrop(Arc<AtomicBool>);

    impl Drop for RecordsDrop {
        fn drop(&mut self) {
            self.0.store(true, Ordering::SeqCst);
        }
    }

    #[test]
    fn dropping_a_shard_frees_nothing_that_readers_of_its_group_hold() {
        let papaya = Papaya::default();
        let (dropped_first, dropped_last) = (papaya.shard::<&str, (), u8>(0), papaya.shard::<&str, (), RecordsDrop>(0));
        let dropped = Arc::new(AtomicBool::new(false));
        dropped_first.insert_new(1, "key", (), 1).unwrap();
        dropped_last
            .insert_new(1, "key", (), RecordsDrop(Arc::clone(&dropped)))
            .unwrap_or_else(|_| unreachable!("the shard is empty"));
        let dropped_first = Mutex::new(Some(dropped_first));
        dropped_last.with(1, b"key", |_, _, _| {
            std::thread::scope(|scope| {
                scope.spawn(|| {
                    assert!(dropped_last.remove_if(1, b"key", |_, _, _| true));
                    drop(dropped_first.lock().unwrap().take());
                });
            });
            assert!(!dropped.load(Ordering::SeqCst), "dropped during a read");
        });
        drop(dropped_last);
        assert!(dropped.load(Ordering::SeqCst));
        let late = papaya.shard::<&str, (), u8>(0);
        late.insert_new(1, "key", (), 1).unwrap();
        assert_eq!(late.with(1, b"key", |_, _, state| *state), Some(1), "a group can be reused after its last shard");
    }
}
