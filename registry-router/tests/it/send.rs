//! Sending with patience: waiting for room, giving up in time, and never reaching a successor.

use std::task::{Context, Poll, Waker};
use std::time::Duration;

use registry_core::Backend;
use registry_router::{SendError, ServerId, ServerLease, mailbox};

use crate::support::{block_on, registry, transport, transport_mailbox};

over_every_backend! {
    a_sender_waits_for_room,
    a_limit_gives_the_message_back,
    a_dropped_sender_delivers_nothing,
    waiters_are_served_in_order,
    who_is_not_there_is_told_at_once,
    the_end_of_a_registration_reaches_a_waiter,
    a_waiter_is_told_of_the_end_though_the_owner_is_stalled,
    a_closing_mailbox_wakes_a_waiter,
}

fn a_sender_waits_for_room<B: Backend>(shards: usize) {
    let registry = registry::<B>(shards);
    let (mailbox, mut inbox) = mailbox(1);
    let _s = registry.register_server("s", mailbox, ()).unwrap();
    let t = transport("t");
    block_on(async {
        registry.send_to_server("s", &t, 1, None).await.unwrap();
        let mut waiting = std::pin::pin!(registry.send_to_server("s", &t, 2, None));
        assert!(poll_once(waiting.as_mut()).is_pending());
        assert_eq!(inbox.recv().await.unwrap().message, 1);
        waiting.await.unwrap();
        assert_eq!(inbox.recv().await.unwrap().message, 2);
    });
}

fn a_limit_gives_the_message_back<B: Backend>(shards: usize) {
    let registry = registry::<B>(shards);
    let (mailbox, mut inbox) = mailbox(1);
    let _t = registry.register_transport("t", mailbox, ()).unwrap();
    let s = ServerId::new("s").unwrap();
    block_on(async {
        let limit = Some(Duration::from_secs(5));
        registry.send_to_transport("t", &s, 1, limit).await.unwrap();
        let began = tokio::time::Instant::now();
        assert_eq!(registry.send_to_transport("t", &s, 2, limit).await, Err(SendError::TimedOut(2)));
        // The clock of the test stands still until nothing else can be done, so this is exact.
        assert!(began.elapsed() >= Duration::from_secs(5) && began.elapsed() < Duration::from_millis(5_010));
        assert_eq!(inbox.recv().await.unwrap().message, 1);
        assert!(inbox.try_recv().is_err());
    });
}

fn a_dropped_sender_delivers_nothing<B: Backend>(shards: usize) {
    let registry = registry::<B>(shards);
    let (mailbox, mut inbox) = mailbox(1);
    let _s = registry.register_server("s", mailbox, ()).unwrap();
    let t = transport("t");
    registry.route_to_server("s", &t, 1).unwrap();
    {
        let mut waiting = std::pin::pin!(registry.send_to_server("s", &t, 2, None));
        assert!(poll_once(waiting.as_mut()).is_pending());
    }
    assert_eq!(inbox.try_recv().unwrap().message, 1);
    assert!(inbox.try_recv().is_err());
    registry.route_to_server("s", &t, 3).unwrap();
    assert_eq!(inbox.try_recv().unwrap().message, 3);
}

fn waiters_are_served_in_order<B: Backend>(shards: usize) {
    let registry = registry::<B>(shards);
    let (mailbox, mut inbox) = mailbox(1);
    let _s = registry.register_server("s", mailbox, ()).unwrap();
    let t = transport("t");
    block_on(async {
        registry.route_to_server("s", &t, 0).unwrap();
        let mut first = std::pin::pin!(registry.send_to_server("s", &t, 1, None));
        let mut second = std::pin::pin!(registry.send_to_server("s", &t, 2, None));
        assert!(poll_once(first.as_mut()).is_pending() && poll_once(second.as_mut()).is_pending());
        assert_eq!(inbox.recv().await.unwrap().message, 0);
        // The room belongs to who waited longest: neither the second nor a newcomer gets it.
        assert!(poll_once(second.as_mut()).is_pending());
        assert!(registry.route_to_server("s", &t, 3).is_err());
        first.await.unwrap();
        assert_eq!(inbox.recv().await.unwrap().message, 1);
        second.await.unwrap();
        assert_eq!(inbox.recv().await.unwrap().message, 2);
    });
}

fn who_is_not_there_is_told_at_once<B: Backend>(shards: usize) {
    let registry = registry::<B>(shards);
    block_on(async {
        let sent = registry.send_to_server("s", &transport("t"), 1, None).await;
        assert_eq!(sent, Err(SendError::NotFound(1)));
        assert_eq!(sent.unwrap_err().into_message(), 1);
    });
}

fn the_end_of_a_registration_reaches_a_waiter<B: Backend>(shards: usize) {
    let registry = registry::<B>(shards);
    let (old, mut of_old) = mailbox(1);
    let lease = registry.register_server("s", old, ()).unwrap();
    let t = transport("t");
    block_on(async {
        registry.route_to_server("s", &t, 1).unwrap();
        let mut waiting = std::pin::pin!(registry.send_to_server("s", &t, 2, None));
        assert!(poll_once(waiting.as_mut()).is_pending());
        drop(lease);
        let (new, mut of_new) = mailbox(1);
        let _successor = registry.register_server("s", new, ()).unwrap();
        assert_eq!(of_old.recv().await.unwrap().message, 1);
        // There is room now, but the registration that the message was for is over.
        assert_eq!(waiting.await, Err(SendError::Closed(2)));
        assert!(of_old.try_recv().is_err() && of_new.try_recv().is_err());
    });
}

/// Nobody receives, and nobody drops the inbox: only the end by name can tell the waiter.
fn a_waiter_is_told_of_the_end_though_the_owner_is_stalled<B: Backend>(shards: usize) {
    let registry = registry::<B>(shards);
    let (mailbox, _stalled) = mailbox(1);
    let mut lease = registry.register_server("s", mailbox.clone(), ()).unwrap();
    let t = transport("t");
    registry.route_to_server("s", &t, 0).unwrap();
    let ways: [&dyn Fn(&mut ServerLease); 2] = [&|_| assert!(registry.unregister_server("s")), &|lease| {
        registry.renew_server(lease, crate::support::unread_server_mailbox(), ()).unwrap()
    }];
    for end in ways {
        if !lease.is_current() {
            lease = registry.register_server("s", mailbox.clone(), ()).unwrap();
        }
        let mut waiting = [1, 2].map(|message| Box::pin(registry.send_to_server("s", &t, message, None)));
        assert!(waiting.iter_mut().all(|waiting| poll_once(waiting.as_mut()).is_pending()));
        end(&mut lease);
        let told = waiting.each_mut().map(|waiting| poll_once(waiting.as_mut()));
        assert_eq!(told, [1, 2].map(|message| Poll::Ready(Err(SendError::Closed(message)))));
    }
}

fn a_closing_mailbox_wakes_a_waiter<B: Backend>(shards: usize) {
    let registry = registry::<B>(shards);
    let (mailbox, mut inbox) = transport_mailbox();
    let lease = registry.register_transport("t", mailbox, ()).unwrap();
    let s = ServerId::new("s").unwrap();
    block_on(async {
        for message in 0..8 {
            registry.route_to_transport("t", &s, message).unwrap();
        }
        let mut waiting = std::pin::pin!(registry.send_to_transport("t", &s, 9, None));
        assert!(poll_once(waiting.as_mut()).is_pending());
        inbox.close();
        assert_eq!(waiting.await, Err(SendError::Closed(9)));
        assert!(!lease.is_current(), "a mailbox that is found closed ends its registration");
    });
}

fn poll_once<T>(future: std::pin::Pin<&mut impl Future<Output = T>>) -> Poll<T> {
    future.poll(&mut Context::from_waker(Waker::noop()))
}
