//! Entries with closed mailboxes: how lookups skip them, how their ids are reused, and how sweeps remove them.

use std::fmt;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use registry_core::{Backend, Event, Operation, Probe, ShardStats};
use registry_router::{BindError, RegisterErrorKind, Registry, Tokio, TransportId};

use crate::support::{
    block_on, registry, server_mailbox, transport, transport_mailbox, unread_server_mailbox, unread_transport_mailbox,
};

test_every_backend! {
    lookups_skip_closed_mailboxes,
    binding_to_or_from_a_closed_mailbox_fails,
    an_id_with_a_closed_mailbox_can_be_registered_again,
    a_sweep_removes_exactly_the_closed_entries,
    a_sweep_removes_bindings,
    a_sweep_reports_the_cleanup_lag,
    the_sweep_task_removes_closed_entries,
    the_sweep_task_ends_with_its_registry,
    a_removal_is_reported_after_the_id_is_free,
}

const SECOND: Duration = Duration::from_secs(1);

fn lookups_skip_closed_mailboxes<B: Backend>(shards: usize) {
    let registry = registry::<B>(shards);
    let ((to_server, requests), (to_transport, mut replies)) = (server_mailbox(), transport_mailbox());
    let s = registry.register_server("s", to_server, ()).unwrap();
    let t = registry.register_transport_bound_to("t", to_transport, (), "s").unwrap();
    drop(requests);
    replies.close();
    assert!(registry.with_server("s", |_| ()).is_none() && registry.with_transport("t", |_| ()).is_none());
    assert!(registry.find_server("s").is_none() && registry.find_transport("t").is_none());
    assert!(registry.list_servers().is_empty() && registry.list_transports().is_empty());
    assert_eq!(registry.server_for_transport("t"), None);
    assert!(registry.transports_of("s").is_empty());
    // They stay registered until a message, a sweep or a registration removes them.
    assert!(s.is_current() && t.is_current());
    assert_eq!((registry.server_count(), registry.transport_count(), registry.binding_count()), (1, 1, 1));
}

fn binding_to_or_from_a_closed_mailbox_fails<B: Backend>(shards: usize) {
    let registry = registry::<B>(shards);
    let ((to_server, requests), (to_transport, replies)) = (server_mailbox(), transport_mailbox());
    let _s = registry.register_server("s", to_server, ()).unwrap();
    let _t = registry.register_transport("t", to_transport, ()).unwrap();
    drop(replies);
    assert_eq!(registry.bind_transport_to_server("t", "s"), Err(BindError::TransportNotFound));
    drop(requests);
    assert_eq!(registry.bind_transport_to_server("t", "s"), Err(BindError::ServerNotFound));
    let registration = registry.register_transport_bound_to("u", unread_transport_mailbox(), (), "s");
    assert_eq!(registration.unwrap_err().kind(), &RegisterErrorKind::ServerNotFound);
    assert_eq!(registry.binding_count(), 0);
}

fn an_id_with_a_closed_mailbox_can_be_registered_again<B: Backend>(shards: usize) {
    let registry = registry::<B>(shards);
    let (to_server, requests) = server_mailbox();
    let closed = registry.register_server("s", to_server, ()).unwrap();
    let _t = registry.register_transport_bound_to("t", unread_transport_mailbox(), (), "s").unwrap();
    let taken = registry.register_server("s", unread_server_mailbox(), ()).unwrap_err();
    assert_eq!(taken.kind(), &RegisterErrorKind::Taken { by: closed.incarnation() });
    drop(requests);
    let successor = registry.register_server("s", taken.into_mailbox(), ()).unwrap();
    assert!(!closed.is_current());
    assert_eq!(registry.server_for_transport("t"), None, "a successor inherits nothing");
    drop(closed);
    assert!(successor.is_current());
    assert_eq!((registry.server_count(), registry.binding_count()), (1, 0));
}

fn a_sweep_removes_exactly_the_closed_entries<B: Backend>(shards: usize) {
    let registry = registry::<B>(shards);
    let mut open = Vec::new();
    for number in 0..100 {
        let (to_server, requests) = server_mailbox();
        registry.register_server(format!("s{number}"), to_server, ()).unwrap().detach();
        let (to_transport, replies) = transport_mailbox();
        registry.register_transport(format!("t{number}"), to_transport, ()).unwrap().detach();
        if number % 4 == 0 {
            open.push((requests, replies));
        }
    }
    let swept = registry.sweep();
    assert_eq!((swept.servers, swept.transports), (75, 75));
    assert_eq!((registry.server_count(), registry.transport_count()), (25, 25));
    assert_eq!((registry.list_servers().len(), registry.list_transports().len()), (25, 25));
    assert_eq!(registry.sweep(), Default::default());
    let swept: u64 = registry.all_shard_stats().iter().map(|shard| shard.swept).sum();
    assert_eq!(swept, 150);
    drop(open);
    assert_eq!(registry.sweep().servers, 25);
    assert_eq!((registry.server_count(), registry.transport_count()), (0, 0));
}

fn a_sweep_removes_bindings<B: Backend>(shards: usize) {
    let registry = registry::<B>(shards);
    let (to_server, requests) = server_mailbox();
    let _s = registry.register_server("s", to_server, ()).unwrap();
    let _other = registry.register_server("other", unread_server_mailbox(), ()).unwrap();
    let _t = registry.register_transport_bound_to("t", unread_transport_mailbox(), (), "s").unwrap();
    let (to_transport, replies) = transport_mailbox();
    let _u = registry.register_transport_bound_to("u", to_transport, (), "other").unwrap();
    drop((requests, replies));
    assert_eq!(registry.binding_count(), 2);
    registry.sweep();
    assert_eq!(registry.binding_count(), 0);
    assert_eq!(registry.server_for_transport("t"), None);
    assert!(registry.transports_of("other").is_empty());
}

fn a_sweep_reports_the_cleanup_lag<B: Backend>(shards: usize) {
    let registry = registry::<B>(shards);
    let (to_server, requests) = server_mailbox();
    let _s = registry.register_server("s", to_server, ()).unwrap();
    let shard = registry.shard_of("s");
    let now = Instant::now() + SECOND;
    assert_eq!(registry.sweep_shard(shard, now), Default::default());
    drop(requests);
    let swept = registry.sweep_shard(shard, now + 3 * SECOND);
    assert_eq!((swept.servers, swept.transports, swept.lag), (1, 0, 3 * SECOND));
    let lag = registry.shard_stats(shard).unwrap().cleanup_lag;
    assert_eq!((lag.count, lag.max_ns), (1, 3_000_000_000));
    assert_eq!(registry.sweep_shard(shards, now), Default::default(), "the shard is out of range");
}

fn the_sweep_task_removes_closed_entries<B: Backend>(shards: usize) {
    block_on(async move {
        let registry = registry::<B>(shards);
        let sweep_task = tokio::spawn(registry.sweep_task(SECOND));
        for number in 0..100 {
            let (to_server, _requests) = server_mailbox();
            registry.register_server(number.to_string(), to_server, ()).unwrap().detach();
        }
        let _open = registry.register_server("open", unread_server_mailbox(), ()).unwrap();
        tokio::time::sleep(2 * SECOND).await;
        assert_eq!(registry.server_count(), 1);
        sweep_task.abort();
    });
}

fn the_sweep_task_ends_with_its_registry<B: Backend>(shards: usize) {
    block_on(async move {
        let registry = registry::<B>(shards);
        let sweep_task = tokio::spawn(registry.sweep_task(Duration::ZERO));
        drop(registry);
        sweep_task.await.unwrap();
    });
}

/// A probe that runs a query on each removal.
#[derive(Clone, Default)]
struct RemovalProbe {
    query: Arc<Mutex<Option<Query>>>,
    answers: Arc<Mutex<Vec<bool>>>,
}

/// Returns whether an id is taken; set once there is a registry.
type Query = Box<dyn Fn() -> bool + Send + Sync>;

impl fmt::Debug for RemovalProbe {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RemovalProbe").finish_non_exhaustive()
    }
}

impl Probe for RemovalProbe {
    fn lookup(&self, _shard: usize) -> bool {
        false
    }

    fn event(&self, _shard: usize, event: Event) {
        if event == Event::Removed {
            let taken = self.query.lock().unwrap().as_ref().is_some_and(|taken| taken());
            self.answers.lock().unwrap().push(taken);
        }
    }

    fn times_writes(&self) -> bool {
        false
    }

    fn record_latency(&self, _shard: usize, _operation: Operation, _began: Instant, _ended: Instant) {}

    fn stats(&self, _shard: usize, _now: Instant) -> ShardStats {
        ShardStats::default()
    }

    fn reset(&self) {}
}

fn a_removal_is_reported_after_the_id_is_free<B: Backend>(shards: usize) {
    let probe = RemovalProbe::default();
    let RemovalProbe { query, answers } = probe.clone();
    let registry: Registry<u64, B, Tokio, RemovalProbe> =
        Registry::builder().shards(shards).probe(move |_| probe).build().unwrap();
    let t = registry.register_transport("t", unread_transport_mailbox(), ()).unwrap();
    let (asked, id): (_, TransportId) = (registry.clone(), transport("t"));
    *query.lock().unwrap() = Some(Box::new(move || asked.transport_count() > 0 || asked.find_transport(&id).is_some()));
    t.release();
    *query.lock().unwrap() = None;
    assert_eq!(*answers.lock().unwrap(), [false], "reported once, with the id free");
}
