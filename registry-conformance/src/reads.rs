//! Reads of one entry by `with`, and nested reads.

use std::ops::ControlFlow;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Barrier, mpsc};
use std::thread;

use registry_core::{Backend, Occupied, Shard};

use crate::{ShardExt, hash, panics, run};

/// A read of an absent key returns `None` and does not call the closure: in an empty shard, beside other entries, and
/// after a removal.
pub fn reading_an_absent_key_returns_none<B: Backend>() {
    run::<B>(|setup| {
        let shard = setup.shard::<u64>();
        let read_absent = || assert_eq!(shard.read("absent", |value| panic!("found {value}")), None::<()>);
        read_absent();
        shard.put("present", 1);
        read_absent();
        shard.put("absent", 2);
        shard.delete("absent");
        read_absent();
    });
}

/// Each of 10,000 entries is found under its key, while the shard grows and afterwards.
pub fn inserted_entries_are_readable<B: Backend>() {
    run::<B>(|setup| {
        let shard = setup.shard::<u64>();
        for i in 0..10_000 {
            let key = format!("key {i}");
            shard.put(&key, i);
            assert_eq!(shard.read(&key, |value| *value), Some(i));
        }
        for i in 0..10_000 {
            assert_eq!(shard.read(&format!("key {i}"), |value| *value), Some(i));
            assert!(!shard.contains(&format!("other {i}")));
        }
    });
}

/// The reference counts of value and state do not change inside a read, nor inside a nested read.
pub fn reads_do_not_touch_reference_counts<B: Backend>() {
    run::<B>(|setup| {
        let shard = setup.backend.shard::<String, Arc<()>, Arc<()>>(setup.capacity);
        let (value, state) = (Arc::new(()), Arc::new(()));
        assert!(shard.insert_new(hash("key"), "key".to_owned(), value.clone(), state.clone()).is_ok());
        // A shard may have several copies of a value, but only one state.
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

/// Value and state of an entry stay together in every copy that a shard may keep, while other entries are inserted and
/// removed.
pub fn values_stay_paired_with_their_states<B: Backend>() {
    run::<B>(|setup| {
        let shard = setup.backend.shard::<String, Arc<str>, String>(setup.capacity);
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
            // Checked after every write, so that each copy of the table is read.
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

/// All threads share one state: no change through it is lost while other entries are inserted and removed and the shard
/// grows.
pub fn all_readers_share_one_state<B: Backend>() {
    const READERS: u64 = 3;
    const CHANGES: u64 = 3_000;
    run::<B>(|setup| {
        let shard = setup.shard::<AtomicU64>();
        shard.put("counter", AtomicU64::new(0));
        thread::scope(|scope| {
            let readers: Vec<_> = (0..READERS)
                .map(|_| {
                    scope.spawn(|| {
                        for _ in 0..CHANGES {
                            shard
                                .read("counter", |counter| counter.fetch_add(1, Ordering::Relaxed))
                                .expect("the entry is present");
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

/// The closures of `with` and `for_each` may read the same shard and another one, nested in any way.
pub fn reads_can_nest<B: Backend>() {
    run::<B>(|setup| {
        let [one, two] = [setup.shard::<u64>(), setup.shard::<u64>()];
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
                assert!(!shard.contains("absent"));
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

/// A nested read returns although a writer waits for the outer read to end.
pub fn reads_can_nest_while_a_writer_waits<B: Backend>() {
    run::<B>(|setup| {
        let [one, two] = [setup.shard::<u64>(), setup.shard::<u64>()];
        for shard in [&one, &two] {
            shard.put("key", 1);
            // The second write from here is the first one that may wait for a reader that is active by then.
            shard.put("other", 1);
        }
        for round in 0..50 {
            let inside = Barrier::new(2);
            thread::scope(|scope| {
                scope.spawn(|| {
                    inside.wait();
                    for shard in [&one, &two] {
                        shard.put("temporary", round);
                        shard.delete("temporary");
                    }
                });
                one.read("key", |_| {
                    two.read("key", |_| {
                        inside.wait();
                        // A waiting writer cannot be observed from outside, so yield a number of times.
                        for _ in 0..100 {
                            thread::yield_now();
                        }
                        assert!(one.contains("key") && two.contains("key"));
                        assert!(!one.contains("absent") && one.len() >= 2);
                    })
                });
            });
        }
    });
}

/// While one thread stays inside a read, other threads can read the same key and all others. If a writer waits for the
/// first thread, threads that have read the shard before still can, at the latest when their backoff in favour of the
/// writer has timed out.
pub fn reads_do_not_wait_for_other_readers<B: Backend>() {
    run::<B>(|setup| {
        let shard = setup.shard::<u64>();
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
        let (inside, about_to_write) = (Barrier::new(2), Barrier::new(2));
        thread::scope(|scope| {
            let (leave, stay) = mpsc::channel::<()>();
            let (shard, inside, about_to_write) = (&shard, &inside, &about_to_write);
            scope.spawn(move || {
                shard.read("key", |_| {
                    inside.wait();
                    // Ends when `leave` is dropped, also by a panic.
                    stay.recv().ok();
                })
            });
            inside.wait();
            read_all();
            // A new thread each time: a first read must not wait either, as long as no writer waits.
            for _ in 0..10 {
                scope.spawn(read_all).join().expect("the reader does not panic");
            }
            scope.spawn(move || {
                about_to_write.wait();
                shard.put("temporary", 3);
                shard.delete("temporary");
            });
            about_to_write.wait();
            // A waiting writer cannot be observed from outside, so yield a number of times.
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

/// A hundred threads, four at a time, each read once and end.
pub fn short_lived_threads_can_read<B: Backend>() {
    run::<B>(|setup| {
        let shard = setup.shard::<u64>();
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

/// After a panic in the closure of a read the shard is unchanged, and all threads can read and write it.
pub fn panic_in_read_leaves_shard_usable<B: Backend>() {
    run::<B>(|setup| {
        let shard = setup.shard::<u64>();
        shard.put("key", 1);
        for i in 0..3 {
            assert!(panics(|| shard.read("key", |_| panic!("intended"))));
            assert!(panics(|| shard.for_each(|_, _, _| panic!("intended"))));
            assert_eq!(shard.read("key", |value| *value), Some(1));
            thread::scope(|scope| {
                scope.spawn(|| {
                    assert_eq!(shard.len(), 1);
                    shard.put("other", i);
                    shard.delete("other");
                    assert!(shard.contains("key"));
                });
            });
        }
    });
}
