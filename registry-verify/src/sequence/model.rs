//! The sequential model of the registry: no shards, no locks, no concurrency.

use std::collections::{BTreeMap, VecDeque};

use super::op::{IDS, Op, Side};
use super::outcome::{Outcome, View};

/// The sequential model.
#[derive(Clone, Debug, Default)]
pub struct Model {
    owners: Vec<Owner>,
    /// The owner registered under each id.
    names: BTreeMap<(Side, u8), usize>,
    /// Server owner by transport owner, for bound transports.
    bindings: BTreeMap<usize, usize>,
    /// The number of the last message.
    next: u64,
}

#[derive(Clone, Debug)]
struct Owner {
    side: Side,
    id: u8,
    lease: bool,
    capacity: usize,
    closed: bool,
    /// Whether the owner holds a bound route. The model caches nothing in it.
    route: bool,
    inbox: VecDeque<(u8, u64)>,
}

impl Model {
    /// Applies an operation and returns its result.
    pub fn apply(&mut self, op: &Op) -> Outcome {
        match *op {
            Op::Register(side, id, capacity) => self.register(side, id, capacity, None),
            Op::RegisterBound { transport, server, capacity } => match self.find_live(Side::Server, server) {
                None => Outcome::NoServer,
                Some(server) => self.register(Side::Transport, transport, capacity, Some(server)),
            },
            Op::DropLease(owner) => self.end_lease(owner).map_or(Outcome::Nothing, |_| Outcome::Nothing),
            Op::Release(owner) => self.end_lease(owner).map_or(Outcome::Nothing, Outcome::Done),
            Op::Detach(owner) => {
                if let Some(owner) = self.owner(owner) {
                    self.owners[owner].lease = false;
                }
                Outcome::Nothing
            }
            Op::Close(owner) => {
                let Some(owner) = self.owner(owner) else { return Outcome::Nothing };
                self.owners[owner].closed = true;
                Outcome::Read(self.owners[owner].inbox.drain(..).collect())
            }
            Op::Drain(owner) => {
                let Some(owner) = self.owner(owner) else { return Outcome::Nothing };
                Outcome::Read(self.owners[owner].inbox.drain(..).collect())
            }
            Op::Unregister(side, id) => Outcome::Done(self.remove(side, id)),
            Op::Bind(transport, server) => self.bind(transport, server),
            Op::Unbind(transport) => {
                let owner = self.names.get(&(Side::Transport, transport));
                Outcome::Done(owner.is_some_and(|owner| self.bindings.remove(owner).is_some()))
            }
            Op::Route(side, to, from) => {
                let message = self.message();
                match self.names.get(&(side, to)) {
                    None => Outcome::NotFound(message),
                    Some(&owner) => self.deliver(owner, from, message),
                }
            }
            Op::Broadcast(server) => self.broadcast(server),
            Op::Sweep => self.sweep(),
            Op::FindMany(side, ids) => Outcome::Found(ids.iter().map(|id| self.find_live(side, *id)).collect()),
            Op::RouteMany(side, to, from) => self.route_many(side, &to, from),
            Op::RouteBound(transport) => {
                let owner = self.names.get(&(Side::Transport, transport)).copied();
                self.route_bound(owner)
            }
            Op::TakeRoute(transport) => {
                let owner = self.find_live(Side::Transport, transport);
                if let Some(owner) = owner {
                    self.owners[owner].route = true;
                }
                Outcome::Done(owner.is_some())
            }
            Op::RouteThrough(owner) => match self.owner(owner).filter(|owner| self.owners[*owner].route) {
                None => Outcome::Nothing,
                Some(owner) => {
                    let name = (Side::Transport, self.owners[owner].id);
                    self.route_bound(Some(owner).filter(|owner| self.names.get(&name) == Some(owner)))
                }
            },
        }
    }

    /// Returns the observable state.
    pub fn view(&self) -> View {
        let alive = |owner: usize| !self.owners[owner].closed;
        let find_live = self.names.iter().filter(|(_, owner)| alive(**owner));
        let found: Vec<_> = find_live.map(|(&(side, id), &owner)| (side, id, owner)).collect();
        let count = |wanted| self.names.keys().filter(|(side, _)| *side == wanted).count();
        let current = |&owner: &usize| {
            let Owner { side, id, lease, .. } = self.owners[owner];
            lease && self.names.get(&(side, id)) == Some(&owner)
        };
        let mut transports = Vec::new();
        for id in 0..IDS {
            if let Some(server) = self.find_live(Side::Server, id) {
                let bound = self.bindings.iter().filter(|(transport, to)| **to == server && alive(**transport));
                let mut bound: Vec<u8> = bound.map(|(transport, _)| self.owners[*transport].id).collect();
                bound.sort_unstable();
                transports.push((id, bound));
            }
        }
        let bound = self.bindings.iter().filter(|(transport, _)| alive(**transport));
        let mut servers: Vec<_> = bound.map(|(t, s)| (self.owners[*t].id, self.owners[*s].id)).collect();
        servers.sort_unstable();
        View {
            lengths: (count(Side::Server), count(Side::Transport), self.bindings.len()),
            listed: found.clone(),
            found,
            servers,
            transports,
            current: (0..self.owners.len()).filter(current).collect(),
            waiting: (0..self.owners.len())
                .map(|owner| (owner, self.owners[owner].inbox.len()))
                .filter(|(_, waiting)| *waiting > 0)
                .collect(),
        }
    }

    /// Removes all registrations; returns the contents of the inboxes, by owner.
    pub fn finish(&mut self) -> Vec<Outcome> {
        self.names.clear();
        self.bindings.clear();
        self.owners.drain(..).map(|owner| Outcome::Read(owner.inbox.into())).collect()
    }

    fn owner(&self, number: usize) -> Option<usize> {
        number.checked_rem(self.owners.len())
    }

    /// Returns the owner registered under an id, if its mailbox is open.
    fn find_live(&self, side: Side, id: u8) -> Option<usize> {
        self.names.get(&(side, id)).copied().filter(|owner| !self.owners[*owner].closed)
    }

    fn message(&mut self) -> u64 {
        self.next += 1;
        self.next
    }

    fn register(&mut self, side: Side, id: u8, capacity: usize, server: Option<usize>) -> Outcome {
        if let Some(by) = self.find_live(side, id) {
            return Outcome::Taken(by);
        }
        // A dead registration does not occupy its id, and its successor inherits nothing.
        self.remove(side, id);
        let owner = self.owners.len();
        self.owners.push(Owner {
            side,
            id,
            lease: true,
            capacity,
            closed: false,
            route: false,
            inbox: VecDeque::new(),
        });
        self.names.insert((side, id), owner);
        if let Some(server) = server {
            self.bindings.insert(owner, server);
        }
        Outcome::Registered(owner)
    }

    /// Ends the registration of an owner that still holds its lease; returns whether it was current.
    fn end_lease(&mut self, owner: usize) -> Option<bool> {
        let owner = self.owner(owner)?;
        let Owner { side, id, lease, .. } = self.owners[owner];
        if !lease {
            return None;
        }
        self.owners[owner].lease = false;
        Some(self.names.get(&(side, id)) == Some(&owner) && self.remove(side, id))
    }

    fn remove(&mut self, side: Side, id: u8) -> bool {
        let Some(owner) = self.names.remove(&(side, id)) else { return false };
        self.bindings.retain(|transport, server| *transport != owner && *server != owner);
        true
    }

    fn bind(&mut self, transport: u8, server: u8) -> Outcome {
        let Some(server) = self.find_live(Side::Server, server) else { return Outcome::NoServer };
        let Some(transport) = self.find_live(Side::Transport, transport) else { return Outcome::NoTransport };
        self.bindings.insert(transport, server);
        Outcome::Done(true)
    }

    fn deliver(&mut self, to: usize, from: u8, message: u64) -> Outcome {
        let owner = &mut self.owners[to];
        if owner.closed {
            let (side, id) = (owner.side, owner.id);
            self.remove(side, id);
            return Outcome::Closed(message);
        }
        if owner.inbox.len() == owner.capacity {
            return Outcome::Full(message);
        }
        owner.inbox.push_back((from, message));
        Outcome::Delivered
    }

    /// Resolves all ids before the first delivery, so a dead entry is removed only after all were resolved.
    fn route_many(&mut self, side: Side, to: &[u8], from: u8) -> Outcome {
        let found: Vec<_> = to.iter().map(|id| self.names.get(&(side, *id)).copied()).collect();
        let route = |owner: Option<usize>| {
            let message = self.message();
            owner.map_or(Outcome::NotFound(message), |owner| self.deliver(owner, from, message))
        };
        Outcome::Many(found.into_iter().map(route).collect())
    }

    /// Routes from a transport that is registered, dead or not.
    fn route_bound(&mut self, transport: Option<usize>) -> Outcome {
        let message = self.message();
        let Some(transport) = transport else { return Outcome::NotFound(message) };
        match self.bindings.get(&transport) {
            None => Outcome::NotBound(message),
            Some(&server) => self.deliver(server, self.owners[transport].id, message),
        }
    }

    fn broadcast(&mut self, server: u8) -> Outcome {
        let message = self.message();
        let Some(owner) = self.find_live(Side::Server, server) else {
            return Outcome::Broadcast(false, 0, Vec::new(), Vec::new());
        };
        let bound: Vec<usize> = self.bindings.iter().filter(|(_, to)| **to == owner).map(|(from, _)| *from).collect();
        let (mut delivered, mut full, mut closed) = (0, Vec::new(), Vec::new());
        for transport in bound {
            match self.deliver(transport, server, message) {
                Outcome::Delivered => delivered += 1,
                Outcome::Full(_) => full.push(self.owners[transport].id),
                _ => closed.push(self.owners[transport].id),
            }
        }
        full.sort_unstable();
        closed.sort_unstable();
        Outcome::Broadcast(true, delivered, full, closed)
    }

    fn sweep(&mut self) -> Outcome {
        let dead: Vec<_> =
            self.names.iter().filter(|(_, owner)| self.owners[**owner].closed).map(|(n, _)| *n).collect();
        let servers = dead.iter().filter(|(side, _)| *side == Side::Server).count();
        for (side, id) in &dead {
            self.remove(*side, *id);
        }
        Outcome::SweepReport(servers, dead.len() - servers)
    }
}
