//! The observed outcomes of calls.

use std::fmt;

use registry_core::{BoundRouteError, RouteError};

use super::name::{Message, Name, Owner};

/// The outcome of a call. An outcome of another kind of call is never allowed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It returned, and there is nothing to tell apart: also a binding that was made.
    Done,
    /// Whether there was something to end or to unbind, or whether a lease is current.
    Bool(bool),
    /// Registered as this owner.
    Registered(Owner),
    /// The name is taken by this owner.
    Taken(Owner),
    /// The server to bind to was not found.
    ServerNotFound,
    /// The transport to bind was not found.
    TransportNotFound,
    /// The owner found, or the one that a bound route belongs to.
    Found(Option<Owner>),
    /// The owner found under each of several names.
    FoundMany(Vec<Option<Owner>>),
    /// The entries listed, in any order.
    Listed(Vec<(Name, Owner)>),
    /// The server of a transport.
    Server(Option<Name>),
    /// The transports of a server, in any order.
    Transports(Vec<Name>),
    /// The outcome of a message.
    Routed(Routed),
    /// The outcome of each of several messages.
    RoutedMany(Vec<Routed>),
    /// The outcome of a broadcast.
    Broadcast(BroadcastOutcome),
    /// The numbers of servers and transports that a sweep removed.
    Swept(usize, usize),
    /// The numbers of servers, transports and bindings.
    Counted(usize, usize, usize),
    /// The contents of an inbox: sender and message.
    Read(Vec<(Name, Message)>),
    /// The number of messages in an inbox.
    Waiting(usize),
}

/// The outcome of one message to one receiver.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Routed {
    /// Delivered: to this owner, if it is known.
    Delivered(Option<Owner>),
    /// Returned: no such receiver, or no such transport on the way to it.
    NotFound(Message),
    /// Returned: the transport is not bound.
    NotBound(Message),
    /// Returned: the mailbox was full.
    Full(Message),
    /// Returned: the mailbox was closed.
    Closed(Message),
}

/// The outcome of a broadcast.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BroadcastOutcome {
    /// Whether the server was found.
    pub found: bool,
    /// The reported number of deliveries.
    pub delivered: usize,
    /// The outcome for each transport that it tried, in any order.
    pub tried: Vec<(Name, Delivery)>,
}

/// The outcome of a broadcast for one transport.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Delivery {
    /// Delivered to this owner.
    Delivered(Owner),
    /// The mailbox was full.
    Full,
    /// The mailbox was closed.
    Closed,
}

impl Routed {
    /// Returns the outcome of a message whose receiver is not known.
    #[must_use]
    pub fn of<E: Into<Self>>(sent: Result<(), E>) -> Self {
        sent.map_or_else(E::into, |()| Self::Delivered(None))
    }

    /// Returns the message that was returned.
    pub(super) fn returned(self) -> Option<Message> {
        match self {
            Self::Delivered(_) => None,
            Self::NotFound(message) | Self::NotBound(message) | Self::Full(message) | Self::Closed(message) => {
                Some(message)
            }
        }
    }
}

impl From<RouteError<Message>> for Routed {
    fn from(error: RouteError<Message>) -> Self {
        match error {
            RouteError::NotFound(message) => Self::NotFound(message),
            RouteError::Full(message) => Self::Full(message),
            RouteError::Closed(message) => Self::Closed(message),
            error => panic!("the specification has no outcome for {error:?}"),
        }
    }
}

impl From<BoundRouteError<Message>> for Routed {
    fn from(error: BoundRouteError<Message>) -> Self {
        match error {
            BoundRouteError::TransportNotFound(message) => Self::NotFound(message),
            BoundRouteError::NotBound(message) => Self::NotBound(message),
            BoundRouteError::Full(message) => Self::Full(message),
            BoundRouteError::Closed(message) => Self::Closed(message),
            error => panic!("the specification has no outcome for {error:?}"),
        }
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Done => f.write_str("done"),
            Self::Bool(is) => write!(f, "{is}"),
            Self::Registered(owner) => write!(f, "registered as {owner}"),
            Self::Taken(owner) => write!(f, "taken by {owner}"),
            Self::ServerNotFound => f.write_str("server not found"),
            Self::TransportNotFound => f.write_str("transport not found"),
            Self::Found(found) => option(f, found.as_ref()),
            Self::FoundMany(found) => list(f, found.iter().map(|found| found.map_or("none".into(), |o| o.to_string()))),
            Self::Listed(listed) => list(f, listed.iter().map(|(name, owner)| format!("{name} is {owner}"))),
            Self::Server(server) => option(f, server.as_ref()),
            Self::Transports(transports) => list(f, transports),
            Self::Routed(routed) => routed.fmt(f),
            Self::RoutedMany(routed) => list(f, routed),
            Self::Broadcast(BroadcastOutcome { found, delivered, tried }) => {
                write!(f, "{}, {delivered} delivered: ", if *found { "server found" } else { "server not found" })?;
                list(f, tried.iter().map(|(transport, outcome)| format!("{transport} {outcome}")))
            }
            Self::Swept(servers, transports) => write!(f, "{servers} servers, {transports} transports"),
            Self::Counted(servers, transports, bindings) => {
                write!(f, "{servers} servers, {transports} transports, {bindings} bindings")
            }
            Self::Read(read) => list(f, read.iter().map(|(from, message)| format!("{message} from {from}"))),
            Self::Waiting(messages) => write!(f, "{messages}"),
        }
    }
}

impl fmt::Display for Routed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Delivered(Some(owner)) => write!(f, "delivered to {owner}"),
            Self::Delivered(None) => f.write_str("delivered"),
            Self::NotFound(message) => write!(f, "not found, returned {message}"),
            Self::NotBound(message) => write!(f, "not bound, returned {message}"),
            Self::Full(message) => write!(f, "full, returned {message}"),
            Self::Closed(message) => write!(f, "closed, returned {message}"),
        }
    }
}

impl fmt::Display for Delivery {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Delivered(owner) => write!(f, "delivered to {owner}"),
            Self::Full => f.write_str("full"),
            Self::Closed => f.write_str("closed"),
        }
    }
}

fn option<T: fmt::Display>(f: &mut fmt::Formatter<'_>, item: Option<&T>) -> fmt::Result {
    match item {
        Some(item) => item.fmt(f),
        None => f.write_str("none"),
    }
}

/// Writes items separated by commas.
pub(super) fn list<T: fmt::Display>(f: &mut fmt::Formatter<'_>, items: impl IntoIterator<Item = T>) -> fmt::Result {
    let items: Vec<String> = items.into_iter().map(|item| item.to_string()).collect();
    if items.is_empty() { f.write_str("none") } else { f.write_str(&items.join(", ")) }
}
