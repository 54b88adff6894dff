//! Registering: one live registration per id; mailbox and metadata are returned on failure.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicIsize, Ordering};
use std::sync::{Arc, Barrier};
use std::time::{Duration, Instant};

use registry_core::{Admission, AdmissionError, AdmissionState, Backend, DenyReason, Kind};
use registry_router::{InvalidId, Metadata, RegisterErrorKind, Registry, ServerId};

use crate::support::{registry, server_mailbox, transport_mailbox, unread_server_mailbox, within_time_limit};

test_every_backend! {
    a_lease_holds_its_id_until_dropped,
    a_taken_id_returns_mailbox_and_metadata,
    invalid_ids_return_mailbox_and_metadata,
    exactly_one_concurrent_registration_succeeds,
    an_expired_lease_does_not_remove_its_successor,
    a_detached_registration_remains,
    release_returns_whether_it_removed_the_entry,
    a_lease_dropped_by_a_panic_frees_the_id,
    leases_outlive_their_registry,
    servers_and_transports_have_separate_namespaces,
    incarnations_increase,
    failed_registrations_leave_no_entry,
    refusals_return_mailbox_and_metadata_and_permits_balance,
}

fn a_lease_holds_its_id_until_dropped<B: Backend>(shards: usize) {
    let registry = registry::<B>(shards);
    let (mailbox, _inbox) = server_mailbox();
    let lease = registry.register_server("s", mailbox, Metadata::new().with("region", "eu")).unwrap();
    assert_eq!(*lease.id(), "s");
    assert!(lease.is_current());
    let entry = registry.find_server("s").unwrap();
    assert_eq!((entry.incarnation, entry.metadata.get("region")), (lease.incarnation(), Some("eu")));
    drop(lease);
    assert!(registry.find_server("s").is_none());
    assert_eq!(registry.server_count(), 0);

    let (mailbox, _inbox) = transport_mailbox();
    let lease = registry.register_transport("t", mailbox, ()).unwrap();
    assert!(registry.find_transport("t").is_some());
    drop(lease);
    assert!(registry.find_transport("t").is_none());
    assert_eq!(registry.transport_count(), 0);
}

fn a_taken_id_returns_mailbox_and_metadata<B: Backend>(shards: usize) {
    let registry = registry::<B>(shards);
    let (mailbox, _inbox) = server_mailbox();
    let lease = registry.register_server("s", mailbox, ()).unwrap();
    let (mailbox, mut inbox) = server_mailbox();
    let metadata = Metadata::new().with("version", "2");
    let error = registry.register_server("s", mailbox, metadata.clone()).unwrap_err();
    assert_eq!(error.kind(), &RegisterErrorKind::Taken { by: lease.incarnation() });
    assert_eq!(error.metadata(), &metadata);
    assert_eq!(error.to_string(), format!("cannot register: the id is taken by incarnation {}", lease.incarnation()));
    // The returned mailbox is the one that was given, and it works.
    drop(lease);
    let (_, mailbox, metadata) = error.into_parts();
    let _lease = registry.register_server("s", mailbox, metadata).unwrap();
    registry.route_to_server("s", &crate::support::transport("t"), 7).unwrap();
    assert_eq!(inbox.try_recv().unwrap().message, 7);
}

fn invalid_ids_return_mailbox_and_metadata<B: Backend>(shards: usize) {
    let registry = registry::<B>(shards);
    let cases = [
        (String::new(), InvalidId::Empty),
        ("x".repeat(256), InvalidId::TooLong { bytes: 256 }),
        ("a\u{7}b".to_owned(), InvalidId::ControlCharacter { character: '\u{7}', at: 1 }),
    ];
    for (id, reason) in cases {
        let (mailbox, _inbox) = server_mailbox();
        let metadata = Metadata::new().with("kept", "yes");
        let error = registry.register_server(id.as_str(), mailbox, metadata.clone()).unwrap_err();
        assert_eq!(error.kind(), &RegisterErrorKind::InvalidId(reason));
        assert_eq!(error.metadata(), &metadata);
        // Looking up an invalid id finds nothing and is not an error.
        assert!(registry.find_server(&id).is_none());
        assert!(!registry.unregister_server(&id));
    }
    let (mailbox, _inbox) = server_mailbox();
    let _lease = registry.register_server("x".repeat(255), mailbox, ()).unwrap();
    assert!(registry.find_server("x".repeat(255)).is_some());
}

fn exactly_one_concurrent_registration_succeeds<B: Backend>(shards: usize) {
    within_time_limit(move || {
        const THREADS: usize = 4;
        let registry = registry::<B>(shards);
        let start = Barrier::new(THREADS);
        for round in 0..100 {
            let id = ServerId::new(format!("s{round}")).unwrap();
            let leases: Vec<_> = std::thread::scope(|scope| {
                let claims = std::array::from_fn::<_, THREADS, _>(|_| {
                    scope.spawn(|| {
                        let mailbox = unread_server_mailbox();
                        start.wait();
                        registry.register_server(&id, mailbox, ()).ok()
                    })
                });
                claims.into_iter().filter_map(|claim| claim.join().unwrap()).collect()
            });
            assert_eq!(leases.len(), 1, "round {round}");
            assert!(leases[0].is_current());
        }
        assert_eq!(registry.server_count(), 0);
    });
}

fn an_expired_lease_does_not_remove_its_successor<B: Backend>(shards: usize) {
    let registry = registry::<B>(shards);
    let (mailbox, _inbox) = server_mailbox();
    let first = registry.register_server("s", mailbox, ()).unwrap();
    assert!(registry.unregister_server("s"));
    assert!(!registry.unregister_server("s"));
    assert!(!first.is_current());
    let (mailbox, _inbox) = server_mailbox();
    let second = registry.register_server("s", mailbox, ()).unwrap();
    drop(first);
    assert!(second.is_current());
    assert_eq!(registry.find_server("s").unwrap().incarnation, second.incarnation());
}

fn a_detached_registration_remains<B: Backend>(shards: usize) {
    let registry = registry::<B>(shards);
    let (mailbox, _inbox) = transport_mailbox();
    registry.register_transport("t", mailbox, ()).unwrap().detach();
    assert!(registry.find_transport("t").is_some());
    assert!(registry.unregister_transport("t"));
    assert_eq!(registry.transport_count(), 0);
}

fn release_returns_whether_it_removed_the_entry<B: Backend>(shards: usize) {
    let registry = registry::<B>(shards);
    let (mailbox, _inbox) = transport_mailbox();
    assert!(registry.register_transport("t", mailbox, ()).unwrap().release());
    let (mailbox, _inbox) = transport_mailbox();
    let lease = registry.register_transport("t", mailbox, ()).unwrap();
    registry.unregister_transport("t");
    assert!(!lease.release());
}

fn a_lease_dropped_by_a_panic_frees_the_id<B: Backend>(shards: usize) {
    let registry = registry::<B>(shards);
    let panicked = catch_unwind(AssertUnwindSafe(|| {
        let (mailbox, _inbox) = server_mailbox();
        let _lease = registry.register_server("s", mailbox, ()).unwrap();
        panic!("the owner panics");
    }));
    assert!(panicked.is_err());
    assert_eq!(registry.server_count(), 0);
    let (mailbox, _inbox) = server_mailbox();
    registry.register_server("s", mailbox, ()).unwrap().detach();
}

fn leases_outlive_their_registry<B: Backend>(shards: usize) {
    let first = registry::<B>(shards);
    let (mailbox, mut inbox) = server_mailbox();
    let lease = first.register_server("s", mailbox, ()).unwrap();
    let second = first.clone();
    drop(first);
    assert!(lease.is_current(), "another handle keeps the registry alive");
    drop(second);
    assert!(!lease.is_current());
    // The registry has dropped its mailboxes.
    assert_eq!(inbox.try_recv(), Err(tokio::sync::mpsc::error::TryRecvError::Disconnected));
    assert!(!lease.release());
}

fn servers_and_transports_have_separate_namespaces<B: Backend>(shards: usize) {
    let registry = registry::<B>(shards);
    let (server, _s) = server_mailbox();
    let (transport, _t) = transport_mailbox();
    let server = registry.register_server("same", server, ()).unwrap();
    let _transport = registry.register_transport("same", transport, ()).unwrap();
    drop(server);
    assert!(registry.find_server("same").is_none());
    assert!(registry.find_transport("same").is_some());
}

fn incarnations_increase<B: Backend>(shards: usize) {
    let registry = registry::<B>(shards);
    let mut last = None;
    for _ in 0..10 {
        let (mailbox, _inbox) = server_mailbox();
        let lease = registry.register_server("s", mailbox, ()).unwrap();
        assert!(Some(lease.incarnation()) > last);
        last = Some(lease.incarnation());
    }
}

fn failed_registrations_leave_no_entry<B: Backend>(shards: usize) {
    let registry = registry::<B>(shards);
    let (mailbox, _inbox) = transport_mailbox();
    let lease = registry.register_transport("t", mailbox, ()).unwrap();
    let (server, _s) = server_mailbox();
    let _server = registry.register_server("s", server, ()).unwrap();
    let (mut mailbox, _inbox) = transport_mailbox();
    for _ in 0..1_000 {
        mailbox = registry.register_transport_bound_to("t", mailbox, (), "s").unwrap_err().into_mailbox();
        mailbox = registry.register_transport("t", mailbox, ()).unwrap_err().into_mailbox();
    }
    assert_eq!((registry.transport_count(), registry.server_count()), (1, 1));
    assert!(registry.transports_of("s").is_empty());
    drop(lease);
    assert!(registry.list_transports().is_empty());
}

/// Admits a fixed number, and counts permits.
#[derive(Clone, Debug)]
struct CountingPolicy {
    capacity: Arc<AtomicIsize>,
}

impl Admission for CountingPolicy {
    fn admit(&self, kind: Kind, metadata: &Metadata, _now: Instant) -> Result<(), AdmissionError> {
        assert_eq!((kind, metadata.get("tenant")), (Kind::Server, Some("acme")));
        let before = self.capacity.fetch_sub(1, Ordering::SeqCst);
        if before > 0 {
            return Ok(());
        }
        self.capacity.fetch_add(1, Ordering::SeqCst);
        Err(AdmissionError::new(DenyReason::Policy, "no capacity").with_retry_after(Duration::from_secs(1)))
    }

    fn release(&self, kind: Kind, metadata: &Metadata) {
        assert_eq!((kind, metadata.get("tenant")), (Kind::Server, Some("acme")));
        self.capacity.fetch_add(1, Ordering::SeqCst);
    }

    fn state(&self) -> AdmissionState {
        if self.capacity.load(Ordering::SeqCst) > 0 { AdmissionState::Open } else { AdmissionState::Closed }
    }
}

fn refusals_return_mailbox_and_metadata_and_permits_balance<B: Backend>(shards: usize) {
    let policy = CountingPolicy { capacity: Arc::new(AtomicIsize::new(2)) };
    let registry: Registry<u64, B> = Registry::builder().shards(shards).admission(policy.clone()).build().unwrap();
    let metadata = Metadata::new().with("tenant", "acme");
    let (mailbox, inbox) = server_mailbox();
    let register = |id: &str| registry.register_server(id, mailbox.clone(), metadata.clone());
    let one = register("one").unwrap();
    // The permit is released when the id turns out to be taken.
    assert!(matches!(register("one").unwrap_err().kind(), RegisterErrorKind::Taken { .. }));
    let _two = register("two").unwrap();
    assert_eq!(registry.contention_status().admission, AdmissionState::Closed);
    let refused = register("three").unwrap_err();
    let reason = AdmissionError::new(DenyReason::Policy, "no capacity").with_retry_after(Duration::from_secs(1));
    assert_eq!(refused.kind(), &RegisterErrorKind::Refused(reason));
    assert_eq!(refused.metadata(), &metadata);
    // Existing entries are unaffected; removing one frees a permit.
    assert!(registry.find_server("two").is_some());
    drop(one);
    let (_, mailbox, metadata) = refused.into_parts();
    let _three = registry.register_server("three", mailbox, metadata).unwrap();
    drop(inbox);
    // A closed mailbox ends a registration and releases its permit once.
    registry.route_to_server("two", &crate::support::transport("t"), 1).unwrap_err();
    assert_eq!(policy.capacity.load(Ordering::SeqCst), 1);
}
