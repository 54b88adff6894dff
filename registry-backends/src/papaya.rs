//! papaya: a lock-free hash table, whose reads write nothing that threads share.
//!
//! # Trade-offs
//!
//! Readers and writers never wait for each other, so the tail of a read does not depend on what others do. It costs:
//!
//! - *Late drops.* A removed value is dropped when seize reclaims the batch that it is in. A batch is per thread and
//!   family of shards, and is tried at 32 removals (or as many as there are cores, if that is more), so a thread that
//!   removes and then idles keeps up to 31 removed values alive. The drop happens at the end of some later operation on
//!   a shard of the family, maybe a read, on any thread. A read that takes long holds up the drops of the whole family.
//! - *Late shrinking.* The table halves only when an insertion resizes it and it is at most an eighth full, and never
//!   below its first capacity.
//! - *Memory.* An entry is an allocation of its own.
//! - Insertions under one key, and one in sixteen under others in the same shard, wait for each other: an uncontended
//!   lock, some 20 ns, and one more lookup, so that what completes a head can be called for the winner alone. Reads and
//!   removals neither take that lock nor wait for who has it.
//! - A write in the destructor of a thread-local, when the collector's own is gone, starts a thread and waits for it.
//! - [`for_each`](Shard::for_each) first completes a resize that is under way.
//!
//! # How it works
//!
//! papaya's tag is the top 7 bits of the hash and its slot the low ones, so a shard may be chosen by those between.
//! Heads and states lie in papaya's entries, which do not move when the table grows.
//!
//! The shards that one value of [`Papaya`] makes are a *family*, and share a collector. With one each, a thread that looks
//! things up all over 64 shards would keep three cache lines for each of them warm, and leave a batch of removed values
//! in each.
//! When a map is dropped it reclaims all that its collector has, even what readers of another map still hold
//! (<https://github.com/ibraheemdev/papaya/issues/102>). So the map of a shard that is dropped is kept until the last of
//! its family goes, when nobody can be reading any of them.
//!
//! An entry is removed by compare-and-swap after `owned` has said true, so `owned` may be called again for the entry
//! that it finds when the swap fails, and two threads may both be told true; one of them wins.

use std::fmt;
use std::hash::{Hash, Hasher};
use std::ops::ControlFlow;
use std::panic::resume_unwind;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, mpsc};
use std::{mem, ptr, slice, thread};
// Inside the lock of an insertion the router takes locks of its own, so where schedules are explored it is the scheduler's.
#[cfg(not(shuttle))]
use std::sync::{Mutex as Turn, MutexGuard as TurnGuard};

use ::papaya::{Equivalent, HashMap, HashMapRef};
use crossbeam_utils::CachePadded;
use registry_core::{Backend, Contention, Value, Key, ContentionKind, NotInserted, Batch, Shard, State, ReadRequest, reentrancy};
use seize::{Collector, LocalGuard};
#[cfg(shuttle)]
use shuttle::sync::{Mutex as Turn, MutexGuard as TurnGuard};

use crate::ending::collector;
use crate::hashed::{Hashed, Lookup, PassThrough, Query, same};
use crate::met::Met;
use crate::batches::{read_in_runs, read_one_by_one};

/// Shards that are a `papaya::HashMap`.
///
/// The shards that are made by one value share a collector of what was removed from them, and all that they held is freed
/// when the last of them is dropped. So a value is for one registry: a clone of it is another one, which shares nothing.
#[derive(Debug, Default)]
pub struct Papaya {
    family: Arc<Family>,
}

impl Clone for Papaya {
    fn clone(&self) -> Self {
        Self::default()
    }
}

/// A shard of [`Papaya`].
pub struct PapayaShard<K: Key, V: Value, S: State> {
    map: Map<K, V, S>,
    family: Arc<Family>,
    inserting: Inserting,
    met: Met,
}

type Map<K, V, S> = HashMap<Hashed<K>, (V, S), PassThrough>;

type Pinned<'a, K, V, S> = HashMapRef<'a, Hashed<K>, (V, S), PassThrough, LocalGuard<'a>>;

/// Locks that make the insertions under one key go one after the other: without them, two could complete a head for
/// one key and win it in another order. Several per shard, so that insertions under different keys seldom wait. Apart
/// from the shard, whose lines all readers have.
///
/// Nothing else takes them: no read, no removal. What they guard cannot be left half-way, so poison is ignored.
#[derive(Default)]
struct Inserting(Box<CachePadded<[Turn<()>; INSERTING]>>);

/// How many locks there are for insertions.
const INSERTING: usize = 16;

impl Inserting {
    /// Waits for insertions of the same key, and of some others.
    fn lock(&self, hash: u64) -> TurnGuard<'_, ()> {
        let by_top_bits = (hash >> (u64::BITS - INSERTING.ilog2())) as usize;
        self.0[by_top_bits].lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The shards that share a collector.
#[derive(Default)]
struct Family(Mutex<Members>);

#[derive(Default)]
struct Members {
    /// How many shards there are.
    living: usize,
    /// What they share. Another one when all of them are gone, for then the maps of this one are dropped.
    collector: Arc<Collector>,
    /// The maps of the shards that there were.
    buried: Vec<Buried>,
}

/// A map of whatever type, only to be dropped.
type Buried = Box<dyn Send>;

impl Backend for Papaya {
    const NAME: &'static str = "papaya";

    type Shard<K: Key, V: Value, S: State> = PapayaShard<K, V, S>;

    fn shard<K: Key, V: Value, S: State>(&self, capacity: usize) -> Self::Shard<K, V, S> {
        let map = HashMap::builder()
            .capacity(capacity)
            .hasher(PassThrough::default())
            .shared_collector(self.family.enter())
            .build();
        PapayaShard { map, family: Arc::clone(&self.family), inserting: Inserting::default(), met: Met::default() }
    }
}

// In all methods the trap's guard is dropped before the pin: it is the pin's end that may drop removed values, and
// their drop may write.
impl<K: Key, V: Value, S: State> Shard<K, V, S> for PapayaShard<K, V, S> {
    #[inline]
    fn with<R>(&self, hash: u64, key: &[u8], read: impl FnOnce(&K, &V, &S) -> R) -> Option<R> {
        reentrancy::check_read("with");
        if !collector::is_usable() {
            let (mut read, mut found) = (Some(read), None);
            self.read_late(hash, key, &mut |key, value, state| found = read.take().map(|read| read(key, value, state)));
            return found;
        }
        let map = self.map.pin();
        let (key, (value, state)) = map.get_key_value(&Query { hash, key })?;
        let _reading = reentrancy::enter_read();
        Some(read(key.key(), value, state))
    }

    #[inline]
    fn with_each(wanted: &[ReadRequest<'_, Self>], read: impl FnMut(usize, &Batch<'_, K, V, S>)) {
        if !collector::is_usable() {
            return read_one_by_one(wanted, 0, read);
        }
        read_in_runs(
            wanted,
            |_| (),
            |wanted| wanted.shard.map.pin(),
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
            return self.insert_late(key, value, state, complete);
        }
        // The pin is taken before the lock and ends after it, for its end may drop removed values.
        let map = self.map.pin();
        let inserting = self.inserting.lock(hash);
        if map.contains_key(&key) {
            return Err(NotInserted::Occupied(value, state));
        }
        let enter_predicate = reentrancy::enter_predicate();
        let completed = complete(slice::from_mut(&mut value));
        drop(enter_predicate);
        if let Err(why) = completed {
            return Err(NotInserted::Declined(value, state, why));
        }
        let inserted = map.try_insert(key, (value, state)).map(|_| ());
        drop(inserting);
        inserted.map_err(|occupied| {
            let (value, state) = occupied.not_inserted;
            NotInserted::Occupied(value, state)
        })
    }

    fn remove_if(&self, hash: u64, key: &[u8], mut owned: impl FnMut(&K, &V, &S) -> bool) -> bool {
        reentrancy::check_write("remove_if");
        if !collector::is_usable() {
            return self.remove_late(hash, key, &mut owned);
        }
        let map = self.map.pin();
        let mut decided = 0;
        let removed = map.remove_if(&Query { hash, key }, |key, (value, state)| {
            let _deciding = reentrancy::enter_predicate();
            let removes = owned(key.key(), value, state);
            decided += u32::from(removes);
            removes
        });
        let removed = matches!(removed, Ok(Some(_)));
        if decided > u32::from(removed) {
            self.met.somebody();
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
        self.met.as_contention(ContentionKind::LostRace)
    }
}

/// What a thread does at its end, when the collector's thread-local is gone: reads have a guard of their own, and what is
/// written is written by another thread, since papaya counts entries by the number of the thread.
impl<K: Key, V: Value, S: State> PapayaShard<K, V, S> {
    #[cold]
    #[inline(never)]
    fn read_late(&self, hash: u64, key: &[u8], read: &mut dyn FnMut(&K, &V, &S)) {
        let map = self.map.pin_owned();
        if let Some((key, (value, state))) = map.get_key_value(&Query { hash, key }) {
            let _reading = reentrancy::enter_read();
            read(key.key(), value, state);
        }
    }

    #[cold]
    fn insert_late<E>(
        &self,
        key: Hashed<K>,
        mut value: V,
        state: S,
        complete: impl FnOnce(&mut [V]) -> Result<(), E>,
    ) -> Result<(), NotInserted<V, S, E>> {
        // As for a thread that goes on: the guard is taken before the lock and ends after it.
        let map = self.map.pin_owned();
        let inserting = self.inserting.lock(Lookup::hash(&key));
        if map.contains_key(&key) {
            return Err(NotInserted::Occupied(value, state));
        }
        let enter_predicate = reentrancy::enter_predicate();
        let completed = complete(slice::from_mut(&mut value));
        drop(enter_predicate);
        if let Err(why) = completed {
            return Err(NotInserted::Declined(value, state, why));
        }
        let insert = move |map: &Pinned<'_, K, V, S>| map.try_insert(key, (value, state)).map(|_| ()).map_err(|occupied| occupied.not_inserted);
        let inserted = self.on_another_thread(insert, || drop(inserting));
        inserted.map_err(|(value, state)| NotInserted::Occupied(value, state))
    }

    #[cold]
    fn remove_late(&self, hash: u64, key: &[u8], owned: &mut dyn FnMut(&K, &V, &S) -> bool) -> bool {
        let query = Query { hash, key };
        loop {
            // While this guard lasts, no other entry can be where the one is that is asked about.
            let map = self.map.pin_owned();
            let Some((found, (value, state))) = map.get_key_value(&query) else {
                return false;
            };
            let enter_predicate = reentrancy::enter_predicate();
            let removes = owned(found.key(), value, state);
            drop(enter_predicate);
            if !removes {
                return false;
            }
            let place = ptr::from_ref(found).addr();
            let remove = |map: &Pinned<'_, K, V, S>| {
                let removed = map.remove_if(&query, |found, _| ptr::from_ref(found).addr() == place);
                matches!(removed, Ok(Some(_)))
            };
            if self.on_another_thread(remove, || ()) {
                return true;
            }
            self.met.somebody();
        }
    }

    /// Does something with the map on a thread that is made for it. `then` is called here when it is done and before that
    /// thread lets go of its guard, which may drop removed values, and whose panics stay there.
    fn on_another_thread<R: Send>(
        &self,
        act: impl FnOnce(&Pinned<'_, K, V, S>) -> R + Send,
        then: impl FnOnce(),
    ) -> R {
        thread::scope(|scope| {
            let (tell, told) = mpsc::channel();
            let other = scope.spawn(move || {
                let map = self.map.pin();
                // Whoever asked waits for it.
                let _ = tell.send(act(&map));
            });
            let done = told.recv();
            then();
            match (done, other.join()) {
                (Ok(done), _) => done,
                (Err(_), Err(panic)) => resume_unwind(panic),
                (Err(_), Ok(())) => unreachable!("it tells, or panics before"),
            }
        })
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

impl Family {
    /// Takes in another shard, and gives it what they share.
    fn enter(&self) -> Arc<Collector> {
        let mut members = self.lock();
        members.living += 1;
        Arc::clone(&members.collector)
    }

    /// Buries the map of a shard that goes. If it was the last one, all maps come back, to be dropped when nothing is
    /// held: with them goes what they hold, which is others' code.
    #[must_use]
    fn leave(&self, map: Buried) -> Vec<Buried> {
        let mut members = self.lock();
        members.living -= 1;
        members.buried.push(map);
        if members.living > 0 {
            return Vec::new();
        }
        mem::take(&mut *members).buried
    }

    fn lock(&self) -> MutexGuard<'_, Members> {
        // Nothing in here calls code that can panic half-way.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Family {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Family").field("living", &self.lock().living).finish_non_exhaustive()
    }
}

impl<K: Key, V: Value, S: State> Drop for PapayaShard<K, V, S> {
    fn drop(&mut self) {
        reentrancy::check_write("drop");
        let map = mem::replace(&mut self.map, HashMap::with_hasher(PassThrough::default()));
        drop(self.family.leave(Box::new(map)));
    }
}

impl<K: Key, V: Value, S: State> fmt::Debug for PapayaShard<K, V, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PapayaShard").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicBool, Ordering};

    use super::*;

    /// A state that tells when it is dropped.
    struct Tells(Arc<AtomicBool>);

    impl Drop for Tells {
        fn drop(&mut self) {
            self.0.store(true, Ordering::SeqCst);
        }
    }

    #[test]
    fn a_shard_that_goes_takes_nothing_from_readers_of_its_family() {
        let papaya = Papaya::default();
        let (goes, stays) = (papaya.shard::<&str, (), u8>(0), papaya.shard::<&str, (), Tells>(0));
        let dropped = Arc::new(AtomicBool::new(false));
        goes.insert_new(1, "key", (), 1).unwrap();
        stays.insert_new(1, "key", (), Tells(Arc::clone(&dropped))).unwrap_or_else(|_| unreachable!("it is empty"));
        let goes = Mutex::new(Some(goes));
        stays.with(1, b"key", |_, _, _| {
            std::thread::scope(|scope| {
                scope.spawn(|| {
                    assert!(stays.remove_if(1, b"key", |_, _, _| true));
                    drop(goes.lock().unwrap().take());
                });
            });
            assert!(!dropped.load(Ordering::SeqCst), "it is being read");
        });
        drop(stays);
        assert!(dropped.load(Ordering::SeqCst));
        let late = papaya.shard::<&str, (), u8>(0);
        late.insert_new(1, "key", (), 1).unwrap();
        assert_eq!(late.with(1, b"key", |_, _, state| *state), Some(1), "a family can begin again");
    }
}
