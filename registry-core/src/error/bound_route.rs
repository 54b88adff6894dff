//! [`BoundRouteError`]: the error of a message to the server that its sender is bound to.

use std::fmt;

use crate::error::{RouteError, RouteErrorKind};

/// The error returned when a message cannot be delivered to the server that its sender is bound to. Returns the
/// message.
///
/// `Debug` does not show the message, which may be a secret.
///
/// # Examples
///
/// ```
/// use registry_core::BoundRouteError;
///
/// let error = BoundRouteError::NotBound("hello");
/// assert!(error.is_not_bound());
/// assert_eq!(error.to_string(), "the transport is bound to no server");
/// assert_eq!(error.into_message(), "hello");
/// ```
#[derive(Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum BoundRouteError<M> {
    /// The transport is not registered, or no longer registered.
    #[error("the transport is not registered")]
    TransportNotFound(M),
    /// The transport is not bound to a server.
    #[error("the transport is bound to no server")]
    NotBound(M),
    /// The server's mailbox is full.
    #[error("the server's mailbox is full")]
    Full(M),
    /// The server's mailbox is closed; its registration has been removed.
    #[error("the server's mailbox is closed")]
    Closed(M),
}

impl<M> BoundRouteError<M> {
    /// Returns the reason, without the message.
    pub fn kind(&self) -> RouteErrorKind {
        match self {
            Self::TransportNotFound(_) => RouteErrorKind::NotFound,
            Self::NotBound(_) => RouteErrorKind::NotBound,
            Self::Full(_) => RouteErrorKind::Full,
            Self::Closed(_) => RouteErrorKind::Closed,
        }
    }

    /// Returns whether the transport is not registered.
    pub fn is_transport_not_found(&self) -> bool {
        matches!(self, Self::TransportNotFound(_))
    }

    /// Returns whether the transport is not bound to a server.
    pub fn is_not_bound(&self) -> bool {
        matches!(self, Self::NotBound(_))
    }

    /// Returns whether the server's mailbox is full.
    pub fn is_full(&self) -> bool {
        matches!(self, Self::Full(_))
    }

    /// Returns whether the server's mailbox is closed.
    pub fn is_closed(&self) -> bool {
        matches!(self, Self::Closed(_))
    }

    /// Returns a reference to the message.
    pub fn message(&self) -> &M {
        match self {
            Self::TransportNotFound(message)
            | Self::NotBound(message)
            | Self::Full(message)
            | Self::Closed(message) => message,
        }
    }

    /// Returns the message.
    pub fn into_message(self) -> M {
        match self {
            Self::TransportNotFound(message)
            | Self::NotBound(message)
            | Self::Full(message)
            | Self::Closed(message) => message,
        }
    }

    /// Maps the message and keeps the reason.
    #[inline]
    pub fn map<U>(self, f: impl FnOnce(M) -> U) -> BoundRouteError<U> {
        // The constructor is chosen before it is called, because in a debug build each call has a stack slot for the
        // message of its own, and messages can be large.
        let (variant, message): (fn(U) -> BoundRouteError<U>, M) = match self {
            Self::TransportNotFound(message) => (BoundRouteError::TransportNotFound, message),
            Self::NotBound(message) => (BoundRouteError::NotBound, message),
            Self::Full(message) => (BoundRouteError::Full, message),
            Self::Closed(message) => (BoundRouteError::Closed, message),
        };
        variant(f(message))
    }
}

impl<M> From<RouteError<M>> for BoundRouteError<M> {
    /// Converts the error of a message to the server of a binding. If the server is not found, the binding has ended
    /// with it.
    fn from(error: RouteError<M>) -> Self {
        match error {
            RouteError::NotFound(message) => Self::NotBound(message),
            RouteError::Full(message) => Self::Full(message),
            RouteError::Closed(message) => Self::Closed(message),
        }
    }
}

impl<M> fmt::Debug for BoundRouteError<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::TransportNotFound(_) => "TransportNotFound(..)",
            Self::NotBound(_) => "NotBound(..)",
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
            (BoundRouteError::TransportNotFound(7), RouteErrorKind::NotFound, "TransportNotFound(..)"),
            (BoundRouteError::NotBound(7), RouteErrorKind::NotBound, "NotBound(..)"),
            (BoundRouteError::Full(7), RouteErrorKind::Full, "Full(..)"),
            (BoundRouteError::Closed(7), RouteErrorKind::Closed, "Closed(..)"),
        ];
        for (place, (error, kind, debug)) in cases.into_iter().enumerate() {
            assert_eq!(error.kind(), kind);
            let predicates = [error.is_transport_not_found(), error.is_not_bound(), error.is_full(), error.is_closed()];
            assert_eq!(predicates, std::array::from_fn(|predicate| predicate == place), "{error:?}");
            assert_eq!((*error.message(), error.into_message()), (7, 7));
            let mapped = error.map(|message| message + 1);
            assert_eq!((mapped.kind(), mapped.into_message()), (kind, 8));
            assert_eq!(format!("{error:?}"), debug);
        }
    }

    #[test]
    fn a_binding_has_ended_if_its_server_is_not_found() {
        assert_eq!(BoundRouteError::from(RouteError::NotFound(7)), BoundRouteError::NotBound(7));
        assert_eq!(BoundRouteError::from(RouteError::Full(7)), BoundRouteError::Full(7));
        assert_eq!(BoundRouteError::from(RouteError::Closed(7)), BoundRouteError::Closed(7));
    }
}
