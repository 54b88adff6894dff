//! The books: what was put through the registry and what was not, as counted by those who send.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Mutex, PoisonError};

/// Which way a message goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum To {
    Server,
    Transport,
}

/// Why a message was not delivered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Why {
    /// The sender is not bound to a server.
    NotBound,
    /// The receiver is not registered.
    NotFound,
    /// The receiver's mailbox is closed.
    Closed,
    /// It is not JSON-RPC.
    Unreadable,
}

impl fmt::Display for Why {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::NotBound => "the sender is bound to no server",
            Self::NotFound => "the receiver is not registered",
            Self::Closed => "the receiver's mailbox is closed",
            Self::Unreadable => "it is not JSON-RPC",
        })
    }
}

/// Counts of messages, by their method; an answer counts under the method that it answers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Tally {
    pub(crate) routed: BTreeMap<(To, String), u64>,
    pub(crate) refused: BTreeMap<(To, String, Why), u64>,
    /// Times that a mailbox was full, so that the sender had to wait.
    pub(crate) full: u64,
}

impl Tally {
    /// How many messages of a method went one way.
    pub(crate) fn of(&self, to: To, method: &str) -> u64 {
        self.routed.get(&(to, method.to_owned())).copied().unwrap_or(0)
    }

    /// How many messages went one way.
    pub(crate) fn total(&self, to: To) -> u64 {
        self.routed.iter().filter(|((way, _), _)| *way == to).map(|(_, count)| count).sum()
    }
}

/// A [`Tally`] that all senders share.
#[derive(Debug, Default)]
pub(crate) struct Ledger(Mutex<Tally>);

impl Ledger {
    pub(crate) fn routed(&self, to: To, method: &str) {
        self.write(|tally| *tally.routed.entry((to, method.to_owned())).or_default() += 1);
    }

    pub(crate) fn refused(&self, to: To, method: &str, why: Why) {
        self.write(|tally| *tally.refused.entry((to, method.to_owned(), why)).or_default() += 1);
    }

    pub(crate) fn full(&self) {
        self.write(|tally| tally.full += 1);
    }

    /// The counts as they are now.
    pub(crate) fn tally(&self) -> Tally {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn write(&self, change: impl FnOnce(&mut Tally)) {
        change(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner));
    }
}
