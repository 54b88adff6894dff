//! Why a registration has ended.

use std::fmt;

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
    /// The registry was dropped.
    RegistryDropped,
}

impl fmt::Display for EndReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Released => "the lease was released",
            Self::Unregistered => "the id was unregistered",
            Self::MailboxClosed => "the mailbox was closed",
            Self::RegistryDropped => "the registry was dropped",
        })
    }
}
