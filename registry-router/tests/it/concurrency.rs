//! Invariants under concurrency: ids and bindings are freed with their entries, and no message is lost.

use std::sync::Barrier;
use std::sync::atomic::{AtomicBool, Ordering};

use registry_core::Backend;
use registry_router::ServerId;

use crate::support::{
    registry, server_mailbox, transport, transport_mailbox, unread_server_mailbox, unread_transport_mailbox,
    within_time_limit,
};

test_every_backend! {
    a_release_never_removes_a_successor,
    bindings_never_outlive_either_endpoint,
    a_transport_being_rebound_always_has_a_server,
    every_message_is_delivered_or_returned,
    a_transport_registered_bound_is_never_visible_unbound,
    a_failed_bound_registration_is_never_visible,
}

const ROUNDS: usize = 300;

fn a_release_never_removes_a_successor<B: Backend>(shards: usize) {
    within_time_limit(move || {
        let registry = registry::<B>(shards);
        let start = Barrier::new(2);
        for _ in 0..ROUNDS {
            let (mailbox, _inbox) = server_mailbox();
            let old = registry.register_server("s", mailbox, ()).unwrap();
            let new = std::thread::scope(|scope| {
                scope.spawn(|| {
                    start.wait();
                    drop(old);
                });
                start.wait();
                registry.unregister_server("s");
                let mailbox = unread_server_mailbox();
                registry.register_server("s", mailbox, ()).unwrap()
            });
            assert!(new.is_current());
        }
    });
}

fn bindings_never_outlive_either_endpoint<B: Backend>(shards: usize) {
    within_time_limit(move || {
        let registry = registry::<B>(shards);
        let start = Barrier::new(3);
        for _ in 0..ROUNDS {
            let (mailbox, _inbox) = server_mailbox();
            let s = registry.register_server("s", mailbox, ()).unwrap();
            let (mailbox, _inbox) = transport_mailbox();
            let t = registry.register_transport("t", mailbox, ()).unwrap();
            std::thread::scope(|scope| {
                scope.spawn(|| {
                    start.wait();
                    let _ = registry.bind_transport_to_server("t", "s");
                });
                scope.spawn(|| {
                    start.wait();
                    drop(t);
                    assert!(registry.transports_of("s").is_empty(), "a removed transport is listed");
                });
                start.wait();
                drop(s);
                assert_eq!(registry.server_for_transport("t"), None, "a removed server is returned");
            });
            let (mailbox, _inbox) = server_mailbox();
            let _s = registry.register_server("s", mailbox, ()).unwrap();
            assert!(registry.transports_of("s").is_empty());
        }
    });
}

fn a_transport_being_rebound_always_has_a_server<B: Backend>(shards: usize) {
    within_time_limit(move || {
        let registry = registry::<B>(shards);
        let ids = ["a", "b"];
        let _servers = ids.map(|id| registry.register_server(id, unread_server_mailbox(), ()).unwrap());
        let _t = registry.register_transport_bound_to("t", unread_transport_mailbox(), (), "a").unwrap();
        let done = AtomicBool::new(false);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                for round in 0..ROUNDS * 10 {
                    registry.bind_transport_to_server("t", ids[(round + 1) % 2]).unwrap();
                }
                done.store(true, Ordering::SeqCst);
            });
            while !done.load(Ordering::SeqCst) {
                assert!(registry.server_for_transport("t").is_some());
            }
        });
        assert_eq!(registry.transports_of("a").len() + registry.transports_of("b").len(), 1);
    });
}

fn every_message_is_delivered_or_returned<B: Backend>(shards: usize) {
    within_time_limit(move || {
        const SENDERS: u64 = 3;
        const MESSAGES: u64 = 2_000;
        let registry = registry::<B>(shards);
        let done = AtomicBool::new(false);
        let (delivered, received) = std::thread::scope(|scope| {
            let senders: Vec<_> = (0..SENDERS)
                .map(|sender| {
                    let (registry, from) = (&registry, transport(&format!("t{sender}")));
                    scope.spawn(move || {
                        let mut delivered = Vec::new();
                        for number in 0..MESSAGES {
                            match registry.route_to_server("s", &from, number) {
                                Ok(()) => delivered.push((from.clone(), number)),
                                Err(error) => assert_eq!(error.into_message(), number),
                            }
                        }
                        delivered
                    })
                })
                .collect();
            // A server that is removed and registered again, and drains the inbox of each registration.
            let server = scope.spawn(|| {
                let mut received = Vec::new();
                while !done.load(Ordering::SeqCst) {
                    let (mailbox, mut inbox) = server_mailbox();
                    let lease = registry.register_server("s", mailbox, ()).unwrap();
                    for _ in 0..50 {
                        received.extend(inbox.try_recv());
                    }
                    lease.release();
                    // A sender that found the server before the release may still be sending; closing the inbox ends
                    // that, and messages accepted before can still be received.
                    inbox.close();
                    while let Some(delivery) = inbox.blocking_recv() {
                        received.push(delivery);
                    }
                }
                received
            });
            let delivered: Vec<_> = senders.into_iter().flat_map(|sender| sender.join().unwrap()).collect();
            done.store(true, Ordering::SeqCst);
            (delivered, server.join().unwrap())
        });
        let mut received: Vec<_> = received.into_iter().map(|delivery| (delivery.from, delivery.message)).collect();
        for sender in 0..SENDERS {
            let from = transport(&format!("t{sender}"));
            let order: Vec<u64> = received.iter().filter(|(id, _)| *id == from).map(|(_, number)| *number).collect();
            assert!(order.is_sorted(), "messages of one sender arrive in order");
        }
        let mut delivered = delivered;
        delivered.sort();
        received.sort();
        assert_eq!(delivered, received, "exactly the delivered messages are received, once each");
    });
}

fn a_transport_registered_bound_is_never_visible_unbound<B: Backend>(shards: usize) {
    within_time_limit(move || {
        let registry = registry::<B>(shards);
        let _s = registry.register_server("s", unread_server_mailbox(), ()).unwrap();
        let (begin, end) = (Barrier::new(2), Barrier::new(2));
        std::thread::scope(|scope| {
            scope.spawn(|| {
                for _ in 0..ROUNDS {
                    begin.wait();
                    let mailbox = unread_transport_mailbox();
                    let lease = registry.register_transport_bound_to("t", mailbox, (), "s").unwrap();
                    end.wait();
                    lease.release();
                }
            });
            for _ in 0..ROUNDS {
                begin.wait();
                while registry.find_transport("t").is_none() {
                    std::hint::spin_loop();
                }
                let (server, transports) = (registry.server_for_transport("t"), registry.transports_of("s"));
                end.wait();
                assert_eq!(server, ServerId::new("s").ok());
                assert_eq!(transports, [transport("t")]);
            }
        });
        assert!(registry.transports_of("s").is_empty());
    });
}

fn a_failed_bound_registration_is_never_visible<B: Backend>(shards: usize) {
    within_time_limit(move || {
        let registry = registry::<B>(shards);
        let _s = registry.register_server("s", unread_server_mailbox(), ()).unwrap();
        let (mailbox, mut inbox) = transport_mailbox();
        // Unbound, and a failed registration of its id does not bind it.
        let _t = registry.register_transport("t", mailbox, ()).unwrap();
        let done = AtomicBool::new(false);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                let mut mailbox = unread_transport_mailbox();
                for _ in 0..ROUNDS * 100 {
                    mailbox = registry.register_transport_bound_to("t", mailbox, (), "s").unwrap_err().into_mailbox();
                }
                done.store(true, Ordering::SeqCst);
            });
            while !done.load(Ordering::SeqCst) {
                assert!(registry.transports_of("s").is_empty());
                assert_eq!(registry.broadcast("s", 1).attempted(), 0);
            }
        });
        assert!(inbox.try_recv().is_err());
    });
}
