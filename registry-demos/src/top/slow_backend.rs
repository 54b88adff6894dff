//! The backend and the mailboxes of this program: papaya with shards that can be slowed down, and mailboxes that
//! discard every message.

use std::ops::ControlFlow;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use registry_core::{Backend, Contention, Key, NotInserted, Shard, State, Value};
use registry_router::backends::Papaya;
use registry_router::{Mailbox, MailboxFamily, TrySendError};

use crate::top::controls::SlowShards;

/// How long a slow operation of a slow shard sleeps.
const PAUSE: Duration = Duration::from_micros(200);

/// One in this many operations of a slow shard is slow: more than the one in a hundred that raises an alarm.
const SLOW_EVERY: usize = 32;

/// Papaya, with shards that can be slowed down.
#[derive(Debug, Default)]
pub(crate) struct SlowBackend {
    papaya: Papaya,
    switch: SlowSwitch,
    /// The number of shards created: first those of the servers' table, then those of the transports' table.
    created: AtomicUsize,
}

impl SlowBackend {
    pub(crate) fn new(switch: SlowSwitch) -> Self {
        Self { switch, ..Self::default() }
    }
}

/// Selects which shards are slow.
#[derive(Clone, Debug)]
pub(crate) struct SlowSwitch(Arc<(usize, AtomicUsize)>);

impl SlowSwitch {
    /// Creates a switch for this number of shards, none of which is slow.
    pub(crate) fn new(shards: usize) -> Self {
        Self(Arc::new((shards, AtomicUsize::new(SlowShards::Off as usize))))
    }

    pub(crate) fn set(&self, slow: SlowShards) {
        self.0.1.store(slow as usize, Ordering::Relaxed);
    }

    fn includes(&self, shard: usize) -> bool {
        let now = self.0.1.load(Ordering::Relaxed);
        [SlowShards::One, SlowShards::Most].iter().any(|&slow| now == slow as usize && slow.includes(shard, self.0.0))
    }
}

impl Default for SlowSwitch {
    fn default() -> Self {
        Self::new(1)
    }
}

/// A shard of papaya that can be slowed down.
pub(crate) struct SlowShard<T> {
    papaya: T,
    switch: SlowSwitch,
    number: usize,
    calls: AtomicUsize,
}

impl<T> SlowShard<T> {
    fn pause(&self) {
        if self.switch.includes(self.number) && self.calls.fetch_add(1, Ordering::Relaxed).is_multiple_of(SLOW_EVERY) {
            std::thread::sleep(PAUSE);
        }
    }
}

impl Backend for SlowBackend {
    const NAME: &'static str = Papaya::NAME;

    type Shard<K: Key, V: Value, S: State> = SlowShard<<Papaya as Backend>::Shard<K, V, S>>;

    fn shard<K: Key, V: Value, S: State>(&self, capacity: usize) -> Self::Shard<K, V, S> {
        let number = self.created.fetch_add(1, Ordering::Relaxed) % self.switch.0.0;
        let (papaya, switch) = (self.papaya.shard(capacity), self.switch.clone());
        SlowShard { papaya, switch, number, calls: AtomicUsize::new(0) }
    }
}

impl<K: Key, V: Value, S: State, T: Shard<K, V, S>> Shard<K, V, S> for SlowShard<T> {
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

/// The family of mailboxes that discard every message: this load measures the registry, not queues.
#[derive(Debug)]
pub(crate) struct DiscardFamily;

impl MailboxFamily for DiscardFamily {
    type Mailbox<T: Send + 'static> = Discard;
}

/// A mailbox that discards every message.
#[derive(Clone, Debug)]
pub(crate) struct Discard;

impl<T: Send + 'static> Mailbox<T> for Discard {
    fn try_send(&self, _item: T) -> Result<(), TrySendError<T>> {
        Ok(())
    }

    fn is_closed(&self) -> bool {
        false
    }
}
