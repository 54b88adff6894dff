//! Calls, without their outcomes.

use std::fmt;

use super::name::{Message, Name, Owner, Side};
use super::outcome::{Outcome, list};

/// A call. Owners are absolute numbers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Call {
    /// Registers a name with a mailbox of this capacity.
    Register(Name, usize),
    /// Registers a transport (first) bound to a server, with a mailbox of this capacity.
    RegisterBound(Name, Name, usize),
    /// Releases a lease.
    Release(Owner),
    /// Drops a lease.
    DropLease(Owner),
    /// Detaches a lease: the registration remains.
    Detach(Owner),
    /// Unregisters a name.
    Unregister(Name),
    /// Removes all dead entries.
    Sweep,
    /// Binds a transport (first) to a server.
    Bind(Name, Name),
    /// Unbinds a transport.
    Unbind(Name),
    /// Reads the server of a transport.
    ServerFor(Name),
    /// Reads the transports of a server.
    TransportsOf(Name),
    /// Looks up a name.
    Find(Name),
    /// Looks up several names in one call.
    FindMany(Vec<Name>),
    /// Lists the entries of a side.
    List(Side),
    /// Checks whether a lease is current.
    IsCurrent(Owner),
    /// Counts servers, transports and bindings while no other call is pending.
    Count,
    /// Routes a message to a name (first) from another.
    Route(Name, Name, Message),
    /// Routes a message to each of several names, in order, from another name. The messages are numbered from the last
    /// argument on.
    RouteMany(Vec<Name>, Name, Message),
    /// Broadcasts a message to the transports of a server.
    Broadcast(Name, Message),
    /// Routes a message to the server of a transport.
    RouteToBound(Name, Message),
    /// Creates a bound route of a transport.
    BoundRoute(Name),
    /// Sends a message over a bound route of this owner.
    SendBound(Owner, Message),
    /// Closes an owner's mailbox.
    Close(Owner),
    /// Reads all messages in an owner's inbox.
    Drain(Owner),
    /// Returns the number of messages in an owner's inbox.
    Waiting(Owner),
}

/// A call with its observed outcome.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Completed {
    /// The call.
    pub call: Call,
    /// Its outcome.
    pub outcome: Outcome,
}

impl Call {
    /// Returns the call with an observed outcome.
    #[must_use]
    pub fn with(self, outcome: Outcome) -> Completed {
        Completed { call: self, outcome }
    }
}

impl fmt::Display for Completed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.call, self.outcome)
    }
}

impl fmt::Display for Call {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Register(name, _) => write!(f, "register {name}"),
            Self::RegisterBound(transport, server, _) => write!(f, "register {transport} bound to {server}"),
            Self::Release(owner) => write!(f, "release the lease of {owner}"),
            Self::DropLease(owner) => write!(f, "drop the lease of {owner}"),
            Self::Detach(owner) => write!(f, "detach the lease of {owner}"),
            Self::Unregister(name) => write!(f, "unregister {name}"),
            Self::Sweep => f.write_str("sweep"),
            Self::Bind(transport, server) => write!(f, "bind {transport} to {server}"),
            Self::Unbind(transport) => write!(f, "unbind {transport}"),
            Self::ServerFor(transport) => write!(f, "server for {transport}"),
            Self::TransportsOf(server) => write!(f, "transports of {server}"),
            Self::Find(name) => write!(f, "find {name}"),
            Self::FindMany(names) => {
                f.write_str("find ")?;
                list(f, names)
            }
            Self::List(Side::Server) => f.write_str("list servers"),
            Self::List(Side::Transport) => f.write_str("list transports"),
            Self::IsCurrent(owner) => write!(f, "is {owner} current"),
            Self::Count => f.write_str("count"),
            Self::Route(to, from, message) => write!(f, "route message {message} to {to} from {from}"),
            Self::RouteMany(to, from, first) => {
                write!(f, "route messages {first} and following from {from} to ")?;
                list(f, to)
            }
            Self::Broadcast(server, message) => write!(f, "broadcast message {message} to {server}"),
            Self::RouteToBound(transport, message) => write!(f, "route message {message} to the server of {transport}"),
            Self::BoundRoute(transport) => write!(f, "bound route of {transport}"),
            Self::SendBound(owner, message) => write!(f, "send message {message} over the route of {owner}"),
            Self::Close(owner) => write!(f, "close the mailbox of {owner}"),
            Self::Drain(owner) => write!(f, "read the inbox of {owner}"),
            Self::Waiting(owner) => write!(f, "count the messages for {owner}"),
        }
    }
}
