//! Bindings: none outlives a side, none is inherited, and a move leaves no gap.

use registry_core::{Backend, BindError, RegisterErrorKind};
use shuttle::thread;

use super::{nothing_is_left, server, server_id, transport, transport_id, world};
use crate::schedule::queue::Queue;

/// A transport dies while it is bound: nothing of it stays with the server.
pub(super) fn bind_against_the_transports_death<B: Backend>() {
    let world = world::<B>();
    let (s, _requests) = server(&world, "s");
    let (t, _replies) = transport(&world, "t");
    thread::scope(|scope| {
        scope.spawn(|| {
            let bound = world.bind_transport_to_server("t", "s");
            assert!(matches!(bound, Ok(()) | Err(BindError::TransportNotFound)));
        });
        scope.spawn(|| drop(t));
    });
    assert_eq!(world.server_for_transport("t"), None);
    assert!(world.transports_of("s").is_empty());
    assert_eq!(world.binding_count(), 0, "the dead are still in the index");
    drop(s);
    nothing_is_left(&world);
}

/// A server dies while a transport is bound to it; a later binding to another one holds.
pub(super) fn bind_against_the_servers_death<B: Backend>() {
    let world = world::<B>();
    let (s, _requests) = server(&world, "s");
    let (other, _others) = server(&world, "other");
    let (t, _replies) = transport(&world, "t");
    let bound = thread::scope(|scope| {
        let bind = scope.spawn(|| world.bind_transport_to_server("t", "s"));
        scope.spawn(|| {
            drop(s);
            world.bind_transport_to_server("t", "other").expect("both are there");
        });
        bind.join().expect("nobody panics")
    });
    assert!(matches!(bound, Ok(()) | Err(BindError::ServerNotFound)));
    assert_eq!(world.server_for_transport("t"), Some(server_id("other")), "bound to a server that had ended");
    assert_eq!(world.transports_of("other"), [transport_id("t")]);
    assert_eq!(world.binding_count(), 1);
    drop((t, other));
    nothing_is_left(&world);
}

/// A server dies with a transport bound to it: after its death nobody sees the binding, and no successor inherits it.
pub(super) fn a_servers_death_seen<B: Backend>() {
    let world = world::<B>();
    let (s, _requests) = server(&world, "s");
    let (t, _replies) = transport(&world, "t");
    world.bind_transport_to_server("t", "s").expect("both are there");
    thread::scope(|scope| {
        scope.spawn(|| {
            drop(s);
            assert_eq!(world.server_for_transport("t"), None, "bound to the dead");
            let _successor = server(&world, "s");
            assert!(world.transports_of("s").is_empty(), "a binding was inherited");
            assert_eq!(world.server_for_transport("t"), None, "a binding was inherited");
        });
        scope.spawn(|| {
            // Once it is seen unbound it stays unbound, for nobody binds it again.
            if world.server_for_transport("t").is_none() {
                assert_eq!(world.server_for_transport("t"), None, "a binding came back");
            }
        });
    });
    drop(t);
    nothing_is_left(&world);
}

/// Two unregister one server: whoever is told that it did finds no binding any more.
pub(super) fn two_removers_of_a_bound_server<B: Backend>() {
    let world = world::<B>();
    let (s, _requests) = server(&world, "s");
    let (t, _replies) = transport(&world, "t");
    world.bind_transport_to_server("t", "s").expect("both are there");
    thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                if world.unregister_server("s") {
                    assert_eq!(world.server_for_transport("t"), None, "bound to whom is gone");
                    assert!(!world.unbind_transport("t"), "bound to whom is gone");
                }
            });
        }
    });
    drop((s, t));
    nothing_is_left(&world);
}

/// Two want one name, one of them bound from birth: a birth that fails binds nothing.
pub(super) fn born_bound_against_a_rival<B: Backend>() {
    let world = world::<B>();
    let (s, _requests) = server(&world, "s");
    let (bound, unbound) = thread::scope(|scope| {
        let bound = scope.spawn(|| world.register_transport_bound_to("t", Queue::new(1), (), "s").ok());
        let unbound = scope.spawn(|| world.register_transport("t", Queue::new(1), ()).ok());
        (bound.join().expect("nobody panics"), unbound.join().expect("nobody panics"))
    });
    assert!(bound.is_some() != unbound.is_some(), "exactly one wins");
    assert_eq!(world.server_for_transport("t").is_some(), bound.is_some());
    assert_eq!(world.transports_of("s").len(), usize::from(bound.is_some()));
    assert_eq!(world.binding_count(), usize::from(bound.is_some()), "a failed birth left a binding");
    drop((bound, unbound, s));
    nothing_is_left(&world);
}

/// A server dies while a transport is born bound to it: nothing is registered, or a transport that is not bound.
pub(super) fn born_bound_against_the_servers_death<B: Backend>() {
    let world = world::<B>();
    let (s, _requests) = server(&world, "s");
    let born = thread::scope(|scope| {
        let born = scope.spawn(|| world.register_transport_bound_to("t", Queue::new(1), (), "s"));
        scope.spawn(|| drop(s));
        born.join().expect("nobody panics")
    });
    assert_eq!(world.server_for_transport("t"), None, "bound to the dead");
    match born {
        Ok(lease) => assert!(lease.is_current()),
        Err(error) => {
            assert_eq!(error.reason, RegisterErrorKind::ServerNotFound);
            assert_eq!(world.transport_count(), 0);
        }
    }
    world.unregister_transport("t");
    nothing_is_left(&world);
}

/// A transport moves between servers while others look: it always has one, and never two.
pub(super) fn move_seen<B: Backend>() {
    let world = world::<B>();
    let (a, _to_a) = server(&world, "a");
    let (b, _to_b) = server(&world, "b");
    let (t, _replies) = transport(&world, "t");
    world.bind_transport_to_server("t", "a").expect("both are there");
    thread::scope(|scope| {
        scope.spawn(|| world.bind_transport_to_server("t", "b").expect("both are there"));
        scope.spawn(|| assert!(world.server_for_transport("t").is_some(), "a moving transport has no server"));
        scope.spawn(|| {
            if world.transports_of("b").len() == 1 {
                assert!(world.transports_of("a").is_empty(), "in two groups at once");
            }
        });
    });
    assert_eq!(world.binding_count(), 1);
    drop((a, b, t));
    nothing_is_left(&world);
}
