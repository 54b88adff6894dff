//! left-right: two copies of the table, one for readers and one for the writer, swapped by every write.
//!
//! # Trade-offs
//!
//! A read takes no lock, and writes only to a counter of its own thread. For tables that are read constantly and written
//! rarely. The costs:
//!
//! - *Slow writes.* Writers run one at a time, and each write swaps the copies: it waits until every read that was in
//!   progress at the previous write has ended, and checks every thread that ever read the shard.
//! - *Late drops.* A removed state, and one copy of its value and key, is dropped by the next write to the shard: up to
//!   one per shard stays until then.
//! - *Memory.* Two tables, values included; each state in an allocation of its own, which the copies share; and some 500
//!   bytes per shard for each thread that reads it, which are reused when a thread ends. The tables shrink only on
//!   request.
//! - *First reads.* The first read of a shard by a thread acquires a lock briefly, and allocates.
//!
//! # Implementation
//!
//! A mutex serializes writers. A write looks the key up as a reader would, appends one operation, and publishes:
//! left-right applies the operation of the previous write to the hidden copy, then this one, and swaps the copies. A
//! write is therefore visible when it returns.
//!
//! `publish` of left-right waits with the lock held that registers a new reader, so the first read of a thread would
//! wait for other reads, and could deadlock inside a read of another shard. `try_publish` in a loop releases that lock
//! between attempts.
//!
//! No part of an entry is cloned or dropped with the writer's mutex held, because both are code of the user. Each copy
//! has its own key and value, cloned before the mutex is locked. What the copies remove during a publish, the second one
//! a write later than the first, is collected and dropped after the mutex is unlocked.

mod table;

use std::ops::ControlFlow;
use std::sync::Arc;
use std::{fmt, mem, thread};

use ::left_right::{ReadHandleFactory, WriteHandle};
use crossbeam_utils::CachePadded;
use registry_core::{Backend, Batch, Contention, Key, NotInserted, ReadRequest, Shard, State, Value, reentrancy};
use thread_local::ThreadLocal;

use self::table::{Entry, Operation, Removed, Table, lock};
use crate::batches::{read_in_batches, read_one_by_one};
use crate::hashed::{Hashed, Lookup, Query};
use crate::predicate::in_predicate;
use crate::teardown::{ReadHandle, handles, read_by_dyn};
use crate::writer_lock::{WriterLock, release_then_drop};

/// Shards that are a hash map under left-right.
#[derive(Clone, Copy, Debug, Default)]
pub struct LeftRight;

/// A shard of [`LeftRight`].
pub struct LeftRightShard<K: Key, V: Value, S: State> {
    writer: WriterLock<Writer<K, V, S>>,
    removed: Removed<K, V, S>,
    /// A read handle is `!Sync`, so each thread has its own; the handle of a thread that ends is reused by the next one.
    /// Each has cache lines of its own, because a read writes to its handle.
    readers: ThreadLocal<CachePadded<Reader<K, V, S>>>,
    new_reader: ReadHandleFactory<Table<K, V, S>>,
}

type Reader<K, V, S> = ::left_right::ReadHandle<Table<K, V, S>>;
type Writer<K, V, S> = WriteHandle<Table<K, V, S>, Operation<K, V, S>>;

impl Backend for LeftRight {
    const NAME: &'static str = "left-right";

    type Shard<K: Key, V: Value, S: State> = LeftRightShard<K, V, S>;

    fn shard<K: Key, V: Value, S: State>(&self, capacity: usize) -> Self::Shard<K, V, S> {
        let removed = Removed::default();
        let (mut handle, reader) = ::left_right::new_from_empty(Table::new(capacity, &removed));
        // Before the first publish an operation would be applied immediately; the second publish copies the first table.
        handle.publish();
        handle.publish();
        LeftRightShard {
            writer: WriterLock::new(handle),
            removed,
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
            return read_by_dyn(read, |read| self.read_during_teardown(hash, key, read));
        }
        let table = self.current_reader().enter()?;
        let (key, (value, state)) = table.entries.get_key_value(&Query { hash, key } as &dyn Lookup)?;
        let _reading = reentrancy::enter_read();
        Some(read(key.key(), value, state))
    }

    #[inline]
    fn with_each(requests: &[ReadRequest<'_, Self>], read: impl FnMut(usize, &Batch<'_, K, V, S>)) {
        if !handles::is_usable() {
            return read_one_by_one(requests, 0, read);
        }
        read_in_batches(
            requests,
            |_| (),
            |request| request.shard.current_reader().enter(),
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
        // Cloned with no lock held, because that is code of the user; one of each for each copy of the table.
        let (mut values, keys) = ([value.clone(), value], [Hashed::new(hash, key.clone()), Hashed::new(hash, key)]);
        let mut writer = self.writer.lock();
        if self.with(hash, keys[1].key().as_ref(), |_, _, _| ()).is_some() {
            let [_, value] = values;
            return Err(NotInserted::Occupied(value, state));
        }
        if let Err(reason) = in_predicate(|| complete(&mut values)) {
            let [_, value] = values;
            return Err(NotInserted::Declined(value, state, reason));
        }
        let ([key_one, key_two], [value_one, value_two], state) = (keys, values, Arc::new(state));
        let one = (key_one, (value_one, Arc::clone(&state)));
        let removed = self.publish(&mut writer, Some(Operation::Insert(Some(one), (key_two, (value_two, state)))));
        release_then_drop(writer, removed);
        Ok(())
    }

    fn remove_if(&self, hash: u64, key: &[u8], mut predicate: impl FnMut(&K, &V, &S) -> bool) -> bool {
        reentrancy::check_write("remove_if");
        let mut writer = self.writer.lock();
        let removes = |key: &K, value: &V, state: &S| in_predicate(|| predicate(key, value, state));
        if !self.contains_if(hash, key, removes) {
            return false;
        }
        let removed = self.publish(&mut writer, Some(Operation::Remove(hash, key.into())));
        release_then_drop(writer, removed);
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
        self.reader().enter().map_or(0, |table| table.capacity)
    }

    fn shrink(&self) {
        reentrancy::check_write("shrink");
        let mut writer = self.writer.lock();
        let mut removed = self.publish(&mut writer, Some(Operation::Shrink));
        // The second publish shrinks the other copy.
        removed.extend(self.publish(&mut writer, None));
        release_then_drop(writer, removed);
    }

    fn contention(&self) -> Option<Contention> {
        self.writer.contention()
    }
}

impl<K: Key, V: Value, S: State> LeftRightShard<K, V, S> {
    /// Returns the read handle of the current thread. Must not be called during thread teardown.
    #[inline]
    fn current_reader(&self) -> &Reader<K, V, S> {
        self.readers.get_or(|| CachePadded::new(self.new_reader.handle()))
    }

    /// Returns a read handle, also during thread teardown.
    fn reader(&self) -> ReadHandle<'_, Reader<K, V, S>> {
        if handles::is_usable() {
            ReadHandle::PerThread(self.current_reader())
        } else {
            ReadHandle::Temporary(self.new_reader.handle())
        }
    }

    #[cold]
    #[inline(never)]
    fn read_during_teardown(&self, hash: u64, key: &[u8], read: &mut dyn FnMut(&K, &V, &S)) {
        let reader = self.reader();
        let Some(table) = reader.enter() else { return };
        if let Some((key, (value, state))) = table.entries.get_key_value(&Query { hash, key } as &dyn Lookup) {
            let _reading = reentrancy::enter_read();
            read(key.key(), value, state);
        }
    }

    /// Returns whether there is an entry for which `predicate` returns `true`.
    fn contains_if(&self, hash: u64, key: &[u8], predicate: impl FnOnce(&K, &V, &S) -> bool) -> bool {
        let reader = self.reader();
        let Some(table) = reader.enter() else { return false };
        let found = table.entries.get_key_value(&Query { hash, key } as &dyn Lookup);
        found.is_some_and(|(key, (value, state))| predicate(key.key(), value, state))
    }

    /// Appends an operation, if there is one, and publishes, which also completes the previous operation in the other
    /// copy. Returns the removed entries, to be dropped after the lock.
    #[must_use]
    fn publish(&self, writer: &mut Writer<K, V, S>, operation: Option<Operation<K, V, S>>) -> Vec<Entry<K, V, S>> {
        writer.extend(operation);
        while !writer.try_publish() {
            thread::yield_now();
        }
        mem::take(&mut *lock(&self.removed))
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

    /// Stronger than the contract requires, and not satisfied by `Evmap`.
    #[test]
    fn first_read_does_not_wait_while_a_writer_waits() {
        let shard = LeftRight.shard::<&str, (), u64>(0);
        shard.insert_new(1, "key", (), 1).unwrap();
        let inside = Barrier::new(2);
        thread::scope(|scope| {
            let (leave, stay) = mpsc::channel::<()>();
            scope.spawn(|| {
                shard.with(1, b"key", |_, _, _| {
                    inside.wait();
                    // Ends when `leave` is dropped, also by a panic.
                    stay.into_iter().for_each(drop);
                })
            });
            inside.wait();
            // The first write swaps the copies; the second has to wait for the reader.
            shard.insert_new(2, "temporary", (), 2).unwrap();
            let writer = scope.spawn(|| shard.remove_if(2, b"temporary", |_, _, _| true));
            let (done, wait) = mpsc::channel();
            for _ in 0..100 {
                let (shard, done) = (&shard, done.clone());
                scope.spawn(move || done.send(shard.with(1, b"key", |_, _, value| *value)));
                let read = wait.recv_timeout(std::time::Duration::from_secs(10));
                assert_eq!(read, Ok(Some(1)), "the first read waited");
            }
            assert!(!writer.is_finished(), "the reader has not ended yet");
            drop(leave);
        });
    }
}
