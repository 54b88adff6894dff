//! Bindings: none outlives either side, none is inherited, and a move is atomic.

use registry_core::{Backend, BindError, RegisterErrorKind};
use shuttle::thread;

use super::{assert_empty, registry, server, server_id, transport, transport_id};
use crate::schedule::queue::Queue;

/// A transport dies while it is being bound: no binding remains at the server.
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
    assert_eq!(registry.binding_count(), 0, "a dead transport is still indexed");
    drop(s);
    assert_empty(&registry);
}

/// A server dies while a transport is being bound to it; a later binding to another server holds.
pub(super) fn bind_against_server_death<B: Backend>() {
    let registry = registry::<B>();
    let (s, _requests) = server(&registry, "s");
    let (other, _others) = server(&registry, "other");
    let (t, _replies) = transport(&registry, "t");
    let bound = thread::scope(|scope| {
        let bind = scope.spawn(|| registry.bind_transport_to_server("t", "s"));
        scope.spawn(|| {
            drop(s);
            registry.bind_transport_to_server("t", "other").expect("both are registered");
        });
        bind.join().expect("no thread panics")
    });
    assert!(matches!(bound, Ok(()) | Err(BindError::ServerNotFound)));
    assert_eq!(registry.server_for_transport("t"), Some(server_id("other")), "bound to a removed server");
    assert_eq!(registry.transports_of("other"), [transport_id("t")]);
    assert_eq!(registry.binding_count(), 1);
    drop((t, other));
    assert_empty(&registry);
}

/// A server with a bound transport dies: after that no reader sees the binding, and no successor inherits it.
pub(super) fn server_death_is_visible_at_once<B: Backend>() {
    let registry = registry::<B>();
    let (s, _requests) = server(&registry, "s");
    let (t, _replies) = transport(&registry, "t");
    registry.bind_transport_to_server("t", "s").expect("both are registered");
    thread::scope(|scope| {
        scope.spawn(|| {
            drop(s);
            assert_eq!(registry.server_for_transport("t"), None, "bound to a removed server");
            let _successor = server(&registry, "s");
            assert!(registry.transports_of("s").is_empty(), "a binding was inherited");
            assert_eq!(registry.server_for_transport("t"), None, "a binding was inherited");
        });
        scope.spawn(|| {
            // Once seen unbound it stays unbound, because no thread binds it again.
            if registry.server_for_transport("t").is_none() {
                assert_eq!(registry.server_for_transport("t"), None, "a binding reappeared");
            }
        });
    });
    drop(t);
    assert_empty(&registry);
}

/// Two threads unregister one server: the one that succeeds finds no binding afterwards.
pub(super) fn two_removers_of_a_bound_server<B: Backend>() {
    let registry = registry::<B>();
    let (s, _requests) = server(&registry, "s");
    let (t, _replies) = transport(&registry, "t");
    registry.bind_transport_to_server("t", "s").expect("both are registered");
    thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                if registry.unregister_server("s") {
                    assert_eq!(registry.server_for_transport("t"), None, "bound to a removed server");
                    assert!(!registry.unbind_transport("t"), "bound to a removed server");
                }
            });
        }
    });
    drop((s, t));
    assert_empty(&registry);
}

/// Two threads register one name, one of them with a binding: a failed registration binds nothing.
pub(super) fn register_bound_against_register<B: Backend>() {
    let registry = registry::<B>();
    let (s, _requests) = server(&registry, "s");
    let (bound, unbound) = thread::scope(|scope| {
        let bound = scope.spawn(|| registry.register_transport_bound_to("t", Queue::new(1), (), "s").ok());
        let unbound = scope.spawn(|| registry.register_transport("t", Queue::new(1), ()).ok());
        (bound.join().expect("no thread panics"), unbound.join().expect("no thread panics"))
    });
    assert!(bound.is_some() != unbound.is_some(), "exactly one succeeds");
    assert_eq!(registry.server_for_transport("t").is_some(), bound.is_some());
    assert_eq!(registry.transports_of("s").len(), usize::from(bound.is_some()));
    assert_eq!(registry.binding_count(), usize::from(bound.is_some()), "a failed registration left a binding");
    drop((bound, unbound, s));
    assert_empty(&registry);
}

/// A server dies while a transport registers bound to it: the transport is unbound or not registered.
pub(super) fn register_bound_against_server_death<B: Backend>() {
    let registry = registry::<B>();
    let (s, _requests) = server(&registry, "s");
    let registered = thread::scope(|scope| {
        let registered = scope.spawn(|| registry.register_transport_bound_to("t", Queue::new(1), (), "s"));
        scope.spawn(|| drop(s));
        registered.join().expect("no thread panics")
    });
    assert_eq!(registry.server_for_transport("t"), None, "bound to a removed server");
    match registered {
        Ok(lease) => assert!(lease.is_current()),
        Err(error) => {
            assert_eq!(error.kind(), &RegisterErrorKind::ServerNotFound);
            assert_eq!(registry.transport_count(), 0);
        }
    }
    registry.unregister_transport("t");
    assert_empty(&registry);
}

/// A transport moves between servers while others read: it always has exactly one.
pub(super) fn move_is_atomic<B: Backend>() {
    let registry = registry::<B>();
    let (a, _to_a) = server(&registry, "a");
    let (b, _to_b) = server(&registry, "b");
    let (t, _replies) = transport(&registry, "t");
    registry.bind_transport_to_server("t", "a").expect("both are registered");
    thread::scope(|scope| {
        scope.spawn(|| registry.bind_transport_to_server("t", "b").expect("both are registered"));
        scope.spawn(|| assert!(registry.server_for_transport("t").is_some(), "unbound during a move"));
        scope.spawn(|| {
            if registry.transports_of("b").len() == 1 {
                assert!(registry.transports_of("a").is_empty(), "bound to two servers at once");
            }
        });
    });
    assert_eq!(registry.binding_count(), 1);
    drop((a, b, t));
    assert_empty(&registry);
}
