//! The laws of [`Shard`]: each "must" of its documentation as a function, and [`conformance!`](crate::conformance!),
//! which makes a test of each.
//!
//! A crate with a backend of its own turns on the feature `conformance` for its tests and proves the backend by a line:
//!
//! ```ignore
//! #[cfg(test)]
//! mod laws {
//!     registry_core::conformance!(crate::MyBackend);
//! }
//! ```
//!
//! Every law is tried on shards that start without room and on shards that start with some, and is given up as failed
//! when it takes so long that it must be a deadlock. No law sleeps: all wait for events.
//! One "must" has no law here: that a read does not allocate, since only a program can count its allocations.

mod drops;
mod many;
mod races;
mod reads;
mod room;
mod traps;
mod visits;
mod writes;

use std::convert::Infallible;
use std::panic::{AssertUnwindSafe, Location, catch_unwind, resume_unwind};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;
use std::time::Duration;

use crate::shard::{Backend, Occupied, Shard, State};

laws! {
    ($)
    reads {
        an_absent_key_reads_nothing,
        what_is_inserted_is_read_back,
        a_read_touches_no_reference_count,
        heads_stay_with_their_states,
        every_reader_sees_the_same_object,
        reads_nest,
        reads_nest_while_a_writer_waits,
        a_read_does_not_wait_for_other_readers,
        threads_that_come_and_go_can_read,
        a_panicking_read_leaves_the_shard_usable,
    }
    many {
        a_read_of_many_shows_each_in_order,
        a_read_of_many_is_not_stale,
        a_read_of_many_touches_no_reference_count,
        a_read_of_many_shows_the_same_objects,
        reads_of_many_nest_while_writers_wait,
        a_first_read_of_many_holds_nothing_while_it_waits,
        a_read_of_many_lets_go_between_runs,
        a_panicking_read_of_many_leaves_the_shards_usable,
    }
    writes {
        a_taken_key_gives_the_value_back,
        the_head_is_completed_once_and_only_by_the_winner,
        what_is_declined_or_occupied_comes_back,
        a_panicking_insertion_leaves_the_shard_usable,
        a_freed_key_can_be_taken_again,
        a_removal_asks_first,
        a_removal_of_an_absent_key_asks_nothing,
        a_panicking_removal_leaves_the_shard_usable,
        a_write_is_visible_when_it_returns,
        equal_hashes_do_not_confuse_keys,
        keys_alike_in_the_bits_of_the_shard_work,
    }
    races {
        exactly_one_of_many_wins,
        heads_are_completed_in_the_order_of_their_entries,
        exactly_one_of_many_removes,
        inserting_and_removing_at_once_neither_loses_nor_doubles,
        a_write_gets_in_while_others_read,
        who_meets_somebody_is_counted,
    }
    visits {
        every_entry_is_visited_once,
        a_visit_stops_at_a_break,
        what_is_there_throughout_is_visited_once,
        the_length_is_exact_at_rest,
    }
    drops {
        every_value_is_dropped_once,
        a_dropped_shard_frees_its_values,
        a_dropped_value_may_write,
        what_is_dropped_or_cloned_may_call_back,
    }
    room {
        a_shrink_gives_room_back_and_changes_no_entry,
        a_shrink_disturbs_no_reader,
    }
    traps {
        a_write_inside_a_read_is_caught,
        #[cfg_attr(not(debug_assertions), ignore = "decisions about removals are watched in debug builds only")]
        a_read_inside_a_removal_is_caught,
        a_drop_inside_a_read_is_caught,
    }
}

/// Makes the laws public and writes the macro that tests them, both from one list: a law that is missing there is dead
/// code, which the compiler reports.
macro_rules! laws {
    (($d:tt) $($module:ident { $($(#[$attribute:meta])* $law:ident,)+ })+) => {
        $(pub use self::$module::{$($law),+};)+

        /// One `#[test]` per law for a backend, which is named by its type.
        ///
        /// The law about reads inside the decision of a removal is ignored in release builds, which do not look for them.
        #[macro_export]
        macro_rules! conformance {
            ($d backend:ty) => {
                $($(
                    #[test]
                    $(#[$attribute])*
                    fn $law() {
                        $crate::conformance::$law::<$d backend>();
                    }
                )+)+
            };
        }
    };
}
use laws;

/// How long a law may take. The slowest takes a few seconds on a slow machine.
const LIMIT: Duration = Duration::from_secs(60);

/// Tries a law on a fresh backend, for shards without room at first and with some.
///
/// The law runs on a thread of its own, so that a deadlock in it can be told; such a thread is left behind.
///
/// # Panics
///
/// If the law does, with its message, or if it does not end.
#[track_caller]
fn hold<B: Backend>(law: fn(Fresh<B>)) {
    let place = Location::caller();
    for capacity in [0, 4_096] {
        let (running, end) = mpsc::channel::<Infallible>();
        let thread = thread::Builder::new()
            .name(format!("law with capacity {capacity}"))
            .spawn(move || {
                let _running = running;
                law(Fresh { backend: B::default(), capacity });
            })
            .expect("the system has a thread to spare");
        match end.recv_timeout(LIMIT) {
            Err(RecvTimeoutError::Timeout) => {
                panic!("{}: the law at {place} did not end within {LIMIT:?}: a deadlock?", B::NAME)
            }
            Err(RecvTimeoutError::Disconnected) => {
                if let Err(panic) = thread.join() {
                    resume_unwind(panic);
                }
            }
        }
    }
}

/// What a law makes its shards with.
struct Fresh<B> {
    backend: B,
    capacity: usize,
}

impl<B: Backend> Fresh<B> {
    /// An empty shard, for laws that are about states.
    fn shard<S: State>(&self) -> B::Shard<String, (), S> {
        self.backend.shard(self.capacity)
    }
}

/// The calls of a shard for those who care about neither hash nor head.
trait Calls<V: State>: Shard<String, (), V> {
    fn read<R>(&self, key: &str, read: impl FnOnce(&V) -> R) -> Option<R> {
        self.with(hash(key), key.as_bytes(), |found, (), value| {
            assert_eq!(found, key, "the entry of another key");
            read(value)
        })
    }

    fn has(&self, key: &str) -> bool {
        self.read(key, |_| ()).is_some()
    }

    fn insert(&self, key: &str, value: V) -> Result<(), Occupied<(), V>> {
        self.insert_new(hash(key), key.to_owned(), (), value)
    }

    /// Inserts under a key that is known to be free.
    fn put(&self, key: &str, value: V) {
        assert!(self.insert(key, value).is_ok(), "`{key}` is free");
    }

    fn remove(&self, key: &str, mut owned: impl FnMut(&V) -> bool) -> bool {
        self.remove_if(hash(key), key.as_bytes(), |found, (), value| {
            assert_eq!(found, key, "the entry of another key");
            owned(value)
        })
    }

    /// Removes a key that is known to be there.
    fn delete(&self, key: &str) {
        assert!(self.remove(key, |_| true), "`{key}` is there");
    }
}

impl<V: State, S: Shard<String, (), V>> Calls<V> for S {}

/// A hash of uniform bits: FNV-1a, and the mixer of SplitMix64 over it.
fn hash(key: &str) -> u64 {
    let fnv = key
        .bytes()
        .fold(0xcbf2_9ce4_8422_2325, |hash: u64, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3));
    let mixed = (fnv ^ (fnv >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}

/// Whether a closure panics.
fn panics<R>(call: impl FnOnce() -> R) -> bool {
    catch_unwind(AssertUnwindSafe(call)).is_err()
}
