//! Sending with waiting: for capacity, up to a timeout, and never to a successor.

use std::task::{Context, Poll, Waker};
use std::time::Duration;

use registry_core::Backend;
use registry_router::{SendError, ServerId, ServerLease, mailbox};

use crate::support::{block_on, registry, transport, transport_mailbox};

test_every_backend! {
    send_waits_for_capacity,
    a_timeout_returns_the_message,
    a_dropped_send_delivers_nothing,
    waiters_are_served_in_order,
    an_absent_recipient_fails_a_send_at_once,
    a_removal_closes_a_waiting_send,
    a_removal_wakes_waiters_while_the_receiver_is_stalled,
    a_closing_mailbox_wakes_a_waiter,
}

fn send_waits_for_capacity<B: Backend>(shards: usize) {
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

fn a_timeout_returns_the_message<B: Backend>(shards: usize) {
    let registry = registry::<B>(shards);
    let (mailbox, mut inbox) = mailbox(1);
    let _t = registry.register_transport("t", mailbox, ()).unwrap();
    let s = ServerId::new("s").unwrap();
    block_on(async {
        let limit = Some(Duration::from_secs(5));
        registry.send_to_transport("t", &s, 1, limit).await.unwrap();
        let began = tokio::time::Instant::now();
        assert_eq!(registry.send_to_transport("t", &s, 2, limit).await, Err(SendError::TimedOut(2)));
        // The paused clock advances only when all tasks are idle, so this is exact.
        assert!(began.elapsed() >= Duration::from_secs(5) && began.elapsed() < Duration::from_millis(5_010));
        assert_eq!(inbox.recv().await.unwrap().message, 1);
        assert!(inbox.try_recv().is_err());
    });
}

fn a_dropped_send_delivers_nothing<B: Backend>(shards: usize) {
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
        // The capacity belongs to the longest waiter: neither the second waiter nor a new sender gets it.
        assert!(poll_once(second.as_mut()).is_pending());
        assert!(registry.route_to_server("s", &t, 3).is_err());
        first.await.unwrap();
        assert_eq!(inbox.recv().await.unwrap().message, 1);
        second.await.unwrap();
        assert_eq!(inbox.recv().await.unwrap().message, 2);
    });
}

fn an_absent_recipient_fails_a_send_at_once<B: Backend>(shards: usize) {
    let registry = registry::<B>(shards);
    block_on(async {
        let sent = registry.send_to_server("s", &transport("t"), 1, None).await;
        assert_eq!(sent, Err(SendError::NotFound(1)));
        assert_eq!(sent.unwrap_err().into_message(), 1);
    });
}

fn a_removal_closes_a_waiting_send<B: Backend>(shards: usize) {
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
        // There is capacity now, but the registration has ended.
        assert_eq!(waiting.await, Err(SendError::Closed(2)));
        assert!(of_old.try_recv().is_err() && of_new.try_recv().is_err());
    });
}

/// The inbox is neither read nor dropped: only the removal can wake the waiters.
fn a_removal_wakes_waiters_while_the_receiver_is_stalled<B: Backend>(shards: usize) {
    let registry = registry::<B>(shards);
    let (mailbox, _stalled) = mailbox(1);
    let mut lease = registry.register_server("s", mailbox.clone(), ()).unwrap();
    let t = transport("t");
    registry.route_to_server("s", &t, 0).unwrap();
    let removals: [&dyn Fn(&mut ServerLease); 2] = [&|_| assert!(registry.unregister_server("s")), &|lease| {
        registry.renew_server(lease, crate::support::unread_server_mailbox(), ()).unwrap()
    }];
    for remove in removals {
        if !lease.is_current() {
            lease = registry.register_server("s", mailbox.clone(), ()).unwrap();
        }
        let mut waiting = [1, 2].map(|message| Box::pin(registry.send_to_server("s", &t, message, None)));
        assert!(waiting.iter_mut().all(|waiting| poll_once(waiting.as_mut()).is_pending()));
        remove(&mut lease);
        let outcomes = waiting.each_mut().map(|waiting| poll_once(waiting.as_mut()));
        assert_eq!(outcomes, [1, 2].map(|message| Poll::Ready(Err(SendError::Closed(message)))));
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
        assert!(!lease.is_current(), "a closed mailbox ends its registration");
    });
}

fn poll_once<T>(future: std::pin::Pin<&mut impl Future<Output = T>>) -> Poll<T> {
    future.poll(&mut Context::from_waker(Waker::noop()))
}
