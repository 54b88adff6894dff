//! evmap as its users would use it with keys and a hasher of their own: a read handle per thread, a publish per write.

use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use ::evmap::handles::{ReadHandle, WriteHandle};

use super::{Family, FastHash, Handle, Key, Map, Value};

/// The family of evmaps.
#[derive(Debug)]
pub struct BareEvmap;

impl Family for BareEvmap {
    type Map<K: Key, V: Value> = EvmapMap<K, V>;
}

type Reader<K, V> = ReadHandle<K, Numbered<V>, (), FastHash>;
type Writer<K, V> = Arc<Mutex<WriteHandle<K, Numbered<V>, (), FastHash>>>;

/// An evmap with at most one value per key.
pub struct EvmapMap<K: Key, V: Value> {
    writer: Writer<K, V>,
    /// Cloned for each handle.
    reader: Mutex<Reader<K, V>>,
    next: Arc<AtomicU64>,
}

/// The access of one thread.
pub struct EvmapHandle<K: Key, V: Value> {
    writer: Writer<K, V>,
    reader: Reader<K, V>,
    next: Arc<AtomicU64>,
}

/// A value with a number, by which evmap hashes and compares it.
struct Numbered<V> {
    value: V,
    number: u64,
}

impl<V> PartialEq for Numbered<V> {
    fn eq(&self, other: &Self) -> bool {
        self.number == other.number
    }
}

impl<V> Eq for Numbered<V> {}

impl<V> Hash for Numbered<V> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.number.hash(state);
    }
}

impl<K: Key, V: Value> Map<K, V> for EvmapMap<K, V> {
    type Handle = EvmapHandle<K, V>;

    #[expect(unsafe_code, reason = "evmap asks for this promise, and there is no other way to give it a fast hasher")]
    fn with_capacity(capacity: usize) -> Self {
        let options = ::evmap::Options::default().with_capacity(capacity);
        // SAFETY: evmap asks that the hasher, and `Hash` and `Eq` of keys and values, always give the same for the same
        // input, clones included. `FastHash` has a fixed seed. `Key` is sealed, and ids are the only ones: plain bytes
        // that nothing changes, which hash and compare as bytes do. A value hashes and compares as its number, which
        // nothing changes.
        let (mut writer, reader) = unsafe { options.with_hasher(FastHash::default()).assert_stable() };
        // An evmap cannot be read before its first publish.
        writer.publish();
        Self { writer: Arc::new(Mutex::new(writer)), reader: Mutex::new(reader), next: Arc::default() }
    }

    fn handle(&self) -> Self::Handle {
        let reader = self.reader.lock().unwrap_or_else(PoisonError::into_inner).clone();
        EvmapHandle { writer: Arc::clone(&self.writer), reader, next: Arc::clone(&self.next) }
    }
}

impl<K: Key, V: Value> Handle<K, V> for EvmapHandle<K, V> {
    #[inline]
    fn with<R>(&self, key: &K, read: impl FnOnce(&V) -> R) -> Option<R> {
        self.reader.get_one(key).map(|numbered| read(&numbered.value))
    }

    fn insert(&self, key: K, value: V) {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        let mut writer = self.writer.lock().unwrap_or_else(PoisonError::into_inner);
        writer.update(key, Numbered { value, number });
        writer.publish();
    }

    fn remove(&self, key: &K) -> bool {
        let mut writer = self.writer.lock().unwrap_or_else(PoisonError::into_inner);
        let was_there = self.reader.contains_key(key);
        writer.remove_entry(key.clone());
        writer.publish();
        was_there
    }
}

impl<K: Key, V: Value> fmt::Debug for EvmapMap<K, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EvmapMap").finish_non_exhaustive()
    }
}

impl<K: Key, V: Value> fmt::Debug for EvmapHandle<K, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EvmapHandle").finish_non_exhaustive()
    }
}
