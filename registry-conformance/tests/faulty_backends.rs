//! The conformance suite rejects faulty backends: one fault each, and the tests that must fail for it.

use std::collections::HashMap;
use std::fmt;
use std::mem;
use std::ops::ControlFlow;
use std::panic::catch_unwind;
use std::slice;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use registry_conformance as conformance;
use registry_core::{Backend, Batch, Key, NotInserted, ReadRequest, Shard, State, Value, reentrancy};

#[test]
fn backend_without_fault_passes() {
    assert!(!fails(conformance::insert_under_occupied_key_returns_the_state::<Faulty<NO_FAULT>>));
    assert!(!fails(conformance::remove_if_obeys_its_predicate::<Faulty<NO_FAULT>>));
    assert!(!fails(conformance::for_each_stops_at_break::<Faulty<NO_FAULT>>));
    assert!(!fails(conformance::writes_are_visible_on_return::<Faulty<NO_FAULT>>));
    assert!(!fails(conformance::concurrent_inserts_have_one_winner::<Faulty<NO_FAULT>>));
    assert!(!fails(conformance::concurrent_removals_have_one_winner::<Faulty<NO_FAULT>>));
    assert!(!fails(conformance::every_state_is_dropped_once::<Faulty<NO_FAULT>>));
    assert!(!fails(conformance::dropping_a_shard_drops_its_entries::<Faulty<NO_FAULT>>));
}

#[test]
fn insert_that_replaces_fails() {
    assert!(fails(conformance::insert_under_occupied_key_returns_the_state::<Faulty<INSERT_REPLACES>>));
    assert!(fails(conformance::concurrent_inserts_have_one_winner::<Faulty<INSERT_REPLACES>>));
}

#[test]
fn completion_before_winning_the_key_fails() {
    assert!(!fails(conformance::complete_runs_once_and_only_for_the_winner::<Faulty<NO_FAULT>>));
    assert!(!fails(conformance::complete_calls_for_one_key_follow_insertion_order::<Faulty<NO_FAULT>>));
    assert!(fails(conformance::complete_runs_once_and_only_for_the_winner::<Faulty<COMPLETES_BEFORE_WINNING>>));
    assert!(fails(conformance::complete_calls_for_one_key_follow_insertion_order::<Faulty<COMPLETES_BEFORE_WINNING>>));
}

#[test]
fn insert_of_a_declined_entry_fails() {
    assert!(!fails(conformance::failed_insert_returns_value_and_state::<Faulty<NO_FAULT>>));
    assert!(fails(conformance::failed_insert_returns_value_and_state::<Faulty<INSERTS_DECLINED_ENTRIES>>));
}

#[test]
fn removal_that_ignores_the_predicate_fails() {
    assert!(fails(conformance::remove_if_obeys_its_predicate::<Faulty<REMOVE_IGNORES_PREDICATE>>));
}

#[test]
fn removal_that_is_not_atomic_fails() {
    assert!(fails(conformance::concurrent_removals_have_one_winner::<Faulty<REMOVE_IS_NOT_ATOMIC>>));
}

#[test]
fn for_each_that_ignores_break_fails() {
    assert!(fails(conformance::for_each_stops_at_break::<Faulty<FOR_EACH_IGNORES_BREAK>>));
}

#[test]
fn with_each_that_omits_absent_entries_fails() {
    assert!(!fails(conformance::with_each_preserves_request_order::<Faulty<NO_FAULT>>));
    assert!(fails(conformance::with_each_preserves_request_order::<Faulty<OMITS_ABSENT_ENTRIES>>));
}

#[test]
fn write_visible_only_after_the_next_one_fails() {
    assert!(fails(conformance::writes_are_visible_on_return::<Faulty<PUBLISHES_LATE>>));
}

#[test]
fn leak_of_removed_entries_fails() {
    assert!(fails(conformance::every_state_is_dropped_once::<Faulty<LEAKS_REMOVED_ENTRIES>>));
    assert!(fails(conformance::dropping_a_shard_drops_its_entries::<Faulty<LEAKS_REMOVED_ENTRIES>>));
}

#[test]
fn shrink_that_loses_entries_fails() {
    assert!(!fails(conformance::shrink_reduces_capacity_and_keeps_entries::<Faulty<NO_FAULT>>));
    assert!(fails(conformance::shrink_reduces_capacity_and_keeps_entries::<Faulty<SHRINK_LOSES_ENTRIES>>));
}

#[test]
fn missing_reentrancy_checks_fail() {
    assert!(fails(conformance::write_inside_read_panics::<Faulty<SKIPS_REENTRANCY_CHECKS>>));
    assert!(fails(conformance::drop_inside_read_panics::<Faulty<SKIPS_REENTRANCY_CHECKS>>));
}

fn fails(test: fn()) -> bool {
    catch_unwind(test).is_err()
}

const NO_FAULT: u8 = 0;
const INSERT_REPLACES: u8 = 1;
const REMOVE_IGNORES_PREDICATE: u8 = 2;
const REMOVE_IS_NOT_ATOMIC: u8 = 3;
const FOR_EACH_IGNORES_BREAK: u8 = 4;
const PUBLISHES_LATE: u8 = 5;
const LEAKS_REMOVED_ENTRIES: u8 = 6;
const SKIPS_REENTRANCY_CHECKS: u8 = 7;
const OMITS_ABSENT_ENTRIES: u8 = 8;
const COMPLETES_BEFORE_WINNING: u8 = 9;
const INSERTS_DECLINED_ENTRIES: u8 = 10;
const SHRINK_LOSES_ENTRIES: u8 = 11;

/// A backend with one fault.
#[derive(Debug, Default)]
struct Faulty<const FAULT: u8>;

struct FaultyShard<const FAULT: u8, K, V, S>(Mutex<Table<K, V, S>>);

struct Table<K, V, S> {
    entries: Entries<K, V, S>,
    /// What readers observe if the backend publishes late.
    published: Entries<K, V, S>,
}

type Entries<K, V, S> = HashMap<Vec<u8>, Arc<(K, V, S)>>;

impl<const FAULT: u8> Backend for Faulty<FAULT> {
    const NAME: &'static str = "faulty";

    type Shard<K: Key, V: Value, S: State> = FaultyShard<FAULT, K, V, S>;

    fn shard<K: Key, V: Value, S: State>(&self, _capacity: usize) -> Self::Shard<K, V, S> {
        FaultyShard(Mutex::new(Table { entries: HashMap::new(), published: HashMap::new() }))
    }
}

impl<const FAULT: u8, K: Key, V: Value, S: State> Shard<K, V, S> for FaultyShard<FAULT, K, V, S> {
    fn with<R>(&self, _hash: u64, key: &[u8], read: impl FnOnce(&K, &V, &S) -> R) -> Option<R> {
        if FAULT != SKIPS_REENTRANCY_CHECKS {
            reentrancy::check_read("with");
        }
        let entry = self.table().visible::<FAULT>().get(key).cloned()?;
        let _reading = (FAULT != SKIPS_REENTRANCY_CHECKS).then(reentrancy::enter_read);
        Some(read(&entry.0, &entry.1, &entry.2))
    }

    fn with_each(requests: &[ReadRequest<'_, Self>], mut read: impl FnMut(usize, &Batch<'_, K, V, S>)) {
        for (index, ReadRequest { shard, key, .. }) in requests.iter().enumerate() {
            let entry = shard.table().visible::<FAULT>().get(*key).cloned();
            if entry.is_some() || FAULT != OMITS_ABSENT_ENTRIES {
                let _reading = (FAULT != SKIPS_REENTRANCY_CHECKS).then(reentrancy::enter_read);
                read(index, &[entry.as_deref().map(|(key, value, state)| (key, value, state))]);
            }
        }
    }

    fn insert_new_with<E>(
        &self,
        _hash: u64,
        key: K,
        mut value: V,
        state: S,
        complete: impl FnOnce(&mut [V]) -> Result<(), E>,
    ) -> Result<(), NotInserted<V, S, E>> {
        reentrancy::check_write("insert_new");
        let mut complete = Some(complete);
        let mut completed = Ok(());
        if FAULT == COMPLETES_BEFORE_WINNING {
            completed = complete.take().map_or(Ok(()), |complete| complete(slice::from_mut(&mut value)));
            std::thread::yield_now();
        }
        let mut table = self.table();
        if FAULT != INSERT_REPLACES && table.entries.contains_key(key.as_ref()) {
            return Err(NotInserted::Occupied(value, state));
        }
        if let Some(complete) = complete {
            let _predicate = (FAULT != SKIPS_REENTRANCY_CHECKS).then(reentrancy::enter_predicate);
            completed = complete(slice::from_mut(&mut value));
        }
        if FAULT != INSERTS_DECLINED_ENTRIES
            && let Err(reason) = completed
        {
            return Err(NotInserted::Declined(value, state, reason));
        }
        table.begin_write::<FAULT>();
        table.entries.insert(key.as_ref().to_vec(), Arc::new((key, value, state)));
        Ok(())
    }

    fn remove_if(&self, hash: u64, key: &[u8], mut predicate: impl FnMut(&K, &V, &S) -> bool) -> bool {
        reentrancy::check_write("remove_if");
        if FAULT == REMOVE_IS_NOT_ATOMIC {
            let allowed = self.with(hash, key, predicate) == Some(true);
            std::thread::yield_now();
            self.table().entries.remove(key);
            return allowed;
        }
        let mut table = self.table();
        let Some(entry) = table.entries.get(key) else { return false };
        let guard = (FAULT != SKIPS_REENTRANCY_CHECKS).then(reentrancy::enter_predicate);
        if !predicate(&entry.0, &entry.1, &entry.2) && FAULT != REMOVE_IGNORES_PREDICATE {
            return false;
        }
        drop(guard);
        table.begin_write::<FAULT>();
        let removed = table.entries.remove(key);
        drop(table);
        if FAULT == LEAKS_REMOVED_ENTRIES {
            mem::forget(removed);
        }
        true
    }

    fn for_each(&self, mut visit: impl FnMut(&K, &V, &S) -> ControlFlow<()>) {
        if FAULT != SKIPS_REENTRANCY_CHECKS {
            reentrancy::check_read("for_each");
        }
        let entries = self.table().visible::<FAULT>().clone();
        let _reading = (FAULT != SKIPS_REENTRANCY_CHECKS).then(reentrancy::enter_read);
        for entry in entries.values() {
            if visit(&entry.0, &entry.1, &entry.2).is_break() && FAULT != FOR_EACH_IGNORES_BREAK {
                break;
            }
        }
    }

    fn len(&self) -> usize {
        self.table().visible::<FAULT>().len()
    }

    fn shrink(&self) {
        if FAULT == SHRINK_LOSES_ENTRIES {
            let mut table = self.table();
            let first = table.entries.keys().next().cloned();
            drop(first.and_then(|first| table.entries.remove(&first)));
        }
    }
}

impl<const FAULT: u8, K, V, S> FaultyShard<FAULT, K, V, S> {
    fn table(&self) -> MutexGuard<'_, Table<K, V, S>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<K, V, S> Table<K, V, S> {
    fn visible<const FAULT: u8>(&self) -> &Entries<K, V, S> {
        if FAULT == PUBLISHES_LATE { &self.published } else { &self.entries }
    }

    fn begin_write<const FAULT: u8>(&mut self) {
        if FAULT == PUBLISHES_LATE {
            self.published = self.entries.clone();
        }
    }
}

impl<const FAULT: u8, K, V, S> Drop for FaultyShard<FAULT, K, V, S> {
    fn drop(&mut self) {
        reentrancy::check_write("drop");
    }
}

impl<const FAULT: u8, K, V, S> fmt::Debug for FaultyShard<FAULT, K, V, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WrongShard").finish_non_exhaustive()
    }
}
