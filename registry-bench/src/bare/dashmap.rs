//! dashmap as its users use it: one map, with as many inner shards as it likes.

use std::sync::Arc;

use ::dashmap::DashMap;

use super::{Family, FastHash, Handle, Key, Map, Value};

/// The family of dashmaps.
#[derive(Debug)]
pub struct BareDashmap;

impl Family for BareDashmap {
    type Map<K: Key, V: Value> = Arc<DashMap<K, V, FastHash>>;
}

impl<K: Key, V: Value> Map<K, V> for Arc<DashMap<K, V, FastHash>> {
    type Handle = Self;

    fn with_capacity(capacity: usize) -> Self {
        Self::new(DashMap::with_capacity_and_hasher(capacity, FastHash::default()))
    }

    fn handle(&self) -> Self {
        Self::clone(self)
    }
}

impl<K: Key, V: Value> Handle<K, V> for Arc<DashMap<K, V, FastHash>> {
    #[inline]
    fn with<R>(&self, key: &K, read: impl FnOnce(&V) -> R) -> Option<R> {
        self.get(key).map(|entry| read(entry.value()))
    }

    #[inline]
    fn insert(&self, key: K, value: V) {
        DashMap::insert(self, key, value);
    }

    #[inline]
    fn remove(&self, key: &K) -> bool {
        DashMap::remove(self, key).is_some()
    }
}
