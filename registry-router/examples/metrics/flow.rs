//! A load with problems: a hot id, a full mailbox, a slow shard, rejected registrations, and owners that disappear.

use std::error::Error;
use std::time::{Duration, Instant};

use registry_router::{
    Backend, Clock, HealthChange, Inbox, Lease, Limits, MonitorSettings, Registry, RouteError, ServerId, ToServer,
    ToTransport, TransportId, mailbox,
};

use crate::clock::ManualClock;

/// The limit on servers, which is reached.
pub(crate) const SERVERS: usize = 200;
/// The number of registrations beyond the limit.
pub(crate) const REFUSED: usize = 5;
/// The number of messages sent to the hot server, whose mailbox has room for [`CAPACITY`].
pub(crate) const TO_HOT: usize = 3_000;

const TRANSPORTS: usize = 400;
const CAPACITY: usize = 16;

/// The registry after the load.
pub(crate) struct Outcome<B: Backend> {
    pub(crate) registry: Registry<u64, B>,
    /// What the final health check found.
    pub(crate) changes: Vec<HealthChange>,
    /// The time of the health check.
    pub(crate) now: Instant,
    _servers: Vec<Server>,
    _transports: Vec<Transport>,
}

type Server = (Lease<ServerId>, Inbox<ToServer<u64>>);
type Transport = (Lease<TransportId>, Inbox<ToTransport<u64>>);

/// Builds a registry and puts the load on it.
pub(crate) fn run<B: Backend>(shards: usize) -> Result<Outcome<B>, Box<dyn Error>> {
    let clock = ManualClock::new();
    let registry = Registry::<u64, B>::builder()
        .shards(shards)
        // Time every lookup, because there are few.
        .monitor(MonitorSettings::default().with_sample_every(1))
        .limits(Limits::default().with_servers(SERVERS))
        .clock(clock.clone())
        .build()?;

    let mut servers: Vec<Server> = Vec::new();
    for number in 0..SERVERS + REFUSED {
        let (mailbox, inbox) = mailbox(CAPACITY);
        match registry.register_server(format!("tools/{number}"), mailbox, ()) {
            Ok(lease) => servers.push((lease, inbox)),
            Err(error) => assert!(number >= SERVERS, "below the limit: {error}"),
        }
    }
    let mut transports: Vec<Transport> = Vec::new();
    for number in 0..TRANSPORTS {
        let (mailbox, inbox) = mailbox(CAPACITY);
        let server = servers[number % SERVERS].0.id();
        let lease = registry.register_transport_bound_to(format!("connection-{number}"), mailbox, (), server)?;
        transports.push((lease, inbox));
    }

    // Normal traffic: each transport sends a request to its server, which replies.
    for (lease, _) in &transports {
        let server = registry.server_for_transport(lease.id()).ok_or("not bound")?;
        registry.route_to_server(&server, lease.id(), 1)?;
        registry.route_to_transport(lease.id(), &server, 2)?;
    }
    // A hot id, whose mailbox fills up.
    let (hot, from) = (servers[7].0.id().clone(), transports[0].0.id().clone());
    let full =
        (0..TO_HOT).filter(|_| matches!(registry.route_to_server(&hot, &from, 3), Err(RouteError::Full(_)))).count();
    assert!(full > TO_HOT - CAPACITY, "the mailbox accepted more messages than its capacity");
    // A slow shard: lookups that take a millisecond each.
    for _ in 0..20 {
        registry
            .with_server(servers[42].0.id(), |_| clock.advance(Duration::from_millis(1)))
            .ok_or("not registered")?;
    }
    // Misses.
    assert!((0..100).all(|_| registry.find_server("tools/missing").is_none()));
    // Two owners that disappear: the first is detected by a message, the second by a sweep.
    let (closed, inbox) = servers.pop().ok_or("no servers")?;
    drop(inbox);
    assert!(matches!(registry.route_to_server(closed.id(), &from, 4), Err(RouteError::Closed(4))));
    let (_closed, inbox) = transports.pop().ok_or("no transports")?;
    drop(inbox);
    clock.advance(Duration::from_millis(500));
    assert_eq!(registry.sweep().transports, 1);

    let now = clock.now();
    let changes = registry.tick(now);
    Ok(Outcome { registry, changes, now, _servers: servers, _transports: transports })
}
