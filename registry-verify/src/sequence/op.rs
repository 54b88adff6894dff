//! Operations as data, and random sequences of them.
//!
//! Few ids and small mailboxes, so that registrations collide, mailboxes fill, and the dead are talked to.
//! No operation has a precondition: one that makes no sense must be refused alike by model and registry. So a sequence
//! that fails can be shrunk by leaving out any of its steps.

use proptest::collection::vec;
use proptest::prelude::{Just, Strategy, any, prop_oneof};

/// Servers or transports.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Side {
    /// What answers.
    Server,
    /// Connections.
    Transport,
}

/// One call. Ids are small numbers; an *owner* is whoever made the n-th successful registration, modulo their number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Op {
    /// Registers an id with a mailbox of that capacity.
    Register(Side, u8, usize),
    /// Registers a transport that is bound to a server from its first instant.
    RegisterBound {
        /// The transport.
        transport: u8,
        /// The server.
        server: u8,
        /// Of its mailbox.
        capacity: usize,
    },
    /// An owner drops its lease.
    DropLease(usize),
    /// An owner releases its lease.
    Release(usize),
    /// An owner detaches its lease.
    Detach(usize),
    /// An owner closes its inbox, and reads what is in it.
    Close(usize),
    /// An owner reads all that is in its inbox.
    Drain(usize),
    /// An id is unregistered by name.
    Unregister(Side, u8),
    /// Binds a transport (first) to a server.
    Bind(u8, u8),
    /// Unbinds a transport.
    Unbind(u8),
    /// Sends a message to a server (first) in the name of a transport, or the other way round.
    Route(Side, u8, u8),
    /// Sends a message to all transports of a server.
    Broadcast(u8),
    /// Takes out the dead.
    Sweep,
    /// Looks up many ids at once.
    FindMany(Side, Many),
    /// Sends a message to each of many servers at once in the name of a transport, or the other way round.
    RouteMany(Side, Many, u8),
    /// Sends a message to the server that a transport is bound to.
    RouteBound(u8),
    /// Makes a route from whoever is registered as that transport, which that owner keeps.
    TakeRoute(u8),
    /// An owner sends a message through the route that it keeps.
    RouteThrough(usize),
}

/// Ids that are given in one call, some of them more than once.
pub type Many = [u8; 6];

/// How many ids there are of each side.
pub(crate) const IDS: u8 = 4;

/// Random sequences of up to `length` operations.
pub fn sequences(length: usize) -> impl Strategy<Value = Vec<Op>> {
    vec(operation(), 1..=length)
}

fn operation() -> impl Strategy<Value = Op> {
    let id = || 0..IDS;
    let owner = || any::<prop::sample::Index>().prop_map(|index| index.index(64));
    let many = || [id(), id(), id(), id(), id(), id()];
    let side = || prop_oneof![Just(Side::Server), Just(Side::Transport)];
    let capacity = || 1..=3_usize;
    prop_oneof![
        4 => (side(), id(), capacity()).prop_map(|(side, id, capacity)| Op::Register(side, id, capacity)),
        3 => (id(), id(), capacity())
            .prop_map(|(transport, server, capacity)| Op::RegisterBound { transport, server, capacity }),
        2 => owner().prop_map(Op::DropLease),
        1 => owner().prop_map(Op::Release),
        1 => owner().prop_map(Op::Detach),
        1 => owner().prop_map(Op::Close),
        1 => owner().prop_map(Op::Drain),
        2 => (side(), id()).prop_map(|(side, id)| Op::Unregister(side, id)),
        4 => (id(), id()).prop_map(|(transport, server)| Op::Bind(transport, server)),
        2 => id().prop_map(Op::Unbind),
        5 => (side(), id(), id()).prop_map(|(side, to, from)| Op::Route(side, to, from)),
        2 => id().prop_map(Op::Broadcast),
        1 => Just(Op::Sweep),
        1 => (side(), many()).prop_map(|(side, ids)| Op::FindMany(side, ids)),
        2 => (side(), many(), id()).prop_map(|(side, to, from)| Op::RouteMany(side, to, from)),
        1 => id().prop_map(Op::RouteBound),
        2 => id().prop_map(Op::TakeRoute),
        4 => owner().prop_map(Op::RouteThrough),
    ]
}

use proptest::prelude::prop;
