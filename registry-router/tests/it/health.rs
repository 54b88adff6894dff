//! Health: what a check tells and whom, what a reset leaves, and which rules can be set.

use std::sync::{Arc, Mutex, OnceLock};
use std::time::{Duration, Instant};

use registry_core::{Backend, Kind};
use registry_router::{
    Admission, AdmissionError, AdmissionState, AdmitAll, AlarmRule, Clock, HealthChange, HealthEvent, HealthSettings,
    LabelLimit, Limit, Limits, Metadata, MonitorSettings, Registry, TryNextError,
};

use crate::faulty::{Call, Deed, Faulted, Faults, alarms, faulted, ids};
use crate::support::{block_on, unread_server_mailbox, unread_transport_mailbox, within_time_limit};

over_every_backend! {
    a_reset_in_the_middle_loses_no_alarm,
    a_hot_id_is_named,
    a_cap_that_is_hit_is_told,
    a_cap_that_is_hit_at_every_visit_is_not_relieved,
    however_many_tenants_are_turned_away_a_check_tells_few_changes,
    a_policy_may_check_when_it_is_told,
    a_policy_that_panics_when_it_is_told_holds_back_no_news,
    changes_are_told_in_order_when_many_check,
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
    let [HealthChange::HotIdDetected(hot)] = &changes[..] else { panic!("{changes:?}") };
    assert_eq!((&*hot.id, hot.kind, hot.shard, hot.samples), ("hot", Kind::Server, registry.shard_of("hot"), 300));
    assert!(hot.share_at_least <= 1.0 / 3.0 && 1.0 / 3.0 <= hot.share && hot.share < 0.36, "{hot:?}");
    let gone = rest(&registry, &faults, 2 * RECOVERY);
    assert!(matches!(&gone[..], [HealthChange::HotIdCleared(hot)] if &*hot.id == "hot"), "{gone:?}");
}

fn a_cap_that_is_hit_is_told<B: Backend>(shards: usize) {
    let limits = Limits { servers: Some(1), transports_per_server: Some(1), ..Limits::default() };
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
    let mut relieved = limits((2..30).flat_map(|second| registry.tick(now + second * SECOND)).collect());
    relieved.sort_by_key(|(limit, _)| limit.to_string());
    assert_eq!(relieved, [(Limit::Servers, false), (Limit::TransportsPerServer, false)]);
}

/// A registry in which each tenant may have one transport.
fn tenants<B: Backend>(shards: usize) -> Registry<u64, B> {
    let label = LabelLimit { key: "tenant".to_owned(), servers: None, transports: Some(1) };
    let limits = Limits { label: Some(label), sweep_every: 1_000_000 * SECOND, ..Limits::default() };
    // Nothing is timed, so that a busy machine raises no alarm.
    let monitor = MonitorSettings { enabled: false, ..MonitorSettings::default() };
    Registry::builder().shards(shards).limits(limits).monitor(monitor).build().unwrap()
}

fn a_cap_that_is_hit_at_every_visit_is_not_relieved<B: Backend>(shards: usize) {
    let (registry, start) = (tenants::<B>(shards), Instant::now());
    let tenant = || Metadata::new().with("tenant", "a");
    let mut told = Vec::new();
    // Between two checks the tenant comes, is turned away once and leaves again.
    for second in 0..30_u32 {
        if second % 5 == 0 {
            let _held = registry.register_transport("t", unread_transport_mailbox(), tenant()).unwrap();
            registry.register_transport("u", unread_transport_mailbox(), tenant()).unwrap_err();
        }
        told.extend(registry.tick(start + second * SECOND).into_iter().map(|change| (second, change)));
    }
    assert!(matches!(&told[..], [(0, HealthChange::LimitReached(_))]), "{told:#?}");
    told.extend((30..40).flat_map(|second| registry.tick(start + second * SECOND)).map(|change| (40, change)));
    assert!(matches!(&told[1..], [(40, HealthChange::LimitCleared(_))]), "{told:#?}");
}

fn however_many_tenants_are_turned_away_a_check_tells_few_changes<B: Backend>(shards: usize) {
    const TENANTS: usize = 1_000;
    let (registry, start) = (tenants::<B>(shards), Instant::now());
    for number in 0..TENANTS {
        let tenant = Metadata::new().with("tenant", format!("tenant-{number}"));
        registry.register_transport(format!("a{number}"), unread_transport_mailbox(), tenant.clone()).unwrap().detach();
        registry.register_transport(format!("b{number}"), unread_transport_mailbox(), tenant).unwrap_err();
    }
    let mut watch = registry.watch_health();
    let (mut hit, mut relieved) = (0, 0);
    for second in 0..20 {
        let changes = registry.tick(start + second * SECOND);
        assert!(changes.len() <= 64 + 2, "{} changes in one check", changes.len());
        for change in changes {
            assert_eq!(watch.try_next(), Ok(HealthEvent::Change(change.clone())));
            match change {
                HealthChange::LimitReached(_) => hit += 1,
                HealthChange::LimitCleared(_) => relieved += 1,
                HealthChange::MoreLimitsReached(more) => hit += more.limits as usize,
                HealthChange::MoreLimitsCleared(more) => relieved += more.limits as usize,
                other => panic!("{other}"),
            }
        }
        assert_eq!((hit, relieved), (TENANTS, if second < 11 { 0 } else { TENANTS }), "second {second}");
    }
}

/// A policy that checks the registry's health whenever it is told of it.
#[derive(Debug)]
struct Curious<B: Backend> {
    registry: Arc<OnceLock<Faulted<B>>>,
    now: Instant,
    told: Arc<Mutex<Vec<AdmissionState>>>,
}

impl<B: Backend> Admission for Curious<B> {
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
            self.told.lock().unwrap().push(state);
        }
    }
}

fn a_policy_may_check_when_it_is_told<B: Backend>(shards: usize) {
    within_time_limit(move || {
        let (own, told) = (Arc::new(OnceLock::new()), Arc::new(Mutex::new(Vec::new())));
        let policy = Curious { registry: own.clone(), now: Instant::now(), told: told.clone() };
        let (registry, faults) = faulted::<B>(shards, |builder| builder.admission(policy));
        own.set(registry.clone()).unwrap();
        faults.slow(0..shards);
        work(&registry);
        let mut watch = registry.watch_health();
        let changes = registry.tick(faults.hands.now());
        assert!(matches!(changes.last(), Some(HealthChange::AdmissionClosed(_))), "{changes:?}");
        assert_eq!(*told.lock().unwrap(), [AdmissionState::Closed, AdmissionState::Open]);
        let watched: Vec<_> = std::iter::from_fn(|| watch.try_next().ok()).collect();
        assert_eq!(watched[..changes.len()], changes.into_iter().map(HealthEvent::Change).collect::<Vec<_>>());
        let reopened = |change: &HealthEvent| matches!(change, HealthEvent::Change(HealthChange::AdmissionReopened(_)));
        assert!(watched.iter().any(reopened), "{watched:?}");
    });
}

/// A policy that panics whenever it is told of the registry's health.
#[derive(Debug)]
struct Fragile;

impl Admission for Fragile {
    fn admit(&self, _: Kind, _: &Metadata, _: Instant) -> Result<(), AdmissionError> {
        Ok(())
    }

    fn release(&self, _: Kind, _: &Metadata) {}

    fn state(&self) -> AdmissionState {
        AdmissionState::Open
    }

    fn health(&self, state: AdmissionState, _: Duration) {
        panic!("told that admission is {state:?}");
    }
}

fn a_policy_that_panics_when_it_is_told_holds_back_no_news<B: Backend>(shards: usize) {
    let (registry, faults) = faulted::<B>(shards, |builder| builder.admission(Fragile));
    faults.slow(0..shards);
    work(&registry);
    let mut watch = registry.watch_health();
    let check = std::panic::AssertUnwindSafe(|| registry.tick(faults.hands.now()));
    assert!(std::panic::catch_unwind(check).is_err());
    assert_eq!(registry.tick(faults.hands.now()), [], "what was found is not found again");
    let told: Vec<_> = std::iter::from_fn(|| watch.try_next().ok()).collect();
    assert_eq!(told.len(), shards + 1, "all alarms, and that admission is closed: {told:?}");
}

fn changes_are_told_in_order_when_many_check<B: Backend>(shards: usize) {
    within_time_limit(move || {
        const THREADS: u32 = 4;
        // So few that no change is lost to a watcher that reads them all at the end.
        const ROUNDS: u32 = 25;
        let (registry, start) = (tenants::<B>(shards), Instant::now());
        let mut watch = registry.watch_health();
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
        for change in std::iter::from_fn(|| watch.try_next().ok()) {
            match change {
                HealthEvent::Change(HealthChange::LimitReached(hit)) => assert!(full.insert(hit.limit), "hit twice"),
                HealthEvent::Change(HealthChange::LimitCleared(relieved)) => assert!(full.remove(&relieved.limit)),
                other => panic!("{other:?}"),
            }
        }
        assert!(full.is_empty(), "{full:?}");
    });
}

fn a_slow_watcher_loses_the_oldest_and_is_told<B: Backend>(shards: usize) {
    let (registry, faults) = registry::<B>(shards, HealthSettings::default());
    let mut watch = registry.watch_health();
    assert_eq!(watch.try_next(), Err(TryNextError::Empty));
    let mut all = Vec::new();
    // Raised and cleared, with admission closed and reopened, more often than anybody keeps.
    faults.slow(0..shards);
    while all.len() < 2 * 256 {
        work(&registry);
        all.extend(registry.tick(faults.hands.now()));
        all.extend(rest(&registry, &faults, RECOVERY));
    }
    let Ok(HealthEvent::Lagged(lost)) = watch.try_next() else { panic!("nothing was lost") };
    let kept: Vec<_> = std::iter::from_fn(|| watch.try_next().ok()).collect();
    assert!(kept.len() >= 256 && lost as usize + kept.len() == all.len(), "{lost} lost of {}", all.len());
    let newest: Vec<_> = all.into_iter().skip(lost as usize).map(HealthEvent::Change).collect();
    assert_eq!(kept, newest);
    assert_eq!(watch.try_next(), Err(TryNextError::Empty));
    // What was found before the end is told after it, and then that it is the end.
    let mut other = registry.watch_health();
    faults.slow(0..shards);
    work(&registry);
    let last = registry.tick(faults.hands.now());
    assert!(!last.is_empty());
    drop(registry);
    for change in last {
        assert_eq!(other.try_next(), Ok(HealthEvent::Change(change)));
    }
    assert_eq!([other.try_next(), other.try_next()], [Err(TryNextError::Closed), Err(TryNextError::Closed)]);
}

fn the_task_checks_and_ends_with_its_registry<B: Backend>(shards: usize) {
    within_time_limit(move || {
        block_on(async move {
            let (registry, faults) = registry::<B>(shards, HealthSettings::default());
            faults.slow([0]);
            work(&registry);
            let mut watch = registry.watch_health();
            let task = tokio::spawn(registry.health_task(SECOND));
            let Some(HealthEvent::Change(HealthChange::AlarmRaised(alarm))) = watch.next().await else { panic!() };
            assert_eq!(alarm.shard, 0);
            drop(registry);
            task.await.unwrap();
            while watch.next().await.is_some() {}
        });
    });
}

fn the_original_rule_can_be_set<B: Backend>(shards: usize) {
    let (registry, faults) =
        faulted::<B>(shards, |builder| builder.alarm(AlarmRule::mean_of_last_writes()).admission(AdmitAll));
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
