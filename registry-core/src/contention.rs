//! How often operations met in the map of a shard, as far as that map can tell.

use std::fmt;

/// How often operations met in a shard.
///
/// Each kind of map counts what hurts there, and counts it where it happens, so that who meets nobody pays nothing.
/// What one map counts is not what another one counts: compare a shard with its neighbours, or with itself of before,
/// and never one backend with another. What hurts everywhere alike is latency.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Contention {
    /// What is counted.
    pub kind: ContentionKind,
    /// How often it happened.
    pub count: u64,
}

/// What happens to operations that meet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize), serde(rename_all = "snake_case"))]
#[non_exhaustive]
pub enum ContentionKind {
    /// A read or a write found the lock taken, and waited.
    LockWait,
    /// A write found another one under way, and waited. Reads never do.
    WriteWait,
    /// A removal that had been decided found that another one had come first. Nobody waited.
    LostRace,
}

impl ContentionKind {
    /// Its name in figures that are exported.
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
    /// Both together, if both are known; they must count the same.
    #[must_use]
    pub fn sum(one: Option<Self>, other: Option<Self>) -> Option<Self> {
        match (one, other) {
            (Some(one), Some(other)) => {
                debug_assert_eq!(one.kind, other.kind, "what is counted differs, so its sum says nothing");
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
    fn what_is_not_known_adds_nothing() {
        let some = |count| Some(Contention { kind: ContentionKind::LostRace, count });
        assert_eq!(Contention::sum(some(2), some(3)), some(5));
        assert_eq!(Contention::sum(None, some(3)), some(3));
        assert_eq!(Contention::sum(some(2), None), some(2));
        assert_eq!(Contention::sum(None, None), None);
        assert_eq!(format!("{:>11}", ContentionKind::LockWait), "  lock_wait");
    }
}
