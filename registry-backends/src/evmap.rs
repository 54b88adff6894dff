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
use registry_core::{AT_ONCE, Backend, Contention, Head, Key, Meeting, NotInserted, Run, Seen, Shard, State, Wanted, trap};

use crate::ending::handles;
use crate::hashed::{Lookup, PassThrough, Query};
use crate::met::{Met, free};
use self::readers::Readers;
use crate::runs::read_one_by_one;

/// Shards that are an evmap.
#[derive(Clone, Copy, Debug, Default)]
pub struct Evmap;

/// A shard of [`Evmap`].
pub struct EvmapShard<K: Key, H: Head, S: State> {
    writer: Mutex<Writer<K, H, S>>,
    met: Met,
    readers: Readers<K, H, S>,
    /// How many entries it was made for.
    least: usize,
    /// How many it has room for, about: as many as there were since it was last told to shrink.
    room: AtomicUsize,
}

struct Writer<K: Key, H: Head, S: State> {
    handle: WriteEnd<K, H, S>,
    /// The number of the next entry.
    next: u64,
    /// How many entries there are.
    len: usize,
}

type ReadEnd<K, H, S> = ReadHandle<Numbered<K>, Stored<K, H, S>, (), PassThrough>;
type Map<'a, K, H, S> = MapReadRef<'a, Numbered<K>, Stored<K, H, S>, (), PassThrough>;
type WriteEnd<K, H, S> = WriteHandle<Numbered<K>, Stored<K, H, S>, (), PassThrough>;

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
struct Stored<K: Key, H: Head, S: State> {
    /// Taken out when it is dropped.
    entry: Option<Entry<K, H, S>>,
    number: u64,
}

/// What look-ups read comes first, next to evmap's own fields.
#[repr(C)]
struct Entry<K, H, S> {
    head: H,
    state: Arc<S>,
    key: K,
}

impl Backend for Evmap {
    const NAME: &'static str = "evmap";

    type Shard<K: Key, H: Head, S: State> = EvmapShard<K, H, S>;

    fn shard<K: Key, H: Head, S: State>(&self, capacity: usize) -> Self::Shard<K, H, S> {
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
fn build<K: Key, H: Head, S: State>(
    capacity: usize,
) -> (
    WriteEnd<K, H, S>,
    ReadEnd<K, H, S>,
) {
    let options = ::evmap::Options::default().with_capacity(capacity);
    // SAFETY: evmap asks that the hasher, and `Hash` and `Eq` of owned keys and values, always give the same for the
    // same input, clones of a key included.
    // - `PassThrough` returns the number that it is given.
    // - `Numbered` hashes to its field `hash` and is equal by its field `number`. Both are plain integers which nothing
    //   changes and which `derive(Clone)` copies. No code of `K` takes part.
    // - `Stored` hashes to and is equal by its field `number`, another plain integer that nothing changes.
    // Look-ups compare through `K::as_ref`, which may be wrong, but they change nothing: evmap's changes go by owned key.
    unsafe { options.with_hasher(PassThrough::default()).assert_stable() }
}

impl<K: Key, H: Head, S: State> Shard<K, H, S> for EvmapShard<K, H, S> {
    #[inline]
    fn with<R>(&self, hash: u64, key: &[u8], read: impl FnOnce(&K, &H, &S) -> R) -> Option<R> {
        trap::looking("with");
        if handles::is_usable() {
            let reader = self.readers.own().borrow();
            if let Some(map) = reader.enter() {
                let (key, head, state) = map.get_one(&Query { hash, key } as &dyn Lookup)?.seen()?;
                let _reading = trap::reading();
                return Some(read(key, head, state));
            }
        }
        let (mut read, mut found) = (Some(read), None);
        self.read_otherwise(hash, key, &mut |key, head, state| found = read.take().map(|read| read(key, head, state)));
        found
    }

    /// As in `runs.rs`, but with handles that are borrowed, and that may be of a table that has been replaced.
    #[inline]
    fn with_each(wanted: &[Wanted<'_, Self>], mut read: impl FnMut(usize, &Run<'_, K, H, S>)) {
        if !handles::is_usable() {
            return read_one_by_one(wanted, 0, read);
        }
        trap::looking("with_each");
        // A first read may wait for a writer, and that one for readers; so all first reads come before any shard is held.
        for wanted in wanted {
            wanted.shard.readers.own();
        }
        for (number, run) in wanted.chunks(AT_ONCE).enumerate() {
            let mut ends = [const { None }; AT_ONCE];
            for (place, wanted) in run.iter().enumerate() {
                if place == 0 || !std::ptr::eq(run[place - 1].shard, wanted.shard) {
                    ends[place] = Some(wanted.shard.readers.own().borrow());
                }
            }
            let mut maps = [const { None }; AT_ONCE];
            let mut entered = true;
            for (map, end) in maps.iter_mut().zip(&ends) {
                if let Some(end) = end {
                    *map = end.enter();
                    entered &= map.is_some();
                }
            }
            let mut found = [const { None }; AT_ONCE];
            let mut map = None;
            for ((found, own), Wanted { hash, key, .. }) in found.iter_mut().zip(&maps).zip(run) {
                map = own.as_ref().or(map);
                let query = Query { hash: *hash, key };
                *found = map.and_then(|map| map.get_one(&query as &dyn Lookup)).and_then(Stored::seen);
            }
            if entered {
                let _reading = trap::reading();
                read(number * AT_ONCE, &found[..run.len()]);
            } else {
                drop(maps);
                drop(ends);
                read_one_by_one(run, number * AT_ONCE, &mut read);
            }
        }
    }

    fn insert_new_with<E>(
        &self,
        hash: u64,
        key: K,
        mut head: H,
        state: S,
        complete: impl FnOnce(&mut [H]) -> Result<(), E>,
    ) -> Result<(), NotInserted<H, S, E>> {
        trap::writing("insert_new");
        let mut writer = self.writer();
        if self.with(hash, key.as_ref(), |_, _, _| ()).is_some() {
            return Err(NotInserted::Occupied(head, state));
        }
        let deciding = trap::deciding();
        let completed = complete(slice::from_mut(&mut head));
        drop(deciding);
        if let Err(why) = completed {
            return Err(NotInserted::Declined(head, state, why));
        }
        let number = writer.next;
        writer.next += 1;
        writer.len += 1;
        self.room.fetch_max(writer.len, Ordering::Relaxed);
        let entry = Entry { head, state: Arc::new(state), key: key.clone() };
        writer.handle.insert(Numbered { hash, number, key: Some(key) }, Stored { entry: Some(entry), number });
        let let_go = writer.publish();
        drop(writer);
        drop(let_go);
        Ok(())
    }

    fn remove_if(&self, hash: u64, key: &[u8], mut owned: impl FnMut(&K, &H, &S) -> bool) -> bool {
        trap::writing("remove_if");
        let mut writer = self.writer();
        let removes = |key: &K, head: &H, state: &S| {
            let _deciding = trap::deciding();
            owned(key, head, state)
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

    fn for_each(&self, mut visit: impl FnMut(&K, &H, &S) -> ControlFlow<()>) {
        trap::looking("for_each");
        self.readers.through(|map| {
            let _reading = trap::reading();
            for (key, head, state) in map.values().flatten().filter_map(Stored::seen) {
                if visit(key, head, state).is_break() {
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
        trap::writing("shrink");
        self.rebuild();
    }

    fn contention(&self) -> Option<Contention> {
        self.met.as_contention(Meeting::WriteWait)
    }
}

impl<K: Key, H: Head, S: State> EvmapShard<K, H, S> {
    #[cold]
    #[inline(never)]
    fn read_otherwise(&self, hash: u64, key: &[u8], read: &mut dyn FnMut(&K, &H, &S)) {
        self.readers.through(|map| {
            if let Some((key, head, state)) = map.get_one(&Query { hash, key } as &dyn Lookup).and_then(Stored::seen) {
                let _reading = trap::reading();
                read(key, head, state);
            }
        });
    }

    /// The writer; counts if another one is at work. A panic of `owned` poisons the mutex but comes before any change, so
    /// poison is ignored.
    fn writer(&self) -> MutexGuard<'_, Writer<K, H, S>> {
        let wait = || self.writer.lock().unwrap_or_else(PoisonError::into_inner);
        self.met.at_once_or(free(self.writer.try_lock()), wait)
    }

    /// The number of an entry, if there is one and `owned` says true of it.
    fn decide(&self, hash: u64, key: &[u8], owned: impl FnOnce(&K, &H, &S) -> bool) -> Option<u64> {
        self.readers.through(|map| {
            let stored = map.get_one(&Query { hash, key } as &dyn Lookup)?;
            let (key, head, state) = stored.seen()?;
            owned(key, head, state).then_some(stored.number)
        })
    }
}

impl<K: Key, H: Head, S: State> Writer<K, H, S> {
    /// Makes a change visible. Returns what the copies have let go of; it must be dropped with the mutex unlocked.
    #[must_use]
    fn publish(&mut self) -> Vec<bin::Item> {
        let bin = bin::open();
        self.handle.publish();
        bin.close()
    }
}

impl<K: Key, H: Head, S: State> Stored<K, H, S> {
    /// There is one for as long as it can be seen.
    #[inline]
    fn seen(&self) -> Option<Seen<'_, K, H, S>> {
        let Entry { head, state, key } = self.entry.as_ref()?;
        Some((key, head, state))
    }
}

impl<K: Key> Drop for Numbered<K> {
    fn drop(&mut self) {
        bin::put(self.key.take());
    }
}

impl<K: Key, H: Head, S: State> Drop for Stored<K, H, S> {
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

impl<K: Key, H: Head, S: State> PartialEq for Stored<K, H, S> {
    fn eq(&self, other: &Self) -> bool {
        self.number == other.number
    }
}

impl<K: Key, H: Head, S: State> Eq for Stored<K, H, S> {}

impl<K: Key, H: Head, S: State> Hash for Stored<K, H, S> {
    fn hash<R: Hasher>(&self, state: &mut R) {
        state.write_u64(self.number);
    }
}

impl<K: Key, H: Head, S: State> Drop for EvmapShard<K, H, S> {
    fn drop(&mut self) {
        trap::writing("drop");
    }
}

impl<K: Key, H: Head, S: State> fmt::Debug for EvmapShard<K, H, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EvmapShard").finish_non_exhaustive()
    }
}
