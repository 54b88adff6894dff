//! Statistics, health, events and metrics.

mod counters;
#[cfg(feature = "tracing")]
mod events;
mod faults;
mod health;
#[cfg(feature = "metrics")]
mod metrics;
mod sampling;
mod secrets;
mod stats;
