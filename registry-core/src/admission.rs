//! Who may be refused before work starts: the contract of admission, and the policy that refuses nobody.
//!
//! Only new registrations ask.
//! Looking up, routing, binding and leaving never do, so that a registry in trouble goes on serving those it has.

use std::fmt;
use std::time::{Duration, Instant};

use crate::health::{Limit, LimitHits, LimitUsage};
use crate::metadata::Metadata;

/// Decides about new registrations.
pub trait Admission: fmt::Debug + Send + Sync + 'static {
    /// Reserves a place for a registration, or refuses it.
    ///
    /// Called before the registration touches a shard, and outside of any lock.
    /// Every `Ok` must be matched by one call to [`release`](Self::release) with the same arguments: at once if the
    /// registration fails, else when it ends. The registry sees to that.
    /// `now` is the caller's clock; a policy reads none.
    ///
    /// # Errors
    ///
    /// [`AdmissionError`], with the reason that the caller is to be told.
    fn admit(&self, kind: Kind, metadata: &Metadata, now: Instant) -> Result<(), AdmissionError>;

    /// Says whether a registration may be followed by one of the same owner, with other metadata, in the place that it
    /// has. Nothing is reserved or given back: the place is released with the new metadata, once.
    ///
    /// So a policy must refuse metadata that it would count elsewhere; one that counts by metadata in a way of its own
    /// must say so here. Unless it does, all metadata must be what they were.
    ///
    /// # Errors
    ///
    /// [`AdmissionError`], with the reason that the caller is to be told.
    fn renew(&self, _kind: Kind, old: &Metadata, new: &Metadata) -> Result<(), AdmissionError> {
        if old == new {
            return Ok(());
        }
        let reason = "a renewal must keep the metadata".into();
        Err(AdmissionError { reason: DenyReason::Policy, message: reason, retry_after: None })
    }

    /// Gives a place back.
    fn release(&self, kind: Kind, metadata: &Metadata);

    /// Whether new registrations are taken at present.
    fn state(&self) -> AdmissionState;

    /// Hears that too many shards are in alarm, or not any more. A policy that sheds load refuses the new meanwhile.
    ///
    /// Called after a check of the registry's health, one call at a time and with nothing locked. It may call the
    /// registry, also to check again: what that finds is told when this call has returned.
    fn health(&self, _state: AdmissionState, _retry_after: Duration) {}

    /// Returns the use of each cap, of which there must be few and always the same ones: they are compared with the check
    /// before, and exported. Their [`hits`](LimitUsage::hits) must never fall.
    ///
    /// Caps that come and go, or of which there can be any number, belong into [`take_limit_hits`](Self::take_limit_hits).
    fn limit_usage(&self) -> Vec<LimitUsage> {
        Vec::new()
    }

    /// Returns those other caps that have turned something away since the call before, and forgets that they did.
    ///
    /// Called once by each check of the registry's health, which tells of them; nothing else may call it. A policy that
    /// wraps another one must pass this on as it does [`limit_usage`](Self::limit_usage).
    fn take_limit_hits(&self) -> LimitHits {
        LimitHits::default()
    }
}

/// What wants to register.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize), serde(rename_all = "snake_case"))]
pub enum Kind {
    /// Something that answers.
    Server,
    /// A connection.
    Transport,
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Server => "server",
            Self::Transport => "transport",
        })
    }
}

/// Whether new registrations are taken.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize), serde(rename_all = "snake_case"))]
pub enum AdmissionState {
    /// They are.
    #[default]
    Open,
    /// They are refused; everything else goes on.
    Closed,
}

/// A registration is not admitted.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[error("not admitted: {message}")]
pub struct AdmissionError {
    /// Why the registration was denied.
    pub reason: DenyReason,
    /// The reason in words, for a person. It is printed and logged, so a policy must put no label value in it.
    pub message: Box<str>,
    /// When trying again may help; `None` when waiting will not.
    pub retry_after: Option<Duration>,
}

/// What refuses a registration.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize), serde(rename_all = "snake_case"))]
#[non_exhaustive]
pub enum DenyReason {
    /// The registry is in trouble and takes nobody new.
    Closed,
    /// A cap. If it [counts the living](Limit::counts_live_entries), the registry takes out the dead and asks again.
    Limit(Limit),
    /// A reason of the policy's own.
    Policy,
}

/// Refuses nobody.
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
