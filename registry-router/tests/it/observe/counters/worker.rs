//! A worker thread: random operations, each tallied by its result, in the shard where the registry must count it.

use std::sync::atomic::{AtomicU64, Ordering};

use registry_core::Backend;
use registry_router::{
    BindError, Inbox, RegisterErrorKind, Registry, RouteError, RouteErrorKind, ServerId, ServerLease, ToServer,
    ToTransport, TransportId, TransportLease, mailbox,
};

use super::tally::Tally;
use crate::support::{transport, unread_server_mailbox};

/// The maximum number of workers.
const WORKERS: usize = 8;

/// Servers of each worker that stay registered throughout.
const STABLE: usize = 2;

/// Ids of servers that all workers compete for.
const CONTESTED: usize = 32;

/// The limit on servers: too low to register all contested ids at once.
pub(crate) const SERVERS_AT_MOST: usize = STABLE * WORKERS + 20;

/// Transports of each worker.
const TRANSPORTS: usize = 8;

/// The limit on transports per server: low enough that servers are sometimes full.
pub(crate) const TRANSPORTS_PER_SERVER: usize = 6;

/// The capacity of a mailbox: small, so that some are full.
const CAPACITY: usize = 4;

/// The maximum number of lookups of one operation.
const MOST_LOOKUPS: u64 = 2;

/// An id and its shard.
struct Name {
    id: String,
    shard: usize,
}

/// The state shared by all workers.
pub(crate) struct Fixture<'a, B: Backend> {
    registry: &'a Registry<u64, B>,
    stable: Vec<Name>,
    contested: Vec<Name>,
    transports: Vec<Name>,
    absent: Vec<Name>,
    /// A lower bound of the lookups begun, per worker.
    begun: [AtomicU64; WORKERS],
}

impl<'a, B: Backend> Fixture<'a, B> {
    pub(crate) fn new(registry: &'a Registry<u64, B>) -> Self {
        let names = |word: &str, count: usize| -> Vec<Name> {
            let name = |id: String| Name { shard: registry.shard_of(&id), id };
            (0..count).map(|number| name(format!("{word}-{number}"))).collect()
        };
        // Spends the one sweep that the throttle allows at a limit, so that none runs while workers tally.
        let all: Vec<_> = (0..SERVERS_AT_MOST)
            .map(|number| registry.register_server(format!("s{number}"), unread_server_mailbox(), ()).unwrap())
            .collect();
        registry.register_server("beyond the limit", unread_server_mailbox(), ()).unwrap_err();
        drop(all);
        registry.reset_stats();
        Self {
            registry,
            stable: names("stable", STABLE * WORKERS),
            contested: names("contested", CONTESTED),
            transports: names("transport", TRANSPORTS * WORKERS),
            absent: names("absent", 16),
            begun: Default::default(),
        }
    }

    /// Returns a lower bound of the lookups begun by all workers.
    pub(crate) fn begun(&self) -> u64 {
        self.begun.iter().map(|begun| begun.load(Ordering::Acquire)).sum()
    }
}

/// A registration as seen by its owner. Without an inbox it is closed, and any operation may remove it.
struct Owned<L, T> {
    name: usize,
    lease: L,
    inbox: Option<Inbox<T>>,
    /// The stable server that the transport is bound to.
    bound: Option<usize>,
}

/// One thread, its registrations and its tallies.
pub(crate) struct Worker<'a, B: Backend> {
    fixture: &'a Fixture<'a, B>,
    number: usize,
    rng: u64,
    stable: Vec<Owned<ServerLease, ToServer<u64>>>,
    contested: Vec<Owned<ServerLease, ToServer<u64>>>,
    transports: Vec<Owned<TransportLease, ToTransport<u64>>>,
    from: (TransportId, ServerId),
    lookups: u64,
    pub(crate) operations: usize,
    pub(crate) tallies: Vec<Tally>,
}

impl<'a, B: Backend> Worker<'a, B> {
    pub(crate) fn new(fixture: &'a Fixture<'a, B>, number: usize) -> Self {
        let mut worker = Self {
            fixture,
            number,
            rng: 0x9e37_79b9_7f4a_7c15 ^ (number as u64 + 1),
            stable: Vec::new(),
            contested: Vec::new(),
            transports: Vec::new(),
            from: (transport("worker"), ServerId::new("worker").expect("the id is valid")),
            lookups: 0,
            operations: 0,
            tallies: vec![Tally::default(); fixture.registry.shard_count()],
        };
        for name in number * STABLE..(number + 1) * STABLE {
            let (mailbox, inbox) = mailbox(CAPACITY);
            let stable = &fixture.stable[name];
            let lease = fixture.registry.register_server(stable.id.as_str(), mailbox, ()).expect("the id is free");
            worker.at(stable).registrations += 1;
            worker.stable.push(Owned { name, lease, inbox: Some(inbox), bound: None });
        }
        worker
    }

    /// One operation.
    pub(crate) fn step(&mut self) {
        let begun = self.lookups + MOST_LOOKUPS;
        self.fixture.begun[self.number].store(begun, Ordering::Release);
        self.operations += 1;
        match self.below(100) {
            0..45 => self.find(),
            45..65 => self.route_to_server(),
            65..75 => self.route_to_transport(),
            75..77 => self.register_contested(),
            77..80 => self.end_contested(),
            80..88 => self.bind_or_unbind(),
            88..91 => self.register_transport(),
            91..93 => self.end_transport(),
            93..97 => self.bind_absent(),
            _ => self.drain(),
        }
    }

    /// Returns the number of its registered transports.
    pub(crate) fn transports(&self) -> usize {
        self.transports.iter().filter(|owned| owned.lease.is_current()).count()
    }

    /// Returns the number of its bound transports.
    pub(crate) fn bound(&self) -> usize {
        self.transports.iter().filter(|owned| owned.bound.is_some() && owned.lease.is_current()).count()
    }

    /// Tallies those of its registrations that other workers have removed. To be called at rest.
    pub(crate) fn reconcile(&mut self) {
        for at in (0..self.contested.len()).rev() {
            if !self.contested[at].lease.is_current() {
                self.release_contested(at);
            }
        }
        for at in (0..self.transports.len()).rev() {
            if !self.transports[at].lease.is_current() {
                self.release_transport(at);
            }
        }
    }

    /// Releases all of its registrations.
    pub(crate) fn release_all(&mut self) {
        self.stable.clear();
        self.contested.clear();
        self.transports.clear();
    }

    fn below(&mut self, bound: usize) -> usize {
        self.rng ^= self.rng << 13;
        self.rng ^= self.rng >> 7;
        self.rng ^= self.rng << 17;
        ((self.rng >> 11) % bound as u64) as usize
    }

    fn at(&mut self, name: &Name) -> &mut Tally {
        &mut self.tallies[name.shard]
    }

    fn record_lookup(&mut self, name: &Name, found: bool) {
        self.lookups += 1;
        let tally = self.at(name);
        *(if found { &mut tally.hits } else { &mut tally.misses }) += 1;
    }

    fn pick(&mut self, names: &'a [Name]) -> &'a Name {
        &names[self.below(names.len())]
    }

    fn pick_server(&mut self) -> &'a Name {
        let fixture = self.fixture;
        match self.below(10) {
            0 => self.pick(&fixture.absent),
            1..4 => self.pick(&fixture.contested),
            _ => self.pick(&fixture.stable),
        }
    }

    fn find(&mut self) {
        let fixture = self.fixture;
        if self.below(4) == 0 {
            let name = self.pick(&fixture.transports);
            let found = fixture.registry.with_transport(&name.id, |_| ()).is_some();
            self.record_lookup(name, found);
        } else {
            let name = self.pick_server();
            let found = fixture.registry.find_server(&name.id).is_some();
            self.record_lookup(name, found);
        }
    }

    fn route_to_server(&mut self) {
        let name = self.pick_server();
        let outcome = self.fixture.registry.route_to_server(&name.id, &self.from.0, 1);
        self.routed(name, outcome);
    }

    fn route_to_transport(&mut self) {
        let fixture = self.fixture;
        let name = self.pick(&fixture.transports);
        let outcome = fixture.registry.route_to_transport(&name.id, &self.from.1, 1);
        self.routed(name, outcome);
    }

    fn routed(&mut self, name: &Name, outcome: Result<(), RouteError<u64>>) {
        self.record_lookup(name, !matches!(outcome, Err(RouteError::NotFound(_))));
        let tally = self.at(name);
        match outcome {
            Ok(()) => tally.routes += 1,
            Err(error) => match error.kind() {
                RouteErrorKind::Full => tally.full += 1,
                RouteErrorKind::Closed => tally.closed += 1,
                RouteErrorKind::NotFound => {}
                other => panic!("unexpected error: {other}"),
            },
        }
    }

    fn register_contested(&mut self) {
        let name = self.below(CONTESTED);
        let contested = &self.fixture.contested[name];
        let (mailbox, inbox) = mailbox(CAPACITY);
        match self.fixture.registry.register_server(contested.id.as_str(), mailbox, ()) {
            Ok(lease) => {
                self.at(contested).registrations += 1;
                self.contested.push(Owned { name, lease, inbox: Some(inbox), bound: None });
            }
            Err(error) => self.rejected(contested, error.kind()),
        }
    }

    fn rejected(&mut self, name: &Name, reason: &RegisterErrorKind) {
        let tally = self.at(name);
        tally.rejections += 1;
        tally.refused += match reason {
            RegisterErrorKind::Refused(_) | RegisterErrorKind::ServerFull { .. } => 1,
            RegisterErrorKind::Taken { .. } | RegisterErrorKind::ServerNotFound => 0,
            other => panic!("unexpected error: {other}"),
        };
    }

    fn end_contested(&mut self) {
        let fixture = self.fixture;
        if self.contested.is_empty() {
            return self.find();
        }
        let at = self.below(self.contested.len());
        match self.below(3) {
            0 => self.release_contested(at),
            // The mailbox closes; any operation may remove it now.
            1 => {
                self.contested[at].inbox = None;
                self.find();
            }
            // Its owner will tally the removal.
            _ => {
                fixture.registry.unregister_server(&self.pick(&fixture.contested).id);
            }
        }
    }

    fn release_contested(&mut self, at: usize) {
        let owned = self.contested.swap_remove(at);
        // Whether removed here or before, it was removed once.
        owned.lease.release();
        self.at(&self.fixture.contested[owned.name]).removals += 1;
    }

    /// Returns one of its transports with an open mailbox.
    fn pick_open(&mut self) -> Option<usize> {
        let from = self.below(TRANSPORTS);
        let open = |&at: &usize| self.transports.get(at).is_some_and(|owned| owned.inbox.is_some());
        (from..TRANSPORTS).chain(0..from).find(open)
    }

    fn bind_or_unbind(&mut self) {
        let fixture = self.fixture;
        let Some(at) = self.pick_open() else { return self.find() };
        let name = &fixture.transports[self.transports[at].name];
        if self.below(3) == 0 {
            let unbound = fixture.registry.unbind_transport(&name.id);
            assert_eq!(unbound, self.transports[at].bound.take().is_some());
            self.record_lookup(name, true);
            self.at(name).unbinds += u64::from(unbound);
            return;
        }
        let to = self.below(fixture.stable.len());
        let server = &fixture.stable[to];
        let outcome = fixture.registry.bind_transport_to_server(&name.id, &server.id);
        self.record_lookup(server, true);
        self.record_lookup(name, true);
        match outcome {
            Ok(()) => {
                let moved = self.transports[at].bound.replace(to) != Some(to);
                self.at(name).binds += u64::from(moved);
            }
            Err(BindError::ServerFull { .. }) => {}
            Err(error) => panic!("both endpoints are registered: {error}"),
        }
    }

    fn bind_absent(&mut self) {
        let fixture = self.fixture;
        let (absent, server) = (self.pick(&fixture.absent), self.pick(&fixture.stable));
        if self.below(2) == 0 {
            let outcome = fixture.registry.bind_transport_to_server(&absent.id, &server.id);
            assert_eq!(outcome, Err(BindError::TransportNotFound));
            self.record_lookup(server, true);
        } else {
            let outcome = fixture.registry.bind_transport_to_server(&server.id, &absent.id);
            assert_eq!(outcome, Err(BindError::ServerNotFound));
        }
        self.record_lookup(absent, false);
    }

    /// Registers one of its transports, bound or unbound, whether or not the id is taken.
    fn register_transport(&mut self) {
        let fixture = self.fixture;
        let name = self.number * TRANSPORTS + self.below(TRANSPORTS);
        let holder = self.transports.iter().position(|owned| owned.name == name);
        let is_closed = holder.is_some_and(|at| self.transports[at].inbox.is_none());
        let transport = &fixture.transports[name];
        let (mailbox, inbox) = mailbox(CAPACITY);
        // On a full server, a bound registration would evict the closed holder of the id and look up the server twice.
        let to = if is_closed { None } else { Some(self.below(fixture.stable.len() + 1)) };
        let outcome = match to {
            None => fixture.registry.register_transport(transport.id.as_str(), mailbox, ()),
            Some(to) => {
                let server = fixture.stable.get(to).unwrap_or(&fixture.absent[0]);
                self.record_lookup(server, to < fixture.stable.len());
                fixture.registry.register_transport_bound_to(transport.id.as_str(), mailbox, (), &server.id)
            }
        };
        match outcome {
            Ok(lease) => {
                // A closed holder is removed by now.
                if let Some(at) = holder {
                    assert!(is_closed && !self.transports[at].lease.is_current());
                    self.release_transport(at);
                }
                let tally = self.at(transport);
                tally.registrations += 1;
                tally.binds += u64::from(to.is_some());
                self.transports.push(Owned { name, lease, inbox: Some(inbox), bound: to });
            }
            Err(error) => self.rejected(transport, error.kind()),
        }
    }

    fn end_transport(&mut self) {
        if self.transports.is_empty() {
            return self.find();
        }
        let at = self.below(self.transports.len());
        if self.below(2) == 0 {
            self.release_transport(at);
        } else {
            self.transports[at].inbox = None;
            self.find();
        }
    }

    fn release_transport(&mut self, at: usize) {
        let owned = self.transports.swap_remove(at);
        owned.lease.release();
        self.at(&self.fixture.transports[owned.name]).removals += 1;
    }

    /// Drains its inboxes, and checks the binding of one of its transports.
    fn drain(&mut self) {
        let fixture = self.fixture;
        for inbox in self.stable.iter_mut().chain(&mut self.contested).filter_map(|owned| owned.inbox.as_mut()) {
            while inbox.try_recv().is_ok() {}
        }
        for inbox in self.transports.iter_mut().filter_map(|owned| owned.inbox.as_mut()) {
            while inbox.try_recv().is_ok() {}
        }
        let Some(at) = self.pick_open() else { return self.find() };
        let name = &fixture.transports[self.transports[at].name];
        let server = fixture.registry.server_for_transport(&name.id);
        let bound = self.transports[at].bound.map(|to| fixture.stable[to].id.as_str());
        assert_eq!(server.as_ref().map(ServerId::as_str), bound);
        self.record_lookup(name, true);
    }
}
