//! Calls that wait until the mailbox has room.

use std::pin::pin;
use std::time::Duration;

use registry_core::Backend;
use registry_router::{CallError, CallErrorKind, ServerId, mailbox};
use tokio::time::Instant;

use super::{numbers, outcome, poll_once, read, server};
use crate::support::{block_on, transport};

test_every_backend! {
    a_call_waits_for_room_and_then_for_the_reply,
    one_limit_covers_room_and_reply,
    an_unpolled_call_sends_nothing,
    the_end_of_the_registration_closes_a_call_that_waits_for_room,
    calls_to_transports_wait_for_room,
}

fn a_call_waits_for_room_and_then_for_the_reply<B: Backend>(shards: usize) {
    let registry = numbers::<B>(shards);
    let (_s, mut inbox) = server(&registry, "s", 1);
    let t = transport("t");
    block_on(async {
        let first = registry.call_server("s", &t, 1, None);
        let mut second = pin!(registry.call_server_when_ready("s", &t, 2, None));
        assert!(poll_once(second.as_mut()).is_pending());
        read(&mut inbox).1.send(1).unwrap();
        assert!(poll_once(second.as_mut()).is_pending());
        let (number, reply) = read(&mut inbox);
        assert_eq!(number, 2);
        assert!(!reply.is_cancelled());
        reply.send(4).unwrap();
        assert_eq!((outcome(first).await, outcome(second).await), (Ok(1), Ok(4)));
        let absent = registry.call_server_when_ready::<_, u64>("absent", &t, 3, None);
        assert_eq!(outcome(absent).await, Err(CallErrorKind::NotFound));
    });
}

fn one_limit_covers_room_and_reply<B: Backend>(shards: usize) {
    let registry = numbers::<B>(shards);
    let (_s, mut inbox) = server(&registry, "s", 1);
    let t = transport("t");
    let limit = Some(Duration::from_secs(5));
    block_on(async {
        let _queued = registry.call_server::<_, _, u64>("s", &t, 1, None);
        let began = Instant::now();
        let ended: Result<u64, _> = registry.call_server_when_ready("s", &t, 2, limit).await;
        assert_eq!(began.elapsed().as_secs(), 5);
        let CallError::Full(request) = ended.unwrap_err() else { panic!("there was no room") };
        assert_eq!(request.into_parts().0, 2);

        let reader = async {
            tokio::time::sleep(Duration::from_secs(3)).await;
            inbox.try_recv().unwrap();
            std::future::pending::<()>().await;
        };
        let began = Instant::now();
        let call = registry.call_server_when_ready("s", &t, 3, limit);
        let ended: Result<u64, _> = tokio::select! {
            ended = outcome(call) => ended,
            () = reader => unreachable!("the reader does not end"),
        };
        assert_eq!(began.elapsed().as_secs(), 5, "three seconds for room leave two for the reply");
        assert_eq!(ended, Err(CallErrorKind::TimedOut));
        let request = inbox.try_recv().unwrap().message;
        assert!(request.is_cancelled());
        assert_eq!(*request.get_ref(), 3);
    });
}

fn an_unpolled_call_sends_nothing<B: Backend>(shards: usize) {
    let registry = numbers::<B>(shards);
    let (_s, mut inbox) = server(&registry, "s", 1);
    let t = transport("t");
    drop(registry.call_server_when_ready::<_, u64>("s", &t, 1, None));
    assert!(inbox.try_recv().is_err());
    let _queued = registry.call_server::<_, _, u64>("s", &t, 2, None);
    {
        let mut waiting = pin!(registry.call_server_when_ready::<_, u64>("s", &t, 3, None));
        assert!(poll_once(waiting.as_mut()).is_pending());
    }
    assert_eq!(read(&mut inbox).0, 2);
    assert!(inbox.try_recv().is_err());
}

fn the_end_of_the_registration_closes_a_call_that_waits_for_room<B: Backend>(shards: usize) {
    let registry = numbers::<B>(shards);
    let (lease, _stalled) = server(&registry, "s", 1);
    let t = transport("t");
    block_on(async {
        let _queued = registry.call_server::<_, _, u64>("s", &t, 1, None);
        let mut waiting = pin!(registry.call_server_when_ready::<_, u64>("s", &t, 2, None));
        assert!(poll_once(waiting.as_mut()).is_pending());
        drop(lease);
        let (_successor, mut of_successor) = server(&registry, "s", 1);
        let CallError::Closed(request) = waiting.await.unwrap_err() else { panic!("the registration has ended") };
        assert_eq!(request.into_parts().0, 2);
        assert!(of_successor.try_recv().is_err());
    });
}

fn calls_to_transports_wait_for_room<B: Backend>(shards: usize) {
    let registry = numbers::<B>(shards);
    let (mailbox, mut inbox) = mailbox(1);
    let _t = registry.register_transport("t", mailbox, ()).unwrap();
    let s = ServerId::new("s").unwrap();
    block_on(async {
        let _queued = registry.call_transport::<_, _, u64>("t", &s, 1, None);
        let mut waiting = pin!(registry.call_transport_when_ready("t", &s, 2, None));
        assert!(poll_once(waiting.as_mut()).is_pending());
        drop(inbox.try_recv().unwrap());
        assert!(poll_once(waiting.as_mut()).is_pending());
        inbox.try_recv().unwrap().message.into_parts().1.send(4).unwrap();
        assert_eq!(outcome(waiting).await, Ok(4));
    });
}
