//! Faults injected below the router: the right alarm and no other, admission that follows, and shards that fail.

use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

use registry_core::Backend;
use registry_router::{
    AdmissionState, DenyReason, HealthChange, HealthSettings, Inbox, Limits, Metadata, MonitorSettings, Operation,
    RegisterErrorKind, ServerId, ToServer, TokioMailbox,
};

use crate::faulty::{Call, Deed, Faulted, Faults, alarms, faulted, ids};
use crate::support::{server_mailbox, transport, transport_mailbox, unread_server_mailbox, unread_transport_mailbox};

over_every_backend! {
    the_slow_shard_alarms_and_no_other,
    admission_closes_above_exactly_the_share_and_reopens,
    a_noisy_hour_below_the_router_does_not_flap,
    a_shard_that_panics_leaves_the_registry_usable,
    a_shard_that_refuses_for_no_reason_is_asked_again,
}

const SECOND: Duration = Duration::from_secs(1);

/// In twelve seconds all of a window of normal load is behind a fault.
const WINDOW: u32 = 12;

/// After so many seconds without a fault, no window has it any more and every hold has passed.
const RECOVERY: u32 = 18;

/// What happens in every shard in every second: twelve registrations, as many ends and as many lookups, all timed.
struct Load<'a, B: Backend> {
    registry: &'a Faulted<B>,
    faults: &'a Faults,
    ids: Vec<String>,
    mailbox: TokioMailbox<ToServer<u64>>,
    refused: Cell<usize>,
    /// Checks so far, one at the end of each second.
    seconds: Cell<u32>,
    _inbox: Inbox<ToServer<u64>>,
}

impl<'a, B: Backend> Load<'a, B> {
    fn new(registry: &'a Faulted<B>, faults: &'a Faults) -> Self {
        let (mailbox, inbox) = server_mailbox();
        let (refused, seconds) = (Cell::new(0), Cell::new(0));
        Self { registry, faults, ids: ids(registry), mailbox, refused, seconds, _inbox: inbox }
    }

    /// What happens in so many quarters of a second.
    fn quarters(&self, quarters: u32) {
        for _ in 0..3 * quarters {
            for id in &self.ids {
                match self.registry.register_server(id.as_str(), self.mailbox.clone(), ()) {
                    Ok(lease) => {
                        self.registry.with_server(id, |_| ()).expect("it was just registered");
                        lease.release();
                    }
                    Err(error) => {
                        assert!(matches!(error.kind, RegisterErrorKind::Refused(_)), "{error:?}");
                        self.refused.set(self.refused.get() + 1);
                        self.registry.with_server(id, |_| ());
                    }
                }
            }
        }
    }

    /// The end of a second: what a check finds.
    fn check(&self) -> Vec<HealthChange> {
        self.seconds.set(self.seconds.get() + 1);
        let now = self.faults.hands.until(self.seconds.get() * SECOND);
        self.registry.tick(now)
    }

    /// What the checks of so many seconds find.
    fn seconds(&self, seconds: u32) -> Vec<HealthChange> {
        let second = |_| {
            self.quarters(4);
            self.check()
        };
        (0..seconds).flat_map(second).collect()
    }
}

fn every_lookup_timed() -> MonitorSettings {
    MonitorSettings { sample_every: 1, ..MonitorSettings::default() }
}

fn the_slow_shard_alarms_and_no_other<B: Backend>(shards: usize) {
    // Something becomes slow in the course of a second, in one shard.
    for (call, after) in [(Call::Insert, 1), (Call::Remove, 2), (Call::Read, 3)] {
        let (registry, faults) = faulted::<B>(shards, |builder| builder.monitor(every_lookup_timed()));
        let load = Load::new(&registry, &faults);
        assert_eq!(load.seconds(WINDOW), []);
        let slow = (shards / 2 + after as usize) % shards;
        load.quarters(after);
        faults.set(slow, call, Deed::Take(SECOND / 1_000));
        load.quarters(4 - after);
        assert!(!registry.shard_stats(slow).unwrap().alarm, "an alarm is a state that a check changes");
        // Within two checks it is told, and it is not told again.
        let mut changes = load.check();
        changes.extend(load.seconds(1));
        let [HealthChange::AlarmRaised(alarm), others @ ..] = &changes[..] else { panic!("{call:?}: {changes:?}") };
        let operation = if call == Call::Read { Operation::Read } else { Operation::Write };
        assert_eq!((alarm.shard, alarm.operation), (slow, operation));
        assert!(alarm.measured_ns >= 1e6 && alarm.samples >= 10, "{alarm:?}");
        assert!(matches!(others, [] | [HealthChange::AdmissionClosed(_)]), "{call:?}: {others:?}");
        assert_eq!(others.len(), usize::from(shards == 1), "one shard of one is more than half");
        assert_eq!(registry.contention_status().alarmed, [slow]);
        assert!(registry.shard_stats(slow).unwrap().alarm);
        faults.heal();
        assert_eq!(load.seconds(5), [], "it is held");
        assert_eq!(alarms(&load.seconds(RECOVERY)), [(slow, false)]);
        assert_eq!(registry.contention_status().alarmed, [0; 0]);
    }
}

fn admission_closes_above_exactly_the_share_and_reopens<B: Backend>(shards: usize) {
    for (share, reopen_at) in [(0.0, 0.0), (0.25, 0.125), (0.5, 0.25), (0.9, 0.9)] {
        let settings = HealthSettings { close_above: share, reopen_at, ..HealthSettings::default() };
        let (registry, faults) = faulted::<B>(shards, |builder| builder.monitor(every_lookup_timed()).health(settings));
        let load = Load::new(&registry, &faults);
        let most = (share * shards as f64) as usize;
        faults.slow(0..most);
        assert_eq!(alarms(&load.seconds(3)).len(), most);
        assert_eq!(registry.contention_status().admission, AdmissionState::Open, "{most} of {shards}");
        let (mailbox, mut inbox) = server_mailbox();
        let server = registry.register_server("in", mailbox, ()).unwrap();
        let t = registry.register_transport("t", unread_transport_mailbox(), ()).unwrap();
        assert_eq!(load.refused.get(), 0);

        faults.slow(0..=most);
        let changes = load.seconds(2);
        assert!(
            matches!(&changes[..], [.., HealthChange::AdmissionClosed(alarmed_shards)] if alarmed_shards.alarmed == most + 1)
        );
        assert_eq!(alarms(&changes), [(most, true)]);
        assert_eq!(registry.contention_status().admission, AdmissionState::Closed);
        // The new are refused and get everything back.
        let (mailbox, mut returned) = transport_mailbox();
        let metadata = Metadata::new().with("region", "eu");
        let refused = registry.register_transport_bound_to("new", mailbox, metadata.clone(), "in").unwrap_err();
        let RegisterErrorKind::Refused(refusal) = &refused.kind else { panic!("{}", refused.kind) };
        assert_eq!((&refusal.reason, refusal.retry_after), (&DenyReason::Closed, Some(5 * SECOND)));
        assert_eq!(refused.metadata, metadata);
        assert!(!refusal.message.is_empty() && registry.find_transport("new").is_none());
        // Those who are in go on.
        registry.bind_transport_to_server("t", "in").unwrap();
        registry.route_to_server("in", t.id(), 7).unwrap();
        assert_eq!(inbox.try_recv().unwrap().message, 7);

        // With one more than it reopens at, it stays closed; at exactly that share it takes the new again, by itself.
        let fewest = (reopen_at * shards as f64) as usize;
        faults.slow(0..=fewest);
        let closed = load.seconds(RECOVERY);
        assert_eq!(alarms(&closed).len() + fewest, most);
        assert_eq!(closed.len(), alarms(&closed).len(), "{closed:?}");
        assert!(load.refused.get() >= 64.min(shards) * 12 * RECOVERY as usize);
        faults.slow(0..fewest);
        let reopened = load.seconds(RECOVERY + 5);
        let doors: Vec<_> = reopened.iter().filter(|change| !matches!(change, HealthChange::AlarmCleared(_))).collect();
        assert!(
            matches!(doors[..], [HealthChange::AdmissionReopened(alarmed_shards)] if alarmed_shards.alarmed == fewest),
            "{doors:?}"
        );
        assert_eq!(registry.contention_status().alarmed, (0..fewest).collect::<Vec<_>>());
        let lease = registry.register_transport_bound_to("new", refused.mailbox, refused.metadata, "in").unwrap();
        registry.route_to_transport("new", &ServerId::new("in").unwrap(), 8).unwrap();
        assert_eq!(returned.try_recv().unwrap().message, 8);
        assert!(lease.release() && server.release());
    }
}

/// Random numbers that are the same each time.
struct Dice(u64);

impl Dice {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % bound
    }
}

fn a_noisy_hour_below_the_router_does_not_flap<B: Backend>(shards: usize) {
    const LOOKUPS: u64 = 100;
    /// How many of a thousand lookups are slow: far below what raises an alarm, around it, and far above.
    const NOISES: [u64; 3] = [2, 10, 40];
    // Shards are judged each for itself, and an hour of checks of 64 would be a long one.
    let shards = shards.min(8);
    // With one shard there is one noise, that around the threshold.
    let noises = if shards == 1 { &NOISES[1..2] } else { &NOISES[..] };
    let (registry, faults) = faulted::<B>(shards, |builder| builder.monitor(every_lookup_timed()));
    let ids = ids(&registry);
    let mut dice = Dice(0x9e37_79b9_7f4a_7c15);
    let mut changes = Vec::new();
    for second in 1..=3_600_u32 {
        for (shard, &noise) in noises.iter().enumerate() {
            // That around the threshold comes and goes, over some minutes.
            let wave = if noise == NOISES[1] { 1.0 + (f64::from(second) / 60.0).sin() } else { 1.0 };
            for _ in 0..LOOKUPS {
                let slow = (dice.below(1_000_000) as f64) < 1_000.0 * noise as f64 * wave;
                faults.set(shard, Call::Read, Deed::Take(if slow { SECOND / 1_000 } else { SECOND / 1_000_000 }));
                registry.with_server(&ids[shard], |_| ());
            }
        }
        let now = faults.hands.until(second * SECOND);
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
        assert!(!pair[0].1 || pair[1].0 - pair[0].0 >= 5, "it is held: {around:?}");
    }
    let raised = around.iter().filter(|(_, raised)| *raised).count();
    assert!(raised <= 4 * 3_600 / 377, "four times in a wave of six minutes at most: {around:?}");
    let doors = changes.iter().filter(|(_, change)| matches!(change, HealthChange::AdmissionClosed(_))).count();
    if shards == 1 {
        // One shard of one is more than half; and a door is held for longer than an alarm.
        assert!((1..=raised).contains(&doors), "{doors} of {raised}");
    } else {
        assert_eq!(of(0), [], "noise far below the threshold is no alarm");
        assert!(matches!(of(2)[..], [(1..30, true)]), "far above it, it is raised once and stays: {:?}", of(2));
        assert_eq!((doors, (3..shards).flat_map(of).count()), (0, 0));
    }
}

/// Whether something panics.
fn panics<R>(act: impl FnOnce() -> R) -> bool {
    catch_unwind(AssertUnwindSafe(act)).is_err()
}

fn a_shard_that_panics_leaves_the_registry_usable<B: Backend>(shards: usize) {
    let limits = Limits { servers: Some(2), transports: Some(2), transports_per_server: Some(2), ..Limits::default() };
    let (registry, faults) = faulted::<B>(shards, |builder| builder.monitor(every_lookup_timed()).limits(limits));
    let load = Load::new(&registry, &faults);
    let (mailbox, mut inbox) = server_mailbox();
    let s = registry.register_server("s", mailbox, ()).unwrap();
    let t = registry.register_transport_bound_to("t", unread_transport_mailbox(), (), "s").unwrap();
    let (of_s, of_t) = (registry.shard_of("s"), registry.shard_of("t"));
    // Often enough to be told as slow, if that is what it were taken for.
    for _ in 0..20 {
        faults.set(of_s, Call::Read, Deed::Panic);
        assert!(panics(|| registry.find_server("s")));
        assert!(panics(|| registry.route_to_server("s", t.id(), 1)));
        assert!(panics(|| registry.bind_transport_to_server("t", "s")));
        faults.heal();
        let new = registry.shard_of("new");
        for deed in [Deed::Panic, Deed::PanicInside] {
            faults.set(new, Call::Insert, deed);
            assert!(panics(|| registry.register_server("new", unread_server_mailbox(), ())));
            assert!(panics(|| registry.register_transport_bound_to("new", unread_transport_mailbox(), (), "s")));
            assert_eq!(registry.binding_count(), 1);
        }
        faults.set(of_s, Call::Remove, Deed::Panic);
        faults.set(of_t, Call::Remove, Deed::Panic);
        assert!(panics(|| registry.unregister_server("s")) && panics(|| registry.unregister_transport("t")));
        for other in load.ids.iter().filter(|id| ![of_s, of_t, new].contains(&registry.shard_of(id))).take(3) {
            let lease = registry.register_server(other.as_str(), load.mailbox.clone(), ()).unwrap();
            assert!(registry.find_server(other).is_some() && lease.release());
        }
        faults.heal();
    }
    // Nothing has changed, and no place is lost: neither under a cap nor with the server.
    registry.route_to_server("s", t.id(), 2).unwrap();
    assert_eq!(inbox.try_recv().unwrap().message, 2);
    assert!(s.is_current() && t.is_current());
    assert_eq!((registry.server_count(), registry.transport_count(), registry.binding_count()), (1, 1, 1));
    assert_eq!(registry.transports_of("s"), [t.id().clone()]);
    let new = registry.register_server("new", unread_server_mailbox(), ()).unwrap();
    let born = registry.register_transport_bound_to("new", unread_transport_mailbox(), (), "s").unwrap();
    assert_eq!(registry.binding_count(), 2);
    assert!(new.release() && born.release());
    assert_eq!(load.seconds(3), [], "there is no alarm");
    // A lease whose end fails leaves its registration to whoever ends it by name.
    faults.set(of_s, Call::Remove, Deed::Panic);
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

fn a_shard_that_refuses_for_no_reason_is_asked_again<B: Backend>(shards: usize) {
    let (registry, faults) = faulted::<B>(shards, |builder| builder);
    let shard = registry.shard_of("s");
    faults.set(shard, Call::Insert, Deed::Refuse);
    let s = registry.register_server("s", unread_server_mailbox(), ()).unwrap();
    faults.set(shard, Call::Read, Deed::Refuse);
    assert!(registry.find_server("s").is_none() && registry.find_server("s").is_some());
    faults.set(shard, Call::Read, Deed::Refuse);
    let returned = registry.route_to_server("s", &transport("t"), 1).unwrap_err();
    assert_eq!(returned.into_message(), 1);
    // Who is told that nothing was removed still has something there, and nothing of it was undone.
    faults.set(shard, Call::Remove, Deed::Refuse);
    let _t = registry.register_transport_bound_to("t", unread_transport_mailbox(), (), "s").unwrap();
    assert!(!s.release());
    assert_eq!((registry.server_count(), registry.binding_count()), (1, 1));
    assert!(registry.unregister_server("s") && registry.server_count() == 0);
    let stats = registry.shard_stats(shard).unwrap();
    let of_t = u64::from(registry.shard_of("t") == shard);
    assert_eq!((stats.registrations, stats.removals, stats.rejections), (1 + of_t, 1, 0));
}
