//! Renewal: an owner registers anew what he holds, whatever admission says to those who are new.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use registry_core::Backend;
use registry_router::{
    Admission, AdmissionError, AdmissionState, DenyReason, Kind, LabelLimit, Limits, Metadata, RateLimit,
    RegisterErrorKind, Registry,
};

use crate::hands::Hands;
use crate::support::{server_mailbox, transport, transport_mailbox, unread_server_mailbox, within_time_limit};

over_every_backend! {
    a_renewal_is_another_registration_in_the_same_place,
    a_renewal_inherits_no_binding,
    a_renewal_passes_a_closed_door,
    a_renewal_cannot_change_the_label_that_is_limited,
    what_has_ended_cannot_be_renewed,
    of_a_renewal_and_its_rivals_one_has_the_name,
}

fn limited<B: Backend>(shards: usize, limits: Limits) -> Registry<u64, B> {
    Registry::builder().shards(shards).limits(limits).build().unwrap()
}

fn a_renewal_is_another_registration_in_the_same_place<B: Backend>(shards: usize) {
    let limits = Limits { servers: Some(1), rate: Some(RateLimit { per_second: 1, burst: 1 }), ..Limits::default() };
    // The clock stands still, so the rate gives nothing more.
    let registry = Registry::<u64, B>::builder().shards(shards).limits(limits).clock(Hands::new()).build().unwrap();
    let (mailbox, mut old) = server_mailbox();
    let mut lease = registry.register_server("s", mailbox, ()).unwrap();
    let first = lease.incarnation();
    assert!(registry.register_server("other", unread_server_mailbox(), ()).is_err(), "it is full, and too fast");
    let (mailbox, mut new) = server_mailbox();
    registry.renew_server(&mut lease, mailbox, Metadata::new().with("build", "2")).unwrap();
    assert!(lease.incarnation() > first && lease.is_current());
    registry.route_to_server("s", &transport("t"), 7).unwrap();
    assert_eq!((new.try_recv().unwrap().message, old.try_recv().is_err()), (7, true));
    let found = registry.find_server("s").unwrap();
    assert_eq!((found.incarnation, found.metadata.get("build")), (lease.incarnation(), Some("2")));
    let stats = registry.all_shard_stats();
    let sum = |of: fn(&registry_router::ShardStats) -> u64| stats.iter().map(of).sum::<u64>();
    assert_eq!((registry.server_count(), sum(|s| s.registrations), sum(|s| s.removals)), (1, 2, 1));
    // The place is given back once, and with it there is one for somebody else.
    drop(lease);
    let refused = registry.register_server("other", unread_server_mailbox(), ()).unwrap_err();
    assert!(
        matches!(refused.kind, RegisterErrorKind::Refused(AdmissionError { reason: DenyReason::Limit(limit), .. }) if !limit.counts_live_entries())
    );
}

fn a_renewal_inherits_no_binding<B: Backend>(shards: usize) {
    let registry = limited::<B>(shards, Limits::default());
    let mut server = registry.register_server("s", unread_server_mailbox(), ()).unwrap();
    let (mailbox, _inbox) = transport_mailbox();
    let mut lease = registry.register_transport_bound_to("t", mailbox, (), "s").unwrap();
    let (mailbox, _inbox) = transport_mailbox();
    registry.renew_transport(&mut lease, mailbox, ()).unwrap();
    assert_eq!((registry.server_for_transport("t"), registry.binding_count()), (None, 0));
    registry.bind_transport_to_server("t", "s").unwrap();
    registry.renew_server(&mut server, unread_server_mailbox(), ()).unwrap();
    assert_eq!((registry.server_for_transport("t"), registry.transports_of("s").len()), (None, 0));
}

/// Refuses all who are new while it is shut.
#[derive(Debug)]
struct AlarmedShards(Arc<AtomicBool>);

impl Admission for AlarmedShards {
    fn admit(&self, _kind: Kind, _metadata: &Metadata, _now: Instant) -> Result<(), AdmissionError> {
        let refusal = AdmissionError {
            reason: DenyReason::Closed,
            message: "shut".into(),
            retry_after: Some(Duration::from_secs(1)),
        };
        if self.0.load(Ordering::SeqCst) { Err(refusal) } else { Ok(()) }
    }

    fn release(&self, _kind: Kind, _metadata: &Metadata) {}

    fn state(&self) -> AdmissionState {
        AdmissionState::Open
    }
}

fn a_renewal_passes_a_closed_door<B: Backend>(shards: usize) {
    let shut = Arc::new(AtomicBool::new(false));
    let alarmed_shards = AlarmedShards(Arc::clone(&shut));
    let registry = Registry::<u64, B>::builder().shards(shards).admission(alarmed_shards).build().unwrap();
    let mut lease = registry.register_server("s", unread_server_mailbox(), Metadata::new().with("a", "1")).unwrap();
    shut.store(true, Ordering::SeqCst);
    assert!(registry.register_server("new", unread_server_mailbox(), ()).is_err());
    registry.renew_server(&mut lease, unread_server_mailbox(), Metadata::new().with("a", "1")).unwrap();
    // A policy of one's own that does not say what it counts by is not passed by with other metadata.
    let refused =
        registry.renew_server(&mut lease, unread_server_mailbox(), Metadata::new().with("a", "2")).unwrap_err();
    assert!(matches!(refused.kind, RegisterErrorKind::Refused(_)));
    assert!(lease.is_current());
}

fn a_renewal_cannot_change_the_label_that_is_limited<B: Backend>(shards: usize) {
    let label = LabelLimit { key: "tenant".into(), servers: Some(1), transports: None };
    let registry = limited::<B>(shards, Limits { label: Some(label), ..Limits::default() });
    let of = |tenant: &str, build: &str| Metadata::new().with("tenant", tenant).with("build", build);
    let mut lease = registry.register_server("s", unread_server_mailbox(), of("a", "1")).unwrap();
    let refused = registry.renew_server(&mut lease, unread_server_mailbox(), of("b", "1")).unwrap_err();
    assert!(matches!(refused.kind, RegisterErrorKind::Refused(AdmissionError { reason: DenyReason::Policy, .. })));
    assert_eq!((refused.metadata, lease.is_current()), (of("b", "1"), true));
    registry.renew_server(&mut lease, unread_server_mailbox(), of("a", "2")).unwrap();
    assert!(registry.register_server("rival", unread_server_mailbox(), of("a", "1")).is_err());
    drop(lease);
    let _rival = registry.register_server("rival", unread_server_mailbox(), of("a", "1")).unwrap();
}

fn what_has_ended_cannot_be_renewed<B: Backend>(shards: usize) {
    let registry = limited::<B>(shards, Limits::default());
    let ended = |registry: &Registry<u64, B>, lease: &mut _| {
        let refused =
            registry.renew_server(lease, unread_server_mailbox(), Metadata::new().with("a", "1")).unwrap_err();
        assert_eq!((refused.kind, refused.metadata.len()), (RegisterErrorKind::LeaseExpired, 1));
    };
    let mut lease = registry.register_server("s", unread_server_mailbox(), ()).unwrap();
    registry.unregister_server("s");
    ended(&registry, &mut lease);
    let _successor = registry.register_server("s", unread_server_mailbox(), ()).unwrap();
    ended(&registry, &mut lease);
    let elsewhere = limited::<B>(shards, Limits::default());
    let mut other = elsewhere.register_server("s", unread_server_mailbox(), ()).unwrap();
    ended(&registry, &mut other);
    assert!(other.is_current());
    assert_eq!(registry.server_count(), 1);
}

fn of_a_renewal_and_its_rivals_one_has_the_name<B: Backend>(shards: usize) {
    within_time_limit(move || {
        let registry = limited::<B>(shards, Limits { servers: Some(1), ..Limits::default() });
        let mut lease = registry.register_server("s", unread_server_mailbox(), ()).unwrap();
        let over = AtomicBool::new(false);
        std::thread::scope(|scope| {
            for _ in 0..2 {
                scope.spawn(|| {
                    while !over.load(Ordering::SeqCst) {
                        // The one place is the owner's throughout, so nobody gets in, not even in the gap.
                        assert!(registry.register_server("s", unread_server_mailbox(), ()).is_err());
                    }
                });
            }
            for _ in 0..200 {
                let (mailbox, inbox) = server_mailbox();
                std::mem::forget(inbox);
                registry.renew_server(&mut lease, mailbox, ()).unwrap();
            }
            over.store(true, Ordering::SeqCst);
        });
        assert!(lease.release());
        assert_eq!(registry.server_count(), 0);
        assert!(registry.register_server("s", unread_server_mailbox(), ()).is_ok(), "the place is free again");
    });
}
