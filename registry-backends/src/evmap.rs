//! evmap: the map that left-right was made for, for comparison with `LeftRight`.
//!
//! # Trade-offs
//!
//! Those of the backend `left-right`, and:
//!
//! - *Memory.* evmap keeps a bag of values per key, and does not return the key with them, so the key is stored again
//!   beside the value.
//! - *First reads.* The first read of a shard by a thread waits while a write waits for other readers, because evmap
//!   publishes with the lock held that registers a new reader. If two threads each make the first read of the other's
//!   shard inside a read of their own one, and both shards are being written, all of them deadlock. `LeftRight` does not
//!   have this limitation. Every read during thread teardown may be a first read.
//! - *Shrinking.* The tables cannot shrink: `shrink` moves all entries into new tables, and clones their values.
//!
//! # Implementation
//!
//! As for `left-right`: one writer at a time, a publish per write, a read handle per thread, and removed entries are
//! dropped after the lock is released. But evmap itself drops keys and values, so their destructors move the contents
//! into a list of the publishing thread (`deferred_drop.rs`).
//!
//! `rebuild.rs` replaces the tables to shrink them; `readers.rs` moves the readers to the new tables.
//!
//! The two copies of evmap share the bits of each value without a reference count, so evmap relies on both copies doing
//! the same: keys and values must always hash and compare alike. A user's key cannot be trusted to, because its `AsRef`
//! may return other bytes each time. So each entry gets a number, and evmap compares numbers.

mod deferred_drop;
mod entry;
mod readers;
mod rebuild;

use std::fmt;
use std::ops::ControlFlow;
use std::slice;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use ::evmap::handles::{ReadHandle, WriteHandle};
use ::evmap::refs::MapReadRef;
use registry_core::{
    Backend, Batch, Contention, Key, MAX_BATCH, NotInserted, ReadRequest, Shard, State, Value, reentrancy,
};

use self::entry::{Entry, NumberedKey, StoredEntry};
use self::readers::Readers;
use crate::batches::read_one_by_one;
use crate::hashed::{Lookup, PassThrough, Query};
use crate::predicate::in_predicate;
use crate::teardown::{handles, read_by_dyn};
use crate::writer_lock::{WriterLock, release_then_drop};

/// Shards that are an evmap.
#[derive(Clone, Copy, Debug, Default)]
pub struct Evmap;

/// A shard of [`Evmap`].
pub struct EvmapShard<K: Key, V: Value, S: State> {
    writer: WriterLock<Writer<K, V, S>>,
    readers: Readers<K, V, S>,
    initial_capacity: usize,
    /// The approximate capacity: the maximum number of entries since the shard was last shrunk.
    capacity: AtomicUsize,
}

struct Writer<K: Key, V: Value, S: State> {
    handle: WriterHandle<K, V, S>,
    next_number: u64,
    len: usize,
}

type Reader<K, V, S> = ReadHandle<NumberedKey<K>, StoredEntry<K, V, S>, (), PassThrough>;
type Map<'a, K, V, S> = MapReadRef<'a, NumberedKey<K>, StoredEntry<K, V, S>, (), PassThrough>;
type WriterHandle<K, V, S> = WriteHandle<NumberedKey<K>, StoredEntry<K, V, S>, (), PassThrough>;

impl Backend for Evmap {
    const NAME: &'static str = "evmap";

    type Shard<K: Key, V: Value, S: State> = EvmapShard<K, V, S>;

    fn shard<K: Key, V: Value, S: State>(&self, capacity: usize) -> Self::Shard<K, V, S> {
        let (mut handle, reader) = build(capacity);
        // Before its first publish, an evmap returns nothing to readers.
        handle.publish();
        EvmapShard {
            writer: WriterLock::new(Writer { handle, next_number: 0, len: 0 }),
            readers: Readers::new(reader),
            initial_capacity: capacity,
            capacity: AtomicUsize::new(capacity),
        }
    }
}

#[expect(unsafe_code, reason = "evmap requires this promise to accept a hasher")]
fn build<K: Key, V: Value, S: State>(capacity: usize) -> (WriterHandle<K, V, S>, Reader<K, V, S>) {
    let options = ::evmap::Options::default().with_capacity(capacity);
    // SAFETY: evmap requires that the hasher, and `Hash` and `Eq` of owned keys and values, always give the same result
    // for the same input, clones of a key included.
    // - `PassThrough` returns the number that it is given.
    // - `NumberedKey` hashes to its field `hash` and compares by its field `number`. Both are plain integers that are
    //   never modified and that `derive(Clone)` copies. No code of `K` takes part.
    // - `StoredEntry` hashes to and compares by its field `number`, another plain integer that is never modified.
    // Lookups compare through `K::as_ref`, which may be wrong, but they change nothing: changes are made by owned key.
    unsafe { options.with_hasher(PassThrough::default()).assert_stable() }
}

impl<K: Key, V: Value, S: State> Shard<K, V, S> for EvmapShard<K, V, S> {
    #[inline]
    fn with<R>(&self, hash: u64, key: &[u8], read: impl FnOnce(&K, &V, &S) -> R) -> Option<R> {
        reentrancy::check_read("with");
        if handles::is_usable() {
            let reader = self.readers.current().borrow();
            if let Some(map) = reader.enter() {
                let (key, value, state) = map.get_one(&Query { hash, key } as &dyn Lookup)?.parts()?;
                let _reading = reentrancy::enter_read();
                return Some(read(key, value, state));
            }
        }
        read_by_dyn(read, |read| self.read_slow(hash, key, read))
    }

    /// As in `batches.rs`, but with handles that are borrowed, and whose tables may have been replaced.
    #[inline]
    fn with_each(requests: &[ReadRequest<'_, Self>], mut read: impl FnMut(usize, &Batch<'_, K, V, S>)) {
        if !handles::is_usable() {
            return read_one_by_one(requests, 0, read);
        }
        reentrancy::check_read("with_each");
        // A first read may wait for a writer, which waits for readers; so all first reads precede the first entry.
        for request in requests {
            request.shard.readers.current();
        }
        for (number, batch) in requests.chunks(MAX_BATCH).enumerate() {
            let mut handles = [const { None }; MAX_BATCH];
            for (index, request) in batch.iter().enumerate() {
                if index == 0 || !std::ptr::eq(batch[index - 1].shard, request.shard) {
                    handles[index] = Some(request.shard.readers.current().borrow());
                }
            }
            let mut maps = [const { None }; MAX_BATCH];
            let mut all_entered = true;
            for (map, handle) in maps.iter_mut().zip(&handles) {
                if let Some(handle) = handle {
                    *map = handle.enter();
                    all_entered &= map.is_some();
                }
            }
            let mut entries = [const { None }; MAX_BATCH];
            let mut map = None;
            for ((entry, own), ReadRequest { hash, key, .. }) in entries.iter_mut().zip(&maps).zip(batch) {
                map = own.as_ref().or(map);
                let query = Query { hash: *hash, key };
                *entry = map.and_then(|map| map.get_one(&query as &dyn Lookup)).and_then(StoredEntry::parts);
            }
            if all_entered {
                let _reading = reentrancy::enter_read();
                read(number * MAX_BATCH, &entries[..batch.len()]);
            } else {
                drop(maps);
                drop(handles);
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
        let mut writer = self.writer.lock();
        if self.with(hash, key.as_ref(), |_, _, _| ()).is_some() {
            return Err(NotInserted::Occupied(value, state));
        }
        if let Err(reason) = in_predicate(|| complete(slice::from_mut(&mut value))) {
            return Err(NotInserted::Declined(value, state, reason));
        }
        let number = writer.next_number;
        writer.next_number += 1;
        writer.len += 1;
        self.capacity.fetch_max(writer.len, Ordering::Relaxed);
        let entry = Entry { value, state: Arc::new(state), key: key.clone() };
        writer.handle.insert(NumberedKey { hash, number, key: Some(key) }, StoredEntry { entry: Some(entry), number });
        let removed = writer.publish();
        release_then_drop(writer, removed);
        Ok(())
    }

    fn remove_if(&self, hash: u64, key: &[u8], mut predicate: impl FnMut(&K, &V, &S) -> bool) -> bool {
        reentrancy::check_write("remove_if");
        let mut writer = self.writer.lock();
        let removes = |key: &K, value: &V, state: &S| in_predicate(|| predicate(key, value, state));
        let Some(number) = self.find_if(hash, key, removes) else {
            return false;
        };
        writer.len -= 1;
        writer.handle.remove_entry(NumberedKey { hash, number, key: None });
        let removed = writer.publish();
        release_then_drop(writer, removed);
        true
    }

    fn for_each(&self, mut visit: impl FnMut(&K, &V, &S) -> ControlFlow<()>) {
        reentrancy::check_read("for_each");
        self.readers.with_map(|map| {
            let _reading = reentrancy::enter_read();
            for (key, value, state) in map.values().flatten().filter_map(StoredEntry::parts) {
                if visit(key, value, state).is_break() {
                    break;
                }
            }
        });
    }

    fn len(&self) -> usize {
        self.readers.with_map(|map| map.len())
    }

    fn capacity(&self) -> usize {
        self.capacity.load(Ordering::Relaxed)
    }

    fn shrink(&self) {
        reentrancy::check_write("shrink");
        self.rebuild();
    }

    fn contention(&self) -> Option<Contention> {
        self.writer.contention()
    }
}

impl<K: Key, V: Value, S: State> EvmapShard<K, V, S> {
    #[cold]
    #[inline(never)]
    fn read_slow(&self, hash: u64, key: &[u8], read: &mut dyn FnMut(&K, &V, &S)) {
        self.readers.with_map(|map| {
            if let Some((key, value, state)) =
                map.get_one(&Query { hash, key } as &dyn Lookup).and_then(StoredEntry::parts)
            {
                let _reading = reentrancy::enter_read();
                read(key, value, state);
            }
        });
    }

    /// Returns the number of an entry, if there is one and `predicate` returns `true` for it.
    fn find_if(&self, hash: u64, key: &[u8], predicate: impl FnOnce(&K, &V, &S) -> bool) -> Option<u64> {
        self.readers.with_map(|map| {
            let stored = map.get_one(&Query { hash, key } as &dyn Lookup)?;
            let (key, value, state) = stored.parts()?;
            predicate(key, value, state).then_some(stored.number)
        })
    }
}

impl<K: Key, V: Value, S: State> Writer<K, V, S> {
    /// Publishes the pending changes, and returns the contents that evmap has dropped, to be dropped after the lock.
    #[must_use]
    fn publish(&mut self) -> Vec<deferred_drop::Item> {
        let scope = deferred_drop::scope();
        self.handle.publish();
        scope.finish()
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
