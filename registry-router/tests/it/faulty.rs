//! Faults below the router: a backend whose shards are slow, refuse or panic on demand, and a clock that moves only when
//! a test or a shard turns its hands.

use std::ops::ControlFlow;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use registry_core::{Backend, Contention, ContentionKind, Key, NotInserted, Shard, State, Value};
use registry_router::{Builder, Clock, HealthChange, Registry, Tokio};

/// How long a call of a healthy shard takes.
const HEALTHY: Duration = Duration::from_micros(1);

/// A registry on faulty shards.
pub(crate) type Faulted<B> = Registry<u64, Faulty<B>>;

/// A registry on shards of `B` that are healthy until told otherwise.
pub(crate) fn faulted<B: Backend>(
    shards: usize,
    settings: impl FnOnce(Builder<u64, Faulty<B>, Tokio>) -> Builder<u64, Faulty<B>, Tokio>,
) -> (Faulted<B>, Faults) {
    let faults = Faults::new(shards);
    let backend = Faulty { inner: B::default(), faults: faults.clone(), made: AtomicUsize::new(0) };
    let builder = Registry::builder().shards(shards).backend(backend).clock(faults.hands.clone());
    (settings(builder).build().expect("the settings of the tests are valid"), faults)
}

/// An id in each shard.
pub(crate) fn ids<B: Backend>(registry: &Faulted<B>) -> Vec<String> {
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

/// The shards whose alarm was raised, `true`, or cleared.
pub(crate) fn alarms(changes: &[HealthChange]) -> Vec<(usize, bool)> {
    let alarm = |change: &HealthChange| match change {
        HealthChange::AlarmRaised(alarm) => Some((alarm.shard, true)),
        HealthChange::AlarmCleared(alarm) => Some((alarm.shard, false)),
        _ => None,
    };
    changes.iter().filter_map(alarm).collect()
}

/// A clock of which all clones show the same time.
#[derive(Clone, Debug)]
pub(crate) struct Hands(Arc<(Instant, AtomicU64)>);

impl Hands {
    fn new() -> Self {
        Self(Arc::new((Instant::now(), AtomicU64::new(0))))
    }

    /// What time it was at the start.
    pub(crate) fn start(&self) -> Instant {
        self.0.0
    }

    /// Turns the hands forward.
    pub(crate) fn advance(&self, by: Duration) {
        self.0.1.fetch_add(nanos(by), Ordering::Relaxed);
    }

    /// Turns them to so long after the start, unless they are there or beyond; and says what time it is then.
    pub(crate) fn until(&self, after_start: Duration) -> Instant {
        self.0.1.fetch_max(nanos(after_start), Ordering::Relaxed);
        self.now()
    }
}

fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).expect("tests do not last for centuries")
}

impl Clock for Hands {
    fn now(&self) -> Instant {
        self.0.0 + Duration::from_nanos(self.0.1.load(Ordering::Relaxed))
    }
}

/// What is asked of a shard.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Call {
    Read,
    Insert,
    Remove,
}

impl Call {
    pub(crate) const ALL: [Self; 3] = [Self::Read, Self::Insert, Self::Remove];
}

/// What a shard does when it is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Deed {
    /// What it should, in so much time.
    Take(Duration),
    /// It panics: in the closure of a read or a removal, if there is an entry, and before an insertion.
    Panic,
    /// It panics as [`Panic`](Self::Panic) does, but an insertion does so when the name has been won.
    PanicInside,
    /// It says no without having looked, once: not found, occupied, not removed.
    Refuse,
}

/// What each shard does, and the clock that shows how long it takes.
#[derive(Clone, Debug)]
pub(crate) struct Faults {
    pub(crate) hands: Hands,
    deeds: Arc<[Mutex<[Deed; 3]>]>,
}

impl Faults {
    fn new(shards: usize) -> Self {
        let healthy = || Mutex::new([Deed::Take(HEALTHY); 3]);
        Self { hands: Hands::new(), deeds: std::iter::repeat_with(healthy).take(shards).collect() }
    }

    /// From now on, a shard does this when it is asked that.
    pub(crate) fn set(&self, shard: usize, call: Call, deed: Deed) {
        self.deeds[shard].lock().unwrap()[call as usize] = deed;
    }

    /// From now on, everything takes a millisecond in these shards, and all the others are healthy.
    pub(crate) fn slow(&self, shards: impl IntoIterator<Item = usize>) {
        self.deeds.iter().for_each(|deeds| *deeds.lock().unwrap() = [Deed::Take(HEALTHY); 3]);
        for shard in shards {
            *self.deeds[shard].lock().unwrap() = [Deed::Take(Duration::from_millis(1)); 3];
        }
    }

    /// From now on, all shards are healthy.
    pub(crate) fn heal(&self) {
        self.slow([]);
    }

    fn meet(&self, shard: usize, call: Call) -> Deed {
        let mut deeds = self.deeds[shard].lock().unwrap();
        let deed = deeds[call as usize];
        match deed {
            Deed::Take(latency) => self.hands.advance(latency),
            Deed::Panic | Deed::PanicInside => {}
            Deed::Refuse => deeds[call as usize] = Deed::Take(HEALTHY),
        }
        deed
    }
}

/// A backend with faults.
#[derive(Debug)]
pub(crate) struct Faulty<B> {
    inner: B,
    faults: Faults,
    /// How many shards were made: those of the servers' table come first, then those of the transports'.
    made: AtomicUsize,
}

impl<B: Default> Default for Faulty<B> {
    fn default() -> Self {
        Self { inner: B::default(), faults: Faults::new(1), made: AtomicUsize::new(0) }
    }
}

/// A shard with faults: it has those of its number, in both tables.
pub(crate) struct FaultyShard<T> {
    inner: T,
    faults: Faults,
    number: usize,
    /// How often it has refused.
    refused: AtomicU64,
}

impl<T> FaultyShard<T> {
    fn meet(&self, call: Call) -> Deed {
        let deed = self.faults.meet(self.number, call);
        self.refused.fetch_add(u64::from(deed == Deed::Refuse), Ordering::Relaxed);
        deed
    }
}

impl<B: Backend> Backend for Faulty<B> {
    const NAME: &'static str = B::NAME;

    type Shard<K: Key, V: Value, S: State> = FaultyShard<B::Shard<K, V, S>>;

    fn shard<K: Key, V: Value, S: State>(&self, capacity: usize) -> Self::Shard<K, V, S> {
        let number = self.made.fetch_add(1, Ordering::Relaxed) % self.faults.deeds.len();
        let refused = AtomicU64::new(0);
        FaultyShard { inner: self.inner.shard(capacity), faults: self.faults.clone(), number, refused }
    }
}

impl<K: Key, V: Value, S: State, T: Shard<K, V, S>> Shard<K, V, S> for FaultyShard<T> {
    fn with<R>(&self, hash: u64, key: &[u8], read: impl FnOnce(&K, &V, &S) -> R) -> Option<R> {
        match self.meet(Call::Read) {
            Deed::Take(_) => self.inner.with(hash, key, read),
            Deed::Panic | Deed::PanicInside => self.inner.with(hash, key, |_, _, _| panic!("a read that fails")),
            Deed::Refuse => None,
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
        match self.meet(Call::Insert) {
            Deed::Take(_) => self.inner.insert_new_with(hash, key, value, state, complete),
            Deed::Panic => panic!("an insertion that fails"),
            Deed::PanicInside => self.inner.insert_new_with(hash, key, value, state, |values| {
                complete(values)?;
                panic!("an insertion that fails")
            }),
            Deed::Refuse => Err(NotInserted::Occupied(value, state)),
        }
    }

    fn remove_if(&self, hash: u64, key: &[u8], owned: impl FnMut(&K, &V, &S) -> bool) -> bool {
        match self.meet(Call::Remove) {
            Deed::Take(_) => self.inner.remove_if(hash, key, owned),
            Deed::Panic | Deed::PanicInside => {
                self.inner.remove_if(hash, key, |_, _, _| panic!("a removal that fails"))
            }
            Deed::Refuse => false,
        }
    }

    fn for_each(&self, visit: impl FnMut(&K, &V, &S) -> ControlFlow<()>) {
        self.inner.for_each(visit);
    }

    fn len(&self) -> usize {
        self.inner.len()
    }

    fn contention(&self) -> Option<Contention> {
        Some(Contention { kind: ContentionKind::LockWait, count: self.refused.load(Ordering::Relaxed) })
    }
}
