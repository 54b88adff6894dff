//! Calls as `tower` services.

use std::pin::pin;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use registry_core::Backend;
use registry_router::{CallError, CallErrorKind, Registry, Request, ServerId, ServerService, Tokio, mailbox};
use tower::{Service, ServiceExt};

use super::{Numbers, numbers, outcome, poll_once, read, server};
use crate::support::{block_on, transport};

test_every_backend! {
    a_service_reserves_room_in_poll_ready,
    each_clone_reserves_its_own_room,
    a_dropped_service_releases_its_room,
    a_service_finds_the_next_registration,
    a_reservation_never_serves_a_later_registration,
    the_end_of_the_registration_wakes_a_service_that_waits,
    a_closed_mailbox_is_left_by_the_next_poll_ready,
    a_service_of_an_absent_server_is_ready_and_its_calls_fail,
    a_call_without_poll_ready_does_not_wait,
    a_service_works_with_the_layers_of_tower,
    a_transport_service_calls_a_transport,
}

type OfServer<B> = ServerService<Request<u64, u64>, u64, u64, B, Tokio, registry_router::Monitor>;

fn service<B: Backend>(registry: &Numbers<B>) -> OfServer<B> {
    registry.server_service(ServerId::new("s").unwrap(), transport("t"), Some(Duration::from_secs(5)))
}

fn poll_ready<B: Backend>(service: &mut OfServer<B>) -> bool {
    match service.poll_ready(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(outcome) => {
            outcome.unwrap();
            true
        }
        Poll::Pending => false,
    }
}

fn a_service_reserves_room_in_poll_ready<B: Backend>(shards: usize) {
    let registry = numbers::<B>(shards);
    let (_s, mut inbox) = server(&registry, "s", 1);
    let mut service = service(&registry);
    let t = transport("t");
    block_on(async {
        assert!(poll_ready(&mut service) && poll_ready(&mut service));
        assert_eq!(inbox.capacity(), 0, "the room is reserved, once");
        assert_eq!(outcome(registry.call_server("s", &t, 9, None)).await, Err(CallErrorKind::Full));
        let called = service.call(3);
        assert!(!poll_ready(&mut service), "there is no room for a second request");
        let (number, reply) = read(&mut inbox);
        assert_eq!(number, 3);
        assert!(poll_ready(&mut service));
        reply.send(9).unwrap();
        assert_eq!(outcome(called).await, Ok(9));

        let timed_out = service.call(4);
        assert_eq!(outcome(timed_out).await, Err(CallErrorKind::TimedOut));
    });
}

fn each_clone_reserves_its_own_room<B: Backend>(shards: usize) {
    let registry = numbers::<B>(shards);
    let (_s, mut inbox) = server(&registry, "s", 1);
    let mut first = service(&registry);
    assert!(poll_ready(&mut first));
    let mut second = first.clone();
    assert!(!poll_ready(&mut second), "the room is the other service's");
    block_on(async {
        let one = first.call(1);
        assert_eq!(read(&mut inbox).0, 1);
        let two = second.ready().await.unwrap().call(2);
        assert_eq!(read(&mut inbox).0, 2);
        assert_eq!(outcome(one).await, Err(CallErrorKind::Unanswered));
        assert_eq!(outcome(two).await, Err(CallErrorKind::Unanswered));
    });
}

fn a_dropped_service_releases_its_room<B: Backend>(shards: usize) {
    let registry = numbers::<B>(shards);
    let (_s, mut inbox) = server(&registry, "s", 1);
    let (mut first, mut second) = (service(&registry), service(&registry));
    assert!(poll_ready(&mut first) && !poll_ready(&mut second));
    drop(first);
    assert!(poll_ready(&mut second));
    drop(second);
    assert_eq!(inbox.capacity(), 1);
    inbox.close();
    assert!(inbox.blocking_recv().is_none());
}

fn a_service_finds_the_next_registration<B: Backend>(shards: usize) {
    let registry = numbers::<B>(shards);
    let mut service = service(&registry);
    block_on(async {
        for number in 0..5 {
            let (lease, mut inbox) = server(&registry, "s", 1);
            let called = service.ready().await.unwrap().call(number);
            read(&mut inbox).1.send(number + 1).unwrap();
            assert_eq!(outcome(called).await, Ok(number + 1));
            // In every other round the service holds room in the mailbox of the registration that ends.
            assert!(number % 2 == 0 || poll_ready(&mut service));
            drop((lease, inbox));
        }
    });
}

fn a_reservation_never_serves_a_later_registration<B: Backend>(shards: usize) {
    let registry = numbers::<B>(shards);
    let (lease, mut of_old) = server(&registry, "s", 1);
    let mut service = service(&registry);
    assert!(poll_ready(&mut service));
    drop(lease);
    let (_successor, mut of_new) = server(&registry, "s", 1);
    block_on(async {
        let CallError::Closed(request) = service.call(3).await.unwrap_err() else {
            panic!("its registration has ended")
        };
        assert_eq!(request.into_parts().0, 3);
        assert!(of_old.try_recv().is_err() && of_new.try_recv().is_err());
        assert!(poll_ready(&mut service));
        let called = service.call(4);
        read(&mut of_new).1.send(16).unwrap();
        assert_eq!(outcome(called).await, Ok(16));
    });
}

fn the_end_of_the_registration_wakes_a_service_that_waits<B: Backend>(shards: usize) {
    let registry = numbers::<B>(shards);
    let (lease, _stalled) = server(&registry, "s", 1);
    let mut service = service(&registry);
    block_on(async {
        let _queued = registry.call_server::<_, _, u64>("s", &transport("t"), 1, None);
        let ready = tokio::spawn(async move { service.ready().await.map(|_| ()).map(|()| service) });
        tokio::task::yield_now().await;
        assert!(!ready.is_finished());
        drop(lease);
        let mut service = ready.await.unwrap().unwrap();
        assert_eq!(outcome(service.call(2)).await, Err(CallErrorKind::NotFound));
    });
}

fn a_closed_mailbox_is_left_by_the_next_poll_ready<B: Backend>(shards: usize) {
    let registry = numbers::<B>(shards);
    let (lease, inbox) = server(&registry, "s", 1);
    let mut service = service(&registry);
    assert!(poll_ready(&mut service));
    drop(inbox);
    assert_eq!(block_on(async { outcome(service.call(1)).await }), Err(CallErrorKind::Closed));
    assert!(!lease.is_current(), "a closed server is removed");

    let (lease, inbox) = server(&registry, "s", 1);
    assert!(poll_ready(&mut service));
    drop(inbox);
    assert!(poll_ready(&mut service));
    assert!(!lease.is_current());
    assert_eq!(block_on(async { outcome(service.call(1)).await }), Err(CallErrorKind::NotFound));
}

fn a_service_of_an_absent_server_is_ready_and_its_calls_fail<B: Backend>(shards: usize) {
    let registry = numbers::<B>(shards);
    let mut service = service(&registry);
    assert!(poll_ready(&mut service));
    assert_eq!(block_on(async { outcome(service.call(1)).await }), Err(CallErrorKind::NotFound));
    assert!(format!("{service:?}").starts_with("ServerService { server: "));
}

fn a_call_without_poll_ready_does_not_wait<B: Backend>(shards: usize) {
    let registry = numbers::<B>(shards);
    let (_s, mut inbox) = server(&registry, "s", 1);
    let mut service = service(&registry);
    block_on(async {
        let called = service.call(1);
        assert_eq!(outcome(service.call(2)).await, Err(CallErrorKind::Full));
        // A wait that has not ended is given up.
        assert!(!poll_ready(&mut service));
        assert_eq!(outcome(service.call(3)).await, Err(CallErrorKind::Full));
        read(&mut inbox).1.send(1).unwrap();
        assert_eq!(outcome(called).await, Ok(1));
        assert_eq!(inbox.capacity(), 1);
    });
}

fn a_service_works_with_the_layers_of_tower<B: Backend>(shards: usize) {
    let registry = numbers::<B>(shards);
    let (_s, mut inbox) = server(&registry, "s", 2);
    let service: OfServer<B> = registry.server_service(ServerId::new("s").unwrap(), transport("t"), None);
    block_on(async {
        let worker = tokio::spawn(async move {
            while let Some(delivery) = inbox.recv().await {
                let (number, mut reply) = delivery.message.into_parts();
                if number == 0 {
                    reply.cancelled().await;
                }
                let _ = reply.send(number * number);
            }
        });
        let limited = tower::timeout::Timeout::new(service, Duration::from_secs(5));
        let mapped = limited.map_response(|square: u64| square.to_string());
        assert_eq!(mapped.clone().oneshot(3).await.unwrap(), "9");
        assert!(mapped.clone().oneshot(0).await.unwrap_err().is::<tower::timeout::error::Elapsed>());
        let outcomes = mapped.call_all(tokio_stream(1..=4));
        let mut outcomes = pin!(outcomes);
        for number in 1..=4_u64 {
            let next = std::future::poll_fn(|context| futures_util::Stream::poll_next(outcomes.as_mut(), context));
            assert_eq!(next.await.unwrap().unwrap(), (number * number).to_string());
        }
        worker.abort();
    });
}

fn tokio_stream(numbers: std::ops::RangeInclusive<u64>) -> impl futures_util::Stream<Item = u64> {
    futures_util::stream::iter(numbers)
}

fn a_transport_service_calls_a_transport<B: Backend>(shards: usize) {
    let registry = numbers::<B>(shards);
    let (mailbox, mut inbox) = mailbox(1);
    let t = registry.register_transport("t", mailbox, ()).unwrap();
    let from = ServerId::new("s").unwrap();
    let mut service = registry.transport_service::<u64, u64>(t.id().clone(), from.clone(), None);
    block_on(async {
        let called = service.ready().await.unwrap().call(3);
        let mut next = pin!(service.ready());
        assert!(poll_once(next.as_mut()).is_pending());
        let delivery = inbox.try_recv().unwrap();
        assert_eq!(delivery.from, from);
        delivery.message.into_parts().1.send(9).unwrap();
        assert_eq!(outcome(called).await, Ok(9));
        assert!(poll_once(next.as_mut()).is_ready());
    });
}

/// Services can be moved to any thread.
#[test]
fn services_and_their_futures_are_send() {
    fn movable<T: Send + Clone + 'static>(_: &T) {}
    fn spawnable<T: Send + 'static>(_: T) {}
    let registry: Registry<Request<u64, u64>, registry_router::backends::Reference> =
        Registry::builder().build().unwrap();
    let mut service = service(&registry);
    movable(&service);
    block_on(async { spawnable(service.call(1)) });
}
