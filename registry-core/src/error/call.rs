//! Why a call has no reply.

use std::error::Error;
use std::fmt;

use super::{BoundRouteError, RouteError, SendError};

/// The error returned when a call has no reply.
///
/// | variant | in the mailbox | read by the receiver | message returned |
/// |---|---|---|---|
/// | [`NotFound`](Self::NotFound), [`NotBound`](Self::NotBound), [`Full`](Self::Full), [`Closed`](Self::Closed) | no | no | yes |
/// | [`Unread`](Self::Unread) | yes | no | no |
/// | [`Unanswered`](Self::Unanswered) | yes | yes | no |
/// | [`TimedOut`](Self::TimedOut) | yes | perhaps, or later | no |
///
/// So after the errors of the first two rows the request has had no effect.
///
/// `Debug` and `Display` show no message, which may be a secret.
#[derive(Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum CallError<M> {
    /// Nothing is registered under the id; for a call to the server that a transport is bound to, the transport is not.
    NotFound(M),
    /// The transport is not bound to a server.
    NotBound(M),
    /// The mailbox is full; for a call that waits for room, it was full for the whole time limit.
    Full(M),
    /// The mailbox is closed, or the registration ended while the call waited for room.
    Closed(M),
    /// The request was dropped before it was read, usually with the inbox.
    Unread,
    /// The request was read, and the handle for the reply dropped without a reply.
    Unanswered,
    /// There was no reply within the time limit.
    TimedOut,
}

/// The reason of a [`CallError`], without the message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum CallErrorKind {
    /// See [`CallError::NotFound`].
    NotFound,
    /// See [`CallError::NotBound`].
    NotBound,
    /// See [`CallError::Full`].
    Full,
    /// See [`CallError::Closed`].
    Closed,
    /// See [`CallError::Unread`].
    Unread,
    /// See [`CallError::Unanswered`].
    Unanswered,
    /// See [`CallError::TimedOut`].
    TimedOut,
}

/// The error returned when a request that was sent has no reply.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ReplyError {
    /// The request was dropped before it was read.
    Unread,
    /// The request was read, and the handle for the reply dropped without a reply.
    Unanswered,
    /// There was no reply within the time limit.
    TimedOut,
}

impl<M> CallError<M> {
    /// Returns the reason, without the message.
    ///
    /// # Examples
    ///
    /// ```
    /// # use registry_core::{CallError, CallErrorKind};
    /// assert_eq!(CallError::Full("message").kind(), CallErrorKind::Full);
    /// ```
    pub fn kind(&self) -> CallErrorKind {
        match self {
            Self::NotFound(_) => CallErrorKind::NotFound,
            Self::NotBound(_) => CallErrorKind::NotBound,
            Self::Full(_) => CallErrorKind::Full,
            Self::Closed(_) => CallErrorKind::Closed,
            Self::Unread => CallErrorKind::Unread,
            Self::Unanswered => CallErrorKind::Unanswered,
            Self::TimedOut => CallErrorKind::TimedOut,
        }
    }

    /// Returns the message if it was not delivered.
    ///
    /// The caller of that message does not wait any more, so it is not worth sending again; the request in it is.
    ///
    /// # Examples
    ///
    /// ```
    /// # use registry_core::CallError;
    /// assert_eq!(CallError::NotFound("message").into_message(), Some("message"));
    /// assert_eq!(CallError::<&str>::TimedOut.into_message(), None);
    /// ```
    pub fn into_message(self) -> Option<M> {
        match self {
            Self::NotFound(message) | Self::NotBound(message) | Self::Full(message) | Self::Closed(message) => {
                Some(message)
            }
            Self::Unread | Self::Unanswered | Self::TimedOut => None,
        }
    }
}

impl<M> From<RouteError<M>> for CallError<M> {
    fn from(error: RouteError<M>) -> Self {
        match error {
            RouteError::NotFound(message) => Self::NotFound(message),
            RouteError::Full(message) => Self::Full(message),
            RouteError::Closed(message) => Self::Closed(message),
        }
    }
}

impl<M> From<BoundRouteError<M>> for CallError<M> {
    fn from(error: BoundRouteError<M>) -> Self {
        match error {
            BoundRouteError::TransportNotFound(message) => Self::NotFound(message),
            BoundRouteError::NotBound(message) => Self::NotBound(message),
            BoundRouteError::Full(message) => Self::Full(message),
            BoundRouteError::Closed(message) => Self::Closed(message),
        }
    }
}

impl<M> From<SendError<M>> for CallError<M> {
    fn from(error: SendError<M>) -> Self {
        match error {
            SendError::NotFound(message) => Self::NotFound(message),
            SendError::TimedOut(message) => Self::Full(message),
            SendError::Closed(message) => Self::Closed(message),
        }
    }
}

impl<M> From<ReplyError> for CallError<M> {
    fn from(error: ReplyError) -> Self {
        match error {
            ReplyError::Unread => Self::Unread,
            ReplyError::Unanswered => Self::Unanswered,
            ReplyError::TimedOut => Self::TimedOut,
        }
    }
}

impl<M> fmt::Debug for CallError<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NotFound(_) => "NotFound(..)",
            Self::NotBound(_) => "NotBound(..)",
            Self::Full(_) => "Full(..)",
            Self::Closed(_) => "Closed(..)",
            Self::Unread => "Unread",
            Self::Unanswered => "Unanswered",
            Self::TimedOut => "TimedOut",
        })
    }
}

impl fmt::Display for CallErrorKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NotFound => "nothing is registered under the id",
            Self::NotBound => "the transport is bound to no server",
            Self::Full => "the mailbox is full",
            Self::Closed => "the mailbox is closed",
            Self::Unread => "the request was dropped before it was read",
            Self::Unanswered => "the request was read, but not answered",
            Self::TimedOut => "there was no reply within the time limit",
        })
    }
}

impl<M> fmt::Display for CallError<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.kind().fmt(f)
    }
}

impl fmt::Display for ReplyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        CallError::<()>::from(*self).fmt(f)
    }
}

impl<M> Error for CallError<M> {}

impl Error for ReplyError {}
