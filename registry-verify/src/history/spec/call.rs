//! Calls with their observed results.

use std::fmt;

use super::{Name, Owner};

/// A call and its result.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Call {
    /// Registers a name.
    Register(Name, RegisterOutcome),
    /// Registers a transport (first) bound to a server.
    RegisterBound(Name, Name, RegisterOutcome),
    /// Releases a lease: whether its registration was still current.
    Release(Owner, bool),
    /// Unregisters a name: whether there was a registration.
    Unregister(Name, bool),
    /// Binds a transport (first) to a server.
    Bind(Name, Name, BindOutcome),
    /// Unbinds a transport: whether it was bound.
    Unbind(Name, bool),
    /// Looks up a name: the owner found.
    Find(Name, Option<Owner>),
    /// Checks whether a lease is current.
    IsCurrent(Owner, bool),
    /// Reads the server of a transport.
    ServerFor(Name, Option<Name>),
    /// Reads the transports of a server.
    TransportsOf(Name, Vec<Name>),
    /// Broadcasts to the transports of a server: `None` if the server was not found.
    Broadcast(Name, Option<Vec<(Name, DeliveryOutcome)>>),
    /// Routes a message to a name.
    Route(Name, RouteOutcome),
    /// Closes an owner's mailbox.
    Close(Owner),
    /// Sweeps: the numbers of removed servers and transports.
    Sweep(u8, u8),
    /// Counts servers, transports and bindings while no other call is pending.
    Count(u8, u8, u8),
}

/// The result of a registration.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RegisterOutcome {
    /// Registered as this owner.
    Registered(Owner),
    /// The name is taken by this owner.
    Taken(Owner),
    /// The server to bind to was not found.
    NoServer,
}

/// The result of a binding.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BindOutcome {
    /// Bound.
    Bound,
    /// The transport was not found.
    NoTransport,
    /// The server was not found.
    NoServer,
}

/// The result of routing a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RouteOutcome {
    /// Delivered to this owner.
    Delivered(Owner),
    /// No such registration.
    NotFound,
    /// The mailbox was full.
    Full,
    /// The mailbox was closed.
    Closed,
}

/// The result of a broadcast for one transport.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DeliveryOutcome {
    /// Delivered to this owner.
    Delivered(Owner),
    /// The mailbox was full.
    Full,
    /// The mailbox was closed.
    Closed,
}

impl Call {
    /// Returns whether a call with this result has changed nothing.
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
            // Even a failed one may have taken the first step of a removal that another call completed.
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
            Self::Find(name, None) => write!(f, "find {name}: none"),
            Self::IsCurrent(owner, is_current) => write!(f, "is {owner} current: {is_current}"),
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
            Self::Delivered(owner) => write!(f, "delivered to {owner}"),
            Self::Full => f.write_str("full"),
            Self::Closed => f.write_str("closed"),
        }
    }
}
