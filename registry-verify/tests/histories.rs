//! Recorded histories are linearizable on every backend, and violations are found on flawed ones.

use std::ops::ControlFlow;
use std::time::Duration;
use std::{slice, thread};

use registry_core::{Backend, Key, NotInserted, Shard, State, Value};
use registry_router::backends::Reference;
use registry_verify::history;

/// The time limit to find a seeded flaw.
const LONG_ENOUGH: Duration = Duration::from_secs(30);

fn histories_are_linearizable<B: Backend>() {
    let report = history::run::<B>(1, Duration::from_millis(400));
    assert_eq!(report.violations, 0, "{}", report.cases.iter().map(|case| &*case.case).collect::<String>());
    assert!(report.histories > 0 && report.operations > 10 * report.histories, "{report:?}");
}

macro_rules! suites {
    ($($module:ident $Backend:ident),* $(,)?) => {
        $(
            #[test]
            fn $module() {
                histories_are_linearizable::<registry_router::backends::$Backend>();
            }
        )*
    };
}
registry_router::backends::for_every_backend!(suites);

#[test]
fn duplicate_registrations_are_found_and_reproduced_by_their_seed() {
    let report = history::run::<Flawed<DUPLICATE_REGISTRATIONS>>(1, LONG_ENOUGH);
    let case = report.cases.first().expect("two registrations of one name are a violation");
    assert!(case.case.contains("registered as"), "{}", case.case);
    assert_eq!(report.violations as usize, report.cases.len());
    let again = history::rerun::<Flawed<DUPLICATE_REGISTRATIONS>>(case.seed, 100_000);
    assert!(again.is_err(), "no violation in {} calls", again.unwrap_or_default());
    assert!(history::rerun::<Reference>(case.seed, 32).is_ok_and(|operations| operations > 0));
}

#[test]
fn entries_found_after_their_removal_are_a_violation() {
    let report = history::run::<Flawed<STALE_ENTRIES>>(1, LONG_ENOUGH);
    assert!(report.violations > 0, "{report:?}");
}

#[test]
fn a_panic_is_a_violation_and_the_run_continues() {
    let report = history::run::<Flawed<PANICS>>(1, LONG_ENOUGH);
    let case = report.cases.first().expect("a call has panicked");
    assert!(case.case.contains("panicked in") && case.case.contains("a flaw"), "{}", case.case);
}

/// A registration of a taken name sometimes succeeds.
const DUPLICATE_REGISTRATIONS: u8 = 0;
/// A removed entry sometimes stays.
const STALE_ENTRIES: u8 = 1;
/// A lookup sometimes panics. Removals do not: a panic while leases are dropped during unwinding would abort.
const PANICS: u8 = 2;

/// The reference with a seeded flaw.
#[derive(Debug, Default)]
struct Flawed<const FLAW: u8>(Reference);

struct FlawedShard<Inner, const FLAW: u8>(Inner);

impl<const FLAW: u8> Backend for Flawed<FLAW> {
    const NAME: &'static str = "flawed";

    type Shard<K: Key, V: Value, S: State> = FlawedShard<<Reference as Backend>::Shard<K, V, S>, FLAW>;

    fn shard<K: Key, V: Value, S: State>(&self, capacity: usize) -> Self::Shard<K, V, S> {
        FlawedShard(self.0.shard(capacity))
    }
}

impl<K: Key, V: Value, S: State, Inner: Shard<K, V, S>, const FLAW: u8> Shard<K, V, S> for FlawedShard<Inner, FLAW> {
    fn with<R>(&self, hash: u64, key: &[u8], read: impl FnOnce(&K, &V, &S) -> R) -> Option<R> {
        // Only while programs run, on the pool's threads, which have no names.
        assert!(FLAW != PANICS || thread::current().name().is_some() || !sometimes(), "a flaw");
        self.0.with(hash, key, read)
    }

    fn insert_new_with<E>(
        &self,
        hash: u64,
        key: K,
        value: V,
        state: S,
        complete: impl FnOnce(&mut [V]) -> Result<(), E>,
    ) -> Result<(), NotInserted<V, S, E>> {
        let mut complete = Some(complete);
        let win = |values: &mut [V]| complete.take().map_or(Ok(()), |complete| complete(values));
        match (self.0.insert_new_with(hash, key, value, state, win), complete) {
            (Err(NotInserted::Occupied(mut value, state)), Some(complete))
                if FLAW == DUPLICATE_REGISTRATIONS && sometimes() =>
            {
                complete(slice::from_mut(&mut value)).map_err(|why| NotInserted::Declined(value, state, why))
            }
            (outcome, _) => outcome,
        }
    }

    fn remove_if(&self, hash: u64, key: &[u8], mut owned: impl FnMut(&K, &V, &S) -> bool) -> bool {
        if FLAW == STALE_ENTRIES && sometimes() {
            return self.0.with(hash, key, |key, value, state| owned(key, value, state)).unwrap_or(false);
        }
        self.0.remove_if(hash, key, owned)
    }

    fn for_each(&self, visit: impl FnMut(&K, &V, &S) -> ControlFlow<()>) {
        self.0.for_each(visit);
    }

    fn len(&self) -> usize {
        self.0.len()
    }
}

fn sometimes() -> bool {
    fastrand::u8(..) == 0
}
