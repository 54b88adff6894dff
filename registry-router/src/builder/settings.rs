//! The settings of a registry as plain data, and their validation.

use std::fmt;
use std::time::Duration;

use registry_core::{BuildError, IdRule};
use registry_monitor::{HealthSettings, Limits, MonitorSettings};

use crate::storage::partition::{DEFAULT_SEED, MAX_SHARDS};

/// All settings of a registry, as plain data.
///
/// When deserialized, missing fields take their default, and an unknown key at any depth is an error that names it.
///
/// # Examples
///
/// ```
/// use registry_router::{Registry, Settings};
///
/// let mut settings = Settings::default();
/// settings.shards = 16;
/// settings.limits.servers = Some(10_000);
/// let registry = Registry::<String>::builder().settings(settings).build()?;
/// assert_eq!(registry.shard_count(), 16);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize), serde(default, deny_unknown_fields))]
#[non_exhaustive]
pub struct Settings {
    /// The number of shards: a power of two from 1 to 4096. Default: 64.
    pub shards: usize,
    /// The number of servers, and of transports, that the tables have room for before they grow. Default: 0.
    pub capacity: usize,
    /// The seed of the hash of ids. Fixed by default, so that an id is in the same shard in every process.
    ///
    /// If ids come from untrusted sources, set a secret seed: anyone who knows the seed can choose ids that all fall
    /// into one shard.
    pub seed: u64,
    /// What the monitor counts and times, and when a shard raises its alarm.
    pub monitor: MonitorSettings,
    /// When the health check reports a problem, and when new registrations are refused because of it.
    pub health: HealthSettings,
    /// Limits on registrations. A custom [`Admission`](crate::Admission) policy replaces all of them except `transports_per_server`,
    /// `metadata` and `sweep_every`.
    pub limits: Limits,
    /// The characters that are accepted in ids. Default: all that an id may contain.
    pub ids: IdRule,
}

impl Settings {
    pub(super) fn check(&self) -> Result<(), BuildError> {
        if !self.shards.is_power_of_two() || self.shards > MAX_SHARDS {
            return Err(BuildError::Shards { given: self.shards });
        }
        if self.capacity > MAX_CAPACITY {
            return Err(BuildError::Capacity { given: self.capacity, max: MAX_CAPACITY });
        }
        if self.monitor.sample_every == 0 {
            return Err(BuildError::SampleEvery);
        }
        let window = self.monitor.window;
        if window < Duration::from_millis(1) || window > MAX_WINDOW {
            return Err(BuildError::Window { given: window });
        }
        if self.monitor.recent_writes == 0 || self.monitor.recent_writes > MAX_RECENT_WRITES {
            return Err(BuildError::Setting { name: "monitor.recent_writes", must: "from 1 to 1000" });
        }
        self.monitor.alarm.check()?;
        self.health.check()?;
        self.limits.check()
    }
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            shards: 64,
            capacity: 0,
            seed: DEFAULT_SEED,
            monitor: MonitorSettings::default(),
            health: HealthSettings::default(),
            limits: Limits::default(),
            ids: IdRule::default(),
        }
    }
}

impl fmt::Debug for Settings {
    /// Omits the seed, which may be secret.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Settings")
            .field("shards", &self.shards)
            .field("capacity", &self.capacity)
            .field("monitor", &self.monitor)
            .field("health", &self.health)
            .field("limits", &self.limits)
            .field("ids", &self.ids)
            .finish_non_exhaustive()
    }
}

/// The maximum initial capacity of a table. A table can grow beyond it.
const MAX_CAPACITY: usize = 1 << 28;

/// The maximum number of writes in the mean of recent writes; the latency window covers longer spans.
const MAX_RECENT_WRITES: usize = 1_000;

/// The maximum length of the latency window.
const MAX_WINDOW: Duration = Duration::from_secs(24 * 60 * 60);
