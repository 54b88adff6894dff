//! Limits on registrations and bindings: exact in every race, with everything given back, and never kept by the dead.

use std::sync::Barrier;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use registry_core::Backend;
use registry_router::{
    BindError, BuildError, DenyReason, LabelLimit, Limit, Limits, Metadata, RateLimit, RegisterErrorKind, Registry,
    ServerId, ShardStats,
};

use crate::hands::Hands;
use crate::support::{
    server_mailbox, transport, transport_mailbox, unread_server_mailbox, unread_transport_mailbox, within_time_limit,
};

over_every_backend! {
    as_many_get_in_as_there_are_places,
    a_full_registry_takes_out_the_dead_and_asks_again,
    a_full_registry_does_not_sweep_for_everybody,
    the_name_of_the_dead_is_free_at_a_full_cap,
    who_is_in_goes_on_when_it_is_full,
    tenants_have_caps_of_their_own,
    a_rate_refuses_and_gives_everything_back,
    a_clock_that_was_ahead_once_is_got_over,
    a_server_has_no_more_transports_than_it_may,
    a_full_server_takes_out_its_dead,
    transports_that_race_for_a_server_fill_it_exactly,
    bindings_are_counted_where_the_server_is,
}

const NEVER: Duration = Duration::from_secs(1_000_000);

fn limited<B: Backend>(shards: usize, limits: Limits) -> Registry<u64, B> {
    Registry::builder().shards(shards).limits(limits).build().unwrap()
}

fn cause(reason: &RegisterErrorKind) -> &DenyReason {
    match reason {
        RegisterErrorKind::Refused(refusal) => {
            assert!(!refusal.message.is_empty() && refusal.retry_after.is_some_and(|wait| !wait.is_zero()));
            &refusal.reason
        }
        other => panic!("refused for another reason: {other}"),
    }
}

/// Registers a server whose owner is dead.
fn bury<B: Backend>(registry: &Registry<u64, B>, id: &str) {
    let (mailbox, inbox) = server_mailbox();
    registry.register_server(id, mailbox, ()).unwrap().detach();
    drop(inbox);
}

fn as_many_get_in_as_there_are_places<B: Backend>(shards: usize) {
    within_time_limit(move || {
        const THREADS: usize = 4;
        let registry = limited::<B>(shards, Limits { transports: Some(10), ..Limits::default() });
        let (inside, most, together) = (AtomicUsize::new(0), AtomicUsize::new(0), Barrier::new(THREADS));
        let leases: Vec<_> = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..THREADS)
                .map(|thread| {
                    let (registry, inside, most, together) = (&registry, &inside, &most, &together);
                    scope.spawn(move || {
                        together.wait();
                        let register = |number: usize| {
                            let metadata = Metadata::new().with("number", number.to_string());
                            let id = format!("t{thread}-{number}");
                            match registry.register_transport(id, unread_transport_mailbox(), metadata.clone()) {
                                Ok(lease) => {
                                    most.fetch_max(inside.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                                    Some(lease)
                                }
                                Err(refused) => {
                                    assert_eq!(cause(&refused.kind), &DenyReason::Limit(Limit::Transports));
                                    assert_eq!(refused.metadata, metadata);
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
        assert_eq!((leases.len(), registry.transport_count(), most.into_inner()), (10, 10, 10));
        // Servers are another matter.
        let _s = registry.register_server("s", unread_server_mailbox(), ()).unwrap();
        drop(leases);
        let again: Vec<_> = (0..20)
            .filter_map(|n| registry.register_transport(format!("t{n}"), unread_transport_mailbox(), ()).ok())
            .collect();
        assert_eq!(again.len(), 10);
    });
}

fn a_full_registry_takes_out_the_dead_and_asks_again<B: Backend>(shards: usize) {
    let registry = limited::<B>(shards, Limits { servers: Some(5), ..Limits::default() });
    for number in 0..5 {
        bury(&registry, &format!("dead-{number}"));
    }
    let _s = registry.register_server("s", unread_server_mailbox(), ()).unwrap();
    assert_eq!(registry.server_count(), 1);
}

fn a_full_registry_does_not_sweep_for_everybody<B: Backend>(shards: usize) {
    let registry = limited::<B>(shards, Limits { servers: Some(2), sweep_every: NEVER, ..Limits::default() });
    let fill = || [0, 1].map(|number| bury(&registry, &format!("dead-{number}")));
    fill();
    registry.register_server("one", unread_server_mailbox(), ()).unwrap().release();
    fill();
    let refused = registry.register_server("two", unread_server_mailbox(), ()).unwrap_err();
    assert_eq!(cause(&refused.kind), &DenyReason::Limit(Limit::Servers));
    assert_eq!(registry.sweep().servers, 2);
    registry.register_server("two", refused.mailbox, ()).unwrap().release();
}

fn the_name_of_the_dead_is_free_at_a_full_cap<B: Backend>(shards: usize) {
    let limits = Limits { servers: Some(1), transports_per_server: Some(1), sweep_every: NEVER, ..Limits::default() };
    let registry = limited::<B>(shards, limits);
    // No sweep helps any more.
    bury(&registry, "s");
    registry.register_server("other", unread_server_mailbox(), ()).unwrap().release();
    for _ in 0..3 {
        bury(&registry, "s");
    }
    let _s = registry.register_server("s", unread_server_mailbox(), ()).unwrap();
    assert_eq!(registry.server_count(), 1);
    for _ in 0..3 {
        let (mailbox, inbox) = transport_mailbox();
        registry.register_transport_bound_to("t", mailbox, (), "s").unwrap().detach();
        drop(inbox);
    }
    let refused = registry.register_transport_bound_to("u", unread_transport_mailbox(), (), "s").unwrap_err();
    assert!(matches!(refused.kind, RegisterErrorKind::ServerFull { max: 1, .. }));
    let _t = registry.register_transport_bound_to("t", refused.mailbox, (), "s").unwrap();
    assert_eq!((registry.transport_count(), registry.binding_count()), (1, 1));
}

fn who_is_in_goes_on_when_it_is_full<B: Backend>(shards: usize) {
    let registry = limited::<B>(shards, Limits { servers: Some(1), transports: Some(1), ..Limits::default() });
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
    // A name that is taken does not cost a place.
    registry.register_server("s", unread_server_mailbox(), ()).unwrap_err();
    assert!(s.release());
    registry.register_server("x", refused.mailbox, ()).unwrap().release();
    assert_eq!(registry.server_count(), 0);
}

fn tenants_have_caps_of_their_own<B: Backend>(shards: usize) {
    let label = LabelLimit { key: "tenant".to_owned(), servers: Some(1), transports: None };
    let registry = limited::<B>(shards, Limits { label: Some(label), sweep_every: NEVER, ..Limits::default() });
    let register = |id: &str, tenant: &str| {
        registry.register_server(id, unread_server_mailbox(), Metadata::new().with("tenant", tenant))
    };
    let acme = register("one", "acme").unwrap();
    let refused = register("two", "acme").unwrap_err();
    let full = Limit::Label { kind: registry_router::Kind::Server, key: "tenant".into(), value: "acme".into() };
    assert_eq!(cause(&refused.kind), &DenyReason::Limit(full));
    let _other = register("two", "umbrella").unwrap();
    let _none = registry.register_server("three", unread_server_mailbox(), ()).unwrap();
    drop(acme);
    register("one", "acme").unwrap().release();
}

fn a_rate_refuses_and_gives_everything_back<B: Backend>(shards: usize) {
    let rate = RateLimit { per_second: 1, burst: 3 };
    // A third of a second would be long for this test, but not for a busy machine.
    let registry = limited::<B>(shards, Limits { rate: Some(rate), servers: Some(50), ..Limits::default() });
    let mut refused = 0_u64;
    for number in 0..50 {
        let metadata = Metadata::new().with("number", number.to_string());
        match registry.register_server(format!("s{number}"), unread_server_mailbox(), metadata.clone()) {
            Ok(lease) => lease.detach(),
            Err(error) => {
                assert_eq!(cause(&error.kind), &DenyReason::Limit(Limit::Rate));
                assert_eq!(error.metadata, metadata);
                refused += 1;
            }
        }
    }
    assert!((3..50).contains(&registry.server_count()));
    assert_eq!(registry.server_count() as u64 + refused, 50);
    // A name that is taken is a rejection and no refusal; the rate may say no as well.
    let taken = registry.register_server("s0", unread_server_mailbox(), ()).unwrap_err();
    let taken = u64::from(matches!(taken.kind, RegisterErrorKind::Taken { .. }));
    let sum = |of: fn(&ShardStats) -> u64| registry.all_shard_stats().iter().map(of).sum::<u64>();
    assert_eq!((sum(|shard| shard.rejections), sum(|shard| shard.refused)), (refused + 1, refused + 1 - taken));
}

fn a_clock_that_was_ahead_once_is_got_over<B: Backend>(shards: usize) {
    let (hour, tenth) = (Duration::from_secs(3_600), Duration::from_millis(100));
    let clock = Hands::new();
    let rate = Some(RateLimit { per_second: 10, burst: 2 });
    let limits = Limits { rate, ..Limits::default() };
    let registry: Registry<u64, B> =
        Registry::builder().shards(shards).limits(limits).clock(clock.clone()).build().unwrap();
    let register = |id: &str| registry.register_server(id, unread_server_mailbox(), ()).map(drop).is_ok();
    assert!(register("s"));
    clock.turn(hour);
    assert_eq!([register("s"), register("s"), register("s")], [true, true, false]);
    clock.turn_back(hour);
    let taken = (0..100).filter(|_| {
        clock.turn(tenth);
        register("s")
    });
    let taken = taken.count();
    assert!((91..=100).contains(&taken), "{taken} of 100 in the ten seconds that follow");
}

fn a_server_has_no_more_transports_than_it_may<B: Backend>(shards: usize) {
    let registry = limited::<B>(shards, Limits { transports_per_server: Some(2), ..Limits::default() });
    let _s = registry.register_server("s", unread_server_mailbox(), ()).unwrap();
    let _other = registry.register_server("other", unread_server_mailbox(), ()).unwrap();
    let born = registry.register_transport_bound_to("born", unread_transport_mailbox(), (), "s").unwrap();
    let _bound = registry.register_transport("bound", unread_transport_mailbox(), ()).unwrap();
    registry.bind_transport_to_server("bound", "s").unwrap();
    let _third = registry.register_transport_bound_to("third", unread_transport_mailbox(), (), "other").unwrap();
    let full = BindError::ServerFull { max: 2, retry_after: Duration::from_secs(1) };
    assert_eq!(registry.bind_transport_to_server("third", "s"), Err(full));
    assert_eq!(registry.server_for_transport("third"), Some(ServerId::new("other").unwrap()), "it stays where it was");
    let refused = registry.register_transport_bound_to("fourth", unread_transport_mailbox(), (), "s").unwrap_err();
    assert_eq!(refused.kind, RegisterErrorKind::ServerFull { max: 2, retry_after: Duration::from_secs(1) });
    assert_eq!(registry.transport_count(), 3);
    // Who is bound may be bound again, and who leaves makes room.
    registry.bind_transport_to_server("bound", "s").unwrap();
    drop(born);
    registry.bind_transport_to_server("third", "s").unwrap();
    assert_eq!((registry.transports_of("s").len(), registry.transports_of("other").len()), (2, 0));
}

fn a_full_server_takes_out_its_dead<B: Backend>(shards: usize) {
    let registry = limited::<B>(shards, Limits { transports_per_server: Some(3), ..Limits::default() });
    let _s = registry.register_server("s", unread_server_mailbox(), ()).unwrap();
    for number in 0..3 {
        let (mailbox, inbox) = transport_mailbox();
        registry.register_transport_bound_to(format!("dead-{number}"), mailbox, (), "s").unwrap().detach();
        drop(inbox);
    }
    let _t = registry.register_transport("t", unread_transport_mailbox(), ()).unwrap();
    registry.bind_transport_to_server("t", "s").unwrap();
    assert_eq!((registry.binding_count(), registry.transport_count()), (1, 1));
    let report = registry.broadcast("s", 7);
    assert_eq!((report.delivered, report.closed.len()), (1, 0));
}

fn transports_that_race_for_a_server_fill_it_exactly<B: Backend>(shards: usize) {
    within_time_limit(move || {
        const THREADS: usize = 4;
        let limits = Limits { transports_per_server: Some(5), sweep_every: NEVER, ..Limits::default() };
        let registry = limited::<B>(shards, limits);
        for round in 0..20 {
            let s = registry.register_server("s", unread_server_mailbox(), ()).unwrap();
            let together = Barrier::new(THREADS);
            let leases: Vec<_> = std::thread::scope(|scope| {
                let threads: Vec<_> = (0..THREADS)
                    .map(|thread| {
                        let (registry, together) = (&registry, &together);
                        scope.spawn(move || {
                            together.wait();
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

fn bindings_are_counted_where_the_server_is<B: Backend>(shards: usize) {
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
    let error = build(Limits { servers: Some(0), ..Limits::default() }).unwrap_err();
    assert_eq!(error, BuildError::Setting { name: "limits.servers", must: "at least 1, or absent" });
    assert!(error.to_string().contains("limits.servers"));
}
