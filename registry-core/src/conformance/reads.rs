//! Laws of `with`.

use std::ops::ControlFlow;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Barrier, mpsc};
use std::thread;

use super::{Backend, Calls, hash, hold, panics};
use crate::shard::{Occupied, Shard};

/// A read of a key that is not there returns `None` and does not call the closure: in an empty shard, beside other
/// entries, and after a removal.
pub fn an_absent_key_reads_nothing<B: Backend>() {
    hold::<B>(|fresh| {
        let shard = fresh.shard::<u64>();
        let reads_nothing = || assert_eq!(shard.read("absent", |value| panic!("{value} is there")), None::<()>);
        reads_nothing();
        shard.put("present", 1);
        reads_nothing();
        shard.put("absent", 2);
        shard.delete("absent");
        reads_nothing();
    });
}

/// Each of 10,000 entries is read back under its key, while the shard grows and when it is full grown.
pub fn what_is_inserted_is_read_back<B: Backend>() {
    hold::<B>(|fresh| {
        let shard = fresh.shard::<u64>();
        for i in 0..10_000 {
            let key = format!("key {i}");
            shard.put(&key, i);
            assert_eq!(shard.read(&key, |value| *value), Some(i));
        }
        for i in 0..10_000 {
            assert_eq!(shard.read(&format!("key {i}"), |value| *value), Some(i));
            assert!(!shard.has(&format!("other {i}")));
        }
    });
}

/// A head and a state that count their references count none more inside a read, nor inside a read in a read.
pub fn a_read_touches_no_reference_count<B: Backend>() {
    hold::<B>(|fresh| {
        let shard = fresh.backend.shard::<String, Arc<()>, Arc<()>>(fresh.capacity);
        let (value, state) = (Arc::new(()), Arc::new(()));
        assert!(shard.insert_new(hash("key"), "key".to_owned(), value.clone(), state.clone()).is_ok());
        // A shard may have more than one head, but one state.
        let outside = (Arc::strong_count(&value), Arc::strong_count(&state));
        assert_eq!(outside.1, 2);
        let counts =
            |_: &String, value: &Arc<()>, state: &Arc<()>| (Arc::strong_count(value), Arc::strong_count(state));
        let inner = || shard.with(hash("key"), b"key", counts);
        let seen = shard.with(hash("key"), b"key", |key, value, state| (counts(key, value, state), inner()));
        assert_eq!(seen, Some((outside, Some(outside))));
        shard.for_each(|key, value, state| {
            assert_eq!(counts(key, value, state), outside);
            ControlFlow::Continue(())
        });
    });
}

/// Head and state of an entry stay together, in every copy that a shard may have, while others come and go.
pub fn heads_stay_with_their_states<B: Backend>() {
    hold::<B>(|fresh| {
        let shard = fresh.backend.shard::<String, Arc<str>, String>(fresh.capacity);
        let insert = |i: u64, name: &str| shard.insert_new(hash(name), name.to_owned(), name.into(), i.to_string());
        let check = |i: u64, name: &str| {
            let seen = shard.with(hash(name), name.as_bytes(), |key, value, state| {
                (key == name, &**value == name, *state == i.to_string())
            });
            assert_eq!(seen, Some((true, true, true)), "entry {i}");
        };
        let names: Vec<String> = (0..500).map(|i| format!("name-{i}")).collect();
        for (i, name) in (0..).zip(&names) {
            assert!(insert(i, name).is_ok());
            // Looked at after every write, so that each copy has its turn.
            check(i, name);
            check(i / 2, &names[i as usize / 2]);
        }
        let Err(Occupied(value, state)) = insert(9, &names[0]) else { panic!("two entries under one key") };
        assert_eq!((&*value, &*state), (&*names[0], "9"));
        for (i, name) in (0..).zip(&names).step_by(2) {
            let owned = |_: &String, value: &Arc<str>, state: &String| **value == **name && *state == i.to_string();
            assert!(shard.remove_if(hash(name), name.as_bytes(), owned));
            check(i + 1, &names[i as usize + 1]);
        }
    });
}

/// A value that changes itself is one object to all threads: no change is lost while neighbours come and go and the
/// shard grows.
pub fn every_reader_sees_the_same_object<B: Backend>() {
    const READERS: u64 = 3;
    const CHANGES: u64 = 3_000;
    hold::<B>(|fresh| {
        let shard = fresh.shard::<AtomicU64>();
        shard.put("counter", AtomicU64::new(0));
        thread::scope(|scope| {
            let readers: Vec<_> = (0..READERS)
                .map(|_| {
                    scope.spawn(|| {
                        for _ in 0..CHANGES {
                            shard
                                .read("counter", |counter| counter.fetch_add(1, Ordering::Relaxed))
                                .expect("it is there");
                        }
                    })
                })
                .collect();
            let mut i = 0;
            while i < 1_000 || !readers.iter().all(|reader| reader.is_finished()) {
                shard.put(&format!("neighbour {i}"), AtomicU64::new(0));
                if i % 3 == 0 {
                    shard.delete(&format!("neighbour {i}"));
                }
                i += 1;
            }
        });
        assert_eq!(shard.read("counter", |counter| counter.load(Ordering::Relaxed)), Some(READERS * CHANGES));
        let mut visited = None;
        shard.for_each(|key, _, counter| match key.as_str() {
            "counter" => {
                visited = Some(counter.load(Ordering::Relaxed));
                ControlFlow::Break(())
            }
            _ => ControlFlow::Continue(()),
        });
        assert_eq!(visited, Some(READERS * CHANGES));
        assert!(shard.remove("counter", |counter| counter.load(Ordering::Relaxed) == READERS * CHANGES));
    });
}

/// The closures of `with` and `for_each` may read the same shard and another one, in any way.
pub fn reads_nest<B: Backend>() {
    hold::<B>(|fresh| {
        let [one, two] = [fresh.shard::<u64>(), fresh.shard::<u64>()];
        one.put("key", 1);
        one.put("neighbour", 2);
        two.put("key", 3);
        let read_all = || {
            let mut visited = 0;
            for shard in [&one, &two] {
                shard.for_each(|key, _, value| {
                    assert_eq!(shard.read(key, |inner| inner == value), Some(true));
                    visited += value;
                    ControlFlow::Continue(())
                });
                assert!(!shard.has("absent"));
                assert!(!shard.is_empty());
            }
            assert_eq!(visited, 6);
        };
        assert_eq!(one.read("key", |_| two.read("key", |_| one.read("key", |_| read_all()))), Some(Some(Some(()))));
        one.for_each(|_, _, _| {
            read_all();
            ControlFlow::Continue(())
        });
    });
}

/// A read inside a read returns although a writer waits for the outer one to end.
pub fn reads_nest_while_a_writer_waits<B: Backend>() {
    hold::<B>(|fresh| {
        let [one, two] = [fresh.shard::<u64>(), fresh.shard::<u64>()];
        for shard in [&one, &two] {
            shard.put("key", 1);
            // The write after the next one is the first that may have to wait for a reader who is in by then.
            shard.put("other", 1);
        }
        for round in 0..50 {
            let inside = Barrier::new(2);
            thread::scope(|scope| {
                scope.spawn(|| {
                    inside.wait();
                    for shard in [&one, &two] {
                        shard.put("come", round);
                        shard.delete("come");
                    }
                });
                one.read("key", |_| {
                    two.read("key", |_| {
                        inside.wait();
                        // Nobody can tell from outside that the writer waits, so give it some time to begin to.
                        for _ in 0..100 {
                            thread::yield_now();
                        }
                        assert!(one.has("key") && two.has("key"));
                        assert!(!one.has("absent") && one.len() >= 2);
                    })
                });
            });
        }
    });
}

/// While one thread stays inside a read, others read the same key and all else; and if a writer waits for the first,
/// those still do who have read before, at the latest when they have let the writer go first for a while.
pub fn a_read_does_not_wait_for_other_readers<B: Backend>() {
    hold::<B>(|fresh| {
        let shard = fresh.shard::<u64>();
        shard.put("key", 1);
        shard.put("other", 2);
        let read_all = || {
            assert_eq!(shard.read("key", |value| *value), Some(1));
            assert_eq!(shard.read("other", |value| *value), Some(2));
            let mut visited = 0;
            shard.for_each(|_, _, _| {
                visited += 1;
                ControlFlow::Continue(())
            });
            assert!(visited >= 2 && shard.len() >= 2);
        };
        let (inside, check_write) = (Barrier::new(2), Barrier::new(2));
        thread::scope(|scope| {
            let (leave, stay) = mpsc::channel::<()>();
            let (shard, inside, check_write) = (&shard, &inside, &check_write);
            scope.spawn(move || {
                shard.read("key", |_| {
                    inside.wait();
                    // Ends when `leave` is dropped, if only by a panic.
                    stay.recv().ok();
                })
            });
            inside.wait();
            read_all();
            // A new thread each time: a first read must not wait either, as long as no writer does.
            for _ in 0..10 {
                scope.spawn(read_all).join().expect("it reads");
            }
            scope.spawn(move || {
                check_write.wait();
                shard.put("come", 3);
                shard.delete("come");
            });
            check_write.wait();
            // Nobody can tell from outside that the writer waits, so give it some time to begin to.
            for _ in 0..100 {
                thread::yield_now();
            }
            for _ in 0..3 {
                read_all();
            }
            drop(leave);
        });
    });
}

/// A hundred threads, one after another and some at once, each read once and end.
pub fn threads_that_come_and_go_can_read<B: Backend>() {
    hold::<B>(|fresh| {
        let shard = fresh.shard::<u64>();
        for i in 0..25 {
            shard.put(&format!("key {i}"), i);
            thread::scope(|scope| {
                for _ in 0..4 {
                    scope.spawn(|| assert_eq!(shard.read(&format!("key {i}"), |value| *value), Some(i)));
                }
            });
        }
    });
}

/// After a panic in the closure of a read, the shard is as it was, and can be read and written by all threads.
pub fn a_panicking_read_leaves_the_shard_usable<B: Backend>() {
    hold::<B>(|fresh| {
        let shard = fresh.shard::<u64>();
        shard.put("key", 1);
        for i in 0..3 {
            assert!(panics(|| shard.read("key", |_| panic!("on purpose"))));
            assert!(panics(|| shard.for_each(|_, _, _| panic!("on purpose"))));
            assert_eq!(shard.read("key", |value| *value), Some(1));
            thread::scope(|scope| {
                scope.spawn(|| {
                    assert_eq!(shard.len(), 1);
                    shard.put("other", i);
                    shard.delete("other");
                    assert!(shard.has("key"));
                });
            });
        }
    });
}
