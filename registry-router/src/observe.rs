//! Observability: statistics, health checks, events and metrics.

pub(crate) mod events;
pub(crate) mod health;
#[cfg(feature = "metrics")]
pub(crate) mod metrics;
pub(crate) mod stats;
