//! Any backend with the scheduler's lock around each shard, so that its threads can take turns.
//!
//! A map with locks of its own cannot be explored as it is: all threads of a schedule are one thread to it, which would
//! wait for itself. Behind the scheduler's lock its own is always free. What is explored is then the router on this map,
//! and not the map itself; the conformance suite of `registry-conformance` and the recorded histories are for that.

use std::ops::ControlFlow;
use std::sync::{PoisonError, TryLockError};

use registry_core::{Backend, Key, NotInserted, Shard, State, Value};
use shuttle::sync::{RwLock, RwLockReadGuard, RwLockWriteGuard};
use shuttle::thread;

/// A backend whose shards are each behind a lock of the scheduler's.
#[derive(Debug, Default)]
pub struct SchedulerLocked<B>(B);

/// A shard of [`SchedulerLocked`].
#[derive(Debug)]
pub struct SchedulerLockedShard<T> {
    lock: RwLock<()>,
    shard: T,
}

impl<B: Backend> Backend for SchedulerLocked<B> {
    const NAME: &'static str = B::NAME;

    type Shard<K: Key, V: Value, S: State> = SchedulerLockedShard<B::Shard<K, V, S>>;

    fn shard<K: Key, V: Value, S: State>(&self, capacity: usize) -> Self::Shard<K, V, S> {
        SchedulerLockedShard { lock: RwLock::new(()), shard: self.0.shard(capacity) }
    }
}

impl<K: Key, V: Value, S: State, T: Shard<K, V, S>> Shard<K, V, S> for SchedulerLockedShard<T> {
    fn with<R>(&self, hash: u64, key: &[u8], read: impl FnOnce(&K, &V, &S) -> R) -> Option<R> {
        let _turn = self.read();
        self.shard.with(hash, key, read)
    }

    fn insert_new_with<E>(
        &self,
        hash: u64,
        key: K,
        value: V,
        state: S,
        complete: impl FnOnce(&mut [V]) -> Result<(), E>,
    ) -> Result<(), NotInserted<V, S, E>> {
        let _turn = self.write();
        self.shard.insert_new_with(hash, key, value, state, complete)
    }

    fn remove_if(&self, hash: u64, key: &[u8], owned: impl FnMut(&K, &V, &S) -> bool) -> bool {
        let _turn = self.write();
        self.shard.remove_if(hash, key, owned)
    }

    fn for_each(&self, visit: impl FnMut(&K, &V, &S) -> ControlFlow<()>) {
        let _turn = self.read();
        self.shard.for_each(visit);
    }

    fn len(&self) -> usize {
        let _turn = self.read();
        self.shard.len()
    }
}

impl<T> SchedulerLockedShard<T> {
    fn read(&self) -> RwLockReadGuard<'_, ()> {
        self.lock.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// Reads may nest, so a writer does not queue between two of them.
    fn write(&self) -> RwLockWriteGuard<'_, ()> {
        loop {
            match self.lock.try_write() {
                Ok(guard) => return guard,
                Err(TryLockError::Poisoned(poisoned)) => return poisoned.into_inner(),
                Err(TryLockError::WouldBlock) => thread::yield_now(),
            }
        }
    }
}
