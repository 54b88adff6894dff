//! Operations during thread teardown, after the collector's thread-local is destroyed: reads create a guard of their
//! own, and writes run on another thread, because papaya counts entries by the number of the thread.

use std::panic::resume_unwind;
use std::sync::mpsc;
use std::{ptr, slice, thread};

use papaya::HashMapRef;
use registry_core::{Key, NotInserted, State, Value, reentrancy};
use seize::LocalGuard;

use super::PapayaShard;
use crate::hashed::{Hashed, Lookup, PassThrough, Query};
use crate::predicate::in_predicate;

type Pinned<'a, K, V, S> = HashMapRef<'a, Hashed<K>, (V, S), PassThrough, LocalGuard<'a>>;

impl<K: Key, V: Value, S: State> PapayaShard<K, V, S> {
    #[cold]
    #[inline(never)]
    pub(super) fn read_during_teardown(&self, hash: u64, key: &[u8], read: &mut dyn FnMut(&K, &V, &S)) {
        let map = self.map.pin_owned();
        if let Some((key, (value, state))) = map.get_key_value(&Query { hash, key }) {
            let _reading = reentrancy::enter_read();
            read(key.key(), value, state);
        }
    }

    #[cold]
    pub(super) fn insert_during_teardown<E>(
        &self,
        key: Hashed<K>,
        mut value: V,
        state: S,
        complete: impl FnOnce(&mut [V]) -> Result<(), E>,
    ) -> Result<(), NotInserted<V, S, E>> {
        // As above: the guard is created before the lock and dropped after it.
        let map = self.map.pin_owned();
        let insert_lock = self.insert_locks.lock(Lookup::hash(&key));
        if map.contains_key(&key) {
            return Err(NotInserted::Occupied(value, state));
        }
        if let Err(reason) = in_predicate(|| complete(slice::from_mut(&mut value))) {
            return Err(NotInserted::Declined(value, state, reason));
        }
        let insert = move |map: &Pinned<'_, K, V, S>| {
            map.try_insert(key, (value, state)).map(|_| ()).map_err(|occupied| occupied.not_inserted)
        };
        let inserted = self.on_another_thread(insert, || drop(insert_lock));
        inserted.map_err(|(value, state)| NotInserted::Occupied(value, state))
    }

    #[cold]
    pub(super) fn remove_during_teardown(
        &self,
        hash: u64,
        key: &[u8],
        predicate: &mut dyn FnMut(&K, &V, &S) -> bool,
    ) -> bool {
        let query = Query { hash, key };
        loop {
            // While this guard lives, no other entry can have the address of the entry passed to the predicate.
            let map = self.map.pin_owned();
            let Some((entry_key, (value, state))) = map.get_key_value(&query) else {
                return false;
            };
            if !in_predicate(|| predicate(entry_key.key(), value, state)) {
                return false;
            }
            let address = ptr::from_ref(entry_key).addr();
            let remove = |map: &Pinned<'_, K, V, S>| {
                let removed = map.remove_if(&query, |entry_key, _| ptr::from_ref(entry_key).addr() == address);
                matches!(removed, Ok(Some(_)))
            };
            if self.on_another_thread(remove, || ()) {
                return true;
            }
            self.contention.increment();
        }
    }

    /// Runs `act` on the map on a new thread. `then` is called on the current thread after `act` has returned and before
    /// the new thread drops its guard, which may drop removed values; their panics stay on that thread.
    fn on_another_thread<R: Send>(&self, act: impl FnOnce(&Pinned<'_, K, V, S>) -> R + Send, then: impl FnOnce()) -> R {
        thread::scope(|scope| {
            let (send, result) = mpsc::channel();
            let other = scope.spawn(move || {
                let map = self.map.pin();
                // The receiver waits for the result.
                let _ = send.send(act(&map));
            });
            let done = result.recv();
            then();
            match (done, other.join()) {
                (Ok(done), _) => done,
                (Err(_), Err(panic)) => resume_unwind(panic),
                (Err(_), Ok(())) => unreachable!("the thread sends a result or panics"),
            }
        })
    }
}
