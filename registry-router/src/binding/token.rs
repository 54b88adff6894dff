//! Whether a binding still holds, for those who remember it: told in one load.

use std::sync::atomic::Ordering;

use crate::sync::AtomicBool;

/// Given out by a group for one of its members, and revoked when that one leaves it.
///
/// Made only when somebody asks, so a binding that nobody remembers has none. On a cache line of its own, so that to look
/// at it is to look at nothing that others write: it changes once.
#[derive(Debug, Default)]
#[repr(align(64))]
pub(crate) struct BindingToken {
    revoked: AtomicBool,
}

impl BindingToken {
    /// Whether the member is in the group, for as far as it depends on the member. The group itself may be closed.
    #[inline]
    pub(crate) fn holds(&self) -> bool {
        !self.revoked.load(Ordering::Acquire)
    }

    pub(crate) fn revoke(&self) {
        self.revoked.store(true, Ordering::Release);
    }
}
