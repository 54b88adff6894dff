//! A token that tells in one load whether a binding still holds.

use std::sync::atomic::Ordering;

use crate::sync::AtomicBool;

/// Issued by a group for one of its members, and revoked when that member leaves the group.
///
/// Created on demand: a binding that no route has cached has no token. Aligned to a cache line to avoid false sharing:
/// it is written once, when it is revoked.
#[derive(Debug, Default)]
#[repr(align(64))]
pub(crate) struct BindingToken {
    revoked: AtomicBool,
}

impl BindingToken {
    /// Returns whether the member is still in the group. The group itself may be closed.
    #[inline]
    pub(crate) fn holds(&self) -> bool {
        !self.revoked.load(Ordering::Acquire)
    }

    pub(crate) fn revoke(&self) {
        self.revoked.store(true, Ordering::Release);
    }
}
