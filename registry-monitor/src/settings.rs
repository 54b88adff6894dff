//! Settings of the monitor.

use std::time::Duration;

use crate::health::alarm::AlarmRule;

/// Settings of a [`Monitor`](crate::Monitor).
///
/// # Examples
///
/// ```
/// use std::time::Duration;
/// use registry_monitor::MonitorSettings;
///
/// let settings = MonitorSettings::default().with_window(Duration::from_secs(60));
/// assert_eq!((settings.window.as_secs(), settings.sample_every), (60, 1_024));
/// ```
#[derive(Clone, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize), serde(default, deny_unknown_fields))]
#[non_exhaustive]
pub struct MonitorSettings {
    /// Whether operations are counted and timed. Default: true.
    ///
    /// If false, all statistics stay zero, no alarm is raised, and the cost is one branch per operation.
    pub enabled: bool,
    /// The initial sampling rate: one lookup in `sample_every` is timed, on each thread and in each shard, until a health
    /// check adjusts the rate to the load. Default: 1,024.
    ///
    /// Rounded up to a power of two, at most 2³¹. Zero counts as one, which times every lookup.
    pub sample_every: u32,
    /// The target number of timed lookups per second, in all shards together. Default: 2,000. Zero keeps the rate at
    /// [`sample_every`](Self::sample_every).
    ///
    /// Each [health check](registry_core::Probe::on_health_check) keeps the rate if between half and twice the target were
    /// timed since the check before. Otherwise it sets the rate from the number of lookups since then; the rate never
    /// rises above eight times the initial one.
    /// So the cost of timing does not grow with the load, and when a slow shard holds up all callers, enough lookups are
    /// still timed to raise its alarm.
    pub samples_per_second: u32,
    /// The length of the window of latencies. Counts are since the start or the last reset. Default: 10 s.
    ///
    /// Time is divided into slices of half a window, and the window is the present slice and the one before it.
    /// So the statistics contain nothing that is older than a window, and everything of its second half.
    /// Rounded down to an even number of nanoseconds, at least two.
    pub window: Duration,
    /// How many of the last writes of each shard are kept, for rules that are based on them: at most 1,000. Default: 10.
    pub recent_writes: usize,
    /// When a shard is slow enough to raise its alarm.
    pub alarm: AlarmRule,
}

impl MonitorSettings {
    /// Sets [`enabled`](Self::enabled).
    #[must_use]
    pub fn with_enabled(self, enabled: bool) -> Self {
        Self { enabled, ..self }
    }

    /// Sets [`sample_every`](Self::sample_every).
    #[must_use]
    pub fn with_sample_every(self, sample_every: u32) -> Self {
        Self { sample_every, ..self }
    }

    /// Sets [`samples_per_second`](Self::samples_per_second).
    #[must_use]
    pub fn with_samples_per_second(self, samples_per_second: u32) -> Self {
        Self { samples_per_second, ..self }
    }

    /// Sets [`window`](Self::window).
    #[must_use]
    pub fn with_window(self, window: Duration) -> Self {
        Self { window, ..self }
    }

    /// Sets [`recent_writes`](Self::recent_writes).
    #[must_use]
    pub fn with_recent_writes(self, recent_writes: usize) -> Self {
        Self { recent_writes, ..self }
    }

    /// Sets [`alarm`](Self::alarm).
    #[must_use]
    pub fn with_alarm(self, alarm: AlarmRule) -> Self {
        Self { alarm, ..self }
    }
}

impl Default for MonitorSettings {
    fn default() -> Self {
        Self {
            enabled: true,
            sample_every: 1_024,
            samples_per_second: 2_000,
            window: Duration::from_secs(10),
            recent_writes: 10,
            alarm: AlarmRule::default(),
        }
    }
}

#[cfg(all(test, feature = "serde"))]
mod tests {
    use serde::de::DeserializeOwned;
    use serde::de::value::{Error, MapDeserializer};

    use super::*;
    use crate::{HealthSettings, HotRule, ImbalanceRule, LabelLimit, Limits, MetadataLimit, RateLimit};

    fn deserialize<T: DeserializeOwned>(fields: &[(&str, u32)]) -> Result<T, Error> {
        T::deserialize(MapDeserializer::new(fields.iter().copied()))
    }

    #[test]
    fn absent_fields_take_their_defaults() {
        assert_eq!(deserialize::<MonitorSettings>(&[]), Ok(MonitorSettings::default()));
        let settings = deserialize::<MonitorSettings>(&[("sample_every", 8)]);
        assert_eq!(settings, Ok(MonitorSettings::default().with_sample_every(8)));
    }

    #[test]
    fn unknown_fields_are_rejected_by_name() {
        fn check<T: DeserializeOwned + std::fmt::Debug>() {
            let error = deserialize::<T>(&[("no_such_setting", 8)]).unwrap_err().to_string();
            assert!(error.contains("unknown field `no_such_setting`"), "{}: {error}", std::any::type_name::<T>());
        }
        check::<MonitorSettings>();
        check::<AlarmRule>();
        check::<HealthSettings>();
        check::<HotRule>();
        check::<ImbalanceRule>();
        check::<Limits>();
        check::<MetadataLimit>();
        check::<LabelLimit>();
        check::<RateLimit>();
    }
}
