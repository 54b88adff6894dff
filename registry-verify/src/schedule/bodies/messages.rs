//! Messages: each is delivered or returned, and none reaches an unbound transport or a removed registration.

use registry_core::{Backend, EndReason, SendError};
use shuttle::{future, thread};

use super::{assert_empty, registry, server, server_id, transport, transport_id};
use crate::schedule::queue::Queue;

/// A server is unregistered while messages are sent to it: each is delivered once or returned.
pub(super) fn unregister_against_route<B: Backend>() {
    let registry = registry::<B>();
    let (lease, inbox) = server(&registry, "s");
    let accepted = thread::scope(|scope| {
        let senders = [1, 2].map(|message| {
            let registry = &registry;
            scope.spawn(move || match registry.route_to_server("s", &transport_id("t"), message) {
                Ok(()) => Some(message),
                Err(error) => {
                    assert_eq!(error.into_message(), message, "another message was returned");
                    None
                }
            })
        });
        scope.spawn(|| assert!(registry.unregister_server("s")));
        let accepted = senders.map(|sender| sender.join().expect("no sender panics"));
        accepted.into_iter().flatten().collect::<Vec<_>>()
    });
    let mut received: Vec<_> = inbox.drain().into_iter().map(|delivery| delivery.message).collect();
    received.sort_unstable();
    assert_eq!(received, accepted, "accepted messages are received once");
    let late = registry.route_to_server("s", &transport_id("t"), 3);
    assert_eq!(late.map_err(|error| error.into_message()), Err(3), "delivered to a removed server");
    drop(lease);
    assert_empty(&registry);
}

/// A transport is unbound or moved while its server broadcasts: later broadcasts do not reach it.
pub(super) fn broadcast_against_unbind<B: Backend>() {
    let registry = registry::<B>();
    let (s, _requests) = server(&registry, "s");
    let (other, _others) = server(&registry, "other");
    let (t, t_replies) = transport(&registry, "t");
    let (u, u_replies) = transport(&registry, "u");
    for id in ["t", "u"] {
        registry.bind_transport_to_server(id, "s").expect("both are registered");
    }
    let (report, of_t, of_u) = thread::scope(|scope| {
        let report = scope.spawn(|| registry.broadcast("s", 1));
        let of_t = scope.spawn(|| {
            assert!(registry.unbind_transport("t"));
            t_replies.len()
        });
        let of_u = scope.spawn(|| {
            registry.bind_transport_to_server("u", "other").expect("both are registered");
            u_replies.len()
        });
        let of_t = of_t.join().expect("no thread panics");
        let of_u = of_u.join().expect("no thread panics");
        (report.join().expect("no thread panics"), of_t, of_u)
    });
    assert_eq!((t_replies.len(), u_replies.len()), (of_t, of_u), "a broadcast reached an unbound transport");
    assert_eq!(report.delivered, of_t + of_u);
    drop((s, other, t, u));
    assert_empty(&registry);
}

/// Transports die while their server broadcasts: each gets the message, is reported or is gone, and closed ones are
/// removed.
pub(super) fn broadcast_against_deaths<B: Backend>() {
    let registry = registry::<B>();
    let (s, _requests) = server(&registry, "s");
    let (t, t_replies) = transport(&registry, "t");
    let (u, u_replies) = transport(&registry, "u");
    for id in ["t", "u"] {
        registry.bind_transport_to_server(id, "s").expect("both are registered");
    }
    let report = thread::scope(|scope| {
        let report = scope.spawn(|| registry.broadcast("s", 1));
        scope.spawn(|| u_replies.close());
        scope.spawn(|| drop(t));
        report.join().expect("no thread panics")
    });
    assert_eq!(report.delivered, t_replies.len() + u_replies.len());
    assert!(report.closed.iter().all(|id| *id == transport_id("u")));
    assert_eq!(u.is_current(), report.closed.is_empty(), "closed transports are removed");
    assert_eq!(registry.find_server("s").map(|found| found.id), Some(server_id("s")));
    drop((s, u));
    assert_empty(&registry);
}

/// A message waits for capacity while the receiver is removed and its name is registered again.
pub(super) fn send_against_removal<B: Backend>() {
    let registry = registry::<B>();
    let inbox = Queue::new(1);
    let lease = registry.register_server("s", inbox.clone(), ()).expect("the name is free");
    registry.route_to_server("s", &transport_id("t"), 1).expect("there is room");
    let found = registry.find_server("s").is_some();
    assert!(found);
    let successors = Queue::new(1);
    thread::scope(|scope| {
        scope.spawn(|| {
            let sent = future::block_on(registry.send_to_server("s", &transport_id("t"), 2, None));
            match sent {
                // It found the successor, which is another registration.
                Ok(()) => assert_eq!(successors.len(), 1, "delivered to a removed registration"),
                Err(SendError::Closed(message) | SendError::NotFound(message)) => assert_eq!(message, 2),
                Err(other) => panic!("sent without a time limit: {other}"),
            }
        });
        scope.spawn(|| {
            assert!(lease.release());
            // Frees capacity only after the removal.
            assert_eq!(inbox.drain().len(), 1);
            let successor = registry.register_server("s", successors.clone(), ()).expect("the name is free");
            successor.detach();
        });
    });
    assert_eq!(inbox.len(), 0, "delivered to a removed registration");
    registry.unregister_server("s");
    assert_empty(&registry);
}

/// A message waits for capacity that never becomes free, while the receiver is removed.
pub(super) fn send_to_stalled_against_removal<B: Backend>() {
    let registry = registry::<B>();
    let stalled = Queue::new(1);
    let lease = registry.register_server("s", stalled.clone(), ()).expect("the name is free");
    registry.route_to_server("s", &transport_id("t"), 1).expect("there is room");
    thread::scope(|scope| {
        scope.spawn(|| {
            // Without a wake-up on removal it waits forever, which the scheduler reports as a deadlock.
            match future::block_on(registry.send_to_server("s", &transport_id("t"), 2, None)) {
                Err(SendError::Closed(message) | SendError::NotFound(message)) => assert_eq!(message, 2),
                other => panic!("the mailbox is always full: {other:?}"),
            }
        });
        scope.spawn(|| assert!(lease.release()));
    });
    assert_eq!(stalled.len(), 1);
    assert_empty(&registry);
}

/// An owner waits for the end of its registration, which another thread removes and a third replaces.
pub(super) fn end_against_await<B: Backend>() {
    let registry = registry::<B>();
    let lease = registry.register_server("s", Queue::new(1), ()).expect("the id is free");
    let incarnation = lease.incarnation();
    thread::scope(|scope| {
        scope.spawn(|| {
            // Without a wake-up on removal it waits forever, which the scheduler reports as a deadlock.
            assert_eq!(future::block_on(lease.ended()), EndReason::Unregistered);
            let found = registry.with_server("s", |entry| entry.incarnation);
            assert_ne!(found, Some(incarnation), "the end was reported before the id was free");
            assert_eq!(lease.end_reason(), Some(EndReason::Unregistered));
        });
        scope.spawn(|| assert!(registry.unregister_server("s")));
        scope.spawn(|| drop(registry.register_server("s", Queue::new(1), ())));
    });
    drop(lease);
    assert_empty(&registry);
}

/// A task waits for an id that another thread registers.
pub(super) fn register_against_await<B: Backend>() {
    let registry = registry::<B>();
    thread::scope(|scope| {
        // Without a wake-up on registration it waits forever, which the scheduler reports as a deadlock.
        let task = scope.spawn(|| future::block_on(registry.await_server("s", None)).expect("there is no time limit"));
        let lease = registry.register_server("s", Queue::new(1), ()).expect("the id is free");
        assert_eq!(task.join().expect("no thread panics").incarnation, lease.incarnation());
    });
    assert_eq!(registry.waiter_count(), 0);
    assert_empty(&registry);
}
