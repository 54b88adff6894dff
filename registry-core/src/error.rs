//! The errors of a registry. Each returns the values that the failed call had taken.

use std::fmt;
use std::time::Duration;

use crate::admission::AdmissionError;
use crate::id::{InvalidId, ServerId, TransportId};
use crate::incarnation::Incarnation;
use crate::mailbox::TrySendError;
use crate::metadata::Metadata;

/// An invalid setting of a registry.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum BuildError {
    /// The number of shards is not a power of two from 1 to 4096.
    #[error("the number of shards must be a power of two from 1 to 4096, not {given}")]
    Shards {
        /// The value that was given.
        given: usize,
    },
    /// The expected number of entries exceeds what a table can hold.
    #[error("the capacity must be at most {max} entries, not {given}")]
    Capacity {
        /// The value that was given.
        given: usize,
        /// The maximum that is accepted.
        max: usize,
    },
    /// The sampling interval is zero.
    #[error("the sampling interval must not be 0; use 1 to time every lookup, or build without statistics")]
    SampleEvery,
    /// The latency window is shorter than a millisecond or longer than a day.
    #[error("the latency window must be from 1 millisecond to 1 day, not {given:?}")]
    Window {
        /// The value that was given.
        given: Duration,
    },
    /// A setting is zero, not a number, or out of range.
    #[error("the setting `{name}` must be {must}")]
    Setting {
        /// The name of the setting; the name of a nested field follows a dot.
        name: &'static str,
        /// The requirement that the value must meet.
        must: &'static str,
    },
}

/// Why a registration failed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RegisterErrorKind {
    /// The id is invalid.
    #[error(transparent)]
    InvalidId(#[from] InvalidId),
    /// The id is already registered.
    #[error("the id is taken by incarnation {by}")]
    Taken {
        /// The incarnation of the present registration.
        by: Incarnation,
    },
    /// The server to bind to is not registered.
    #[error("the server to bind to is not registered")]
    ServerNotFound,
    /// The server to bind to has the maximum number of transports.
    #[error("the server to bind to has the maximum of {max} transports")]
    ServerFull {
        /// The maximum number of transports per server.
        max: usize,
        /// The time after which a retry may succeed.
        retry_after: Duration,
    },
    /// The registration to renew has ended, or belongs to another registry.
    #[error("the registration to renew has ended")]
    LeaseExpired,
    /// The metadata exceed the maximum number of labels or bytes.
    #[error(
        "the metadata have {labels} labels with {bytes} bytes, the maximum is {max_labels} labels with {max_bytes} bytes"
    )]
    MetadataTooLarge {
        /// The number of labels that were given.
        labels: usize,
        /// The total length of their keys and values in bytes.
        bytes: usize,
        /// The maximum number of labels.
        max_labels: usize,
        /// The maximum total length in bytes.
        max_bytes: usize,
    },
    /// The admission policy rejected the registration.
    #[error(transparent)]
    Refused(#[from] AdmissionError),
}

impl From<BindError> for RegisterErrorKind {
    /// Converts the reason why a new transport could not be bound.
    fn from(error: BindError) -> Self {
        match error {
            BindError::ServerFull { max, retry_after } => Self::ServerFull { max, retry_after },
            // The transport is being registered by the same call, so the missing side is the server.
            BindError::ServerNotFound | BindError::TransportNotFound => Self::ServerNotFound,
        }
    }
}

/// The error returned when a registration fails. Returns mailbox and metadata unchanged.
#[derive(thiserror::Error)]
#[error("cannot register: {kind}")]
pub struct RegisterError<B> {
    /// Why the registration failed.
    #[source]
    pub kind: RegisterErrorKind,
    /// The mailbox passed to the call.
    pub mailbox: B,
    /// The metadata passed to the call.
    pub metadata: Metadata,
}

impl<B> fmt::Debug for RegisterError<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RegisterError")
            .field("kind", &self.kind)
            .field("metadata", &self.metadata)
            .finish_non_exhaustive()
    }
}

/// The error returned when a transport cannot be bound to a server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum BindError {
    /// The transport is not registered.
    #[error("the transport is not registered")]
    TransportNotFound,
    /// The server is not registered.
    #[error("the server is not registered")]
    ServerNotFound,
    /// The server has the maximum number of transports.
    #[error("the server has the maximum of {max} transports")]
    ServerFull {
        /// The maximum number of transports per server.
        max: usize,
        /// The time after which a retry may succeed.
        retry_after: Duration,
    },
}

/// The error returned when a message cannot be delivered. Returns the message.
#[derive(Clone, Copy, PartialEq, Eq, thiserror::Error)]
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
    /// Returns the message.
    pub fn into_message(self) -> M {
        match self {
            Self::NotFound(message) | Self::Full(message) | Self::Closed(message) => message,
        }
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

/// The error returned when a message cannot be delivered to the server that its sender is bound to. Returns the
/// message.
#[derive(Clone, Copy, PartialEq, Eq, thiserror::Error)]
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
    /// Returns the message.
    pub fn into_message(self) -> M {
        match self {
            Self::TransportNotFound(message)
            | Self::NotBound(message)
            | Self::Full(message)
            | Self::Closed(message) => message,
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

/// The error returned when a message cannot be delivered by a send that waits for capacity. Returns the message.
#[derive(Clone, Copy, PartialEq, Eq, thiserror::Error)]
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
    /// Returns the message.
    pub fn into_message(self) -> M {
        match self {
            Self::NotFound(message) | Self::TimedOut(message) | Self::Closed(message) => message,
        }
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

/// The result of a broadcast. Every transport that was bound is counted or listed exactly once.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub struct BroadcastReport {
    /// The server, or `None` if it is not registered, in which case nothing was sent.
    pub server: Option<ServerId>,
    /// The number of mailboxes that accepted the message.
    pub delivered: usize,
    /// The transports whose mailbox was full.
    pub full: Vec<TransportId>,
    /// The transports whose mailbox was closed; their registrations have been removed.
    pub closed: Vec<TransportId>,
}

impl BroadcastReport {
    /// Returns the number of transports that were bound.
    pub fn attempted(&self) -> usize {
        self.delivered + self.full.len() + self.closed.len()
    }
}
