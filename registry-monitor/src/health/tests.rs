//! Health changes: raised promptly for the right shard, id or limit, and cleared after the hold time.

use std::time::Duration;

use proptest::prelude::*;
use registry_core::{Limit, Operation, Probe};

use super::*;
use crate::split_mix64::SplitMix64;
use crate::{Monitor, MonitorSettings};

mod simulations;

const SECOND: Duration = Duration::from_secs(1);

fn health(shards: usize) -> Health {
    Health::new(shards, AlarmRule::default(), HealthSettings::default())
}

/// Returns the statistics of a shard in which `slow` of a thousand writes were slow.
fn shard(shard: usize, slow: u64) -> ShardStats {
    let mut stats = ShardStats::default();
    stats.shard = shard;
    (stats.slow_writes.count, stats.slow_writes.slow, stats.slow_writes.elevated) = (1_000, slow, slow);
    stats
}

fn hot(id: &str, share: f64, samples: u64) -> HotId {
    let mut hot = HotId::new(Kind::Server, id, 3);
    (hot.share, hot.share_at_least, hot.samples) = (share, share, samples);
    hot
}

fn used(hits: u64) -> LimitUsage {
    LimitUsage::new(Limit::Servers, 10).with_used(10).with_hits(hits)
}

fn names(changes: &[HealthChange]) -> Vec<String> {
    changes.iter().map(|change| format!("{change:?}").split('(').next().unwrap_or_default().to_owned()).collect()
}

#[test]
fn admission_closes_above_the_exact_fraction_and_reopens() {
    for (share, shards, closes_at) in
        [(0.5, 64, 33), (0.25, 64, 17), (0.5, 1, 1), (0.5, 2, 2), (0.0, 64, 1), (0.9, 8, 8)]
    {
        let settings = HealthSettings::default().with_close_above(share).with_reopen_at(share / 2.0);
        settings.check().unwrap();
        let start = Instant::now();
        let mut health = Health::new(shards, AlarmRule::default(), settings);
        for alarmed in 0..=shards {
            let stats: Vec<_> = (0..shards).map(|index| shard(index, if index < alarmed { 100 } else { 0 })).collect();
            let changes = health.check(&stats, &[], &[], &LimitHits::default(), start);
            let closed = HealthChange::AdmissionClosed(AlarmedShards::new(alarmed, shards));
            assert_eq!(changes.contains(&closed), alarmed == closes_at, "{alarmed} of {shards}, share {share}");
            assert_eq!(health.admission() == AdmissionState::Closed, alarmed >= closes_at);
        }
        let healthy: Vec<_> = (0..shards).map(|index| shard(index, 0)).collect();
        let mut reopened = Vec::new();
        for second in 1..30 {
            let changes = health.check(&healthy, &[], &[], &LimitHits::default(), start + second * SECOND);
            reopened.extend(changes.into_iter().filter(|change| matches!(change, HealthChange::AdmissionReopened(_))));
        }
        assert_eq!(reopened, [HealthChange::AdmissionReopened(AlarmedShards::new(0, shards))]);
        assert_eq!(health.admission(), AdmissionState::Open);
    }
}

#[test]
fn only_the_slow_shard_alarms_within_two_checks() {
    for slow in [0, 17, 63] {
        let start = Instant::now();
        let monitor = Monitor::new(64, MonitorSettings::default(), start);
        let mut health = health(64);
        let mut raised = Vec::new();
        for tenth in 0..150 {
            let now = start + tenth * SECOND / 10;
            // For ten seconds all shards are fast and busy. Then one is so slow that it completes few operations.
            for shard in 0..64 {
                let (times, micros) = if shard == slow && tenth >= 100 { (2, 20_000) } else { (100, 8) };
                for _ in 0..times {
                    monitor.record_latency(shard, Operation::Write, now - Duration::from_micros(micros), now);
                }
            }
            if tenth % 10 == 9 {
                let stats: Vec<_> = (0..64).map(|shard| monitor.stats(shard, now)).collect();
                raised.extend(
                    health
                        .check(&stats, &[], &[], &LimitHits::default(), now)
                        .into_iter()
                        .map(|change| (tenth / 10, change)),
                );
            }
        }
        let [(second, HealthChange::AlarmRaised(alarm))] = &raised[..] else { panic!("{raised:?}") };
        assert_eq!((alarm.shard, alarm.operation), (slow, Operation::Write));
        assert!(*second <= 11, "slow from second 10 on, in alarm in second {second}");
    }
}

#[test]
fn a_reset_keeps_alarms() {
    let start = Instant::now();
    let monitor = Monitor::new(2, MonitorSettings::default(), start);
    let mut health = health(2);
    let mut check = |now| {
        let stats: Vec<_> = (0..2).map(|shard| monitor.stats(shard, now)).collect();
        let changes = health.check(&stats, &[], &[], &LimitHits::default(), now);
        (names(&changes), health.is_alarmed(1))
    };
    let slow = |now| (0..20).for_each(|_| monitor.record_latency(1, Operation::Write, now - SECOND / 100, now));
    slow(start + SECOND);
    assert_eq!(check(start + SECOND), (vec!["AlarmRaised".to_owned()], true));
    monitor.reset();
    assert_eq!(check(start + 2 * SECOND), (vec![], true));
    slow(start + 3 * SECOND);
    monitor.reset();
    slow(start + 4 * SECOND);
    for second in 4..10 {
        assert_eq!(check(start + second * SECOND), (vec![], true));
    }
}

#[test]
fn resets_before_each_check_hide_nothing() {
    let mean = AlarmRule::default().with_metric(registry_core::AlarmMetric::Mean);
    for alarm in [AlarmRule::default(), AlarmRule::mean_of_last_writes(), mean] {
        let start = Instant::now();
        let settings = MonitorSettings::default().with_sample_every(1).with_alarm(alarm.clone());
        let monitor = Monitor::new(1, settings, start);
        let mut health = Health::new(1, alarm.clone(), HealthSettings::default());
        let mut reported = Vec::new();
        for second in 1..40 {
            let now = start + second * SECOND;
            for _ in 0..300 {
                monitor.on_sample(0, Kind::Server, b"hot");
                monitor.record_latency(0, Operation::Write, now - SECOND / 5, now);
            }
            monitor.record_latency(0, Operation::Read, now, now);
            // The first check comes before a reset, because that clears the mean of the window.
            if second > 1 {
                monitor.reset();
            }
            let mut stats = monitor.stats(0, now);
            stats.servers = 1_000;
            let changes = health.check(&[stats], &monitor.hot_ids(now), &[], &LimitHits::default(), now);
            reported.extend(names(&changes).into_iter().filter(|name| !name.starts_with("Admission")));
        }
        assert_eq!(reported, ["AlarmRaised", "HotIdDetected"], "{alarm:?}");
    }
}

#[test]
fn a_hot_id_is_detected_with_its_share_and_cleared() {
    let start = Instant::now();
    let monitor = Monitor::new(1, MonitorSettings::default().with_sample_every(1), start);
    let mut health = health(1);
    let mut stats = shard(0, 0);
    stats.transports = 1_000;
    let mut reported = Vec::new();
    for second in 0..60_u32 {
        let now = start + second * SECOND;
        for number in 0..100_u32 {
            let hot = (10..20).contains(&second) && number % 2 == 0;
            let id = if hot { "tools/search".to_owned() } else { format!("other-{number}") };
            monitor.on_sample(0, Kind::Server, id.as_bytes());
        }
        monitor.record_latency(0, Operation::Read, now, now);
        let changes =
            health.check(std::slice::from_ref(&stats), &monitor.hot_ids(now), &[], &LimitHits::default(), now);
        reported.extend(changes.into_iter().map(|change| (second, change)));
    }
    let [(detected, HealthChange::HotIdDetected(hot)), (cleared, HealthChange::HotIdCleared(_))] = &reported[..] else {
        panic!("{reported:?}")
    };
    assert_eq!((&*hot.id, hot.kind), ("tools/search", Kind::Server));
    assert!((0.2..0.5).contains(&hot.share), "{hot:?}");
    assert!((10..=20).contains(detected) && (30..=45).contains(cleared), "{detected} to {cleared}");
}

#[test]
fn few_entries_or_few_samples_detect_no_hot_id() {
    let mut few = shard(0, 0);
    few.servers = 12;
    let now = Instant::now();
    assert_eq!(health(1).check(&[few.clone()], &[hot("s", 0.8, 10_000)], &[], &LimitHits::default(), now), []);
    few.transports = 1_000;
    assert_eq!(health(1).check(&[few.clone()], &[hot("s", 0.8, 199)], &[], &LimitHits::default(), now), []);
    let mut uncertain = hot("s", 0.8, 10_000);
    uncertain.share_at_least = 0.1;
    assert_eq!(
        health(1).check(&[few.clone()], &[uncertain], &[], &LimitHits::default(), now),
        [],
        "the lower bound of the share is too small"
    );
    assert_eq!(
        names(&health(1).check(&[few], &[hot("s", 0.8, 200)], &[], &LimitHits::default(), now)),
        ["HotIdDetected"]
    );
}

#[test]
fn ids_chosen_for_one_shard_raise_imbalance_until_they_are_removed() {
    let mut rng = SplitMix64::new(5);
    let mut stats: Vec<ShardStats> = (0..64).map(|index| shard(index, 0)).collect();
    for (stats, entries) in stats.iter_mut().zip(rng.balls_into_bins(2_000, 64)) {
        stats.transports = entries;
    }
    let start = Instant::now();
    let mut health = health(64);
    assert_eq!(health.check(&stats, &[], &[], &LimitHits::default(), start), []);
    stats[41].transports += 100;
    let changes = health.check(&stats, &[], &[], &LimitHits::default(), start);
    let [HealthChange::ImbalanceRaised(imbalance)] = &changes[..] else { panic!("{changes:?}") };
    assert_eq!((imbalance.kind, imbalance.shard, imbalance.entries), (Kind::Transport, 41, stats[41].transports));
    assert!(imbalance.p_value < 1e-9);
    stats[41].transports -= 100;
    assert_eq!(health.check(&stats, &[], &[], &LimitHits::default(), start), []);
    assert_eq!(
        names(&health.check(&stats, &[], &[], &LimitHits::default(), start + 10 * SECOND)),
        ["ImbalanceCleared"]
    );
}

#[test]
fn a_limit_is_reported_once_for_any_number_of_hits() {
    let start = Instant::now();
    let mut health = health(1);
    let mut check = |second: u32, limits: &[LimitUsage]| {
        names(&health.check(&[], &[], limits, &LimitHits::default(), start + second * SECOND))
    };
    assert_eq!(check(0, &[used(0)]), [""; 0]);
    assert_eq!(check(1, &[used(5)]), ["LimitReached"]);
    assert_eq!(check(2, &[used(9)]), [""; 0]);
    assert_eq!(check(3, &[used(9)]), [""; 0]);
    assert_eq!(check(12, &[]), [""; 0]);
    assert_eq!(check(13, &[]), ["LimitCleared"]);
    assert_eq!(check(14, &[used(1)]), ["LimitReached"]);
    assert_eq!(check(15, &[used(1)]), [""; 0]);
    assert_eq!(check(25, &[used(1)]), ["LimitCleared"]);
    assert_eq!(check(26, &[used(1)]), [""; 0]);
    assert_eq!(check(27, &[used(2)]), ["LimitReached"]);
}

#[test]
fn invalid_settings_are_errors() {
    let default = HealthSettings::default;
    assert_eq!(default().check(), Ok(()));
    for settings in [
        default().with_close_above(-0.1),
        default().with_close_above(1.1),
        default().with_close_above(f64::NAN),
        default().with_reopen_at(0.6),
        default().with_hot(HotRule::default().with_share(0.0)),
        default().with_hot(HotRule::default().with_min_fair_ratio(f64::NAN)),
        default().with_hot(HotRule::default().with_min_samples(0)),
        default().with_imbalance(ImbalanceRule::default().with_false_alarm(0.0)),
    ] {
        assert!(settings.check().is_err(), "{settings:?}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 16, ..ProptestConfig::default() })]

    /// Two checks after the clock is right again, hold times are exact.
    #[test]
    fn hold_times_recover_from_any_clock_jumps(
        jumps in prop::collection::vec((0..7_200_u32, any::<bool>()), 0..20),
        begin in 0..7_200_u32,
    ) {
        let start = Instant::now() + 3_600 * SECOND;
        let mut health = health(1);
        let mut check = |second: u32, is_slow: bool| {
            let stats = [shard(0, if is_slow { 100 } else { 0 })];
            health.check(&stats, &[], &[], &LimitHits::default(), start - 3_600 * SECOND + second * SECOND);
            health.is_alarmed(0)
        };
        for (second, is_slow) in jumps {
            check(second, is_slow);
        }
        for second in begin..begin + 3 {
            prop_assert!(check(second, true));
        }
        for second in 0..5 {
            prop_assert!(check(begin + 3 + second, false), "cleared after {} s", second);
        }
        prop_assert!(!check(begin + 3 + 5, false));
    }
}
