//! Admission control: the contract of a policy that can reject new registrations, and a policy that admits all.
//!
//! Only new registrations are subject to admission. Lookups, routing, binding and unregistering never are, so an
//! overloaded registry keeps serving its current registrations.

use std::fmt;
use std::time::{Duration, Instant};

use crate::kind::Kind;
use crate::limit::{Limit, LimitHits, LimitUsage};
use crate::metadata::Metadata;

/// An admission policy for new registrations.
pub trait Admission: fmt::Debug + Send + Sync + 'static {
    /// Reserves capacity for a registration, or rejects it.
    ///
    /// Called before the registration accesses a shard, and with no lock held. The registry calls
    /// [`release`](Self::release) once for every `Ok`, with the same arguments: immediately if the registration fails,
    /// otherwise when it ends. `now` is the caller's clock; a policy must not read a clock.
    ///
    /// # Errors
    ///
    /// [`AdmissionError`], with the reason for the caller.
    fn admit(&self, kind: Kind, metadata: &Metadata, now: Instant) -> Result<(), AdmissionError>;

    /// Decides whether a registration may be replaced by one of the same owner with other metadata, which keeps the
    /// reserved capacity. Nothing is reserved or released by this call; the capacity is released once, with the new
    /// metadata.
    ///
    /// A policy must therefore reject metadata that it would account for differently, and a policy that accounts by
    /// metadata must implement this method. The default rejects all metadata that differ from the old ones.
    ///
    /// # Errors
    ///
    /// [`AdmissionError`], with the reason for the caller.
    fn renew(&self, _kind: Kind, old: &Metadata, new: &Metadata) -> Result<(), AdmissionError> {
        if old == new {
            return Ok(());
        }
        Err(AdmissionError::new(DenyReason::Policy, "a renewal must keep the metadata"))
    }

    /// Releases the capacity reserved by one call of [`admit`](Self::admit).
    fn release(&self, kind: Kind, metadata: &Metadata);

    /// Returns whether new registrations are admitted at present.
    fn state(&self) -> AdmissionState;

    /// Called when the number of shards in alarm has become too high, or acceptable again. A policy that sheds load
    /// rejects new registrations in between.
    ///
    /// Called after a health check, one call at a time and with no lock held. The implementation may call the registry,
    /// and may run another health check; the changes found by that check are reported after this call has returned.
    fn health(&self, _state: AdmissionState, _retry_after: Duration) {}

    /// Returns the usage of each limit. There must be few, and always the same ones: they are compared with the
    /// previous check, and exported as metrics. [`hits`](LimitUsage::hits) must never decrease.
    ///
    /// Limits that are created and removed, or whose number is unbounded, belong in
    /// [`take_limit_hits`](Self::take_limit_hits).
    fn limit_usage(&self) -> Vec<LimitUsage> {
        Vec::new()
    }

    /// Returns the other limits that were hit since the previous call, and resets that record.
    ///
    /// Called once by each health check, which reports them; nothing else may call it. A policy that wraps another one
    /// must forward this method as it does [`limit_usage`](Self::limit_usage).
    fn take_limit_hits(&self) -> LimitHits {
        LimitHits::default()
    }
}

/// Whether new registrations are admitted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize), serde(rename_all = "snake_case"))]
pub enum AdmissionState {
    /// New registrations are admitted.
    #[default]
    Open,
    /// New registrations are rejected. All other operations continue.
    Closed,
}

/// The error returned when a registration is not admitted.
///
/// # Examples
///
/// ```
/// use std::time::Duration;
///
/// use registry_core::{AdmissionError, DenyReason};
///
/// let error = AdmissionError::new(DenyReason::Policy, "maintenance").with_retry_after(Duration::from_secs(60));
/// assert_eq!(error.to_string(), "not admitted: maintenance");
/// assert_eq!(&*error.message, "maintenance");
/// ```
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[error("not admitted: {message}")]
#[non_exhaustive]
pub struct AdmissionError {
    /// Why the registration was rejected.
    pub reason: DenyReason,
    /// A message for humans. It is printed and logged, so it must not contain the value of a label.
    pub message: Box<str>,
    /// The time after which a retry may succeed; `None` if waiting does not help.
    pub retry_after: Option<Duration>,
}

impl AdmissionError {
    /// Creates an error without a time after which a retry may succeed. For implementations of [`Admission`].
    pub fn new(reason: DenyReason, message: impl Into<Box<str>>) -> Self {
        Self { reason, message: message.into(), retry_after: None }
    }

    /// Sets [`retry_after`](Self::retry_after).
    #[must_use]
    pub fn with_retry_after(self, retry_after: Duration) -> Self {
        Self { retry_after: Some(retry_after), ..self }
    }
}

/// Why a registration is not admitted.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize), serde(rename_all = "snake_case"))]
#[non_exhaustive]
pub enum DenyReason {
    /// The registry sheds load and admits no new registrations.
    Closed,
    /// A limit is reached. If it [counts live entries](Limit::counts_live_entries), the registry evicts dead entries
    /// and asks again.
    Limit(Limit),
    /// A reason specific to the policy.
    Policy,
}

impl DenyReason {
    /// Returns a name for metrics and logs, in snake case.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::Closed => "closed",
            Self::Limit(_) => "limit",
            Self::Policy => "policy",
        }
    }
}

/// A policy that admits every registration.
#[derive(Clone, Copy, Debug, Default)]
pub struct AdmitAll;

impl Admission for AdmitAll {
    fn admit(&self, _kind: Kind, _metadata: &Metadata, _now: Instant) -> Result<(), AdmissionError> {
        Ok(())
    }

    fn renew(&self, _kind: Kind, _old: &Metadata, _new: &Metadata) -> Result<(), AdmissionError> {
        Ok(())
    }

    fn release(&self, _kind: Kind, _metadata: &Metadata) {}

    fn state(&self) -> AdmissionState {
        AdmissionState::Open
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn accessors_agree_with_the_fields() {
        let second = Duration::from_secs(1);
        for (reason, name) in
            [(DenyReason::Closed, "closed"), (DenyReason::Limit(Limit::Rate), "limit"), (DenyReason::Policy, "policy")]
        {
            assert_eq!(reason.name(), name);
            let error = AdmissionError::new(reason.clone(), "no");
            assert_eq!((&error.reason, &*error.message, error.retry_after), (&reason, "no", None));
            assert_eq!(error.clone().with_retry_after(second), AdmissionError { retry_after: Some(second), ..error });
        }
    }
}
