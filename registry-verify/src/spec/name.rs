//! Names and owners: what a registration is registered under, and which registration it is.

use std::fmt;

/// The number of ids of each side.
pub const IDS: usize = 4;

/// The maximum number of owners in one history or sequence.
pub const OWNERS: usize = 128;

/// A message; each one sent has its own number.
pub type Message = u64;

/// The kind of an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Side {
    /// A server.
    Server,
    /// A transport.
    Transport,
}

/// An id of one side.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Name {
    /// The side.
    pub side: Side,
    /// The id, less than [`IDS`].
    pub id: u8,
}

/// The number of names.
pub(super) const NAMES: usize = 2 * IDS;

impl Name {
    /// All names: the servers, then the transports.
    pub const ALL: [Self; NAMES] = {
        let mut all = [Self::server(0); NAMES];
        let mut id = 0;
        while id < IDS {
            all[id] = Self::server(id as u8);
            all[IDS + id] = Self::transport(id as u8);
            id += 1;
        }
        all
    };

    /// Returns the name of a server.
    #[must_use]
    pub const fn server(id: u8) -> Self {
        Self { side: Side::Server, id }
    }

    /// Returns the name of a transport.
    #[must_use]
    pub const fn transport(id: u8) -> Self {
        Self { side: Side::Transport, id }
    }

    /// Returns the name with the same id on the side that sends to this one.
    #[must_use]
    pub const fn sender(side: Side, id: u8) -> Self {
        match side {
            Side::Server => Self::transport(id),
            Side::Transport => Self::server(id),
        }
    }

    /// Returns all names of a side.
    pub fn all_of(side: Side) -> impl Iterator<Item = Self> {
        (0..IDS as u8).map(move |id| Self { side, id })
    }

    pub(super) fn index(self) -> usize {
        match self.side {
            Side::Server => self.id.into(),
            Side::Transport => IDS + usize::from(self.id),
        }
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.side {
            Side::Server => write!(f, "server {}", self.id),
            Side::Transport => write!(f, "transport {}", self.id),
        }
    }
}

/// The owner of a registration, and thereby that registration: a number less than [`OWNERS`].
///
/// Owners are ordered by their incarnations.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Owner(pub u8);

impl Owner {
    /// Returns the owner with this number.
    ///
    /// # Panics
    ///
    /// Panics if there are too many owners.
    #[must_use]
    pub fn new(number: usize) -> Self {
        assert!(number < OWNERS, "more than {OWNERS} registrations");
        Self(number as u8)
    }

    /// Returns the owner's number as an index.
    #[must_use]
    pub fn index(self) -> usize {
        self.0.into()
    }
}

impl fmt::Display for Owner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "#{}", self.0)
    }
}

/// A set of owners.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Owners(pub(super) u128);

impl Owners {
    pub(super) fn has(self, owner: Owner) -> bool {
        self.0 >> owner.0 & 1 == 1
    }

    pub(super) fn with(self, owner: Owner) -> Self {
        Self(self.0 | 1 << owner.0)
    }
}
