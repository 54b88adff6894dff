//! `std`'s hash map behind `std`'s lock.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};

use super::{Family, FastHash, Handle, Key, Map, Value};

/// The family of hash maps behind a lock.
#[derive(Debug)]
pub struct BareReference;

type Locked<K, V> = Arc<RwLock<HashMap<K, V, FastHash>>>;

impl Family for BareReference {
    type Map<K: Key, V: Value> = Locked<K, V>;
}

impl<K: Key, V: Value> Map<K, V> for Locked<K, V> {
    type Handle = Self;

    fn with_capacity(capacity: usize) -> Self {
        Self::new(RwLock::new(HashMap::with_capacity_and_hasher(capacity, FastHash::default())))
    }

    fn handle(&self) -> Self {
        Self::clone(self)
    }
}

impl<K: Key, V: Value> Handle<K, V> for Locked<K, V> {
    #[inline]
    fn with<R>(&self, key: &K, read: impl FnOnce(&V) -> R) -> Option<R> {
        self.read().unwrap_or_else(PoisonError::into_inner).get(key).map(read)
    }

    #[inline]
    fn insert(&self, key: K, value: V) {
        self.write().unwrap_or_else(PoisonError::into_inner).insert(key, value);
    }

    #[inline]
    fn remove(&self, key: &K) -> bool {
        self.write().unwrap_or_else(PoisonError::into_inner).remove(key).is_some()
    }
}
