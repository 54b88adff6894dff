//! A suite is only worth something if it rejects what is wrong: backends with one mistake each.

use std::collections::HashMap;
use std::fmt;
use std::mem;
use std::ops::ControlFlow;
use std::panic::catch_unwind;
use std::slice;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use registry_conformance as laws;
use registry_core::{Backend, Batch, Key, NotInserted, ReadRequest, Shard, State, Value, reentrancy};

#[test]
fn without_a_mistake_all_is_well() {
    assert!(!breaks(laws::insert_under_occupied_key_returns_the_state::<Wrong<NOT_AT_ALL>>));
    assert!(!breaks(laws::remove_if_obeys_its_predicate::<Wrong<NOT_AT_ALL>>));
    assert!(!breaks(laws::for_each_stops_at_break::<Wrong<NOT_AT_ALL>>));
    assert!(!breaks(laws::writes_are_visible_on_return::<Wrong<NOT_AT_ALL>>));
    assert!(!breaks(laws::concurrent_inserts_have_one_winner::<Wrong<NOT_AT_ALL>>));
    assert!(!breaks(laws::concurrent_removals_have_one_winner::<Wrong<NOT_AT_ALL>>));
    assert!(!breaks(laws::every_state_is_dropped_once::<Wrong<NOT_AT_ALL>>));
    assert!(!breaks(laws::dropping_a_shard_drops_its_entries::<Wrong<NOT_AT_ALL>>));
}

#[test]
fn an_insertion_that_replaces_is_rejected() {
    assert!(breaks(laws::insert_under_occupied_key_returns_the_state::<Wrong<REPLACES>>));
    assert!(breaks(laws::concurrent_inserts_have_one_winner::<Wrong<REPLACES>>));
}

#[test]
fn a_head_that_is_completed_before_its_key_is_won_is_rejected() {
    assert!(!breaks(laws::complete_runs_once_and_only_for_the_winner::<Wrong<NOT_AT_ALL>>));
    assert!(!breaks(laws::complete_calls_for_one_key_follow_insertion_order::<Wrong<NOT_AT_ALL>>));
    assert!(breaks(laws::complete_runs_once_and_only_for_the_winner::<Wrong<COMPLETES_BEFORE_IT_WINS>>));
    assert!(breaks(laws::complete_calls_for_one_key_follow_insertion_order::<Wrong<COMPLETES_BEFORE_IT_WINS>>));
}

#[test]
fn an_insertion_of_what_is_declined_is_rejected() {
    assert!(!breaks(laws::failed_insert_returns_value_and_state::<Wrong<NOT_AT_ALL>>));
    assert!(breaks(laws::failed_insert_returns_value_and_state::<Wrong<INSERTS_WHAT_IS_DECLINED>>));
}

#[test]
fn a_removal_that_does_not_compare_is_rejected() {
    assert!(breaks(laws::remove_if_obeys_its_predicate::<Wrong<DOES_NOT_COMPARE>>));
}

#[test]
fn a_removal_in_two_steps_is_rejected() {
    assert!(breaks(laws::concurrent_removals_have_one_winner::<Wrong<REMOVES_IN_TWO_STEPS>>));
}

#[test]
fn a_visit_that_does_not_stop_is_rejected() {
    assert!(breaks(laws::for_each_stops_at_break::<Wrong<DOES_NOT_STOP>>));
}

#[test]
fn a_read_of_many_that_passes_over_the_absent_is_rejected() {
    assert!(!breaks(laws::with_each_preserves_request_order::<Wrong<NOT_AT_ALL>>));
    assert!(breaks(laws::with_each_preserves_request_order::<Wrong<PASSES_OVER_THE_ABSENT>>));
}

#[test]
fn a_write_that_shows_with_the_next_one_is_rejected() {
    assert!(breaks(laws::writes_are_visible_on_return::<Wrong<PUBLISHES_LATE>>));
}

#[test]
fn a_removed_value_that_is_never_dropped_is_rejected() {
    assert!(breaks(laws::every_state_is_dropped_once::<Wrong<LEAKS>>));
    assert!(breaks(laws::dropping_a_shard_drops_its_entries::<Wrong<LEAKS>>));
}

#[test]
fn a_shrink_that_forgets_is_rejected() {
    assert!(!breaks(laws::shrink_reduces_capacity_and_keeps_entries::<Wrong<NOT_AT_ALL>>));
    assert!(breaks(laws::shrink_reduces_capacity_and_keeps_entries::<Wrong<FORGETS_WHEN_IT_SHRINKS>>));
}

#[test]
fn a_read_that_sets_no_trap_is_rejected() {
    assert!(breaks(laws::write_inside_read_panics::<Wrong<SETS_NO_TRAP>>));
    assert!(breaks(laws::drop_inside_read_panics::<Wrong<SETS_NO_TRAP>>));
}

fn breaks(law: fn()) -> bool {
    catch_unwind(law).is_err()
}

const NOT_AT_ALL: u8 = 0;
const REPLACES: u8 = 1;
const DOES_NOT_COMPARE: u8 = 2;
const REMOVES_IN_TWO_STEPS: u8 = 3;
const DOES_NOT_STOP: u8 = 4;
const PUBLISHES_LATE: u8 = 5;
const LEAKS: u8 = 6;
const SETS_NO_TRAP: u8 = 7;
const PASSES_OVER_THE_ABSENT: u8 = 8;
const COMPLETES_BEFORE_IT_WINS: u8 = 9;
const INSERTS_WHAT_IS_DECLINED: u8 = 10;
const FORGETS_WHEN_IT_SHRINKS: u8 = 11;

/// A backend with a mistake.
#[derive(Debug, Default)]
struct Wrong<const HOW: u8>;

struct WrongShard<const HOW: u8, K, V, S>(Mutex<Table<K, V, S>>);

struct Table<K, V, S> {
    entries: Entries<K, V, S>,
    /// What readers see, if it is not the same.
    published: Entries<K, V, S>,
}

type Entries<K, V, S> = HashMap<Vec<u8>, Arc<(K, V, S)>>;

impl<const HOW: u8> Backend for Wrong<HOW> {
    const NAME: &'static str = "wrong";

    type Shard<K: Key, V: Value, S: State> = WrongShard<HOW, K, V, S>;

    fn shard<K: Key, V: Value, S: State>(&self, _capacity: usize) -> Self::Shard<K, V, S> {
        WrongShard(Mutex::new(Table { entries: HashMap::new(), published: HashMap::new() }))
    }
}

impl<const HOW: u8, K: Key, V: Value, S: State> Shard<K, V, S> for WrongShard<HOW, K, V, S> {
    fn with<R>(&self, _hash: u64, key: &[u8], read: impl FnOnce(&K, &V, &S) -> R) -> Option<R> {
        if HOW != SETS_NO_TRAP {
            reentrancy::check_read("with");
        }
        let entry = self.table().seen::<HOW>().get(key).cloned()?;
        let _reading = (HOW != SETS_NO_TRAP).then(reentrancy::enter_read);
        Some(read(&entry.0, &entry.1, &entry.2))
    }

    fn with_each(wanted: &[ReadRequest<'_, Self>], mut read: impl FnMut(usize, &Batch<'_, K, V, S>)) {
        for (place, ReadRequest { shard, key, .. }) in wanted.iter().enumerate() {
            let entry = shard.table().seen::<HOW>().get(*key).cloned();
            if entry.is_some() || HOW != PASSES_OVER_THE_ABSENT {
                let _reading = (HOW != SETS_NO_TRAP).then(reentrancy::enter_read);
                read(place, &[entry.as_deref().map(|(key, value, state)| (key, value, state))]);
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
        if HOW == COMPLETES_BEFORE_IT_WINS {
            completed = complete.take().map_or(Ok(()), |complete| complete(slice::from_mut(&mut value)));
            std::thread::yield_now();
        }
        let mut table = self.table();
        if HOW != REPLACES && table.entries.contains_key(key.as_ref()) {
            return Err(NotInserted::Occupied(value, state));
        }
        if let Some(complete) = complete {
            let _deciding = (HOW != SETS_NO_TRAP).then(reentrancy::enter_predicate);
            completed = complete(slice::from_mut(&mut value));
        }
        if HOW != INSERTS_WHAT_IS_DECLINED
            && let Err(why) = completed
        {
            return Err(NotInserted::Declined(value, state, why));
        }
        table.begin_write::<HOW>();
        table.entries.insert(key.as_ref().to_vec(), Arc::new((key, value, state)));
        Ok(())
    }

    fn remove_if(&self, hash: u64, key: &[u8], mut owned: impl FnMut(&K, &V, &S) -> bool) -> bool {
        reentrancy::check_write("remove_if");
        if HOW == REMOVES_IN_TWO_STEPS {
            let asked = self.with(hash, key, owned) == Some(true);
            std::thread::yield_now();
            self.table().entries.remove(key);
            return asked;
        }
        let mut table = self.table();
        let Some(entry) = table.entries.get(key) else { return false };
        let enter_predicate = (HOW != SETS_NO_TRAP).then(reentrancy::enter_predicate);
        if !owned(&entry.0, &entry.1, &entry.2) && HOW != DOES_NOT_COMPARE {
            return false;
        }
        drop(enter_predicate);
        table.begin_write::<HOW>();
        let removed = table.entries.remove(key);
        drop(table);
        if HOW == LEAKS {
            mem::forget(removed);
        }
        true
    }

    fn for_each(&self, mut visit: impl FnMut(&K, &V, &S) -> ControlFlow<()>) {
        if HOW != SETS_NO_TRAP {
            reentrancy::check_read("for_each");
        }
        let entries = self.table().seen::<HOW>().clone();
        let _reading = (HOW != SETS_NO_TRAP).then(reentrancy::enter_read);
        for entry in entries.values() {
            if visit(&entry.0, &entry.1, &entry.2).is_break() && HOW != DOES_NOT_STOP {
                break;
            }
        }
    }

    fn len(&self) -> usize {
        self.table().seen::<HOW>().len()
    }

    fn shrink(&self) {
        if HOW == FORGETS_WHEN_IT_SHRINKS {
            let mut table = self.table();
            let first = table.entries.keys().next().cloned();
            drop(first.and_then(|first| table.entries.remove(&first)));
        }
    }
}

impl<const HOW: u8, K, V, S> WrongShard<HOW, K, V, S> {
    fn table(&self) -> MutexGuard<'_, Table<K, V, S>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<K, V, S> Table<K, V, S> {
    fn seen<const HOW: u8>(&self) -> &Entries<K, V, S> {
        if HOW == PUBLISHES_LATE { &self.published } else { &self.entries }
    }

    fn begin_write<const HOW: u8>(&mut self) {
        if HOW == PUBLISHES_LATE {
            self.published = self.entries.clone();
        }
    }
}

impl<const HOW: u8, K, V, S> Drop for WrongShard<HOW, K, V, S> {
    fn drop(&mut self) {
        reentrancy::check_write("drop");
    }
}

impl<const HOW: u8, K, V, S> fmt::Debug for WrongShard<HOW, K, V, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WrongShard").finish_non_exhaustive()
    }
}
