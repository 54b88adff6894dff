//! No count is lost, duplicated or negative, with threads that start, exit, read and reset at the same time.

use std::cell::{Cell, RefCell};
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::thread;

use super::*;

const EVENTS: [Event; Event::COUNT] = [
    Event::Miss,
    Event::Registered,
    Event::Removed,
    Event::Rejected,
    Event::Bound,
    Event::Unbound,
    Event::Routed,
    Event::Full,
    Event::Closed,
    Event::Swept,
    Event::Refused,
];

#[test]
fn each_event_has_its_own_counter() {
    let counters = Counters::new(2, 256);
    for (times, event) in EVENTS.into_iter().enumerate() {
        for _ in 0..=times {
            counters.event(1, event);
        }
    }
    for (times, event) in EVENTS.into_iter().enumerate() {
        assert_eq!(counters.totals(1).events(event), times as u64 + 1, "{event:?}");
    }
    assert_eq!(counters.totals(1).lookups(), 0);
    assert_eq!(counters.totals(0), Totals::default());
}

#[test]
fn timed_lookups_follow_the_sampling_per_thread_and_shard() {
    // The last rate exceeds the bits of one countdown.
    for every in [1, 2, 256, 16_384] {
        let counters = Counters::new(2, every);
        let sampling = Sampling::new(every);
        for number in 0..50_000 {
            for shard in 0..2 {
                assert_eq!(counters.lookup(shard), sampling.picks(number), "{number}, one in {every}");
            }
        }
        let shared = Block::new(2, sampling);
        for number in 0..50_000 {
            assert_eq!(shared.lookup_shared(1, sampling), sampling.picks(number), "{number}, one in {every}");
        }
        let mut totals = Totals::default();
        shared.add_to(1, &mut totals);
        assert_eq!((totals, counters.totals(1)), (Totals { lookups: 50_000, ..Totals::default() }, totals));
    }
}

#[test]
fn a_new_sampling_applies_from_the_next_lookup_on() {
    let counters = Counters::new(2, 1 << 20);
    let timed = |lookups: usize| (0..lookups).filter(|number| counters.lookup(number % 2)).count();
    assert_eq!(timed(2_000), 0);
    for (every, lookups, sampled) in [(4, 4_000, 1_000), (64, 64_000, 1_000), (1, 100, 100), (4_096, 16_384, 4)] {
        counters.set_sampling(Sampling::new(every));
        // In the group that a change falls into, the pick of each shard may already have passed.
        assert!(timed(lookups).abs_diff(sampled) <= 2, "one in {every}");
        counters.event(0, Event::Miss);
    }
    assert_eq!(counters.all_lookups(), 2_000 + 4_000 + 64_000 + 100 + 16_384);
    assert_eq!([0, 1].map(|shard| counters.totals(shard).lookups()), [counters.all_lookups() / 2; 2]);
    assert_eq!(counters.totals(0).events(Event::Miss), 4);
    let off = Counters::off();
    off.set_sampling(Sampling::new(1));
    assert!(!off.lookup(0));
}

#[test]
fn changes_of_the_sampling_lose_no_count() {
    let counters = Counters::new(3, 256);
    thread::scope(|scope| {
        let counting: Vec<_> =
            (0..4).map(|_| scope.spawn(|| (0..30_000).for_each(|number| _ = counters.lookup(number % 3)))).collect();
        for every in [1, 1 << 14, 64].into_iter().cycle() {
            counters.set_sampling(Sampling::new(every));
            if counting.iter().all(thread::ScopedJoinHandle::is_finished) {
                break;
            }
        }
    });
    assert_eq!([0, 1, 2].map(|shard| counters.totals(shard).lookups()), [40_000; 3]);
}

#[test]
fn counts_are_exact_with_concurrent_threads() {
    for shards in [1, 64] {
        let counters = Counters::new(shards, 256);
        thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| {
                    for number in 0..10_000 {
                        counters.lookup(number % shards);
                        counters.event(number % shards, Event::Routed);
                    }
                });
            }
        });
        let totals: Vec<Totals> = (0..shards).map(|shard| counters.totals(shard)).collect();
        assert_eq!(totals.iter().map(Totals::lookups).sum::<u64>(), 80_000);
        assert_eq!(totals.iter().map(|totals| totals.events(Event::Routed)).sum::<u64>(), 80_000);
    }
}

#[test]
fn counts_are_exact_with_short_lived_threads_that_reuse_blocks() {
    let counters = Counters::new(4, 256);
    for _ in 0..100 {
        thread::scope(|scope| {
            for shard in 0..4 {
                scope.spawn({
                    let counters = &counters;
                    move || (0..100).for_each(|_| _ = counters.lookup(shard))
                });
            }
        });
    }
    for shard in 0..4 {
        assert_eq!(counters.totals(shard).lookups(), 10_000);
    }
    // Not 4, because other tests of this process run threads too.
    assert!(counters.blocks().count() < 100, "400 threads, {} blocks", counters.blocks().count());
}

#[test]
fn concurrent_resets_lose_no_count() {
    let counters = Counters::new(3, 256);
    let mut dropped = [0; 3];
    thread::scope(|scope| {
        let running: Vec<_> = (0..4)
            .map(|_| {
                scope.spawn(|| {
                    for number in 0..30_000 {
                        counters.lookup(number % 3);
                        counters.event(number % 3, Event::Full);
                    }
                })
            })
            .collect();
        while !running.iter().all(thread::ScopedJoinHandle::is_finished) {
            for (dropped, totals) in dropped.iter_mut().zip(counters.reset()) {
                *dropped += totals.lookups() + totals.events(Event::Full);
            }
        }
    });
    for (shard, dropped) in dropped.into_iter().enumerate() {
        let totals = counters.totals(shard);
        assert_eq!(dropped + totals.lookups() + totals.events(Event::Full), 2 * 4 * 10_000);
    }
}

#[test]
fn each_count_is_returned_by_exactly_one_of_two_concurrent_resets() {
    let counters = Counters::new(1, 256);
    let returned = thread::scope(|scope| {
        let resetting: Vec<_> =
            (0..2).map(|_| scope.spawn(|| (0..1_000).map(|_| counters.reset()[0].lookups()).sum::<u64>())).collect();
        (0..100_000).for_each(|_| _ = counters.lookup(0));
        resetting.into_iter().map(|thread| thread.join().unwrap()).sum::<u64>()
    });
    assert_eq!(returned + counters.totals(0).lookups(), 100_000);
}

#[test]
fn a_visible_miss_has_a_visible_lookup() {
    let counters = Counters::new(1, 256);
    thread::scope(|scope| {
        let missing: Vec<_> = (0..2)
            .map(|_| {
                scope.spawn(|| {
                    for _ in 0..50_000 {
                        counters.lookup(0);
                        counters.event(0, Event::Miss);
                    }
                })
            })
            .collect();
        while !missing.iter().all(thread::ScopedJoinHandle::is_finished) {
            let totals = counters.totals(0);
            assert!(totals.events(Event::Miss) <= totals.lookups(), "{totals:?}");
        }
    });
}

#[test]
fn counts_in_thread_local_destructors_are_kept() {
    /// Counts when the thread-locals of a thread are destroyed.
    struct Lease(Arc<Counters>);

    impl Drop for Lease {
        fn drop(&mut self) {
            self.0.lookup(0);
            self.0.event(0, Event::Removed);
        }
    }

    thread_local! {
        static BEFORE: RefCell<Option<Lease>> = const { RefCell::new(None) };
        static AFTER: RefCell<Option<Lease>> = const { RefCell::new(None) };
    }

    let counters = Arc::new(Counters::new(1, 256));
    for _ in 0..3 {
        let counters = Arc::clone(&counters);
        // One thread-local is initialized before the first count and one after it. In either order of destruction, one of
        // the two counts after the slot has been released.
        let thread = thread::spawn(move || {
            BEFORE.with_borrow_mut(|lease| *lease = Some(Lease(Arc::clone(&counters))));
            counters.event(0, Event::Registered);
            AFTER.with_borrow_mut(|lease| *lease = Some(Lease(counters)));
        });
        thread.join().unwrap();
    }
    let totals = counters.totals(0);
    assert_eq!([Event::Registered, Event::Removed].map(|event| totals.events(event)), [3, 6]);
    assert_eq!(totals.lookups(), 6);
    assert!(counters.shared_block.get().is_some(), "no count came after the slot was released");
}

#[test]
#[should_panic(expected = "shard")]
#[cfg(debug_assertions)]
fn a_shard_out_of_range_panics_in_debug_builds() {
    Counters::new(4, 256).lookup(4);
}

#[test]
fn a_thread_that_alternates_between_registries_counts_in_each() {
    let all = [1, 8, 8].map(|shards| Counters::new(shards, 256));
    for number in 0..3_000 {
        all[number % 3].lookup(0);
        all[number % 3].event(0, Event::Full);
    }
    for counters in &all {
        assert_eq!([counters.totals(0).lookups(), counters.totals(0).events(Event::Full)], [1_000; 2]);
    }
}

thread_local! {
    /// The cache misses of this thread.
    pub(super) static CACHE_MISSES: Cell<u32> = const { Cell::new(0) };
}

#[test]
fn the_cache_holds_four_registries_per_thread() {
    for (registries, misses) in [(1, 1), (2, 2), (4, 4), (5, 5 * 1_000)] {
        thread::spawn(move || {
            let all: Vec<_> = (0..registries).map(|_| Counters::new(8, 256)).collect();
            for _ in 0..1_000 {
                for counters in &all {
                    counters.lookup(3);
                    counters.event(3, Event::Miss);
                }
            }
            for counters in &all {
                assert_eq!([counters.totals(3).lookups(), counters.totals(3).events(Event::Miss)], [1_000; 2]);
            }
            assert_eq!(CACHE_MISSES.get(), misses, "{registries} registries");
        })
        .join()
        .unwrap();
    }
}

#[test]
fn outdated_keys_take_no_cache_entry() {
    thread::spawn(|| {
        let [one, two] = [8, 8].map(|shards| Counters::new(shards, 256));
        two.lookup(0);
        for number in 0..10 {
            one.set_sampling(Sampling::new(if number % 2 == 0 { 64 } else { 128 }));
            one.lookup(0);
            two.lookup(0);
        }
        assert_eq!(CACHE_MISSES.get(), 1 + 10, "one miss per new key of the first, one of the second");
    })
    .join()
    .unwrap();
}

#[test]
fn recycled_words_start_from_zero() {
    // No other test has this number of shards, so no concurrent test takes the recycled words.
    const SHARDS: usize = 37;
    let used = |counters: &Counters| -> Vec<*const AtomicU64> {
        counters.blocks().map(|block| block.words().as_ptr()).collect()
    };
    let mut addresses = Vec::new();
    for every in [2, 256, 1] {
        let counters = Counters::new(SHARDS, every);
        let sampling = Sampling::new(every);
        for number in 0..100 {
            assert_eq!(counters.lookup(SHARDS - 1), sampling.picks(number));
            counters.event(SHARDS - 1, Event::Miss);
        }
        let totals = counters.totals(SHARDS - 1);
        assert_eq!((totals.lookups(), totals.events(Event::Miss)), (100, 100));
        assert_eq!(counters.totals(0), Totals::default());
        addresses.push(used(&counters));
    }
    assert_eq!(addresses[0].len(), 1);
    assert!(addresses.iter().all(|block_addresses| *block_addresses == addresses[0]), "{addresses:?}");
}
