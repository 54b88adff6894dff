//! Membership of a transport in a group while it is being registered.

use std::sync::Arc;

use registry_core::{BindError, Incarnation, TransportId};

use crate::binding::group::Group;

/// Adds a transport that is registered with a binding to the group of its server, and removes it again when dropped,
/// also by a panic, unless the registration is [committed](Self::commit).
///
/// The transport joins after its incarnation is assigned and before its entry is in the table, because a group must
/// never lack a bound transport; see [`group`](crate::binding::group).
pub(crate) struct JoinGuard {
    pub(super) transport: TransportId,
    pub(super) group: Arc<Group>,
    /// `None` before the transport joins, and after the commit.
    joined: Option<Incarnation>,
}

impl JoinGuard {
    pub(crate) fn new(transport: TransportId, group: Arc<Group>) -> Self {
        Self { transport, group, joined: None }
    }

    /// Adds the transport to the group. Locks the group, and calls no shard.
    pub(crate) fn join(&mut self, incarnation: Incarnation) -> Result<(), BindError> {
        self.leave();
        self.group.add(incarnation, self.transport.clone())?;
        self.joined = Some(incarnation);
        Ok(())
    }

    /// Keeps the transport in the group: its entry is in the table.
    pub(crate) fn commit(mut self) {
        self.joined = None;
    }

    fn leave(&mut self) {
        if let Some(incarnation) = self.joined.take() {
            self.group.remove(incarnation);
        }
    }
}

impl Drop for JoinGuard {
    fn drop(&mut self) {
        self.leave();
    }
}
