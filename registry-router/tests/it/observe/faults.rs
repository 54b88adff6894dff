//! Faults injected below the router: alarms of exactly the slow shards, admission that follows them, and failures.

use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

use registry_core::Backend;
use registry_router::{
    AdmissionState, DenyReason, HealthChange, HealthSettings, Inbox, Limits, Metadata, MonitorSettings, Operation,
    RegisterErrorKind, ServerId, ToServer, TokioMailbox,
};

use crate::support::fault_injection::{Behavior, Call, Faults, FaultyRegistry, alarms, faulty_registry, ids};
use crate::support::{server_mailbox, transport, transport_mailbox, unread_server_mailbox, unread_transport_mailbox};

test_every_backend! {
    only_the_slow_shard_raises_an_alarm,
    admission_closes_above_exactly_the_configured_share_and_reopens,
    alarms_do_not_flap_during_an_hour_of_noise,
    a_panicking_shard_leaves_the_registry_usable,
    a_spurious_failure_of_a_shard_is_retried,
}

const SECOND: Duration = Duration::from_secs(1);

/// In this many seconds of load, the latency window is filled.
const WINDOW: u32 = 12;

/// After this many seconds without a fault, it has left every window and every hold time has passed.
const RECOVERY: u32 = 18;

/// A load of twelve registrations, removals and lookups per shard and second, all timed.
struct Load<'a, B: Backend> {
    registry: &'a FaultyRegistry<B>,
    faults: &'a Faults,
    ids: Vec<String>,
    mailbox: TokioMailbox<ToServer<u64>>,
    refused: Cell<usize>,
    /// The number of checks, one at the end of each second.
    seconds: Cell<u32>,
    _inbox: Inbox<ToServer<u64>>,
}

impl<'a, B: Backend> Load<'a, B> {
    fn new(registry: &'a FaultyRegistry<B>, faults: &'a Faults) -> Self {
        let (mailbox, inbox) = server_mailbox();
        let (refused, seconds) = (Cell::new(0), Cell::new(0));
        Self { registry, faults, ids: ids(registry), mailbox, refused, seconds, _inbox: inbox }
    }

    /// Generates the load of this many quarters of a second.
    fn quarters(&self, quarters: u32) {
        for _ in 0..3 * quarters {
            for id in &self.ids {
                match self.registry.register_server(id.as_str(), self.mailbox.clone(), ()) {
                    Ok(lease) => {
                        self.registry.with_server(id, |_| ()).expect("the server was just registered");
                        lease.release();
                    }
                    Err(error) => {
                        assert!(matches!(error.kind(), RegisterErrorKind::Refused(_)), "{error:?}");
                        self.refused.set(self.refused.get() + 1);
                        self.registry.with_server(id, |_| ());
                    }
                }
            }
        }
    }

    /// Ends a second with a check, and returns its changes.
    fn check(&self) -> Vec<HealthChange> {
        self.seconds.set(self.seconds.get() + 1);
        let now = self.faults.clock.advance_to(self.seconds.get() * SECOND);
        self.registry.tick(now)
    }

    /// Generates the load of this many seconds, and returns the changes of their checks.
    fn seconds(&self, seconds: u32) -> Vec<HealthChange> {
        let second = |_| {
            self.quarters(4);
            self.check()
        };
        (0..seconds).flat_map(second).collect()
    }
}

fn every_lookup_timed() -> MonitorSettings {
    MonitorSettings::default().with_sample_every(1)
}

fn only_the_slow_shard_raises_an_alarm<B: Backend>(shards: usize) {
    // One kind of call becomes slow in one shard, in the course of a second.
    for (call, after) in [(Call::Insert, 1), (Call::Remove, 2), (Call::Read, 3)] {
        let (registry, faults) = faulty_registry::<B>(shards, |builder| builder.monitor(every_lookup_timed()));
        let load = Load::new(&registry, &faults);
        assert_eq!(load.seconds(WINDOW), []);
        let slow = (shards / 2 + after as usize) % shards;
        load.quarters(after);
        faults.set(slow, call, Behavior::Delay(SECOND / 1_000));
        load.quarters(4 - after);
        assert!(!registry.shard_stats(slow).unwrap().alarm, "alarms change only at a check");
        // The alarm is reported within two checks, once.
        let mut changes = load.check();
        changes.extend(load.seconds(1));
        let [HealthChange::AlarmRaised(alarm), others @ ..] = &changes[..] else { panic!("{call:?}: {changes:?}") };
        let operation = if call == Call::Read { Operation::Read } else { Operation::Write };
        assert_eq!((alarm.shard, alarm.operation), (slow, operation));
        assert!(alarm.measured_ns >= 1e6 && alarm.samples >= 10, "{alarm:?}");
        assert!(matches!(others, [] | [HealthChange::AdmissionClosed(_)]), "{call:?}: {others:?}");
        assert_eq!(others.len(), usize::from(shards == 1), "one shard of one exceeds the share of a half");
        assert_eq!(registry.contention_status().alarmed, [slow]);
        assert!(registry.shard_stats(slow).unwrap().alarm);
        faults.heal();
        assert_eq!(load.seconds(5), [], "the alarm is held");
        assert_eq!(alarms(&load.seconds(RECOVERY)), [(slow, false)]);
        assert_eq!(registry.contention_status().alarmed, [0; 0]);
    }
}

fn admission_closes_above_exactly_the_configured_share_and_reopens<B: Backend>(shards: usize) {
    for (share, reopen_at) in [(0.0, 0.0), (0.25, 0.125), (0.5, 0.25), (0.9, 0.9)] {
        let settings = HealthSettings::default().with_close_above(share).with_reopen_at(reopen_at);
        let (registry, faults) =
            faulty_registry::<B>(shards, |builder| builder.monitor(every_lookup_timed()).health(settings));
        let load = Load::new(&registry, &faults);
        let max_open = (share * shards as f64) as usize;
        faults.slow(0..max_open);
        assert_eq!(alarms(&load.seconds(3)).len(), max_open);
        assert_eq!(registry.contention_status().admission, AdmissionState::Open, "{max_open} of {shards}");
        let (mailbox, mut inbox) = server_mailbox();
        let server = registry.register_server("existing", mailbox, ()).unwrap();
        let t = registry.register_transport("t", unread_transport_mailbox(), ()).unwrap();
        assert_eq!(load.refused.get(), 0);

        faults.slow(0..=max_open);
        let changes = load.seconds(2);
        assert!(
            matches!(&changes[..], [.., HealthChange::AdmissionClosed(shards)] if shards.alarmed == max_open + 1),
            "{changes:?}"
        );
        assert_eq!(alarms(&changes), [(max_open, true)]);
        assert_eq!(registry.contention_status().admission, AdmissionState::Closed);
        // New registrations are refused, with mailbox and metadata returned.
        let (mailbox, mut returned) = transport_mailbox();
        let metadata = Metadata::new().with("region", "eu");
        let refused = registry.register_transport_bound_to("new", mailbox, metadata.clone(), "existing").unwrap_err();
        let RegisterErrorKind::Refused(error) = refused.kind() else { panic!("{}", refused.kind()) };
        assert_eq!((&error.reason, error.retry_after), (&DenyReason::Closed, Some(5 * SECOND)));
        assert_eq!(refused.metadata(), &metadata);
        assert!(!error.message.is_empty() && registry.find_transport("new").is_none());
        // Existing entries are unaffected.
        registry.bind_transport_to_server("t", "existing").unwrap();
        registry.route_to_server("existing", t.id(), 7).unwrap();
        assert_eq!(inbox.try_recv().unwrap().message, 7);

        // Above the reopening share admission stays closed; at exactly that share it reopens.
        let max_reopened = (reopen_at * shards as f64) as usize;
        faults.slow(0..=max_reopened);
        let closed = load.seconds(RECOVERY);
        assert_eq!(alarms(&closed).len() + max_reopened, max_open);
        assert_eq!(closed.len(), alarms(&closed).len(), "{closed:?}");
        assert!(load.refused.get() >= 64.min(shards) * 12 * RECOVERY as usize);
        faults.slow(0..max_reopened);
        let reopened = load.seconds(RECOVERY + 5);
        let admission_changes: Vec<_> =
            reopened.iter().filter(|change| !matches!(change, HealthChange::AlarmCleared(_))).collect();
        assert!(
            matches!(admission_changes[..], [HealthChange::AdmissionReopened(shards)] if shards.alarmed == max_reopened),
            "{admission_changes:?}"
        );
        assert_eq!(registry.contention_status().alarmed, (0..max_reopened).collect::<Vec<_>>());
        let (_, mailbox, metadata) = refused.into_parts();
        let lease = registry.register_transport_bound_to("new", mailbox, metadata, "existing").unwrap();
        registry.route_to_transport("new", &ServerId::new("existing").unwrap(), 8).unwrap();
        assert_eq!(returned.try_recv().unwrap().message, 8);
        assert!(lease.release() && server.release());
    }
}

/// A deterministic random number generator.
struct XorShift(u64);

impl XorShift {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % bound
    }
}

fn alarms_do_not_flap_during_an_hour_of_noise<B: Backend>(shards: usize) {
    const LOOKUPS: u64 = 100;
    /// Slow lookups per thousand: far below the alarm threshold, around it, and far above.
    const NOISES: [u64; 3] = [2, 10, 40];
    // Shards are checked independently, and an hour of checks of 64 shards would take long.
    let shards = shards.min(8);
    // A single shard gets the noise around the threshold.
    let noises = if shards == 1 { &NOISES[1..2] } else { &NOISES[..] };
    let (registry, faults) = faulty_registry::<B>(shards, |builder| builder.monitor(every_lookup_timed()));
    let ids = ids(&registry);
    let mut rng = XorShift(0x9e37_79b9_7f4a_7c15);
    let mut changes = Vec::new();
    for second in 1..=3_600_u32 {
        for (shard, &noise) in noises.iter().enumerate() {
            // The noise around the threshold varies over minutes.
            let wave = if noise == NOISES[1] { 1.0 + (f64::from(second) / 60.0).sin() } else { 1.0 };
            for _ in 0..LOOKUPS {
                let slow = (rng.below(1_000_000) as f64) < 1_000.0 * noise as f64 * wave;
                faults.set(shard, Call::Read, Behavior::Delay(if slow { SECOND / 1_000 } else { SECOND / 1_000_000 }));
                registry.with_server(&ids[shard], |_| ());
            }
        }
        let now = faults.clock.advance_to(second * SECOND);
        changes.extend(registry.tick(now).into_iter().map(|change| (second, change)));
    }
    let of = |shard: usize| -> Vec<(u32, bool)> {
        let alarms = changes.iter().flat_map(|(second, change)| {
            alarms(std::slice::from_ref(change)).into_iter().map(|(shard, raised)| (*second, shard, raised))
        });
        alarms.filter(|alarm| alarm.1 == shard).map(|(second, _, raised)| (second, raised)).collect()
    };
    let around = of(noises.len() / 2);
    assert!(around.len() > 1, "noise around the threshold raises an alarm and clears it: {around:?}");
    for pair in around.windows(2) {
        assert_ne!(pair[0].1, pair[1].1);
        assert!(!pair[0].1 || pair[1].0 - pair[0].0 >= 5, "not held: {around:?}");
    }
    let raised = around.iter().filter(|(_, raised)| *raised).count();
    assert!(raised <= 4 * 3_600 / 377, "more than four alarms per wave of six minutes: {around:?}");
    let admission_changes =
        changes.iter().filter(|(_, change)| matches!(change, HealthChange::AdmissionClosed(_))).count();
    if shards == 1 {
        // One shard of one exceeds the share of a half; and admission is held closed longer than an alarm.
        assert!((1..=raised).contains(&admission_changes), "{admission_changes} of {raised}");
    } else {
        assert_eq!(of(0), [], "an alarm for noise far below the threshold");
        assert!(
            matches!(of(2)[..], [(1..30, true)]),
            "not exactly one alarm for noise far above the threshold: {:?}",
            of(2)
        );
        assert_eq!((admission_changes, (3..shards).flat_map(of).count()), (0, 0));
    }
}

/// Returns whether `act` panics.
fn panics<R>(act: impl FnOnce() -> R) -> bool {
    catch_unwind(AssertUnwindSafe(act)).is_err()
}

fn a_panicking_shard_leaves_the_registry_usable<B: Backend>(shards: usize) {
    let limits = Limits::default().with_servers(2).with_transports(2).with_transports_per_server(2);
    let (registry, faults) =
        faulty_registry::<B>(shards, |builder| builder.monitor(every_lookup_timed()).limits(limits));
    let load = Load::new(&registry, &faults);
    let (mailbox, mut inbox) = server_mailbox();
    let s = registry.register_server("s", mailbox, ()).unwrap();
    let t = registry.register_transport_bound_to("t", unread_transport_mailbox(), (), "s").unwrap();
    let (of_s, of_t) = (registry.shard_of("s"), registry.shard_of("t"));
    // Often enough to raise an alarm, if panics were counted as latency.
    for _ in 0..20 {
        faults.set(of_s, Call::Read, Behavior::Panic);
        assert!(panics(|| registry.find_server("s")));
        assert!(panics(|| registry.route_to_server("s", t.id(), 1)));
        assert!(panics(|| registry.bind_transport_to_server("t", "s")));
        faults.heal();
        let new = registry.shard_of("new");
        for behavior in [Behavior::Panic, Behavior::PanicInside] {
            faults.set(new, Call::Insert, behavior);
            assert!(panics(|| registry.register_server("new", unread_server_mailbox(), ())));
            assert!(panics(|| registry.register_transport_bound_to("new", unread_transport_mailbox(), (), "s")));
            assert_eq!(registry.binding_count(), 1);
        }
        faults.set(of_s, Call::Remove, Behavior::Panic);
        faults.set(of_t, Call::Remove, Behavior::Panic);
        assert!(panics(|| registry.unregister_server("s")) && panics(|| registry.unregister_transport("t")));
        for other in load.ids.iter().filter(|id| ![of_s, of_t, new].contains(&registry.shard_of(id))).take(3) {
            let lease = registry.register_server(other.as_str(), load.mailbox.clone(), ()).unwrap();
            assert!(registry.find_server(other).is_some() && lease.release());
        }
        faults.heal();
    }
    // The entries are unchanged, and no permit is lost: neither of a limit nor of the server.
    registry.route_to_server("s", t.id(), 2).unwrap();
    assert_eq!(inbox.try_recv().unwrap().message, 2);
    assert!(s.is_current() && t.is_current());
    assert_eq!((registry.server_count(), registry.transport_count(), registry.binding_count()), (1, 1, 1));
    assert_eq!(registry.transports_of("s"), [t.id().clone()]);
    let new = registry.register_server("new", unread_server_mailbox(), ()).unwrap();
    let bound = registry.register_transport_bound_to("new", unread_transport_mailbox(), (), "s").unwrap();
    assert_eq!(registry.binding_count(), 2);
    assert!(new.release() && bound.release());
    assert_eq!(load.seconds(3), [], "an alarm was raised");
    // A lease whose release panics leaves the entry, which can be unregistered by id.
    faults.set(of_s, Call::Remove, Behavior::Panic);
    assert!(panics(|| s.release()));
    faults.heal();
    assert!(registry.find_server("s").is_some() && registry.unregister_server("s"));
    assert_eq!((registry.binding_count(), registry.server_for_transport("t")), (0, None));
    drop(t);
    assert_eq!((registry.server_count(), registry.transport_count()), (0, 0));
    let sum = registry
        .all_shard_stats()
        .iter()
        .fold((0, 0), |(registered, removed), shard| (registered + shard.registrations, removed + shard.removals));
    assert_eq!(sum.0, sum.1);
}

fn a_spurious_failure_of_a_shard_is_retried<B: Backend>(shards: usize) {
    let (registry, faults) = faulty_registry::<B>(shards, |builder| builder);
    let shard = registry.shard_of("s");
    faults.set(shard, Call::Insert, Behavior::FailOnce);
    let s = registry.register_server("s", unread_server_mailbox(), ()).unwrap();
    faults.set(shard, Call::Read, Behavior::FailOnce);
    assert!(registry.find_server("s").is_none() && registry.find_server("s").is_some());
    faults.set(shard, Call::Read, Behavior::FailOnce);
    let returned = registry.route_to_server("s", &transport("t"), 1).unwrap_err();
    assert_eq!(returned.into_message(), 1);
    // When a removal fails, the entry and its bindings remain.
    faults.set(shard, Call::Remove, Behavior::FailOnce);
    let _t = registry.register_transport_bound_to("t", unread_transport_mailbox(), (), "s").unwrap();
    assert!(!s.release());
    assert_eq!((registry.server_count(), registry.binding_count()), (1, 1));
    assert!(registry.unregister_server("s") && registry.server_count() == 0);
    let stats = registry.shard_stats(shard).unwrap();
    let of_t = u64::from(registry.shard_of("t") == shard);
    assert_eq!((stats.registrations, stats.removals, stats.rejections), (1 + of_t, 1, 0));
}
