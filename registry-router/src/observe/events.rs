//! Events and spans of the crate `tracing`. Without the feature `tracing` this compiles to nothing; with it, lookups and
//! messages emit no events.

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

/// Functions that do nothing, without the feature.
#[cfg(not(feature = "tracing"))]
mod silent {
    use registry_core::{HealthChange, Kind, RegisterErrorKind};

    use crate::lifecycle::sweep::SweepReport;

    /// A guard for the duration of a span.
    pub(crate) struct Span;

    pub(crate) fn checking(_shards: usize) -> Span {
        Span
    }

    pub(crate) fn sweeping(_shard: usize) -> Span {
        Span
    }

    pub(crate) fn changed(_changes: &[HealthChange]) {}

    pub(crate) fn swept(_shard: usize, _report: &SweepReport) {}

    #[cfg(feature = "metrics")]
    pub(crate) fn renamed(_name: Option<&str>, _label: &str) {}

    pub(crate) fn refused(_kind: Kind, _id: &[u8], _reason: &RegisterErrorKind) {}
}
