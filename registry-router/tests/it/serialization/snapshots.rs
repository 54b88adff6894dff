//! All reports of a registry round-trip in JSON.

use std::collections::HashSet;
use std::fmt::Debug;
use std::time::Duration;

use registry_router::backends::Reference;
use registry_router::{
    Admission, AdmissionError, AdmissionState, Alarm, AlarmMetric, AlarmedShards, BroadcastReport, Clock,
    ContentionStatus, DenyReason, EntryInfo, HealthChange, HealthEvent, HotId, Imbalance, Kind, LabelLimit,
    LatencyStats, Limit, LimitCount, LimitUsage, Limits, MonitorSettings, Operation, RateLimit, RecentWrites,
    RegisterErrorKind, Registry, ServerId, Settings, ShardStats, SlowOps, SweepReport,
};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::support::ManualClock;
use crate::support::{server_mailbox, transport, transport_mailbox, unread_server_mailbox};

/// Asserts that a value round-trips in JSON, and returns the text.
fn round_trip<T: Serialize + DeserializeOwned + PartialEq + Debug>(value: &T) -> String {
    let text = serde_json::to_string(value).unwrap();
    assert_eq!(&serde_json::from_str::<T>(&text).unwrap(), value, "{text}");
    text
}

const MS: Duration = Duration::from_millis(1);

#[test]
fn the_reports_of_a_registry_round_trip() {
    let clock = ManualClock::new();
    let monitor = MonitorSettings::default().with_sample_every(1);
    let limits = Limits::default().with_servers(1);
    let registry = Registry::<u64, Reference>::builder()
        .shards(1)
        .monitor(monitor)
        .limits(limits)
        .clock(clock.clone())
        .build()
        .unwrap();
    let mut receiver = registry.watch_health();
    let (mailbox, _inbox) = server_mailbox();
    let _s = registry.register_server("s", mailbox, ()).unwrap();
    let (mailbox, inbox) = transport_mailbox();
    let _t = registry.register_transport_bound_to("t", mailbox, (), "s").unwrap();
    for _ in 0..20 {
        registry.with_server("s", |_| clock.advance(3 * MS)).unwrap();
    }
    let report: BroadcastReport = registry.broadcast("s", 7);
    assert_eq!(report.delivered, 1);
    round_trip(&report);
    let listed: Vec<EntryInfo<ServerId>> = registry.list_servers();
    round_trip(&listed);
    let refused = registry.register_server("x", unread_server_mailbox(), ()).unwrap_err();
    let RegisterErrorKind::Refused(error) = refused.kind() else { panic!("{}", refused.kind()) };
    let text = round_trip::<AdmissionError>(error);
    assert!(text.starts_with(r#"{"reason":{"limit":"servers"}"#), "{text}");
    drop(inbox);
    clock.advance(MS);
    let swept: SweepReport = registry.sweep();
    assert_eq!(swept.transports, 1);
    round_trip(&swept);
    let changes: Vec<HealthChange> = registry.tick(clock.now());
    assert!(changes.len() >= 3, "no alarm, closed admission and reached limit: {changes:?}");
    round_trip(&changes);
    let received: Vec<HealthEvent> = std::iter::from_fn(|| receiver.try_next().ok()).collect();
    assert_eq!(received.len(), changes.len());
    round_trip(&received);
    let stats: Vec<ShardStats> = registry.all_shard_stats();
    assert!(stats[0].alarm && stats[0].reads.count > 20 && stats[0].reads_total.p99_ns > 2_000_000, "{stats:?}");
    let text = round_trip(&stats);
    for part in ["reads_total", "writes_total", "cleanup_lag_total", "slow_reads", "recent_writes"] {
        assert!(text.contains(part), "{part} is missing from {text}");
    }
    let status: ContentionStatus = registry.contention_status();
    assert_eq!((&status.alarmed[..], status.admission), (&[0][..], AdmissionState::Closed));
    round_trip(&status);
}

#[test]
fn every_health_change_round_trips() {
    let kinds = [Kind::Server, Kind::Transport];
    let mut alarms = Vec::new();
    for operation in [Operation::Read, Operation::Write, Operation::CleanUp] {
        for metric in [AlarmMetric::P99, AlarmMetric::Mean, AlarmMetric::MeanOfLast] {
            alarms.push(Alarm::new(7, operation, metric, 5 * MS));
        }
    }
    let limits = [Limit::Servers, Limit::Transports, Limit::Rate, Limit::TransportsPerServer]
        .into_iter()
        .chain(kinds.map(|kind| Limit::Label { kind, key: "tenant".into(), value: "a \"quoted\" name".into() }));
    let limits: Vec<LimitUsage> =
        limits.map(|limit| LimitUsage::new(limit, 9).with_used(8).with_hits(u64::MAX)).collect();
    let alarmed_shards = AlarmedShards::new(33, 64);
    let mut changes: Vec<HealthChange> = Vec::new();
    for kind in kinds {
        let mut uneven = Imbalance::new(kind, 1);
        (uneven.entries, uneven.mean, uneven.p_value) = (2, 0.1, 1e-300);
        let mut hot = HotId::new(kind, "\u{fffd}", 3);
        (hot.share, hot.share_at_least, hot.samples) = (0.3, 0.1 + 0.2, 4);
        changes.extend([HealthChange::ImbalanceRaised(uneven.clone()), HealthChange::ImbalanceCleared(uneven)]);
        changes.extend([HealthChange::HotIdDetected(hot.clone()), HealthChange::HotIdCleared(hot)]);
    }
    for alarm in alarms {
        changes.extend([HealthChange::AlarmRaised(alarm.clone()), HealthChange::AlarmCleared(alarm)]);
    }
    for limit in &limits {
        changes.extend([HealthChange::LimitReached(limit.clone()), HealthChange::LimitCleared(limit.clone())]);
    }
    let more = LimitCount::new(u64::MAX);
    changes.extend([HealthChange::MoreLimitsReached(more), HealthChange::MoreLimitsCleared(more)]);
    changes.extend([HealthChange::AdmissionClosed(alarmed_shards), HealthChange::AdmissionReopened(alarmed_shards)]);
    let texts: HashSet<String> = changes.iter().map(round_trip).collect();
    assert_eq!(texts.len(), changes.len(), "two changes serialize to the same text");
    for change in changes {
        round_trip(&HealthEvent::Change(change));
    }
    assert_eq!(round_trip(&HealthEvent::Lagged(3)), r#"{"lagged":3}"#);
    let limits = limits.into_iter().map(|used| DenyReason::Limit(used.limit));
    for cause in limits.chain([DenyReason::Closed, DenyReason::Policy]) {
        round_trip(&AdmissionError::new(cause.clone(), "why"));
        round_trip(&AdmissionError::new(cause, "why").with_retry_after(MS));
    }
    round_trip(&[AdmissionState::Open, AdmissionState::Closed]);
    round_trip(&(LatencyStats::default(), RecentWrites::default(), SlowOps::default(), SweepReport::default()));
    let mut report = BroadcastReport::default();
    report.server = Some(ServerId::new("s").unwrap());
    (report.full, report.closed) = (vec![transport("f")], vec![transport("c")]);
    round_trip(&report);
}

#[test]
fn settings_round_trip() {
    let mut settings = Settings::default();
    round_trip(&settings);
    settings.seed = u64::MAX;
    settings.limits.label = Some(LabelLimit::new("tenant").with_servers(1));
    settings.limits.rate = Some(RateLimit::new(10, 2));
    settings.monitor.alarm = registry_router::AlarmRule::mean_of_last_writes();
    settings.health.close_above = 0.75;
    round_trip(&settings);
}

#[test]
fn the_reports_of_a_limiter_round_trip() {
    let limiter = registry_router::Limiter::new(Limits::default(), std::time::Instant::now());
    round_trip(&limiter.state());
    round_trip(&limiter.limit_usage());
    round_trip(limiter.limits());
}
