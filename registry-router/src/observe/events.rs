//! What the registry says as it happens, by the crate `tracing`: nothing at all without the feature of that name, and
//! nothing for a lookup or a message with it.

#[cfg(all(feature = "metrics", not(feature = "tracing")))]
pub(crate) use silent::renamed;
#[cfg(not(feature = "tracing"))]
pub(crate) use silent::{changed, checking, refused, sweeping, swept};
#[cfg(all(feature = "metrics", feature = "tracing"))]
pub(crate) use traced::renamed;
#[cfg(feature = "tracing")]
pub(crate) use traced::{changed, checking, refused, sweeping, swept};

#[cfg(feature = "tracing")]
mod traced;

/// The same without the feature; the compiler leaves nothing of it.
#[cfg(not(feature = "tracing"))]
mod silent {
    use registry_core::{HealthChange, Kind, RegisterErrorKind};

    use crate::lifecycle::sweep::SweepReport;

    /// What is held for as long as a span lasts.
    pub(crate) struct Span;

    pub(crate) fn checking(_shards: usize) -> Span {
        Span
    }

    pub(crate) fn sweeping(_shard: usize) -> Span {
        Span
    }

    pub(crate) fn changed(_changes: &[HealthChange]) {}

    pub(crate) fn swept(_shard: usize, _swept: &SweepReport) {}

    #[cfg(feature = "metrics")]
    pub(crate) fn renamed(_name: Option<&str>, _label: &str) {}

    pub(crate) fn refused(_kind: Kind, _id: &[u8], _reason: &RegisterErrorKind) {}
}
