//! Waiting for an id to be registered.

use std::pin::{Pin, pin};
use std::sync::{Arc, Barrier};
use std::task::{Context, Poll, Waker};
use std::thread;
use std::time::Duration;

use registry_core::Backend;
use registry_router::{AwaitError, InvalidId, Registry};
use tokio::sync::mpsc::error::TryRecvError;

use crate::support::{
    block_on, registry, server_mailbox, transport, transport_mailbox, unread_server_mailbox, within_time_limit,
};

test_every_backend! {
    a_registered_id_is_returned_at_once,
    a_waiter_is_woken_by_the_registration,
    a_renewal_wakes_waiters,
    a_dead_registration_is_not_returned,
    a_registration_that_ends_at_once_is_not_missed,
    an_invalid_id_is_an_error_at_once,
    a_time_limit_ends_the_waiting,
    cancelled_waiters_leave_nothing_behind,
    waiters_do_not_hold_the_inbox_open,
    ten_thousand_waiters_for_one_id_cost_one_lookup,
    no_registration_is_missed_by_racing_waiters,
}

fn poll<F: Future>(future: Pin<&mut F>) -> Poll<F::Output> {
    future.poll(&mut Context::from_waker(Waker::noop()))
}

/// The number of lookups that all shards have counted.
fn lookups<B: Backend>(registry: &Registry<u64, B>) -> u64 {
    registry.all_shard_stats().iter().map(|stats| stats.lookups).sum()
}

fn a_registered_id_is_returned_at_once<B: Backend>(shards: usize) {
    let registry = registry::<B>(shards);
    let lease = registry.register_server("s", unread_server_mailbox(), [("zone", "a")]).unwrap();
    let Poll::Ready(Ok(entry)) = poll(pin!(registry.await_server("s", None))) else { panic!("it is registered") };
    assert_eq!(
        (&entry.id, entry.incarnation, entry.metadata.get("zone")),
        (lease.id(), lease.incarnation(), Some("a"))
    );
    assert_eq!(registry.waiter_count(), 0);
}

fn a_waiter_is_woken_by_the_registration<B: Backend>(shards: usize) {
    let registry = registry::<B>(shards);
    let mut server = pin!(registry.await_server("x", None));
    let mut transport = pin!(registry.await_transport("x", None));
    assert!(poll(server.as_mut()).is_pending() && poll(transport.as_mut()).is_pending());
    assert_eq!(registry.waiter_count(), 2);
    for n in 0..1_000 {
        registry.register_server(format!("other-{n}"), unread_server_mailbox(), ()).unwrap().detach();
    }
    assert!(poll(server.as_mut()).is_pending());
    let lease = registry.register_server("x", unread_server_mailbox(), ()).unwrap();
    let Poll::Ready(Ok(entry)) = poll(server) else { panic!("it is registered") };
    assert_eq!(entry.incarnation, lease.incarnation());
    assert!(poll(transport.as_mut()).is_pending(), "servers and transports have separate namespaces");
    let (mailbox, _inbox) = transport_mailbox();
    let _lease = registry.register_transport_bound_to("x", mailbox, (), "x").unwrap();
    assert!(matches!(poll(transport), Poll::Ready(Ok(_))));
}

fn a_renewal_wakes_waiters<B: Backend>(shards: usize) {
    let registry = registry::<B>(shards);
    let (mailbox, inbox) = server_mailbox();
    let mut lease = registry.register_server("s", mailbox, ()).unwrap();
    drop(inbox);
    let mut waiting = pin!(registry.await_server("s", None));
    assert!(poll(waiting.as_mut()).is_pending());
    registry.renew_server(&mut lease, unread_server_mailbox(), ()).unwrap();
    assert!(matches!(poll(waiting), Poll::Ready(Ok(entry)) if entry.incarnation == lease.incarnation()));
}

fn a_dead_registration_is_not_returned<B: Backend>(shards: usize) {
    let registry = registry::<B>(shards);
    let (mailbox, inbox) = server_mailbox();
    let _dead = registry.register_server("s", mailbox, ()).unwrap();
    drop(inbox);
    let mut waiting = pin!(registry.await_server("s", None));
    assert!(poll(waiting.as_mut()).is_pending());
    let lease = registry.register_server("s", unread_server_mailbox(), ()).unwrap();
    assert!(matches!(poll(waiting), Poll::Ready(Ok(entry)) if entry.incarnation == lease.incarnation()));
}

fn a_registration_that_ends_at_once_is_not_missed<B: Backend>(shards: usize) {
    let registry = registry::<B>(shards);
    let mut waiting = pin!(registry.await_server("s", None));
    assert!(poll(waiting.as_mut()).is_pending());
    let (mailbox, inbox) = server_mailbox();
    let lease = registry.register_server("s", mailbox, ()).unwrap();
    let incarnation = lease.incarnation();
    drop((lease, inbox));
    assert!(matches!(poll(waiting), Poll::Ready(Ok(entry)) if entry.incarnation == incarnation));
}

fn an_invalid_id_is_an_error_at_once<B: Backend>(shards: usize) {
    let registry = registry::<B>(shards);
    for (id, error) in [("", InvalidId::Empty), (&*"x".repeat(256), InvalidId::TooLong { bytes: 256 })] {
        let outcome = poll(pin!(registry.await_server(id, None)));
        assert!(matches!(outcome, Poll::Ready(Err(AwaitError::InvalidId(invalid))) if invalid == error));
    }
    let rule = registry_router::IdRule::Visible;
    let strict = Registry::<u64, B>::builder().shards(shards).ids(rule).build().unwrap();
    let outcome = poll(pin!(strict.await_server("s\u{200b}", None)));
    assert!(matches!(outcome, Poll::Ready(Err(AwaitError::InvalidId(InvalidId::Invisible { .. })))));
}

fn a_time_limit_ends_the_waiting<B: Backend>(shards: usize) {
    let registry = registry::<B>(shards);
    block_on(async {
        for limit in [Duration::ZERO, Duration::from_secs(3_600)] {
            assert_eq!(registry.await_server("s", Some(limit)).await.unwrap_err(), AwaitError::TimedOut);
        }
        let lease = registry.register_server("s", unread_server_mailbox(), ()).unwrap();
        let found = registry.await_server("s", Some(Duration::ZERO)).await.unwrap();
        assert_eq!(found.incarnation, lease.incarnation());
    });
    assert_eq!(registry.waiter_count(), 0);
}

fn cancelled_waiters_leave_nothing_behind<B: Backend>(shards: usize) {
    let registry = registry::<B>(shards);
    {
        let mut waiting: Vec<_> =
            (0..100).map(|n| Box::pin(registry.await_server(format!("s{}", n % 7), None))).collect();
        assert!(waiting.iter_mut().all(|waiting| poll(waiting.as_mut()).is_pending()));
        assert_eq!(registry.waiter_count(), 100);
        waiting.truncate(50);
        assert_eq!(registry.waiter_count(), 50);
        let _lease = registry.register_server("s3", unread_server_mailbox(), ()).unwrap();
        let woken = waiting.iter_mut().map(|waiting| poll(waiting.as_mut())).filter(Poll::is_ready).count();
        assert_eq!(woken, 7, "of the numbers 0 to 49 seven leave 3");
    }
    assert_eq!(registry.waiter_count(), 0);
}

fn waiters_do_not_hold_the_inbox_open<B: Backend>(shards: usize) {
    let registry = registry::<B>(shards);
    let mut waiting = pin!(registry.await_server("s", None));
    assert!(poll(waiting.as_mut()).is_pending());
    let (mailbox, mut inbox) = server_mailbox();
    drop(registry.register_server("s", mailbox, ()).unwrap());
    assert_eq!(inbox.try_recv(), Err(TryRecvError::Disconnected));
    assert!(matches!(poll(waiting), Poll::Ready(Ok(_))));
}

fn ten_thousand_waiters_for_one_id_cost_one_lookup<B: Backend>(shards: usize) {
    let registry = registry::<B>(shards);
    let mut waiting: Vec<_> = (0..10_000).map(|_| Box::pin(registry.await_server("s", None))).collect();
    assert!(waiting.iter_mut().all(|waiting| poll(waiting.as_mut()).is_pending()));
    let before = lookups(&registry);
    let lease = registry.register_server("s", unread_server_mailbox(), ()).unwrap();
    for waiting in &mut waiting {
        assert!(matches!(poll(waiting.as_mut()), Poll::Ready(Ok(entry)) if entry.incarnation == lease.incarnation()));
    }
    assert_eq!(lookups(&registry) - before, 0, "the waiters look nothing up");
}

fn no_registration_is_missed_by_racing_waiters<B: Backend>(shards: usize) {
    within_time_limit(move || {
        let registry = registry::<B>(shards);
        let ids: Vec<String> = (0..300).map(|n| format!("s{n}")).collect();
        let start = Arc::new(Barrier::new(3));
        thread::scope(|scope| {
            for _ in 0..2 {
                scope.spawn(|| {
                    start.wait();
                    for id in &ids {
                        // Each id is registered once and for all at some time: a waiter that misses it waits forever.
                        let entry = block_on(registry.await_server(id.as_str(), None)).unwrap();
                        registry.route_to_server(&entry.id, &transport("t"), 1).unwrap();
                    }
                });
            }
            start.wait();
            for id in &ids {
                registry.register_server(id.as_str(), unread_server_mailbox(), ()).unwrap().detach();
            }
        });
        assert_eq!(registry.waiter_count(), 0);
    });
}
