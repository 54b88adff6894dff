//! The results of lookups: a borrowed entry, an owned handle, and an item of a listing.

use std::fmt;

use crate::incarnation::Incarnation;
use crate::metadata::Metadata;

/// A borrowed view of a registration, valid inside the closure of a lookup. Creating it copies nothing.
pub struct EntryRef<'a, I, B> {
    /// The id.
    pub id: &'a I,
    /// The incarnation of the registration.
    pub incarnation: Incarnation,
    /// The mailbox.
    pub mailbox: &'a B,
    /// The metadata given at registration.
    pub metadata: &'a Metadata,
}

impl<I, B> Clone for EntryRef<'_, I, B> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<I, B> Copy for EntryRef<'_, I, B> {}

impl<I: Clone, B: Clone> EntryRef<'_, I, B> {
    /// Returns an owned handle. Clones id, mailbox and metadata, so it touches their reference counts.
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

/// An owned handle to a registration, as found by a lookup.
///
/// The handle does not keep the registration alive: its mailbox may be closed by the time it is used.
#[derive(Clone)]
pub struct Entry<I, B> {
    /// The id.
    pub id: I,
    /// The incarnation of the registration.
    pub incarnation: Incarnation,
    /// The mailbox.
    pub mailbox: B,
    /// The metadata given at registration.
    pub metadata: Metadata,
}

impl<I: fmt::Debug, B> fmt::Debug for Entry<I, B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        debug_entry(f, "Entry", &self.id, self.incarnation, &self.metadata)
    }
}

/// An item of a listing: id, incarnation and metadata, without the mailbox.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct EntryInfo<I> {
    /// The id.
    pub id: I,
    /// The incarnation of the registration.
    pub incarnation: Incarnation,
    /// The metadata given at registration.
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_shows_no_metadata_values() {
        let metadata = Metadata::new().with("tenant", "acme42");
        let incarnation = Incarnation::from_u64(7);
        let seen = EntryRef { id: &"echo", incarnation, mailbox: &(), metadata: &metadata };
        let labels = r#"id: "echo", incarnation: Incarnation(7), metadata: {"tenant": 6 bytes}"#;
        assert_eq!(format!("{seen:?}"), format!("EntryRef {{ {labels}, .. }}"));
        assert_eq!(format!("{:?}", seen.to_entry()), format!("Entry {{ {labels}, .. }}"));
        let info = EntryInfo { id: "echo", incarnation, metadata };
        assert_eq!(format!("{info:?}"), format!("EntryInfo {{ {labels} }}"));
    }
}
