//! [`SendError`]: the error of a send that waits for capacity.

use std::fmt;

use crate::error::RouteErrorKind;

/// The error returned when a message cannot be delivered by a send that waits for capacity. Returns the message.
///
/// `Debug` does not show the message, which may be a secret.
///
/// # Examples
///
/// ```
/// use registry_core::SendError;
///
/// let error = SendError::TimedOut("hello");
/// assert!(error.is_timed_out());
/// assert_eq!(error.to_string(), "the mailbox had no capacity within the time limit");
/// assert_eq!(error.into_message(), "hello");
/// ```
#[derive(Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SendError<M> {
    /// Nothing is registered under the id.
    #[error("nothing is registered under the id")]
    NotFound(M),
    /// The mailbox had no capacity within the time limit.
    #[error("the mailbox had no capacity within the time limit")]
    TimedOut(M),
    /// The registration ended, or its mailbox closed, before there was capacity.
    #[error("the mailbox closed before there was capacity")]
    Closed(M),
}

impl<M> SendError<M> {
    /// Returns the reason, without the message.
    pub fn kind(&self) -> RouteErrorKind {
        match self {
            Self::NotFound(_) => RouteErrorKind::NotFound,
            Self::TimedOut(_) => RouteErrorKind::TimedOut,
            Self::Closed(_) => RouteErrorKind::Closed,
        }
    }

    /// Returns whether nothing is registered under the id.
    pub fn is_not_found(&self) -> bool {
        matches!(self, Self::NotFound(_))
    }

    /// Returns whether the mailbox had no capacity within the time limit.
    pub fn is_timed_out(&self) -> bool {
        matches!(self, Self::TimedOut(_))
    }

    /// Returns whether the registration ended, or its mailbox closed, before there was capacity.
    pub fn is_closed(&self) -> bool {
        matches!(self, Self::Closed(_))
    }

    /// Returns a reference to the message.
    pub fn message(&self) -> &M {
        match self {
            Self::NotFound(message) | Self::TimedOut(message) | Self::Closed(message) => message,
        }
    }

    /// Returns the message.
    pub fn into_message(self) -> M {
        match self {
            Self::NotFound(message) | Self::TimedOut(message) | Self::Closed(message) => message,
        }
    }

    /// Maps the message and keeps the reason.
    #[inline]
    pub fn map<U>(self, f: impl FnOnce(M) -> U) -> SendError<U> {
        // The constructor is chosen before it is called, because in a debug build each call has a stack slot for the
        // message of its own, and messages can be large.
        let (variant, message): (fn(U) -> SendError<U>, M) = match self {
            Self::NotFound(message) => (SendError::NotFound, message),
            Self::TimedOut(message) => (SendError::TimedOut, message),
            Self::Closed(message) => (SendError::Closed, message),
        };
        variant(f(message))
    }
}

impl<M> fmt::Debug for SendError<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NotFound(_) => "NotFound(..)",
            Self::TimedOut(_) => "TimedOut(..)",
            Self::Closed(_) => "Closed(..)",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn accessors_agree_with_the_variant() {
        let cases = [
            (SendError::NotFound(7), RouteErrorKind::NotFound, [true, false, false], "NotFound(..)"),
            (SendError::TimedOut(7), RouteErrorKind::TimedOut, [false, true, false], "TimedOut(..)"),
            (SendError::Closed(7), RouteErrorKind::Closed, [false, false, true], "Closed(..)"),
        ];
        for (error, kind, predicates, debug) in cases {
            assert_eq!(error.kind(), kind);
            assert_eq!([error.is_not_found(), error.is_timed_out(), error.is_closed()], predicates, "{error:?}");
            assert_eq!((*error.message(), error.into_message()), (7, 7));
            let mapped = error.map(|message| message + 1);
            assert_eq!((mapped.kind(), mapped.into_message()), (kind, 8));
            assert_eq!(format!("{error:?}"), debug);
        }
    }
}
