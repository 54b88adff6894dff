//! What is timed, by name.

use std::fmt;

/// An operation that every peer is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operation {
    /// Finding an id that is there, all in turn in random order, and reading what is held under it.
    Lookup,
    /// Not finding one.
    Miss,
    /// Finding one and the same id, with all threads.
    Hot,
    /// Finding an id and putting a message into its mailbox.
    Route,
    /// Registering an id, and ending that.
    Register,
    /// 40 % lookups, 30 % messages, 20 % registrations with their end, 10 % bindings.
    Mixed,
}

impl Operation {
    /// All of them, in the order in which they are measured.
    pub const ALL: [Self; 6] = [Self::Lookup, Self::Miss, Self::Hot, Self::Route, Self::Register, Self::Mixed];

    /// The name in rows.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Lookup => "lookup",
            Self::Miss => "miss",
            Self::Hot => "hot",
            Self::Route => "route",
            Self::Register => "register",
            Self::Mixed => "mixed",
        }
    }

    /// The operation of that name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|operation| operation.name() == name)
    }

    /// Whether it leaves messages in mailboxes, which somebody has to empty.
    #[must_use]
    pub fn sends(self) -> bool {
        matches!(self, Self::Route | Self::Mixed)
    }
}

impl fmt::Display for Operation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_lead_back() {
        for operation in Operation::ALL {
            assert_eq!(Operation::named(operation.name()), Some(operation));
        }
        assert_eq!(Operation::named("nope"), None);
    }
}
