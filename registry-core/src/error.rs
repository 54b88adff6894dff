//! One type per refusal, each giving back what it refused.

use std::fmt;
use std::time::Duration;

use crate::admission::AdmissionError;
use crate::id::{InvalidId, ServerId, TransportId};
use crate::incarnation::Incarnation;
use crate::mailbox::TrySendError;
use crate::metadata::Metadata;

/// Settings that no registry can be built from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum BuildError {
    /// The number of shards is not a power of two from 1 to 4096.
    #[error("the number of shards must be a power of two from 1 to 4096, not {given}")]
    Shards {
        /// What was asked for.
        given: usize,
    },
    /// The expected number of entries is beyond what any table can hold.
    #[error("a registry cannot be laid out for {given} entries, at most {max}")]
    Capacity {
        /// What was asked for.
        given: usize,
        /// The greatest number that is taken.
        max: usize,
    },
    /// The sampling rate is zero.
    #[error("one lookup in 0 cannot be timed; give 1 to time all, or build without statistics")]
    SampleEvery,
    /// The window of the latencies is empty, or longer than a day.
    #[error("the window of the latencies must be from 1 millisecond to 1 day, not {given:?}")]
    Window {
        /// What was asked for.
        given: Duration,
    },
    /// A setting is zero, no number, or beyond all reason.
    #[error("the setting `{name}` must be {must}")]
    Setting {
        /// Its name, with a dot before the fields of a part.
        name: &'static str,
        /// What it must be.
        must: &'static str,
    },
}

/// Why a registration was turned down.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RegisterErrorKind {
    /// The id is not a valid one.
    #[error(transparent)]
    InvalidId(#[from] InvalidId),
    /// The id is registered already.
    #[error("the id is taken by incarnation {by}")]
    Taken {
        /// By which registration.
        by: Incarnation,
    },
    /// The server that the transport was to be bound to is not registered.
    #[error("the server to bind to is not registered")]
    ServerNotFound,
    /// The server that the transport was to be bound to has as many as it may have.
    #[error("the server to bind to has {max} transports and may not have more")]
    ServerFull {
        /// So many.
        max: usize,
        /// When trying again may help.
        retry_after: Duration,
    },
    /// The registration that was to be renewed has ended, or is one of another registry.
    #[error("the registration to renew has ended")]
    LeaseExpired,
    /// The metadata have more labels or more bytes than a registration may have.
    #[error(
        "the metadata have {labels} labels with {bytes} bytes, and may have {max_labels} labels with {max_bytes} bytes"
    )]
    MetadataTooLarge {
        /// How many labels were given.
        labels: usize,
        /// How many bytes their keys and values have together.
        bytes: usize,
        /// How many labels there may be.
        max_labels: usize,
        /// How many bytes there may be.
        max_bytes: usize,
    },
    /// The registry takes no new registrations now.
    #[error(transparent)]
    Refused(#[from] AdmissionError),
}

impl From<BindError> for RegisterErrorKind {
    /// Why a transport could not be born bound.
    fn from(error: BindError) -> Self {
        match error {
            BindError::ServerFull { max, retry_after } => Self::ServerFull { max, retry_after },
            // A transport that is being born is there, so it can only be the server that is not.
            BindError::ServerNotFound | BindError::TransportNotFound => Self::ServerNotFound,
        }
    }
}

/// A registration was turned down; mailbox and metadata come back untouched.
#[derive(thiserror::Error)]
#[error("cannot register: {kind}")]
pub struct RegisterError<B> {
    /// Why.
    #[source]
    pub kind: RegisterErrorKind,
    /// The mailbox that was to be registered.
    pub mailbox: B,
    /// The metadata that was to be registered.
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

/// A transport was not bound.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum BindError {
    /// The transport is not registered.
    #[error("the transport is not registered")]
    TransportNotFound,
    /// The server is not registered.
    #[error("the server is not registered")]
    ServerNotFound,
    /// The server has as many transports as it may have.
    #[error("the server has {max} transports and may not have more")]
    ServerFull {
        /// So many.
        max: usize,
        /// When trying again may help.
        retry_after: Duration,
    },
}

/// A message was not delivered; it comes back.
#[derive(Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum RouteError<M> {
    /// Nothing is registered under the id.
    #[error("nothing is registered under the id")]
    NotFound(M),
    /// The mailbox has no room now.
    #[error("the mailbox is full")]
    Full(M),
    /// Nobody will ever receive from the mailbox; its registration has been taken out.
    #[error("the mailbox is closed")]
    Closed(M),
}

impl<M> RouteError<M> {
    /// The message.
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

/// A message was not delivered to the server that its sender is bound to; it comes back.
#[derive(Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BoundRouteError<M> {
    /// The transport is not registered, or not any more.
    #[error("the transport is not registered")]
    TransportNotFound(M),
    /// The transport is bound to no server.
    #[error("the transport is bound to no server")]
    NotBound(M),
    /// The server's mailbox has no room now.
    #[error("the server's mailbox is full")]
    Full(M),
    /// Nobody will ever receive from the server's mailbox; its registration has been taken out.
    #[error("the server's mailbox is closed")]
    Closed(M),
}

impl<M> BoundRouteError<M> {
    /// The message.
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

/// A message was not delivered although its sender was ready to wait; it comes back.
#[derive(Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SendError<M> {
    /// Nothing is registered under the id.
    #[error("nothing is registered under the id")]
    NotFound(M),
    /// There was no room within the time limit.
    #[error("the mailbox had no room within the time limit")]
    TimedOut(M),
    /// The registration ended, or its mailbox closed, before there was room.
    #[error("the mailbox closed before there was room")]
    Closed(M),
}

impl<M> SendError<M> {
    /// The message.
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

/// What became of a broadcast: every transport that was bound is in exactly one list or count.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub struct BroadcastReport {
    /// Whether the server was registered; when it was not, nothing was sent.
    pub server: Option<ServerId>,
    /// How many mailboxes took the message.
    pub delivered: usize,
    /// Transports whose mailbox had no room.
    pub full: Vec<TransportId>,
    /// Transports whose mailbox was closed; their registrations have been taken out.
    pub closed: Vec<TransportId>,
}

impl BroadcastReport {
    /// How many transports were bound.
    pub fn attempted(&self) -> usize {
        self.delivered + self.full.len() + self.closed.len()
    }
}
