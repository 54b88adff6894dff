//! Counts of messages, kept by their senders.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Mutex, PoisonError};

use registry_router::RouteErrorKind;

/// The kind of the receiver of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Recipient {
    Server,
    Transport,
}

/// Why a message was not delivered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum UndeliveredReason {
    /// The sender is not bound to a server.
    NotBound,
    /// The receiver is not registered.
    NotFound,
    /// The receiver's mailbox is closed.
    Closed,
    /// The receiver did not accept the message, for another reason.
    NotAccepted,
    /// The message is not JSON-RPC.
    Unreadable,
}

impl From<RouteErrorKind> for UndeliveredReason {
    fn from(kind: RouteErrorKind) -> Self {
        match kind {
            RouteErrorKind::NotBound => Self::NotBound,
            RouteErrorKind::NotFound => Self::NotFound,
            RouteErrorKind::Closed => Self::Closed,
            _ => Self::NotAccepted,
        }
    }
}

impl fmt::Display for UndeliveredReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::NotBound => "the sender is not bound to a server",
            Self::NotFound => "the receiver is not registered",
            Self::Closed => "the receiver's mailbox is closed",
            Self::NotAccepted => "the receiver did not accept the message",
            Self::Unreadable => "the message is not JSON-RPC",
        })
    }
}

/// Counts of messages by method; a response counts under the method of its request.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct SentMessages {
    pub(crate) routed: BTreeMap<(Recipient, String), u64>,
    pub(crate) delivery_failed: BTreeMap<(Recipient, String, UndeliveredReason), u64>,
    /// How often a mailbox was full, so that the sender had to wait.
    pub(crate) full: u64,
}

impl SentMessages {
    /// Returns the number of messages of a method that were routed to one kind of receiver.
    pub(crate) fn of(&self, to: Recipient, method: &str) -> u64 {
        self.routed.get(&(to, method.to_owned())).copied().unwrap_or(0)
    }

    /// Returns the number of messages routed to one kind of receiver.
    pub(crate) fn total(&self, to: Recipient) -> u64 {
        self.routed.iter().filter(|((recipient, _), _)| *recipient == to).map(|(_, count)| count).sum()
    }
}

/// A [`SentMessages`] that all senders share.
#[derive(Debug, Default)]
pub(crate) struct MessageLog(Mutex<SentMessages>);

impl MessageLog {
    pub(crate) fn routed(&self, to: Recipient, method: &str) {
        self.write(|sent| *sent.routed.entry((to, method.to_owned())).or_default() += 1);
    }

    pub(crate) fn delivery_failed(&self, to: Recipient, method: &str, reason: UndeliveredReason) {
        self.write(|sent| *sent.delivery_failed.entry((to, method.to_owned(), reason)).or_default() += 1);
    }

    pub(crate) fn full(&self) {
        self.write(|sent| sent.full += 1);
    }

    /// Returns a copy of the counts.
    pub(crate) fn sent(&self) -> SentMessages {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn write(&self, change: impl FnOnce(&mut SentMessages)) {
        change(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner));
    }
}
