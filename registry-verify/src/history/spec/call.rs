//! Calls with their results, in the words of the specification.

use std::fmt;

use super::{Name, Owner};

/// A call and what came of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Call {
    /// A name was to be registered.
    Register(Name, RegisterOutcome),
    /// A transport (first) was to be registered, bound to a server from the beginning.
    RegisterBound(Name, Name, RegisterOutcome),
    /// An owner released its lease: whether its registration was still there.
    Release(Owner, bool),
    /// A name was unregistered: whether there was a registration.
    Unregister(Name, bool),
    /// A transport (first) was to be bound to a server.
    Bind(Name, Name, BindOutcome),
    /// A transport was unbound: whether it was bound.
    Unbind(Name, bool),
    /// A name was looked up: who was found.
    Find(Name, Option<Owner>),
    /// An owner asked whether its registration is there.
    IsCurrent(Owner, bool),
    /// The server of a transport was asked for.
    ServerFor(Name, Option<Name>),
    /// The transports of a server were asked for.
    TransportsOf(Name, Vec<Name>),
    /// A message went to all transports of a server: `None` if that was not found.
    Broadcast(Name, Option<Vec<(Name, DeliveryOutcome)>>),
    /// A message was routed to a name.
    Route(Name, RouteOutcome),
    /// An owner closed its mailbox.
    Close(Owner),
    /// The dead were swept out: so many servers and so many transports.
    Sweep(u8, u8),
    /// With no other call under way, the registry counted servers, transports and bindings.
    Count(u8, u8, u8),
}

/// What came of a registration.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RegisterOutcome {
    /// It is this one.
    Registered(Owner),
    /// The name is taken, by this one.
    Taken(Owner),
    /// The server to be bound to was not found.
    NoServer,
}

/// What came of a binding.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BindOutcome {
    /// It is there.
    Bound,
    /// The transport was not found.
    NoTransport,
    /// The server was not found.
    NoServer,
}

/// What came of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RouteOutcome {
    /// It was in this one's inbox.
    Delivered(Owner),
    /// There was nobody.
    NotFound,
    /// There was no room.
    Full,
    /// The mailbox was closed.
    Closed,
}

/// What came of a message to one transport of many.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DeliveryOutcome {
    /// It was in this one's inbox.
    Delivered(Owner),
    /// There was no room.
    Full,
    /// The mailbox was closed.
    Closed,
}

impl Call {
    /// Whether a call with this result has changed nothing.
    pub(super) fn is_read_only(&self) -> bool {
        match self {
            Self::Bind(_, _, bound) => *bound != BindOutcome::Bound,
            Self::Unbind(_, was_bound) => !was_bound,
            Self::Broadcast(_, Some(outcomes)) => {
                outcomes.iter().all(|(_, outcome)| *outcome != DeliveryOutcome::Closed)
            }
            Self::Route(_, routed) => *routed != RouteOutcome::Closed,
            Self::Broadcast(_, None)
            | Self::Find(..)
            | Self::IsCurrent(..)
            | Self::ServerFor(..)
            | Self::TransportsOf(..)
            | Self::Count(..) => true,
            // Even one that was in vain may have begun the end of a registration that another call completed.
            Self::Register(..)
            | Self::RegisterBound(..)
            | Self::Release(..)
            | Self::Unregister(..)
            | Self::Close(_)
            | Self::Sweep(..) => false,
        }
    }
}

impl fmt::Display for Call {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Register(name, outcome) => write!(f, "register {name}: {outcome}"),
            Self::RegisterBound(transport, server, outcome) => {
                write!(f, "register {transport} bound to {server}: {outcome}")
            }
            Self::Release(owner, ended) => write!(f, "release the lease of {owner}: {ended}"),
            Self::Unregister(name, ended) => write!(f, "unregister {name}: {ended}"),
            Self::Bind(transport, server, bound) => write!(f, "bind {transport} to {server}: {bound}"),
            Self::Unbind(transport, was_bound) => write!(f, "unbind {transport}: {was_bound}"),
            Self::Find(name, Some(owner)) => write!(f, "find {name}: {owner}"),
            Self::Find(name, None) => write!(f, "find {name}: nobody"),
            Self::IsCurrent(owner, is) => write!(f, "is {owner} current: {is}"),
            Self::ServerFor(transport, Some(server)) => write!(f, "server for {transport}: {server}"),
            Self::ServerFor(transport, None) => write!(f, "server for {transport}: none"),
            Self::TransportsOf(server, transports) => {
                write!(f, "transports of {server}: ")?;
                list(f, transports.iter())
            }
            Self::Broadcast(server, None) => write!(f, "broadcast to {server}: not found"),
            Self::Broadcast(server, Some(outcomes)) => {
                write!(f, "broadcast to {server}: ")?;
                list(f, outcomes.iter().map(|(transport, outcome)| format!("{transport} {outcome}")))
            }
            Self::Route(name, routed) => write!(f, "route to {name}: {routed}"),
            Self::Close(owner) => write!(f, "close the mailbox of {owner}"),
            Self::Sweep(servers, transports) => write!(f, "sweep: {servers} servers, {transports} transports"),
            Self::Count(servers, transports, bindings) => {
                write!(f, "count: {servers} servers, {transports} transports, {bindings} bindings")
            }
        }
    }
}

fn list<T: fmt::Display>(f: &mut fmt::Formatter<'_>, items: impl Iterator<Item = T>) -> fmt::Result {
    let items: Vec<String> = items.map(|item| item.to_string()).collect();
    if items.is_empty() { f.write_str("none") } else { f.write_str(&items.join(", ")) }
}

impl fmt::Display for RegisterOutcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Registered(owner) => write!(f, "registered as {owner}"),
            Self::Taken(owner) => write!(f, "taken by {owner}"),
            Self::NoServer => f.write_str("server not found"),
        }
    }
}

impl fmt::Display for BindOutcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Bound => "bound",
            Self::NoTransport => "transport not found",
            Self::NoServer => "server not found",
        })
    }
}

impl fmt::Display for RouteOutcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Delivered(owner) => write!(f, "delivered to {owner}"),
            Self::NotFound => f.write_str("not found"),
            Self::Full => f.write_str("full"),
            Self::Closed => f.write_str("closed"),
        }
    }
}

impl fmt::Display for DeliveryOutcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Delivered(owner) => write!(f, "got it as {owner}"),
            Self::Full => f.write_str("had no room"),
            Self::Closed => f.write_str("was closed"),
        }
    }
}
