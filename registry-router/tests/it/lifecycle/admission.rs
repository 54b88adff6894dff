//! Limits on registrations and bindings: exact under concurrency, lossless on refusal, and freed by closed entries.

use std::sync::Barrier;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use registry_core::Backend;
use registry_router::{
    BindError, BuildError, DenyReason, LabelLimit, Limit, Limits, Metadata, RateLimit, RegisterErrorKind, Registry,
    ServerId, ShardStats,
};

use crate::support::ManualClock;
use crate::support::{
    server_mailbox, transport, transport_mailbox, unread_server_mailbox, unread_transport_mailbox, within_time_limit,
};

test_every_backend! {
    registrations_never_exceed_the_limit,
    reaching_a_limit_evicts_closed_entries_and_retries,
    sweeps_at_a_limit_are_throttled,
    an_id_with_a_closed_mailbox_can_be_reused_at_the_limit,
    existing_entries_are_unaffected_by_a_reached_limit,
    label_limits_apply_per_value,
    exceeding_the_rate_returns_mailbox_and_metadata,
    the_rate_limit_recovers_from_a_clock_set_back,
    transports_per_server_never_exceed_the_limit,
    binding_to_a_full_server_evicts_closed_transports,
    concurrent_bindings_fill_a_server_exactly,
    bindings_are_counted_in_the_shard_of_the_server,
}

const NEVER: Duration = Duration::from_secs(1_000_000);

fn limited<B: Backend>(shards: usize, limits: Limits) -> Registry<u64, B> {
    Registry::builder().shards(shards).limits(limits).build().unwrap()
}

fn deny_reason(reason: &RegisterErrorKind) -> &DenyReason {
    match reason {
        RegisterErrorKind::Refused(error) => {
            assert!(!error.message.is_empty() && error.retry_after.is_some_and(|wait| !wait.is_zero()));
            &error.reason
        }
        other => panic!("not refused by admission: {other}"),
    }
}

/// Registers a server with a closed mailbox.
fn register_closed_server<B: Backend>(registry: &Registry<u64, B>, id: &str) {
    let (mailbox, inbox) = server_mailbox();
    registry.register_server(id, mailbox, ()).unwrap().detach();
    drop(inbox);
}

fn registrations_never_exceed_the_limit<B: Backend>(shards: usize) {
    within_time_limit(move || {
        const THREADS: usize = 4;
        let registry = limited::<B>(shards, Limits::default().with_transports(10));
        let (registered, max_registered, barrier) = (AtomicUsize::new(0), AtomicUsize::new(0), Barrier::new(THREADS));
        let leases: Vec<_> = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..THREADS)
                .map(|thread| {
                    let (registry, registered, max_registered, barrier) =
                        (&registry, &registered, &max_registered, &barrier);
                    scope.spawn(move || {
                        barrier.wait();
                        let register = |number: usize| {
                            let metadata = Metadata::new().with("number", number.to_string());
                            let id = format!("t{thread}-{number}");
                            match registry.register_transport(id, unread_transport_mailbox(), metadata.clone()) {
                                Ok(lease) => {
                                    max_registered
                                        .fetch_max(registered.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                                    Some(lease)
                                }
                                Err(refused) => {
                                    assert_eq!(deny_reason(refused.kind()), &DenyReason::Limit(Limit::Transports));
                                    assert_eq!(refused.metadata(), &metadata);
                                    None
                                }
                            }
                        };
                        (0..100).filter_map(register).collect::<Vec<_>>()
                    })
                })
                .collect();
            threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect()
        });
        assert_eq!((leases.len(), registry.transport_count(), max_registered.into_inner()), (10, 10, 10));
        // The limit does not apply to servers.
        let _s = registry.register_server("s", unread_server_mailbox(), ()).unwrap();
        drop(leases);
        let again: Vec<_> = (0..20)
            .filter_map(|n| registry.register_transport(format!("t{n}"), unread_transport_mailbox(), ()).ok())
            .collect();
        assert_eq!(again.len(), 10);
    });
}

fn reaching_a_limit_evicts_closed_entries_and_retries<B: Backend>(shards: usize) {
    let registry = limited::<B>(shards, Limits::default().with_servers(5));
    for number in 0..5 {
        register_closed_server(&registry, &format!("closed-{number}"));
    }
    let _s = registry.register_server("s", unread_server_mailbox(), ()).unwrap();
    assert_eq!(registry.server_count(), 1);
}

fn sweeps_at_a_limit_are_throttled<B: Backend>(shards: usize) {
    let registry = limited::<B>(shards, Limits::default().with_servers(2).with_sweep_every(NEVER));
    let fill = || [0, 1].map(|number| register_closed_server(&registry, &format!("closed-{number}")));
    fill();
    registry.register_server("one", unread_server_mailbox(), ()).unwrap().release();
    fill();
    let refused = registry.register_server("two", unread_server_mailbox(), ()).unwrap_err();
    assert_eq!(deny_reason(refused.kind()), &DenyReason::Limit(Limit::Servers));
    assert_eq!(registry.sweep().servers, 2);
    registry.register_server("two", refused.into_mailbox(), ()).unwrap().release();
}

fn an_id_with_a_closed_mailbox_can_be_reused_at_the_limit<B: Backend>(shards: usize) {
    let limits = Limits::default().with_servers(1).with_transports_per_server(1).with_sweep_every(NEVER);
    let registry = limited::<B>(shards, limits);
    // The one sweep that the throttle allows is spent here.
    register_closed_server(&registry, "s");
    registry.register_server("other", unread_server_mailbox(), ()).unwrap().release();
    for _ in 0..3 {
        register_closed_server(&registry, "s");
    }
    let _s = registry.register_server("s", unread_server_mailbox(), ()).unwrap();
    assert_eq!(registry.server_count(), 1);
    for _ in 0..3 {
        let (mailbox, inbox) = transport_mailbox();
        registry.register_transport_bound_to("t", mailbox, (), "s").unwrap().detach();
        drop(inbox);
    }
    let refused = registry.register_transport_bound_to("u", unread_transport_mailbox(), (), "s").unwrap_err();
    assert!(matches!(refused.kind(), RegisterErrorKind::ServerFull { max: 1, .. }));
    let _t = registry.register_transport_bound_to("t", refused.into_mailbox(), (), "s").unwrap();
    assert_eq!((registry.transport_count(), registry.binding_count()), (1, 1));
}

fn existing_entries_are_unaffected_by_a_reached_limit<B: Backend>(shards: usize) {
    let registry = limited::<B>(shards, Limits::default().with_servers(1).with_transports(1));
    let (mailbox, mut inbox) = server_mailbox();
    let s = registry.register_server("s", mailbox, ()).unwrap();
    let (mailbox, mut replies) = transport_mailbox();
    let t = registry.register_transport("t", mailbox, ()).unwrap();
    let refused = registry.register_server("x", unread_server_mailbox(), ()).unwrap_err();
    registry.register_transport("x", unread_transport_mailbox(), ()).unwrap_err();
    registry.bind_transport_to_server("t", "s").unwrap();
    registry.route_to_server("s", t.id(), 1).unwrap();
    registry.route_to_transport("t", s.id(), 2).unwrap();
    assert_eq!(registry.broadcast("s", 3).delivered, 1);
    assert_eq!((inbox.try_recv().unwrap().message, replies.try_recv().unwrap().message), (1, 2));
    assert!(registry.unbind_transport("t") && registry.find_server("s").is_some());
    // A taken id does not consume a permit.
    registry.register_server("s", unread_server_mailbox(), ()).unwrap_err();
    assert!(s.release());
    registry.register_server("x", refused.into_mailbox(), ()).unwrap().release();
    assert_eq!(registry.server_count(), 0);
}

fn label_limits_apply_per_value<B: Backend>(shards: usize) {
    let label = LabelLimit::new("tenant").with_servers(1);
    let registry = limited::<B>(shards, Limits::default().with_label(label).with_sweep_every(NEVER));
    let register = |id: &str, tenant: &str| {
        registry.register_server(id, unread_server_mailbox(), Metadata::new().with("tenant", tenant))
    };
    let acme = register("one", "acme").unwrap();
    let refused = register("two", "acme").unwrap_err();
    let full = Limit::Label { kind: registry_router::Kind::Server, key: "tenant".into(), value: "acme".into() };
    assert_eq!(deny_reason(refused.kind()), &DenyReason::Limit(full));
    let _other = register("two", "umbrella").unwrap();
    let _none = registry.register_server("three", unread_server_mailbox(), ()).unwrap();
    drop(acme);
    register("one", "acme").unwrap().release();
}

fn exceeding_the_rate_returns_mailbox_and_metadata<B: Backend>(shards: usize) {
    let rate = RateLimit::new(1, 3);
    // On a busy machine, permits may be refilled during the test.
    let registry = limited::<B>(shards, Limits::default().with_rate(rate).with_servers(50));
    let mut refused = 0_u64;
    for number in 0..50 {
        let metadata = Metadata::new().with("number", number.to_string());
        match registry.register_server(format!("s{number}"), unread_server_mailbox(), metadata.clone()) {
            Ok(lease) => lease.detach(),
            Err(error) => {
                assert_eq!(deny_reason(error.kind()), &DenyReason::Limit(Limit::Rate));
                assert_eq!(error.metadata(), &metadata);
                refused += 1;
            }
        }
    }
    assert!((3..50).contains(&registry.server_count()));
    assert_eq!(registry.server_count() as u64 + refused, 50);
    // A taken id is counted as a rejection, not as a refusal; but the rate may refuse first.
    let taken = registry.register_server("s0", unread_server_mailbox(), ()).unwrap_err();
    let taken = u64::from(matches!(taken.kind(), RegisterErrorKind::Taken { .. }));
    let sum = |of: fn(&ShardStats) -> u64| registry.all_shard_stats().iter().map(of).sum::<u64>();
    assert_eq!((sum(|shard| shard.rejections), sum(|shard| shard.refused)), (refused + 1, refused + 1 - taken));
}

fn the_rate_limit_recovers_from_a_clock_set_back<B: Backend>(shards: usize) {
    let (hour, tenth) = (Duration::from_secs(3_600), Duration::from_millis(100));
    let clock = ManualClock::new();
    let rate = RateLimit::new(10, 2);
    let limits = Limits::default().with_rate(rate);
    let registry: Registry<u64, B> =
        Registry::builder().shards(shards).limits(limits).clock(clock.clone()).build().unwrap();
    let register = |id: &str| registry.register_server(id, unread_server_mailbox(), ()).map(drop).is_ok();
    assert!(register("s"));
    clock.advance(hour);
    assert_eq!([register("s"), register("s"), register("s")], [true, true, false]);
    clock.rewind(hour);
    let taken = (0..100).filter(|_| {
        clock.advance(tenth);
        register("s")
    });
    let taken = taken.count();
    assert!((91..=100).contains(&taken), "{taken} of 100 registrations admitted in the following ten seconds");
}

fn transports_per_server_never_exceed_the_limit<B: Backend>(shards: usize) {
    let registry = limited::<B>(shards, Limits::default().with_transports_per_server(2));
    let _s = registry.register_server("s", unread_server_mailbox(), ()).unwrap();
    let _other = registry.register_server("other", unread_server_mailbox(), ()).unwrap();
    let registered_bound =
        registry.register_transport_bound_to("registered-bound", unread_transport_mailbox(), (), "s").unwrap();
    let _bound = registry.register_transport("bound", unread_transport_mailbox(), ()).unwrap();
    registry.bind_transport_to_server("bound", "s").unwrap();
    let _third = registry.register_transport_bound_to("third", unread_transport_mailbox(), (), "other").unwrap();
    let full = BindError::ServerFull { max: 2, retry_after: Duration::from_secs(1) };
    assert_eq!(registry.bind_transport_to_server("third", "s"), Err(full));
    assert_eq!(
        registry.server_for_transport("third"),
        Some(ServerId::new("other").unwrap()),
        "a failed rebind keeps the binding"
    );
    let refused = registry.register_transport_bound_to("fourth", unread_transport_mailbox(), (), "s").unwrap_err();
    assert_eq!(refused.kind(), &RegisterErrorKind::ServerFull { max: 2, retry_after: Duration::from_secs(1) });
    assert_eq!(registry.transport_count(), 3);
    // A bound transport may be bound again, and a removal frees capacity.
    registry.bind_transport_to_server("bound", "s").unwrap();
    drop(registered_bound);
    registry.bind_transport_to_server("third", "s").unwrap();
    assert_eq!((registry.transports_of("s").len(), registry.transports_of("other").len()), (2, 0));
}

fn binding_to_a_full_server_evicts_closed_transports<B: Backend>(shards: usize) {
    let registry = limited::<B>(shards, Limits::default().with_transports_per_server(3));
    let _s = registry.register_server("s", unread_server_mailbox(), ()).unwrap();
    for number in 0..3 {
        let (mailbox, inbox) = transport_mailbox();
        registry.register_transport_bound_to(format!("closed-{number}"), mailbox, (), "s").unwrap().detach();
        drop(inbox);
    }
    let _t = registry.register_transport("t", unread_transport_mailbox(), ()).unwrap();
    registry.bind_transport_to_server("t", "s").unwrap();
    assert_eq!((registry.binding_count(), registry.transport_count()), (1, 1));
    let report = registry.broadcast("s", 7);
    assert_eq!((report.delivered, report.closed.len()), (1, 0));
}

fn concurrent_bindings_fill_a_server_exactly<B: Backend>(shards: usize) {
    within_time_limit(move || {
        const THREADS: usize = 4;
        let limits = Limits::default().with_transports_per_server(5).with_sweep_every(NEVER);
        let registry = limited::<B>(shards, limits);
        for round in 0..20 {
            let s = registry.register_server("s", unread_server_mailbox(), ()).unwrap();
            let barrier = Barrier::new(THREADS);
            let leases: Vec<_> = std::thread::scope(|scope| {
                let threads: Vec<_> = (0..THREADS)
                    .map(|thread| {
                        let (registry, barrier) = (&registry, &barrier);
                        scope.spawn(move || {
                            barrier.wait();
                            let bind = |number: usize| {
                                let id = format!("t{round}-{thread}-{number}");
                                if number.is_multiple_of(2) {
                                    let mailbox = unread_transport_mailbox();
                                    return registry.register_transport_bound_to(id, mailbox, (), "s").ok();
                                }
                                let lease = registry.register_transport(id, unread_transport_mailbox(), ()).unwrap();
                                registry.bind_transport_to_server(lease.id(), "s").is_ok().then_some(lease)
                            };
                            (0..4).filter_map(bind).collect::<Vec<_>>()
                        })
                    })
                    .collect();
                threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect()
            });
            assert_eq!((leases.len(), registry.transports_of("s").len(), registry.binding_count()), (5, 5, 5));
            drop(s);
            assert_eq!(registry.binding_count(), 0);
        }
    });
}

fn bindings_are_counted_in_the_shard_of_the_server<B: Backend>(shards: usize) {
    let registry = limited::<B>(shards, Limits::default());
    let bindings = |server: &str| registry.shard_stats(registry.shard_of(server)).unwrap().bindings;
    let s = registry.register_server("s", unread_server_mailbox(), ()).unwrap();
    let transports: Vec<_> = (0..30)
        .map(|n| registry.register_transport_bound_to(format!("t{n}"), unread_transport_mailbox(), (), "s").unwrap())
        .collect();
    assert_eq!((bindings("s"), registry.binding_count()), (30, 30));
    let other = registry.register_server("other", unread_server_mailbox(), ()).unwrap();
    for lease in &transports[..10] {
        registry.bind_transport_to_server(lease.id(), "other").unwrap();
    }
    registry.unbind_transport("t29");
    let expected = if registry.shard_of("s") == registry.shard_of("other") { (29, 29) } else { (19, 10) };
    assert_eq!((bindings("s"), bindings("other"), registry.binding_count()), (expected.0, expected.1, 29));
    drop(transports);
    assert_eq!(registry.binding_count(), 0);
    let _t = registry.register_transport_bound_to("t", unread_transport_mailbox(), (), "s").unwrap();
    drop(s);
    drop(other);
    assert_eq!(registry.binding_count(), 0);
    registry.route_to_server("s", &transport("t"), 1).unwrap_err();
}

#[test]
fn limits_of_zero_are_errors() {
    let build = |limits| Registry::<u64, registry_router::backends::Reference>::builder().limits(limits).build();
    let error = build(Limits::default().with_servers(0)).unwrap_err();
    assert_eq!(error, BuildError::Setting { name: "limits.servers", must: "at least 1, or absent" });
    assert!(error.to_string().contains("limits.servers"));
}
