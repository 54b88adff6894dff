//! left-right: two copies of the table, one for the readers and one for the writer, swapped at every write.
//!
//! # Trade-offs
//!
//! A read takes no lock, and writes only to a counter of its own thread. For tables that are read all the time and
//! written seldom. It costs:
//!
//! - *Slow writes.* Writers go one by one, and each write swaps the copies: it waits until every read that was under
//!   way at the write before has ended, and looks at every thread that ever read the shard.
//! - *Late drops.* A removed state, and one clone of its head, is dropped by the next write to the shard: one per shard stays until then.
//! - *Memory.* Twice the table, heads and all; each state in an allocation of its own, which they share; and some 500 bytes
//!   per shard for each thread that reads it; a thread that ends leaves them to the next. The tables never shrink.
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
//! A state is let go by the second copy one write after its removal, inside `publish`, where the writer's mutex is
//! held. So the writer keeps a reference of its own until the mutex is unlocked, and the state is dropped after it.

use std::collections::HashMap;
use std::fmt;
use std::ops::ControlFlow;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::{mem, thread};

use ::left_right::{Absorb, ReadHandle, ReadHandleFactory, WriteHandle};
use crossbeam_utils::CachePadded;
use registry_core::{Backend, Contention, Head, Key, Meeting, NotInserted, Run, Shard, State, Wanted, trap};
use thread_local::ThreadLocal;

use crate::ending::{Reader, handles};
use crate::hashed::{Hashed, Lookup, PassThrough, Query};
use crate::met::{Met, free};
use crate::runs::{read_in_runs, read_one_by_one};

/// Shards that are a hash map under left-right.
#[derive(Clone, Copy, Debug, Default)]
pub struct LeftRight;

/// A shard of [`LeftRight`].
pub struct LeftRightShard<K: Key, H: Head, S: State> {
    writer: Mutex<Writer<K, H, S>>,
    met: Met,
    /// left-right's read handle is for one thread, so each thread has one; a thread that ends leaves it to the next.
    /// Each on lines of its own: a read writes to its handle, and those of some threads lie side by side.
    readers: ThreadLocal<CachePadded<ReadHandle<Table<K, H, S>>>>,
    new_reader: ReadHandleFactory<Table<K, H, S>>,
}

struct Writer<K: Key, H: Head, S: State> {
    handle: WriteHandle<Table<K, H, S>, Change<K, H, S>>,
    /// What the last write removed and one of the copies still has.
    removed: Option<Arc<S>>,
}

/// One of the two copies.
struct Table<K, H, S>(HashMap<Hashed<K>, (H, Arc<S>), PassThrough>);

enum Change<K, H, S> {
    /// With a head for each copy.
    Insert(Hashed<K>, [Option<H>; 2], Arc<S>),
    Remove(Hashed<K>),
}

impl Backend for LeftRight {
    const NAME: &'static str = "left-right";

    type Shard<K: Key, H: Head, S: State> = LeftRightShard<K, H, S>;

    fn shard<K: Key, H: Head, S: State>(&self, capacity: usize) -> Self::Shard<K, H, S> {
        let table = Table(HashMap::with_capacity_and_hasher(capacity, PassThrough::default()));
        let (handle, reader) = ::left_right::new_from_empty(table);
        LeftRightShard {
            writer: Mutex::new(Writer { handle, removed: None }),
            met: Met::default(),
            readers: ThreadLocal::new(),
            new_reader: reader.factory(),
        }
    }
}

impl<K: Key, H: Head, S: State> Shard<K, H, S> for LeftRightShard<K, H, S> {
    #[inline]
    fn with<R>(&self, hash: u64, key: &[u8], read: impl FnOnce(&K, &H, &S) -> R) -> Option<R> {
        trap::looking("with");
        if !handles::is_usable() {
            let (mut read, mut found) = (Some(read), None);
            self.read_late(hash, key, &mut |key, head, state| found = read.take().map(|read| read(key, head, state)));
            return found;
        }
        let table = self.own_reader().enter()?;
        let (key, (head, state)) = table.0.get_key_value(&Query { hash, key } as &dyn Lookup)?;
        let _reading = trap::reading();
        Some(read(key.key(), head, state))
    }

    #[inline]
    fn with_each(wanted: &[Wanted<'_, Self>], read: impl FnMut(usize, &Run<'_, K, H, S>)) {
        if !handles::is_usable() {
            return read_one_by_one(wanted, read);
        }
        read_in_runs(
            wanted,
            |wanted| wanted.shard.own_reader().enter(),
            |one, next| std::ptr::eq(one.shard, next.shard),
            |table, query| {
                let (key, (head, state)) = table.as_ref()?.0.get_key_value(query as &dyn Lookup)?;
                Some((key.key(), head, &**state))
            },
            read,
        );
    }

    fn insert_new_with<E>(
        &self,
        hash: u64,
        key: K,
        head: H,
        state: S,
        complete: impl FnOnce(&mut [H]) -> Result<(), E>,
    ) -> Result<(), NotInserted<H, S, E>> {
        trap::writing("insert_new");
        // Cloned with no lock held, for that is others' code; one is for each copy of the table.
        let mut heads = [head.clone(), head];
        let mut writer = self.writer();
        if self.with(hash, key.as_ref(), |_, _, _| ()).is_some() {
            let [_, head] = heads;
            return Err(NotInserted::Occupied(head, state));
        }
        let deciding = trap::deciding();
        let completed = complete(&mut heads);
        drop(deciding);
        if let Err(why) = completed {
            let [_, head] = heads;
            return Err(NotInserted::Declined(head, state, why));
        }
        let let_go = writer.publish(Change::Insert(Hashed::new(hash, key), heads.map(Some), Arc::new(state)), None);
        drop(writer);
        drop(let_go);
        Ok(())
    }

    fn remove_if(&self, hash: u64, key: &[u8], mut owned: impl FnMut(&K, &H, &S) -> bool) -> bool {
        trap::writing("remove_if");
        let mut writer = self.writer();
        let Some((key, state)) = self.entry(hash, key, |key, head, state| owned(key, head, state)) else {
            return false;
        };
        let let_go = writer.publish(Change::Remove(key), Some(state));
        drop(writer);
        drop(let_go);
        true
    }

    fn for_each(&self, mut visit: impl FnMut(&K, &H, &S) -> ControlFlow<()>) {
        trap::looking("for_each");
        let reader = self.reader();
        let Some(table) = reader.enter() else { return };
        let _reading = trap::reading();
        for (key, (head, state)) in &table.0 {
            if visit(key.key(), head, state).is_break() {
                break;
            }
        }
    }

    fn len(&self) -> usize {
        self.reader().enter().map_or(0, |table| table.0.len())
    }

    fn contention(&self) -> Option<Contention> {
        self.met.as_contention(Meeting::WriteWait)
    }
}

impl<K: Key, H: Head, S: State> LeftRightShard<K, H, S> {
    /// The current thread's own reader, if it may still have one.
    #[inline]
    fn own_reader(&self) -> &ReadHandle<Table<K, H, S>> {
        self.readers.get_or(|| CachePadded::new(self.new_reader.handle()))
    }

    /// A reader for whatever the current thread still does.
    fn reader(&self) -> Reader<'_, ReadHandle<Table<K, H, S>>> {
        if handles::is_usable() { Reader::Own(self.own_reader()) } else { Reader::Late(self.new_reader.handle()) }
    }

    #[cold]
    #[inline(never)]
    fn read_late(&self, hash: u64, key: &[u8], read: &mut dyn FnMut(&K, &H, &S)) {
        let reader = self.reader();
        let Some(table) = reader.enter() else { return };
        if let Some((key, (head, state))) = table.0.get_key_value(&Query { hash, key } as &dyn Lookup) {
            let _reading = trap::reading();
            read(key.key(), head, state);
        }
    }

    /// The writer; counts if another one is at work. A panic of `owned` poisons the mutex but comes before any change, so
    /// poison is ignored.
    fn writer(&self) -> MutexGuard<'_, Writer<K, H, S>> {
        let wait = || self.writer.lock().unwrap_or_else(PoisonError::into_inner);
        self.met.at_once_or(free(self.writer.try_lock()), wait)
    }

    /// References to an entry that outlive the read, if there is one and `owned` says true of it.
    fn entry(&self, hash: u64, key: &[u8], owned: impl FnOnce(&K, &H, &S) -> bool) -> Option<(Hashed<K>, Arc<S>)> {
        let reader = self.reader();
        let table = reader.enter()?;
        let (key, (head, state)) = table.0.get_key_value(&Query { hash, key } as &dyn Lookup)?;
        let _deciding = trap::deciding();
        owned(key.key(), head, state).then(|| (key.clone(), Arc::clone(state)))
    }
}

impl<K: Key, H: Head, S: State> Writer<K, H, S> {
    /// Makes a change visible. Returns what no copy has any more; it must be dropped with the mutex unlocked.
    #[must_use]
    fn publish(&mut self, change: Change<K, H, S>, removed: Option<Arc<S>>) -> Option<Arc<S>> {
        self.handle.append(change);
        while !self.handle.try_publish() {
            thread::yield_now();
        }
        mem::replace(&mut self.removed, removed)
    }
}

impl<K: Key, H: Head, S: State> Absorb<Change<K, H, S>> for Table<K, H, S> {
    fn absorb_first(&mut self, change: &mut Change<K, H, S>, _other: &Self) {
        match change {
            Change::Insert(key, heads, state) => {
                let head = heads[0].take().expect("each copy takes one head");
                self.0.insert(key.clone(), (head, Arc::clone(state)))
            }
            Change::Remove(key) => self.0.remove(key),
        };
    }

    fn absorb_second(&mut self, change: Change<K, H, S>, _other: &Self) {
        match change {
            Change::Insert(key, [_, head], state) => {
                self.0.insert(key, (head.expect("each copy takes one head"), state))
            }
            Change::Remove(key) => self.0.remove(&key),
        };
    }

    fn sync_with(&mut self, first: &Self) {
        self.clone_from(first);
    }
}

impl<K: Clone, H: Clone, S> Clone for Table<K, H, S> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<K: Key, H: Head, S: State> Drop for LeftRightShard<K, H, S> {
    fn drop(&mut self) {
        trap::writing("drop");
    }
}

impl<K: Key, H: Head, S: State> fmt::Debug for LeftRightShard<K, H, S> {
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
