//! Calls inside a read of the registry: they may start there, and must not be waited for.

use std::pin::pin;

use registry_core::Backend;
use registry_router::CallErrorKind;

use super::{numbers, outcome, poll_once, read, server};
use crate::support::{block_on, transport, within_time_limit};

test_every_backend! {
    a_call_may_start_inside_a_read,
    a_dead_server_called_inside_a_read_is_removed_after_it,
}

fn a_call_may_start_inside_a_read<B: Backend>(shards: usize) {
    within_time_limit(move || {
        let registry = numbers::<B>(shards);
        let (_s, mut inbox) = server(&registry, "s", 4);
        let t = transport("t");
        let called = registry.with_server("s", |entry| registry.call_server(entry.id.clone(), &t, 1, None)).unwrap();
        let mut called = pin!(called);
        // A poll does not wait either.
        assert!(registry.with_server("s", |_| poll_once(called.as_mut()).is_pending()).unwrap());
        let sent = registry.with_server("s", |_| read(&mut inbox).1.send(2)).unwrap();
        assert_eq!((sent, block_on(outcome(called))), (Ok(()), Ok(2)));
    });
}

fn a_dead_server_called_inside_a_read_is_removed_after_it<B: Backend>(shards: usize) {
    within_time_limit(move || {
        let registry = numbers::<B>(shards);
        let (_alive, _inbox) = server(&registry, "alive", 1);
        let (dead, inbox) = server(&registry, "dead", 1);
        drop(inbox);
        let t = transport("t");
        let call = registry.with_server("alive", |_| registry.call_server::<_, _, u64>("dead", &t, 1, None)).unwrap();
        assert_eq!(block_on(call).unwrap_err().kind(), CallErrorKind::Closed);
        registry.sweep();
        assert!(!dead.is_current());
    });
}
