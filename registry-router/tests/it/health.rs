//! Health: faults injected below the router raise the right alarm and no other, and admission follows.

use std::collections::HashSet;
use std::fmt;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use registry_core::{Backend, Event, HotId, Kind, Operation, Probe, ShardStats};
use registry_router::{
    Admission, AdmissionState, AdmitAll, AlarmRule, Cap, Cause, HealthChange, HealthSettings, Limits, Metadata,
    Monitor, MonitorSettings, RegisterReason, Registry, Tokio, Watched,
};

use crate::support::{
    block_on, server_mailbox, transport_mailbox, unread_server_mailbox, unread_transport_mailbox, within_time_limit,
};

over_every_backend! {
    the_slow_shard_alarms_and_no_other,
    slow_look_ups_alarm_too,
    admission_closes_above_exactly_the_share_and_reopens,
    a_reset_in_the_middle_loses_no_alarm,
    a_hot_id_is_named,
    a_cap_that_is_hit_is_told,
    a_slow_watcher_loses_the_oldest_and_is_told,
    the_task_checks_and_ends_with_its_registry,
    the_original_rule_can_be_set,
    without_shedding_alarms_close_nothing,
}

const SECOND: Duration = Duration::from_secs(1);

/// A monitor to which chosen shards are slow. Where operations are timed the clock cannot be injected, so it is the time
/// they took that is replaced: a millisecond in a slow shard, a microsecond in all others. They end when they end.
struct Faulty {
    monitor: Monitor,
    slow: Faults,
}

/// Which shards are slow.
#[derive(Clone, Default)]
struct Faults(Arc<Mutex<HashSet<usize>>>);

impl Faults {
    fn set(&self, shards: impl IntoIterator<Item = usize>) {
        *self.0.lock().unwrap() = shards.into_iter().collect();
    }
}

impl Probe for Faulty {
    fn lookup(&self, shard: usize) -> bool {
        self.monitor.lookup(shard)
    }

    fn sampled(&self, shard: usize, kind: Kind, id: &[u8]) {
        self.monitor.sampled(shard, kind, id);
    }

    fn event(&self, shard: usize, event: Event) {
        self.monitor.event(shard, event);
    }

    fn times_writes(&self) -> bool {
        self.monitor.times_writes()
    }

    fn took(&self, shard: usize, operation: Operation, began: Instant, _ended: Instant) {
        let slow = self.slow.0.lock().unwrap().contains(&shard);
        let latency = if slow { Duration::from_millis(1) } else { Duration::from_micros(1) };
        self.monitor.took(shard, operation, began, began + latency);
    }

    fn stats(&self, shard: usize, now: Instant) -> ShardStats {
        self.monitor.stats(shard, now)
    }

    fn hot_ids(&self, now: Instant) -> Vec<HotId> {
        self.monitor.hot_ids(now)
    }

    fn reset(&self) {
        self.monitor.reset();
    }
}

impl fmt::Debug for Faulty {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.monitor.fmt(f)
    }
}

type Checked<B> = Registry<u64, B, Tokio, Faulty>;

/// Long, so that a machine that stalls for a while takes nothing out of the window; the tests turn the clock by more.
const WINDOW: Duration = Duration::from_secs(3_600);

fn monitor_settings() -> MonitorSettings {
    MonitorSettings { sample_every: 1, window: WINDOW, ..MonitorSettings::default() }
}

fn faulty<B: Backend>(shards: usize, settings: HealthSettings) -> (Checked<B>, Faults) {
    let faults = Faults::default();
    let slow = faults.clone();
    let registry = Registry::<u64, B>::builder()
        .shards(shards)
        .health(settings)
        .probe(move |shards| Faulty { monitor: Monitor::new(shards, monitor_settings(), Instant::now()), slow })
        .build()
        .unwrap();
    (registry, faults)
}

/// An id in each shard.
fn ids<B: Backend>(registry: &Checked<B>) -> Vec<String> {
    let mut ids = vec![None; registry.shard_count()];
    for number in 0_u32.. {
        if ids.iter().all(Option::is_some) {
            break;
        }
        let id = format!("s{number}");
        ids[registry.shard_of(&id)].get_or_insert(id);
    }
    ids.into_iter().flatten().collect()
}

/// Ten registrations and ten removals in each shard.
fn work<B: Backend>(registry: &Checked<B>) {
    for id in ids(registry) {
        for _ in 0..10 {
            let _ = registry.register_server(id.as_str(), unread_server_mailbox(), ()).map(|lease| lease.release());
        }
    }
}

fn alarms(changes: &[HealthChange]) -> Vec<(usize, bool)> {
    let alarm = |change: &HealthChange| match change {
        HealthChange::AlarmRaised(alarm) => Some((alarm.shard, true)),
        HealthChange::AlarmCleared(alarm) => Some((alarm.shard, false)),
        _ => None,
    };
    changes.iter().filter_map(alarm).collect()
}

/// Far enough ahead for the window to be empty, and then for what is held to be let go.
fn recover<B: Backend>(registry: &Checked<B>, from: Instant) -> Vec<HealthChange> {
    let later = from + 2 * WINDOW;
    (0..20).flat_map(|second| registry.tick(later + second * SECOND)).collect()
}

fn the_slow_shard_alarms_and_no_other<B: Backend>(shards: usize) {
    let (registry, faults) = faulty::<B>(shards, HealthSettings::default());
    work(&registry);
    assert_eq!(registry.tick(Instant::now()), []);
    let slow = shards / 2;
    faults.set([slow]);
    work(&registry);
    let now = Instant::now();
    assert!(!registry.shard_stats(slow).unwrap().alarm, "an alarm is a state that a check changes");
    assert_eq!(alarms(&registry.tick(now)), [(slow, true)]);
    assert_eq!(registry.contention_status().alarmed, [slow]);
    assert!(registry.shard_stats(slow).unwrap().alarm);
    assert_eq!(alarms(&registry.tick(now + SECOND)), []);
    faults.set([]);
    assert_eq!(alarms(&recover(&registry, now)), [(slow, false)]);
    assert_eq!(registry.contention_status().alarmed, [0; 0]);
}

fn slow_look_ups_alarm_too<B: Backend>(shards: usize) {
    let (registry, faults) = faulty::<B>(shards, HealthSettings::default());
    faults.set([registry.shard_of("s")]);
    for _ in 0..10 {
        assert!(registry.find_server("s").is_none());
    }
    let changes = registry.tick(Instant::now());
    let [HealthChange::AlarmRaised(alarm), ..] = &changes[..] else { panic!("{changes:?}") };
    assert_eq!((alarm.shard, alarm.operation), (registry.shard_of("s"), Operation::Read));
    assert!(alarm.measured_ns >= 1e6 && alarm.samples >= 10, "{alarm:?}");
}

fn admission_closes_above_exactly_the_share_and_reopens<B: Backend>(shards: usize) {
    for share in [0.0, 0.25, 0.5] {
        let settings = HealthSettings { close_above: share, reopen_at: share / 2.0, ..HealthSettings::default() };
        let (registry, faults) = faulty::<B>(shards, settings);
        let most = (share * shards as f64) as usize;
        faults.set(0..most);
        work(&registry);
        let now = Instant::now();
        assert_eq!(alarms(&registry.tick(now)).len(), most);
        assert_eq!(registry.contention_status().admission, AdmissionState::Open, "{most} of {shards}");
        let id = ids(&registry).remove(0);
        let (mailbox, mut inbox) = server_mailbox();
        let server = registry.register_server(id.as_str(), mailbox, ()).unwrap();
        let t = registry.register_transport("t", unread_transport_mailbox(), ()).unwrap();
        faults.set(0..=most);
        work(&registry);
        let changes = registry.tick(now);
        assert!(matches!(changes.last(), Some(HealthChange::AdmissionClosed(door)) if door.alarmed == most + 1));
        assert_eq!(registry.contention_status().admission, AdmissionState::Closed);
        // The new are refused and get everything back.
        let (mailbox, mut returned) = transport_mailbox();
        let metadata = Metadata::new().with("region", "eu");
        let refused = registry.register_transport_bound_to("new", mailbox, metadata.clone(), &id).unwrap_err();
        let RegisterReason::Refused(refusal) = &refused.reason else { panic!("{}", refused.reason) };
        assert_eq!((&refusal.cause, refusal.retry_after), (&Cause::Closed, Some(Duration::from_secs(5))));
        assert_eq!(refused.metadata, metadata);
        assert!(!refusal.reason.is_empty() && registry.find_transport("new").is_none());
        // Those who are in go on.
        registry.bind_transport_to_server("t", &id).unwrap();
        registry.route_to_server(&id, t.id(), 7).unwrap();
        assert_eq!(inbox.try_recv().unwrap().message, 7);
        assert!(server.release());
        // And by itself it takes the new again.
        faults.set([]);
        let reopened = recover(&registry, now);
        let count = |changes: &[HealthChange]| {
            changes.iter().filter(|change| matches!(change, HealthChange::AdmissionReopened(_))).count()
        };
        assert_eq!((count(&reopened), alarms(&reopened).len()), (1, most + 1));
        let _server = registry.register_server(id.as_str(), unread_server_mailbox(), ()).unwrap();
        let lease = registry.register_transport_bound_to("new", refused.mailbox, refused.metadata, &id).unwrap();
        registry.route_to_transport("new", &registry_router::ServerId::new(id.as_str()).unwrap(), 8).unwrap();
        assert_eq!(returned.try_recv().unwrap().message, 8);
        drop(lease);
    }
}

fn a_reset_in_the_middle_loses_no_alarm<B: Backend>(shards: usize) {
    // Admission stays open, so that the slow shard has something to do.
    let (registry, faults) = faulty::<B>(shards, HealthSettings { close_above: 1.0, ..HealthSettings::default() });
    faults.set([0]);
    work(&registry);
    let now = Instant::now();
    assert_eq!(alarms(&registry.tick(now)), [(0, true)]);
    registry.reset_stats();
    assert_eq!(registry.contention_status().alarmed, [0]);
    assert_eq!(registry.shard_stats(0).unwrap().writes.count, 0);
    assert_eq!(alarms(&registry.tick(now + SECOND)), []);
    assert!(registry.shard_stats(0).unwrap().alarm);
    // Still slow: the figures that come after the reset keep it.
    work(&registry);
    registry.find_server("s");
    for second in 2..20 {
        assert_eq!(alarms(&registry.tick(now + second * SECOND)), []);
    }
    assert_eq!(registry.contention_status().alarmed, [0]);
    // And one that becomes slow between two resets is seen as soon as there are figures to tell it by.
    registry.reset_stats();
    faults.set([shards - 1]);
    work(&registry);
    let raised = alarms(&registry.tick(Instant::now()));
    assert_eq!(raised, if shards == 1 { vec![] } else { vec![(shards - 1, true)] });
}

fn a_hot_id_is_named<B: Backend>(shards: usize) {
    let (registry, _faults) = faulty::<B>(shards, HealthSettings::default());
    let leases: Vec<_> = (0..200)
        .map(|number| registry.register_transport(format!("t{number}"), unread_transport_mailbox(), ()).unwrap())
        .collect();
    let _s = registry.register_server("hot", unread_server_mailbox(), ()).unwrap();
    for lease in &leases {
        registry.find_transport(lease.id()).unwrap();
    }
    assert_eq!(registry.tick(Instant::now()), []);
    for _ in 0..100 {
        let _ = registry.route_to_server("hot", leases[0].id(), 1);
    }
    let changes = registry.tick(Instant::now());
    let [HealthChange::HotIdNamed(hot)] = &changes[..] else { panic!("{changes:?}") };
    assert_eq!((&*hot.id, hot.kind, hot.shard, hot.samples), ("hot", Kind::Server, registry.shard_of("hot"), 300));
    assert!(hot.share_at_least <= 1.0 / 3.0 && 1.0 / 3.0 <= hot.share && hot.share < 0.36, "{hot:?}");
    let gone = recover(&registry, Instant::now());
    assert!(matches!(&gone[..], [HealthChange::HotIdGone(hot)] if &*hot.id == "hot"), "{gone:?}");
}

fn a_cap_that_is_hit_is_told<B: Backend>(shards: usize) {
    let limits = Limits { servers: Some(1), transports_per_server: Some(1), ..Limits::default() };
    let registry: Registry<u64, B> = Registry::builder().shards(shards).limits(limits).build().unwrap();
    let _s = registry.register_server("s", unread_server_mailbox(), ()).unwrap();
    let _t = registry.register_transport_bound_to("t", unread_transport_mailbox(), (), "s").unwrap();
    let now = Instant::now();
    let caps = |changes: Vec<HealthChange>| -> Vec<(Cap, bool)> {
        let cap = |change| match change {
            HealthChange::CapHit(used) => Some((used.cap, true)),
            HealthChange::CapRelieved(used) => Some((used.cap, false)),
            _ => None,
        };
        changes.into_iter().filter_map(cap).collect()
    };
    assert_eq!(caps(registry.tick(now)), []);
    registry.register_server("x", unread_server_mailbox(), ()).unwrap_err();
    assert_eq!(caps(registry.tick(now)), [(Cap::Servers, true)]);
    registry.register_transport_bound_to("u", unread_transport_mailbox(), (), "s").unwrap_err();
    assert_eq!(caps(registry.tick(now + SECOND)), [(Cap::TransportsPerServer, true)]);
    let mut relieved = caps((2..30).flat_map(|second| registry.tick(now + second * SECOND)).collect());
    relieved.sort_by_key(|(cap, _)| cap.to_string());
    assert_eq!(relieved, [(Cap::Servers, false), (Cap::TransportsPerServer, false)]);
}

fn a_slow_watcher_loses_the_oldest_and_is_told<B: Backend>(shards: usize) {
    let (registry, faults) = faulty::<B>(shards, HealthSettings::default());
    let mut watch = registry.watch_health();
    assert_eq!(watch.try_next(), None);
    let mut all = Vec::new();
    let mut now = Instant::now();
    // Raised and cleared, with admission closed and reopened, more often than anybody keeps.
    faults.set(0..shards);
    while all.len() < 2 * 256 {
        // A reset, for the clock of the tests is ahead of the one that operations are timed by.
        registry.reset_stats();
        work(&registry);
        all.extend(registry.tick(Instant::now()));
        now += 10 * WINDOW;
        all.extend(recover(&registry, now));
    }
    let Some(Watched::Lost(lost)) = watch.try_next() else { panic!("nothing was lost") };
    let kept: Vec<_> = std::iter::from_fn(|| watch.try_next()).collect();
    assert!(kept.len() >= 256 && lost as usize + kept.len() == all.len(), "{lost} lost of {}", all.len());
    let newest: Vec<_> = all.into_iter().skip(lost as usize).map(Watched::Change).collect();
    assert_eq!(kept, newest);
}

fn the_task_checks_and_ends_with_its_registry<B: Backend>(shards: usize) {
    within_time_limit(move || {
        block_on(async move {
            let (registry, faults) = faulty::<B>(shards, HealthSettings::default());
            faults.set([0]);
            work(&registry);
            let mut watch = registry.watch_health();
            let task = tokio::spawn(registry.health_task(SECOND));
            let Some(Watched::Change(HealthChange::AlarmRaised(alarm))) = watch.next().await else { panic!() };
            assert_eq!(alarm.shard, 0);
            drop(registry);
            task.await.unwrap();
            while watch.next().await.is_some() {}
        });
    });
}

fn the_original_rule_can_be_set<B: Backend>(shards: usize) {
    let mut alarm = AlarmRule::original();
    // The rule is that of the original, but for a threshold that can be reached without waiting.
    alarm.threshold = Duration::from_nanos(1);
    let registry: Registry<u64, B> =
        Registry::builder().shards(shards).monitor(monitor_settings()).alarm(alarm).build().unwrap();
    let work = |times| {
        for _ in 0..times {
            registry.register_server("s", unread_server_mailbox(), ()).unwrap().release();
        }
    };
    work(4);
    let now = Instant::now();
    assert_eq!(registry.tick(now), [], "eight writes are not enough");
    work(1);
    assert_eq!(alarms(&registry.tick(now + SECOND)), [(registry.shard_of("s"), true)]);
    assert_eq!(alarms(&registry.tick(now + 2 * WINDOW)), [(registry.shard_of("s"), false)]);
}

fn without_shedding_alarms_close_nothing<B: Backend>(shards: usize) {
    // No operation is so fast, and one shard out of one is more than half.
    let alarm = AlarmRule { threshold: Duration::from_nanos(1), ..AlarmRule::default() };
    let registry: Registry<u64, B> =
        Registry::builder().shards(1).monitor(monitor_settings()).alarm(alarm).admission(AdmitAll).build().unwrap();
    for _ in 0..5 * shards {
        registry.register_server("s", unread_server_mailbox(), ()).unwrap().release();
    }
    let _s = registry.register_server("s", unread_server_mailbox(), ()).unwrap();
    let changes = registry.tick(Instant::now());
    assert!(matches!(changes.last(), Some(HealthChange::AdmissionClosed(_))), "{changes:?}");
    assert_eq!(AdmitAll.state(), AdmissionState::Open);
    assert_eq!(registry.contention_status().admission, AdmissionState::Open);
    let _t = registry.register_transport("t", unread_transport_mailbox(), ()).unwrap();
}
