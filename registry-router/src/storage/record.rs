//! The immutable part of an entry.

use registry_core::{EntryRef, Incarnation, Metadata};

/// The part of an entry that does not change while the registration lasts, and all that lookups and routing read.
///
/// The mailbox is the first field, next to the key, because most lookups read only these two.
#[derive(Clone, Debug)]
#[repr(C)]
pub(crate) struct Record<B> {
    pub(crate) mailbox: B,
    /// Assigned while the entry is inserted, so that a later registration of the id has a greater one. Zero before.
    pub(crate) incarnation: Incarnation,
    pub(crate) metadata: Metadata,
}

impl<B> Record<B> {
    /// Returns a record that has not been assigned an incarnation.
    pub(crate) fn new(mailbox: B, metadata: Metadata) -> Self {
        Self { mailbox, incarnation: Incarnation::from_u64(0), metadata }
    }

    #[inline]
    pub(crate) fn entry<'a, I>(&'a self, id: &'a I) -> EntryRef<'a, I, B> {
        EntryRef { id, incarnation: self.incarnation, mailbox: &self.mailbox, metadata: &self.metadata }
    }
}
