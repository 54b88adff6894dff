//! Calls to one server or transport: each error is told apart, and the message is returned if it was not delivered.

use std::pin::pin;
use std::time::Duration;

use registry_core::Backend;
use registry_core::api::Route;
use registry_router::{CallError, CallErrorKind, Registry, Request, ServerId, ShardStats, TransportId, mailbox};

use super::{numbers, outcome, poll_once, read, server};
use crate::support::{block_on, transport};

test_every_backend! {
    each_error_is_told_apart,
    an_undelivered_message_is_returned,
    a_transport_is_called_like_a_server,
    a_request_is_sent_when_the_method_is_called,
    calls_and_messages_of_one_thread_stay_in_order,
    a_request_is_counted_as_a_message,
    one_registry_carries_several_types_of_requests,
    a_call_outlives_its_registry_handle,
    a_program_generic_over_the_api_traits_can_call,
}

const LIMIT: Option<Duration> = Some(Duration::from_secs(5));

fn each_error_is_told_apart<B: Backend>(shards: usize) {
    let registry = numbers::<B>(shards);
    let t = transport("t");
    block_on(async {
        assert_eq!(outcome(registry.call_server("s", &t, 1, LIMIT)).await, Err(CallErrorKind::NotFound));

        let (s, mut inbox) = server(&registry, "s", 1);
        let timed_out = registry.call_server("s", &t, 1, LIMIT);
        assert_eq!(outcome(registry.call_server("s", &t, 2, LIMIT)).await, Err(CallErrorKind::Full));
        assert_eq!(outcome(timed_out).await, Err(CallErrorKind::TimedOut));
        inbox.try_recv().unwrap();

        let unanswered = registry.call_server("s", &t, 3, LIMIT);
        drop(read(&mut inbox));
        assert_eq!(outcome(unanswered).await, Err(CallErrorKind::Unanswered));

        let answered = registry.call_server("s", &t, 4, LIMIT);
        read(&mut inbox).1.send(16).unwrap();
        assert_eq!(outcome(answered).await, Ok(16));

        let discarded = registry.call_server("s", &t, 5, LIMIT);
        drop(inbox.try_recv().unwrap());
        assert_eq!(outcome(discarded).await, Err(CallErrorKind::Unread));

        let unread = registry.call_server("s", &t, 6, LIMIT);
        drop(inbox);
        assert_eq!(outcome(registry.call_server("s", &t, 7, LIMIT)).await, Err(CallErrorKind::Closed));
        assert_eq!(outcome(unread).await, Err(CallErrorKind::Unread));
        assert!(!s.is_current(), "a closed server is removed");
        assert_eq!(outcome(registry.call_server("s", &t, 8, LIMIT)).await, Err(CallErrorKind::NotFound));
    });
}

fn an_undelivered_message_is_returned<B: Backend>(shards: usize) {
    let registry = numbers::<B>(shards);
    let t = transport("t");
    let returned = |outcome: Result<u64, CallError<Request<u64, u64>>>| {
        let request = outcome.unwrap_err().into_message().unwrap();
        assert!(request.is_cancelled(), "its caller does not wait any more");
        request.into_parts().0
    };
    block_on(async {
        assert_eq!(returned(registry.call_server("s", &t, 1, None).await), 1);
        let (_s, inbox) = server(&registry, "s", 1);
        let waiting = registry.call_server("s", &t, 2, None);
        assert_eq!(returned(registry.call_server("s", &t, 3, None).await), 3);
        drop(inbox);
        assert_eq!(returned(registry.call_server("s", &t, 4, None).await), 4);
        assert_eq!(waiting.await.unwrap_err().into_message().map(|_| ()), None);
    });
}

fn a_transport_is_called_like_a_server<B: Backend>(shards: usize) {
    let registry = numbers::<B>(shards);
    let s = ServerId::new("s").unwrap();
    block_on(async {
        assert_eq!(outcome(registry.call_transport("t", &s, 1, LIMIT)).await, Err::<u64, _>(CallErrorKind::NotFound));
        let (mailbox, mut inbox) = mailbox(1);
        let _t = registry.register_transport("t", mailbox, ()).unwrap();
        let called = registry.call_transport("t", &s, 2, LIMIT);
        let delivery = inbox.try_recv().unwrap();
        assert_eq!((delivery.from, *delivery.message.get_ref()), (s, 2));
        delivery.message.into_parts().1.send(4).unwrap();
        assert_eq!(outcome(called).await, Ok(4));
    });
}

fn a_request_is_sent_when_the_method_is_called<B: Backend>(shards: usize) {
    let registry = numbers::<B>(shards);
    let (_s, mut inbox) = server(&registry, "s", 4);
    let unpolled = registry.call_server("s", &transport("t"), 1, None);
    let delivery = inbox.try_recv().unwrap();
    assert_eq!(delivery.from, "t");
    let (number, reply) = delivery.message.into_parts();
    reply.send(number + 1).unwrap();
    assert_eq!(block_on(outcome(unpolled)), Ok(2));
}

fn calls_and_messages_of_one_thread_stay_in_order<B: Backend>(shards: usize) {
    let registry = numbers::<B>(shards);
    let (_s, mut inbox) = server(&registry, "s", 64);
    let t = transport("t");
    let mut calls = Vec::new();
    for number in 0..10 {
        calls.push(registry.call_server("s", &t, number * 2, None));
        registry.route_to_server("s", &t, Request::new(number * 2 + 1).0).unwrap();
    }
    let read: Vec<u64> = std::iter::from_fn(|| inbox.try_recv().ok()).map(|d| *d.message.get_ref()).collect();
    assert_eq!(read, Vec::from_iter(0..20));
}

fn a_request_is_counted_as_a_message<B: Backend>(shards: usize) {
    let registry = numbers::<B>(shards);
    let (_s, mut inbox) = server(&registry, "s", 1);
    let t = transport("t");
    registry.reset_stats();
    let sum = |figure: fn(&ShardStats) -> u64| registry.all_shard_stats().iter().map(figure).sum::<u64>();
    block_on(async {
        let called = registry.call_server("s", &t, 1, None);
        assert!(registry.call_server::<_, _, u64>("s", &t, 2, None).await.is_err());
        read(&mut inbox).1.send(1).unwrap();
        called.await.unwrap();
    });
    assert_eq!((sum(|s| s.routes), sum(|s| s.full), sum(|s| s.lookups)), (1, 1, 2));
}

fn one_registry_carries_several_types_of_requests<B: Backend>(shards: usize) {
    enum Message {
        Length(Request<String, usize>),
        Square(Request<u64, u64>),
    }

    impl From<Request<String, usize>> for Message {
        fn from(request: Request<String, usize>) -> Self {
            Self::Length(request)
        }
    }

    impl From<Request<u64, u64>> for Message {
        fn from(request: Request<u64, u64>) -> Self {
            Self::Square(request)
        }
    }

    let registry: Registry<Message, B> = Registry::builder().shards(shards).build().unwrap();
    let (mailbox, mut inbox) = mailbox(4);
    let _s = registry.register_server("s", mailbox, ()).unwrap();
    let t = transport("t");
    let length = registry.call_server("s", &t, "four".to_owned(), None);
    let square = registry.call_server("s", &t, 3, None);
    while let Ok(delivery) = inbox.try_recv() {
        match delivery.message {
            Message::Length(request) => {
                let (text, reply) = request.into_parts();
                reply.send(text.len()).unwrap();
            }
            Message::Square(request) => {
                let (number, reply) = request.into_parts();
                reply.send(number * number).unwrap();
            }
        }
    }
    block_on(async {
        assert_eq!(outcome(length).await, Ok(4));
        assert_eq!(outcome(square).await, Ok(9));
    });
}

fn a_call_outlives_its_registry_handle<B: Backend>(shards: usize) {
    let registry = numbers::<B>(shards);
    let (s, mut inbox) = server(&registry, "s", 1);
    let mut call = {
        let t = transport("t");
        pin!(registry.call_server("s", &t, 1, None))
    };
    assert!(poll_once(call.as_mut()).is_pending());
    drop((registry, s));
    read(&mut inbox).1.send(2).unwrap();
    assert_eq!(block_on(outcome(call)), Ok(2));
    assert!(inbox.blocking_recv().is_none(), "the call holds no sending end");
}

/// A call through any registry, known by its traits only.
fn call_through<R: Route<Request<u64, u64>>>(
    registry: &R,
    from: &TransportId,
    request: u64,
) -> impl Future<Output = Result<u64, CallError<Request<u64, u64>>>> + use<R> {
    let (request, reply) = Request::new(request);
    let sent = registry.route_to_server("s", from, request);
    async move {
        sent?;
        Ok(reply.within(Duration::from_secs(5)).await?)
    }
}

fn a_program_generic_over_the_api_traits_can_call<B: Backend>(shards: usize) {
    let registry = numbers::<B>(shards);
    let t = transport("t");
    block_on(async {
        assert_eq!(outcome(call_through(&registry, &t, 1)).await, Err(CallErrorKind::NotFound));
        let (_s, mut inbox) = server(&registry, "s", 4);
        let called = call_through(&registry, &t, 2);
        read(&mut inbox).1.send(4).unwrap();
        assert_eq!(outcome(called).await, Ok(4));
        assert_eq!(outcome(call_through(&registry, &t, 3)).await, Err(CallErrorKind::TimedOut));
    });
}
