//! One copy of the table, and the operations that left-right applies to both copies.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use left_right::Absorb;
use registry_core::{Key, State, Value};

use crate::hashed::{Hashed, Lookup, PassThrough, Query};

/// One of the two copies.
pub(super) struct Table<K, V, S> {
    pub(super) entries: HashMap<Hashed<K>, (V, Arc<S>), PassThrough>,
    removed: Removed<K, V, S>,
    initial_capacity: usize,
    /// The current capacity. `capacity` of the map itself depends on the slots that removed entries have left.
    pub(super) capacity: usize,
}

/// The entries that the copies have removed, to be dropped with no lock held. Used only under the writer's mutex.
pub(super) type Removed<K, V, S> = Arc<Mutex<Vec<Entry<K, V, S>>>>;

/// An entry of one copy.
pub(super) type Entry<K, V, S> = (Hashed<K>, (V, Arc<S>));

/// An operation of left-right's log, applied to both copies.
pub(super) enum Operation<K, V, S> {
    /// Contains an entry for each copy; the first copy takes its own out.
    Insert(Option<Entry<K, V, S>>, Entry<K, V, S>),
    /// By hash and bytes.
    Remove(u64, Box<[u8]>),
    Shrink,
}

/// Locks the removed entries. No code panics while it holds this lock.
pub(super) fn lock<T>(removed: &Mutex<T>) -> MutexGuard<'_, T> {
    removed.lock().unwrap_or_else(PoisonError::into_inner)
}

impl<K, V, S> Table<K, V, S> {
    pub(super) fn new(capacity: usize, removed: &Removed<K, V, S>) -> Self {
        let entries = HashMap::with_capacity_and_hasher(capacity, PassThrough::default());
        Self { capacity: entries.capacity(), entries, removed: Arc::clone(removed), initial_capacity: capacity }
    }
}

impl<K: Key, V: Value, S: State> Absorb<Operation<K, V, S>> for Table<K, V, S> {
    fn absorb_first(&mut self, operation: &mut Operation<K, V, S>, _other: &Self) {
        match operation {
            Operation::Insert(entry, _) => self.insert(entry.take()),
            Operation::Remove(hash, key) => self.remove(*hash, key),
            Operation::Shrink => self.shrink(),
        }
    }

    fn absorb_second(&mut self, operation: Operation<K, V, S>, _other: &Self) {
        match operation {
            Operation::Insert(_, entry) => self.insert(Some(entry)),
            Operation::Remove(hash, key) => self.remove(hash, &key),
            Operation::Shrink => self.shrink(),
        }
    }

    fn sync_with(&mut self, first: &Self) {
        // Called before the first operation only.
        debug_assert!(self.entries.is_empty() && first.entries.is_empty());
    }
}

impl<K: Key, V: Value, S: State> Table<K, V, S> {
    fn remove(&mut self, hash: u64, key: &[u8]) {
        let entry = self.entries.remove_entry(&Query { hash, key } as &dyn Lookup);
        lock(&self.removed).extend(entry);
    }

    fn insert(&mut self, entry: Option<Entry<K, V, S>>) {
        self.entries.extend(entry);
        self.capacity = self.capacity.max(self.entries.capacity());
    }

    fn shrink(&mut self) {
        self.entries.shrink_to((2 * self.entries.len()).max(self.initial_capacity));
        self.capacity = self.entries.capacity();
    }
}

/// Clones an empty table, for the other copy.
impl<K, V, S> Clone for Table<K, V, S> {
    fn clone(&self) -> Self {
        debug_assert!(self.entries.is_empty());
        Self::new(self.initial_capacity, &self.removed)
    }
}
