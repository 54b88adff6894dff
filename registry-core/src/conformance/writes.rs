//! Laws of `insert_new` and `remove_if` as one thread at a time sees them.

use std::convert::Infallible;
use std::sync::mpsc;
use std::thread;

use super::{Backend, Calls, hash, hold, panics};
use crate::shard::{NotInserted, Occupied, Shard};

/// An insertion under a taken key gives its value back, untouched, and leaves the entry that is there.
pub fn a_taken_key_gives_the_value_back<B: Backend>() {
    hold::<B>(|fresh| {
        let shard = fresh.shard::<String>();
        shard.put("key", "first".into());
        let second = String::from("second");
        let place = second.as_ptr();
        let Err(Occupied((), value)) = shard.insert("key", second) else { panic!("two entries under one key") };
        assert_eq!((value.as_str(), value.as_ptr()), ("second", place));
        assert_eq!(shard.read("key", String::clone).as_deref(), Some("first"));
        assert_eq!(shard.len(), 1);
    });
}

/// The closure that completes a head is called once, with all heads that are inserted, if the key is free, and not at
/// all if it is taken; what it did is what is read, in every copy that the shard may have.
pub fn the_head_is_completed_once_and_only_by_the_winner<B: Backend>() {
    hold::<B>(|fresh| {
        let shard = fresh.backend.shard::<String, u64, ()>(fresh.capacity);
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
            // Read after every write, so that each copy has its turn.
            for i in [i, i / 2] {
                assert_eq!(
                    shard.with(hash(&i.to_string()), i.to_string().as_bytes(), |_, value, ()| *value),
                    Some(i + 1)
                );
            }
        }
    });
}

/// What was not inserted comes back: head and state, and the reason if it was declined; and nothing is inserted.
pub fn what_is_declined_or_occupied_comes_back<B: Backend>() {
    hold::<B>(|fresh| {
        let shard = fresh.backend.shard::<String, String, String>(fresh.capacity);
        let insert = |key: &str, declines: bool| {
            let state = String::from("state");
            let place = state.as_ptr();
            let inserted = shard.insert_new_with(hash(key), key.to_owned(), "head".into(), state, |values| {
                values.iter_mut().for_each(|value| value.push_str(" completed"));
                if declines { Err(7) } else { Ok(()) }
            });
            (inserted, place)
        };
        let has = |key: &str| shard.with(hash(key), key.as_bytes(), |_, value, _| value.clone());
        for i in 0..3 {
            let (declined, place) = insert("key", true);
            let Err(NotInserted::Declined(value, state, 7)) = declined else { panic!("not declined") };
            assert_eq!((&*value, &*state, state.as_ptr()), ("head completed", "state", place));
            assert_eq!((has("key"), shard.len()), (None, i));
            // It is declined whatever the shard has done meanwhile.
            assert!(insert(&i.to_string(), false).0.is_ok());
        }
        assert!(insert("key", false).0.is_ok());
        for declines in [true, false] {
            let (occupied, place) = insert("key", declines);
            let Err(NotInserted::Occupied(value, state)) = occupied else { panic!("two entries under one key") };
            assert_eq!((&*value, &*state, state.as_ptr()), ("head", "state", place));
        }
        assert_eq!((has("key").as_deref(), shard.len()), (Some("head completed"), 4));
    });
}

/// After a panic in the closure that completes a head nothing is inserted, and the shard can be read and written by all
/// threads.
pub fn a_panicking_insertion_leaves_the_shard_usable<B: Backend>() {
    hold::<B>(|fresh| {
        let shard = fresh.shard::<u64>();
        shard.put("key", 1);
        for i in 0..3 {
            let complete = |_: &mut [()]| -> Result<(), Infallible> { panic!("on purpose") };
            assert!(panics(|| shard.insert_new_with(hash("new"), "new".to_owned(), (), i, complete)));
            assert_eq!((shard.has("new"), shard.len()), (false, 1));
            thread::scope(|scope| {
                scope.spawn(|| {
                    shard.put("new", i);
                    shard.delete("new");
                    assert!(shard.has("key"));
                });
            });
        }
    });
}

/// A key that was removed can be taken again, many times over, and then has the new value.
pub fn a_freed_key_can_be_taken_again<B: Backend>() {
    hold::<B>(|fresh| {
        let shard = fresh.shard::<u64>();
        for i in 0..1_000 {
            shard.put("key", i);
            assert_eq!(shard.read("key", |value| *value), Some(i));
            shard.delete("key");
            assert!(!shard.has("key"));
        }
    });
}

/// A removal shows `owned` the entry, removes it only on true, and says so.
pub fn a_removal_asks_first<B: Backend>() {
    hold::<B>(|fresh| {
        let shard = fresh.shard::<u64>();
        shard.put("key", 1);
        shard.put("other", 2);
        assert!(!shard.remove("key", |value| *value != 1));
        assert_eq!(shard.read("key", |value| *value), Some(1));
        assert!(shard.remove("key", |value| *value == 1));
        assert!(!shard.has("key"));
        assert_eq!(shard.read("other", |value| *value), Some(2));
        assert_eq!(shard.len(), 1);
    });
}

/// A removal of a key that is not there returns false and does not call `owned`.
pub fn a_removal_of_an_absent_key_asks_nothing<B: Backend>() {
    hold::<B>(|fresh| {
        let shard = fresh.shard::<u64>();
        let asks_nothing = || assert!(!shard.remove("absent", |value| panic!("{value} is there")));
        asks_nothing();
        shard.put("present", 1);
        asks_nothing();
        shard.put("absent", 2);
        shard.delete("absent");
        asks_nothing();
    });
}

/// After a panic in `owned` the entry is still there, and the shard can be read and written by all threads.
pub fn a_panicking_removal_leaves_the_shard_usable<B: Backend>() {
    hold::<B>(|fresh| {
        let shard = fresh.shard::<u64>();
        shard.put("key", 1);
        for i in 0..3 {
            assert!(panics(|| shard.remove("key", |_| panic!("on purpose"))));
            assert_eq!(shard.read("key", |value| *value), Some(1));
            thread::scope(|scope| {
                scope.spawn(|| {
                    shard.put("other", i);
                    shard.delete("other");
                    assert!(shard.has("key"));
                });
            });
        }
        shard.delete("key");
        assert!(shard.is_empty());
    });
}

/// When a write has returned, other threads see it: a writer tells two readers of each insertion and each removal.
pub fn a_write_is_visible_when_it_returns<B: Backend>() {
    const ROUNDS: u64 = 500;
    hold::<B>(|fresh| {
        let shard = fresh.shard::<u64>();
        thread::scope(|scope| {
            let readers = [(); 2].map(|()| {
                let (tell, told) = mpsc::channel::<Option<u64>>();
                let (done, wait) = mpsc::channel::<()>();
                let shard = &shard;
                scope.spawn(move || {
                    for expected in told {
                        assert_eq!(shard.read("key", |value| *value), expected);
                        done.send(()).expect("the writer waits");
                    }
                });
                (tell, wait)
            });
            let all_see = |expected| {
                for (tell, _) in &readers {
                    tell.send(expected).expect("the reader reads");
                }
                for (_, wait) in &readers {
                    wait.recv().expect("the reader sees it");
                }
            };
            for round in 0..ROUNDS {
                shard.put("key", round);
                all_see(Some(round));
                shard.delete("key");
                all_see(None);
            }
        });
    });
}

/// Keys with one hash are told apart by their bytes, whatever the hash.
pub fn equal_hashes_do_not_confuse_keys<B: Backend>() {
    hold::<B>(|fresh| {
        for hash in [0, u64::MAX, 0x0123_4567_89ab_cdef] {
            let shard = fresh.shard::<u64>();
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

/// Keys whose hashes are alike in bits 40 to 51, as those of one shard are, work as others do.
pub fn keys_alike_in_the_bits_of_the_shard_work<B: Backend>() {
    const BITS: u64 = 0xfff << 40;
    hold::<B>(|fresh| {
        for alike in [0, BITS, 0x5a5 << 40] {
            let shard = fresh.shard::<u64>();
            let hash = |key: &str| super::hash(key) & !BITS | alike;
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
