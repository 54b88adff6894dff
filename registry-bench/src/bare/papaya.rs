//! papaya as its users use it: one map, pinned for each operation.

use std::sync::Arc;

use ::papaya::HashMap;

use super::{Family, FastHash, Handle, Key, Map, Value};

/// The family of papaya's maps.
#[derive(Debug)]
pub struct BarePapaya;

impl Family for BarePapaya {
    type Map<K: Key, V: Value> = Arc<HashMap<K, V, FastHash>>;
}

impl<K: Key, V: Value> Map<K, V> for Arc<HashMap<K, V, FastHash>> {
    type Handle = Self;

    fn with_capacity(capacity: usize) -> Self {
        Self::new(HashMap::with_capacity_and_hasher(capacity, FastHash::default()))
    }

    fn handle(&self) -> Self {
        Self::clone(self)
    }
}

impl<K: Key, V: Value> Handle<K, V> for Arc<HashMap<K, V, FastHash>> {
    #[inline]
    fn with<R>(&self, key: &K, read: impl FnOnce(&V) -> R) -> Option<R> {
        self.pin().get(key).map(read)
    }

    #[inline]
    fn insert(&self, key: K, value: V) {
        self.pin().insert(key, value);
    }

    #[inline]
    fn remove(&self, key: &K) -> bool {
        self.pin().remove(key).is_some()
    }
}
