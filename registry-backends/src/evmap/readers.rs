//! The read handles of threads, and their replacement when the tables are replaced.
//!
//! A handle of replaced tables no longer enters. Its thread then takes a handle of the new tables from a pool that was
//! filled before the old tables were dropped; cloning one instead would wait while a writer waits for readers.

use std::cell::RefCell;
use std::mem;
use std::sync::{Mutex, MutexGuard, PoisonError};

use crossbeam_utils::CachePadded;
use registry_core::{Key, State, Value};
use thread_local::ThreadLocal;

use super::{Map, Reader};
use crate::teardown::handles;

/// The read handles of all threads.
pub(super) struct Readers<K: Key, V: Value, S: State> {
    /// A read handle of evmap is `!Sync`, so each thread has its own; the handles of a thread that ends are reused by the
    /// next one. Each has cache lines of its own, because a read writes to its handle.
    per_thread: ThreadLocal<CachePadded<ThreadReaders<K, V, S>>>,
    /// The handle that the others are cloned from. (The public API of evmap gives no access to a handle factory.)
    prototype: Mutex<Reader<K, V, S>>,
    /// Locked only briefly.
    pool: Mutex<Pool<K, V, S>>,
}

struct ThreadReaders<K: Key, V: Value, S: State> {
    /// Borrowed while a read uses it, so it is replaced only when no read does.
    reader: RefCell<Reader<K, V, S>>,
    /// Used by reads nested in a read that borrows `reader`, if the tables are replaced during that read.
    fallback: RefCell<Option<Reader<K, V, S>>>,
}

struct Pool<K: Key, V: Value, S: State> {
    /// The number of threads that have a handle, or have left one.
    threads: usize,
    /// Handles of the current tables: two per thread when the tables are replaced.
    spare: Vec<Reader<K, V, S>>,
    /// Whether the old tables are being dropped. Until then, dropping one of their handles would wait.
    replacing: bool,
    retired: Vec<Reader<K, V, S>>,
}

impl<K: Key, V: Value, S: State> Readers<K, V, S> {
    pub(super) fn new(prototype: Reader<K, V, S>) -> Self {
        let pool = Pool { threads: 0, spare: Vec::new(), replacing: false, retired: Vec::new() };
        Self { per_thread: ThreadLocal::new(), prototype: Mutex::new(prototype), pool: Mutex::new(pool) }
    }

    /// Returns the handle of the current thread, which may be of replaced tables. Must not be called during thread
    /// teardown.
    #[inline]
    pub(super) fn current(&self) -> &RefCell<Reader<K, V, S>> {
        &self.current_thread().reader
    }

    #[inline]
    fn current_thread(&self) -> &ThreadReaders<K, V, S> {
        self.per_thread.get_or(|| {
            self.pool().threads += 1;
            CachePadded::new(ThreadReaders {
                reader: RefCell::new(self.clone_prototype()),
                fallback: RefCell::new(None),
            })
        })
    }

    /// Calls `act` with the current tables. Works during thread teardown and while the tables are replaced.
    pub(super) fn with_map<R>(&self, act: impl FnOnce(&Map<'_, K, V, S>) -> R) -> R {
        if !handles::is_usable() {
            loop {
                let reader = self.clone_prototype();
                if let Some(map) = reader.enter() {
                    return act(&map);
                }
                self.retire(Some(reader));
            }
        }
        let current = self.current_thread();
        loop {
            if let Ok(mut reader) = current.reader.try_borrow_mut()
                && reader.enter().is_none()
            {
                let replacement = current.fallback.take().unwrap_or_else(|| self.spare());
                self.retire(Some(mem::replace(&mut *reader, replacement)));
            }
            let reader = current.reader.borrow();
            if let Some(map) = reader.enter() {
                return act(&map);
            }
            drop(reader);
            if let Ok(mut fallback) = current.fallback.try_borrow_mut()
                && fallback.as_ref().is_none_or(|fallback| fallback.enter().is_none())
            {
                let spare = self.spare();
                self.retire(fallback.replace(spare));
            }
            let fallback = current.fallback.borrow();
            if let Some(map) = fallback.as_ref().and_then(Reader::enter) {
                return act(&map);
            }
        }
    }

    /// Fills the pool with handles of new tables, cloned from `prototype`. Only then may the old tables be dropped; the
    /// returned handles must be dropped after them.
    #[must_use]
    pub(super) fn begin_replacement(&self, prototype: Reader<K, V, S>) -> Vec<Reader<K, V, S>> {
        let mut pool = self.pool();
        let spare = (0..2 * pool.threads).map(|_| prototype.clone()).collect();
        let mut retired = mem::replace(&mut pool.spare, spare);
        pool.replacing = true;
        drop(pool);
        retired.push(mem::replace(&mut *self.prototype(), prototype));
        retired
    }

    /// Records that the old tables have been dropped. The returned handles must be dropped with no lock held.
    #[must_use]
    pub(super) fn end_replacement(&self) -> Vec<Reader<K, V, S>> {
        let mut pool = self.pool();
        pool.replacing = false;
        mem::take(&mut pool.retired)
    }

    #[cfg(test)]
    pub(super) fn is_replacing(&self) -> bool {
        self.pool().replacing
    }

    fn spare(&self) -> Reader<K, V, S> {
        let spare = self.pool().spare.pop();
        spare.unwrap_or_else(|| self.clone_prototype())
    }

    /// Drops a handle of replaced tables, or keeps it until they have been dropped.
    fn retire(&self, reader: Option<Reader<K, V, S>>) {
        let mut pool = self.pool();
        if pool.replacing {
            pool.retired.extend(reader);
        } else {
            drop(pool);
            drop(reader);
        }
    }

    fn clone_prototype(&self) -> Reader<K, V, S> {
        self.prototype().clone()
    }

    fn prototype(&self) -> MutexGuard<'_, Reader<K, V, S>> {
        self.prototype.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn pool(&self) -> MutexGuard<'_, Pool<K, V, S>> {
        self.pool.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
