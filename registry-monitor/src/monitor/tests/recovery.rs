//! Recovery from instants that are out of order or in the future.

use proptest::prelude::*;

use super::*;

#[test]
fn unordered_instants_do_not_panic() {
    let start = Instant::now() + Duration::from_secs(100);
    let monitor = Monitor::new(1, every_lookup(), start);
    for operation in [Operation::Read, Operation::Write] {
        monitor.record_latency(0, operation, start + MS, start);
        monitor.record_latency(0, operation, start + Duration::from_secs(60), start + Duration::from_secs(60));
        monitor.record_latency(0, operation, start, start + MS);
        monitor.record_latency(0, operation, start - 2 * MS, start - MS);
    }
    let stats = monitor.stats(0, start - Duration::from_secs(10));
    assert_eq!((stats.reads.count, stats.reads.max_ns), (1, 0), "only the newest is in the window");
    assert_eq!(stats.reads, stats.writes);
}

/// Records a read and a write each tenth of a second, for `tenths` tenths.
fn write(monitor: &Monitor, from: Instant, tenths: u32) {
    for tenth in 0..tenths {
        let now = from + tenth * 100 * MS;
        monitor.on_sample(0, Kind::Server, b"s");
        for operation in [Operation::Read, Operation::Write] {
            monitor.record_latency(0, operation, now - MS, now);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    /// One window after the clock is right again, windows contain what they should and nothing else.
    #[test]
    fn windows_recover_within_one_window_from_any_clock_jumps(
        jumps in prop::collection::vec(0..7_200_u32, 0..10),
        begin in 0..7_200_u32,
    ) {
        let start = Instant::now() + Duration::from_secs(3_600);
        let monitor = Monitor::new(1, every_lookup(), start);
        let at = |second: u32| start - Duration::from_secs(3_600) + second * 1_000 * MS;
        for jump in &jumps {
            write(&monitor, at(*jump), 3);
            monitor.stats(0, at(*jump));
        }
        write(&monitor, at(begin), 100);
        // Records of the future may still be in the window when the clock catches up with them.
        let most = 105 + 3 * jumps.len() as u64;
        for second in begin + 10..begin + 40 {
            write(&monitor, at(second), 10);
            let now = at(second + 1) - MS;
            let stats = monitor.stats(0, now);
            for count in [stats.reads.count, stats.writes.count] {
                prop_assert!((50..=most).contains(&count), "{} in the window", count);
            }
            for count in [stats.slow_reads.count, stats.slow_writes.count] {
                prop_assert!((10..=most).contains(&count), "{} in the slices of the window", count);
            }
            let [hot] = &monitor.hot_ids(now)[..] else { panic!("one id is sampled") };
            prop_assert!((50..=most).contains(&hot.samples), "{} samples", hot.samples);
        }
        let stats = monitor.stats(0, at(begin + 51));
        prop_assert_eq!([stats.reads.count, stats.writes.count, stats.slow_reads.count, stats.slow_writes.count], [0; 4]);
        prop_assert!(monitor.hot_ids(at(begin + 51)).is_empty());
        let all = 3 * jumps.len() as u64 + 100 + 300;
        prop_assert_eq!([stats.reads_total.count, stats.writes_total.count], [all; 2], "totals are complete");
    }
}

/// Includes jumps that the clock catches up with just before and just after they are found to be wrong.
#[test]
fn windows_recover_from_jumps_of_any_size() {
    for ahead in 1..40 {
        let (start, second) = (Instant::now(), Duration::from_secs(1));
        let monitor = Monitor::new(1, every_lookup(), start);
        write(&monitor, start + ahead * second, 3);
        write(&monitor, start, 100);
        for after in 10..30 {
            write(&monitor, start + after * second, 10);
            let now = start + after * second + 900 * MS;
            let count = monitor.stats(0, now).writes.count;
            assert!((50..=103).contains(&count), "{ahead} s ahead: {count} after {after} s");
            // Samples have no instant, so one of each change of the clock may be in the next slice.
            let samples = monitor.hot_ids(now)[0].samples;
            assert!((50..=105).contains(&samples), "{ahead} s ahead: {samples} samples after {after} s");
        }
    }
}

#[test]
fn windows_recover_from_a_jump_by_readings_alone() {
    let start = Instant::now();
    let monitor = Monitor::new(1, every_lookup(), start);
    write(&monitor, start + Duration::from_secs(3_600), 1);
    let count_at = |second: u64| monitor.stats(0, start + Duration::from_secs(second)).writes.count;
    let counts: Vec<u64> = (1..25).map(count_at).collect();
    assert_eq!((counts[0], counts[23]), (1, 0), "{counts:?}");
}

/// Regression test: instants up to half a window before the start shared the slice of the start.
#[test]
fn windows_recover_from_a_start_that_was_ahead() {
    let start = Instant::now() + Duration::from_secs(100);
    for before in 1..20 {
        let monitor = Monitor::new(1, every_lookup(), start);
        let begin = start - Duration::from_secs(before);
        write(&monitor, begin, 100);
        for after in 10..30 {
            let now = begin + Duration::from_secs(after);
            write(&monitor, now, 10);
            let count = monitor.stats(0, now + 900 * MS).writes.count;
            assert!((50..=105).contains(&count), "{before} s before the start: {count} after {after} s");
        }
    }
}
