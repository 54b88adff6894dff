//! Concurrent writes, starvation of writers, and the contention counter.

use std::convert::Infallible;
use std::ops::ControlFlow;
use std::sync::Barrier;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::thread;

use registry_core::{Backend, Shard};

use crate::drops::DropCounts;
use crate::{ShardExt, hash, run};

const THREADS: usize = 4;
const ROUNDS: usize = 500;

/// Of several threads that insert under one absent key concurrently, exactly one succeeds, and its state is in the
/// shard.
pub fn concurrent_inserts_have_one_winner<B: Backend>() {
    run::<B>(|setup| {
        let shard = setup.shard::<usize>();
        let outcomes = race(|id, key| shard.insert(key, id).map_err(|occupied| occupied.1));
        for (key, outcomes) in outcomes {
            let winners: Vec<_> = (0..THREADS).filter(|thread| outcomes[*thread].is_ok()).collect();
            assert_eq!(winners.len(), 1, "winners of `{key}`");
            assert_eq!(shard.read(&key, |value| *value), Some(winners[0]));
            for (thread, outcome) in outcomes.into_iter().enumerate() {
                assert_eq!(outcome.err().unwrap_or(thread), thread, "the state of another thread was returned");
            }
        }
        assert_eq!(shard.len(), ROUNDS);
    });
}

/// While `complete` runs for one thread, no other thread inserts under the key with a later number, so the numbers
/// observed under one key never decrease.
pub fn complete_calls_for_one_key_follow_insertion_order<B: Backend>() {
    run::<B>(|setup| {
        let shard = setup.backend.shard::<String, u64, ()>(setup.capacity);
        let (next, last_owner) = (AtomicU64::new(1), AtomicU64::new(0));
        // Inserts under the key with the next number, calls `then` inside `complete`, and removes the entry again.
        let take = |then: &dyn Fn()| {
            let taken = shard.insert_new_with(hash("key"), "key".to_owned(), 0, (), |values| {
                values.fill(next.fetch_add(1, Ordering::Relaxed));
                then();
                Ok::<_, Infallible>(())
            });
            if taken.is_ok() {
                let number = shard.with(hash("key"), b"key", |_, number, ()| *number).expect("the entry is present");
                let before = last_owner.fetch_max(number, Ordering::Relaxed);
                assert!(before < number, "{number} after {before}");
                assert!(shard.remove_if(hash("key"), b"key", |_, _, ()| true), "no other thread removes it");
            }
        };
        for _ in 0..20 {
            let (number_taken, rival_done) = (Barrier::new(2), AtomicBool::new(false));
            thread::scope(|scope| {
                scope.spawn(|| {
                    number_taken.wait();
                    take(&|| ());
                    rival_done.store(true, Ordering::Release);
                });
                take(&|| {
                    number_taken.wait();
                    // A waiting rival cannot be observed from outside, so give it time to overtake, if it can.
                    for _ in 0..50 {
                        if rival_done.load(Ordering::Acquire) {
                            break;
                        }
                        thread::yield_now();
                    }
                });
            });
        }
        assert!(next.into_inner() > 20, "each round inserts an entry");
    });
}

/// Of several threads that remove one entry concurrently, exactly one call returns `true`; and once a predicate has
/// returned `true`, the entry is gone when that call returns.
pub fn concurrent_removals_have_one_winner<B: Backend>() {
    run::<B>(|setup| {
        let shard = setup.shard::<()>();
        for round in 0..ROUNDS {
            shard.put(&round.to_string(), ());
        }
        let outcomes = race(|_, key| {
            let mut called = false;
            let removed = shard.remove(key, |()| {
                called = true;
                true
            });
            (removed, called, shard.contains(key))
        });
        for (key, outcomes) in outcomes {
            assert_eq!(outcomes.iter().filter(|(removed, ..)| *removed).count(), 1, "winners of `{key}`");
            for (removed, called, present) in outcomes {
                assert!(called || !removed, "`{key}` was removed without a call of the predicate");
                assert!(!present, "`{key}` is still present");
            }
        }
        assert!(shard.is_empty());
    });
}

/// While readers overlap so that the shard is never idle, a write completes after a few further reads of each thread.
pub fn readers_do_not_starve_writers<B: Backend>() {
    const READERS: usize = 6;
    /// The maximum number of reads of one thread while one write waits. It is large because the thread of the writer
    /// may not be scheduled for a while.
    const MAX_READS_PER_WRITE: usize = 4_000;
    /// The number of reads after which a reader stops, if no write completes at all.
    const READ_LIMIT: usize = 20_000;
    run::<B>(|setup| {
        let shard = setup.shard::<u64>();
        shard.put("key", 1);
        let (done, reads) = (AtomicBool::new(false), [const { AtomicUsize::new(0) }; READERS]);
        let all_reads = || reads.each_ref().map(|reads| reads.load(Ordering::Acquire));
        thread::scope(|scope| {
            for reads in &reads {
                scope.spawn(|| {
                    while !done.load(Ordering::Acquire) && reads.load(Ordering::Relaxed) < READ_LIMIT {
                        shard.read("key", |_| {
                            reads.fetch_add(1, Ordering::Release);
                            // Lets other threads run, readers that are about to start among them, but not for so long
                            // that the backoff of a reader times out.
                            for _ in 0..3 {
                                thread::yield_now();
                            }
                            // A nested read does not wait for a writer that waits for the outer read.
                            assert!(shard.contains("key"));
                        });
                    }
                });
            }
            let mut waited = Vec::new();
            for write in 0..10 {
                while all_reads().iter().any(|reads| *reads <= write) {
                    thread::yield_now();
                }
                let before = all_reads();
                shard.put("temporary", 1);
                waited.push(all_reads().iter().zip(before).map(|(after, before)| after - before).max());
                shard.delete("temporary");
            }
            done.store(true, Ordering::Release);
            assert!(
                waited.iter().all(|reads| *reads <= Some(MAX_READS_PER_WRITE)),
                "further reads of one thread: {waited:?}"
            );
        });
    });
}

/// The contention counter stays at zero while one thread uses the shard, and is incremented by a second writer while
/// that writer still waits, if the backend counts contention.
pub fn contention_is_counted_during_the_wait<B: Backend>() {
    run::<B>(|setup| {
        let shard = setup.shard::<u64>();
        let contention = || shard.contention().map(|figure| figure.count);
        shard.put("key", 1);
        shard.put("other", 1);
        shard.delete("other");
        assert!(shard.contains("key") && shard.len() == 1);
        let Some(uncontended) = contention() else { return };
        assert_eq!(uncontended, 0);
        let (in_predicate, replaced) = (Barrier::new(2), AtomicBool::new(false));
        thread::scope(|scope| {
            scope.spawn(|| {
                in_predicate.wait();
                shard.remove("key", |_| true);
                // The other removal may come later, so the insertion may fail.
                let _ = shard.insert("key", 2);
                replaced.store(true, Ordering::Release);
            });
            let mut first = true;
            shard.remove("key", |_| {
                if std::mem::take(&mut first) {
                    in_predicate.wait();
                    // The other thread waits for this removal, or overtakes it.
                    while contention() == Some(0) && !replaced.load(Ordering::Acquire) {
                        thread::yield_now();
                    }
                }
                true
            });
        });
        assert!(contention() > Some(0), "the writers contended");
    });
}

/// Threads of two teams insert and remove under a few keys concurrently, and each removes only states of its team:
/// exactly the entries for which a predicate returned `true` are removed, and each state is dropped exactly once.
pub fn concurrent_inserts_and_removals_lose_and_duplicate_nothing<B: Backend>() {
    const CALLS: usize = 2_000;
    const KEYS: usize = 3;
    const TEAMS: usize = 2;
    run::<B>(|setup| {
        let team = |number: usize| number % TEAMS;
        let shard = setup.shard();
        let counts = DropCounts::new(THREADS * CALLS);
        let barrier = Barrier::new(THREADS);
        let present = [const { AtomicUsize::new(0) }; TEAMS];
        thread::scope(|scope| {
            for id in 0..THREADS {
                let (shard, counts, barrier, present) = (&shard, &counts, &barrier, &present[team(id)]);
                scope.spawn(move || {
                    barrier.wait();
                    for call in 0..CALLS {
                        // Each thread visits the keys in a different order.
                        let key = (call * (id + 1) % KEYS).to_string();
                        if shard.insert(&key, counts.counted(call * THREADS + id)).is_ok() {
                            present.fetch_add(1, Ordering::Relaxed);
                            continue;
                        }
                        let removed = shard.remove(&key, |value| {
                            // Lets other threads run between decision and removal.
                            thread::yield_now();
                            team(value.number) == team(id)
                        });
                        present.fetch_sub(usize::from(removed), Ordering::Relaxed);
                    }
                });
            }
        });
        let mut visited = [0; TEAMS];
        shard.for_each(|_, _, value| {
            visited[team(value.number)] += 1;
            ControlFlow::Continue(())
        });
        assert_eq!(visited, present.map(AtomicUsize::into_inner));
        assert_eq!(visited.iter().sum::<usize>(), shard.len());
        drop(shard);
        drop(setup);
        counts.check();
    });
}

/// Runs a call for the same key on several threads concurrently, for one key after another, and returns the results by
/// key and thread.
///
/// The caller checks the results afterwards, because a thread that panics would leave the others waiting for it.
fn race<R: Send>(call: impl Fn(usize, &str) -> R + Sync) -> Vec<(String, Vec<R>)> {
    let barrier = Barrier::new(THREADS);
    let mut outcomes: Vec<_> = (0..ROUNDS).map(|round| (round.to_string(), Vec::new())).collect();
    thread::scope(|scope| {
        let threads: Vec<_> = (0..THREADS)
            .map(|id| {
                let (call, barrier) = (&call, &barrier);
                scope.spawn(move || {
                    let one = |round: usize| {
                        barrier.wait();
                        call(id, &round.to_string())
                    };
                    (0..ROUNDS).map(one).collect::<Vec<_>>()
                })
            })
            .collect();
        for thread in threads {
            for (all, one) in outcomes.iter_mut().zip(thread.join().expect("the call does not panic")) {
                all.1.push(one);
            }
        }
    });
    outcomes
}
