//! Health: what a check tells and whom, what a reset leaves, and which rules can be set.

use std::time::{Duration, Instant};

use registry_core::{Backend, Kind};
use registry_router::{
    Admission, AdmissionState, AdmitAll, AlarmRule, Cap, Clock, HealthChange, HealthSettings, Limits, MonitorSettings,
    Registry, Watched,
};

use crate::faulty::{Call, Deed, Faulted, Faults, alarms, faulted, ids};
use crate::support::{block_on, unread_server_mailbox, unread_transport_mailbox, within_time_limit};

over_every_backend! {
    a_reset_in_the_middle_loses_no_alarm,
    a_hot_id_is_named,
    a_cap_that_is_hit_is_told,
    a_slow_watcher_loses_the_oldest_and_is_told,
    the_task_checks_and_ends_with_its_registry,
    the_original_rule_can_be_set,
    without_shedding_alarms_close_nothing,
}

const SECOND: Duration = Duration::from_secs(1);

/// In so many seconds without a fault the window has emptied and every hold has passed.
const RECOVERY: u32 = 20;

fn registry<B: Backend>(shards: usize, health: HealthSettings) -> (Faulted<B>, Faults) {
    let monitor = MonitorSettings { sample_every: 1, ..MonitorSettings::default() };
    faulted(shards, |builder| builder.monitor(monitor).health(health))
}

/// Ten registrations and ten removals in each shard.
fn work<B: Backend>(registry: &Faulted<B>) {
    for id in ids(registry) {
        for _ in 0..10 {
            let _ = registry.register_server(id.as_str(), unread_server_mailbox(), ()).map(|lease| lease.release());
        }
    }
}

/// What the checks of so many seconds find in which nothing is done.
fn rest<B: Backend>(registry: &Faulted<B>, faults: &Faults, seconds: u32) -> Vec<HealthChange> {
    let second = |_| {
        faults.hands.advance(SECOND);
        registry.tick(faults.hands.now())
    };
    (0..seconds).flat_map(second).collect()
}

fn a_reset_in_the_middle_loses_no_alarm<B: Backend>(shards: usize) {
    // Admission stays open, so that the slow shard has something to do.
    let (registry, faults) = registry::<B>(shards, HealthSettings { close_above: 1.0, ..HealthSettings::default() });
    faults.slow([0]);
    work(&registry);
    assert_eq!(alarms(&registry.tick(faults.hands.now())), [(0, true)]);
    registry.reset_stats();
    assert_eq!(registry.contention_status().alarmed, [0]);
    assert_eq!(registry.shard_stats(0).unwrap().writes.count, 0);
    assert_eq!(rest(&registry, &faults, 1), []);
    assert!(registry.shard_stats(0).unwrap().alarm);
    // Still slow: the figures that come after the reset keep it, for as long as there are any.
    for _ in 0..RECOVERY {
        work(&registry);
        assert_eq!(rest(&registry, &faults, 1), []);
    }
    assert_eq!(registry.contention_status().alarmed, [0]);
    // And one that becomes slow between two resets is seen as soon as there are figures to tell it by.
    registry.reset_stats();
    faults.slow([shards - 1]);
    work(&registry);
    let raised = alarms(&registry.tick(faults.hands.now()));
    assert_eq!(raised, if shards == 1 { vec![] } else { vec![(shards - 1, true)] });
}

fn a_hot_id_is_named<B: Backend>(shards: usize) {
    let (registry, faults) = registry::<B>(shards, HealthSettings::default());
    let leases: Vec<_> = (0..200)
        .map(|number| registry.register_transport(format!("t{number}"), unread_transport_mailbox(), ()).unwrap())
        .collect();
    let _s = registry.register_server("hot", unread_server_mailbox(), ()).unwrap();
    for lease in &leases {
        registry.find_transport(lease.id()).unwrap();
    }
    assert_eq!(registry.tick(faults.hands.now()), []);
    for _ in 0..100 {
        let _ = registry.route_to_server("hot", leases[0].id(), 1);
    }
    let changes = registry.tick(faults.hands.now());
    let [HealthChange::HotIdNamed(hot)] = &changes[..] else { panic!("{changes:?}") };
    assert_eq!((&*hot.id, hot.kind, hot.shard, hot.samples), ("hot", Kind::Server, registry.shard_of("hot"), 300));
    assert!(hot.share_at_least <= 1.0 / 3.0 && 1.0 / 3.0 <= hot.share && hot.share < 0.36, "{hot:?}");
    let gone = rest(&registry, &faults, 2 * RECOVERY);
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
    let (registry, faults) = registry::<B>(shards, HealthSettings::default());
    let mut watch = registry.watch_health();
    assert_eq!(watch.try_next(), None);
    let mut all = Vec::new();
    // Raised and cleared, with admission closed and reopened, more often than anybody keeps.
    faults.slow(0..shards);
    while all.len() < 2 * 256 {
        work(&registry);
        all.extend(registry.tick(faults.hands.now()));
        all.extend(rest(&registry, &faults, RECOVERY));
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
            let (registry, faults) = registry::<B>(shards, HealthSettings::default());
            faults.slow([0]);
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
    let (registry, faults) = faulted::<B>(shards, |builder| builder.alarm(AlarmRule::original()).admission(AdmitAll));
    let shard = registry.shard_of("s");
    let work = |times, latency| {
        for call in Call::ALL {
            faults.set(shard, call, Deed::Take(latency));
        }
        for _ in 0..times {
            registry.register_server("s", unread_server_mailbox(), ()).unwrap().release();
        }
    };
    let threshold = SECOND / 10;
    work(4, 2 * threshold);
    assert_eq!(registry.tick(faults.hands.now()), [], "eight writes are not enough");
    work(10, threshold);
    assert_eq!(registry.tick(faults.hands.now()), [], "a mean that equals the threshold is still good");
    work(1, 2 * threshold);
    assert_eq!(alarms(&registry.tick(faults.hands.now())), [(shard, true)]);
    work(1, SECOND / 1_000);
    assert_eq!(alarms(&registry.tick(faults.hands.now())), [], "the mean of the last ten is still above it");
    work(4, SECOND / 1_000);
    assert_eq!(alarms(&registry.tick(faults.hands.now())), [(shard, false)]);
}

fn without_shedding_alarms_close_nothing<B: Backend>(shards: usize) {
    let (registry, faults) = faulted::<B>(shards, |builder| builder.admission(AdmitAll));
    faults.slow(0..shards);
    work(&registry);
    let changes = registry.tick(faults.hands.now());
    assert!(matches!(changes.last(), Some(HealthChange::AdmissionClosed(_))), "{changes:?}");
    assert_eq!((alarms(&changes).len(), AdmitAll.state()), (shards, AdmissionState::Open));
    assert_eq!(registry.contention_status().admission, AdmissionState::Open);
    let _t = registry.register_transport("t", unread_transport_mailbox(), ()).unwrap();
}
