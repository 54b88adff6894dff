//! What a shard holds for one registration, apart from its bindings.

use registry_core::{EntryRef, Incarnation, Metadata};

/// What never changes while a registration lasts, and all that a lookup or a route reads.
///
/// The mailbox comes first, next to the key, because most lookups read these two alone.
#[derive(Clone, Debug)]
#[repr(C)]
pub(crate) struct Record<B> {
    pub(crate) mailbox: B,
    /// Drawn when the name is won, so that a later owner has a greater one; none until then.
    pub(crate) incarnation: Incarnation,
    pub(crate) metadata: Metadata,
}

impl<B> Record<B> {
    /// A head without an incarnation, which it gets when the name is won.
    pub(crate) fn new(mailbox: B, metadata: Metadata) -> Self {
        Self { mailbox, incarnation: Incarnation::from_u64(0), metadata }
    }

    #[inline]
    pub(crate) fn entry<'a, I>(&'a self, id: &'a I) -> EntryRef<'a, I, B> {
        EntryRef { id, incarnation: self.incarnation, mailbox: &self.mailbox, metadata: &self.metadata }
    }
}
