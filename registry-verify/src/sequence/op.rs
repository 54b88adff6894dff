//! Operations as data, and a strategy for random sequences of them.
//!
//! Few ids and small mailboxes make registrations collide, mailboxes fill up, and messages reach dead entries. No
//! operation has a precondition: the model and the registry must reject an invalid one alike. A failing sequence can
//! therefore be shrunk by removing any of its steps.

use proptest::collection::vec;
use proptest::prelude::{Just, Strategy, any, prop_oneof};

/// The kind of an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Side {
    /// A server.
    Server,
    /// A transport.
    Transport,
}

/// One call. Ids are small numbers. An *owner* is the index of a successful registration, modulo their number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Op {
    /// Registers an id with a mailbox of the given capacity.
    Register(Side, u8, usize),
    /// Registers a transport already bound to a server.
    RegisterBound {
        /// The transport's id.
        transport: u8,
        /// The server's id.
        server: u8,
        /// The mailbox's capacity.
        capacity: usize,
    },
    /// Drops an owner's lease.
    DropLease(usize),
    /// Releases an owner's lease.
    Release(usize),
    /// Detaches an owner's lease.
    Detach(usize),
    /// Closes an owner's inbox and reads what it contains.
    Close(usize),
    /// Reads all messages in an owner's inbox.
    Drain(usize),
    /// Unregisters an id.
    Unregister(Side, u8),
    /// Binds a transport (first) to a server.
    Bind(u8, u8),
    /// Unbinds a transport.
    Unbind(u8),
    /// Routes a message to an id of the given side (first), sent from an id of the other side.
    Route(Side, u8, u8),
    /// Broadcasts a message to the transports of a server.
    Broadcast(u8),
    /// Removes all dead entries.
    Sweep,
    /// Looks up several ids in one call.
    FindMany(Side, Many),
    /// Routes a message to each of several ids of the given side, sent from an id of the other side.
    RouteMany(Side, Many, u8),
    /// Routes a message to the server of a transport.
    RouteBound(u8),
    /// Creates a bound route for the registered transport; its owner keeps it.
    TakeRoute(u8),
    /// Routes a message through the bound route of an owner.
    RouteThrough(usize),
}

/// The ids of one call; they may repeat.
pub type Many = [u8; 6];

/// The number of ids of each side.
pub(crate) const IDS: u8 = 4;

/// Returns a strategy for sequences of up to `length` operations.
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
