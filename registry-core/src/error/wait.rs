//! The error of waiting for a registration.

use crate::id::InvalidId;

/// The error returned when waiting for a registration fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum AwaitError {
    /// The id is invalid, so nothing can be registered under it.
    #[error(transparent)]
    InvalidId(#[from] InvalidId),
    /// Nothing was registered under the id within the time limit.
    #[error("nothing was registered under the id within the time limit")]
    TimedOut,
}
