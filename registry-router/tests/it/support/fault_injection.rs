//! Fault injection below the router: a backend whose shards are slow, fail or panic on demand.
//!
//! Latencies are simulated: each call advances a manual clock.

use std::ops::ControlFlow;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use registry_core::{Backend, Contention, ContentionKind, Key, NotInserted, Shard, State, Value};
use registry_router::{Builder, HealthChange, Registry, Tokio};

use crate::support::ManualClock;

/// The latency of a call to a healthy shard.
const HEALTHY: Duration = Duration::from_micros(1);

/// A registry over a backend with fault injection.
pub(crate) type FaultyRegistry<B> = Registry<u64, Faulty<B>>;

/// Builds a registry over `B` with fault injection; all shards start healthy.
pub(crate) fn faulty_registry<B: Backend>(
    shards: usize,
    settings: impl FnOnce(Builder<u64, Faulty<B>, Tokio>) -> Builder<u64, Faulty<B>, Tokio>,
) -> (FaultyRegistry<B>, Faults) {
    let faults = Faults::new(shards);
    let backend = Faulty { inner: B::default(), faults: faults.clone(), created: AtomicUsize::new(0) };
    let builder = Registry::builder().shards(shards).backend(backend).clock(faults.clock.clone());
    (settings(builder).build().expect("the settings of the tests are valid"), faults)
}

/// Returns one id per shard.
pub(crate) fn ids<B: Backend>(registry: &FaultyRegistry<B>) -> Vec<String> {
    let mut ids = vec![None; registry.shard_count()];
    for number in 0_u32.. {
        if ids.iter().all(Option::is_some) {
            break;
        }
        let id = format!("s{number}");
        ids[registry.shard_of(&id)].get_or_insert(id);
    }
    ids.into_iter().flatten().collect()
}

/// Returns the shards whose alarm was raised (`true`) or cleared (`false`).
pub(crate) fn alarms(changes: &[HealthChange]) -> Vec<(usize, bool)> {
    let alarm = |change: &HealthChange| match change {
        HealthChange::AlarmRaised(alarm) => Some((alarm.shard, true)),
        HealthChange::AlarmCleared(alarm) => Some((alarm.shard, false)),
        _ => None,
    };
    changes.iter().filter_map(alarm).collect()
}

/// A kind of call to a shard.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Call {
    Read,
    Insert,
    Remove,
}

impl Call {
    pub(crate) const ALL: [Self; 3] = [Self::Read, Self::Insert, Self::Remove];
}

/// The behavior of a shard on a kind of call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Behavior {
    /// Succeeds after this latency.
    Delay(Duration),
    /// Panics: in the closure of a read or removal, if there is an entry, and before an insertion.
    Panic,
    /// Panics as [`Panic`](Self::Panic), but in an insertion only from its completion, when the key is free.
    PanicInside,
    /// Fails once without accessing the table: not found, occupied, not removed.
    FailOnce,
}

/// The behavior of each shard, and the clock that its latencies advance.
#[derive(Clone, Debug)]
pub(crate) struct Faults {
    pub(crate) clock: ManualClock,
    behaviors: Arc<[Mutex<[Behavior; 3]>]>,
}

impl Faults {
    fn new(shards: usize) -> Self {
        let healthy = || Mutex::new([Behavior::Delay(HEALTHY); 3]);
        Self { clock: ManualClock::new(), behaviors: std::iter::repeat_with(healthy).take(shards).collect() }
    }

    /// Sets the behavior of a shard on a kind of call.
    pub(crate) fn set(&self, shard: usize, call: Call, behavior: Behavior) {
        self.behaviors[shard].lock().unwrap()[call as usize] = behavior;
    }

    /// Gives all calls to these shards a latency of one millisecond, and makes all others healthy.
    pub(crate) fn slow(&self, shards: impl IntoIterator<Item = usize>) {
        self.behaviors.iter().for_each(|behaviors| *behaviors.lock().unwrap() = [Behavior::Delay(HEALTHY); 3]);
        for shard in shards {
            *self.behaviors[shard].lock().unwrap() = [Behavior::Delay(Duration::from_millis(1)); 3];
        }
    }

    /// Makes all shards healthy.
    pub(crate) fn heal(&self) {
        self.slow([]);
    }

    fn next_behavior(&self, shard: usize, call: Call) -> Behavior {
        let mut behaviors = self.behaviors[shard].lock().unwrap();
        let behavior = behaviors[call as usize];
        match behavior {
            Behavior::Delay(latency) => self.clock.advance(latency),
            Behavior::Panic | Behavior::PanicInside => {}
            Behavior::FailOnce => behaviors[call as usize] = Behavior::Delay(HEALTHY),
        }
        behavior
    }
}

/// A backend with fault injection.
#[derive(Debug)]
pub(crate) struct Faulty<B> {
    inner: B,
    faults: Faults,
    /// The number of shards created: first those of the server table, then those of the transport table.
    created: AtomicUsize,
}

impl<B: Default> Default for Faulty<B> {
    fn default() -> Self {
        Self { inner: B::default(), faults: Faults::new(1), created: AtomicUsize::new(0) }
    }
}

/// A shard with fault injection; shards of one number share their behavior in both tables.
pub(crate) struct FaultyShard<T> {
    inner: T,
    faults: Faults,
    number: usize,
    /// The number of calls failed with [`Behavior::FailOnce`].
    failures: AtomicU64,
}

impl<T> FaultyShard<T> {
    fn next_behavior(&self, call: Call) -> Behavior {
        let behavior = self.faults.next_behavior(self.number, call);
        self.failures.fetch_add(u64::from(behavior == Behavior::FailOnce), Ordering::Relaxed);
        behavior
    }
}

impl<B: Backend> Backend for Faulty<B> {
    const NAME: &'static str = B::NAME;

    type Shard<K: Key, V: Value, S: State> = FaultyShard<B::Shard<K, V, S>>;

    fn shard<K: Key, V: Value, S: State>(&self, capacity: usize) -> Self::Shard<K, V, S> {
        let number = self.created.fetch_add(1, Ordering::Relaxed) % self.faults.behaviors.len();
        let failures = AtomicU64::new(0);
        FaultyShard { inner: self.inner.shard(capacity), faults: self.faults.clone(), number, failures }
    }
}

impl<K: Key, V: Value, S: State, T: Shard<K, V, S>> Shard<K, V, S> for FaultyShard<T> {
    fn with<R>(&self, hash: u64, key: &[u8], read: impl FnOnce(&K, &V, &S) -> R) -> Option<R> {
        match self.next_behavior(Call::Read) {
            Behavior::Delay(_) => self.inner.with(hash, key, read),
            Behavior::Panic | Behavior::PanicInside => {
                self.inner.with(hash, key, |_, _, _| panic!("injected panic of a read"))
            }
            Behavior::FailOnce => None,
        }
    }

    fn insert_new_with<E>(
        &self,
        hash: u64,
        key: K,
        value: V,
        state: S,
        complete: impl FnOnce(&mut [V]) -> Result<(), E>,
    ) -> Result<(), NotInserted<V, S, E>> {
        match self.next_behavior(Call::Insert) {
            Behavior::Delay(_) => self.inner.insert_new_with(hash, key, value, state, complete),
            Behavior::Panic => panic!("injected panic of an insertion"),
            Behavior::PanicInside => self.inner.insert_new_with(hash, key, value, state, |values| {
                complete(values)?;
                panic!("injected panic of an insertion")
            }),
            Behavior::FailOnce => Err(NotInserted::Occupied(value, state)),
        }
    }

    fn remove_if(&self, hash: u64, key: &[u8], owned: impl FnMut(&K, &V, &S) -> bool) -> bool {
        match self.next_behavior(Call::Remove) {
            Behavior::Delay(_) => self.inner.remove_if(hash, key, owned),
            Behavior::Panic | Behavior::PanicInside => {
                self.inner.remove_if(hash, key, |_, _, _| panic!("injected panic of a removal"))
            }
            Behavior::FailOnce => false,
        }
    }

    fn for_each(&self, visit: impl FnMut(&K, &V, &S) -> ControlFlow<()>) {
        self.inner.for_each(visit);
    }

    fn len(&self) -> usize {
        self.inner.len()
    }

    fn contention(&self) -> Option<Contention> {
        Some(Contention::new(ContentionKind::LockWait, self.failures.load(Ordering::Relaxed)))
    }
}
