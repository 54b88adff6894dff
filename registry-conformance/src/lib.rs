//! A conformance test suite for implementations of [`Shard`].
//!
//! Each "must" of the documentation of [`Shard`] is a generic function here, and [`conformance!`] makes a `#[test]` of
//! every one. A crate that implements [`Backend`] takes this crate as a dev-dependency and tests it with one line:
//!
//! ```
//! # fn main() {}
//! #[cfg(test)]
//! mod conformance {
//!     registry_conformance::conformance!(crate::MyBackend);
//! }
//! ```
//!
//! Every test runs on shards without initial capacity and on shards with some, on a thread of its own, and fails when it
//! exceeds a time limit, so that a deadlock is reported. No test sleeps: each waits for events.
//!
//! One "must" is not tested here, namely that a read does not allocate: counting allocations takes a global allocator,
//! so a program of its own.

mod batches;
mod capacity;
mod drops;
mod iteration;
mod races;
mod reads;
mod reentrancy;
mod writes;

use std::convert::Infallible;
use std::panic::{AssertUnwindSafe, Location, catch_unwind, resume_unwind};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;
use std::time::Duration;

use registry_core::{Backend, Occupied, Shard, State};

suite! {
    ($)
    reads {
        reading_an_absent_key_returns_none,
        inserted_entries_are_readable,
        reads_do_not_touch_reference_counts,
        values_stay_paired_with_their_states,
        all_readers_share_one_state,
        reads_can_nest,
        reads_can_nest_while_a_writer_waits,
        reads_do_not_wait_for_other_readers,
        short_lived_threads_can_read,
        panic_in_read_leaves_shard_usable,
    }
    batches {
        with_each_preserves_request_order,
        with_each_reads_are_not_stale,
        with_each_does_not_touch_reference_counts,
        with_each_readers_share_one_state,
        with_each_can_nest_while_writers_wait,
        first_with_each_holds_no_shard_while_waiting,
        with_each_releases_shards_between_batches,
        panic_in_with_each_leaves_shards_usable,
    }
    writes {
        insert_under_occupied_key_returns_the_state,
        complete_runs_once_and_only_for_the_winner,
        failed_insert_returns_value_and_state,
        panic_in_complete_leaves_shard_usable,
        removed_key_can_be_reinserted,
        remove_if_obeys_its_predicate,
        remove_if_skips_predicate_for_absent_key,
        panic_in_remove_predicate_leaves_shard_usable,
        writes_are_visible_on_return,
        keys_with_equal_hashes_stay_distinct,
        keys_with_equal_shard_bits_work,
    }
    races {
        concurrent_inserts_have_one_winner,
        complete_calls_for_one_key_follow_insertion_order,
        concurrent_removals_have_one_winner,
        concurrent_inserts_and_removals_lose_and_duplicate_nothing,
        readers_do_not_starve_writers,
        contention_is_counted_during_the_wait,
    }
    iteration {
        for_each_visits_every_entry_once,
        for_each_stops_at_break,
        for_each_visits_stable_entries_once_during_writes,
        len_is_exact_when_quiescent,
    }
    drops {
        every_state_is_dropped_once,
        dropping_a_shard_drops_its_entries,
        drop_of_a_removed_state_may_write,
        drop_and_clone_may_reenter_the_shard,
    }
    capacity {
        shrink_reduces_capacity_and_keeps_entries,
        shrink_does_not_disturb_readers,
    }
    reentrancy {
        write_inside_read_panics,
        #[cfg_attr(not(debug_assertions), ignore = "reads inside a predicate are detected in debug builds only")]
        read_inside_predicate_panics,
        drop_inside_read_panics,
    }
}

/// Exports the tests and defines the macro that runs them, both from one list: a test that is missing from the list is
/// dead code, which the compiler reports.
macro_rules! suite {
    (($d:tt) $($module:ident { $($(#[$attribute:meta])* $test:ident,)+ })+) => {
        $(pub use self::$module::{$($test),+};)+

        /// Defines one `#[test]` per conformance test for a backend, given by its type.
        ///
        /// `read_inside_predicate_panics` is ignored in release builds, which do not detect reads inside a predicate.
        #[macro_export]
        macro_rules! conformance {
            ($d backend:ty) => {
                $($(
                    #[test]
                    $(#[$attribute])*
                    fn $test() {
                        $crate::$test::<$d backend>();
                    }
                )+)+
            };
        }
    };
}
use suite;

/// The time limit of a test. The slowest takes a few seconds on a slow machine.
const TIME_LIMIT: Duration = Duration::from_secs(60);

/// Runs a test on a new backend, once for shards without initial capacity and once for shards with some.
///
/// The test runs on a thread of its own, so that a deadlock is detected; a deadlocked thread is left behind.
///
/// # Panics
///
/// Panics with the message of the test if the test panics, and if the test exceeds [`TIME_LIMIT`].
#[track_caller]
fn run<B: Backend>(test: fn(Setup<B>)) {
    let location = Location::caller();
    for capacity in [0, 4_096] {
        let (running, end) = mpsc::channel::<Infallible>();
        let thread = thread::Builder::new()
            .name(format!("conformance test with capacity {capacity}"))
            .spawn(move || {
                let _running = running;
                test(Setup { backend: B::default(), capacity });
            })
            .expect("the system can spawn a thread");
        match end.recv_timeout(TIME_LIMIT) {
            Err(RecvTimeoutError::Timeout) => {
                panic!("{}: the test at {location} did not end within {TIME_LIMIT:?}: a deadlock?", B::NAME)
            }
            Err(RecvTimeoutError::Disconnected) => {
                if let Err(panic) = thread.join() {
                    resume_unwind(panic);
                }
            }
        }
    }
}

/// The backend under test and the initial capacity of its shards.
struct Setup<B> {
    backend: B,
    capacity: usize,
}

impl<B: Backend> Setup<B> {
    /// Makes an empty shard whose entries have a state and no value.
    fn shard<S: State>(&self) -> B::Shard<String, (), S> {
        self.backend.shard(self.capacity)
    }
}

/// The operations of a shard without hash and value, for tests that need neither.
trait ShardExt<S: State>: Shard<String, (), S> {
    fn read<R>(&self, key: &str, read: impl FnOnce(&S) -> R) -> Option<R> {
        self.with(hash(key), key.as_bytes(), |found, (), state| {
            assert_eq!(found, key, "the entry of another key");
            read(state)
        })
    }

    fn contains(&self, key: &str) -> bool {
        self.read(key, |_| ()).is_some()
    }

    fn insert(&self, key: &str, state: S) -> Result<(), Occupied<(), S>> {
        self.insert_new(hash(key), key.to_owned(), (), state)
    }

    /// Inserts an entry under a key that must be absent.
    fn put(&self, key: &str, state: S) {
        assert!(self.insert(key, state).is_ok(), "`{key}` is absent");
    }

    fn remove(&self, key: &str, mut predicate: impl FnMut(&S) -> bool) -> bool {
        self.remove_if(hash(key), key.as_bytes(), |found, (), state| {
            assert_eq!(found, key, "the entry of another key");
            predicate(state)
        })
    }

    /// Removes the entry of a key that must be present.
    fn delete(&self, key: &str) {
        assert!(self.remove(key, |_| true), "`{key}` is present");
    }
}

impl<S: State, T: Shard<String, (), S>> ShardExt<S> for T {}

/// Returns 64 uniform bits: FNV-1a, mixed as in SplitMix64.
fn hash(key: &str) -> u64 {
    let fnv = key
        .bytes()
        .fold(0xcbf2_9ce4_8422_2325, |hash: u64, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3));
    let mixed = (fnv ^ (fnv >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}

/// Returns whether a closure panics.
fn panics<R>(call: impl FnOnce() -> R) -> bool {
    catch_unwind(AssertUnwindSafe(call)).is_err()
}
