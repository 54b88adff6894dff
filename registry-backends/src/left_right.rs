//! left-right: two copies of the table, one for the readers and one for the writer, swapped at every write.
//!
//! # Trade-offs
//!
//! A read takes no lock, and writes only to a counter of its own thread. For tables that are read all the time and
//! written seldom. It costs:
//!
//! - *Slow writes.* Writers go one by one, and each write swaps the copies: it waits until every read that was under
//!   way at the write before has ended, and looks at every thread that ever read the shard.
//! - *Late drops.* A removed state, and one clone of its head and key, is dropped by the next write to the shard: one per
//!   shard stays until then.
//! - *Memory.* Twice the table, heads and all; each state in an allocation of its own, which they share; and some 500 bytes
//!   per shard for each thread that reads it; a thread that ends leaves them to the next. The tables shrink only when they
//!   are told to.
//! - A thread's first read of a shard takes a lock, for a moment, and allocates.
//!
//! # How it works
//!
//! The writer's mutex makes writers one. A write looks the key up as a reader would, appends one change, and publishes:
//! left-right applies to the hidden copy the change of the write before, then this one, and swaps.
//! A write is visible when it returns because it has published by then.
//!
//! left-right's `publish` waits with the lock held that a new reader needs, so a thread's first read would wait for
//! other reads, and could close a circle of waiting if it came inside a read of another shard. `try_publish` in a loop
//! lets go of that lock between tries.
//!
//! Nothing of an entry is cloned or dropped with the writer's mutex held, for that is others' code. Each copy has a key and
//! a head of its own, made before the mutex is locked. What a copy lets go of in `publish`, the second one a write later
//! than the first, goes into a bin, which is emptied when the mutex is unlocked.

use std::collections::HashMap;
use std::fmt;
use std::ops::ControlFlow;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::{mem, thread};

use ::left_right::{Absorb, ReadHandle, ReadHandleFactory, WriteHandle};
use crossbeam_utils::CachePadded;
use registry_core::{Backend, Contention, Value, Key, ContentionKind, NotInserted, Batch, Shard, State, ReadRequest, reentrancy};
use thread_local::ThreadLocal;

use crate::ending::{Reader, handles};
use crate::hashed::{Hashed, Lookup, PassThrough, Query};
use crate::met::{Met, free};
use crate::batches::{read_in_runs, read_one_by_one};

/// Shards that are a hash map under left-right.
#[derive(Clone, Copy, Debug, Default)]
pub struct LeftRight;

/// A shard of [`LeftRight`].
pub struct LeftRightShard<K: Key, V: Value, S: State> {
    writer: Mutex<WriteEnd<K, V, S>>,
    bin: Bin<K, V, S>,
    met: Met,
    /// left-right's read handle is for one thread, so each thread has one; a thread that ends leaves it to the next.
    /// Each on lines of its own: a read writes to its handle, and those of some threads lie side by side.
    readers: ThreadLocal<CachePadded<ReadHandle<Table<K, V, S>>>>,
    new_reader: ReadHandleFactory<Table<K, V, S>>,
}

type WriteEnd<K, V, S> = WriteHandle<Table<K, V, S>, Change<K, V, S>>;

/// One of the two copies.
struct Table<K, V, S> {
    entries: HashMap<Hashed<K>, (V, Arc<S>), PassThrough>,
    bin: Bin<K, V, S>,
    /// How many entries it was made for.
    least: usize,
    /// How many it has room for. The map itself counts only the room that those who left have made free again.
    room: usize,
}

/// What copies have let go of, to be dropped when nothing is held. Only who has the writer's mutex uses it.
type Bin<K, V, S> = Arc<Mutex<Vec<Entry<K, V, S>>>>;

/// An entry of one copy.
type Entry<K, V, S> = (Hashed<K>, (V, Arc<S>));

enum Change<K, V, S> {
    /// With an entry for each copy; the first takes its own out.
    Insert(Option<Entry<K, V, S>>, Entry<K, V, S>),
    /// By hash and bytes.
    Remove(u64, Box<[u8]>),
    Shrink,
}

impl Backend for LeftRight {
    const NAME: &'static str = "left-right";

    type Shard<K: Key, V: Value, S: State> = LeftRightShard<K, V, S>;

    fn shard<K: Key, V: Value, S: State>(&self, capacity: usize) -> Self::Shard<K, V, S> {
        let bin = Bin::default();
        let (mut handle, reader) = ::left_right::new_from_empty(Table::new(capacity, &bin));
        // The first change would be made at once, and the second publish copies one table to the other.
        handle.publish();
        handle.publish();
        LeftRightShard {
            writer: Mutex::new(handle),
            bin,
            met: Met::default(),
            readers: ThreadLocal::new(),
            new_reader: reader.factory(),
        }
    }
}

impl<K: Key, V: Value, S: State> Shard<K, V, S> for LeftRightShard<K, V, S> {
    #[inline]
    fn with<R>(&self, hash: u64, key: &[u8], read: impl FnOnce(&K, &V, &S) -> R) -> Option<R> {
        reentrancy::check_read("with");
        if !handles::is_usable() {
            let (mut read, mut found) = (Some(read), None);
            self.read_late(hash, key, &mut |key, value, state| found = read.take().map(|read| read(key, value, state)));
            return found;
        }
        let table = self.own_reader().enter()?;
        let (key, (value, state)) = table.entries.get_key_value(&Query { hash, key } as &dyn Lookup)?;
        let _reading = reentrancy::enter_read();
        Some(read(key.key(), value, state))
    }

    #[inline]
    fn with_each(wanted: &[ReadRequest<'_, Self>], read: impl FnMut(usize, &Batch<'_, K, V, S>)) {
        if !handles::is_usable() {
            return read_one_by_one(wanted, 0, read);
        }
        read_in_runs(
            wanted,
            |_| (),
            |wanted| wanted.shard.own_reader().enter(),
            |one, next| std::ptr::eq(one.shard, next.shard),
            |table, query| {
                let (key, (value, state)) = table.as_ref()?.entries.get_key_value(query as &dyn Lookup)?;
                Some((key.key(), value, &**state))
            },
            read,
        );
    }

    fn insert_new_with<E>(
        &self,
        hash: u64,
        key: K,
        value: V,
        state: S,
        complete: impl FnOnce(&mut [V]) -> Result<(), E>,
    ) -> Result<(), NotInserted<V, S, E>> {
        reentrancy::check_write("insert_new");
        // Cloned with no lock held, for that is others' code; one of each is for each copy of the table.
        let (mut values, keys) = ([value.clone(), value], [Hashed::new(hash, key.clone()), Hashed::new(hash, key)]);
        let mut writer = self.writer();
        if self.with(hash, keys[1].key().as_ref(), |_, _, _| ()).is_some() {
            let [_, value] = values;
            return Err(NotInserted::Occupied(value, state));
        }
        let enter_predicate = reentrancy::enter_predicate();
        let completed = complete(&mut values);
        drop(enter_predicate);
        if let Err(why) = completed {
            let [_, value] = values;
            return Err(NotInserted::Declined(value, state, why));
        }
        let ([key_one, key_two], [head_one, head_two], state) = (keys, values, Arc::new(state));
        let one = (key_one, (head_one, Arc::clone(&state)));
        let let_go = self.publish(&mut writer, Some(Change::Insert(Some(one), (key_two, (head_two, state)))));
        drop(writer);
        drop(let_go);
        Ok(())
    }

    fn remove_if(&self, hash: u64, key: &[u8], mut owned: impl FnMut(&K, &V, &S) -> bool) -> bool {
        reentrancy::check_write("remove_if");
        let mut writer = self.writer();
        let removes = |key: &K, value: &V, state: &S| {
            let _deciding = reentrancy::enter_predicate();
            owned(key, value, state)
        };
        if !self.decide(hash, key, removes) {
            return false;
        }
        let let_go = self.publish(&mut writer, Some(Change::Remove(hash, key.into())));
        drop(writer);
        drop(let_go);
        true
    }

    fn for_each(&self, mut visit: impl FnMut(&K, &V, &S) -> ControlFlow<()>) {
        reentrancy::check_read("for_each");
        let reader = self.reader();
        let Some(table) = reader.enter() else { return };
        let _reading = reentrancy::enter_read();
        for (key, (value, state)) in &table.entries {
            if visit(key.key(), value, state).is_break() {
                break;
            }
        }
    }

    fn len(&self) -> usize {
        self.reader().enter().map_or(0, |table| table.entries.len())
    }

    fn capacity(&self) -> usize {
        self.reader().enter().map_or(0, |table| table.room)
    }

    fn shrink(&self) {
        reentrancy::check_write("shrink");
        let mut writer = self.writer();
        let mut let_go = self.publish(&mut writer, Some(Change::Shrink));
        // The second time for the other copy.
        let_go.extend(self.publish(&mut writer, None));
        drop(writer);
        drop(let_go);
    }

    fn contention(&self) -> Option<Contention> {
        self.met.as_contention(ContentionKind::WriteWait)
    }
}

impl<K: Key, V: Value, S: State> LeftRightShard<K, V, S> {
    /// The current thread's own reader, if it may still have one.
    #[inline]
    fn own_reader(&self) -> &ReadHandle<Table<K, V, S>> {
        self.readers.get_or(|| CachePadded::new(self.new_reader.handle()))
    }

    /// A reader for whatever the current thread still does.
    fn reader(&self) -> Reader<'_, ReadHandle<Table<K, V, S>>> {
        if handles::is_usable() { Reader::Own(self.own_reader()) } else { Reader::Late(self.new_reader.handle()) }
    }

    #[cold]
    #[inline(never)]
    fn read_late(&self, hash: u64, key: &[u8], read: &mut dyn FnMut(&K, &V, &S)) {
        let reader = self.reader();
        let Some(table) = reader.enter() else { return };
        if let Some((key, (value, state))) = table.entries.get_key_value(&Query { hash, key } as &dyn Lookup) {
            let _reading = reentrancy::enter_read();
            read(key.key(), value, state);
        }
    }

    /// The writer; counts if another one is at work. A panic of `owned` poisons the mutex but comes before any change, so
    /// poison is ignored.
    fn writer(&self) -> MutexGuard<'_, WriteEnd<K, V, S>> {
        let wait = || self.writer.lock().unwrap_or_else(PoisonError::into_inner);
        self.met.at_once_or(free(self.writer.try_lock()), wait)
    }

    /// Whether there is an entry, and `owned` says true of it.
    fn decide(&self, hash: u64, key: &[u8], owned: impl FnOnce(&K, &V, &S) -> bool) -> bool {
        let reader = self.reader();
        let Some(table) = reader.enter() else { return false };
        let found = table.entries.get_key_value(&Query { hash, key } as &dyn Lookup);
        found.is_some_and(|(key, (value, state))| owned(key.key(), value, state))
    }

    /// Makes a change visible, if there is one, and the one before it in the other copy. Returns what the copies have let go of; it must be dropped with the mutex unlocked.
    #[must_use]
    fn publish(
        &self,
        writer: &mut WriteEnd<K, V, S>,
        change: Option<Change<K, V, S>>,
    ) -> Vec<Entry<K, V, S>> {
        writer.extend(change);
        while !writer.try_publish() {
            thread::yield_now();
        }
        mem::take(&mut *lock(&self.bin))
    }
}

/// Locks a bin; nobody panics with it locked.
fn lock<T>(bin: &Mutex<T>) -> MutexGuard<'_, T> {
    bin.lock().unwrap_or_else(PoisonError::into_inner)
}

impl<K, V, S> Table<K, V, S> {
    fn new(capacity: usize, bin: &Bin<K, V, S>) -> Self {
        let entries = HashMap::with_capacity_and_hasher(capacity, PassThrough::default());
        Self { room: entries.capacity(), entries, bin: Arc::clone(bin), least: capacity }
    }
}

impl<K: Key, V: Value, S: State> Absorb<Change<K, V, S>> for Table<K, V, S> {
    fn absorb_first(&mut self, change: &mut Change<K, V, S>, _other: &Self) {
        match change {
            Change::Insert(entry, _) => self.insert(entry.take()),
            Change::Remove(hash, key) => self.remove(*hash, key),
            Change::Shrink => self.shrink(),
        }
    }

    fn absorb_second(&mut self, change: Change<K, V, S>, _other: &Self) {
        match change {
            Change::Insert(_, entry) => self.insert(Some(entry)),
            Change::Remove(hash, key) => self.remove(hash, &key),
            Change::Shrink => self.shrink(),
        }
    }

    fn sync_with(&mut self, first: &Self) {
        // That is before the first change.
        debug_assert!(self.entries.is_empty() && first.entries.is_empty());
    }
}

impl<K: Key, V: Value, S: State> Table<K, V, S> {
    fn remove(&mut self, hash: u64, key: &[u8]) {
        let removed = self.entries.remove_entry(&Query { hash, key } as &dyn Lookup);
        lock(&self.bin).extend(removed);
    }

    fn insert(&mut self, entry: Option<Entry<K, V, S>>) {
        self.entries.extend(entry);
        self.room = self.room.max(self.entries.capacity());
    }

    fn shrink(&mut self) {
        self.entries.shrink_to((2 * self.entries.len()).max(self.least));
        self.room = self.entries.capacity();
    }
}

/// Of an empty table, for the other copy.
impl<K, V, S> Clone for Table<K, V, S> {
    fn clone(&self) -> Self {
        debug_assert!(self.entries.is_empty());
        Self::new(self.least, &self.bin)
    }
}

impl<K: Key, V: Value, S: State> Drop for LeftRightShard<K, V, S> {
    fn drop(&mut self) {
        reentrancy::check_write("drop");
    }
}

impl<K: Key, V: Value, S: State> fmt::Debug for LeftRightShard<K, V, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LeftRightShard").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Barrier, mpsc};

    use super::*;

    /// More than the contract asks, and what `Evmap` does not do.
    #[test]
    fn a_first_read_does_not_wait_while_a_writer_waits() {
        let shard = LeftRight.shard::<&str, (), u64>(0);
        shard.insert_new(1, "key", (), 1).unwrap();
        let inside = Barrier::new(2);
        thread::scope(|scope| {
            let (leave, stay) = mpsc::channel::<()>();
            scope.spawn(|| {
                shard.with(1, b"key", |_, _, _| {
                    inside.wait();
                    // Ends when `leave` is dropped, if only by a panic.
                    stay.into_iter().for_each(drop);
                })
            });
            inside.wait();
            // The first write swaps the copies; the second has to wait for the reader.
            shard.insert_new(2, "come", (), 2).unwrap();
            let writer = scope.spawn(|| shard.remove_if(2, b"come", |_, _, _| true));
            let (done, wait) = mpsc::channel();
            for _ in 0..100 {
                let (shard, done) = (&shard, done.clone());
                scope.spawn(move || done.send(shard.with(1, b"key", |_, _, value| *value)));
                let read = wait.recv_timeout(std::time::Duration::from_secs(10));
                assert_eq!(read, Ok(Some(1)), "a first read waits");
            }
            assert!(!writer.is_finished(), "the reader is still inside");
            drop(leave);
        });
    }
}
