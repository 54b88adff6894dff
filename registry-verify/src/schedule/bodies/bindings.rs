//! Bindings: none outlives a side, none is inherited, and a move leaves no gap.

use registry_core::{Backend, BindError, RegisterErrorKind};
use shuttle::thread;

use super::{assert_empty, registry, server, server_id, transport, transport_id};
use crate::schedule::queue::Queue;

/// A transport dies while it is bound: nothing of it stays with the server.
pub(super) fn bind_against_transport_death<B: Backend>() {
    let registry = registry::<B>();
    let (s, _requests) = server(&registry, "s");
    let (t, _replies) = transport(&registry, "t");
    thread::scope(|scope| {
        scope.spawn(|| {
            let bound = registry.bind_transport_to_server("t", "s");
            assert!(matches!(bound, Ok(()) | Err(BindError::TransportNotFound)));
        });
        scope.spawn(|| drop(t));
    });
    assert_eq!(registry.server_for_transport("t"), None);
    assert!(registry.transports_of("s").is_empty());
    assert_eq!(registry.binding_count(), 0, "the dead are still in the index");
    drop(s);
    assert_empty(&registry);
}

/// A server dies while a transport is bound to it; a later binding to another one holds.
pub(super) fn bind_against_server_death<B: Backend>() {
    let registry = registry::<B>();
    let (s, _requests) = server(&registry, "s");
    let (other, _others) = server(&registry, "other");
    let (t, _replies) = transport(&registry, "t");
    let bound = thread::scope(|scope| {
        let bind = scope.spawn(|| registry.bind_transport_to_server("t", "s"));
        scope.spawn(|| {
            drop(s);
            registry.bind_transport_to_server("t", "other").expect("both are there");
        });
        bind.join().expect("nobody panics")
    });
    assert!(matches!(bound, Ok(()) | Err(BindError::ServerNotFound)));
    assert_eq!(registry.server_for_transport("t"), Some(server_id("other")), "bound to a server that had ended");
    assert_eq!(registry.transports_of("other"), [transport_id("t")]);
    assert_eq!(registry.binding_count(), 1);
    drop((t, other));
    assert_empty(&registry);
}

/// A server dies with a transport bound to it: after its death nobody sees the binding, and no successor inherits it.
pub(super) fn server_death_is_visible_at_once<B: Backend>() {
    let registry = registry::<B>();
    let (s, _requests) = server(&registry, "s");
    let (t, _replies) = transport(&registry, "t");
    registry.bind_transport_to_server("t", "s").expect("both are there");
    thread::scope(|scope| {
        scope.spawn(|| {
            drop(s);
            assert_eq!(registry.server_for_transport("t"), None, "bound to the dead");
            let _successor = server(&registry, "s");
            assert!(registry.transports_of("s").is_empty(), "a binding was inherited");
            assert_eq!(registry.server_for_transport("t"), None, "a binding was inherited");
        });
        scope.spawn(|| {
            // Once it is seen unbound it stays unbound, for nobody binds it again.
            if registry.server_for_transport("t").is_none() {
                assert_eq!(registry.server_for_transport("t"), None, "a binding came back");
            }
        });
    });
    drop(t);
    assert_empty(&registry);
}

/// Two unregister one server: whoever is told that it did finds no binding any more.
pub(super) fn two_removers_of_a_bound_server<B: Backend>() {
    let registry = registry::<B>();
    let (s, _requests) = server(&registry, "s");
    let (t, _replies) = transport(&registry, "t");
    registry.bind_transport_to_server("t", "s").expect("both are there");
    thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                if registry.unregister_server("s") {
                    assert_eq!(registry.server_for_transport("t"), None, "bound to whom is gone");
                    assert!(!registry.unbind_transport("t"), "bound to whom is gone");
                }
            });
        }
    });
    drop((s, t));
    assert_empty(&registry);
}

/// Two want one name, one of them bound from birth: a birth that fails binds nothing.
pub(super) fn register_bound_against_register<B: Backend>() {
    let registry = registry::<B>();
    let (s, _requests) = server(&registry, "s");
    let (bound, unbound) = thread::scope(|scope| {
        let bound = scope.spawn(|| registry.register_transport_bound_to("t", Queue::new(1), (), "s").ok());
        let unbound = scope.spawn(|| registry.register_transport("t", Queue::new(1), ()).ok());
        (bound.join().expect("nobody panics"), unbound.join().expect("nobody panics"))
    });
    assert!(bound.is_some() != unbound.is_some(), "exactly one wins");
    assert_eq!(registry.server_for_transport("t").is_some(), bound.is_some());
    assert_eq!(registry.transports_of("s").len(), usize::from(bound.is_some()));
    assert_eq!(registry.binding_count(), usize::from(bound.is_some()), "a failed birth left a binding");
    drop((bound, unbound, s));
    assert_empty(&registry);
}

/// A server dies while a transport is born bound to it: nothing is registered, or a transport that is not bound.
pub(super) fn register_bound_against_the_servers_death<B: Backend>() {
    let registry = registry::<B>();
    let (s, _requests) = server(&registry, "s");
    let born = thread::scope(|scope| {
        let born = scope.spawn(|| registry.register_transport_bound_to("t", Queue::new(1), (), "s"));
        scope.spawn(|| drop(s));
        born.join().expect("nobody panics")
    });
    assert_eq!(registry.server_for_transport("t"), None, "bound to the dead");
    match born {
        Ok(lease) => assert!(lease.is_current()),
        Err(error) => {
            assert_eq!(error.kind, RegisterErrorKind::ServerNotFound);
            assert_eq!(registry.transport_count(), 0);
        }
    }
    registry.unregister_transport("t");
    assert_empty(&registry);
}

/// A transport moves between servers while others look: it always has one, and never two.
pub(super) fn move_is_atomic<B: Backend>() {
    let registry = registry::<B>();
    let (a, _to_a) = server(&registry, "a");
    let (b, _to_b) = server(&registry, "b");
    let (t, _replies) = transport(&registry, "t");
    registry.bind_transport_to_server("t", "a").expect("both are there");
    thread::scope(|scope| {
        scope.spawn(|| registry.bind_transport_to_server("t", "b").expect("both are there"));
        scope.spawn(|| assert!(registry.server_for_transport("t").is_some(), "a moving transport has no server"));
        scope.spawn(|| {
            if registry.transports_of("b").len() == 1 {
                assert!(registry.transports_of("a").is_empty(), "in two groups at once");
            }
        });
    });
    assert_eq!(registry.binding_count(), 1);
    drop((a, b, t));
    assert_empty(&registry);
}
