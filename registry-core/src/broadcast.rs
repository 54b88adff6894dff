//! The result of a broadcast.

use crate::id::{ServerId, TransportId};

/// The result of a broadcast. Every transport that was bound is counted or listed exactly once.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub struct BroadcastReport {
    /// The server, or `None` if it is not registered, in which case nothing was sent.
    pub server: Option<ServerId>,
    /// The number of mailboxes that accepted the message.
    pub delivered: usize,
    /// The transports whose mailbox was full.
    pub full: Vec<TransportId>,
    /// The transports whose mailbox was closed; their registrations have been removed.
    pub closed: Vec<TransportId>,
}

impl BroadcastReport {
    /// Returns the number of transports that were bound.
    pub fn attempted(&self) -> usize {
        self.delivered + self.full.len() + self.closed.len()
    }
}
