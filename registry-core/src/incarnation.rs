//! The number that distinguishes registrations, also those of the same id.

use std::fmt;

/// A number that identifies one registration of a registry.
///
/// No two registrations of one registry, servers and transports alike, have the same incarnation. A registration that
/// starts after another one has returned has the greater number; and of two registrations of one id the later one has
/// the greater number, also if the two calls were concurrent. A removal compares it, so a delayed removal never removes
/// a successor.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Incarnation(u64);

impl Incarnation {
    /// Creates an incarnation from its number. For implementations of a registry.
    pub const fn from_u64(number: u64) -> Self {
        Self(number)
    }

    /// Returns the number.
    pub const fn as_u64(self) -> u64 {
        self.0
    }
}

impl fmt::Display for Incarnation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}
