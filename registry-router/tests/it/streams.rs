//! Inboxes and health receivers as streams, and routes as sinks.

use std::pin::pin;
use std::task::{Context, Poll, Waker};
use std::time::Instant;

use futures_util::{SinkExt, Stream, StreamExt, stream};
use registry_core::Backend;
use registry_router::{Flume, HealthEvent, Limits, Registry, SendError, ServerId, flume_mailbox, mailbox};

use crate::support::{block_on, registry, server_mailbox, transport, transport_mailbox, within_time_limit};

over_every_backend! {
    an_inbox_is_a_stream_that_ends_with_its_registry,
    a_flume_inbox_is_a_stream_that_ends_with_its_registry,
    a_health_receiver_is_a_stream_that_ends_with_its_registry,
    a_sink_sends_without_waiting_while_there_is_room,
    a_sink_waits_for_room_and_keeps_the_order,
    a_sink_returns_the_message_when_the_registration_ends,
    a_sink_can_be_used_after_an_error,
    a_dropped_sink_delivers_nothing_more,
}

fn context() -> Context<'static> {
    Context::from_waker(Waker::noop())
}

fn poll_next<S: Stream + Unpin>(stream: &mut S) -> Poll<Option<S::Item>> {
    stream.poll_next_unpin(&mut context())
}

fn an_inbox_is_a_stream_that_ends_with_its_registry<B: Backend>(shards: usize) {
    within_time_limit(move || {
        block_on(async {
            let registry = registry::<B>(shards);
            let (mailbox, mut inbox) = server_mailbox();
            let lease = registry.register_server("s", mailbox, ()).unwrap();
            assert!(poll_next(&mut inbox).is_pending());
            let received = tokio::spawn(inbox.map(|delivery| delivery.message).collect::<Vec<_>>());
            tokio::task::yield_now().await;
            for message in 0..20 {
                registry.send_to_server("s", &transport("t"), message, None).await.unwrap();
            }
            drop((lease, registry));
            assert_eq!(received.await.unwrap(), (0..20).collect::<Vec<_>>());
        });
    });
}

fn a_flume_inbox_is_a_stream_that_ends_with_its_registry<B: Backend>(shards: usize) {
    within_time_limit(move || {
        block_on(async {
            let registry: Registry<u64, B, Flume> = Registry::builder().shards(shards).build().unwrap();
            let (mailbox, mut inbox) = flume_mailbox(4);
            let lease = registry.register_server("s", mailbox, ()).unwrap();
            assert!(poll_next(&mut inbox).is_pending());
            let received = tokio::spawn(inbox.map(|delivery| delivery.message).collect::<Vec<_>>());
            for message in 0..20 {
                registry.route_to_server("s", &transport("t"), message).unwrap();
                if message % 3 == 0 {
                    tokio::task::yield_now().await;
                }
            }
            drop((lease, registry));
            assert_eq!(received.await.unwrap(), (0..20).collect::<Vec<_>>());
        });
    });
}

fn a_health_receiver_is_a_stream_that_ends_with_its_registry<B: Backend>(shards: usize) {
    within_time_limit(move || {
        block_on(async {
            let limits = Limits::default().with_servers(1);
            let registry: Registry<u64, B> = Registry::builder().shards(shards).limits(limits).build().unwrap();
            let mut polled = registry.watch_health();
            let mut waiting = registry.watch_health();
            assert!(poll_next(&mut polled).is_pending());
            let received =
                tokio::spawn(async move { StreamExt::next(&mut waiting).await.map(|event| (event, waiting)) });
            tokio::task::yield_now().await;
            let (mailbox, _inbox) = server_mailbox();
            let _first = registry.register_server("s", mailbox.clone(), ()).unwrap();
            registry.register_server("beyond", mailbox, ()).unwrap_err();
            let changes = registry.tick(Instant::now());
            let [change] = &changes[..] else { panic!("{changes:?}") };
            let expected = HealthEvent::Change(change.clone());
            assert_eq!(poll_next(&mut polled), Poll::Ready(Some(expected.clone())));
            let (event, waiting) = received.await.unwrap().unwrap();
            assert_eq!(event, expected);
            assert!(poll_next(&mut polled).is_pending());
            let rest = tokio::spawn(waiting.collect::<Vec<_>>());
            tokio::task::yield_now().await;
            drop(registry);
            assert_eq!(rest.await.unwrap(), []);
            assert_eq!(poll_next(&mut polled), Poll::Ready(None));
        });
    });
}

fn a_sink_sends_without_waiting_while_there_is_room<B: Backend>(shards: usize) {
    let registry = registry::<B>(shards);
    let (mailbox, mut inbox) = transport_mailbox();
    let _lease = registry.register_transport("t", mailbox, ()).unwrap();
    let mut sink = registry.transport_sink(transport("t"), ServerId::new("s").unwrap());
    for message in [1, 2] {
        assert!(matches!(pin!(sink.send(message)).poll(&mut context()), Poll::Ready(Ok(()))));
    }
    assert_eq!([inbox.try_recv(), inbox.try_recv()].map(|delivery| delivery.unwrap().message), [1, 2]);
}

fn a_sink_waits_for_room_and_keeps_the_order<B: Backend>(shards: usize) {
    within_time_limit(move || {
        block_on(async {
            let registry = registry::<B>(shards);
            let (mailbox, inbox) = mailbox(1);
            let _lease = registry.register_server("s", mailbox, ()).unwrap();
            let mut sink = registry.server_sink(ServerId::new("s").unwrap(), transport("t"));
            sink.feed(0).await.unwrap();
            sink.feed(1).await.unwrap();
            assert!(sink.poll_ready_unpin(&mut context()).is_pending(), "the mailbox is full");
            let received = tokio::spawn(inbox.map(|delivery| delivery.message).take(20).collect::<Vec<_>>());
            sink.send_all(&mut stream::iter((2..20).map(Ok))).await.unwrap();
            assert_eq!(received.await.unwrap(), (0..20).collect::<Vec<_>>());
        });
    });
}

fn a_sink_returns_the_message_when_the_registration_ends<B: Backend>(shards: usize) {
    within_time_limit(move || {
        block_on(async {
            let registry = registry::<B>(shards);
            let (mailbox, mut inbox) = mailbox(1);
            let lease = registry.register_server("s", mailbox, ()).unwrap();
            let mut sink = registry.server_sink(ServerId::new("s").unwrap(), transport("t"));
            sink.send(0).await.unwrap();
            let waiting = tokio::spawn(async move { (sink.send(1).await, sink.send(2).await) });
            tokio::task::yield_now().await;
            drop(lease);
            assert_eq!(waiting.await.unwrap(), (Err(SendError::Closed(1)), Err(SendError::NotFound(2))));
            inbox.close();
            assert_eq!(inbox.recv().await.unwrap().message, 0);
            assert!(inbox.recv().await.is_none());
        });
    });
}

fn a_sink_can_be_used_after_an_error<B: Backend>(shards: usize) {
    block_on(async {
        let registry = registry::<B>(shards);
        let mut sink = registry.server_sink(ServerId::new("s").unwrap(), transport("t"));
        assert_eq!(sink.send(0).await, Err(SendError::NotFound(0)));
        let (mailbox, mut inbox) = server_mailbox();
        let _lease = registry.register_server("s", mailbox, ()).unwrap();
        sink.send(1).await.unwrap();
        sink.close().await.unwrap();
        assert_eq!(inbox.try_recv().unwrap().message, 1);
    });
}

fn a_dropped_sink_delivers_nothing_more<B: Backend>(shards: usize) {
    block_on(async {
        let registry = registry::<B>(shards);
        let (mailbox, mut inbox) = mailbox(1);
        let _lease = registry.register_server("s", mailbox.clone(), ()).unwrap();
        let mut sink = registry.server_sink(ServerId::new("s").unwrap(), transport("t"));
        sink.send(0).await.unwrap();
        sink.feed(1).await.unwrap();
        assert!(sink.poll_flush_unpin(&mut context()).is_pending());
        drop(sink);
        assert_eq!(inbox.try_recv().unwrap().message, 0);
        assert!(inbox.try_recv().is_err());
        assert_eq!(mailbox.capacity(), 1, "no room stays reserved");
    });
}
