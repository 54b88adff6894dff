//! The two kinds of registrations.

use std::fmt;

/// The kind of a registration.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize), serde(rename_all = "snake_case"))]
pub enum Kind {
    /// A server: a service that receives messages from transports.
    Server,
    /// A transport: a connection, bound to at most one server.
    Transport,
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Server => "server",
            Self::Transport => "transport",
        })
    }
}
