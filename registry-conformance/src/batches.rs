//! Reads of several entries by `with_each`.

use std::cell::Cell;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Barrier, mpsc};
use std::thread;

use registry_core::{Backend, Batch, MAX_BATCH, ReadRequest, Shard, State};

use crate::{ShardExt, hash, panics, run};

/// Requests are answered in order, each in one batch: present and absent keys, repeated keys, and keys of several
/// shards, in any number; and no batch exceeds [`MAX_BATCH`].
pub fn with_each_preserves_request_order<B: Backend>() {
    run::<B>(|setup| {
        let shards = [(); 3].map(|()| setup.shard::<u64>());
        let keys: Vec<String> = (0..300).map(|i| format!("key {i}")).collect();
        for (i, key) in (0..).zip(&keys) {
            // Every fourth key is in no shard, and the first key is in all shards.
            if i % 4 != 3 {
                shards[i as usize % 3].put(key, i);
            }
        }
        shards[1].put(&keys[0], 1_000);
        shards[2].put(&keys[0], 2_000);
        for length in [0, 1, 2, MAX_BATCH - 1, MAX_BATCH, MAX_BATCH + 1, 100, 1_000] {
            // Runs of requests to one shard, and requests that alternate between shards.
            let requested: Vec<(usize, usize)> = (0..length).map(|n| (n / (1 + n / 40) % 3, n * 7 % 300)).collect();
            let expected: Vec<Option<u64>> = requested
                .iter()
                .map(|&(shard, key)| match (shard, key) {
                    (_, 0) => Some(shard as u64 * 1_000),
                    _ => (key % 4 != 3 && key % 3 == shard).then_some(key as u64),
                })
                .collect();
            let requested: Vec<_> = requested.iter().map(|&(shard, key)| (&shards[shard], &*keys[key])).collect();
            let seen = read_each(&requested, |value: &u64| *value);
            assert_eq!(seen, expected, "of {length}");
        }
    });
}

/// A call observes every insertion and removal that returned before it, and of two successive calls the later one never
/// observes an older state, while another thread writes.
pub fn with_each_reads_are_not_stale<B: Backend>() {
    const ROUNDS: u64 = 300;
    run::<B>(|setup| {
        let shards = [(); 2].map(|()| setup.shard::<u64>());
        let done = AtomicBool::new(false);
        let requested = [(&shards[0], "a"), (&shards[1], "a"), (&shards[0], "removed"), (&shards[0], "b")];
        thread::scope(|scope| {
            scope.spawn(|| {
                for round in 1..=ROUNDS {
                    for shard in &shards {
                        shard.put("a", round);
                        shard.put("removed", round);
                        shard.delete("removed");
                        let seen = read_each(&requested, |value| *value);
                        let others = (seen[2], seen[3]);
                        assert_eq!(others, (None, None), "removed before the call, or never inserted");
                        assert!(seen.contains(&Some(round)), "inserted before the call");
                        shard.delete("a");
                    }
                }
                done.store(true, Ordering::Release);
            });
            let mut last = [0; 2];
            while !done.load(Ordering::Acquire) {
                let seen = read_each(&requested, |value| *value);
                for (last, seen) in last.iter_mut().zip(seen) {
                    let seen = seen.unwrap_or(*last);
                    assert!(*last <= seen, "{seen} after {last}");
                    *last = seen;
                }
            }
        });
    });
}

/// The reference counts of value and state do not change while a batch is read.
pub fn with_each_does_not_touch_reference_counts<B: Backend>() {
    run::<B>(|setup| {
        let shard = setup.backend.shard::<String, Arc<()>, Arc<()>>(setup.capacity);
        let (value, state) = (Arc::new(()), Arc::new(()));
        assert!(shard.insert_new(hash("key"), "key".to_owned(), value.clone(), state.clone()).is_ok());
        let outside = (Arc::strong_count(&value), Arc::strong_count(&state));
        let requested = ReadRequest { shard: &shard, hash: hash("key"), key: b"key" };
        let mut seen = 0;
        Shard::with_each(&[requested; 3], |_, batch: &Batch<'_, String, Arc<()>, Arc<()>>| {
            for (_, value, state) in batch.iter().flatten() {
                assert_eq!((Arc::strong_count(value), Arc::strong_count(state)), outside);
                seen += 1;
            }
        });
        assert_eq!(seen, 3);
    });
}

/// All readers receive references to the same state, so no change through them is lost.
pub fn with_each_readers_share_one_state<B: Backend>() {
    run::<B>(|setup| {
        let shard = setup.shard::<AtomicU64>();
        shard.put("counter", AtomicU64::new(0));
        thread::scope(|scope| {
            for _ in 0..3 {
                scope.spawn(|| {
                    for _ in 0..500 {
                        read_each(&[(&shard, "counter"); 2], |counter: &AtomicU64| {
                            counter.fetch_add(1, Ordering::Relaxed)
                        });
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

/// Inside a batch, other entries can be read by `with` and `with_each`, even while writers wait.
pub fn with_each_can_nest_while_writers_wait<B: Backend>() {
    run::<B>(|setup| {
        let [one, two] = [setup.shard::<u64>(), setup.shard::<u64>()];
        for shard in [&one, &two] {
            shard.put("key", 1);
            shard.put("other", 1);
        }
        let requested = [(&one, "key"), (&two, "key"), (&one, "absent")];
        for round in 0..10 {
            let inside = Barrier::new(2);
            thread::scope(|scope| {
                scope.spawn(|| {
                    inside.wait();
                    for shard in [&one, &two] {
                        shard.put("temporary", round);
                        shard.delete("temporary");
                    }
                });
                one.read("other", |_| {
                    let first_batch = Cell::new(true);
                    let outer = read_each_then(
                        &requested,
                        |value| *value,
                        |_| {
                            if first_batch.replace(false) {
                                inside.wait();
                                // A waiting writer cannot be observed from outside, so yield a number of times.
                                for _ in 0..100 {
                                    thread::yield_now();
                                }
                            }
                            assert!(one.contains("key") && two.contains("other"));
                            assert_eq!(read_each(&requested, |value| *value), [Some(1), Some(1), None]);
                        },
                    );
                    assert_eq!(outer, [Some(1), Some(1), None]);
                });
            });
        }
    });
}

/// The first `with_each` of a thread may wait for a writer of one shard; meanwhile it blocks no writer of another
/// shard.
pub fn first_with_each_holds_no_shard_while_waiting<B: Backend>() {
    run::<B>(|setup| {
        let [one, two] = [(); 2].map(|()| setup.shard::<u64>());
        for shard in [&one, &two] {
            shard.put("key", 1);
        }
        // A waiting thread cannot be observed from outside, so yield a number of times.
        let yield_many = || (0..200).for_each(|_| thread::yield_now());
        let write_twice = |shard: &B::Shard<String, (), u64>| {
            // At the latest the second write waits for the current readers.
            shard.put("temporary", 1);
            shard.delete("temporary");
        };
        let inside = Barrier::new(2);
        thread::scope(|scope| {
            let (leave, stay) = mpsc::channel::<()>();
            let (one, two, inside) = (&one, &two, &inside);
            scope.spawn(move || {
                one.read("key", |_| {
                    inside.wait();
                    // Ends when `leave` is dropped, also by a panic.
                    stay.recv().ok();
                })
            });
            inside.wait();
            scope.spawn(move || write_twice(one));
            yield_many();
            let seen = scope.spawn(move || read_each(&[(two, "key"), (one, "key")], |value| *value));
            yield_many();
            scope.spawn(move || write_twice(two)).join().expect("the writer does not panic");
            drop(leave);
            assert_eq!(seen.join().expect("the reader does not panic"), [Some(1), Some(1)]);
        });
    });
}

/// Shards of an earlier batch can be written while a later batch is read.
pub fn with_each_releases_shards_between_batches<B: Backend>() {
    run::<B>(|setup| {
        let [one, two] = [(); 2].map(|()| setup.shard::<u64>());
        for shard in [&one, &two] {
            shard.put("key", 1);
        }
        let requested = [[(&one, "key"); MAX_BATCH], [(&two, "key"); MAX_BATCH]].concat();
        let seen = read_each_then(
            &requested,
            |value| *value,
            |first| {
                // A batch that starts here is of the second shard, whatever its length.
                if first >= MAX_BATCH {
                    thread::scope(|scope| {
                        scope.spawn(|| {
                            one.put("temporary", 1);
                            one.delete("temporary");
                        });
                    });
                }
            },
        );
        assert!(seen.iter().all(|seen| *seen == Some(1)));
    });
}

/// After a panic inside a batch the shards are unchanged, and all threads can read and write them.
pub fn panic_in_with_each_leaves_shards_usable<B: Backend>() {
    run::<B>(|setup| {
        let shards = [(); 2].map(|()| setup.shard::<u64>());
        for shard in &shards {
            shard.put("key", 1);
        }
        let requested = [(&shards[0], "key"), (&shards[1], "key"), (&shards[1], "absent")];
        for i in 0..3 {
            assert!(panics(|| read_each_then(&requested, |value| *value, |_| panic!("intended"))));
            thread::scope(|scope| {
                scope.spawn(|| {
                    for shard in &shards {
                        assert_eq!(shard.len(), 1);
                        shard.put("other", i);
                        shard.delete("other");
                    }
                    assert_eq!(read_each(&requested, |value| *value), [Some(1), Some(1), None]);
                });
            });
        }
    });
}

/// Reads the requested entries and returns the results in the order in which they were passed to `read`.
fn read_each<S: State, T: Shard<String, (), S>, R>(requested: &[(&T, &str)], read: impl Fn(&S) -> R) -> Vec<Option<R>> {
    read_each_then(requested, read, |_| ())
}

/// As [`read_each`], and calls `then` at the end of each batch, inside it, with the index at which the batch starts.
fn read_each_then<S: State, T: Shard<String, (), S>, R>(
    requested: &[(&T, &str)],
    read: impl Fn(&S) -> R,
    then: impl Fn(usize),
) -> Vec<Option<R>> {
    let requests: Vec<_> = requested
        .iter()
        .map(|(shard, key)| ReadRequest { shard: *shard, hash: hash(key), key: key.as_bytes() })
        .collect();
    let mut seen = Vec::with_capacity(requested.len());
    Shard::with_each(&requests, |first, batch: &Batch<'_, String, (), S>| {
        assert!(!batch.is_empty() && batch.len() <= MAX_BATCH, "a batch of {}", batch.len());
        assert_eq!(first, seen.len(), "the start of a batch");
        for (entry, (_, key)) in batch.iter().zip(&requested[first..]) {
            seen.push(entry.map(|(found, (), state)| {
                assert_eq!(found, key, "the entry of another key");
                read(state)
            }));
        }
        then(first);
    });
    assert_eq!(seen.len(), requested.len(), "every request is answered");
    seen
}
