//! What the registry of this program is made of: papaya with shards that can be made slow, and mailboxes that take all.

use std::ops::ControlFlow;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use registry_core::{Backend, Contention, Key, NotInserted, Shard, State, Value};
use registry_router::backends::Papaya;
use registry_router::{Mailbox, MailboxFamily, TrySendError};

use crate::top::controls::Slow;

/// What a slow shard takes, once in a while.
const PAUSE: Duration = Duration::from_micros(200);

/// Of so many operations of a slow shard, one is slow: more than the one in a hundred that raise an alarm.
const ONE_IN: usize = 32;

/// Papaya, with shards that can be made slow.
#[derive(Debug, Default)]
pub(crate) struct Slowed {
    papaya: Papaya,
    switch: Switch,
    /// How many shards were made: first those of the servers' table, then those of the transports'.
    made: AtomicUsize,
}

impl Slowed {
    pub(crate) fn new(switch: Switch) -> Self {
        Self { switch, ..Self::default() }
    }
}

/// Says which shards are slow.
#[derive(Clone, Debug)]
pub(crate) struct Switch(Arc<(usize, AtomicUsize)>);

impl Switch {
    /// For so many shards, none of which is slow.
    pub(crate) fn new(shards: usize) -> Self {
        Self(Arc::new((shards, AtomicUsize::new(Slow::Off as usize))))
    }

    pub(crate) fn set(&self, slow: Slow) {
        self.0.1.store(slow as usize, Ordering::Relaxed);
    }

    fn includes(&self, shard: usize) -> bool {
        let now = self.0.1.load(Ordering::Relaxed);
        [Slow::One, Slow::Most].iter().any(|&slow| now == slow as usize && slow.includes(shard, self.0.0))
    }
}

impl Default for Switch {
    fn default() -> Self {
        Self::new(1)
    }
}

/// A shard of papaya that can be made slow.
pub(crate) struct SlowedShard<T> {
    papaya: T,
    switch: Switch,
    number: usize,
    calls: AtomicUsize,
}

impl<T> SlowedShard<T> {
    fn pause(&self) {
        if self.switch.includes(self.number) && self.calls.fetch_add(1, Ordering::Relaxed).is_multiple_of(ONE_IN) {
            std::thread::sleep(PAUSE);
        }
    }
}

impl Backend for Slowed {
    const NAME: &'static str = Papaya::NAME;

    type Shard<K: Key, V: Value, S: State> = SlowedShard<<Papaya as Backend>::Shard<K, V, S>>;

    fn shard<K: Key, V: Value, S: State>(&self, capacity: usize) -> Self::Shard<K, V, S> {
        let number = self.made.fetch_add(1, Ordering::Relaxed) % self.switch.0.0;
        let (papaya, switch) = (self.papaya.shard(capacity), self.switch.clone());
        SlowedShard { papaya, switch, number, calls: AtomicUsize::new(0) }
    }
}

impl<K: Key, V: Value, S: State, T: Shard<K, V, S>> Shard<K, V, S> for SlowedShard<T> {
    fn with<R>(&self, hash: u64, key: &[u8], read: impl FnOnce(&K, &V, &S) -> R) -> Option<R> {
        self.pause();
        self.papaya.with(hash, key, read)
    }

    fn insert_new_with<E>(
        &self,
        hash: u64,
        key: K,
        value: V,
        state: S,
        complete: impl FnOnce(&mut [V]) -> Result<(), E>,
    ) -> Result<(), NotInserted<V, S, E>> {
        self.pause();
        self.papaya.insert_new_with(hash, key, value, state, complete)
    }

    fn remove_if(&self, hash: u64, key: &[u8], owned: impl FnMut(&K, &V, &S) -> bool) -> bool {
        self.pause();
        self.papaya.remove_if(hash, key, owned)
    }

    fn for_each(&self, visit: impl FnMut(&K, &V, &S) -> ControlFlow<()>) {
        self.papaya.for_each(visit);
    }

    fn len(&self) -> usize {
        self.papaya.len()
    }

    fn contention(&self) -> Option<Contention> {
        self.papaya.contention()
    }
}

/// The family of mailboxes that take everything and keep nothing: this load is about the registry, not about queues.
#[derive(Debug)]
pub(crate) struct Sinks;

impl MailboxFamily for Sinks {
    type Mailbox<T: Send + 'static> = Sink;
}

/// A mailbox that takes everything and keeps nothing.
#[derive(Clone, Debug)]
pub(crate) struct Sink;

impl<T: Send + 'static> Mailbox<T> for Sink {
    fn try_send(&self, _item: T) -> Result<(), TrySendError<T>> {
        Ok(())
    }

    fn is_closed(&self) -> bool {
        false
    }
}
