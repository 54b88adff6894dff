//! Messages: each is in a mailbox or comes back, and none reaches whom it must not reach any more.

use registry_core::{Backend, SendError};
use shuttle::{future, thread};

use super::{nothing_is_left, server, server_id, transport, transport_id, world};
use crate::schedule::queue::Queue;

/// A server is unregistered while messages come: each is in its mailbox or back with its sender.
pub(super) fn unregister_against_route<B: Backend>() {
    let world = world::<B>();
    let (lease, inbox) = server(&world, "s");
    let accepted = thread::scope(|scope| {
        let senders = [1, 2].map(|message| {
            let world = &world;
            scope.spawn(move || match world.route_to_server("s", &transport_id("t"), message) {
                Ok(()) => Some(message),
                Err(error) => {
                    assert_eq!(error.into_message(), message, "another message came back");
                    None
                }
            })
        });
        scope.spawn(|| assert!(world.unregister_server("s")));
        let accepted = senders.map(|sender| sender.join().expect("no sender panics"));
        accepted.into_iter().flatten().collect::<Vec<_>>()
    });
    let mut received: Vec<_> = inbox.drain().into_iter().map(|delivery| delivery.message).collect();
    received.sort_unstable();
    assert_eq!(received, accepted, "what was accepted is received, once");
    let late = world.route_to_server("s", &transport_id("t"), 3);
    assert_eq!(late.map_err(|error| error.into_message()), Err(3), "delivered to whom is gone");
    drop(lease);
    nothing_is_left(&world);
}

/// A transport is unbound, or moved, while its server broadcasts: afterwards no broadcast reaches it.
pub(super) fn broadcast_against_unbind<B: Backend>() {
    let world = world::<B>();
    let (s, _requests) = server(&world, "s");
    let (other, _others) = server(&world, "other");
    let (t, t_replies) = transport(&world, "t");
    let (u, u_replies) = transport(&world, "u");
    for id in ["t", "u"] {
        world.bind_transport_to_server(id, "s").expect("both are there");
    }
    let (report, of_t, of_u) = thread::scope(|scope| {
        let report = scope.spawn(|| world.broadcast("s", 1));
        let of_t = scope.spawn(|| {
            assert!(world.unbind_transport("t"));
            t_replies.len()
        });
        let of_u = scope.spawn(|| {
            world.bind_transport_to_server("u", "other").expect("both are there");
            u_replies.len()
        });
        let of_t = of_t.join().expect("nobody panics");
        let of_u = of_u.join().expect("nobody panics");
        (report.join().expect("nobody panics"), of_t, of_u)
    });
    assert_eq!((t_replies.len(), u_replies.len()), (of_t, of_u), "a broadcast reached whom was not bound any more");
    assert_eq!(report.delivered, of_t + of_u);
    drop((s, other, t, u));
    nothing_is_left(&world);
}

/// Transports die while their server broadcasts: each is delivered to, reported or gone, and the closed are taken out.
pub(super) fn broadcast_against_deaths<B: Backend>() {
    let world = world::<B>();
    let (s, _requests) = server(&world, "s");
    let (t, t_replies) = transport(&world, "t");
    let (u, u_replies) = transport(&world, "u");
    for id in ["t", "u"] {
        world.bind_transport_to_server(id, "s").expect("both are there");
    }
    let report = thread::scope(|scope| {
        let report = scope.spawn(|| world.broadcast("s", 1));
        scope.spawn(|| u_replies.close());
        scope.spawn(|| drop(t));
        report.join().expect("nobody panics")
    });
    assert_eq!(report.delivered, t_replies.len() + u_replies.len());
    assert!(report.closed.iter().all(|id| *id == transport_id("u")));
    assert_eq!(u.is_current(), report.closed.is_empty(), "the closed are taken out");
    assert_eq!(world.find_server("s").map(|found| found.id), Some(server_id("s")));
    drop((s, u));
    nothing_is_left(&world);
}

/// A message waits for room while its receiver's registration ends and its name goes to another one.
pub(super) fn waiting_against_the_end<B: Backend>() {
    let world = world::<B>();
    let inbox = Queue::new(1);
    let lease = world.register_server("s", inbox.clone(), ()).expect("the name is free");
    world.route_to_server("s", &transport_id("t"), 1).expect("there is room");
    let found = world.find_server("s").is_some();
    assert!(found);
    let heirs = Queue::new(1);
    thread::scope(|scope| {
        scope.spawn(|| {
            let sent = future::block_on(world.send_to_server("s", &transport_id("t"), 2, None));
            match sent {
                // It came after the successor, who is another one.
                Ok(()) => assert_eq!(heirs.len(), 1, "delivered to a registration that had ended"),
                Err(SendError::Closed(message) | SendError::NotFound(message)) => assert_eq!(message, 2),
                Err(other) => panic!("there is no limit: {other}"),
            }
        });
        scope.spawn(|| {
            assert!(lease.release());
            // Only now is there room.
            assert_eq!(inbox.drain().len(), 1);
            let heir = world.register_server("s", heirs.clone(), ()).expect("the name is free");
            heir.detach();
        });
    });
    assert_eq!(inbox.len(), 0, "delivered to a registration that had ended");
    world.unregister_server("s");
    nothing_is_left(&world);
}

/// A message waits for room at an owner that never makes any, while its registration ends.
pub(super) fn waiting_on_the_stalled_against_the_end<B: Backend>() {
    let world = world::<B>();
    let stalled = Queue::new(1);
    let lease = world.register_server("s", stalled.clone(), ()).expect("the name is free");
    world.route_to_server("s", &transport_id("t"), 1).expect("there is room");
    thread::scope(|scope| {
        scope.spawn(|| {
            // If it is not told of the end, it waits for ever, which the scheduler reports.
            match future::block_on(world.send_to_server("s", &transport_id("t"), 2, None)) {
                Err(SendError::Closed(message) | SendError::NotFound(message)) => assert_eq!(message, 2),
                other => panic!("there is never room: {other:?}"),
            }
        });
        scope.spawn(|| assert!(lease.release()));
    });
    assert_eq!(stalled.len(), 1);
    nothing_is_left(&world);
}
