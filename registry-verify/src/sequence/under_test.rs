//! Executes operations on a registry, and converts its results into those of the model.

use registry_core::{Backend, BindError, BoundRouteError, Incarnation, RegisterError, RegisterErrorKind, RouteError};
use registry_router::{BoundRoute, Inbox, Registry, ServerId, ToServer, ToTransport, TransportId, mailbox};

use super::op::{IDS, Op, Side};
use super::outcome::{Outcome, View};
use crate::any_lease::AnyLease;

/// A registry with the owners that registered in it.
#[derive(Debug)]
pub struct RegistryUnderTest<B: Backend> {
    registry: Registry<u64, B>,
    owners: Vec<Owner>,
    next: u64,
}

#[derive(Debug)]
struct Owner {
    incarnation: Incarnation,
    lease: Option<AnyLease>,
    route: Option<BoundRoute<u64>>,
    inbox: AnyInbox,
}

#[derive(Debug)]
enum AnyInbox {
    Server(Inbox<ToServer<u64>>),
    Transport(Inbox<ToTransport<u64>>),
}

impl<B: Backend> RegistryUnderTest<B> {
    /// Creates an empty registry.
    ///
    /// # Panics
    ///
    /// Panics if `shards` is not a valid number of shards.
    pub fn new(shards: usize) -> Self {
        let registry = Registry::builder().shards(shards).build().expect("the number of shards is valid");
        Self { registry, owners: Vec::new(), next: 0 }
    }

    /// Executes an operation and returns its result.
    pub fn apply(&mut self, op: &Op) -> Outcome {
        match *op {
            Op::Register(Side::Server, id, capacity) => {
                let (mailbox, inbox) = mailbox(capacity);
                let registered = self.registry.register_server(server(id), mailbox, ());
                self.registered(registered.map(AnyLease::Server), AnyInbox::Server(inbox))
            }
            Op::Register(Side::Transport, id, capacity) => {
                let (mailbox, inbox) = mailbox(capacity);
                let registered = self.registry.register_transport(transport(id), mailbox, ());
                self.registered(registered.map(AnyLease::Transport), AnyInbox::Transport(inbox))
            }
            Op::RegisterBound { transport: id, server: to, capacity } => {
                let (mailbox, inbox) = mailbox(capacity);
                let registered = self.registry.register_transport_bound_to(transport(id), mailbox, (), server(to));
                self.registered(registered.map(AnyLease::Transport), AnyInbox::Transport(inbox))
            }
            Op::DropLease(owner) => {
                self.take_lease(owner);
                Outcome::Nothing
            }
            Op::Release(owner) => match self.take_lease(owner) {
                None => Outcome::Nothing,
                Some(lease) => Outcome::Done(lease.release()),
            },
            Op::Detach(owner) => {
                if let Some(lease) = self.take_lease(owner) {
                    lease.detach();
                }
                Outcome::Nothing
            }
            Op::Close(owner) => self.read(owner, true),
            Op::Drain(owner) => self.read(owner, false),
            Op::Unregister(Side::Server, id) => Outcome::Done(self.registry.unregister_server(server(id))),
            Op::Unregister(Side::Transport, id) => Outcome::Done(self.registry.unregister_transport(transport(id))),
            Op::Bind(from, to) => match self.registry.bind_transport_to_server(transport(from), server(to)) {
                Ok(()) => Outcome::Done(true),
                Err(BindError::TransportNotFound) => Outcome::NoTransport,
                Err(_) => Outcome::NoServer,
            },
            Op::Unbind(id) => Outcome::Done(self.registry.unbind_transport(transport(id))),
            Op::Route(Side::Server, to, from) => {
                let message = self.message();
                routed(self.registry.route_to_server(server(to), &transport(from), message))
            }
            Op::Route(Side::Transport, to, from) => {
                let message = self.message();
                routed(self.registry.route_to_transport(transport(to), &server(from), message))
            }
            Op::Broadcast(to) => {
                let message = self.message();
                let report = self.registry.broadcast(server(to), message);
                let sorted = |ids: &[TransportId]| {
                    let mut ids: Vec<u8> = ids.iter().map(|id| number(id)).collect();
                    ids.sort_unstable();
                    ids
                };
                let (full, closed) = (sorted(&report.full), sorted(&report.closed));
                Outcome::Broadcast(report.server.is_some(), report.delivered, full, closed)
            }
            Op::Sweep => {
                let swept = self.registry.sweep();
                Outcome::SweepReport(swept.servers, swept.transports)
            }
            Op::FindMany(Side::Server, ids) => {
                let found = self.registry.find_many_servers(&ids.map(server));
                Outcome::Found(found.into_iter().map(|found| Some(self.owner_of(found?.incarnation))).collect())
            }
            Op::FindMany(Side::Transport, ids) => {
                let found = self.registry.find_many_transports(&ids.map(transport));
                Outcome::Found(found.into_iter().map(|found| Some(self.owner_of(found?.incarnation))).collect())
            }
            Op::RouteMany(Side::Server, to, from) => {
                let from = transport(from);
                let messages = to.map(|to| (server(to), &from, self.message()));
                many(to.len(), self.registry.route_many_to_servers(messages))
            }
            Op::RouteMany(Side::Transport, to, from) => {
                let from = server(from);
                let messages = to.map(|to| (transport(to), &from, self.message()));
                many(to.len(), self.registry.route_many_to_transports(messages))
            }
            Op::RouteBound(from) => {
                let message = self.message();
                bound(self.registry.route_to_bound_server(transport(from), message))
            }
            Op::TakeRoute(from) => {
                let route = self.registry.bound_route(transport(from));
                let owner = route.as_ref().map(|route| self.owner_of(route.incarnation()));
                if let Some(owner) = owner {
                    self.owners[owner].route = route;
                }
                Outcome::Done(owner.is_some())
            }
            Op::RouteThrough(owner) => {
                let owner = owner.checked_rem(self.owners.len());
                let Some(route) = owner.and_then(|owner| self.owners[owner].route.as_mut()) else {
                    return Outcome::Nothing;
                };
                self.next += 1;
                bound(route.try_send(&self.registry, self.next))
            }
        }
    }

    /// Returns the observable state.
    pub fn view(&self) -> View {
        let registry = &self.registry;
        let lengths = (registry.server_count(), registry.transport_count(), registry.binding_count());
        let mut view = View { lengths, ..View::default() };
        for id in 0..IDS {
            if let Some(incarnation) = self.registry.with_server(server(id), |entry| entry.incarnation) {
                view.found.push((Side::Server, id, self.owner_of(incarnation)));
                let mut bound: Vec<u8> = self.registry.transports_of(server(id)).iter().map(|id| number(id)).collect();
                bound.sort_unstable();
                view.transports.push((id, bound));
            }
        }
        for id in 0..IDS {
            if let Some(entry) = self.registry.find_transport(transport(id)) {
                view.found.push((Side::Transport, id, self.owner_of(entry.incarnation)));
            }
            view.servers.extend(self.registry.server_for_transport(transport(id)).map(|server| (id, number(&server))));
        }
        for listing in self.registry.list_servers() {
            view.listed.push((Side::Server, number(&listing.id), self.owner_of(listing.incarnation)));
        }
        for listing in self.registry.list_transports() {
            view.listed.push((Side::Transport, number(&listing.id), self.owner_of(listing.incarnation)));
        }
        view.listed.sort_unstable();
        for (number, owner) in self.owners.iter().enumerate() {
            let current = owner.lease.as_ref().is_some_and(AnyLease::is_current);
            view.current.extend(current.then_some(number));
            let waiting = match &owner.inbox {
                AnyInbox::Server(inbox) => inbox.len(),
                AnyInbox::Transport(inbox) => inbox.len(),
            };
            view.waiting.extend((waiting > 0).then_some((number, waiting)));
        }
        view
    }

    /// Removes all registrations; returns the contents of the inboxes, by owner.
    pub fn finish(&mut self) -> Vec<Outcome> {
        let owners = self.owners.len();
        for owner in 0..owners {
            self.take_lease(owner);
        }
        for id in 0..IDS {
            self.registry.unregister_server(server(id));
            self.registry.unregister_transport(transport(id));
        }
        let inboxes = (0..owners).map(|owner| self.read(owner, true)).collect();
        self.owners.clear();
        inboxes
    }

    fn registered<Mb>(&mut self, registered: Result<AnyLease, RegisterError<Mb>>, inbox: AnyInbox) -> Outcome {
        match registered {
            Ok(lease) => {
                let incarnation = lease.incarnation();
                self.owners.push(Owner { incarnation, lease: Some(lease), route: None, inbox });
                Outcome::Registered(self.owners.len() - 1)
            }
            Err(error) => match error.into_kind() {
                RegisterErrorKind::Taken { by } => Outcome::Taken(self.owner_of(by)),
                RegisterErrorKind::ServerNotFound => Outcome::NoServer,
                other => panic!("unexpected registration error: {other}"),
            },
        }
    }

    fn take_lease(&mut self, owner: usize) -> Option<AnyLease> {
        let owner = owner.checked_rem(self.owners.len())?;
        self.owners[owner].lease.take()
    }

    fn read(&mut self, owner: usize, close: bool) -> Outcome {
        let Some(owner) = owner.checked_rem(self.owners.len()) else { return Outcome::Nothing };
        let mut read = Vec::new();
        match &mut self.owners[owner].inbox {
            AnyInbox::Server(inbox) => {
                if close {
                    inbox.close();
                }
                while let Ok(delivery) = inbox.try_recv() {
                    read.push((number(&delivery.from), delivery.message));
                }
            }
            AnyInbox::Transport(inbox) => {
                if close {
                    inbox.close();
                }
                while let Ok(delivery) = inbox.try_recv() {
                    read.push((number(&delivery.from), delivery.message));
                }
            }
        }
        Outcome::Read(read)
    }

    /// Returns the owner of a registration; an unknown incarnation yields a number that differs from the model's.
    fn owner_of(&self, incarnation: Incarnation) -> usize {
        self.owners.iter().position(|owner| owner.incarnation == incarnation).unwrap_or(usize::MAX)
    }

    fn message(&mut self) -> u64 {
        self.next += 1;
        self.next
    }
}

fn routed(routed: Result<(), RouteError<u64>>) -> Outcome {
    match routed {
        Ok(()) => Outcome::Delivered,
        Err(RouteError::NotFound(message)) => Outcome::NotFound(message),
        Err(RouteError::Full(message)) => Outcome::Full(message),
        Err(RouteError::Closed(message)) => Outcome::Closed(message),
        Err(other) => panic!("unexpected error of a route: {other}"),
    }
}

fn bound(routed: Result<(), BoundRouteError<u64>>) -> Outcome {
    match routed {
        Ok(()) => Outcome::Delivered,
        Err(BoundRouteError::TransportNotFound(message)) => Outcome::NotFound(message),
        Err(BoundRouteError::NotBound(message)) => Outcome::NotBound(message),
        Err(BoundRouteError::Full(message)) => Outcome::Full(message),
        Err(BoundRouteError::Closed(message)) => Outcome::Closed(message),
        Err(other) => panic!("unexpected error of a bound route: {other}"),
    }
}

/// Returns the result of each of `sent` messages, given those that were returned.
fn many(sent: usize, returned: Vec<(usize, RouteError<u64>)>) -> Outcome {
    let mut outcomes = vec![Outcome::Delivered; sent];
    for (place, error) in returned {
        outcomes[place] = routed(Err(error));
    }
    Outcome::Many(outcomes)
}

/// Server ids are long and transport ids short, to cover both the heap and the inline representation.
fn server(id: u8) -> ServerId {
    ServerId::new(format!("{}{id}", "server-".repeat(8))).expect("the id is valid")
}

fn transport(id: u8) -> TransportId {
    TransportId::new(format!("t{id}")).expect("the id is valid")
}

fn number(id: &str) -> u8 {
    id.bytes().last().map_or(u8::MAX, |digit| digit - b'0')
}
