//! Laws of `with_each`.

use std::cell::Cell;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Barrier, mpsc};
use std::thread;

use super::{Backend, Calls, hash, hold, panics};
use crate::shard::{Batch, MAX_BATCH, ReadRequest, Shard, State};

/// What is wanted is shown in its order, each in one run: what is there and what is not, keys that are wanted twice, and
/// keys of several shards, however many; and no run is longer than [`MAX_BATCH`].
pub fn a_read_of_many_shows_each_in_order<B: Backend>() {
    hold::<B>(|fresh| {
        let shards = [(); 3].map(|()| fresh.shard::<u64>());
        let keys: Vec<String> = (0..300).map(|i| format!("key {i}")).collect();
        for (i, key) in (0..).zip(&keys) {
            // Every fourth key is in no shard, and all shards have the first one.
            if i % 4 != 3 {
                shards[i as usize % 3].put(key, i);
            }
        }
        shards[1].put(&keys[0], 1_000);
        shards[2].put(&keys[0], 2_000);
        for length in [0, 1, 2, MAX_BATCH - 1, MAX_BATCH, MAX_BATCH + 1, 100, 1_000] {
            // Now the same shard for some in a row, now another each time.
            let wanted: Vec<(usize, usize)> = (0..length).map(|n| (n / (1 + n / 40) % 3, n * 7 % 300)).collect();
            let expected: Vec<Option<u64>> = wanted
                .iter()
                .map(|&(shard, key)| match (shard, key) {
                    (_, 0) => Some(shard as u64 * 1_000),
                    _ => (key % 4 != 3 && key % 3 == shard).then_some(key as u64),
                })
                .collect();
            let wanted: Vec<_> = wanted.iter().map(|&(shard, key)| (&shards[shard], &*keys[key])).collect();
            let shown = show(&wanted, |value: &u64| *value);
            assert_eq!(shown, expected, "of {length}");
        }
    });
}

/// What was written before the call is seen by it, and what was removed before is not; and of two calls the later never
/// shows the older state, while others write.
pub fn a_read_of_many_is_not_stale<B: Backend>() {
    const ROUNDS: u64 = 300;
    hold::<B>(|fresh| {
        let shards = [(); 2].map(|()| fresh.shard::<u64>());
        let done = AtomicBool::new(false);
        let wanted = [(&shards[0], "a"), (&shards[1], "a"), (&shards[0], "gone"), (&shards[0], "b")];
        thread::scope(|scope| {
            scope.spawn(|| {
                for round in 1..=ROUNDS {
                    for shard in &shards {
                        shard.put("a", round);
                        shard.put("gone", round);
                        shard.delete("gone");
                        let shown = show(&wanted, |value| *value);
                        let others = (shown[2], shown[3]);
                        assert_eq!(others, (None, None), "removed before the call, or never there");
                        assert!(shown.contains(&Some(round)), "written before the call");
                        shard.delete("a");
                    }
                }
                done.store(true, Ordering::Release);
            });
            let mut last = [0; 2];
            while !done.load(Ordering::Acquire) {
                let shown = show(&wanted, |value| *value);
                for (last, shown) in last.iter_mut().zip(shown) {
                    let shown = shown.unwrap_or(*last);
                    assert!(*last <= shown, "{shown} after {last}");
                    *last = shown;
                }
            }
        });
    });
}

/// A head and a state that count their references count none more while they are shown.
pub fn a_read_of_many_touches_no_reference_count<B: Backend>() {
    hold::<B>(|fresh| {
        let shard = fresh.backend.shard::<String, Arc<()>, Arc<()>>(fresh.capacity);
        let (value, state) = (Arc::new(()), Arc::new(()));
        assert!(shard.insert_new(hash("key"), "key".to_owned(), value.clone(), state.clone()).is_ok());
        let outside = (Arc::strong_count(&value), Arc::strong_count(&state));
        let wanted = ReadRequest { shard: &shard, hash: hash("key"), key: b"key" };
        let mut shown = 0;
        Shard::with_each(&[wanted; 3], |_, batch: &Batch<'_, String, Arc<()>, Arc<()>>| {
            for (_, value, state) in batch.iter().flatten() {
                assert_eq!((Arc::strong_count(value), Arc::strong_count(state)), outside);
                shown += 1;
            }
        });
        assert_eq!(shown, 3);
    });
}

/// A state that changes itself while it is shown is the one that all others see.
pub fn a_read_of_many_shows_the_same_objects<B: Backend>() {
    hold::<B>(|fresh| {
        let shard = fresh.shard::<AtomicU64>();
        shard.put("counter", AtomicU64::new(0));
        thread::scope(|scope| {
            for _ in 0..3 {
                scope.spawn(|| {
                    for _ in 0..500 {
                        show(&[(&shard, "counter"); 2], |counter: &AtomicU64| counter.fetch_add(1, Ordering::Relaxed));
                    }
                });
            }
            for i in 0..500 {
                shard.put(&format!("neighbour {i}"), AtomicU64::new(0));
            }
        });
        assert_eq!(shard.read("counter", |counter| counter.load(Ordering::Relaxed)), Some(3_000));
    });
}

/// While entries are shown, other entries can be read, one by one and many at once, although writers wait.
pub fn reads_of_many_nest_while_writers_wait<B: Backend>() {
    hold::<B>(|fresh| {
        let [one, two] = [fresh.shard::<u64>(), fresh.shard::<u64>()];
        for shard in [&one, &two] {
            shard.put("key", 1);
            shard.put("other", 1);
        }
        let wanted = [(&one, "key"), (&two, "key"), (&one, "absent")];
        for round in 0..10 {
            let inside = Barrier::new(2);
            thread::scope(|scope| {
                scope.spawn(|| {
                    inside.wait();
                    for shard in [&one, &two] {
                        shard.put("come", round);
                        shard.delete("come");
                    }
                });
                one.read("other", |_| {
                    let first_run = Cell::new(true);
                    let outer = show_then(
                        &wanted,
                        |value| *value,
                        |_| {
                            if first_run.replace(false) {
                                inside.wait();
                                // Nobody can tell from outside that the writer waits, so give it some time to begin to.
                                for _ in 0..100 {
                                    thread::yield_now();
                                }
                            }
                            assert!(one.has("key") && two.has("other"));
                            assert_eq!(show(&wanted, |value| *value), [Some(1), Some(1), None]);
                        },
                    );
                    assert_eq!(outer, [Some(1), Some(1), None]);
                });
            });
        }
    });
}

/// A thread whose first read is of many may have to wait for the writer of one shard; it then keeps no writer of another
/// one waiting.
pub fn a_first_read_of_many_holds_nothing_while_it_waits<B: Backend>() {
    hold::<B>(|fresh| {
        let [one, two] = [(); 2].map(|()| fresh.shard::<u64>());
        for shard in [&one, &two] {
            shard.put("key", 1);
        }
        // Nobody can tell from outside that another thread waits, so give it some time to begin to.
        let give_time = || (0..200).for_each(|_| thread::yield_now());
        let write_twice = |shard: &B::Shard<String, (), u64>| {
            // It is the second write at the latest that waits for whoever reads now.
            shard.put("come", 1);
            shard.delete("come");
        };
        let inside = Barrier::new(2);
        thread::scope(|scope| {
            let (leave, stay) = mpsc::channel::<()>();
            let (one, two, inside) = (&one, &two, &inside);
            scope.spawn(move || {
                one.read("key", |_| {
                    inside.wait();
                    // Ends when `leave` is dropped, if only by a panic.
                    stay.recv().ok();
                })
            });
            inside.wait();
            scope.spawn(move || write_twice(one));
            give_time();
            let shown = scope.spawn(move || show(&[(two, "key"), (one, "key")], |value| *value));
            give_time();
            scope.spawn(move || write_twice(two)).join().expect("it writes");
            drop(leave);
            assert_eq!(shown.join().expect("it reads"), [Some(1), Some(1)]);
        });
    });
}

/// What was read in an earlier run can be written while a later one is shown.
pub fn a_read_of_many_lets_go_between_runs<B: Backend>() {
    hold::<B>(|fresh| {
        let [one, two] = [(); 2].map(|()| fresh.shard::<u64>());
        for shard in [&one, &two] {
            shard.put("key", 1);
        }
        let wanted = [[(&one, "key"); MAX_BATCH], [(&two, "key"); MAX_BATCH]].concat();
        let shown = show_then(
            &wanted,
            |value| *value,
            |first| {
                // A run that begins here, however long, is of the second shard.
                if first >= MAX_BATCH {
                    thread::scope(|scope| {
                        scope.spawn(|| {
                            one.put("come", 1);
                            one.delete("come");
                        });
                    });
                }
            },
        );
        assert!(shown.iter().all(|shown| *shown == Some(1)));
    });
}

/// After a panic while entries are shown, the shards are as they were, and can be read and written by all threads.
pub fn a_panicking_read_of_many_leaves_the_shards_usable<B: Backend>() {
    hold::<B>(|fresh| {
        let shards = [(); 2].map(|()| fresh.shard::<u64>());
        for shard in &shards {
            shard.put("key", 1);
        }
        let wanted = [(&shards[0], "key"), (&shards[1], "key"), (&shards[1], "absent")];
        for i in 0..3 {
            assert!(panics(|| show_then(&wanted, |value| *value, |_| panic!("on purpose"))));
            thread::scope(|scope| {
                scope.spawn(|| {
                    for shard in &shards {
                        assert_eq!(shard.len(), 1);
                        shard.put("other", i);
                        shard.delete("other");
                    }
                    assert_eq!(show(&wanted, |value| *value), [Some(1), Some(1), None]);
                });
            });
        }
    });
}

/// What is read of each entry that is wanted, in the order in which they are shown.
fn show<V: State, T: Shard<String, (), V>, R>(wanted: &[(&T, &str)], read: impl Fn(&V) -> R) -> Vec<Option<R>> {
    show_then(wanted, read, |_| ())
}

/// The same, with something done at the end of each run, inside it, that is told where the run began.
fn show_then<V: State, T: Shard<String, (), V>, R>(
    wanted: &[(&T, &str)],
    read: impl Fn(&V) -> R,
    then: impl Fn(usize),
) -> Vec<Option<R>> {
    let asked: Vec<_> =
        wanted.iter().map(|(shard, key)| ReadRequest { shard: *shard, hash: hash(key), key: key.as_bytes() }).collect();
    let mut shown = Vec::with_capacity(wanted.len());
    Shard::with_each(&asked, |first, batch: &Batch<'_, String, (), V>| {
        assert!(!batch.is_empty() && batch.len() <= MAX_BATCH, "a run of {}", batch.len());
        assert_eq!(first, shown.len(), "where a run begins");
        for (seen, (_, key)) in batch.iter().zip(&wanted[first..]) {
            shown.push(seen.map(|(found, (), value)| {
                assert_eq!(found, key, "the entry of another key");
                read(value)
            }));
        }
        then(first);
    });
    assert_eq!(shown.len(), wanted.len(), "all are shown");
    shown
}
