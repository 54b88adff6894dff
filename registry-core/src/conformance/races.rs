//! Laws of writes that happen at once.

use std::convert::Infallible;
use std::ops::ControlFlow;
use std::sync::Barrier;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::thread;

use super::drops::Ledger;
use super::{Backend, Calls, hash, hold};
use crate::shard::Shard;

const THREADS: usize = 4;
const ROUNDS: usize = 500;

/// Of several threads that insert under one absent key at once, exactly one succeeds, and its value is the one that is
/// there.
pub fn exactly_one_of_many_wins<B: Backend>() {
    hold::<B>(|fresh| {
        let shard = fresh.shard::<usize>();
        let outcomes = at_once(|me, key| shard.insert(key, me).map_err(|occupied| occupied.1));
        for (key, outcomes) in outcomes {
            let winners: Vec<_> = (0..THREADS).filter(|thread| outcomes[*thread].is_ok()).collect();
            assert_eq!(winners.len(), 1, "winners of `{key}`");
            assert_eq!(shard.read(&key, |value| *value), Some(winners[0]));
            for (thread, outcome) in outcomes.into_iter().enumerate() {
                assert_eq!(outcome.err().unwrap_or(thread), thread, "the value of another one came back");
            }
        }
        assert_eq!(shard.len(), ROUNDS);
    });
}

/// While the head of one thread is being completed with a number, no other thread gets the key with a later number, so
/// the numbers that are seen under a key never fall.
pub fn heads_are_completed_in_the_order_of_their_entries<B: Backend>() {
    hold::<B>(|fresh| {
        let shard = fresh.backend.shard::<String, u64, ()>(fresh.capacity);
        let (next, owned_last) = (AtomicU64::new(1), AtomicU64::new(0));
        // Takes the key with the next number, does something before that is done, and gives the key up again.
        let take = |then: &dyn Fn()| {
            let taken = shard.insert_new_with(hash("key"), "key".to_owned(), 0, (), |values| {
                values.fill(next.fetch_add(1, Ordering::Relaxed));
                then();
                Ok::<_, Infallible>(())
            });
            if taken.is_ok() {
                let number = shard.with(hash("key"), b"key", |_, number, ()| *number).expect("it is there");
                let before = owned_last.fetch_max(number, Ordering::Relaxed);
                assert!(before < number, "{number} after {before}");
                assert!(shard.remove_if(hash("key"), b"key", |_, _, ()| true), "nobody else removes");
            }
        };
        for _ in 0..20 {
            let (drawn, rival_done) = (Barrier::new(2), AtomicBool::new(false));
            thread::scope(|scope| {
                scope.spawn(|| {
                    drawn.wait();
                    take(&|| ());
                    rival_done.store(true, Ordering::Release);
                });
                take(&|| {
                    drawn.wait();
                    // Nobody can tell from outside that the rival waits, so give it some time to get ahead, if it can.
                    for _ in 0..50 {
                        if rival_done.load(Ordering::Acquire) {
                            break;
                        }
                        thread::yield_now();
                    }
                });
            });
        }
        assert!(next.into_inner() > 20, "each round has a winner");
    });
}

/// Of several threads that remove one entry at once, exactly one is told that it did; and when `owned` has said true
/// to anyone, the entry is gone.
pub fn exactly_one_of_many_removes<B: Backend>() {
    hold::<B>(|fresh| {
        let shard = fresh.shard::<()>();
        for round in 0..ROUNDS {
            shard.put(&round.to_string(), ());
        }
        let outcomes = at_once(|_, key| {
            let mut asked = false;
            let removed = shard.remove(key, |()| {
                asked = true;
                true
            });
            (removed, asked, shard.has(key))
        });
        for (key, outcomes) in outcomes {
            assert_eq!(outcomes.iter().filter(|(removed, ..)| *removed).count(), 1, "winners of `{key}`");
            for (removed, asked, there) in outcomes {
                assert!(asked || !removed, "`{key}` was removed without a question");
                assert!(!there, "`{key}` is still there");
            }
        }
        assert!(shard.is_empty());
    });
}

/// While threads read all the time, so that there is always somebody in, writes get in after a few further reads of each.
pub fn a_write_gets_in_while_others_read<B: Backend>() {
    const READERS: usize = 6;
    /// More reads than this of one thread, while one write waits, are too many. The writer's thread may have no processor
    /// for a while.
    const FEW: usize = 4_000;
    /// At which a reader gives up, if no write gets in at all.
    const MANY: usize = 20_000;
    hold::<B>(|fresh| {
        let shard = fresh.shard::<u64>();
        shard.put("key", 1);
        let (done, reads) = (AtomicBool::new(false), [const { AtomicUsize::new(0) }; READERS]);
        let all_reads = || reads.each_ref().map(|reads| reads.load(Ordering::Acquire));
        thread::scope(|scope| {
            for reads in &reads {
                scope.spawn(|| {
                    while !done.load(Ordering::Acquire) && reads.load(Ordering::Relaxed) < MANY {
                        shard.read("key", |_| {
                            reads.fetch_add(1, Ordering::Release);
                            // Others run meanwhile, those among them that begin to read; but not for so long that
                            // anybody loses patience.
                            for _ in 0..3 {
                                thread::yield_now();
                            }
                            // What is read inside this does not wait for a writer that waits for this.
                            assert!(shard.has("key"));
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
                shard.put("come", 1);
                waited.push(all_reads().iter().zip(before).map(|(after, before)| after - before).max());
                shard.delete("come");
            }
            done.store(true, Ordering::Release);
            assert!(waited.iter().all(|reads| *reads <= Some(FEW)), "further reads of one thread: {waited:?}");
        });
    });
}

/// A shard that tells of meetings has none to tell of while one thread is at work; and when another one wants to replace
/// what is being removed, that is one, and is told while they are at it.
pub fn who_meets_somebody_is_counted<B: Backend>() {
    hold::<B>(|fresh| {
        let shard = fresh.shard::<u64>();
        let meetings = || shard.contention().map(|contention| contention.count);
        shard.put("key", 1);
        shard.put("other", 1);
        shard.delete("other");
        assert!(shard.has("key") && shard.len() == 1);
        let Some(alone) = meetings() else { return };
        assert_eq!(alone, 0);
        let (enter_predicate, replaced) = (Barrier::new(2), AtomicBool::new(false));
        thread::scope(|scope| {
            scope.spawn(|| {
                enter_predicate.wait();
                shard.remove("key", |_| true);
                // It may have come too late to replace it.
                let _ = shard.insert("key", 2);
                replaced.store(true, Ordering::Release);
            });
            let mut first = true;
            shard.remove("key", |_| {
                if std::mem::take(&mut first) {
                    enter_predicate.wait();
                    // The other one waits for this removal, or gets ahead of it.
                    while meetings() == Some(0) && !replaced.load(Ordering::Acquire) {
                        thread::yield_now();
                    }
                }
                true
            });
        });
        assert!(meetings() > Some(0), "they met");
    });
}

/// Threads of two teams insert and remove under a few keys at once, each only the values of its team: just those go that
/// `owned` said true of, and each value is dropped exactly once.
pub fn inserting_and_removing_at_once_neither_loses_nor_doubles<B: Backend>() {
    const CALLS: usize = 2_000;
    const KEYS: usize = 3;
    const TEAMS: usize = 2;
    hold::<B>(|fresh| {
        let team = |number: usize| number % TEAMS;
        let shard = fresh.shard();
        let ledger = Ledger::new(THREADS * CALLS);
        let barrier = Barrier::new(THREADS);
        let there = [const { AtomicUsize::new(0) }; TEAMS];
        thread::scope(|scope| {
            for me in 0..THREADS {
                let (shard, ledger, barrier, there) = (&shard, &ledger, &barrier, &there[team(me)]);
                scope.spawn(move || {
                    barrier.wait();
                    for call in 0..CALLS {
                        // Each thread goes through the keys in a step of its own.
                        let key = (call * (me + 1) % KEYS).to_string();
                        if shard.insert(&key, ledger.entry(call * THREADS + me)).is_ok() {
                            there.fetch_add(1, Ordering::Relaxed);
                            continue;
                        }
                        let removed = shard.remove(&key, |value| {
                            // Lets the others come in between, or in as well.
                            thread::yield_now();
                            team(value.number) == team(me)
                        });
                        there.fetch_sub(usize::from(removed), Ordering::Relaxed);
                    }
                });
            }
        });
        let mut visited = [0; TEAMS];
        shard.for_each(|_, _, value| {
            visited[team(value.number)] += 1;
            ControlFlow::Continue(())
        });
        assert_eq!(visited, there.map(AtomicUsize::into_inner));
        assert_eq!(visited.iter().sum::<usize>(), shard.len());
        drop(shard);
        drop(fresh);
        ledger.check();
    });
}

/// Lets several threads make a call for the same key at once, for one key after another, and returns what came of it,
/// per key and thread.
///
/// What came of it is judged afterwards, because a thread that panics would leave the others waiting for it.
fn at_once<R: Send>(call: impl Fn(usize, &str) -> R + Sync) -> Vec<(String, Vec<R>)> {
    let barrier = Barrier::new(THREADS);
    let mut outcomes: Vec<_> = (0..ROUNDS).map(|round| (round.to_string(), Vec::new())).collect();
    thread::scope(|scope| {
        let threads: Vec<_> = (0..THREADS)
            .map(|me| {
                let (call, barrier) = (&call, &barrier);
                scope.spawn(move || {
                    let one = |round: usize| {
                        barrier.wait();
                        call(me, &round.to_string())
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
