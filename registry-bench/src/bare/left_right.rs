//! A hash map under left-right, with a read handle per thread.
//!
//! Every write is published, so that a registration is visible when it returns.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use ::left_right::{Absorb, ReadHandle, ReadHandleFactory, WriteHandle};

use super::{Family, FastHash, Handle, Key, Map, Value};

/// The family of hash maps under left-right.
#[derive(Debug)]
pub struct BareLeftRight;

impl Family for BareLeftRight {
    type Map<K: Key, V: Value> = LeftRightMap<K, V>;
}

type Writer<K, V> = Arc<Mutex<WriteHandle<Table<K, V>, Change<K, V>>>>;

/// A hash map under left-right.
pub struct LeftRightMap<K: Key, V: Value> {
    writer: Writer<K, V>,
    readers: ReadHandleFactory<Table<K, V>>,
}

/// One thread's access.
pub struct LeftRightHandle<K: Key, V: Value> {
    writer: Writer<K, V>,
    reader: ReadHandle<Table<K, V>>,
}

#[derive(Clone)]
struct Table<K, V>(HashMap<K, V, FastHash>);

enum Change<K, V> {
    Insert(K, V),
    Remove(K),
}

impl<K: Key, V: Value> Absorb<Change<K, V>> for Table<K, V> {
    fn absorb_first(&mut self, change: &mut Change<K, V>, _other: &Self) {
        match change {
            Change::Insert(key, value) => self.0.insert(key.clone(), value.clone()),
            Change::Remove(key) => self.0.remove(key),
        };
    }

    fn absorb_second(&mut self, change: Change<K, V>, _other: &Self) {
        match change {
            Change::Insert(key, value) => self.0.insert(key, value),
            Change::Remove(key) => self.0.remove(&key),
        };
    }

    fn sync_with(&mut self, first: &Self) {
        self.0.clone_from(&first.0);
    }
}

impl<K: Key, V: Value> Map<K, V> for LeftRightMap<K, V> {
    type Handle = LeftRightHandle<K, V>;

    fn with_capacity(capacity: usize) -> Self {
        let table = Table(HashMap::with_capacity_and_hasher(capacity, FastHash::default()));
        let (writer, reader) = ::left_right::new_from_empty(table);
        Self { writer: Arc::new(Mutex::new(writer)), readers: reader.factory() }
    }

    fn handle(&self) -> Self::Handle {
        LeftRightHandle { writer: Arc::clone(&self.writer), reader: self.readers.handle() }
    }
}

impl<K: Key, V: Value> Handle<K, V> for LeftRightHandle<K, V> {
    #[inline]
    fn with<R>(&self, key: &K, read: impl FnOnce(&V) -> R) -> Option<R> {
        self.reader.enter()?.0.get(key).map(read)
    }

    fn insert(&self, key: K, value: V) {
        let mut writer = self.writer.lock().unwrap_or_else(PoisonError::into_inner);
        writer.append(Change::Insert(key, value)).publish();
    }

    fn remove(&self, key: &K) -> bool {
        let there = self.with(key, |_| ()).is_some();
        let mut writer = self.writer.lock().unwrap_or_else(PoisonError::into_inner);
        writer.append(Change::Remove(key.clone())).publish();
        there
    }
}

impl<K: Key, V: Value> fmt::Debug for LeftRightMap<K, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LeftRightMap").finish_non_exhaustive()
    }
}

impl<K: Key, V: Value> fmt::Debug for LeftRightHandle<K, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LeftRightHandle").finish_non_exhaustive()
    }
}
