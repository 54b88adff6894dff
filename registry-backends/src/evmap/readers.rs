//! How threads get at the table: by a handle that each keeps, and by another one when the table has been replaced.
//!
//! A handle of a table that has been replaced enters nothing any more. Its thread then takes a handle of the new table out
//! of a stock, which was made before the old one went; making one would wait while a writer waits for readers.

use std::cell::RefCell;
use std::mem;
use std::sync::{Mutex, MutexGuard, PoisonError};

use crossbeam_utils::CachePadded;
use registry_core::{Value, Key, State};
use thread_local::ThreadLocal;

use super::{Map, ReadEnd};
use crate::ending::handles;

/// The handles of all threads.
pub(super) struct Readers<K: Key, V: Value, S: State> {
    /// evmap's read handle is for one thread, so each thread has one; a thread that ends leaves it to the next.
    /// Each on lines of its own: a read writes to its handle, and those of some threads lie side by side.
    own: ThreadLocal<CachePadded<Own<K, V, S>>>,
    /// What they are cloned from. evmap has a factory for it, but no way to come by one.
    first: Mutex<ReadEnd<K, V, S>>,
    /// Locked for moments only.
    stock: Mutex<Stock<K, V, S>>,
}

struct Own<K: Key, V: Value, S: State> {
    /// Borrowed while a read goes through it, so replaced only when none does.
    reader: RefCell<ReadEnd<K, V, S>>,
    /// For reads inside one that goes through the other, if the table is replaced meanwhile.
    next: RefCell<Option<ReadEnd<K, V, S>>>,
}

struct Stock<K: Key, V: Value, S: State> {
    /// How many threads have a handle, or had one and left it.
    threads: usize,
    /// Two for each of them, since the table was last replaced.
    spare: Vec<ReadEnd<K, V, S>>,
    /// Whether the old table is being dropped. Until it is gone its handles cannot be dropped without waiting.
    replacing: bool,
    old: Vec<ReadEnd<K, V, S>>,
}

impl<K: Key, V: Value, S: State> Readers<K, V, S> {
    pub(super) fn new(first: ReadEnd<K, V, S>) -> Self {
        let stock = Stock { threads: 0, spare: Vec::new(), replacing: false, old: Vec::new() };
        Self { own: ThreadLocal::new(), first: Mutex::new(first), stock: Mutex::new(stock) }
    }

    /// The current thread's handle, which must be one that may have one. It may be of a table that has been replaced.
    #[inline]
    pub(super) fn own(&self) -> &RefCell<ReadEnd<K, V, S>> {
        &self.get_or_make().reader
    }

    #[inline]
    fn get_or_make(&self) -> &Own<K, V, S> {
        self.own.get_or(|| {
            self.stock().threads += 1;
            CachePadded::new(Own { reader: RefCell::new(self.clone_first()), next: RefCell::new(None) })
        })
    }

    /// Does something with the table, for a thread in whatever state, with whatever handle gets at it.
    pub(super) fn through<R>(&self, act: impl FnOnce(&Map<'_, K, V, S>) -> R) -> R {
        if !handles::is_usable() {
            loop {
                let reader = self.clone_first();
                if let Some(map) = reader.enter() {
                    return act(&map);
                }
                self.put_by(Some(reader));
            }
        }
        let own = self.get_or_make();
        loop {
            if let Ok(mut reader) = own.reader.try_borrow_mut()
                && reader.enter().is_none()
            {
                let next = own.next.take().unwrap_or_else(|| self.spare());
                self.put_by(Some(mem::replace(&mut *reader, next)));
            }
            let reader = own.reader.borrow();
            if let Some(map) = reader.enter() {
                return act(&map);
            }
            drop(reader);
            if let Ok(mut next) = own.next.try_borrow_mut()
                && next.as_ref().is_none_or(|next| next.enter().is_none())
            {
                let spare = self.spare();
                self.put_by(next.replace(spare));
            }
            let next = own.next.borrow();
            if let Some(map) = next.as_ref().and_then(ReadEnd::enter) {
                return act(&map);
            }
        }
    }

    /// Has handles of a new table in stock, of which this is the first. Only then may the old one be dropped; what comes
    /// back is dropped after it.
    #[must_use]
    pub(super) fn replace(&self, first: ReadEnd<K, V, S>) -> Vec<ReadEnd<K, V, S>> {
        let mut stock = self.stock();
        let spare = (0..2 * stock.threads).map(|_| first.clone()).collect();
        let mut old = mem::replace(&mut stock.spare, spare);
        stock.replacing = true;
        drop(stock);
        old.push(mem::replace(&mut *self.first(), first));
        old
    }

    /// The old table is gone. What comes back must be dropped with nothing held.
    #[must_use]
    pub(super) fn replaced(&self) -> Vec<ReadEnd<K, V, S>> {
        let mut stock = self.stock();
        stock.replacing = false;
        mem::take(&mut stock.old)
    }

    #[cfg(test)]
    pub(super) fn is_replacing(&self) -> bool {
        self.stock().replacing
    }

    fn spare(&self) -> ReadEnd<K, V, S> {
        let spare = self.stock().spare.pop();
        spare.unwrap_or_else(|| self.clone_first())
    }

    /// Keeps a handle that is not needed any more until it can be dropped.
    fn put_by(&self, reader: Option<ReadEnd<K, V, S>>) {
        let mut stock = self.stock();
        if stock.replacing {
            stock.old.extend(reader);
        } else {
            drop(stock);
            drop(reader);
        }
    }

    fn clone_first(&self) -> ReadEnd<K, V, S> {
        self.first().clone()
    }

    fn first(&self) -> MutexGuard<'_, ReadEnd<K, V, S>> {
        self.first.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn stock(&self) -> MutexGuard<'_, Stock<K, V, S>> {
        self.stock.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
