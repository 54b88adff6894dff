//! Executes operations on a registry, and converts them and their results into calls of the specification.
//!
//! A registration is identified by its owner's number, which is the place of its incarnation in the order of all.

use registry_core::{Backend, BindError, Incarnation, RegisterError, RegisterErrorKind};
use registry_router::{BoundRoute, Registry, mailbox};

use super::any_inbox::AnyInbox;
use super::ids::{names, number, server, transport};
use super::op::Op;
use crate::any_lease::AnyLease;
use crate::spec::{BroadcastOutcome, Call, Completed, Delivery, Message, Name, Outcome, Owner, Routed, Side};

/// A registry with the owners that registered in it.
#[derive(Debug)]
pub struct RegistryUnderTest<B: Backend> {
    registry: Registry<u64, B>,
    owners: Vec<OwnedEntry>,
    sent: Message,
}

#[derive(Debug)]
struct OwnedEntry {
    name: Name,
    incarnation: Incarnation,
    lease: Option<AnyLease>,
    route: Option<BoundRoute<u64>>,
    inbox: AnyInbox,
}

impl<B: Backend> RegistryUnderTest<B> {
    /// Creates an empty registry.
    ///
    /// # Panics
    ///
    /// Panics if `shards` is not a valid number of shards.
    pub fn new(shards: usize) -> Self {
        let registry = Registry::builder().shards(shards).build().expect("the number of shards is valid");
        Self { registry, owners: Vec::new(), sent: 0 }
    }

    /// Executes an operation; returns the calls that it made, none if it was impossible.
    pub fn apply(&mut self, op: &Op) -> Vec<Completed> {
        let completed = match *op {
            Op::Register(name, capacity) => Some(self.register(name, None, capacity)),
            Op::RegisterBound(name, server, capacity) => Some(self.register(name, Some(server), capacity)),
            Op::DropLease(owner) => self.take_lease(owner).map(|(owner, lease)| {
                drop(lease);
                Call::DropLease(owner).with(Outcome::Done)
            }),
            Op::Release(owner) => {
                self.take_lease(owner).map(|(owner, lease)| Call::Release(owner).with(Outcome::Bool(lease.release())))
            }
            Op::Detach(owner) => self.take_lease(owner).map(|(owner, lease)| {
                lease.detach();
                Call::Detach(owner).with(Outcome::Done)
            }),
            Op::Close(owner) => {
                let Some(owner) = owner.checked_rem(self.owners.len()) else { return Vec::new() };
                return vec![self.close(owner), self.drain(owner)];
            }
            Op::Drain(owner) => owner.checked_rem(self.owners.len()).map(|owner| self.drain(owner)),
            Op::Unregister(name) => Some(self.unregister(name)),
            Op::Bind(from, to) => {
                let bound = self.registry.bind_transport_to_server(transport(from.id), server(to.id));
                Some(Call::Bind(from, to).with(match bound {
                    Ok(()) => Outcome::Done,
                    Err(BindError::TransportNotFound) => Outcome::TransportNotFound,
                    Err(BindError::ServerNotFound) => Outcome::ServerNotFound,
                    Err(other) => panic!("unexpected binding error: {other}"),
                }))
            }
            Op::Unbind(name) => {
                let was_bound = self.registry.unbind_transport(transport(name.id));
                Some(Call::Unbind(name).with(Outcome::Bool(was_bound)))
            }
            Op::Route(to, from) => Some(self.route(to, Name::sender(to.side, from))),
            Op::Broadcast(to) => Some(self.broadcast(to)),
            Op::Sweep => {
                let swept = self.registry.sweep();
                Some(Call::Sweep.with(Outcome::Swept(swept.servers, swept.transports)))
            }
            Op::FindMany(side, ids) => {
                let owner = |incarnation| self.owner_of(incarnation);
                let found = match side {
                    Side::Server => {
                        let found = self.registry.find_many_servers(&ids.map(server)).into_iter();
                        found.map(|found| Some(owner(found?.incarnation))).collect()
                    }
                    Side::Transport => {
                        let found = self.registry.find_many_transports(&ids.map(transport)).into_iter();
                        found.map(|found| Some(owner(found?.incarnation))).collect()
                    }
                };
                Some(Call::FindMany(names(side, &ids)).with(Outcome::FoundMany(found)))
            }
            Op::RouteMany(side, to, from) => {
                let first = self.sent + 1;
                let returned = match side {
                    Side::Server => {
                        let from = transport(from);
                        let messages = to.map(|to| (server(to), from, self.message()));
                        self.registry.route_many_to_servers(messages)
                    }
                    Side::Transport => {
                        let from = server(from);
                        let messages = to.map(|to| (transport(to), from, self.message()));
                        self.registry.route_many_to_transports(messages)
                    }
                };
                let mut routed = vec![Routed::Delivered(None); to.len()];
                for (place, error) in returned {
                    routed[place] = error.into();
                }
                let call = Call::RouteMany(names(side, &to), Name::sender(side, from), first);
                Some(call.with(Outcome::RoutedMany(routed)))
            }
            Op::RouteToBound(from) => {
                let message = self.message();
                let sent = self.registry.route_to_bound_server(transport(from.id), message);
                Some(Call::RouteToBound(from, message).with(Outcome::Routed(Routed::of(sent))))
            }
            Op::BoundRoute(from) => {
                let route = self.registry.bound_route(transport(from.id));
                let owner = route.as_ref().map(|route| self.owner_of(route.incarnation()));
                if let Some(owner) = owner.and_then(|owner| self.owners.get_mut(owner.index())) {
                    owner.route = route;
                }
                Some(Call::BoundRoute(from).with(Outcome::Found(owner)))
            }
            Op::SendBound(owner) => owner.checked_rem(self.owners.len()).and_then(|owner| {
                let route = self.owners[owner].route.as_mut()?;
                self.sent += 1;
                let sent = route.try_send(&self.registry, self.sent);
                Some(Call::SendBound(Owner::new(owner), self.sent).with(Outcome::Routed(Routed::of(sent))))
            }),
        };
        completed.into_iter().collect()
    }

    /// Reads the whole observable state.
    pub fn observe(&self) -> Vec<Completed> {
        let registry = &self.registry;
        let mut reads = Vec::new();
        for name in Name::all_of(Side::Server) {
            let found = registry.with_server(server(name.id), |entry| entry.incarnation);
            reads.push(Call::Find(name).with(Outcome::Found(found.map(|incarnation| self.owner_of(incarnation)))));
            let transports = registry.transports_of(server(name.id));
            let transports = transports.iter().map(|id| Name::transport(number(id))).collect();
            reads.push(Call::TransportsOf(name).with(Outcome::Transports(transports)));
        }
        for name in Name::all_of(Side::Transport) {
            let found = registry.find_transport(transport(name.id)).map(|entry| self.owner_of(entry.incarnation));
            reads.push(Call::Find(name).with(Outcome::Found(found)));
            let server = registry.server_for_transport(transport(name.id));
            let server = server.map(|server| Name::server(number(&server)));
            reads.push(Call::ServerFor(name).with(Outcome::Server(server)));
        }
        let listed = registry.list_servers().into_iter();
        let listed = listed.map(|info| (Name::server(number(&info.id)), self.owner_of(info.incarnation))).collect();
        reads.push(Call::List(Side::Server).with(Outcome::Listed(listed)));
        let listed = registry.list_transports().into_iter();
        let listed = listed.map(|info| (Name::transport(number(&info.id)), self.owner_of(info.incarnation))).collect();
        reads.push(Call::List(Side::Transport).with(Outcome::Listed(listed)));
        let counted = Outcome::Counted(registry.server_count(), registry.transport_count(), registry.binding_count());
        reads.push(Call::Count.with(counted));
        for (number, entry) in self.owners.iter().enumerate() {
            let owner = Owner::new(number);
            if let Some(lease) = &entry.lease {
                reads.push(Call::IsCurrent(owner).with(Outcome::Bool(lease.is_current())));
            }
            reads.push(Call::Waiting(owner).with(Outcome::Waiting(entry.inbox.len())));
        }
        reads
    }

    /// Removes all registrations, and reads all inboxes.
    pub fn finish(&mut self) -> Vec<Completed> {
        let owners = 0..self.owners.len();
        let mut calls: Vec<_> = owners.clone().flat_map(|owner| self.apply(&Op::DropLease(owner))).collect();
        calls.extend(Name::ALL.map(|name| self.unregister(name)));
        calls.extend(owners.flat_map(|owner| self.apply(&Op::Close(owner))));
        calls
    }

    fn register(&mut self, name: Name, to: Option<Name>, capacity: usize) -> Completed {
        let outcome = match name.side {
            Side::Server => {
                let (mailbox, inbox) = mailbox(capacity);
                let registered = self.registry.register_server(server(name.id).clone(), mailbox, ());
                self.registered(name, registered.map(AnyLease::Server), AnyInbox::Server(inbox))
            }
            Side::Transport => {
                let (mailbox, inbox) = mailbox(capacity);
                let id = transport(name.id).clone();
                let registered = match to {
                    None => self.registry.register_transport(id, mailbox, ()),
                    Some(to) => self.registry.register_transport_bound_to(id, mailbox, (), server(to.id)),
                };
                self.registered(name, registered.map(AnyLease::Transport), AnyInbox::Transport(inbox))
            }
        };
        match to {
            None => Call::Register(name, capacity).with(outcome),
            Some(server) => Call::RegisterBound(name, server, capacity).with(outcome),
        }
    }

    fn registered<Mb>(
        &mut self,
        name: Name,
        registered: Result<AnyLease, RegisterError<Mb>>,
        inbox: AnyInbox,
    ) -> Outcome {
        match registered {
            Ok(lease) => {
                let incarnation = lease.incarnation();
                let owner = self.owners.iter().filter(|entry| entry.incarnation < incarnation).count();
                self.owners.push(OwnedEntry { name, incarnation, lease: Some(lease), route: None, inbox });
                Outcome::Registered(Owner::new(owner))
            }
            Err(error) => match error.into_kind() {
                RegisterErrorKind::Taken { by } => Outcome::Taken(self.owner_of(by)),
                RegisterErrorKind::ServerNotFound => Outcome::ServerNotFound,
                other => panic!("unexpected registration error: {other}"),
            },
        }
    }

    fn take_lease(&mut self, owner: usize) -> Option<(Owner, AnyLease)> {
        let owner = owner.checked_rem(self.owners.len())?;
        Some((Owner::new(owner), self.owners[owner].lease.take()?))
    }

    fn unregister(&self, name: Name) -> Completed {
        let ended = match name.side {
            Side::Server => self.registry.unregister_server(server(name.id)),
            Side::Transport => self.registry.unregister_transport(transport(name.id)),
        };
        Call::Unregister(name).with(Outcome::Bool(ended))
    }

    fn close(&mut self, owner: usize) -> Completed {
        self.owners[owner].inbox.close();
        Call::Close(Owner::new(owner)).with(Outcome::Done)
    }

    fn drain(&mut self, owner: usize) -> Completed {
        Call::Drain(Owner::new(owner)).with(Outcome::Read(self.owners[owner].inbox.drain()))
    }

    fn route(&mut self, to: Name, from: Name) -> Completed {
        let message = self.message();
        let sent = match to.side {
            Side::Server => self.registry.route_to_server(server(to.id), transport(from.id), message),
            Side::Transport => self.registry.route_to_transport(transport(to.id), server(from.id), message),
        };
        Call::Route(to, from, message).with(Outcome::Routed(Routed::of(sent)))
    }

    /// Its receivers are those whose inboxes have grown.
    fn broadcast(&mut self, to: Name) -> Completed {
        let message = self.message();
        let before: Vec<usize> = self.owners.iter().map(|entry| entry.inbox.len()).collect();
        let report = self.registry.broadcast(server(to.id), message);
        let mut tried = Vec::new();
        for (number, (entry, before)) in self.owners.iter().zip(before).enumerate() {
            let receiver = (entry.name, Delivery::Delivered(Owner::new(number)));
            tried.extend((before..entry.inbox.len()).map(|_| receiver));
        }
        tried.extend(report.full.iter().map(|id| (Name::transport(number(id)), Delivery::Full)));
        tried.extend(report.closed.iter().map(|id| (Name::transport(number(id)), Delivery::Closed)));
        let outcome = BroadcastOutcome { found: report.server.is_some(), delivered: report.delivered, tried };
        Call::Broadcast(to, message).with(Outcome::Broadcast(outcome))
    }

    /// Returns the owner of a registration; an unknown incarnation yields one that does not exist.
    fn owner_of(&self, incarnation: Incarnation) -> Owner {
        let place = self.owners.iter().position(|owner| owner.incarnation == incarnation);
        place.map_or(Owner(u8::MAX), Owner::new)
    }

    fn message(&mut self) -> Message {
        self.sent += 1;
        self.sent
    }
}
