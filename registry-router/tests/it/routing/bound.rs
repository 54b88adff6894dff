//! Sending to the server that a transport is bound to: by the id of the transport, and over a cached route.

use std::sync::atomic::{AtomicBool, Ordering};

use registry_core::Backend;
use registry_router::{
    BoundRoute, BoundRouteError, Delivery, Inbox, Registry, ServerLease, ShardStats, ToServer, TransportLease, mailbox,
};

use crate::support::{
    registry, server_mailbox, transport_mailbox, unread_server_mailbox, unread_transport_mailbox, within_time_limit,
};

test_every_backend! {
    a_cached_route_performs_no_lookup,
    a_route_follows_rebinding,
    a_route_is_invalidated_with_its_binding,
    a_route_is_valid_for_one_incarnation_of_its_transport,
    a_full_or_closed_server_returns_the_message,
    a_route_does_not_keep_its_registry_alive,
    route_to_bound_server_uses_the_current_binding,
    a_route_in_concurrent_use_is_never_stale,
}

fn server<B: Backend>(registry: &Registry<u64, B>, id: &str) -> (ServerLease, Inbox<ToServer<u64>>) {
    let (mailbox, inbox) = server_mailbox();
    (registry.register_server(id, mailbox, ()).unwrap(), inbox)
}

fn bound<B: Backend>(registry: &Registry<u64, B>, id: &str, server: &str) -> TransportLease {
    registry.register_transport_bound_to(id, unread_transport_mailbox(), (), server).unwrap()
}

fn read(inbox: &mut Inbox<ToServer<u64>>) -> Vec<u64> {
    std::iter::from_fn(|| inbox.try_recv().ok()).map(|delivery| delivery.message).collect()
}

fn sum<B: Backend>(registry: &Registry<u64, B>, figure: fn(&ShardStats) -> u64) -> u64 {
    registry.all_shard_stats().iter().map(figure).sum()
}

fn a_cached_route_performs_no_lookup<B: Backend>(shards: usize) {
    let registry = registry::<B>(shards);
    let (_s, mut inbox) = server(&registry, "s");
    let t = bound(&registry, "t", "s");
    registry.reset_stats();
    assert!(registry.bound_route("absent").is_none());
    let mut route = registry.bound_route("t").unwrap();
    assert_eq!((route.transport(), route.incarnation()), (t.id(), t.incarnation()));
    assert!(!route.is_known());
    assert_eq!(sum(&registry, |shard| shard.lookups), 2);
    for message in 0..8 {
        assert_eq!(route.try_send(&registry, message), Ok(()));
        assert!(route.is_known());
        assert_eq!(inbox.try_recv(), Ok(Delivery { from: t.id().clone(), message }));
    }
    // The first message looked up the transport and the server; the others performed no lookup.
    assert_eq!(sum(&registry, |shard| shard.lookups), 4);
    assert_eq!(registry.shard_stats(registry.shard_of("s")).unwrap().routes, 8);
}

fn a_route_follows_rebinding<B: Backend>(shards: usize) {
    let registry = registry::<B>(shards);
    let ((_a, mut of_a), (_b, mut of_b)) = (server(&registry, "a"), server(&registry, "b"));
    let _t = registry.register_transport("t", unread_transport_mailbox(), ()).unwrap();
    let mut route = registry.bound_route("t").unwrap();
    assert_eq!(route.try_send(&registry, 0), Err(BoundRouteError::NotBound(0)));
    registry.bind_transport_to_server("t", "a").unwrap();
    assert_eq!(route.try_send(&registry, 1), Ok(()));
    registry.bind_transport_to_server("t", "b").unwrap();
    assert!(!route.is_known());
    assert_eq!(route.try_send(&registry, 2), Ok(()));
    registry.bind_transport_to_server("t", "b").unwrap();
    assert!(route.is_known(), "rebinding to the same server keeps the route");
    registry.bind_transport_to_server("t", "a").unwrap();
    assert_eq!(route.try_send(&registry, 3), Ok(()));
    assert_eq!((read(&mut of_a), read(&mut of_b)), (vec![1, 3], vec![2]));
}

fn a_route_is_invalidated_with_its_binding<B: Backend>(shards: usize) {
    let registry = registry::<B>(shards);
    let (s, mut inbox) = server(&registry, "s");
    let _t = bound(&registry, "t", "s");
    let mut route = registry.bound_route("t").unwrap();
    assert_eq!(route.try_send(&registry, 1), Ok(()));
    registry.unbind_transport("t");
    assert_eq!(route.try_send(&registry, 2), Err(BoundRouteError::NotBound(2)));
    registry.bind_transport_to_server("t", "s").unwrap();
    assert_eq!(route.try_send(&registry, 3), Ok(()));
    s.release();
    let (_successor, mut of_successor) = server(&registry, "s");
    for message in 4..6 {
        assert_eq!(route.try_send(&registry, message), Err(BoundRouteError::NotBound(message)));
    }
    assert_eq!((read(&mut inbox), read(&mut of_successor)), (vec![1, 3], vec![]));
    registry.bind_transport_to_server("t", "s").unwrap();
    assert_eq!(route.try_send(&registry, 6), Ok(()));
    assert_eq!(read(&mut of_successor), [6]);
}

fn a_route_is_valid_for_one_incarnation_of_its_transport<B: Backend>(shards: usize) {
    let registry = registry::<B>(shards);
    let (_s, mut inbox) = server(&registry, "s");
    let t = bound(&registry, "t", "s");
    let (mut used, mut unused) = (registry.bound_route("t").unwrap(), registry.bound_route("t").unwrap());
    assert_eq!(used.try_send(&registry, 1), Ok(()));
    drop(t);
    let ends = |used: &mut BoundRoute<u64>, unused: &mut BoundRoute<u64>| {
        for route in [used, unused] {
            assert_eq!(route.try_send(&registry, 2), Err(BoundRouteError::TransportNotFound(2)));
        }
    };
    ends(&mut used, &mut unused);
    let _successor = bound(&registry, "t", "s");
    ends(&mut used, &mut unused);
    assert_eq!(read(&mut inbox), [1]);
}

fn a_full_or_closed_server_returns_the_message<B: Backend>(shards: usize) {
    let registry = registry::<B>(shards);
    let (mailbox, mut inbox) = mailbox(2);
    let s = registry.register_server("s", mailbox, ()).unwrap();
    let t = bound(&registry, "t", "s");
    let mut route = registry.bound_route("t").unwrap();
    assert_eq!(route.try_send(&registry, 1), Ok(()));
    assert_eq!(registry.route_to_bound_server("t", 2), Ok(()));
    assert_eq!(route.try_send(&registry, 3), Err(BoundRouteError::Full(3)));
    assert_eq!(registry.route_to_bound_server("t", 4), Err(BoundRouteError::Full(4)));
    assert_eq!(read(&mut inbox), [1, 2]);
    drop(inbox);
    assert_eq!(route.try_send(&registry, 5), Err(BoundRouteError::Closed(5)));
    assert!(!s.is_current() && t.is_current(), "the closed server is removed");
    let returned = route.try_send(&registry, 6);
    assert_eq!(returned, Err(BoundRouteError::NotBound(6)));
    assert_eq!(returned.unwrap_err().into_message(), 6);
    assert_eq!((sum(&registry, |s| s.routes), sum(&registry, |s| s.full), sum(&registry, |s| s.closed)), (2, 2, 1));

    let (s, inbox) = server(&registry, "s");
    registry.bind_transport_to_server("t", "s").unwrap();
    drop(inbox);
    assert_eq!(registry.route_to_bound_server("t", 7), Err(BoundRouteError::Closed(7)));
    assert!(!s.is_current(), "the closed server is removed");
}

fn a_route_does_not_keep_its_registry_alive<B: Backend>(shards: usize) {
    let one = registry::<B>(shards);
    let (_s, _requests) = server(&one, "s");
    let (mailbox, mut replies) = transport_mailbox();
    let _t = one.register_transport_bound_to("t", mailbox, (), "s").unwrap();
    let mut route = one.bound_route("t").unwrap();
    assert_eq!(route.try_send(&one, 1), Ok(()));
    // In another registry with equal ids and incarnations, the route finds no transport.
    let two = registry::<B>(shards);
    let (_s, mut others) = server(&two, "s");
    let t = bound(&two, "t", "s");
    assert_eq!(t.incarnation(), route.incarnation());
    assert_eq!(route.try_send(&two, 2), Err(BoundRouteError::TransportNotFound(2)));
    assert_eq!(route.try_send(&one, 3), Ok(()));
    assert_eq!(route.try_send(&two, 4), Err(BoundRouteError::TransportNotFound(4)));
    assert!(others.try_recv().is_err());
    drop(one);
    assert!(replies.blocking_recv().is_none(), "the registry held the only sender");
    drop(route);
}

fn route_to_bound_server_uses_the_current_binding<B: Backend>(shards: usize) {
    let registry = registry::<B>(shards);
    assert_eq!(registry.route_to_bound_server("t", 0), Err(BoundRouteError::TransportNotFound(0)));
    let t = registry.register_transport("t", unread_transport_mailbox(), ()).unwrap();
    assert_eq!(registry.route_to_bound_server("t", 1), Err(BoundRouteError::NotBound(1)));
    let ((a, mut of_a), (_b, mut of_b)) = (server(&registry, "a"), server(&registry, "b"));
    registry.bind_transport_to_server("t", "a").unwrap();
    registry.reset_stats();
    assert_eq!(registry.route_to_bound_server("t", 2), Ok(()));
    assert_eq!((sum(&registry, |s| s.lookups), sum(&registry, |s| s.routes)), (2, 1));
    assert_eq!(of_a.try_recv(), Ok(Delivery { from: t.id().clone(), message: 2 }));
    registry.bind_transport_to_server("t", "b").unwrap();
    assert_eq!(registry.route_to_bound_server("t", 3), Ok(()));
    registry.bind_transport_to_server("t", "a").unwrap();
    a.release();
    let (_successor, mut of_successor) = server(&registry, "a");
    assert_eq!(registry.route_to_bound_server("t", 4), Err(BoundRouteError::NotBound(4)));
    assert_eq!((read(&mut of_a), read(&mut of_b), read(&mut of_successor)), (vec![], vec![3], vec![]));
}

fn a_route_in_concurrent_use_is_never_stale<B: Backend>(shards: usize) {
    within_time_limit(move || {
        const ROUNDS: u64 = 300;
        const FROM_OTHER_THREAD: u64 = u64::MAX;
        let registry = registry::<B>(shards);
        let _t = registry.register_transport("t", unread_transport_mailbox(), ()).unwrap();
        let _idle = registry.register_server("idle", unread_server_mailbox(), ()).unwrap();
        let done = AtomicBool::new(false);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                let mut route = registry.bound_route("t").unwrap();
                while !done.load(Ordering::SeqCst) {
                    if let Err(error) = route.try_send(&registry, FROM_OTHER_THREAD) {
                        assert_eq!(error.into_message(), FROM_OTHER_THREAD);
                        std::thread::yield_now();
                    }
                }
            });
            let mut route = registry.bound_route("t").unwrap();
            for round in 0..ROUNDS {
                // A new registration of the same id in each round.
                let (mailbox, mut inbox) = mailbox(1_024);
                let s = registry.register_server("s", mailbox, ()).unwrap();
                registry.bind_transport_to_server("t", "s").unwrap();
                let sent = route.try_send(&registry, round);
                // The other thread may have filled the mailbox.
                assert!(matches!(sent, Ok(()) | Err(BoundRouteError::Full(_))), "{sent:?}");
                match round % 3 {
                    0 => assert!(registry.unbind_transport("t")),
                    1 => registry.bind_transport_to_server("t", "idle").unwrap(),
                    _ => assert!(s.release()),
                }
                let after = route.try_send(&registry, round + ROUNDS);
                let own = read(&mut inbox).into_iter().filter(|message| *message != FROM_OTHER_THREAD);
                assert_eq!(own.collect::<Vec<_>>(), if sent.is_ok() { vec![round] } else { vec![] });
                assert!(round % 3 == 1 || after == Err(BoundRouteError::NotBound(round + ROUNDS)), "{after:?}");
            }
            done.store(true, Ordering::SeqCst);
        });
    });
}
