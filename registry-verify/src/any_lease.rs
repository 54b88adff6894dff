//! A lease of either side.

use registry_core::Incarnation;
use registry_router::{ServerLease, TransportLease};

/// A lease of a server or of a transport.
#[derive(Debug)]
pub(crate) enum AnyLease {
    /// A server's lease.
    Server(ServerLease),
    /// A transport's lease.
    Transport(TransportLease),
}

impl AnyLease {
    /// Returns the registration's incarnation.
    pub(crate) fn incarnation(&self) -> Incarnation {
        match self {
            Self::Server(lease) => lease.incarnation(),
            Self::Transport(lease) => lease.incarnation(),
        }
    }

    /// Returns whether the registration is current.
    pub(crate) fn is_current(&self) -> bool {
        match self {
            Self::Server(lease) => lease.is_current(),
            Self::Transport(lease) => lease.is_current(),
        }
    }

    /// Ends the registration; returns whether it was current.
    pub(crate) fn release(self) -> bool {
        match self {
            Self::Server(lease) => lease.release(),
            Self::Transport(lease) => lease.release(),
        }
    }

    /// Drops the lease but keeps the registration.
    pub(crate) fn detach(self) {
        match self {
            Self::Server(lease) => lease.detach(),
            Self::Transport(lease) => lease.detach(),
        }
    }
}
