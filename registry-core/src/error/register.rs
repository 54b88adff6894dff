//! [`RegisterError`] and [`BindError`]: the errors of registering and of binding.

use std::fmt;
use std::time::Duration;

use crate::admission::AdmissionError;
use crate::id::InvalidId;
use crate::incarnation::Incarnation;
use crate::metadata::Metadata;

/// Why a registration failed.
///
/// # Examples
///
/// ```
/// use registry_core::{InvalidId, RegisterErrorKind};
///
/// let kind = RegisterErrorKind::from(InvalidId::Empty);
/// assert_eq!((kind.name(), kind.is_refused(), kind.retry_after()), ("invalid_id", false, None));
/// ```
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

impl RegisterErrorKind {
    /// Returns a name for metrics and logs, in snake case; of a rejection by the admission policy, that of
    /// [its reason](crate::DenyReason::name).
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::InvalidId(_) => "invalid_id",
            Self::Taken { .. } => "taken",
            Self::ServerNotFound => "server_not_found",
            Self::ServerFull { .. } => "server_full",
            Self::LeaseExpired => "lease_expired",
            Self::MetadataTooLarge { .. } => "metadata_too_large",
            Self::Refused(error) => error.reason.name(),
        }
    }

    /// Returns whether the registration was not admitted, or the server to bind to was full: what is counted as
    /// [`Event::Refused`](crate::Event::Refused).
    #[must_use]
    pub fn is_refused(&self) -> bool {
        match self {
            Self::ServerFull { .. } | Self::Refused(_) => true,
            Self::InvalidId(_)
            | Self::Taken { .. }
            | Self::ServerNotFound
            | Self::LeaseExpired
            | Self::MetadataTooLarge { .. } => false,
        }
    }

    /// Returns the time after which a retry may succeed; `None` if waiting does not help, or the time is unknown.
    #[must_use]
    pub fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::ServerFull { retry_after, .. } => Some(*retry_after),
            Self::Refused(error) => error.retry_after,
            Self::InvalidId(_)
            | Self::Taken { .. }
            | Self::ServerNotFound
            | Self::LeaseExpired
            | Self::MetadataTooLarge { .. } => None,
        }
    }
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
///
/// `Debug` shows no mailbox, and no values of the metadata.
///
/// # Examples
///
/// ```
/// use registry_core::{Metadata, RegisterError, RegisterErrorKind};
///
/// let error = RegisterError::new(RegisterErrorKind::ServerNotFound, "mailbox", Metadata::new().with("region", "eu"));
/// assert_eq!(error.kind(), &RegisterErrorKind::ServerNotFound);
/// assert_eq!(error.to_string(), "cannot register: the server to bind to is not registered");
///
/// // To try again with the same values:
/// let (_, mailbox, metadata) = error.into_parts();
/// assert_eq!((mailbox, metadata.get("region")), ("mailbox", Some("eu")));
/// ```
#[derive(thiserror::Error)]
#[error("cannot register: {kind}")]
pub struct RegisterError<B> {
    #[source]
    kind: RegisterErrorKind,
    mailbox: B,
    metadata: Metadata,
}

impl<B> RegisterError<B> {
    /// Creates an error that returns the mailbox and the metadata passed to the call. For implementations of
    /// [`Register`](crate::api::Register).
    pub fn new(kind: RegisterErrorKind, mailbox: B, metadata: Metadata) -> Self {
        Self { kind, mailbox, metadata }
    }

    /// Returns why the registration failed.
    pub fn kind(&self) -> &RegisterErrorKind {
        &self.kind
    }

    /// Returns why the registration failed, and drops the mailbox and the metadata.
    pub fn into_kind(self) -> RegisterErrorKind {
        self.kind
    }

    /// Returns a reference to the mailbox passed to the call.
    pub fn mailbox(&self) -> &B {
        &self.mailbox
    }

    /// Returns the mailbox passed to the call.
    pub fn into_mailbox(self) -> B {
        self.mailbox
    }

    /// Returns a reference to the metadata passed to the call.
    pub fn metadata(&self) -> &Metadata {
        &self.metadata
    }

    /// Returns why the registration failed, and the mailbox and the metadata passed to the call.
    pub fn into_parts(self) -> (RegisterErrorKind, B, Metadata) {
        (self.kind, self.mailbox, self.metadata)
    }
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

impl BindError {
    /// Returns whether the server has the maximum number of transports.
    #[must_use]
    pub fn is_full(&self) -> bool {
        matches!(self, Self::ServerFull { .. })
    }

    /// Returns the time after which a retry may succeed; `None` if waiting does not help.
    #[must_use]
    pub fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::ServerFull { retry_after, .. } => Some(*retry_after),
            Self::TransportNotFound | Self::ServerNotFound => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::error::Error;

    use super::*;
    use crate::admission::DenyReason;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn kinds_agree_with_their_variant() {
        let refused = AdmissionError::new(DenyReason::Closed, "closed").with_retry_after(SECOND);
        let cases: [(RegisterErrorKind, _, _, _); 8] = [
            (InvalidId::Empty.into(), "invalid_id", false, None),
            (RegisterErrorKind::Taken { by: Incarnation::from_u64(7) }, "taken", false, None),
            (RegisterErrorKind::ServerNotFound, "server_not_found", false, None),
            (RegisterErrorKind::ServerFull { max: 1, retry_after: SECOND }, "server_full", true, Some(SECOND)),
            (RegisterErrorKind::LeaseExpired, "lease_expired", false, None),
            (
                RegisterErrorKind::MetadataTooLarge { labels: 2, bytes: 0, max_labels: 1, max_bytes: 1 },
                "metadata_too_large",
                false,
                None,
            ),
            (refused.into(), "closed", true, Some(SECOND)),
            (AdmissionError::new(DenyReason::Policy, "no").into(), "policy", true, None),
        ];
        for (kind, name, is_refused, retry_after) in cases {
            assert_eq!((kind.name(), kind.is_refused(), kind.retry_after()), (name, is_refused, retry_after), "{kind}");
        }
    }

    #[test]
    fn a_register_error_returns_what_the_call_had_taken() {
        let metadata = Metadata::new().with("tenant", "acme42");
        let error = || RegisterError::new(RegisterErrorKind::LeaseExpired, 7, metadata.clone());
        assert_eq!((error().kind(), *error().mailbox(), error().metadata()), (&error().into_kind(), 7, &metadata));
        assert_eq!(error().into_parts(), (RegisterErrorKind::LeaseExpired, 7, metadata.clone()));
        assert_eq!(error().into_mailbox(), 7);
        assert_eq!(error().source().map(ToString::to_string), Some("the registration to renew has ended".to_owned()));
        let debug = r#"RegisterError { kind: LeaseExpired, metadata: {"tenant": 6 bytes}, .. }"#;
        assert_eq!(format!("{:?}", error()), debug);
    }

    #[test]
    fn bind_errors_agree_with_their_variant() {
        let full = BindError::ServerFull { max: 1, retry_after: SECOND };
        let cases = [
            (BindError::TransportNotFound, false, None, RegisterErrorKind::ServerNotFound),
            (BindError::ServerNotFound, false, None, RegisterErrorKind::ServerNotFound),
            (full, true, Some(SECOND), RegisterErrorKind::ServerFull { max: 1, retry_after: SECOND }),
        ];
        for (error, is_full, retry_after, kind) in cases {
            assert_eq!((error.is_full(), error.retry_after()), (is_full, retry_after));
            assert_eq!(RegisterErrorKind::from(error), kind);
        }
    }
}
