//! Routing in both directions and broadcasting: each message is delivered, or returned with the error.

use registry_core::Backend;
use registry_router::{Delivery, Inbox, Registry, RouteError, ServerId, ToTransport, TransportLease, mailbox};

use crate::support::{registry, server_mailbox, transport, transport_mailbox};

test_every_backend! {
    messages_arrive_once_and_in_order,
    an_absent_recipient_returns_the_message,
    a_full_mailbox_returns_the_message,
    a_closed_mailbox_returns_the_message_and_frees_the_id,
    only_the_closed_incarnation_is_removed,
    a_broadcast_without_recipients_is_empty,
    a_broadcast_reports_each_outcome,
    a_broadcast_reaches_only_bound_transports,
}

fn messages_arrive_once_and_in_order<B: Backend>(shards: usize) {
    let registry = registry::<B>(shards);
    let (mailbox, mut to_server) = server_mailbox();
    let _s = registry.register_server("s", mailbox, ()).unwrap();
    let (mailbox, mut to_transport) = transport_mailbox();
    let _t = registry.register_transport("t", mailbox, ()).unwrap();
    let (s, t) = (ServerId::new("s").unwrap(), transport("t"));
    for message in 0..8 {
        registry.route_to_server(&s, &t, message).unwrap();
        registry.route_to_transport(&t, &s, message).unwrap();
    }
    for message in 0..8 {
        assert_eq!(to_server.try_recv(), Ok(Delivery { from: t.clone(), message }));
        assert_eq!(to_transport.try_recv(), Ok(Delivery { from: s.clone(), message }));
    }
    assert!(to_server.try_recv().is_err() && to_transport.try_recv().is_err());
}

fn an_absent_recipient_returns_the_message<B: Backend>(shards: usize) {
    let registry = registry::<B>(shards);
    assert_eq!(registry.route_to_server("s", &transport("t"), 7), Err(RouteError::NotFound(7)));
    let s = ServerId::new("s").unwrap();
    assert_eq!(registry.route_to_transport("t", &s, 8), Err(RouteError::NotFound(8)));
    assert_eq!(RouteError::NotFound(8).into_message(), 8);
}

fn a_full_mailbox_returns_the_message<B: Backend>(shards: usize) {
    let registry = registry::<B>(shards);
    let (mailbox, mut inbox) = mailbox(1);
    let _s = registry.register_server("s", mailbox, ()).unwrap();
    let t = transport("t");
    registry.route_to_server("s", &t, 1).unwrap();
    assert_eq!(registry.route_to_server("s", &t, 2), Err(RouteError::Full(2)));
    assert_eq!(inbox.try_recv().unwrap().message, 1);
    registry.route_to_server("s", &t, 3).unwrap();
    assert_eq!(inbox.try_recv().unwrap().message, 3);
}

fn a_closed_mailbox_returns_the_message_and_frees_the_id<B: Backend>(shards: usize) {
    let registry = registry::<B>(shards);
    let (mailbox, inbox) = server_mailbox();
    let s = registry.register_server("s", mailbox, ()).unwrap();
    let (mailbox, inbox_of_t) = transport_mailbox();
    let t = registry.register_transport_bound_to("t", mailbox, (), "s").unwrap();
    drop(inbox_of_t);
    assert_eq!(registry.route_to_transport("t", s.id(), 8), Err(RouteError::Closed(8)));
    assert!(!t.is_current());
    assert!(registry.transports_of("s").is_empty());
    drop(inbox);
    assert_eq!(registry.route_to_server("s", t.id(), 7), Err(RouteError::Closed(7)));
    assert_eq!(registry.route_to_server("s", t.id(), 7), Err(RouteError::NotFound(7)));
    assert!(!s.is_current());
    assert_eq!((registry.server_count(), registry.transport_count()), (0, 0));
}

fn only_the_closed_incarnation_is_removed<B: Backend>(shards: usize) {
    let registry = registry::<B>(shards);
    let (mailbox, inbox) = server_mailbox();
    let closed = registry.register_server("s", mailbox, ()).unwrap();
    drop(inbox);
    closed.release();
    let (mailbox, mut inbox) = server_mailbox();
    let open = registry.register_server("s", mailbox, ()).unwrap();
    registry.route_to_server("s", &transport("t"), 1).unwrap();
    assert!(open.is_current());
    assert_eq!(inbox.try_recv().unwrap().message, 1);
}

fn a_broadcast_without_recipients_is_empty<B: Backend>(shards: usize) {
    let registry = registry::<B>(shards);
    let report = registry.broadcast("s", 1);
    assert_eq!((report.server.clone(), report.attempted()), (None, 0));
    let (mailbox, _inbox) = server_mailbox();
    let s = registry.register_server("s", mailbox, ()).unwrap();
    let report = registry.broadcast("s", 1);
    assert_eq!((report.server.as_ref(), report.attempted()), (Some(s.id()), 0));
}

fn bound<B: Backend>(registry: &Registry<u64, B>, id: &str) -> (TransportLease, Inbox<ToTransport<u64>>) {
    let (mailbox, inbox) = mailbox(1);
    (registry.register_transport_bound_to(id, mailbox, (), "s").unwrap(), inbox)
}

fn a_broadcast_reports_each_outcome<B: Backend>(shards: usize) {
    let registry = registry::<B>(shards);
    let (mailbox, _inbox) = server_mailbox();
    let s = registry.register_server("s", mailbox, ()).unwrap();
    let (_a, mut of_a) = bound(&registry, "a");
    let (_b, mut of_b) = bound(&registry, "b");
    let (full, mut of_full) = bound(&registry, "full");
    let (closed, of_closed) = bound(&registry, "closed");
    registry.route_to_transport("full", s.id(), 0).unwrap();
    drop(of_closed);
    let report = registry.broadcast("s", 9);
    assert_eq!((report.delivered, report.attempted()), (2, 4));
    assert_eq!((report.full, report.closed), (vec![full.id().clone()], vec![closed.id().clone()]));
    for inbox in [&mut of_a, &mut of_b] {
        assert_eq!(inbox.try_recv(), Ok(Delivery { from: s.id().clone(), message: 9 }));
        assert!(inbox.try_recv().is_err());
    }
    assert_eq!(of_full.try_recv().unwrap().message, 0);
    assert!(!closed.is_current());
    assert_eq!(registry.broadcast("s", 10).attempted(), 3);
}

fn a_broadcast_reaches_only_bound_transports<B: Backend>(shards: usize) {
    let registry = registry::<B>(shards);
    let (mailbox, _inbox) = server_mailbox();
    let s = registry.register_server("s", mailbox, ()).unwrap();
    let (mailbox, _inbox) = server_mailbox();
    let _other = registry.register_server("other", mailbox, ()).unwrap();
    let (_bound, mut of_bound) = bound(&registry, "bound");
    let (_unbound, mut of_unbound) = bound(&registry, "unbound");
    let (_rebound, mut of_rebound) = bound(&registry, "rebound");
    let (removed, mut of_removed) = bound(&registry, "removed");
    registry.unbind_transport("unbound");
    registry.bind_transport_to_server("rebound", "other").unwrap();
    drop(removed);
    assert_eq!(registry.broadcast("s", 1).delivered, 1);
    assert_eq!(of_bound.try_recv().unwrap().message, 1);
    assert!(of_unbound.try_recv().is_err() && of_rebound.try_recv().is_err() && of_removed.try_recv().is_err());
    drop(s);
    assert_eq!(registry.broadcast("s", 2).attempted(), 0);
    assert!(of_bound.try_recv().is_err());
}
