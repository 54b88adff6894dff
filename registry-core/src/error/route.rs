//! [`RouteError`], the error of a message to an id, and [`RouteErrorKind`], the reason of all errors of messages.

use std::fmt;

use crate::mailbox::TrySendError;

/// Why a message was not delivered: the reason of a [`RouteError`], a [`BoundRouteError`](crate::BoundRouteError) or a
/// [`SendError`](crate::SendError), without the message.
///
/// For code that counts or reports undelivered messages in one way, whichever method returned them.
///
/// # Examples
///
/// ```
/// use registry_core::{RouteError, RouteErrorKind, SendError};
///
/// assert_eq!(RouteError::NotFound("hello").kind(), RouteErrorKind::NotFound);
/// assert_eq!(SendError::TimedOut("hello").kind().name(), "timed_out");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum RouteErrorKind {
    /// Nothing is registered under the id of the receiver; of a [`BoundRouteError`](crate::BoundRouteError), of the
    /// sender.
    NotFound,
    /// The sender is not bound to a server.
    NotBound,
    /// The mailbox is full.
    Full,
    /// The mailbox had no capacity within the time limit.
    TimedOut,
    /// The mailbox is closed.
    Closed,
}

impl RouteErrorKind {
    /// Returns a name for metrics and logs, in snake case.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::NotFound => "not_found",
            Self::NotBound => "not_bound",
            Self::Full => "full",
            Self::TimedOut => "timed_out",
            Self::Closed => "closed",
        }
    }
}

impl fmt::Display for RouteErrorKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// The error returned when a message cannot be delivered. Returns the message.
///
/// `Debug` does not show the message, which may be a secret.
///
/// # Examples
///
/// ```
/// use registry_core::RouteError;
///
/// let error = RouteError::Full("hello");
/// assert!(error.is_full());
/// assert_eq!(error.to_string(), "the mailbox is full");
/// assert_eq!(error.into_message(), "hello");
/// ```
#[derive(Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RouteError<M> {
    /// Nothing is registered under the id.
    #[error("nothing is registered under the id")]
    NotFound(M),
    /// The mailbox is full.
    #[error("the mailbox is full")]
    Full(M),
    /// The mailbox is closed; its registration has been removed.
    #[error("the mailbox is closed")]
    Closed(M),
}

impl<M> RouteError<M> {
    /// Returns the reason, without the message.
    pub fn kind(&self) -> RouteErrorKind {
        match self {
            Self::NotFound(_) => RouteErrorKind::NotFound,
            Self::Full(_) => RouteErrorKind::Full,
            Self::Closed(_) => RouteErrorKind::Closed,
        }
    }

    /// Returns whether nothing is registered under the id.
    pub fn is_not_found(&self) -> bool {
        matches!(self, Self::NotFound(_))
    }

    /// Returns whether the mailbox is full.
    pub fn is_full(&self) -> bool {
        matches!(self, Self::Full(_))
    }

    /// Returns whether the mailbox is closed.
    pub fn is_closed(&self) -> bool {
        matches!(self, Self::Closed(_))
    }

    /// Returns a reference to the message.
    pub fn message(&self) -> &M {
        match self {
            Self::NotFound(message) | Self::Full(message) | Self::Closed(message) => message,
        }
    }

    /// Returns the message.
    pub fn into_message(self) -> M {
        match self {
            Self::NotFound(message) | Self::Full(message) | Self::Closed(message) => message,
        }
    }

    /// Maps the message and keeps the reason.
    #[inline]
    pub fn map<U>(self, f: impl FnOnce(M) -> U) -> RouteError<U> {
        // The constructor is chosen before it is called, because in a debug build each call has a stack slot for the
        // message of its own, and messages can be large.
        let (variant, message): (fn(U) -> RouteError<U>, M) = match self {
            Self::NotFound(message) => (RouteError::NotFound, message),
            Self::Full(message) => (RouteError::Full, message),
            Self::Closed(message) => (RouteError::Closed, message),
        };
        variant(f(message))
    }
}

impl<M> From<TrySendError<M>> for RouteError<M> {
    fn from(try_send_error: TrySendError<M>) -> Self {
        match try_send_error {
            TrySendError::Full(message) => Self::Full(message),
            TrySendError::Closed(message) => Self::Closed(message),
        }
    }
}

impl<M> fmt::Debug for RouteError<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NotFound(_) => "NotFound(..)",
            Self::Full(_) => "Full(..)",
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
            (RouteError::NotFound(7), RouteErrorKind::NotFound, [true, false, false], "NotFound(..)"),
            (RouteError::Full(7), RouteErrorKind::Full, [false, true, false], "Full(..)"),
            (RouteError::Closed(7), RouteErrorKind::Closed, [false, false, true], "Closed(..)"),
        ];
        for (error, kind, predicates, debug) in cases {
            assert_eq!(error.kind(), kind);
            assert_eq!([error.is_not_found(), error.is_full(), error.is_closed()], predicates, "{error:?}");
            assert_eq!((*error.message(), error.into_message()), (7, 7));
            let mapped = error.map(|message| message + 1);
            assert_eq!((mapped.kind(), mapped.into_message()), (kind, 8));
            assert_eq!(format!("{error:?}"), debug);
        }
    }

    #[test]
    fn errors_of_a_mailbox_convert_to_the_same_variant() {
        assert_eq!(RouteError::from(TrySendError::Full(7)), RouteError::Full(7));
        assert_eq!(RouteError::from(TrySendError::Closed(7)), RouteError::Closed(7));
    }

    #[test]
    fn kinds_are_displayed_by_name() {
        assert_eq!(format!("{:>10}", RouteErrorKind::TimedOut), " timed_out");
    }
}
