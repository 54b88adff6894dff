//! Results and observable state, in terms common to the model and the registry.
//!
//! A registration is identified by its owner's number, not by its incarnation: the model does not prescribe how the
//! registry numbers incarnations.

use super::op::Side;

/// The result of a call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Registered, with this owner's number.
    Registered(usize),
    /// The id is taken by this owner.
    Taken(usize),
    /// Whether there was something to remove, release or bind.
    Done(bool),
    /// No result.
    Nothing,
    /// The transport was not found.
    NoTransport,
    /// The server was not found.
    NoServer,
    /// The message was delivered.
    Delivered,
    /// The message was returned: receiver not found.
    NotFound(u64),
    /// The message was returned: mailbox full.
    Full(u64),
    /// The message was returned: mailbox closed.
    Closed(u64),
    /// The message was returned: transport not bound.
    NotBound(u64),
    /// The owner found under each of several ids.
    Found(Vec<Option<usize>>),
    /// The result of each of several messages.
    Many(Vec<Outcome>),
    /// A broadcast: whether the server was found, the number of deliveries, the full and the closed transports.
    Broadcast(bool, usize, Vec<u8>, Vec<u8>),
    /// The numbers of removed servers and transports.
    SweepReport(usize, usize),
    /// The contents of an inbox: sender and message.
    Read(Vec<(u8, u64)>),
}

/// The observable state of a registry.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct View {
    /// The owner registered under each id, from single lookups.
    pub found: Vec<(Side, u8, usize)>,
    /// The same from the lists.
    pub listed: Vec<(Side, u8, usize)>,
    /// The numbers of servers, transports and bindings, dead entries included, as counted by the registry.
    pub lengths: (usize, usize, usize),
    /// The server of each bound transport.
    pub servers: Vec<(u8, u8)>,
    /// The transports of each server.
    pub transports: Vec<(u8, Vec<u8>)>,
    /// The owners whose lease is current.
    pub current: Vec<usize>,
    /// The number of messages in each non-empty inbox, by owner.
    pub waiting: Vec<(usize, usize)>,
}
