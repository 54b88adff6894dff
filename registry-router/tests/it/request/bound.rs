//! Calls to the server that a transport is bound to: by the id of the transport, and over a cached route.

use registry_core::Backend;
use registry_router::{CallErrorKind, mailbox};

use super::{Numbers, numbers, outcome, read, server};
use crate::support::block_on;

test_every_backend! {
    call_bound_server_uses_the_current_binding,
    several_calls_over_one_route_wait_at_once,
    errors_over_a_route_are_told_apart,
    a_call_survives_the_end_of_its_binding,
}

fn bound<B: Backend>(registry: &Numbers<B>, id: &str, to: &str) -> registry_router::TransportLease {
    let (mailbox, inbox) = mailbox(1);
    std::mem::forget(inbox);
    registry.register_transport_bound_to(id, mailbox, (), to).unwrap()
}

fn call_bound_server_uses_the_current_binding<B: Backend>(shards: usize) {
    let registry = numbers::<B>(shards);
    let kind = |transport: &str| {
        let outcome = block_on(registry.call_bound_server::<_, _, u64>(transport, 0, None));
        outcome.unwrap_err().kind()
    };
    assert_eq!(kind("t"), CallErrorKind::NotFound);
    let ((a, mut of_a), (_b, mut of_b)) = (server(&registry, "a", 1), server(&registry, "b", 1));
    let t = bound(&registry, "t", "a");
    let called = registry.call_bound_server("t", 1, None);
    let delivery = of_a.try_recv().unwrap();
    assert_eq!(delivery.from, *t.id());
    delivery.message.into_parts().1.send(1).unwrap();
    assert_eq!(block_on(outcome(called)), Ok(1));
    registry.bind_transport_to_server("t", "b").unwrap();
    let called = registry.call_bound_server("t", 2, None);
    assert_eq!(kind("t"), CallErrorKind::Full);
    read(&mut of_b).1.send(4).unwrap();
    assert_eq!(block_on(outcome(called)), Ok(4));
    registry.unbind_transport("t");
    assert_eq!(kind("t"), CallErrorKind::NotBound);
    registry.bind_transport_to_server("t", "a").unwrap();
    drop(of_a);
    assert_eq!(kind("t"), CallErrorKind::Closed);
    assert!(!a.is_current(), "a closed server is removed");
    assert_eq!(kind("t"), CallErrorKind::NotBound);
}

fn several_calls_over_one_route_wait_at_once<B: Backend>(shards: usize) {
    let registry = numbers::<B>(shards);
    let (_s, mut inbox) = server(&registry, "s", 8);
    let _t = bound(&registry, "t", "s");
    let mut route = registry.bound_route("t").unwrap();
    let calls: Vec<_> = (0..8).map(|number| route.call(&registry, number, None)).collect();
    assert!(route.is_known());
    drop(route);
    while let Ok(delivery) = inbox.try_recv() {
        let (number, reply) = delivery.message.into_parts();
        reply.send(number * number).unwrap();
    }
    block_on(async {
        for (number, call) in (0..).zip(calls) {
            assert_eq!(outcome(call).await, Ok(number * number));
        }
    });
}

fn errors_over_a_route_are_told_apart<B: Backend>(shards: usize) {
    let registry = numbers::<B>(shards);
    let (_s, inbox) = server(&registry, "s", 1);
    let t = bound(&registry, "t", "s");
    let mut route = registry.bound_route("t").unwrap();
    let mut kind = || {
        let outcome = block_on(route.call::<_, _, _, u64>(&registry, 0, None));
        outcome.unwrap_err().kind()
    };
    registry.unbind_transport("t");
    assert_eq!(kind(), CallErrorKind::NotBound);
    registry.bind_transport_to_server("t", "s").unwrap();
    let unread = registry.call_bound_server::<_, _, u64>("t", 1, None);
    assert_eq!(kind(), CallErrorKind::Full);
    drop(inbox);
    assert_eq!(kind(), CallErrorKind::Closed);
    assert_eq!(block_on(unread).unwrap_err().kind(), CallErrorKind::Unread);
    drop(t);
    assert_eq!(kind(), CallErrorKind::NotFound);
}

fn a_call_survives_the_end_of_its_binding<B: Backend>(shards: usize) {
    let registry = numbers::<B>(shards);
    let (_s, mut inbox) = server(&registry, "s", 1);
    let t = bound(&registry, "t", "s");
    let mut route = registry.bound_route("t").unwrap();
    let called = route.call(&registry, 1, None);
    drop((t, route));
    read(&mut inbox).1.send(2).unwrap();
    assert_eq!(block_on(outcome(called)), Ok(2));
}
