//! What a lookup gives: an entry in place, an owned handle, or a line in a list.

use std::fmt;

use crate::incarnation::Incarnation;
use crate::metadata::Metadata;

/// A registration as seen in place, for as long as a closure runs. Copies nothing.
pub struct EntryRef<'a, I, B> {
    /// Its id.
    pub id: &'a I,
    /// Which registration of that id it is.
    pub incarnation: Incarnation,
    /// Its mailbox.
    pub mailbox: &'a B,
    /// What it said of itself.
    pub metadata: &'a Metadata,
}

impl<I, B> Clone for EntryRef<'_, I, B> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<I, B> Copy for EntryRef<'_, I, B> {}

impl<I: Clone, B: Clone> EntryRef<'_, I, B> {
    /// An owned handle: clones the id, the mailbox and the metadata, so touches their reference counts.
    pub fn to_entry(&self) -> Entry<I, B> {
        Entry {
            id: self.id.clone(),
            incarnation: self.incarnation,
            mailbox: self.mailbox.clone(),
            metadata: self.metadata.clone(),
        }
    }
}

impl<I: fmt::Debug, B> fmt::Debug for EntryRef<'_, I, B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        debug_entry(f, "EntryRef", self.id, self.incarnation, self.metadata)
    }
}

/// An owned handle to a registration, as it was when it was looked up.
///
/// It does not keep the registration alive: its mailbox may be closed by the time it is used.
#[derive(Clone)]
pub struct Entry<I, B> {
    /// Its id.
    pub id: I,
    /// Which registration of that id it is.
    pub incarnation: Incarnation,
    /// Its mailbox.
    pub mailbox: B,
    /// What it said of itself.
    pub metadata: Metadata,
}

impl<I: fmt::Debug, B> fmt::Debug for Entry<I, B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        debug_entry(f, "Entry", &self.id, self.incarnation, &self.metadata)
    }
}

/// One line of a list: an id, which registration of it, and what it said of itself.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct EntryInfo<I> {
    /// Its id.
    pub id: I,
    /// Which registration of that id it is.
    pub incarnation: Incarnation,
    /// What it said of itself.
    pub metadata: Metadata,
}

fn debug_entry(
    f: &mut fmt::Formatter<'_>,
    name: &str,
    id: &impl fmt::Debug,
    incarnation: Incarnation,
    metadata: &Metadata,
) -> fmt::Result {
    f.debug_struct(name)
        .field("id", id)
        .field("incarnation", &incarnation)
        .field("metadata", metadata)
        .finish_non_exhaustive()
}
