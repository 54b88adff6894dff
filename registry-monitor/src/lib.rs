//! Monitoring and admission of a registry: statistics per shard, health checks, and limits on registrations.
//!
//! - **To use a registry**, set [`MonitorSettings`], [`HealthSettings`] and [`Limits`] when building it, and read its
//!   statistics; `registry-router` re-exports these types.
//! - **To implement a registry**, create one [`Monitor`] for all of its shards and pass it to them as their
//!   [`Probe`](registry_core::Probe). The registry counts its entries itself; [`skew`], [`imbalance`] and [`p_value`]
//!   measure their distribution over the shards. [`Health`] turns statistics into health changes, and [`Limiter`] is the
//!   default [`Admission`](registry_core::Admission) policy.
//!
//! This crate reads no clock, starts no thread, and neither prints nor exports: instants come from the caller, and
//! statistics are computed on request.
//!
//! # Cost
//!
//! A lookup writes one counter that no other thread writes; it takes no lock and moves no cache line between cores.
//! If health checks are made, about [`samples_per_second`](MonitorSettings::samples_per_second) lookups are timed,
//! whatever the load. Every registration and removal is timed.
//!
//! Memory, with 64 shards: 10 KiB of counters per thread, for the largest number of threads that ran at the same time;
//! 64 KiB for the windows; and 1 to 4 KiB of histogram per shard, operation and half window in which an operation was
//! timed. Latencies that have left the window take 2 to 8 KiB more per shard and operation, and as much again after a
//! reset. The ids of sampled lookups are counted in 128 entries for the whole registry.
//!
//! # Examples
//!
//! ```
//! use std::time::{Duration, Instant};
//!
//! use registry_core::{Event, Operation, Probe};
//! use registry_monitor::{Monitor, MonitorSettings};
//!
//! let start = Instant::now();
//! let monitor = Monitor::new(64, MonitorSettings::default().with_sample_every(1), start);
//!
//! // A lookup in shard 7 that finds nothing and takes 250 ns.
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
