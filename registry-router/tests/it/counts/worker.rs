//! A thread's work: random operations, each tallied by what it returned, in the shard where the registry must count it.

use std::sync::atomic::{AtomicU64, Ordering};

use registry_core::Backend;
use registry_router::{
    BindError, Inbox, RegisterErrorKind, Registry, RouteError, ServerId, ServerLease, ToServer, ToTransport,
    TransportId, TransportLease, mailbox,
};

use super::tally::Tally;
use crate::support::{transport, unread_server_mailbox};

/// How many workers there can be.
const WORKERS: usize = 8;

/// Servers of each worker that live throughout.
const STABLE: usize = 2;

/// Names of servers that all workers race for.
const CONTESTED: usize = 32;

/// So few that of the contested names not all can be had at once.
pub(crate) const SERVERS_AT_MOST: usize = STABLE * WORKERS + 20;

/// Transports of each worker.
const TRANSPORTS: usize = 8;

/// So few that some server is full, if not always.
pub(crate) const TRANSPORTS_PER_SERVER: usize = 6;

/// Room in a mailbox: little, so that some are full.
const ROOM: usize = 4;

/// A lookup is counted at most so often by one operation.
const MOST_LOOKUPS: u64 = 2;

/// A name and its shard.
struct Name {
    id: String,
    shard: usize,
}

/// What all workers share.
pub(crate) struct World<'a, B: Backend> {
    registry: &'a Registry<u64, B>,
    stable: Vec<Name>,
    contested: Vec<Name>,
    transports: Vec<Name>,
    nobody: Vec<Name>,
    /// For each worker, at least how many lookups it has begun.
    begun: [AtomicU64; WORKERS],
}

impl<'a, B: Backend> World<'a, B> {
    pub(crate) fn new(registry: &'a Registry<u64, B>) -> Self {
        let names = |word: &str, count: usize| -> Vec<Name> {
            let name = |id: String| Name { shard: registry.shard_of(&id), id };
            (0..count).map(|number| name(format!("{word}-{number}"))).collect()
        };
        // The one sweep that a full registry is granted is spent now, so that nobody is swept while others tally.
        let all: Vec<_> = (0..SERVERS_AT_MOST)
            .map(|number| registry.register_server(format!("s{number}"), unread_server_mailbox(), ()).unwrap())
            .collect();
        registry.register_server("one too many", unread_server_mailbox(), ()).unwrap_err();
        drop(all);
        registry.reset_stats();
        Self {
            registry,
            stable: names("stable", STABLE * WORKERS),
            contested: names("contested", CONTESTED),
            transports: names("transport", TRANSPORTS * WORKERS),
            nobody: names("nobody", 16),
            begun: Default::default(),
        }
    }

    /// At least how many lookups have begun, all workers together.
    pub(crate) fn begun(&self) -> u64 {
        self.begun.iter().map(|begun| begun.load(Ordering::Acquire)).sum()
    }
}

/// A registration as its owner sees it. Without an inbox it is dead, and whoever meets it may end it.
struct Owned<L, T> {
    name: usize,
    lease: L,
    inbox: Option<Inbox<T>>,
    /// The stable server that a transport was bound to last, unless it was unbound since.
    bound: Option<usize>,
}

/// One thread, with all that it owns and did.
pub(crate) struct Worker<'a, B: Backend> {
    world: &'a World<'a, B>,
    number: usize,
    dice: u64,
    stable: Vec<Owned<ServerLease, ToServer<u64>>>,
    contested: Vec<Owned<ServerLease, ToServer<u64>>>,
    transports: Vec<Owned<TransportLease, ToTransport<u64>>>,
    from: (TransportId, ServerId),
    lookups: u64,
    pub(crate) operations: usize,
    pub(crate) tallies: Vec<Tally>,
}

impl<'a, B: Backend> Worker<'a, B> {
    pub(crate) fn new(world: &'a World<'a, B>, number: usize) -> Self {
        let mut worker = Self {
            world,
            number,
            dice: 0x9e37_79b9_7f4a_7c15 ^ (number as u64 + 1),
            stable: Vec::new(),
            contested: Vec::new(),
            transports: Vec::new(),
            from: (transport("worker"), ServerId::new("worker").expect("the id is valid")),
            lookups: 0,
            operations: 0,
            tallies: vec![Tally::default(); world.registry.shard_count()],
        };
        for name in number * STABLE..(number + 1) * STABLE {
            let (mailbox, inbox) = mailbox(ROOM);
            let stable = &world.stable[name];
            let lease = world.registry.register_server(stable.id.as_str(), mailbox, ()).expect("nobody has the name");
            worker.at(stable).registrations += 1;
            worker.stable.push(Owned { name, lease, inbox: Some(inbox), bound: None });
        }
        worker
    }

    /// One operation.
    pub(crate) fn step(&mut self) {
        let begun = self.lookups + MOST_LOOKUPS;
        self.world.begun[self.number].store(begun, Ordering::Release);
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
            93..97 => self.bind_in_vain(),
            _ => self.drain(),
        }
    }

    /// How many of its transports are registered.
    pub(crate) fn transports(&self) -> usize {
        self.transports.iter().filter(|owned| owned.lease.is_current()).count()
    }

    /// How many of them are bound.
    pub(crate) fn bound(&self) -> usize {
        self.transports.iter().filter(|owned| owned.bound.is_some() && owned.lease.is_current()).count()
    }

    /// Tallies the ends of those of its registrations that others have ended. To be called when nothing runs.
    pub(crate) fn settle(&mut self) {
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

    /// Ends all of its registrations.
    pub(crate) fn leave(&mut self) {
        self.stable.clear();
        self.contested.clear();
        self.transports.clear();
    }

    fn below(&mut self, bound: usize) -> usize {
        self.dice ^= self.dice << 13;
        self.dice ^= self.dice >> 7;
        self.dice ^= self.dice << 17;
        ((self.dice >> 11) % bound as u64) as usize
    }

    fn at(&mut self, name: &Name) -> &mut Tally {
        &mut self.tallies[name.shard]
    }

    fn looked_up(&mut self, name: &Name, found: bool) {
        self.lookups += 1;
        let tally = self.at(name);
        *(if found { &mut tally.hits } else { &mut tally.misses }) += 1;
    }

    fn some(&mut self, names: &'a [Name]) -> &'a Name {
        &names[self.below(names.len())]
    }

    fn some_server(&mut self) -> &'a Name {
        let world = self.world;
        match self.below(10) {
            0 => self.some(&world.nobody),
            1..4 => self.some(&world.contested),
            _ => self.some(&world.stable),
        }
    }

    fn find(&mut self) {
        let world = self.world;
        if self.below(4) == 0 {
            let name = self.some(&world.transports);
            let found = world.registry.with_transport(&name.id, |_| ()).is_some();
            self.looked_up(name, found);
        } else {
            let name = self.some_server();
            let found = world.registry.find_server(&name.id).is_some();
            self.looked_up(name, found);
        }
    }

    fn route_to_server(&mut self) {
        let name = self.some_server();
        let outcome = self.world.registry.route_to_server(&name.id, &self.from.0, 1);
        self.routed(name, outcome);
    }

    fn route_to_transport(&mut self) {
        let world = self.world;
        let name = self.some(&world.transports);
        let outcome = world.registry.route_to_transport(&name.id, &self.from.1, 1);
        self.routed(name, outcome);
    }

    fn routed(&mut self, name: &Name, outcome: Result<(), RouteError<u64>>) {
        self.looked_up(name, !matches!(outcome, Err(RouteError::NotFound(_))));
        let tally = self.at(name);
        match outcome {
            Ok(()) => tally.routes += 1,
            Err(RouteError::Full(_)) => tally.full += 1,
            Err(RouteError::Closed(_)) => tally.closed += 1,
            Err(RouteError::NotFound(_)) => {}
        }
    }

    fn register_contested(&mut self) {
        let name = self.below(CONTESTED);
        let contested = &self.world.contested[name];
        let (mailbox, inbox) = mailbox(ROOM);
        match self.world.registry.register_server(contested.id.as_str(), mailbox, ()) {
            Ok(lease) => {
                self.at(contested).registrations += 1;
                self.contested.push(Owned { name, lease, inbox: Some(inbox), bound: None });
            }
            Err(error) => self.turned_down(contested, &error.kind),
        }
    }

    fn turned_down(&mut self, name: &Name, reason: &RegisterErrorKind) {
        let tally = self.at(name);
        tally.rejections += 1;
        tally.refused += match reason {
            RegisterErrorKind::Refused(_) | RegisterErrorKind::ServerFull { .. } => 1,
            RegisterErrorKind::Taken { .. } | RegisterErrorKind::ServerNotFound => 0,
            other => panic!("nobody should be told: {other}"),
        };
    }

    fn end_contested(&mut self) {
        let world = self.world;
        if self.contested.is_empty() {
            return self.find();
        }
        let at = self.below(self.contested.len());
        match self.below(3) {
            0 => self.release_contested(at),
            // The owner is dead; whoever meets it may end it.
            1 => {
                self.contested[at].inbox = None;
                self.find();
            }
            // Whoever owns it will tally its end.
            _ => {
                world.registry.unregister_server(&self.some(&world.contested).id);
            }
        }
    }

    fn release_contested(&mut self, at: usize) {
        let owned = self.contested.swap_remove(at);
        // Whether this ends it or somebody else has, it has ended once.
        owned.lease.release();
        self.at(&self.world.contested[owned.name]).removals += 1;
    }

    /// One of its transports that lives.
    fn some_alive(&mut self) -> Option<usize> {
        let from = self.below(TRANSPORTS);
        let alive = |&at: &usize| self.transports.get(at).is_some_and(|owned| owned.inbox.is_some());
        (from..TRANSPORTS).chain(0..from).find(alive)
    }

    fn bind_or_unbind(&mut self) {
        let world = self.world;
        let Some(at) = self.some_alive() else { return self.find() };
        let name = &world.transports[self.transports[at].name];
        if self.below(3) == 0 {
            let unbound = world.registry.unbind_transport(&name.id);
            assert_eq!(unbound, self.transports[at].bound.take().is_some());
            self.looked_up(name, true);
            self.at(name).unbinds += u64::from(unbound);
            return;
        }
        let to = self.below(world.stable.len());
        let server = &world.stable[to];
        let outcome = world.registry.bind_transport_to_server(&name.id, &server.id);
        self.looked_up(server, true);
        self.looked_up(name, true);
        match outcome {
            Ok(()) => {
                let moved = self.transports[at].bound.replace(to) != Some(to);
                self.at(name).binds += u64::from(moved);
            }
            Err(BindError::ServerFull { .. }) => {}
            Err(error) => panic!("both are there: {error}"),
        }
    }

    fn bind_in_vain(&mut self) {
        let world = self.world;
        let (nobody, server) = (self.some(&world.nobody), self.some(&world.stable));
        if self.below(2) == 0 {
            let outcome = world.registry.bind_transport_to_server(&nobody.id, &server.id);
            assert_eq!(outcome, Err(BindError::TransportNotFound));
            self.looked_up(server, true);
        } else {
            let outcome = world.registry.bind_transport_to_server(&server.id, &nobody.id);
            assert_eq!(outcome, Err(BindError::ServerNotFound));
        }
        self.looked_up(nobody, false);
    }

    /// Registers one of its transports, bound to a server or not, whether there is one of this name or not.
    fn register_transport(&mut self) {
        let world = self.world;
        let name = self.number * TRANSPORTS + self.below(TRANSPORTS);
        let holder = self.transports.iter().position(|owned| owned.name == name);
        let is_dead = holder.is_some_and(|at| self.transports[at].inbox.is_none());
        let transport = &world.transports[name];
        let (mailbox, inbox) = mailbox(ROOM);
        // A full server makes room for somebody whose name a dead one has, and asks twice.
        let to = if is_dead { None } else { Some(self.below(world.stable.len() + 1)) };
        let outcome = match to {
            None => world.registry.register_transport(transport.id.as_str(), mailbox, ()),
            Some(to) => {
                let server = world.stable.get(to).unwrap_or(&world.nobody[0]);
                self.looked_up(server, to < world.stable.len());
                world.registry.register_transport_bound_to(transport.id.as_str(), mailbox, (), &server.id)
            }
        };
        match outcome {
            Ok(lease) => {
                // A dead one has ended by now.
                if let Some(at) = holder {
                    assert!(is_dead && !self.transports[at].lease.is_current());
                    self.release_transport(at);
                }
                let tally = self.at(transport);
                tally.registrations += 1;
                tally.binds += u64::from(to.is_some());
                self.transports.push(Owned { name, lease, inbox: Some(inbox), bound: to });
            }
            Err(error) => self.turned_down(transport, &error.kind),
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
        self.at(&self.world.transports[owned.name]).removals += 1;
    }

    /// Makes room in its mailboxes, and asks where one of its transports belongs.
    fn drain(&mut self) {
        let world = self.world;
        for inbox in self.stable.iter_mut().chain(&mut self.contested).filter_map(|owned| owned.inbox.as_mut()) {
            while inbox.try_recv().is_ok() {}
        }
        for inbox in self.transports.iter_mut().filter_map(|owned| owned.inbox.as_mut()) {
            while inbox.try_recv().is_ok() {}
        }
        let Some(at) = self.some_alive() else { return self.find() };
        let name = &world.transports[self.transports[at].name];
        let server = world.registry.server_for_transport(&name.id);
        let bound = self.transports[at].bound.map(|to| world.stable[to].id.as_str());
        assert_eq!(server.as_ref().map(ServerId::as_str), bound);
        self.looked_up(name, true);
    }
}
