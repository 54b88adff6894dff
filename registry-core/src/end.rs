//! Why a registration has ended.

use std::fmt;

use crate::incarnation::Incarnation;

/// Why a registration has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "snake_case"))]
#[non_exhaustive]
pub enum EndReason {
    /// Its lease was released or dropped, or replaced it by a renewal.
    Released,
    /// It was unregistered by its id.
    Unregistered,
    /// Its mailbox was closed, which was found by a message, a sweep, or another registration.
    MailboxClosed,
    /// Another registration took its id.
    Replaced {
        /// The incarnation of the registration that has the id now.
        by: Incarnation,
    },
    /// The registry was dropped.
    RegistryDropped,
}

impl fmt::Display for EndReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Released => f.write_str("the lease was released"),
            Self::Unregistered => f.write_str("the id was unregistered"),
            Self::MailboxClosed => f.write_str("the mailbox was closed"),
            Self::Replaced { by } => write!(f, "incarnation {by} replaced it"),
            Self::RegistryDropped => f.write_str("the registry was dropped"),
        }
    }
}
