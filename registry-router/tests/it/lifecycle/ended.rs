//! The owner of a registration is told when it ends, and why: by its lease, and by its inbox.

use std::pin::{Pin, pin};
use std::sync::{Arc, Barrier};
use std::task::{Context, Poll, Waker};
use std::thread;

use registry_core::Backend;
use registry_router::{EndReason, Lease, Registry};
use tokio::sync::mpsc::error::TryRecvError;

use crate::support::{
    block_on, registry, server_mailbox, transport, transport_mailbox, unread_server_mailbox, within_time_limit,
};

test_every_backend! {
    a_registration_that_lasts_has_no_reason,
    a_lease_is_told_the_reason_of_the_end,
    a_lease_is_told_at_once_whether_it_waits_or_asks,
    a_future_that_is_dropped_misses_no_end,
    the_inbox_ends_with_the_registration_after_what_was_accepted,
    an_inbox_whose_task_waits_is_woken_by_the_end,
    a_mailbox_that_is_still_held_outlives_its_registration,
    the_inbox_ends_with_the_last_of_several_registrations,
    a_cached_route_does_not_hold_the_inbox_open,
    the_inbox_ends_with_its_registry,
    an_owner_is_displaced_while_others_send_and_look_up,
    reasons_are_kept_for_leases_only,
}

fn poll<F: Future>(future: Pin<&mut F>) -> Poll<F::Output> {
    future.poll(&mut Context::from_waker(Waker::noop()))
}

fn a_registration_that_lasts_has_no_reason<B: Backend>(shards: usize) {
    let registry = registry::<B>(shards);
    let (mailbox, mut inbox) = server_mailbox();
    let lease = registry.register_server("s", mailbox, ()).unwrap();
    registry.sweep();
    assert_eq!((lease.end_reason(), poll(pin!(lease.ended()))), (None, Poll::Pending));
    assert_eq!(inbox.try_recv(), Err(TryRecvError::Empty));
    assert!(!inbox.is_closed());
}

/// Ends the registration "s".
type EndBy<B> = fn(&Registry<u64, B>);

fn a_lease_is_told_the_reason_of_the_end<B: Backend>(shards: usize) {
    let unregister: EndBy<B> = |registry| assert!(registry.unregister_server("s"));
    let send: EndBy<B> = |registry| assert!(registry.route_to_server("s", &transport("t"), 1).is_err());
    let sweep: EndBy<B> = |registry| assert_eq!(registry.sweep().servers, 1);
    let register: EndBy<B> =
        |registry| registry.register_server("s", unread_server_mailbox(), ()).map(Lease::detach).unwrap();
    for (close, end, reason) in [
        (false, unregister, EndReason::Unregistered),
        (true, unregister, EndReason::Unregistered),
        (true, send, EndReason::MailboxClosed),
        (true, sweep, EndReason::MailboxClosed),
        (true, register, EndReason::MailboxClosed),
    ] {
        let registry = registry::<B>(shards);
        let (mailbox, mut inbox) = server_mailbox();
        let lease = registry.register_server("s", mailbox, ()).unwrap();
        let mut ended = pin!(lease.ended());
        assert_eq!(poll(ended.as_mut()), Poll::Pending);
        if close {
            inbox.close();
        }
        assert_eq!(lease.end_reason(), None);
        end(&registry);
        assert_eq!((lease.end_reason(), poll(ended)), (Some(reason), Poll::Ready(reason)));
        assert_eq!(poll(pin!(lease.ended())), Poll::Ready(reason), "asked again");
        assert!(!lease.is_current());
    }
    let dropped = registry::<B>(shards);
    let lease = dropped.register_server("s", unread_server_mailbox(), ()).unwrap();
    let mut ended = pin!(lease.ended());
    assert_eq!(poll(ended.as_mut()), Poll::Pending);
    drop(dropped);
    assert_eq!(poll(ended), Poll::Ready(EndReason::RegistryDropped));
    assert_eq!(lease.end_reason(), Some(EndReason::RegistryDropped));
}

fn a_lease_is_told_at_once_whether_it_waits_or_asks<B: Backend>(shards: usize) {
    within_time_limit(move || {
        let registry = registry::<B>(shards);
        for round in 0..200 {
            let lease = registry.register_server("s", unread_server_mailbox(), ()).unwrap();
            thread::scope(|scope| {
                scope.spawn(|| assert!(registry.unregister_server("s")));
                if round % 2 == 0 {
                    assert_eq!(block_on(lease.ended()), EndReason::Unregistered);
                }
                while lease.end_reason().is_none() {
                    thread::yield_now();
                }
                assert!(registry.find_server("s").is_none(), "the id is free by then");
            });
        }
    });
}

fn a_future_that_is_dropped_misses_no_end<B: Backend>(shards: usize) {
    let registry = registry::<B>(shards);
    let lease = registry.register_server("s", unread_server_mailbox(), ()).unwrap();
    {
        let mut cancelled = pin!(lease.ended());
        assert_eq!(poll(cancelled.as_mut()), Poll::Pending);
        registry.unregister_server("s");
    }
    assert_eq!(poll(pin!(lease.ended())), Poll::Ready(EndReason::Unregistered));
}

fn the_inbox_ends_with_the_registration_after_what_was_accepted<B: Backend>(shards: usize) {
    for by_lease in [false, true] {
        let registry = registry::<B>(shards);
        let (mailbox, mut inbox) = server_mailbox();
        let lease = registry.register_server("s", mailbox, ()).unwrap();
        for message in 0..3 {
            registry.route_to_server("s", &transport("t"), message).unwrap();
        }
        if by_lease {
            drop(lease);
        } else {
            registry.unregister_server("s");
        }
        assert!(inbox.is_closed());
        let received = block_on(async {
            let mut received = Vec::new();
            while let Some(delivery) = inbox.recv().await {
                received.push(delivery.message);
            }
            received
        });
        assert_eq!((received, inbox.try_recv()), (vec![0, 1, 2], Err(TryRecvError::Disconnected)));
    }
}

fn an_inbox_whose_task_waits_is_woken_by_the_end<B: Backend>(shards: usize) {
    within_time_limit(move || {
        let registry = registry::<B>(shards);
        for round in 0..100 {
            let (mailbox, mut inbox) = server_mailbox();
            let lease = registry.register_server("s", mailbox, ()).unwrap();
            let owner = thread::spawn(move || match round % 3 {
                0 => inbox.blocking_recv().is_none(),
                1 => block_on(inbox.recv()).is_none(),
                _ => block_on(inbox.recv_many(&mut Vec::new(), 8)) == 0,
            });
            registry.unregister_server("s");
            assert!(owner.join().unwrap());
            drop(lease);
        }
    });
}

fn a_mailbox_that_is_still_held_outlives_its_registration<B: Backend>(shards: usize) {
    let registry = registry::<B>(shards);
    let (mailbox, mut inbox) = server_mailbox();
    drop(registry.register_server("s", mailbox.clone(), ()).unwrap());
    assert_eq!((inbox.is_closed(), inbox.sender_strong_count()), (false, 1));
    let lease = registry.register_server("s", mailbox, ()).unwrap();
    registry.route_to_server("s", &transport("t"), 7).unwrap();
    assert_eq!(inbox.try_recv().unwrap().message, 7);
    let found = registry.find_server("s").unwrap();
    drop(lease);
    assert_eq!(inbox.try_recv(), Err(TryRecvError::Empty), "what was found holds it too");
    drop(found);
    assert_eq!(inbox.try_recv(), Err(TryRecvError::Disconnected));
}

fn the_inbox_ends_with_the_last_of_several_registrations<B: Backend>(shards: usize) {
    let registry = registry::<B>(shards);
    let (mailbox, mut inbox) = server_mailbox();
    let mut leases: Vec<_> =
        (0..10).map(|n| registry.register_server(format!("s{n}"), mailbox.clone(), ()).unwrap()).collect();
    drop(mailbox);
    assert_eq!(inbox.sender_strong_count(), 10);
    let last = leases.pop();
    drop(leases);
    assert_eq!(inbox.try_recv(), Err(TryRecvError::Empty));
    drop(last);
    assert_eq!(inbox.try_recv(), Err(TryRecvError::Disconnected));
}

fn a_cached_route_does_not_hold_the_inbox_open<B: Backend>(shards: usize) {
    let registry = registry::<B>(shards);
    let (mailbox, mut inbox) = server_mailbox();
    let server = registry.register_server("s", mailbox, ()).unwrap();
    let (to_transport, _replies) = transport_mailbox();
    let _transport = registry.register_transport_bound_to("t", to_transport, (), "s").unwrap();
    let mut route = registry.bound_route("t").unwrap();
    route.try_send(&registry, 1).unwrap();
    drop(server);
    assert_eq!(inbox.try_recv().unwrap().message, 1);
    assert_eq!(inbox.try_recv(), Err(TryRecvError::Disconnected));
    assert!(route.try_send(&registry, 2).is_err());
}

fn the_inbox_ends_with_its_registry<B: Backend>(shards: usize) {
    let registry = registry::<B>(shards);
    let (to_server, mut servers) = server_mailbox();
    let (to_transport, mut transports) = transport_mailbox();
    for n in 0..5 {
        registry.register_server(format!("s{n}"), to_server.clone(), ()).unwrap().detach();
        registry.register_transport(format!("t{n}"), to_transport.clone(), ()).unwrap().detach();
    }
    drop((to_server, to_transport));
    assert_eq!((servers.sender_strong_count(), transports.sender_strong_count()), (5, 5));
    drop(registry);
    assert_eq!(servers.try_recv(), Err(TryRecvError::Disconnected));
    assert_eq!(transports.try_recv(), Err(TryRecvError::Disconnected));
}

fn an_owner_is_displaced_while_others_send_and_look_up<B: Backend>(shards: usize) {
    within_time_limit(move || {
        let registry = registry::<B>(shards);
        let start = Arc::new(Barrier::new(3));
        let others: Vec<_> = (0..2)
            .map(|_| {
                let (registry, start) = (registry.clone(), Arc::clone(&start));
                thread::spawn(move || {
                    start.wait();
                    let mut accepted = 0_u64;
                    for message in 0..20_000 {
                        accepted += u64::from(registry.route_to_server("s", &transport("t"), message).is_ok());
                        registry.find_server("s");
                    }
                    accepted
                })
            })
            .collect();
        start.wait();
        let mut received = 0;
        while others.iter().any(|other| !other.is_finished()) {
            let (mailbox, mut inbox) = server_mailbox();
            let lease = registry.register_server("s", mailbox, ()).unwrap();
            for _ in 0..3 {
                received += u64::from(inbox.try_recv().is_ok());
            }
            registry.unregister_server("s");
            while inbox.blocking_recv().is_some() {
                received += 1;
            }
            assert_eq!(block_on(lease.ended()), EndReason::Unregistered);
        }
        let accepted: u64 = others.into_iter().map(|other| other.join().unwrap()).sum();
        assert_eq!(received, accepted, "every accepted message is received");
    });
}

fn reasons_are_kept_for_leases_only<B: Backend>(shards: usize) {
    let registry = registry::<B>(shards);
    // A detached registration that is unregistered leaves nothing behind; neither does one whose lease is dropped after
    // its end. What is kept is seen by the lease alone.
    let detached = registry.register_server("s", unread_server_mailbox(), ()).unwrap();
    detached.detach();
    assert!(registry.unregister_server("s"));
    let first = registry.register_server("s", unread_server_mailbox(), ()).unwrap();
    registry.unregister_server("s");
    let second = registry.register_server("s", unread_server_mailbox(), ()).unwrap();
    assert_eq!((first.end_reason(), second.end_reason()), (Some(EndReason::Unregistered), None));
    drop(first);
    assert!(second.is_current() && second.release());
}
