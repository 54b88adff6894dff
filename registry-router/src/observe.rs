//! What a registry reports about itself: statistics, health changes, events and metrics.

pub(crate) mod events;
pub(crate) mod health;
#[cfg(feature = "metrics")]
pub(crate) mod metrics;
pub(crate) mod stats;
