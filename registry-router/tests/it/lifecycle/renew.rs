//! Renewal: the owner of a lease replaces its registration, also while admission refuses new ones.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use registry_core::Backend;
use registry_router::{
    Admission, AdmissionError, AdmissionState, DenyReason, Kind, LabelLimit, Limits, Metadata, RateLimit,
    RegisterErrorKind, Registry,
};

use crate::support::ManualClock;
use crate::support::{server_mailbox, transport, transport_mailbox, unread_server_mailbox, within_time_limit};

test_every_backend! {
    a_renewal_is_a_new_registration_under_the_same_permit,
    a_renewal_inherits_no_binding,
    a_renewal_succeeds_while_admission_is_closed,
    a_renewal_cannot_change_the_limited_label,
    an_expired_lease_cannot_be_renewed,
    a_renewal_keeps_its_id_against_concurrent_registrations,
}

fn limited<B: Backend>(shards: usize, limits: Limits) -> Registry<u64, B> {
    Registry::builder().shards(shards).limits(limits).build().unwrap()
}

fn a_renewal_is_a_new_registration_under_the_same_permit<B: Backend>(shards: usize) {
    let limits = Limits::default().with_servers(1).with_rate(RateLimit::new(1, 1));
    // The clock does not advance, so the rate limit is not refilled.
    let registry =
        Registry::<u64, B>::builder().shards(shards).limits(limits).clock(ManualClock::new()).build().unwrap();
    let (mailbox, mut old) = server_mailbox();
    let mut lease = registry.register_server("s", mailbox, ()).unwrap();
    let first = lease.incarnation();
    assert!(registry.register_server("other", unread_server_mailbox(), ()).is_err(), "both limits are reached");
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
    // The permit is released once; only the rate limit still refuses another registration.
    drop(lease);
    let refused = registry.register_server("other", unread_server_mailbox(), ()).unwrap_err();
    let RegisterErrorKind::Refused(AdmissionError { reason: DenyReason::Limit(limit), .. }) = refused.kind() else {
        panic!("{}", refused.kind())
    };
    assert!(!limit.counts_live_entries(), "{limit}");
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

/// Refuses all new registrations while closed.
#[derive(Debug)]
struct ClosablePolicy(Arc<AtomicBool>);

impl Admission for ClosablePolicy {
    fn admit(&self, _kind: Kind, _metadata: &Metadata, _now: Instant) -> Result<(), AdmissionError> {
        let error = AdmissionError::new(DenyReason::Closed, "shut").with_retry_after(Duration::from_secs(1));
        if self.0.load(Ordering::SeqCst) { Err(error) } else { Ok(()) }
    }

    fn release(&self, _kind: Kind, _metadata: &Metadata) {}

    fn state(&self) -> AdmissionState {
        AdmissionState::Open
    }
}

fn a_renewal_succeeds_while_admission_is_closed<B: Backend>(shards: usize) {
    let closed = Arc::new(AtomicBool::new(false));
    let policy = ClosablePolicy(Arc::clone(&closed));
    let registry = Registry::<u64, B>::builder().shards(shards).admission(policy).build().unwrap();
    let mut lease = registry.register_server("s", unread_server_mailbox(), Metadata::new().with("a", "1")).unwrap();
    closed.store(true, Ordering::SeqCst);
    assert!(registry.register_server("new", unread_server_mailbox(), ()).is_err());
    registry.renew_server(&mut lease, unread_server_mailbox(), Metadata::new().with("a", "1")).unwrap();
    // A custom policy that does not state which labels it counts is asked again when the metadata differ.
    let refused =
        registry.renew_server(&mut lease, unread_server_mailbox(), Metadata::new().with("a", "2")).unwrap_err();
    assert!(matches!(refused.kind(), RegisterErrorKind::Refused(_)));
    assert!(lease.is_current());
}

fn a_renewal_cannot_change_the_limited_label<B: Backend>(shards: usize) {
    let label = LabelLimit::new("tenant").with_servers(1);
    let registry = limited::<B>(shards, Limits::default().with_label(label));
    let of = |tenant: &str, build: &str| Metadata::new().with("tenant", tenant).with("build", build);
    let mut lease = registry.register_server("s", unread_server_mailbox(), of("a", "1")).unwrap();
    let refused = registry.renew_server(&mut lease, unread_server_mailbox(), of("b", "1")).unwrap_err();
    assert!(matches!(refused.kind(), RegisterErrorKind::Refused(AdmissionError { reason: DenyReason::Policy, .. })));
    assert_eq!((refused.metadata(), lease.is_current()), (&of("b", "1"), true));
    registry.renew_server(&mut lease, unread_server_mailbox(), of("a", "2")).unwrap();
    assert!(registry.register_server("rival", unread_server_mailbox(), of("a", "1")).is_err());
    drop(lease);
    let _rival = registry.register_server("rival", unread_server_mailbox(), of("a", "1")).unwrap();
}

fn an_expired_lease_cannot_be_renewed<B: Backend>(shards: usize) {
    let registry = limited::<B>(shards, Limits::default());
    let ended = |registry: &Registry<u64, B>, lease: &mut _| {
        let refused =
            registry.renew_server(lease, unread_server_mailbox(), Metadata::new().with("a", "1")).unwrap_err();
        assert_eq!((refused.kind(), refused.metadata().len()), (&RegisterErrorKind::LeaseExpired, 1));
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

fn a_renewal_keeps_its_id_against_concurrent_registrations<B: Backend>(shards: usize) {
    within_time_limit(move || {
        let registry = limited::<B>(shards, Limits::default().with_servers(1));
        let mut lease = registry.register_server("s", unread_server_mailbox(), ()).unwrap();
        let done = AtomicBool::new(false);
        std::thread::scope(|scope| {
            for _ in 0..2 {
                scope.spawn(|| {
                    while !done.load(Ordering::SeqCst) {
                        // The owner holds the only permit throughout, even between two registrations.
                        assert!(registry.register_server("s", unread_server_mailbox(), ()).is_err());
                    }
                });
            }
            for _ in 0..200 {
                let (mailbox, inbox) = server_mailbox();
                std::mem::forget(inbox);
                registry.renew_server(&mut lease, mailbox, ()).unwrap();
            }
            done.store(true, Ordering::SeqCst);
        });
        assert!(lease.release());
        assert_eq!(registry.server_count(), 0);
        assert!(registry.register_server("s", unread_server_mailbox(), ()).is_ok(), "the permit is released");
    });
}
