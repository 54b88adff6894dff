//! Bound routes and batches: no message follows an old binding or reaches an old owner.

use registry_core::{Backend, BoundRouteError, RouteError};
use shuttle::thread;

use super::{assert_empty, registry, server, transport, transport_id};
use crate::schedule::queue::Queue;

/// A transport is rebound to another server while a message is sent through its bound route: later messages follow the
/// new binding.
pub(super) fn bound_route_against_rebinding<B: Backend>() {
    let registry = registry::<B>();
    let (s, requests) = server(&registry, "s");
    let (other, others) = server(&registry, "other");
    let (t, _replies) = transport(&registry, "t");
    registry.bind_transport_to_server("t", "s").expect("both are registered");
    let [mut one, mut two] = [(); 2].map(|()| registry.bound_route("t").expect("the transport is registered"));
    one.try_send(&registry, 1).expect("there is room");
    assert_eq!(two.try_send(&registry, 2), Ok(()));
    assert_eq!(requests.drain().len(), 2);
    let meanwhile = thread::scope(|scope| {
        let meanwhile = scope.spawn(|| one.try_send(&registry, 3));
        scope.spawn(|| {
            assert!(registry.unbind_transport("t"));
            let unbound = two.try_send(&registry, 4);
            assert_eq!(unbound, Err(BoundRouteError::NotBound(4)), "sent after the unbinding");
            registry.bind_transport_to_server("t", "other").expect("both are registered");
            assert_eq!(two.try_send(&registry, 5), Ok(()));
            assert!(others.drain().iter().any(|delivery| delivery.message == 5), "not sent to the new server");
        });
        meanwhile.join().expect("no thread panics")
    });
    let arrived = requests.drain().into_iter().chain(others.drain()).filter(|delivery| delivery.message == 3).count();
    match meanwhile {
        // The other thread may have drained it from the new server's mailbox.
        Ok(()) => assert!(arrived <= 1),
        Err(error) => assert_eq!((error, arrived), (BoundRouteError::NotBound(3), 0)),
    }
    drop((s, other, t, one, two));
    assert_empty(&registry);
}

/// A server dies and its name is registered again while a bound transport sends: the successor receives nothing.
pub(super) fn bound_route_against_server_death<B: Backend>() {
    let registry = registry::<B>();
    let requests = Queue::new(4);
    let s = registry.register_server("s", requests.clone(), ()).expect("the name is free");
    let (t, _replies) = transport(&registry, "t");
    registry.bind_transport_to_server("t", "s").expect("both are registered");
    let [mut one, mut two] = [(); 2].map(|()| registry.bound_route("t").expect("the transport is registered"));
    for route in [&mut one, &mut two] {
        route.try_send(&registry, 0).expect("there is room");
    }
    assert_eq!(requests.drain().len(), 2);
    let successors = Queue::new(4);
    let sent = thread::scope(|scope| {
        let through = scope.spawn(|| one.try_send(&registry, 1));
        let by_name = scope.spawn(|| registry.route_to_bound_server("t", 2));
        scope.spawn(|| {
            drop(s);
            registry.register_server("s", successors.clone(), ()).expect("the name is free").detach();
            let after = two.try_send(&registry, 3);
            assert_eq!(after, Err(BoundRouteError::NotBound(3)), "sent to a removed server");
        });
        [through.join().expect("no thread panics"), by_name.join().expect("no thread panics")]
    });
    assert_eq!(successors.len(), 0, "the successor received a message");
    let mut arrived: Vec<_> = requests.drain().into_iter().map(|delivery| delivery.message).collect();
    arrived.sort_unstable();
    let accepted: Vec<_> = [1, 2].into_iter().zip(&sent).filter(|(_, sent)| sent.is_ok()).map(|(n, _)| n).collect();
    assert_eq!(arrived, accepted, "accepted messages are received once");
    drop((t, one, two));
    registry.unregister_server("s");
    assert_empty(&registry);
}

/// A batch is routed while one receiver is unregistered and another closes: each message is delivered or returned, in
/// order, and the dead entry is removed.
pub(super) fn route_many_against_deaths<B: Backend>() {
    let registry = registry::<B>();
    let [stays, leaves] = [(); 2].map(|()| Queue::new(4));
    let stayer = registry.register_server("stays", stays.clone(), ()).expect("the name is free");
    let leaver = registry.register_server("leaves", leaves.clone(), ()).expect("the name is free");
    let (dead, dead_inbox) = server(&registry, "dead");
    let from = transport_id("t");
    let to = ["leaves", "stays", "dead", "leaves", "stays"];
    let returned = thread::scope(|scope| {
        let sender =
            scope.spawn(|| registry.route_many_to_servers(to.into_iter().zip(0..).map(|(to, n)| (to, &from, n))));
        scope.spawn(|| drop(leaver));
        scope.spawn(|| dead_inbox.close());
        sender.join().expect("no thread panics")
    });
    let mut back = Vec::new();
    for (place, error) in &returned {
        assert!(matches!(error, RouteError::NotFound(_)) == (*place == 0 || *place == 3), "{place}: {error:?}");
        assert_eq!(error.into_message(), *place as u64, "another message was returned");
        back.push(*place as u64);
    }
    assert!(back.is_sorted());
    let of =
        |queue: &Queue<_>| queue.drain().into_iter().map(|delivery: registry_core::ToServer<u64>| delivery.message);
    let (leaver_messages, stayer_messages, dead_messages) =
        (of(&leaves), of(&stays).collect::<Vec<_>>(), of(&dead_inbox));
    let leaver_messages: Vec<u64> = leaver_messages.collect();
    assert!(leaver_messages.is_sorted(), "messages to one receiver are out of order");
    assert_eq!(stayer_messages, [1, 4], "other receivers lost messages");
    let mut all: Vec<u64> =
        leaver_messages.into_iter().chain(stayer_messages).chain(dead_messages).chain(back.iter().copied()).collect();
    all.sort_unstable();
    assert_eq!(all, [0, 1, 2, 3, 4], "each message is delivered or returned once");
    assert_eq!(dead.is_current(), !back.contains(&2), "a receiver found closed is removed");
    drop((stayer, dead));
    assert_empty(&registry);
}
