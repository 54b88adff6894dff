//! Insertions and removals without concurrent writers.

use std::convert::Infallible;
use std::sync::mpsc;
use std::thread;

use registry_core::{Backend, NotInserted, Occupied, Shard};

use crate::{ShardExt, hash, panics, run};

/// An insertion under an occupied key returns the new state unchanged and keeps the present entry.
pub fn insert_under_occupied_key_returns_the_state<B: Backend>() {
    run::<B>(|setup| {
        let shard = setup.shard::<String>();
        shard.put("key", "first".into());
        let second = String::from("second");
        let address = second.as_ptr();
        let Err(Occupied((), value)) = shard.insert("key", second) else { panic!("two entries under one key") };
        assert_eq!((value.as_str(), value.as_ptr()), ("second", address));
        assert_eq!(shard.read("key", String::clone).as_deref(), Some("first"));
        assert_eq!(shard.len(), 1);
    });
}

/// `complete` is called once, with every copy of the value that is inserted, if the key is absent, and not at all if
/// the key is occupied; reads observe its changes in every copy that the shard may keep.
pub fn complete_runs_once_and_only_for_the_winner<B: Backend>() {
    run::<B>(|setup| {
        let shard = setup.backend.shard::<String, u64, ()>(setup.capacity);
        let insert = |key: &str, number: u64| {
            let mut calls = 0;
            let inserted = shard.insert_new_with(hash(key), key.to_owned(), 0, (), |values| {
                calls += 1;
                assert!(!values.is_empty() && values.iter().all(|value| *value == 0));
                values.fill(number);
                Ok::<_, Infallible>(())
            });
            (inserted.is_ok(), calls)
        };
        for i in 0..500 {
            let key = i.to_string();
            assert_eq!(insert(&key, i + 1), (true, 1));
            assert_eq!(insert(&key, i + 2), (false, 0));
            // Read after every write, so that each copy of the table is read.
            for i in [i, i / 2] {
                assert_eq!(
                    shard.with(hash(&i.to_string()), i.to_string().as_bytes(), |_, value, ()| *value),
                    Some(i + 1)
                );
            }
        }
    });
}

/// A failed insertion returns value and state, and the reason if it was declined, and inserts nothing.
pub fn failed_insert_returns_value_and_state<B: Backend>() {
    run::<B>(|setup| {
        let shard = setup.backend.shard::<String, String, String>(setup.capacity);
        let insert = |key: &str, declines: bool| {
            let state = String::from("state");
            let address = state.as_ptr();
            let inserted = shard.insert_new_with(hash(key), key.to_owned(), "value".into(), state, |values| {
                values.iter_mut().for_each(|value| value.push_str(" completed"));
                if declines { Err(7) } else { Ok(()) }
            });
            (inserted, address)
        };
        let read = |key: &str| shard.with(hash(key), key.as_bytes(), |_, value, _| value.clone());
        for i in 0..3 {
            let (declined, address) = insert("key", true);
            let Err(NotInserted::Declined(value, state, 7)) = declined else { panic!("not declined") };
            assert_eq!((&*value, &*state, state.as_ptr()), ("value completed", "state", address));
            assert_eq!((read("key"), shard.len()), (None, i));
            // An insertion can be declined in every state that the shard may be in.
            assert!(insert(&i.to_string(), false).0.is_ok());
        }
        assert!(insert("key", false).0.is_ok());
        for declines in [true, false] {
            let (occupied, address) = insert("key", declines);
            let Err(NotInserted::Occupied(value, state)) = occupied else { panic!("two entries under one key") };
            assert_eq!((&*value, &*state, state.as_ptr()), ("value", "state", address));
        }
        assert_eq!((read("key").as_deref(), shard.len()), (Some("value completed"), 4));
    });
}

/// After a panic in `complete` nothing is inserted, and all threads can read and write the shard.
pub fn panic_in_complete_leaves_shard_usable<B: Backend>() {
    run::<B>(|setup| {
        let shard = setup.shard::<u64>();
        shard.put("key", 1);
        for i in 0..3 {
            let complete = |_: &mut [()]| -> Result<(), Infallible> { panic!("intended") };
            assert!(panics(|| shard.insert_new_with(hash("new"), "new".to_owned(), (), i, complete)));
            assert_eq!((shard.contains("new"), shard.len()), (false, 1));
            thread::scope(|scope| {
                scope.spawn(|| {
                    shard.put("new", i);
                    shard.delete("new");
                    assert!(shard.contains("key"));
                });
            });
        }
    });
}

/// A removed key can be inserted again, any number of times, and then has the new state.
pub fn removed_key_can_be_reinserted<B: Backend>() {
    run::<B>(|setup| {
        let shard = setup.shard::<u64>();
        for i in 0..1_000 {
            shard.put("key", i);
            assert_eq!(shard.read("key", |value| *value), Some(i));
            shard.delete("key");
            assert!(!shard.contains("key"));
        }
    });
}

/// A removal passes the entry to the predicate, removes it only on `true`, and returns what the predicate decided.
pub fn remove_if_obeys_its_predicate<B: Backend>() {
    run::<B>(|setup| {
        let shard = setup.shard::<u64>();
        shard.put("key", 1);
        shard.put("other", 2);
        assert!(!shard.remove("key", |value| *value != 1));
        assert_eq!(shard.read("key", |value| *value), Some(1));
        assert!(shard.remove("key", |value| *value == 1));
        assert!(!shard.contains("key"));
        assert_eq!(shard.read("other", |value| *value), Some(2));
        assert_eq!(shard.len(), 1);
    });
}

/// A removal of an absent key returns `false` and does not call the predicate.
pub fn remove_if_skips_predicate_for_absent_key<B: Backend>() {
    run::<B>(|setup| {
        let shard = setup.shard::<u64>();
        let remove_absent = || assert!(!shard.remove("absent", |value| panic!("found {value}")));
        remove_absent();
        shard.put("present", 1);
        remove_absent();
        shard.put("absent", 2);
        shard.delete("absent");
        remove_absent();
    });
}

/// After a panic in the predicate the entry is still present, and all threads can read and write the shard.
pub fn panic_in_remove_predicate_leaves_shard_usable<B: Backend>() {
    run::<B>(|setup| {
        let shard = setup.shard::<u64>();
        shard.put("key", 1);
        for i in 0..3 {
            assert!(panics(|| shard.remove("key", |_| panic!("intended"))));
            assert_eq!(shard.read("key", |value| *value), Some(1));
            thread::scope(|scope| {
                scope.spawn(|| {
                    shard.put("other", i);
                    shard.delete("other");
                    assert!(shard.contains("key"));
                });
            });
        }
        shard.delete("key");
        assert!(shard.is_empty());
    });
}

/// Once a write has returned, other threads observe it: a writer signals each insertion and each removal to two
/// readers.
pub fn writes_are_visible_on_return<B: Backend>() {
    const ROUNDS: u64 = 500;
    run::<B>(|setup| {
        let shard = setup.shard::<u64>();
        thread::scope(|scope| {
            let readers = [(); 2].map(|()| {
                let (send, expected_states) = mpsc::channel::<Option<u64>>();
                let (done, wait) = mpsc::channel::<()>();
                let shard = &shard;
                scope.spawn(move || {
                    for expected in expected_states {
                        assert_eq!(shard.read("key", |value| *value), expected);
                        done.send(()).expect("the writer waits");
                    }
                });
                (send, wait)
            });
            let all_observe = |expected| {
                for (send, _) in &readers {
                    send.send(expected).expect("the reader reads");
                }
                for (_, wait) in &readers {
                    wait.recv().expect("the reader observes it");
                }
            };
            for round in 0..ROUNDS {
                shard.put("key", round);
                all_observe(Some(round));
                shard.delete("key");
                all_observe(None);
            }
        });
    });
}

/// Keys with equal hashes are distinguished by their bytes, whatever the hash.
pub fn keys_with_equal_hashes_stay_distinct<B: Backend>() {
    run::<B>(|setup| {
        for hash in [0, u64::MAX, 0x0123_4567_89ab_cdef] {
            let shard = setup.shard::<u64>();
            let read = |key: &str| shard.with(hash, key.as_bytes(), |found, _, value| (found == key).then_some(*value));
            for i in 0..50 {
                assert!(shard.insert_new(hash, i.to_string(), (), i).is_ok());
            }
            assert_eq!(read("50"), None);
            for i in (0..50).step_by(2) {
                assert!(shard.remove_if(hash, i.to_string().as_bytes(), |_, _, value| *value == i));
            }
            for i in 0..50 {
                assert_eq!(read(&i.to_string()), (i % 2 == 1).then_some(Some(i)));
            }
            assert_eq!(shard.len(), 25);
        }
    });
}

/// Keys with equal hash bits 40 to 51, as all keys of one shard may have, work like any others.
pub fn keys_with_equal_shard_bits_work<B: Backend>() {
    const BITS: u64 = 0xfff << 40;
    run::<B>(|setup| {
        for shard_bits in [0, BITS, 0x5a5 << 40] {
            let shard = setup.shard::<u64>();
            let hash = |key: &str| crate::hash(key) & !BITS | shard_bits;
            let read = |key: &str| shard.with(hash(key), key.as_bytes(), |_, _, value| *value);
            for i in 0..2_000 {
                let key = i.to_string();
                assert!(shard.insert_new(hash(&key), key, (), i).is_ok());
            }
            for i in 0..2_000 {
                assert_eq!(read(&i.to_string()), Some(i));
                assert_eq!(read(&format!("other {i}")), None);
            }
            for i in 0..2_000 {
                let key = i.to_string();
                assert!(shard.remove_if(hash(&key), key.as_bytes(), |_, _, _| true));
            }
            assert!(shard.is_empty());
        }
    });
}
