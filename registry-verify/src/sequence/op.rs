//! Operations as data, and a strategy for random sequences of them.
//!
//! Few ids and small mailboxes make registrations collide, mailboxes fill up, and messages reach dead entries. No
//! operation has a precondition: one that is impossible is skipped. A failing sequence can therefore be shrunk by removing
//! any of its steps.

use proptest::collection::vec;
use proptest::prelude::{Just, Strategy, any, prop, prop_oneof};

use crate::spec::{IDS, Name, Side};

/// One operation. An *owner* is the index of a successful registration, modulo their number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Op {
    /// Registers a name with a mailbox of the given capacity.
    Register(Name, usize),
    /// Registers a transport (first) bound to a server, with a mailbox of the given capacity.
    RegisterBound(Name, Name, usize),
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
    /// Unregisters a name.
    Unregister(Name),
    /// Binds a transport (first) to a server.
    Bind(Name, Name),
    /// Unbinds a transport.
    Unbind(Name),
    /// Routes a message to a name, sent from an id of the other side.
    Route(Name, u8),
    /// Broadcasts a message to the transports of a server.
    Broadcast(Name),
    /// Removes all dead entries.
    Sweep,
    /// Looks up several ids in one call.
    FindMany(Side, Many),
    /// Routes a message to each of several ids of the given side, sent from an id of the other side.
    RouteMany(Side, Many, u8),
    /// Routes a message to the server of a transport.
    RouteToBound(Name),
    /// Creates a bound route for the registered transport; its owner keeps it.
    BoundRoute(Name),
    /// Sends a message over the bound route of an owner.
    SendBound(usize),
}

/// The ids of one call; they may repeat.
pub type Many = [u8; 6];

/// Returns a strategy for sequences of up to `length` operations, of which at most
/// [`OWNERS`](crate::spec::OWNERS) may register.
pub fn sequences(length: usize) -> impl Strategy<Value = Vec<Op>> {
    vec(operation(), 1..=length)
}

fn operation() -> impl Strategy<Value = Op> {
    let id = || 0..IDS as u8;
    let side = || prop_oneof![Just(Side::Server), Just(Side::Transport)];
    let name = || (side(), id()).prop_map(|(side, id)| Name { side, id });
    let server = || id().prop_map(Name::server);
    let transport = || id().prop_map(Name::transport);
    let owner = || any::<prop::sample::Index>().prop_map(|index| index.index(64));
    let many = || [id(), id(), id(), id(), id(), id()];
    let capacity = || 1..=3_usize;
    prop_oneof![
        4 => (name(), capacity()).prop_map(|(name, capacity)| Op::Register(name, capacity)),
        3 => (transport(), server(), capacity())
            .prop_map(|(transport, server, capacity)| Op::RegisterBound(transport, server, capacity)),
        2 => owner().prop_map(Op::DropLease),
        1 => owner().prop_map(Op::Release),
        1 => owner().prop_map(Op::Detach),
        1 => owner().prop_map(Op::Close),
        1 => owner().prop_map(Op::Drain),
        2 => name().prop_map(Op::Unregister),
        4 => (transport(), server()).prop_map(|(transport, server)| Op::Bind(transport, server)),
        2 => transport().prop_map(Op::Unbind),
        5 => (name(), id()).prop_map(|(to, from)| Op::Route(to, from)),
        2 => server().prop_map(Op::Broadcast),
        1 => Just(Op::Sweep),
        1 => (side(), many()).prop_map(|(side, ids)| Op::FindMany(side, ids)),
        2 => (side(), many(), id()).prop_map(|(side, to, from)| Op::RouteMany(side, to, from)),
        1 => transport().prop_map(Op::RouteToBound),
        2 => transport().prop_map(Op::BoundRoute),
        4 => owner().prop_map(Op::SendBound),
    ]
}
