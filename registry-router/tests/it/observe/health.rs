//! Health checks: the changes they report to receivers and policies, across resets, and the configurable rules.

use std::sync::{Arc, Mutex, OnceLock};
use std::time::{Duration, Instant};

use registry_core::{Backend, Kind};
use registry_router::{
    Admission, AdmissionError, AdmissionState, AdmitAll, AlarmRule, Clock, HealthChange, HealthEvent, HealthSettings,
    LabelLimit, Limit, Limits, Metadata, MonitorSettings, Registry, TryNextError,
};

use crate::support::fault_injection::{Behavior, Call, Faults, FaultyRegistry, alarms, faulty_registry, ids};
use crate::support::{block_on, unread_server_mailbox, unread_transport_mailbox, within_time_limit};

test_every_backend! {
    a_reset_preserves_alarms,
    a_hot_id_is_detected,
    a_reached_limit_is_reported,
    a_limit_that_is_reached_repeatedly_is_not_cleared,
    limit_changes_per_check_are_bounded,
    a_policy_may_call_tick_from_its_health_callback,
    a_panicking_policy_suppresses_no_health_event,
    concurrent_checks_report_changes_in_order,
    a_slow_receiver_loses_the_oldest_events_and_observes_the_lag,
    the_health_task_checks_and_ends_with_its_registry,
    the_mean_of_last_writes_rule_can_be_set,
    alarms_refuse_no_registration_under_admit_all,
}

const SECOND: Duration = Duration::from_secs(1);

/// After this many seconds without a fault, it has left the window and every hold time has passed.
const RECOVERY: u32 = 20;

fn registry<B: Backend>(shards: usize, health: HealthSettings) -> (FaultyRegistry<B>, Faults) {
    let monitor = MonitorSettings::default().with_sample_every(1);
    faulty_registry(shards, |builder| builder.monitor(monitor).health(health))
}

/// Ten registrations and ten removals in each shard.
fn work<B: Backend>(registry: &FaultyRegistry<B>) {
    for id in ids(registry) {
        for _ in 0..10 {
            let _ = registry.register_server(id.as_str(), unread_server_mailbox(), ()).map(|lease| lease.release());
        }
    }
}

/// Returns the changes of the checks of this many idle seconds.
fn rest<B: Backend>(registry: &FaultyRegistry<B>, faults: &Faults, seconds: u32) -> Vec<HealthChange> {
    let second = |_| {
        faults.clock.advance(SECOND);
        registry.tick(faults.clock.now())
    };
    (0..seconds).flat_map(second).collect()
}

fn a_reset_preserves_alarms<B: Backend>(shards: usize) {
    // Admission stays open, so that the slow shard gets registrations.
    let (registry, faults) = registry::<B>(shards, HealthSettings::default().with_close_above(1.0));
    faults.slow([0]);
    work(&registry);
    assert_eq!(alarms(&registry.tick(faults.clock.now())), [(0, true)]);
    registry.reset_stats();
    assert_eq!(registry.contention_status().alarmed, [0]);
    assert_eq!(registry.shard_stats(0).unwrap().writes.count, 0);
    assert_eq!(rest(&registry, &faults, 1), []);
    assert!(registry.shard_stats(0).unwrap().alarm);
    // Still slow: the samples after the reset keep the alarm raised.
    for _ in 0..RECOVERY {
        work(&registry);
        assert_eq!(rest(&registry, &faults, 1), []);
    }
    assert_eq!(registry.contention_status().alarmed, [0]);
    // A shard that becomes slow after a reset is detected as soon as there are enough samples.
    registry.reset_stats();
    faults.slow([shards - 1]);
    work(&registry);
    let raised = alarms(&registry.tick(faults.clock.now()));
    assert_eq!(raised, if shards == 1 { vec![] } else { vec![(shards - 1, true)] });
}

fn a_hot_id_is_detected<B: Backend>(shards: usize) {
    let (registry, faults) = registry::<B>(shards, HealthSettings::default());
    let leases: Vec<_> = (0..200)
        .map(|number| registry.register_transport(format!("t{number}"), unread_transport_mailbox(), ()).unwrap())
        .collect();
    let _s = registry.register_server("hot", unread_server_mailbox(), ()).unwrap();
    for lease in &leases {
        registry.find_transport(lease.id()).unwrap();
    }
    assert_eq!(registry.tick(faults.clock.now()), []);
    for _ in 0..100 {
        let _ = registry.route_to_server("hot", leases[0].id(), 1);
    }
    let changes = registry.tick(faults.clock.now());
    let [HealthChange::HotIdDetected(hot)] = &changes[..] else { panic!("{changes:?}") };
    assert_eq!((&*hot.id, hot.kind, hot.shard, hot.samples), ("hot", Kind::Server, registry.shard_of("hot"), 300));
    assert!(hot.share_at_least <= 1.0 / 3.0 && 1.0 / 3.0 <= hot.share && hot.share < 0.36, "{hot:?}");
    let cleared = rest(&registry, &faults, 2 * RECOVERY);
    assert!(matches!(&cleared[..], [HealthChange::HotIdCleared(hot)] if &*hot.id == "hot"), "{cleared:?}");
}

fn a_reached_limit_is_reported<B: Backend>(shards: usize) {
    let limits = Limits::default().with_servers(1).with_transports_per_server(1);
    let registry: Registry<u64, B> = Registry::builder().shards(shards).limits(limits).build().unwrap();
    let _s = registry.register_server("s", unread_server_mailbox(), ()).unwrap();
    let _t = registry.register_transport_bound_to("t", unread_transport_mailbox(), (), "s").unwrap();
    let now = Instant::now();
    let limits = |changes: Vec<HealthChange>| -> Vec<(Limit, bool)> {
        let limit = |change| match change {
            HealthChange::LimitReached(used) => Some((used.limit, true)),
            HealthChange::LimitCleared(used) => Some((used.limit, false)),
            _ => None,
        };
        changes.into_iter().filter_map(limit).collect()
    };
    assert_eq!(limits(registry.tick(now)), []);
    registry.register_server("x", unread_server_mailbox(), ()).unwrap_err();
    assert_eq!(limits(registry.tick(now)), [(Limit::Servers, true)]);
    registry.register_transport_bound_to("u", unread_transport_mailbox(), (), "s").unwrap_err();
    assert_eq!(limits(registry.tick(now + SECOND)), [(Limit::TransportsPerServer, true)]);
    let mut cleared = limits((2..30).flat_map(|second| registry.tick(now + second * SECOND)).collect());
    cleared.sort_by_key(|(limit, _)| limit.to_string());
    assert_eq!(cleared, [(Limit::Servers, false), (Limit::TransportsPerServer, false)]);
}

/// Builds a registry with a limit of one transport per tenant.
fn tenants<B: Backend>(shards: usize) -> Registry<u64, B> {
    let label = LabelLimit::new("tenant").with_transports(1);
    let limits = Limits::default().with_label(label).with_sweep_every(1_000_000 * SECOND);
    // Latencies are not recorded, so that a busy machine raises no alarm.
    let monitor = MonitorSettings::default().with_enabled(false);
    Registry::builder().shards(shards).limits(limits).monitor(monitor).build().unwrap()
}

fn a_limit_that_is_reached_repeatedly_is_not_cleared<B: Backend>(shards: usize) {
    let (registry, start) = (tenants::<B>(shards), Instant::now());
    let tenant = || Metadata::new().with("tenant", "a");
    let mut reported = Vec::new();
    // Between two checks, the tenant reaches its limit once and releases its entry again.
    for second in 0..30_u32 {
        if second % 5 == 0 {
            let _held = registry.register_transport("t", unread_transport_mailbox(), tenant()).unwrap();
            registry.register_transport("u", unread_transport_mailbox(), tenant()).unwrap_err();
        }
        reported.extend(registry.tick(start + second * SECOND).into_iter().map(|change| (second, change)));
    }
    assert!(matches!(&reported[..], [(0, HealthChange::LimitReached(_))]), "{reported:#?}");
    reported.extend((30..40).flat_map(|second| registry.tick(start + second * SECOND)).map(|change| (40, change)));
    assert!(matches!(&reported[1..], [(40, HealthChange::LimitCleared(_))]), "{reported:#?}");
}

fn limit_changes_per_check_are_bounded<B: Backend>(shards: usize) {
    const TENANTS: usize = 1_000;
    let (registry, start) = (tenants::<B>(shards), Instant::now());
    for number in 0..TENANTS {
        let tenant = Metadata::new().with("tenant", format!("tenant-{number}"));
        registry.register_transport(format!("a{number}"), unread_transport_mailbox(), tenant.clone()).unwrap().detach();
        registry.register_transport(format!("b{number}"), unread_transport_mailbox(), tenant).unwrap_err();
    }
    let mut receiver = registry.watch_health();
    let (mut reached, mut cleared) = (0, 0);
    for second in 0..20 {
        let changes = registry.tick(start + second * SECOND);
        assert!(changes.len() <= 64 + 2, "{} changes in one check", changes.len());
        for change in changes {
            assert_eq!(receiver.try_next(), Ok(HealthEvent::Change(change.clone())));
            match change {
                HealthChange::LimitReached(_) => reached += 1,
                HealthChange::LimitCleared(_) => cleared += 1,
                HealthChange::MoreLimitsReached(more) => reached += more.limits as usize,
                HealthChange::MoreLimitsCleared(more) => cleared += more.limits as usize,
                other => panic!("{other}"),
            }
        }
        assert_eq!((reached, cleared), (TENANTS, if second < 11 { 0 } else { TENANTS }), "second {second}");
    }
}

/// A policy that calls `tick` from its health callback.
#[derive(Debug)]
struct TickingPolicy<B: Backend> {
    registry: Arc<OnceLock<FaultyRegistry<B>>>,
    now: Instant,
    reported: Arc<Mutex<Vec<AdmissionState>>>,
}

impl<B: Backend> Admission for TickingPolicy<B> {
    fn admit(&self, _: Kind, _: &Metadata, _: Instant) -> Result<(), AdmissionError> {
        Ok(())
    }

    fn release(&self, _: Kind, _: &Metadata) {}

    fn state(&self) -> AdmissionState {
        AdmissionState::Open
    }

    fn health(&self, state: AdmissionState, _: Duration) {
        if let Some(registry) = self.registry.get() {
            registry.tick(self.now + RECOVERY * SECOND);
            registry.tick(self.now + 2 * RECOVERY * SECOND);
            registry.tick(self.now + 3 * RECOVERY * SECOND);
            self.reported.lock().unwrap().push(state);
        }
    }
}

fn a_policy_may_call_tick_from_its_health_callback<B: Backend>(shards: usize) {
    within_time_limit(move || {
        let (own, reported) = (Arc::new(OnceLock::new()), Arc::new(Mutex::new(Vec::new())));
        let policy = TickingPolicy { registry: own.clone(), now: Instant::now(), reported: reported.clone() };
        let (registry, faults) = faulty_registry::<B>(shards, |builder| builder.admission(policy));
        own.set(registry.clone()).unwrap();
        faults.slow(0..shards);
        work(&registry);
        let mut receiver = registry.watch_health();
        let changes = registry.tick(faults.clock.now());
        assert!(matches!(changes.last(), Some(HealthChange::AdmissionClosed(_))), "{changes:?}");
        assert_eq!(*reported.lock().unwrap(), [AdmissionState::Closed, AdmissionState::Open]);
        let received: Vec<_> = std::iter::from_fn(|| receiver.try_next().ok()).collect();
        assert_eq!(received[..changes.len()], changes.into_iter().map(HealthEvent::Change).collect::<Vec<_>>());
        let reopened = |change: &HealthEvent| matches!(change, HealthEvent::Change(HealthChange::AdmissionReopened(_)));
        assert!(received.iter().any(reopened), "{received:?}");
    });
}

/// A policy whose health callback panics.
#[derive(Debug)]
struct PanickingPolicy;

impl Admission for PanickingPolicy {
    fn admit(&self, _: Kind, _: &Metadata, _: Instant) -> Result<(), AdmissionError> {
        Ok(())
    }

    fn release(&self, _: Kind, _: &Metadata) {}

    fn state(&self) -> AdmissionState {
        AdmissionState::Open
    }

    fn health(&self, state: AdmissionState, _: Duration) {
        panic!("the health callback, with admission {state:?}");
    }
}

fn a_panicking_policy_suppresses_no_health_event<B: Backend>(shards: usize) {
    let (registry, faults) = faulty_registry::<B>(shards, |builder| builder.admission(PanickingPolicy));
    faults.slow(0..shards);
    work(&registry);
    let mut receiver = registry.watch_health();
    let check = std::panic::AssertUnwindSafe(|| registry.tick(faults.clock.now()));
    assert!(std::panic::catch_unwind(check).is_err());
    assert_eq!(registry.tick(faults.clock.now()), [], "changes are reported once");
    let reported: Vec<_> = std::iter::from_fn(|| receiver.try_next().ok()).collect();
    assert_eq!(reported.len(), shards + 1, "not all alarms and the closed admission: {reported:?}");
}

fn concurrent_checks_report_changes_in_order<B: Backend>(shards: usize) {
    within_time_limit(move || {
        const THREADS: u32 = 4;
        // Few enough for the channel of a receiver that reads only at the end.
        const ROUNDS: u32 = 25;
        let (registry, start) = (tenants::<B>(shards), Instant::now());
        let mut receiver = registry.watch_health();
        let _held: Vec<_> = (0..THREADS)
            .map(|thread| {
                let tenant = Metadata::new().with("tenant", thread.to_string());
                registry.register_transport(format!("t{thread}"), unread_transport_mailbox(), tenant).unwrap()
            })
            .collect();
        std::thread::scope(|scope| {
            for thread in 0..THREADS {
                let registry = &registry;
                scope.spawn(move || {
                    for round in 0..ROUNDS {
                        let tenant = Metadata::new().with("tenant", thread.to_string());
                        registry.register_transport("new", unread_transport_mailbox(), tenant).unwrap_err();
                        registry.tick(start + round * RECOVERY * SECOND);
                        registry.tick(start + (round * RECOVERY + RECOVERY / 2) * SECOND);
                    }
                });
            }
        });
        registry.tick(start + 2 * ROUNDS * RECOVERY * SECOND);
        registry.tick(start + 3 * ROUNDS * RECOVERY * SECOND);
        let mut full = std::collections::HashSet::new();
        for change in std::iter::from_fn(|| receiver.try_next().ok()) {
            match change {
                HealthEvent::Change(HealthChange::LimitReached(usage)) => {
                    assert!(full.insert(usage.limit), "reached twice")
                }
                HealthEvent::Change(HealthChange::LimitCleared(usage)) => assert!(full.remove(&usage.limit)),
                other => panic!("{other:?}"),
            }
        }
        assert!(full.is_empty(), "{full:?}");
    });
}

fn a_slow_receiver_loses_the_oldest_events_and_observes_the_lag<B: Backend>(shards: usize) {
    let (registry, faults) = registry::<B>(shards, HealthSettings::default());
    let mut receiver = registry.watch_health();
    assert_eq!(receiver.try_next(), Err(TryNextError::Empty));
    let mut all = Vec::new();
    // More changes than the channel holds.
    faults.slow(0..shards);
    while all.len() < 2 * 256 {
        work(&registry);
        all.extend(registry.tick(faults.clock.now()));
        all.extend(rest(&registry, &faults, RECOVERY));
    }
    let Ok(HealthEvent::Lagged(lost)) = receiver.try_next() else { panic!("no event was lost") };
    let kept: Vec<_> = std::iter::from_fn(|| receiver.try_next().ok()).collect();
    assert!(kept.len() >= 256 && lost as usize + kept.len() == all.len(), "{lost} lost of {}", all.len());
    let newest: Vec<_> = all.into_iter().skip(lost as usize).map(HealthEvent::Change).collect();
    assert_eq!(kept, newest);
    assert_eq!(receiver.try_next(), Err(TryNextError::Empty));
    // Changes before the drop of the registry are received after it, followed by `Closed`.
    let mut other = registry.watch_health();
    faults.slow(0..shards);
    work(&registry);
    let last = registry.tick(faults.clock.now());
    assert!(!last.is_empty());
    drop(registry);
    for change in last {
        assert_eq!(other.try_next(), Ok(HealthEvent::Change(change)));
    }
    assert_eq!([other.try_next(), other.try_next()], [Err(TryNextError::Closed), Err(TryNextError::Closed)]);
}

fn the_health_task_checks_and_ends_with_its_registry<B: Backend>(shards: usize) {
    within_time_limit(move || {
        block_on(async move {
            let (registry, faults) = registry::<B>(shards, HealthSettings::default());
            faults.slow([0]);
            work(&registry);
            let mut receiver = registry.watch_health();
            let task = tokio::spawn(registry.health_task(SECOND));
            let Some(HealthEvent::Change(HealthChange::AlarmRaised(alarm))) = receiver.next().await else { panic!() };
            assert_eq!(alarm.shard, 0);
            drop(registry);
            task.await.unwrap();
            while receiver.next().await.is_some() {}
        });
    });
}

fn the_mean_of_last_writes_rule_can_be_set<B: Backend>(shards: usize) {
    let (registry, faults) =
        faulty_registry::<B>(shards, |builder| builder.alarm(AlarmRule::mean_of_last_writes()).admission(AdmitAll));
    let shard = registry.shard_of("s");
    let work = |times, latency| {
        for call in Call::ALL {
            faults.set(shard, call, Behavior::Delay(latency));
        }
        for _ in 0..times {
            registry.register_server("s", unread_server_mailbox(), ()).unwrap().release();
        }
    };
    let threshold = SECOND / 10;
    work(4, 2 * threshold);
    assert_eq!(registry.tick(faults.clock.now()), [], "eight writes are below `min_samples`");
    work(10, threshold);
    assert_eq!(registry.tick(faults.clock.now()), [], "a mean at the threshold raises no alarm");
    work(1, 2 * threshold);
    assert_eq!(alarms(&registry.tick(faults.clock.now())), [(shard, true)]);
    work(1, SECOND / 1_000);
    assert_eq!(alarms(&registry.tick(faults.clock.now())), [], "the mean of the last ten is still above the threshold");
    work(4, SECOND / 1_000);
    assert_eq!(alarms(&registry.tick(faults.clock.now())), [(shard, false)]);
}

fn alarms_refuse_no_registration_under_admit_all<B: Backend>(shards: usize) {
    let (registry, faults) = faulty_registry::<B>(shards, |builder| builder.admission(AdmitAll));
    faults.slow(0..shards);
    work(&registry);
    let changes = registry.tick(faults.clock.now());
    assert!(matches!(changes.last(), Some(HealthChange::AdmissionClosed(_))), "{changes:?}");
    assert_eq!((alarms(&changes).len(), AdmitAll.state()), (shards, AdmissionState::Open));
    assert_eq!(registry.contention_status().admission, AdmissionState::Open);
    let _t = registry.register_transport("t", unread_transport_mailbox(), ()).unwrap();
}
