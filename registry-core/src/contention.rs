//! Contention figures, as counted by the map of a shard.

use std::fmt;

/// How often operations on a shard contended.
///
/// Each backend counts the kind of contention that costs most on its map, and counts it on the contended path, so that
/// uncontended operations pay nothing. Counts are not comparable between backends: compare a shard with other shards of
/// the same registry, or with an earlier count of its own. Latency is comparable between all backends.
///
/// # Examples
///
/// ```
/// use registry_core::{Contention, ContentionKind};
///
/// let contention = Contention::new(ContentionKind::LockWait, 3);
/// assert_eq!((contention.kind.name(), contention.count), ("lock_wait", 3));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub struct Contention {
    /// The kind of contention that is counted.
    pub kind: ContentionKind,
    /// The number of occurrences.
    pub count: u64,
}

/// A kind of contention.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize), serde(rename_all = "snake_case"))]
#[non_exhaustive]
pub enum ContentionKind {
    /// A read or a write found the lock held, and waited.
    LockWait,
    /// A write found another write in progress, and waited. Reads never wait.
    WriteWait,
    /// A removal whose predicate had returned `true` lost the race to another removal. Nothing waited.
    LostRace,
}

impl ContentionKind {
    /// Returns the name used in exported metrics.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::LockWait => "lock_wait",
            Self::WriteWait => "write_wait",
            Self::LostRace => "lost_race",
        }
    }
}

impl fmt::Display for ContentionKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl Contention {
    /// Creates a count of one kind of contention.
    #[must_use]
    pub fn new(kind: ContentionKind, count: u64) -> Self {
        Self { kind, count }
    }

    /// Returns the sum of two counts, which must be of the same kind; `None` counts as unknown and adds nothing.
    ///
    /// # Panics
    ///
    /// In debug builds, if the kinds differ.
    #[must_use]
    pub fn sum(one: Option<Self>, other: Option<Self>) -> Option<Self> {
        match (one, other) {
            (Some(one), Some(other)) => {
                debug_assert_eq!(one.kind, other.kind, "only counts of the same kind can be added");
                Some(Self { count: one.count + other.count, ..one })
            }
            (one, other) => one.or(other),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sum_ignores_unknown_counts() {
        let some = |count| Some(Contention { kind: ContentionKind::LostRace, count });
        assert_eq!(Contention::sum(some(2), some(3)), some(5));
        assert_eq!(Contention::sum(None, some(3)), some(3));
        assert_eq!(Contention::sum(some(2), None), some(2));
        assert_eq!(Contention::sum(None, None), None);
        assert_eq!(format!("{:>11}", ContentionKind::LockWait), "  lock_wait");
    }
}
