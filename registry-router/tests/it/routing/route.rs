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
    a_filtered_broadcast_tries_exactly_what_the_filter_accepts,
    the_filter_of_a_broadcast_may_use_the_registry,
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

fn a_filtered_broadcast_tries_exactly_what_the_filter_accepts<B: Backend>(shards: usize) {
    let registry = registry::<B>(shards);
    let (to_server, _inbox) = server_mailbox();
    let _s = registry.register_server("s", to_server, ()).unwrap();
    // More than one chunk of members, and a batch that is not full.
    let count = 2_100;
    let (mailbox, mut inbox) = mailbox::<ToTransport<u64>>(2 * count);
    for n in 0..count {
        registry.register_transport_bound_to(format!("t{n}"), mailbox.clone(), (), "s").unwrap().detach();
    }
    let mut asked = Vec::new();
    let report = registry.broadcast_if("s", 7, |transport| {
        asked.push(transport.to_string());
        transport.as_str().ends_with('3')
    });
    assert_eq!((report.delivered, report.attempted(), inbox.len()), (count / 10, count / 10, count / 10));
    asked.sort_unstable();
    asked.dedup();
    assert_eq!(asked.len(), count, "each is asked for once");
    assert!(std::iter::from_fn(|| inbox.try_recv().ok()).all(|delivery| delivery.message == 7));
    assert_eq!(registry.broadcast_if("s", 8, |_| false).attempted(), 0);
    assert_eq!(registry.broadcast_if("absent", 8, |_| unreachable!("there are no transports")).server, None);
}

fn the_filter_of_a_broadcast_may_use_the_registry<B: Backend>(shards: usize) {
    let registry = registry::<B>(shards);
    let (to_server, _inbox) = server_mailbox();
    let _s = registry.register_server("s", to_server, ()).unwrap();
    let (mailbox, _inbox) = mailbox::<ToTransport<u64>>(100);
    for n in 0..50 {
        registry.register_transport_bound_to(format!("t{n}"), mailbox.clone(), (), "s").unwrap().detach();
    }
    let report = registry.broadcast_if("s", 1, |transport| {
        registry.unregister_transport("t0");
        transport != "t1" || registry.unregister_transport(transport)
    });
    assert_eq!((report.delivered, registry.transport_count_of("s")), (48, 48), "neither t0 nor t1 is there any more");
}
