//! Who may be refused before work starts: the contract of admission, and the policy that refuses nobody.
//!
//! Only new registrations ask.
//! Looking up, routing, binding and leaving never do, so that a registry in trouble goes on serving those it has.

use std::fmt;
use std::time::Duration;

use crate::metadata::Metadata;

/// Decides about new registrations.
pub trait Admission: fmt::Debug + Send + Sync + 'static {
    /// Reserves a place for a registration, or refuses it.
    ///
    /// Called before the registration touches a shard, and outside of any lock.
    /// Every `Ok` must be matched by one call to [`release`](Self::release) with the same arguments: at once if the
    /// registration fails, else when it ends. The registry sees to that.
    ///
    /// # Errors
    ///
    /// [`Refusal`], with the reason that the caller is to be told.
    fn admit(&self, kind: Kind, metadata: &Metadata) -> Result<(), Refusal>;

    /// Gives a place back.
    fn release(&self, kind: Kind, metadata: &Metadata);

    /// Whether new registrations are taken at present.
    fn state(&self) -> AdmissionState;
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
#[error("not admitted: {reason}")]
pub struct Refusal {
    /// Why, in words for a person.
    pub reason: Box<str>,
    /// When trying again may help; `None` when waiting will not.
    pub retry_after: Option<Duration>,
}

/// Refuses nobody.
#[derive(Clone, Copy, Debug, Default)]
pub struct AdmitAll;

impl Admission for AdmitAll {
    fn admit(&self, _kind: Kind, _metadata: &Metadata) -> Result<(), Refusal> {
        Ok(())
    }

    fn release(&self, _kind: Kind, _metadata: &Metadata) {}

    fn state(&self) -> AdmissionState {
        AdmissionState::Open
    }
}
