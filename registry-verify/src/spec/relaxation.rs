//! What the specification allows because calls are concurrent, and refuses when there is only one thread.

/// A named weakening of the specification.
///
/// Without any, each call has exactly one outcome in each state. That other calls take steps between those of one call is
/// not listed here: it is what a search over all interleavings does, while
/// [`RegistrySpec::apply`](super::RegistrySpec::apply) takes all steps of a call at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Relaxation {
    /// Of several errors that apply, any may be returned: the conditions are found at different instants.
    ///
    /// Otherwise a binding, or a registration of a bound transport, looks at the server first.
    ErrorPrecedence,
    /// An open mailbox may accept or refuse any message, and contain any messages.
    ///
    /// Otherwise a mailbox refuses exactly when it is full, and contains exactly what was delivered, in order.
    UntrackedMailboxes,
    /// A mailbox may close between two steps of a call: the entry counts as alive for a liveness check before, and a
    /// message to it is returned as closed afterwards.
    ///
    /// Otherwise only what is closed already is found closed.
    LaterClosing,
    /// A transport that leaves its server and joins it again may be visited more than once.
    ///
    /// Otherwise each member of a group is visited once.
    RepeatedVisits,
    /// Each message of a batch has an instant of its own.
    ///
    /// Otherwise all receivers of a batch of at most 16 are resolved before any is removed.
    SplitBatches,
    /// A registration may have any incarnation greater than the previous one of its name: others draw theirs meanwhile.
    ///
    /// Otherwise owners are numbered without gaps, in the order of their registrations.
    InterleavedIncarnations,
}

impl Relaxation {
    /// All relaxations.
    pub const ALL: [Self; 6] = [
        Self::ErrorPrecedence,
        Self::UntrackedMailboxes,
        Self::LaterClosing,
        Self::RepeatedVisits,
        Self::SplitBatches,
        Self::InterleavedIncarnations,
    ];
}

/// A set of relaxations.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Relaxations(u8);

impl Relaxations {
    pub(super) const NONE: Self = Self(0);

    pub(super) fn all() -> Self {
        Relaxation::ALL.into_iter().fold(Self::NONE, Self::with)
    }

    pub(super) fn with(self, relaxation: Relaxation) -> Self {
        Self(self.0 | 1 << relaxation as u8)
    }

    #[cfg(test)]
    pub(super) fn without(self, relaxation: Relaxation) -> Self {
        Self(self.0 & !(1 << relaxation as u8))
    }

    pub(super) fn contain(self, relaxation: Relaxation) -> bool {
        self.0 >> relaxation as u8 & 1 == 1
    }
}
