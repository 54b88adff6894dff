//! evmap: the map that left-right was made for, here to be compared with [`LeftRight`](crate::LeftRight).
//!
//! # Trade-offs
//!
//! Those of [`left_right`](crate::left_right), and beyond them:
//!
//! - An entry takes more room and another step to reach: evmap keeps a bag of values per key, and does not give the
//!   key with them, so the key is stored beside the value again.
//! - A thread's *first* read of a shard waits while a write waits for other readers, because evmap publishes with the
//!   lock held that a new reader needs. If the first reads of two threads come inside reads of another shard, each of
//!   the other's, and both shards are being written, they wait for each other forever. `LeftRight` does not.
//!
//! # How it works
//!
//! As in [`left_right`](crate::left_right): one writer at a time, a publish per write, a read handle per thread, and a
//! removed value kept until the writer's mutex is unlocked.
//!
//! evmap's two copies hold the same bits of each value without counting, so it must be able to trust that both do the
//! same: that keys and values always hash and compare alike. A key that a user defines cannot be trusted so far, as
//! its `AsRef` may say something else each time. So each entry gets a number, and what evmap compares are numbers.

use std::borrow::Borrow;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::mem;
use std::ops::ControlFlow;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use ::evmap::handles::{ReadHandle, WriteHandle};
use registry_core::{Backend, Key, Occupied, Shard, Value, trap};
use thread_local::ThreadLocal;

use crate::hashed::{Lookup, PassThrough, Query};

/// Shards that are an evmap.
#[derive(Clone, Copy, Debug, Default)]
pub struct Evmap;

/// A shard of [`Evmap`].
pub struct EvmapShard<K: Key, V: Value> {
    writer: Mutex<Writer<K, V>>,
    /// evmap's read handle is for one thread, so each thread has one; a thread that ends leaves it to the next.
    readers: ThreadLocal<ReadEnd<K, V>>,
    /// What those are cloned from. evmap has a factory for it, but no way to come by one.
    first_reader: Mutex<ReadEnd<K, V>>,
}

struct Writer<K: Key, V: Value> {
    handle: WriteEnd<K, V>,
    /// The number of the next entry.
    next: u64,
    /// What the last write removed and one of the copies still has.
    removed: Option<Shared<K, V>>,
}

type ReadEnd<K, V> = ReadHandle<Numbered<K>, Shared<K, V>, (), PassThrough>;
type WriteEnd<K, V> = WriteHandle<Numbered<K>, Shared<K, V>, (), PassThrough>;

/// evmap's key. To another one it is equal by number; to a [`Query`] by hash and bytes.
///
/// The two do not contradict each other, since no two entries with the same bytes are in a map at one time.
#[derive(Clone)]
struct Numbered<K> {
    hash: u64,
    number: u64,
    key: K,
}

/// evmap's value: one object for both copies, equal to nothing but itself.
struct Shared<K, V>(Arc<Stored<K, V>>);

struct Stored<K, V> {
    number: u64,
    key: K,
    value: V,
}

impl Backend for Evmap {
    const NAME: &'static str = "evmap";

    type Shard<K: Key, V: Value> = EvmapShard<K, V>;

    fn shard<K: Key, V: Value>(&self, capacity: usize) -> Self::Shard<K, V> {
        let (mut handle, reader) = build(capacity);
        // Before its first publish an evmap answers nobody.
        handle.publish();
        EvmapShard {
            writer: Mutex::new(Writer { handle, next: 0, removed: None }),
            readers: ThreadLocal::new(),
            first_reader: Mutex::new(reader),
        }
    }
}

#[expect(unsafe_code, reason = "evmap asks for this promise, and there is no other way to give it a hasher")]
fn build<K: Key, V: Value>(
    capacity: usize,
) -> (
    WriteEnd<K, V>,
    ReadEnd<K, V>,
) {
    let options = ::evmap::Options::default().with_capacity(capacity);
    // SAFETY: evmap asks that the hasher, and `Hash` and `Eq` of owned keys and values, always give the same for the
    // same input, clones of a key included.
    // - `PassThrough` returns the number that it is given.
    // - `Numbered` hashes to its field `hash` and is equal by its field `number`. Both are plain integers which nothing
    //   changes and which `derive(Clone)` copies. No code of `K` takes part.
    // - `Shared` hashes to and is equal by the address of what its `Arc` points to, which lives as long as it does.
    // Look-ups compare through `K::as_ref`, which may be wrong, but they change nothing: evmap's changes go by owned key.
    unsafe { options.with_hasher(PassThrough::default()).assert_stable() }
}

impl<K: Key, V: Value> Shard<K, V> for EvmapShard<K, V> {
    #[inline]
    fn with<R>(&self, hash: u64, key: &[u8], read: impl FnOnce(&K, &V) -> R) -> Option<R> {
        trap::looking("with");
        let map = self.reader().enter()?;
        let stored = &map.get_one(&Query { hash, key } as &dyn Lookup)?.0;
        let _reading = trap::reading();
        Some(read(&stored.key, &stored.value))
    }

    fn insert_new(&self, hash: u64, key: K, value: V) -> Result<(), Occupied<V>> {
        trap::writing("insert_new");
        let mut writer = self.writer();
        if self.with(hash, key.as_ref(), |_, _| ()).is_some() {
            return Err(Occupied(value));
        }
        let number = writer.next;
        writer.next += 1;
        let stored = Stored { number, key: key.clone(), value };
        writer.handle.insert(Numbered { hash, number, key }, Shared(Arc::new(stored)));
        let let_go = writer.publish(None);
        drop(writer);
        drop(let_go);
        Ok(())
    }

    fn remove_if(&self, hash: u64, key: &[u8], mut owned: impl FnMut(&K, &V) -> bool) -> bool {
        trap::writing("remove_if");
        let mut writer = self.writer();
        let Some(removed) = self.entry(hash, key, |key, value| owned(key, value)) else {
            return false;
        };
        writer.handle.remove_entry(Numbered { hash, number: removed.0.number, key: removed.0.key.clone() });
        let let_go = writer.publish(Some(removed));
        drop(writer);
        drop(let_go);
        true
    }

    fn for_each(&self, mut visit: impl FnMut(&K, &V) -> ControlFlow<()>) {
        trap::looking("for_each");
        let Some(map) = self.reader().enter() else { return };
        let _reading = trap::reading();
        for Shared(stored) in map.values().flatten() {
            if visit(&stored.key, &stored.value).is_break() {
                break;
            }
        }
    }

    fn len(&self) -> usize {
        self.reader().len()
    }
}

impl<K: Key, V: Value> EvmapShard<K, V> {
    #[inline]
    fn reader(&self) -> &ReadEnd<K, V> {
        self.readers.get_or(|| self.first_reader.lock().unwrap_or_else(PoisonError::into_inner).clone())
    }

    /// The writer. A panic of `owned` poisons the mutex but comes before any change, so poison is ignored.
    fn writer(&self) -> MutexGuard<'_, Writer<K, V>> {
        self.writer.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A reference to an entry that outlives the read, if there is one and `owned` says true of it.
    fn entry(&self, hash: u64, key: &[u8], owned: impl FnOnce(&K, &V) -> bool) -> Option<Shared<K, V>> {
        let map = self.reader().enter()?;
        let stored = &map.get_one(&Query { hash, key } as &dyn Lookup)?.0;
        let _deciding = trap::deciding();
        owned(&stored.key, &stored.value).then(|| Shared(Arc::clone(stored)))
    }
}

impl<K: Key, V: Value> Writer<K, V> {
    /// Makes a change visible. Returns what no copy has any more; it must be dropped with the mutex unlocked.
    #[must_use]
    fn publish(&mut self, removed: Option<Shared<K, V>>) -> Option<Shared<K, V>> {
        self.handle.publish();
        mem::replace(&mut self.removed, removed)
    }
}

impl<K: Key> Lookup for Numbered<K> {
    #[inline]
    fn hash(&self) -> u64 {
        self.hash
    }

    #[inline]
    fn bytes(&self) -> &[u8] {
        self.key.as_ref()
    }
}

impl<'a, K: Key> Borrow<dyn Lookup + 'a> for Numbered<K> {
    #[inline]
    fn borrow(&self) -> &(dyn Lookup + 'a) {
        self
    }
}

impl<K> PartialEq for Numbered<K> {
    fn eq(&self, other: &Self) -> bool {
        self.number == other.number
    }
}

impl<K> Eq for Numbered<K> {}

impl<K> Hash for Numbered<K> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_u64(self.hash);
    }
}

impl<K, V> PartialEq for Shared<K, V> {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl<K, V> Eq for Shared<K, V> {}

impl<K, V> Hash for Shared<K, V> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_u64(Arc::as_ptr(&self.0).addr() as u64);
    }
}

impl<K: Key, V: Value> Drop for EvmapShard<K, V> {
    fn drop(&mut self) {
        trap::writing("drop");
    }
}

impl<K: Key, V: Value> fmt::Debug for EvmapShard<K, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EvmapShard").finish_non_exhaustive()
    }
}
