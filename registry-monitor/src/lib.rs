//! How a registry watches and protects itself: figures per shard, a judgement of its health, and limits on who may
//! register.
//!
//! - **Users of a registry** meet [`MonitorSettings`], [`HealthSettings`] and [`Limits`] when they build one and the figures
//!   when they ask for them; `registry-router` re-exports them all.
//! - **Builders of a registry** make one [`Monitor`] for all its shards and hand it to them as their
//!   [`Probe`](registry_core::Probe). Entries are theirs to count; [`skew`] and [`imbalance`] judge how they lie.
//!   [`Health`] turns the figures into changes, and [`Limiter`] is the usual
//!   [`Admission`](registry_core::Admission).
//!
//! Nothing in here reads a clock, starts a thread, prints or exports: instants come from the caller, and figures are
//! made when somebody asks.
//!
//! # What it costs
//!
//! A lookup writes one counter that no other thread writes; nothing is locked and no cache line moves between cores.
//! About [`samples_per_second`](MonitorSettings::samples_per_second) lookups are timed, however many there are, if checks
//! are made; every registration and removal is.
//! Memory, with 64 shards: 10 KiB of counters per thread that ever ran at the same time as others, 64 KiB for the
//! windows, and 1 to 4 KiB per shard, operation and half window for histograms, once something was timed there. What
//! leaves the window takes 2 to 8 KiB more per shard and operation, and as much again once it was reset.
//! The ids of the sampled lookups are counted in 128 places for the whole registry.
//!
//! # Example
//!
//! ```
//! use std::time::{Duration, Instant};
//!
//! use registry_core::{Event, Operation, Probe};
//! use registry_monitor::{Monitor, MonitorSettings};
//!
//! let start = Instant::now();
//! let monitor = Monitor::new(64, MonitorSettings { sample_every: 1, ..MonitorSettings::default() }, start);
//!
//! // In shard 7, a lookup that finds nothing, and takes 250 ns.
//! if monitor.lookup(7) {
//!     monitor.record_latency(7, Operation::Read, start, start + Duration::from_nanos(250));
//! }
//! monitor.event(7, Event::Miss);
//!
//! let stats = monitor.stats(7, start + Duration::from_secs(1));
//! assert_eq!((stats.lookups, stats.hits, stats.misses), (1, 0, 1));
//! assert_eq!((stats.reads.count, stats.reads.max_ns), (1, 250));
//! ```

mod admission;
mod counters;
mod health;
mod hot_keys;
mod latency;
mod monitor;
mod sampling;
mod settings;
#[cfg(test)]
mod split_mix64;

pub use admission::{LabelLimit, Limiter, Limits, MetadataLimit, RateLimit};
pub use health::alarm::AlarmRule;
pub use health::imbalance::{imbalance, p_value, skew};
pub use health::{Health, HealthSettings, HotRule, ImbalanceRule};
pub use monitor::Monitor;
pub use settings::MonitorSettings;
