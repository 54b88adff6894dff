//! Owners that die without a word: who finds them, who may have their names, and how sweeps take them out.

use std::fmt;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use registry_core::{Backend, Event, Operation, Probe, ShardStats};
use registry_router::{BindError, RegisterErrorKind, Registry, Tokio, TransportId};

use crate::support::{
    block_on, registry, server_mailbox, transport, transport_mailbox, unread_server_mailbox, unread_transport_mailbox,
};

over_every_backend! {
    no_look_up_finds_the_dead,
    nobody_is_bound_to_or_from_the_dead,
    the_name_of_the_dead_can_be_taken,
    a_sweep_takes_out_the_dead_and_nobody_else,
    a_sweep_undoes_bindings,
    a_sweep_tells_how_long_they_can_have_been_dead,
    a_sweeper_finds_the_dead_by_itself,
    a_sweeper_ends_with_its_registry,
    a_death_is_told_when_the_name_is_free,
}

const SECOND: Duration = Duration::from_secs(1);

fn no_look_up_finds_the_dead<B: Backend>(shards: usize) {
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
    // They are registered all the same, until somebody does something about it.
    assert!(s.is_current() && t.is_current());
    assert_eq!((registry.server_count(), registry.transport_count(), registry.binding_count()), (1, 1, 1));
}

fn nobody_is_bound_to_or_from_the_dead<B: Backend>(shards: usize) {
    let registry = registry::<B>(shards);
    let ((to_server, requests), (to_transport, replies)) = (server_mailbox(), transport_mailbox());
    let _s = registry.register_server("s", to_server, ()).unwrap();
    let _t = registry.register_transport("t", to_transport, ()).unwrap();
    drop(replies);
    assert_eq!(registry.bind_transport_to_server("t", "s"), Err(BindError::TransportNotFound));
    drop(requests);
    assert_eq!(registry.bind_transport_to_server("t", "s"), Err(BindError::ServerNotFound));
    let birth = registry.register_transport_bound_to("u", unread_transport_mailbox(), (), "s");
    assert_eq!(birth.unwrap_err().kind, RegisterErrorKind::ServerNotFound);
    assert_eq!(registry.binding_count(), 0);
}

fn the_name_of_the_dead_can_be_taken<B: Backend>(shards: usize) {
    let registry = registry::<B>(shards);
    let (to_server, requests) = server_mailbox();
    let dead = registry.register_server("s", to_server, ()).unwrap();
    let _t = registry.register_transport_bound_to("t", unread_transport_mailbox(), (), "s").unwrap();
    let taken = registry.register_server("s", unread_server_mailbox(), ()).unwrap_err();
    assert_eq!(taken.kind, RegisterErrorKind::Taken { by: dead.incarnation() });
    drop(requests);
    let successor = registry.register_server("s", taken.mailbox, ()).unwrap();
    assert!(!dead.is_current());
    assert_eq!(registry.server_for_transport("t"), None, "a successor inherits nothing");
    drop(dead);
    assert!(successor.is_current());
    assert_eq!((registry.server_count(), registry.binding_count()), (1, 0));
}

fn a_sweep_takes_out_the_dead_and_nobody_else<B: Backend>(shards: usize) {
    let registry = registry::<B>(shards);
    let mut alive = Vec::new();
    for number in 0..100 {
        let (to_server, requests) = server_mailbox();
        registry.register_server(format!("s{number}"), to_server, ()).unwrap().detach();
        let (to_transport, replies) = transport_mailbox();
        registry.register_transport(format!("t{number}"), to_transport, ()).unwrap().detach();
        if number % 4 == 0 {
            alive.push((requests, replies));
        }
    }
    let swept = registry.sweep();
    assert_eq!((swept.servers, swept.transports), (75, 75));
    assert_eq!((registry.server_count(), registry.transport_count()), (25, 25));
    assert_eq!((registry.list_servers().len(), registry.list_transports().len()), (25, 25));
    assert_eq!(registry.sweep(), Default::default());
    let told: u64 = registry.all_shard_stats().iter().map(|shard| shard.swept).sum();
    assert_eq!(told, 150);
    drop(alive);
    assert_eq!(registry.sweep().servers, 25);
    assert_eq!((registry.server_count(), registry.transport_count()), (0, 0));
}

fn a_sweep_undoes_bindings<B: Backend>(shards: usize) {
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

fn a_sweep_tells_how_long_they_can_have_been_dead<B: Backend>(shards: usize) {
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
    assert_eq!(registry.sweep_shard(shards, now), Default::default(), "there is no such shard");
}

fn a_sweeper_finds_the_dead_by_itself<B: Backend>(shards: usize) {
    block_on(async move {
        let registry = registry::<B>(shards);
        let sweep_task = tokio::spawn(registry.sweep_task(SECOND));
        for number in 0..100 {
            let (to_server, _requests) = server_mailbox();
            registry.register_server(number.to_string(), to_server, ()).unwrap().detach();
        }
        let _alive = registry.register_server("alive", unread_server_mailbox(), ()).unwrap();
        tokio::time::sleep(2 * SECOND).await;
        assert_eq!(registry.server_count(), 1);
        sweep_task.abort();
    });
}

fn a_sweeper_ends_with_its_registry<B: Backend>(shards: usize) {
    block_on(async move {
        let registry = registry::<B>(shards);
        let sweep_task = tokio::spawn(registry.sweep_task(Duration::ZERO));
        drop(registry);
        sweep_task.await.unwrap();
    });
}

/// Asks a question whenever it hears of a death.
#[derive(Clone, Default)]
struct Heir {
    question: Arc<Mutex<Option<Question>>>,
    answers: Arc<Mutex<Vec<bool>>>,
}

/// What an heir asks: whether a name is taken. Set once there is a registry to ask.
type Question = Box<dyn Fn() -> bool + Send + Sync>;

impl fmt::Debug for Heir {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Heir").finish_non_exhaustive()
    }
}

impl Probe for Heir {
    fn lookup(&self, _shard: usize) -> bool {
        false
    }

    fn event(&self, _shard: usize, event: Event) {
        if event == Event::Removed {
            let taken = self.question.lock().unwrap().as_ref().is_some_and(|taken| taken());
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

fn a_death_is_told_when_the_name_is_free<B: Backend>(shards: usize) {
    let heir = Heir::default();
    let Heir { question, answers } = heir.clone();
    let registry: Registry<u64, B, Tokio, Heir> =
        Registry::builder().shards(shards).probe(move |_| heir).build().unwrap();
    let t = registry.register_transport("t", unread_transport_mailbox(), ()).unwrap();
    let (asked, id): (_, TransportId) = (registry.clone(), transport("t"));
    *question.lock().unwrap() =
        Some(Box::new(move || asked.transport_count() > 0 || asked.find_transport(&id).is_some()));
    t.release();
    *question.lock().unwrap() = None;
    assert_eq!(*answers.lock().unwrap(), [false], "told once, and the name is free");
}
