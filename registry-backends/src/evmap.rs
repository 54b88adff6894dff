//! evmap: the map that left-right was made for, here to be compared with [`LeftRight`](crate::LeftRight).
//!
//! # Trade-offs
//!
//! Those of [`left_right`](crate::left_right), and beyond them:
//!
//! - An entry takes more room: evmap keeps a bag of values per key, and does not give the key with them, so the key
//!   is stored beside the head again.
//! - A thread's *first* read of a shard waits while a write waits for other readers, because evmap publishes with the
//!   lock held that a new reader needs. If the first reads of two threads come inside reads of another shard, each of
//!   the other's, and both shards are being written, they wait for each other forever. `LeftRight` does not.
//!   Each read in the destructor of a thread-local may be a first read.
//! - Its tables cannot shrink: to give back room, all entries move into new ones, with their heads cloned.
//!
//! # How it works
//!
//! As in [`left_right`](crate::left_right): one writer at a time, a publish per write, a read handle per thread, and a bin
//! for what is let go of in it. But keys and values are dropped by evmap itself, so they move themselves into a bin of the
//! thread that publishes.
//!
//! evmap cannot shrink its tables, so `rebuild.rs` replaces them; `readers.rs` is how reads follow.
//!
//! evmap's two copies hold the same bits of each value without counting, so it must be able to trust that both do the
//! same: that keys and values always hash and compare alike. A key that a user defines cannot be trusted so far, as
//! its `AsRef` may say something else each time. So each entry gets a number, and what evmap compares are numbers.

mod bin;
mod readers;
mod rebuild;

use std::borrow::Borrow;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::ops::ControlFlow;
use std::slice;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use ::evmap::handles::{ReadHandle, WriteHandle};
use ::evmap::refs::MapReadRef;
use registry_core::{MAX_BATCH, Backend, Contention, Value, Key, ContentionKind, NotInserted, Batch, EntryParts, Shard, State, ReadRequest, reentrancy};

use crate::ending::handles;
use crate::hashed::{Lookup, PassThrough, Query};
use crate::met::{Met, free};
use self::readers::Readers;
use crate::batches::read_one_by_one;

/// Shards that are an evmap.
#[derive(Clone, Copy, Debug, Default)]
pub struct Evmap;

/// A shard of [`Evmap`].
pub struct EvmapShard<K: Key, V: Value, S: State> {
    writer: Mutex<Writer<K, V, S>>,
    met: Met,
    readers: Readers<K, V, S>,
    /// How many entries it was made for.
    least: usize,
    /// How many it has room for, about: as many as there were since it was last told to shrink.
    room: AtomicUsize,
}

struct Writer<K: Key, V: Value, S: State> {
    handle: WriteEnd<K, V, S>,
    /// The number of the next entry.
    next: u64,
    /// How many entries there are.
    len: usize,
}

type ReadEnd<K, V, S> = ReadHandle<Numbered<K>, Stored<K, V, S>, (), PassThrough>;
type Map<'a, K, V, S> = MapReadRef<'a, Numbered<K>, Stored<K, V, S>, (), PassThrough>;
type WriteEnd<K, V, S> = WriteHandle<Numbered<K>, Stored<K, V, S>, (), PassThrough>;

/// evmap's key. To another one it is equal by number; to a [`Query`] by hash and bytes.
///
/// The two do not contradict each other, since no two entries with the same bytes are in a map at one time.
#[derive(Clone)]
struct Numbered<K: Key> {
    hash: u64,
    number: u64,
    /// `None` in what only names an entry.
    key: Option<K>,
}

/// evmap's value, equal to nothing but itself.
///
/// evmap has the same bits in both copies and drops them once. So the state, which changes, is behind a pointer.
struct Stored<K: Key, V: Value, S: State> {
    /// Taken out when it is dropped.
    entry: Option<Entry<K, V, S>>,
    number: u64,
}

/// What lookups read comes first, next to evmap's own fields.
#[repr(C)]
struct Entry<K, V, S> {
    value: V,
    state: Arc<S>,
    key: K,
}

impl Backend for Evmap {
    const NAME: &'static str = "evmap";

    type Shard<K: Key, V: Value, S: State> = EvmapShard<K, V, S>;

    fn shard<K: Key, V: Value, S: State>(&self, capacity: usize) -> Self::Shard<K, V, S> {
        let (mut handle, reader) = build(capacity);
        // Before its first publish an evmap answers nobody.
        handle.publish();
        EvmapShard {
            writer: Mutex::new(Writer { handle, next: 0, len: 0 }),
            met: Met::default(),
            readers: Readers::new(reader),
            least: capacity,
            room: AtomicUsize::new(capacity),
        }
    }
}

#[expect(unsafe_code, reason = "evmap asks for this promise, and there is no other way to give it a hasher")]
fn build<K: Key, V: Value, S: State>(
    capacity: usize,
) -> (
    WriteEnd<K, V, S>,
    ReadEnd<K, V, S>,
) {
    let options = ::evmap::Options::default().with_capacity(capacity);
    // SAFETY: evmap asks that the hasher, and `Hash` and `Eq` of owned keys and values, always give the same for the
    // same input, clones of a key included.
    // - `PassThrough` returns the number that it is given.
    // - `Numbered` hashes to its field `hash` and is equal by its field `number`. Both are plain integers which nothing
    //   changes and which `derive(Clone)` copies. No code of `K` takes part.
    // - `Stored` hashes to and is equal by its field `number`, another plain integer that nothing changes.
    // Lookups compare through `K::as_ref`, which may be wrong, but they change nothing: evmap's changes go by owned key.
    unsafe { options.with_hasher(PassThrough::default()).assert_stable() }
}

impl<K: Key, V: Value, S: State> Shard<K, V, S> for EvmapShard<K, V, S> {
    #[inline]
    fn with<R>(&self, hash: u64, key: &[u8], read: impl FnOnce(&K, &V, &S) -> R) -> Option<R> {
        reentrancy::check_read("with");
        if handles::is_usable() {
            let reader = self.readers.own().borrow();
            if let Some(map) = reader.enter() {
                let (key, value, state) = map.get_one(&Query { hash, key } as &dyn Lookup)?.seen()?;
                let _reading = reentrancy::enter_read();
                return Some(read(key, value, state));
            }
        }
        let (mut read, mut found) = (Some(read), None);
        self.read_otherwise(hash, key, &mut |key, value, state| found = read.take().map(|read| read(key, value, state)));
        found
    }

    /// As in `batches.rs`, but with handles that are borrowed, and that may be of a table that has been replaced.
    #[inline]
    fn with_each(wanted: &[ReadRequest<'_, Self>], mut read: impl FnMut(usize, &Batch<'_, K, V, S>)) {
        if !handles::is_usable() {
            return read_one_by_one(wanted, 0, read);
        }
        reentrancy::check_read("with_each");
        // A first read may wait for a writer, and that one for readers; so all first reads come before any shard is held.
        for wanted in wanted {
            wanted.shard.readers.own();
        }
        for (number, batch) in wanted.chunks(MAX_BATCH).enumerate() {
            let mut ends = [const { None }; MAX_BATCH];
            for (place, wanted) in batch.iter().enumerate() {
                if place == 0 || !std::ptr::eq(batch[place - 1].shard, wanted.shard) {
                    ends[place] = Some(wanted.shard.readers.own().borrow());
                }
            }
            let mut maps = [const { None }; MAX_BATCH];
            let mut entered = true;
            for (map, end) in maps.iter_mut().zip(&ends) {
                if let Some(end) = end {
                    *map = end.enter();
                    entered &= map.is_some();
                }
            }
            let mut found = [const { None }; MAX_BATCH];
            let mut map = None;
            for ((found, own), ReadRequest { hash, key, .. }) in found.iter_mut().zip(&maps).zip(batch) {
                map = own.as_ref().or(map);
                let query = Query { hash: *hash, key };
                *found = map.and_then(|map| map.get_one(&query as &dyn Lookup)).and_then(Stored::seen);
            }
            if entered {
                let _reading = reentrancy::enter_read();
                read(number * MAX_BATCH, &found[..batch.len()]);
            } else {
                drop(maps);
                drop(ends);
                read_one_by_one(batch, number * MAX_BATCH, &mut read);
            }
        }
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
        let mut writer = self.writer();
        if self.with(hash, key.as_ref(), |_, _, _| ()).is_some() {
            return Err(NotInserted::Occupied(value, state));
        }
        let enter_predicate = reentrancy::enter_predicate();
        let completed = complete(slice::from_mut(&mut value));
        drop(enter_predicate);
        if let Err(why) = completed {
            return Err(NotInserted::Declined(value, state, why));
        }
        let number = writer.next;
        writer.next += 1;
        writer.len += 1;
        self.room.fetch_max(writer.len, Ordering::Relaxed);
        let entry = Entry { value, state: Arc::new(state), key: key.clone() };
        writer.handle.insert(Numbered { hash, number, key: Some(key) }, Stored { entry: Some(entry), number });
        let let_go = writer.publish();
        drop(writer);
        drop(let_go);
        Ok(())
    }

    fn remove_if(&self, hash: u64, key: &[u8], mut owned: impl FnMut(&K, &V, &S) -> bool) -> bool {
        reentrancy::check_write("remove_if");
        let mut writer = self.writer();
        let removes = |key: &K, value: &V, state: &S| {
            let _deciding = reentrancy::enter_predicate();
            owned(key, value, state)
        };
        let Some(number) = self.decide(hash, key, removes) else {
            return false;
        };
        writer.len -= 1;
        writer.handle.remove_entry(Numbered { hash, number, key: None });
        let let_go = writer.publish();
        drop(writer);
        drop(let_go);
        true
    }

    fn for_each(&self, mut visit: impl FnMut(&K, &V, &S) -> ControlFlow<()>) {
        reentrancy::check_read("for_each");
        self.readers.through(|map| {
            let _reading = reentrancy::enter_read();
            for (key, value, state) in map.values().flatten().filter_map(Stored::seen) {
                if visit(key, value, state).is_break() {
                    break;
                }
            }
        });
    }

    fn len(&self) -> usize {
        self.readers.through(|map| map.len())
    }

    fn capacity(&self) -> usize {
        self.room.load(Ordering::Relaxed)
    }

    fn shrink(&self) {
        reentrancy::check_write("shrink");
        self.rebuild();
    }

    fn contention(&self) -> Option<Contention> {
        self.met.as_contention(ContentionKind::WriteWait)
    }
}

impl<K: Key, V: Value, S: State> EvmapShard<K, V, S> {
    #[cold]
    #[inline(never)]
    fn read_otherwise(&self, hash: u64, key: &[u8], read: &mut dyn FnMut(&K, &V, &S)) {
        self.readers.through(|map| {
            if let Some((key, value, state)) = map.get_one(&Query { hash, key } as &dyn Lookup).and_then(Stored::seen) {
                let _reading = reentrancy::enter_read();
                read(key, value, state);
            }
        });
    }

    /// The writer; counts if another one is at work. A panic of `owned` poisons the mutex but comes before any change, so
    /// poison is ignored.
    fn writer(&self) -> MutexGuard<'_, Writer<K, V, S>> {
        let wait = || self.writer.lock().unwrap_or_else(PoisonError::into_inner);
        self.met.at_once_or(free(self.writer.try_lock()), wait)
    }

    /// The number of an entry, if there is one and `owned` says true of it.
    fn decide(&self, hash: u64, key: &[u8], owned: impl FnOnce(&K, &V, &S) -> bool) -> Option<u64> {
        self.readers.through(|map| {
            let stored = map.get_one(&Query { hash, key } as &dyn Lookup)?;
            let (key, value, state) = stored.seen()?;
            owned(key, value, state).then_some(stored.number)
        })
    }
}

impl<K: Key, V: Value, S: State> Writer<K, V, S> {
    /// Makes a change visible. Returns what the copies have let go of; it must be dropped with the mutex unlocked.
    #[must_use]
    fn publish(&mut self) -> Vec<bin::Item> {
        let bin = bin::open();
        self.handle.publish();
        bin.close()
    }
}

impl<K: Key, V: Value, S: State> Stored<K, V, S> {
    /// There is one for as long as it can be seen.
    #[inline]
    fn seen(&self) -> Option<EntryParts<'_, K, V, S>> {
        let Entry { value, state, key } = self.entry.as_ref()?;
        Some((key, value, state))
    }
}

impl<K: Key> Drop for Numbered<K> {
    fn drop(&mut self) {
        bin::put(self.key.take());
    }
}

impl<K: Key, V: Value, S: State> Drop for Stored<K, V, S> {
    fn drop(&mut self) {
        bin::put(self.entry.take());
    }
}

impl<K: Key> Lookup for Numbered<K> {
    #[inline]
    fn hash(&self) -> u64 {
        self.hash
    }

    #[inline]
    fn bytes(&self) -> &[u8] {
        self.key.as_ref().map_or(&[], K::as_ref)
    }
}

impl<'a, K: Key> Borrow<dyn Lookup + 'a> for Numbered<K> {
    #[inline]
    fn borrow(&self) -> &(dyn Lookup + 'a) {
        self
    }
}

impl<K: Key> PartialEq for Numbered<K> {
    fn eq(&self, other: &Self) -> bool {
        self.number == other.number
    }
}

impl<K: Key> Eq for Numbered<K> {}

impl<K: Key> Hash for Numbered<K> {
    fn hash<R: Hasher>(&self, state: &mut R) {
        state.write_u64(self.hash);
    }
}

impl<K: Key, V: Value, S: State> PartialEq for Stored<K, V, S> {
    fn eq(&self, other: &Self) -> bool {
        self.number == other.number
    }
}

impl<K: Key, V: Value, S: State> Eq for Stored<K, V, S> {}

impl<K: Key, V: Value, S: State> Hash for Stored<K, V, S> {
    fn hash<R: Hasher>(&self, state: &mut R) {
        state.write_u64(self.number);
    }
}

impl<K: Key, V: Value, S: State> Drop for EvmapShard<K, V, S> {
    fn drop(&mut self) {
        reentrancy::check_write("drop");
    }
}

impl<K: Key, V: Value, S: State> fmt::Debug for EvmapShard<K, V, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EvmapShard").finish_non_exhaustive()
    }
}
