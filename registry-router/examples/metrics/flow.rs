//! A load with some trouble: a hot id, a full mailbox, a slow shard, refusals, and owners that die without a word.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use registry_router::{
    Backend, Clock, HealthChange, Inbox, Lease, Limits, MonitorSettings, Registry, RouteError, ServerId, ToServer,
    ToTransport, TransportId, mailbox,
};

use crate::clock::Ticking;

/// So many servers may be registered, and are.
pub(crate) const SERVERS: usize = 200;
/// So many come too late.
pub(crate) const REFUSED: usize = 5;
/// How many messages the hot server is sent, of which its mailbox takes sixteen.
pub(crate) const TO_HOT: usize = 3_000;

const TRANSPORTS: usize = 400;
const ROOM: usize = 16;

/// What is left when the load is over: the registry, as it is then, and those who are in it.
pub(crate) struct Aftermath<B: Backend> {
    pub(crate) registry: Registry<u64, B>,
    /// What a check of the health found.
    pub(crate) changes: Vec<HealthChange>,
    /// When it was over.
    pub(crate) now: Instant,
    _servers: Vec<Server>,
    _transports: Vec<Transport>,
}

type Server = (Lease<ServerId>, Inbox<ToServer<u64>>);
type Transport = (Lease<TransportId>, Inbox<ToTransport<u64>>);

/// Puts the load on a registry of its own.
pub(crate) fn run<B: Backend>(shards: usize) -> Result<Aftermath<B>> {
    let clock = Ticking::new();
    let registry = Registry::<u64, B>::builder()
        .shards(shards)
        // Each lookup is timed, so that few of them tell enough.
        .monitor(MonitorSettings { sample_every: 1, ..MonitorSettings::default() })
        .limits(Limits { servers: Some(SERVERS), ..Limits::default() })
        .clock(clock.clone())
        .build()?;

    let mut servers: Vec<Server> = Vec::new();
    for number in 0..SERVERS + REFUSED {
        let (mailbox, inbox) = mailbox(ROOM);
        match registry.register_server(format!("tools/{number}"), mailbox, ()) {
            Ok(lease) => servers.push((lease, inbox)),
            Err(refused) => ensure!(number >= SERVERS, "refused too early: {refused}"),
        }
    }
    let mut transports: Vec<Transport> = Vec::new();
    for number in 0..TRANSPORTS {
        let (mailbox, inbox) = mailbox(ROOM);
        let server = servers[number % SERVERS].0.id();
        let lease = registry.register_transport_bound_to(format!("connection-{number}"), mailbox, (), server)?;
        transports.push((lease, inbox));
    }

    // What is normal: each transport asks its server, and gets an answer.
    for (lease, _) in &transports {
        let server = registry.server_for_transport(lease.id()).context("it was born bound")?;
        registry.route_to_server(&server, lease.id(), 1)?;
        registry.route_to_transport(lease.id(), &server, 2)?;
    }
    // A hot id, whose mailbox is soon full.
    let (hot, from) = (servers[7].0.id().clone(), transports[0].0.id().clone());
    let full =
        (0..TO_HOT).filter(|_| matches!(registry.route_to_server(&hot, &from, 3), Err(RouteError::Full(_)))).count();
    ensure!(full > TO_HOT - ROOM, "the mailbox took more than there is room for");
    // A slow shard: somebody takes a millisecond in there each time.
    for _ in 0..20 {
        registry
            .with_server(servers[42].0.id(), |_| clock.pass(Duration::from_millis(1)))
            .context("it is registered")?;
    }
    // A name that nobody has.
    ensure!((0..100).all(|_| registry.find_server("tools/missing").is_none()), "nobody registered that");
    // Two that die without a word: a message finds the one, a sweep the other.
    let (found, inbox) = servers.pop().context("there are servers")?;
    drop(inbox);
    ensure!(matches!(registry.route_to_server(found.id(), &from, 4), Err(RouteError::Closed(4))), "it has died");
    let (_lost, inbox) = transports.pop().context("there are transports")?;
    drop(inbox);
    clock.pass(Duration::from_millis(500));
    ensure!(registry.sweep().transports == 1, "the sweep has found the other");

    let now = clock.now();
    let changes = registry.tick(now);
    Ok(Aftermath { registry, changes, now, _servers: servers, _transports: transports })
}
