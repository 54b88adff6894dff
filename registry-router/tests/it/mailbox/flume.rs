//! The flume mailbox: the same results as any other, and the same closing.

use registry_core::Backend;
use registry_router::{Flume, Registry, RouteError, flume_mailbox};

use crate::support::{block_on, transport, within_time_limit};

test_every_backend! {
    a_flume_mailbox_receives_messages_and_closes_with_its_inbox,
    a_task_waiting_on_a_flume_inbox_is_woken,
}

fn registry<B: Backend>(shards: usize) -> Registry<u64, B, Flume> {
    Registry::builder().shards(shards).build().unwrap()
}

fn a_flume_mailbox_receives_messages_and_closes_with_its_inbox<B: Backend>(shards: usize) {
    let registry = registry::<B>(shards);
    let (mailbox, mut inbox) = flume_mailbox(2);
    let lease = registry.register_server("s", mailbox, ()).unwrap();
    let t = transport("t");
    for message in [1, 2] {
        registry.route_to_server("s", &t, message).unwrap();
    }
    assert_eq!(registry.route_to_server("s", &t, 3), Err(RouteError::Full(3)));
    assert_eq!([inbox.try_recv(), inbox.try_recv()].map(|delivery| delivery.unwrap().message), [1, 2]);
    drop(inbox);
    assert!(registry.find_server("s").is_none(), "its inbox is dropped");
    assert!(lease.is_current(), "registered until it is found closed");
    assert_eq!(registry.route_to_server("s", &t, 4), Err(RouteError::Closed(4)));
    assert_eq!(registry.server_count(), 0);
}

fn a_task_waiting_on_a_flume_inbox_is_woken<B: Backend>(shards: usize) {
    within_time_limit(move || {
        block_on(async {
            let registry = registry::<B>(shards);
            let (mailbox, mut inbox) = flume_mailbox(1);
            let _lease = registry.register_server("s", mailbox, ()).unwrap();
            let receiving = tokio::spawn(async move { inbox.recv().await.map(|delivery| delivery.message) });
            tokio::task::yield_now().await;
            registry.route_to_server("s", &transport("t"), 7).unwrap();
            assert_eq!(receiving.await.unwrap(), Some(7));
        });
    });
}
