//! A wrapper that puts the scheduler's lock around each shard of a backend.
//!
//! A map with its own locks cannot be explored directly: the scheduler runs all threads on one OS thread, which would
//! deadlock on them. Behind the scheduler's lock the map's own locks are never contended. This explores the router on
//! that map, not the map itself, which `registry_core::conformance` and the recorded histories check.

use std::ops::ControlFlow;
use std::sync::{PoisonError, TryLockError};

use registry_core::{Backend, Key, NotInserted, Shard, State, Value};
use shuttle::sync::{RwLock, RwLockReadGuard, RwLockWriteGuard};
use shuttle::thread;

/// A backend with a scheduler lock around each shard.
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

    /// Does not queue: reads may nest, and a waiting writer would block the inner one.
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
