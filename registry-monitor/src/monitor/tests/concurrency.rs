//! Statistics with concurrent readers, writers and resets.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use super::*;

#[test]
fn stats_since_start_are_monotonic_under_concurrent_resets() {
    let monitor = Monitor::new(1, every_lookup(), Instant::now());
    let done = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| {
            for _ in 0..50_000 {
                monitor.event(0, Event::Routed);
            }
            done.store(true, Ordering::Relaxed);
        });
        scope.spawn(|| {
            while !done.load(Ordering::Relaxed) {
                monitor.reset();
            }
        });
        let mut last = 0;
        while !done.load(Ordering::Relaxed) {
            let routes = monitor.stats_since_start(0, Instant::now()).routes;
            assert!(last <= routes && routes <= 50_000, "{last}, then {routes}");
            last = routes;
        }
    });
    assert_eq!(monitor.stats_since_start(0, Instant::now()).routes, 50_000);
}

#[test]
fn concurrent_writes_are_exact_and_reads_are_at_most_exact() {
    let start = Instant::now();
    let monitor = Monitor::new(1, every_lookup(), start);
    thread::scope(|scope| {
        for thread in 0..4_u32 {
            let monitor = &monitor;
            scope.spawn(move || {
                for number in 1..=1_000 {
                    let ended = start + Duration::from_nanos(u64::from(thread * 1_000 + number));
                    monitor.record_latency(0, Operation::Write, start, ended);
                    monitor.record_latency(0, Operation::Read, start, ended);
                }
            });
        }
        for _ in 0..100 {
            monitor.stats(0, start);
        }
    });
    let stats = monitor.stats(0, start);
    assert_eq!((stats.writes.count, stats.writes.min_ns, stats.writes.max_ns), (4_000, 1, 4_000));
    assert_eq!(stats.writes.mean_ns, 2_000.5);
    assert!((1..=4_000).contains(&stats.reads.count), "{}", stats.reads.count);
}

#[test]
fn sampled_reads_do_not_wait_for_the_lock() {
    let start = Instant::now();
    let monitor = Monitor::new(1, every_lookup(), start);
    let held = monitor.active.as_ref().unwrap().shards[0].reads.lock().unwrap();
    monitor.record_latency(0, Operation::Read, start, start + MS);
    drop(held);
    assert_eq!(monitor.stats(0, start).reads.count, 0);
}

#[test]
fn poisoned_locks_are_usable() {
    let start = Instant::now();
    let monitor = Monitor::new(1, every_lookup(), start);
    let windows = &monitor.active.as_ref().unwrap().shards[0];
    for window in [&*windows.reads, &windows.writes.operations] {
        thread::scope(|scope| {
            let poisoning = scope.spawn(|| {
                let _held = window.lock();
                panic!("poison the lock");
            });
            assert!(poisoning.join().is_err());
        });
        assert!(window.is_poisoned());
    }
    monitor.record_latency(0, Operation::Read, start, start + MS);
    monitor.record_latency(0, Operation::Write, start, start + MS);
    let stats = monitor.stats(0, start);
    assert_eq!((stats.reads.count, stats.writes.count), (1, 1));
    monitor.reset();
    assert_eq!(monitor.stats(0, start).writes.count, 0);
}

#[test]
fn hits_are_never_negative_under_concurrent_misses_and_resets() {
    let monitor = Monitor::new(1, every_lookup(), Instant::now());
    let done = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| {
            for _ in 0..50_000 {
                monitor.lookup(0);
                monitor.event(0, Event::Miss);
            }
            done.store(true, Ordering::Relaxed);
        });
        while !done.load(Ordering::Relaxed) {
            let stats = monitor.stats(0, Instant::now());
            assert!(stats.hits <= stats.lookups && stats.hits <= 50_000, "{stats:?}");
            monitor.reset();
        }
    });
}
