//! The number that tells two registrations apart, also two of the same id.

use std::fmt;

/// Which registration of a registry this is.
///
/// No two registrations of one registry, servers and transports alike, share an incarnation, and one that starts
/// after another has returned has the greater number. Of two registrations of one id the later has the greater number,
/// also when they raced for it.
/// A removal compares it, so that a late clean-up never takes out a successor.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Incarnation(u64);

impl Incarnation {
    /// Makes an incarnation from its number; for those who implement a registry.
    pub const fn from_u64(number: u64) -> Self {
        Self(number)
    }

    /// The number itself.
    pub const fn as_u64(self) -> u64 {
        self.0
    }
}

impl fmt::Display for Incarnation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}
