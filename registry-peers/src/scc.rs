//! The `HashIndex` of scc, a map for reading: read in place with `peek_with`, as its users do.

use std::fmt;
use std::sync::Arc;

use ::scc::HashIndex;
use ::scc::hash_index::Entry;
use registry_bench::bare::{Family, FastHash, Handle, Key, Map, Value};

/// The family of hash indices.
#[derive(Debug)]
pub struct BareScc;

impl Family for BareScc {
    type Map<K: Key, V: Value> = Index<K, V>;
}

/// A hash index that threads share.
pub struct Index<K: Key, V: Value>(Arc<HashIndex<K, V, FastHash>>);

impl<K: Key, V: Value> Map<K, V> for Index<K, V> {
    type Handle = Self;

    fn with_capacity(capacity: usize) -> Self {
        Self(Arc::new(HashIndex::with_capacity_and_hasher(capacity, FastHash::default())))
    }

    fn handle(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<K: Key, V: Value> Handle<K, V> for Index<K, V> {
    #[inline]
    fn with<R>(&self, key: &K, read: impl FnOnce(&V) -> R) -> Option<R> {
        self.0.peek_with(key, |_, value| read(value))
    }

    #[inline]
    fn insert(&self, key: K, value: V) {
        match self.0.entry_sync(key) {
            Entry::Occupied(mut held) => held.update(value),
            Entry::Vacant(place) => {
                place.insert_entry(value);
            }
        }
    }

    #[inline]
    fn remove(&self, key: &K) -> bool {
        self.0.remove_sync(key)
    }
}

impl<K: Key, V: Value> fmt::Debug for Index<K, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Index").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use registry_bench::bare::OverBare;
    use registry_bench::registry::Layout;
    use registry_router::ServerId;

    use super::*;
    use crate::names::Size;
    use crate::peers::tests::check_operations;
    use crate::session::OverSubject;

    #[test]
    fn the_last_insertion_is_found() {
        let map = Index::<ServerId, u32>::with_capacity(4);
        let id = ServerId::new("a").unwrap();
        map.insert(id.clone(), 1);
        map.insert(id.clone(), 2);
        assert_eq!(map.with(&id, |&value| value), Some(2));
        assert!(map.remove(&id) && !map.remove(&id));
        assert_eq!(map.with(&id, |&value| value), None);
    }

    #[test]
    fn every_operation_succeeds() {
        let layout = Layout { shards: 1, servers: 50, transports: 5 };
        check_operations(&OverSubject::new(OverBare::<BareScc>::new(layout), Size { entries: 50, threads: 2 }, 1));
    }
}
