//! The keys and values that evmap stores, which compare by a number.

use std::borrow::Borrow;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use registry_core::{EntryParts, Key, State, Value};

use super::deferred_drop;
use crate::hashed::Lookup;

/// The key type of evmap. Two of them compare by number; a [`Query`](crate::hashed::Query) compares by hash and bytes.
///
/// The two are consistent, because no two entries with equal bytes are in a map at the same time.
#[derive(Clone)]
pub(super) struct NumberedKey<K: Key> {
    pub(super) hash: u64,
    pub(super) number: u64,
    /// `None` in a key that only identifies an entry to remove.
    pub(super) key: Option<K>,
}

/// The value type of evmap, equal only to itself.
///
/// Both copies of evmap contain the same bits, which are dropped once. So the state, which is mutable, is behind a
/// pointer.
pub(super) struct StoredEntry<K: Key, V: Value, S: State> {
    /// `None` once it has been dropped.
    pub(super) entry: Option<Entry<K, V, S>>,
    pub(super) number: u64,
}

/// The fields that lookups read come first, next to evmap's own fields.
#[repr(C)]
pub(super) struct Entry<K, V, S> {
    pub(super) value: V,
    pub(super) state: Arc<S>,
    pub(super) key: K,
}

impl<K: Key, V: Value, S: State> StoredEntry<K, V, S> {
    /// Always `Some` while the entry can be reached.
    #[inline]
    pub(super) fn parts(&self) -> Option<EntryParts<'_, K, V, S>> {
        let Entry { value, state, key } = self.entry.as_ref()?;
        Some((key, value, state))
    }
}

impl<K: Key> Drop for NumberedKey<K> {
    fn drop(&mut self) {
        deferred_drop::defer(self.key.take());
    }
}

impl<K: Key, V: Value, S: State> Drop for StoredEntry<K, V, S> {
    fn drop(&mut self) {
        deferred_drop::defer(self.entry.take());
    }
}

impl<K: Key> Lookup for NumberedKey<K> {
    #[inline]
    fn hash(&self) -> u64 {
        self.hash
    }

    #[inline]
    fn bytes(&self) -> &[u8] {
        self.key.as_ref().map_or(&[], K::as_ref)
    }
}

impl<'a, K: Key> Borrow<dyn Lookup + 'a> for NumberedKey<K> {
    #[inline]
    fn borrow(&self) -> &(dyn Lookup + 'a) {
        self
    }
}

impl<K: Key> PartialEq for NumberedKey<K> {
    fn eq(&self, other: &Self) -> bool {
        self.number == other.number
    }
}

impl<K: Key> Eq for NumberedKey<K> {}

impl<K: Key> Hash for NumberedKey<K> {
    fn hash<R: Hasher>(&self, state: &mut R) {
        state.write_u64(self.hash);
    }
}

impl<K: Key, V: Value, S: State> PartialEq for StoredEntry<K, V, S> {
    fn eq(&self, other: &Self) -> bool {
        self.number == other.number
    }
}

impl<K: Key, V: Value, S: State> Eq for StoredEntry<K, V, S> {}

impl<K: Key, V: Value, S: State> Hash for StoredEntry<K, V, S> {
    fn hash<R: Hasher>(&self, state: &mut R) {
        state.write_u64(self.number);
    }
}
