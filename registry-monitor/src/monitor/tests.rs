//! The contract of a probe and the documented accuracy of a monitor.

use std::time::Duration;

use super::*;
use crate::health::alarm::AlarmRule;

mod concurrency;
mod recovery;

const MS: Duration = Duration::from_millis(1);

const fn shared_by_threads<T: Send + Sync + 'static>() {}
const _: () = shared_by_threads::<Monitor>();

fn every_lookup() -> MonitorSettings {
    MonitorSettings::default().with_sample_every(1)
}

#[test]
fn statistics_contain_the_operations_of_their_shard_only() {
    for shards in [1, 64] {
        let start = Instant::now();
        let monitor = Monitor::new(shards, every_lookup(), start);
        let last = shards - 1;
        for _ in 0..20 {
            monitor.lookup(last);
        }
        let events = [
            (Event::Miss, 1),
            (Event::Registered, 2),
            (Event::Removed, 3),
            (Event::Rejected, 4),
            (Event::Bound, 5),
            (Event::Unbound, 6),
            (Event::Routed, 7),
            (Event::Full, 8),
            (Event::Closed, 9),
            (Event::Swept, 10),
            (Event::Refused, 11),
        ];
        for (event, times) in events {
            (0..times).for_each(|_| monitor.event(last, event));
        }
        monitor.record_latency(last, Operation::Read, start, start + 2 * MS);
        monitor.record_latency(last, Operation::Write, start, start + 4 * MS);
        monitor.record_latency(last, Operation::CleanUp, start, start + 3 * MS);

        let stats = monitor.stats(last, start + 5 * MS);
        assert_eq!((stats.shard, stats.servers, stats.transports), (last, 0, 0));
        assert_eq!((stats.lookups, stats.hits, stats.misses), (20, 19, 1));
        assert_eq!((stats.registrations, stats.removals, stats.rejections, stats.refused), (2, 3, 4, 11));
        assert_eq!((stats.binds, stats.unbinds), (5, 6));
        assert_eq!((stats.routes, stats.full, stats.closed, stats.swept), (7, 8, 9, 10));
        assert_eq!((stats.reads.count, stats.reads.max_ns), (1, 2_000_000));
        assert_eq!((stats.writes.count, stats.writes.max_ns), (1, 4_000_000));
        assert_eq!((stats.cleanup_lag.count, stats.cleanup_lag.max_ns), (1, 3_000_000));
        assert_eq!((stats.reads.window, stats.writes.window), (Duration::from_secs(10), Duration::from_secs(10)));

        for other in 0..last {
            let mut nothing = ShardStats::default();
            nothing.shard = other;
            nothing.reads.window = Duration::from_secs(10);
            nothing.writes.window = Duration::from_secs(10);
            nothing.cleanup_lag.window = Duration::from_secs(10);
            nothing.slow_reads.within = Duration::from_secs(10);
            nothing.slow_writes.within = Duration::from_secs(10);
            assert_eq!(monitor.stats(other, start), nothing);
        }
    }
}

#[test]
fn one_lookup_in_n_is_timed_per_thread_and_shard() {
    for (every, rate) in [(0, 1), (1, 1), (2, 2), (64, 64), (100, 128)] {
        let monitor = Monitor::new(3, every_lookup().with_sample_every(every), Instant::now());
        let mut timed = [0; 3];
        for number in 0..3 * 128 * 10 {
            timed[number % 3] += u32::from(monitor.lookup(number % 3));
        }
        assert_eq!(timed, [128 * 10 / rate; 3], "one in {every}");
    }
}

#[test]
fn statistics_are_zero_when_off() {
    let start = Instant::now();
    let disabled = every_lookup().with_enabled(false);
    for monitor in [Monitor::off(), Monitor::new(8, disabled, start)] {
        assert!(!monitor.lookup(3));
        assert!(!monitor.times_writes());
        assert!(!monitor.settings().enabled);
        monitor.event(3, Event::Miss);
        monitor.record_latency(3, Operation::Write, start, start + MS);
        monitor.reset();
        let mut nothing = ShardStats::default();
        nothing.shard = 3;
        assert_eq!(monitor.stats(3, start + MS), nothing);
    }
}

#[test]
fn a_reset_clears_counts_and_latencies() {
    let start = Instant::now();
    let monitor = Monitor::new(2, every_lookup(), start);
    let act = || {
        monitor.lookup(1);
        monitor.event(1, Event::Miss);
        monitor.record_latency(1, Operation::Read, start, start + MS);
        monitor.record_latency(1, Operation::Write, start, start + MS);
    };
    let observed = || {
        let stats = monitor.stats(1, start + MS);
        [stats.lookups, stats.misses, stats.hits, stats.reads.count, stats.writes.count]
    };
    act();
    act();
    assert_eq!(observed(), [2, 2, 0, 2, 2]);
    monitor.reset();
    assert_eq!(observed(), [0; 5]);
    act();
    assert_eq!(observed(), [1, 1, 0, 1, 1]);
}

#[test]
fn hits_are_not_negative_after_a_reset_between_a_lookup_and_its_miss() {
    let monitor = Monitor::new(1, every_lookup(), Instant::now());
    monitor.lookup(0);
    monitor.reset();
    monitor.event(0, Event::Miss);
    let stats = monitor.stats(0, Instant::now());
    assert_eq!((stats.lookups, stats.hits, stats.misses), (0, 0, 1));
}

#[test]
fn latencies_leave_the_window() {
    let start = Instant::now();
    let monitor = Monitor::new(1, every_lookup().with_window(10 * MS), start);
    monitor.record_latency(0, Operation::Write, start, start + MS);
    let count = |after_ms| monitor.stats(0, start + after_ms * MS).writes.count;
    assert_eq!([0, 5, 9, 10, 1_000].map(count), [1, 1, 1, 0, 0]);
}

#[test]
fn totals_cover_everything_since_the_start() {
    let start = Instant::now();
    let monitor = Monitor::new(2, every_lookup(), start);
    // One per second for two minutes, which exceed the window.
    for second in 0..120 {
        let began = start + second * Duration::from_secs(1);
        monitor.record_latency(1, Operation::Read, began, began + (second + 1) * MS);
        monitor.record_latency(1, Operation::Write, began, began + 2 * (second + 1) * MS);
        monitor.record_latency(1, Operation::CleanUp, began, began + 3 * (second + 1) * MS);
    }
    let stats = monitor.stats(1, start + Duration::from_secs(119));
    for (unit_ns, window, total) in [
        (1_000_000, stats.reads, stats.reads_total),
        (2_000_000, stats.writes, stats.writes_total),
        (3_000_000, stats.cleanup_lag, stats.cleanup_lag_total),
    ] {
        assert!((5..=10).contains(&window.count), "{window:?}");
        assert_eq!((total.count, total.min_ns, total.max_ns), (120, unit_ns, 120 * unit_ns));
        assert_eq!(total.mean_ns, 60.5 * unit_ns as f64);
        assert!((60 * unit_ns..=60 * unit_ns * 17 / 16).contains(&total.p50_ns), "{total:?}");
        assert_eq!(total.window, Duration::ZERO);
    }
    let later = monitor.stats(1, start + Duration::from_secs(1_000));
    assert_eq!((later.reads.count, later.reads_total), (0, stats.reads_total));
    assert_eq!(monitor.stats(0, start).writes_total, LatencyStats::default());
    monitor.reset();
    let reset = monitor.stats(1, start);
    assert_eq!([reset.reads_total, reset.writes_total, reset.cleanup_lag_total], [LatencyStats::default(); 3]);
}

#[test]
fn stats_since_start_include_counts_before_resets() {
    let start = Instant::now();
    let monitor = Monitor::new(2, every_lookup(), start);
    for round in 1..=3_u64 {
        (0..5).for_each(|_| _ = monitor.lookup(1));
        monitor.event(1, Event::Miss);
        (0..round).for_each(|_| monitor.event(1, Event::Swept));
        monitor.record_latency(1, Operation::Write, start, start + MS);
        let total = monitor.stats_since_start(1, start + MS);
        assert_eq!((total.shard, total.lookups, total.hits, total.misses), (1, 5 * round, 4 * round, round));
        assert_eq!((total.swept, total.writes_total.count), (round * (round + 1) / 2, round));
        assert_eq!(total.writes.count, 1, "the window is not affected");
        assert_eq!(monitor.stats(1, start + MS).lookups, 5);
        monitor.reset();
        assert_eq!(monitor.stats_since_start(1, start).lookups, 5 * round);
    }
    assert_eq!(monitor.stats_since_start(0, start).lookups, 0);
    assert_eq!(Monitor::off().stats_since_start(0, start), ShardStats::default());
}

#[test]
fn the_latency_of_all_shards_equals_that_of_one_shard() {
    let start = Instant::now();
    let (shards, one) = (Monitor::new(4, every_lookup(), start), Monitor::new(1, every_lookup(), start));
    for number in 1..=1_000_u32 {
        for operation in [Operation::Read, Operation::Write, Operation::CleanUp] {
            shards.record_latency(number as usize % 4, operation, start, start + number * MS / 1_000);
            one.record_latency(0, operation, start, start + number * MS / 1_000);
        }
    }
    let expected = one.stats(0, start + MS);
    for (operation, expected) in [
        (Operation::Read, expected.reads),
        (Operation::Write, expected.writes),
        (Operation::CleanUp, expected.cleanup_lag),
    ] {
        assert_eq!(expected.count, 1_000);
        assert_eq!(shards.latency(operation, start + MS), expected);
        assert_eq!(Monitor::off().latency(operation, start), LatencyStats::default());
    }
}

#[test]
fn slow_operations_are_counted_until_they_leave_the_window() {
    let start = Instant::now();
    let settings = every_lookup().with_alarm(AlarmRule::default().with_threshold(2 * MS));
    let monitor = Monitor::new(2, settings, start);
    for latency in [1, 1, 2, 3, 3, 3] {
        monitor.record_latency(0, Operation::Write, start, start + latency * MS);
    }
    monitor.record_latency(1, Operation::Read, start, start + 3 * MS);
    let observed = |shard, after: u32| {
        let stats = monitor.stats(shard, start + after * Duration::from_secs(1));
        let [read, write] = [stats.slow_reads, stats.slow_writes].map(|ops| (ops.count, ops.slow, ops.elevated));
        (read, write, stats.recent_writes.count, stats.alarm)
    };
    assert_eq!(observed(0, 9), ((0, 0, 0), (6, 3, 4), 6, false));
    assert_eq!(observed(1, 9), ((1, 1, 1), (0, 0, 0), 0, false));
    assert_eq!(observed(0, 10), ((0, 0, 0), (0, 0, 0), 6, false), "recent writes are kept until they are replaced");
    monitor.reset();
    assert_eq!(observed(0, 9), ((0, 0, 0), (6, 3, 4), 6, false), "a reset hides nothing from a health check");
}

#[test]
fn hot_ids_are_ordered_by_share() {
    let start = Instant::now();
    let monitor = Monitor::new(4, every_lookup(), start);
    for (shard, id, times) in [(1, "often", 30), (2, "seldom", 10)] {
        (0..times).for_each(|_| monitor.on_sample(shard, Kind::Server, id.as_bytes()));
    }
    let observed = |now| monitor.hot_ids(now).into_iter().map(|hot| (hot.id, hot.shard, hot.share)).collect::<Vec<_>>();
    assert_eq!(observed(start), [("often".into(), 1, 0.75), ("seldom".into(), 2, 0.25)]);
    assert_eq!(observed(start + Duration::from_secs(10)), []);
    monitor.reset();
    assert_eq!(observed(start).len(), 2, "a reset hides nothing from a health check");
    Monitor::off().on_sample(0, Kind::Server, b"s");
    assert_eq!(Monitor::off().hot_ids(start), []);
}

#[test]
#[should_panic(expected = "shard")]
#[cfg(debug_assertions)]
fn a_shard_out_of_range_panics_in_debug_builds() {
    Monitor::new(4, MonitorSettings::default(), Instant::now()).event(4, Event::Miss);
}

#[test]
fn an_idle_shard_has_the_documented_size() {
    assert!(size_of::<ShardLatencies>() * 64 <= 64 * 1024, "{}", size_of::<ShardLatencies>());
}

#[test]
fn debug_output_is_short() {
    let text = format!("{:?}", Monitor::new(64, MonitorSettings::default(), Instant::now()));
    assert!(text.contains("shards: 64") && text.len() < 300, "{text}");
}
