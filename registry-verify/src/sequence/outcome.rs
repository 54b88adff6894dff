//! What a call returned and what can be seen, in words that model and registry share.
//!
//! A registration is known by the number of its owner, and not by its incarnation: how a registry numbers them is its
//! own affair.

use super::op::Side;

/// What a call returned.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// A registration succeeded, and is this owner's.
    Registered(usize),
    /// The id is taken, by this owner.
    Taken(usize),
    /// Yes or no: whether something was there to be undone.
    Done(bool),
    /// Nothing was returned.
    Nothing,
    /// The transport is missing.
    NoTransport,
    /// The server is missing.
    NoServer,
    /// A message was delivered.
    Delivered,
    /// A message came back: nobody there.
    NotFound(u64),
    /// A message came back: no room.
    Full(u64),
    /// A message came back: nobody will receive it.
    Closed(u64),
    /// A message came back: its sender is bound to nobody.
    NotBound(u64),
    /// Who was found under each of many ids, by owner.
    Found(Vec<Option<usize>>),
    /// What became of each of many messages.
    Many(Vec<Outcome>),
    /// A broadcast: whether the server was there, how many took the message, who had no room, who was closed.
    Broadcast(bool, usize, Vec<u8>, Vec<u8>),
    /// So many servers and transports were dead, and were taken out.
    SweepReport(usize, usize),
    /// What was in an inbox: who sent it, and what.
    Read(Vec<(u8, u64)>),
}

/// All that can be seen of a registry.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct View {
    /// Who is registered under which id, by owner; looked up one by one.
    pub found: Vec<(Side, u8, usize)>,
    /// The same from the lists.
    pub listed: Vec<(Side, u8, usize)>,
    /// How many servers, transports and bindings there are, the dead included, by the registry's own count.
    pub lengths: (usize, usize, usize),
    /// Which server each transport has.
    pub servers: Vec<(u8, u8)>,
    /// Which transports each server has.
    pub transports: Vec<(u8, Vec<u8>)>,
    /// Which owners hold a lease that is current.
    pub current: Vec<usize>,
    /// How many messages lie in each inbox that is not empty, by owner.
    pub waiting: Vec<(usize, usize)>,
}
