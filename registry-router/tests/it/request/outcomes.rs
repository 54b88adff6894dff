//! What becomes of a request that is in the mailbox: forwarded, cancelled, timed out, or answered late.

use std::pin::pin;
use std::time::Duration;

use registry_core::Backend;
use registry_router::{CallError, CallErrorKind, ReplyError, Request};
use tokio::time::Instant;

use super::{numbers, outcome, poll_once, read, server};
use crate::support::{block_on, transport};

test_every_backend! {
    a_reply_can_be_sent_from_another_task,
    a_whole_request_can_be_forwarded,
    a_receiver_sees_that_a_call_was_dropped,
    a_receiver_sees_that_a_call_has_timed_out,
    a_time_limit_is_exact,
    a_request_without_a_limit_waits_for_its_receiver,
    an_accepted_request_is_answered_after_the_registration_has_ended,
    a_request_that_is_left_in_a_closed_inbox_can_be_answered,
    a_receiver_that_panics_leaves_the_request_unanswered,
}

const LIMIT: Option<Duration> = Some(Duration::from_secs(5));

fn a_reply_can_be_sent_from_another_task<B: Backend>(shards: usize) {
    let registry = numbers::<B>(shards);
    let (_s, mut inbox) = server(&registry, "s", 4);
    block_on(async {
        let called = registry.call_server("s", &transport("t"), 3, LIMIT);
        let (number, reply) = read(&mut inbox);
        tokio::spawn(async move {
            tokio::time::sleep(Duration::from_secs(1)).await;
            reply.send(number * number).unwrap();
        });
        assert_eq!(outcome(called).await, Ok(9));

        let called = registry.call_server("s", &transport("t"), 4, None);
        let (number, reply) = read(&mut inbox);
        std::thread::spawn(move || reply.send(number * number));
        assert_eq!(outcome(called).await, Ok(16));
    });
}

fn a_whole_request_can_be_forwarded<B: Backend>(shards: usize) {
    let registry = numbers::<B>(shards);
    let ((_front, mut of_front), (_back, mut of_back)) = (server(&registry, "front", 4), server(&registry, "back", 4));
    let forward = |inbox: &mut super::Requests| {
        let delivery = inbox.try_recv().unwrap();
        registry.route_to_server("back", &delivery.from, delivery.message)
    };
    block_on(async {
        let called = registry.call_server("front", &transport("t"), 3, LIMIT);
        forward(&mut of_front).unwrap();
        let delivery = of_back.try_recv().unwrap();
        assert_eq!(delivery.from, "t");
        delivery.message.into_parts().1.send(9).unwrap();
        assert_eq!(outcome(called).await, Ok(9));

        let called = registry.call_server("front", &transport("t"), 4, LIMIT);
        forward(&mut of_front).unwrap();
        drop(of_back);
        assert_eq!(outcome(called).await, Err(CallErrorKind::Unread));
    });
}

fn a_receiver_sees_that_a_call_was_dropped<B: Backend>(shards: usize) {
    let registry = numbers::<B>(shards);
    let (_s, mut inbox) = server(&registry, "s", 4);
    block_on(async {
        let mut called = Box::pin(registry.call_server("s", &transport("t"), 1, None));
        let queued = registry.call_server("s", &transport("t"), 2, None);
        assert!(poll_once(called.as_mut()).is_pending());
        let (_, mut reply) = read(&mut inbox);
        {
            let mut cancelled = pin!(reply.cancelled());
            assert!(poll_once(cancelled.as_mut()).is_pending());
        }
        assert!(!reply.is_cancelled());
        drop(called);
        reply.cancelled().await;
        assert!(reply.is_cancelled());
        assert_eq!(reply.send(7), Err(7));

        let request = inbox.try_recv().unwrap().message;
        assert!(!request.is_cancelled());
        drop(queued);
        assert!(request.is_cancelled());
    });
}

fn a_receiver_sees_that_a_call_has_timed_out<B: Backend>(shards: usize) {
    let registry = numbers::<B>(shards);
    let (_s, mut inbox) = server(&registry, "s", 4);
    block_on(async {
        let called = tokio::spawn(registry.call_server("s", &transport("t"), 1, LIMIT));
        let (_, mut reply) = inbox.recv().await.unwrap().message.into_parts();
        let began = Instant::now();
        reply.cancelled().await;
        assert!(began.elapsed() >= Duration::from_secs(5));
        assert_eq!(reply.send(7), Err(7));
        assert_eq!(called.await.unwrap().unwrap_err().kind(), CallErrorKind::TimedOut);
    });
}

fn a_time_limit_is_exact<B: Backend>(shards: usize) {
    let registry = numbers::<B>(shards);
    let (_s, mut inbox) = server(&registry, "s", 4);
    block_on(async {
        // The paused clock advances only when all tasks are idle.
        let began = Instant::now();
        let timed_out = registry.call_server("s", &transport("t"), 1, LIMIT);
        assert_eq!(outcome(timed_out).await, Err(CallErrorKind::TimedOut));
        assert!(began.elapsed() >= Duration::from_secs(5) && began.elapsed() < Duration::from_millis(5_010));
        inbox.try_recv().unwrap();

        // It starts with the call, not with the first poll.
        let called = registry.call_server("s", &transport("t"), 1, LIMIT);
        tokio::time::sleep(Duration::from_secs(4)).await;
        let began = Instant::now();
        assert_eq!(outcome(called).await, Err(CallErrorKind::TimedOut));
        assert!(began.elapsed() < Duration::from_millis(1_010));
        inbox.try_recv().unwrap();

        // A reply that has been sent is not lost to the limit.
        let called = registry.call_server("s", &transport("t"), 1, LIMIT);
        read(&mut inbox).1.send(2).unwrap();
        tokio::time::sleep(Duration::from_secs(6)).await;
        assert_eq!(outcome(called).await, Ok(2));
        for limit in [Duration::ZERO, Duration::MAX] {
            let called = registry.call_server("s", &transport("t"), 1, Some(limit));
            read(&mut inbox).1.send(3).unwrap();
            assert_eq!(outcome(called).await, Ok(3));
        }
    });
}

fn a_request_without_a_limit_waits_for_its_receiver<B: Backend>(shards: usize) {
    let registry = numbers::<B>(shards);
    let (_s, mut inbox) = server(&registry, "s", 4);
    block_on(async {
        let called = registry.call_server("s", &transport("t"), 1, None);
        let (_, reply) = read(&mut inbox);
        tokio::spawn(async move {
            tokio::time::sleep(Duration::from_secs(1_000_000)).await;
            reply.send(2).unwrap();
        });
        assert_eq!(outcome(called).await, Ok(2));
    });
}

fn an_accepted_request_is_answered_after_the_registration_has_ended<B: Backend>(shards: usize) {
    let registry = numbers::<B>(shards);
    let (_s, mut inbox) = server(&registry, "s", 4);
    block_on(async {
        let mut called = pin!(registry.call_server("s", &transport("t"), 1, LIMIT));
        assert!(poll_once(called.as_mut()).is_pending());
        assert!(registry.unregister_server("s"));
        let (_successor, mut of_successor) = server(&registry, "s", 4);
        assert!(poll_once(called.as_mut()).is_pending());
        assert!(of_successor.try_recv().is_err());
        read(&mut inbox).1.send(2).unwrap();
        assert_eq!(outcome(called).await, Ok(2));
    });
}

fn a_request_that_is_left_in_a_closed_inbox_can_be_answered<B: Backend>(shards: usize) {
    let registry = numbers::<B>(shards);
    let (_s, mut inbox) = server(&registry, "s", 4);
    block_on(async {
        let calls = [1, 2].map(|number| registry.call_server("s", &transport("t"), number, LIMIT));
        inbox.close();
        read(&mut inbox).1.send(1).unwrap();
        drop(inbox);
        let [answered, unread] = calls;
        assert_eq!(outcome(answered).await, Ok(1));
        assert_eq!(outcome(unread).await, Err(CallErrorKind::Unread));
    });
}

fn a_receiver_that_panics_leaves_the_request_unanswered<B: Backend>(shards: usize) {
    let registry = numbers::<B>(shards);
    let (lease, mut inbox) = server(&registry, "s", 4);
    block_on(async {
        let calls = [1, 2].map(|number| registry.call_server("s", &transport("t"), number, LIMIT));
        let worker = tokio::spawn(async move {
            let (lease, _read) = (lease, read(&mut inbox));
            std::panic::resume_unwind(Box::new(lease));
        });
        let [read, unread] = calls;
        assert_eq!(outcome(read).await, Err(CallErrorKind::Unanswered));
        assert_eq!(outcome(unread).await, Err(CallErrorKind::Unread));
        assert!(worker.await.unwrap_err().is_panic());
        assert!(registry.find_server("s").is_none());
    });
}

#[test]
fn a_reply_that_races_with_the_limit_is_lost_on_neither_side() {
    for _ in 0..2_000 {
        let (request, receiver) = Request::<(), u64>::new(());
        let ((), reply) = request.into_parts();
        let sender = std::thread::spawn(move || reply.send(7));
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        let received = runtime.block_on(receiver.within(Duration::ZERO));
        match sender.join().unwrap() {
            Ok(()) => assert_eq!(received, Ok(7)),
            Err(returned) => assert_eq!((returned, received), (7, Err(ReplyError::TimedOut))),
        }
    }
}

#[test]
fn formatted_requests_and_errors_show_no_content() {
    let (request, receiver) = Request::<_, &str>::new("hunter2");
    let texts = [format!("{request:?}"), format!("{receiver:?}")];
    let (_, reply) = request.into_parts();
    let errors = [CallError::NotFound("hunter2"), CallError::NotBound("hunter2"), CallError::Full("hunter2")];
    let errors = errors.map(|error| format!("{error:?} {error} {:?}", error.kind()));
    for text in texts.into_iter().chain([format!("{reply:?}")]).chain(errors) {
        assert!(!text.contains("hunter2"), "{text}");
    }
}
