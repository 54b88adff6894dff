//! What can be set about monitoring.

use std::time::Duration;

use crate::health::alarm::AlarmRule;

/// What can be set about monitoring: plain data, with defaults that suit most.
///
/// ```
/// use std::time::Duration;
/// use registry_monitor::MonitorSettings;
///
/// let settings = MonitorSettings { window: Duration::from_secs(60), ..MonitorSettings::default() };
/// assert_eq!(settings.sample_every, 1_024);
/// ```
#[derive(Clone, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize), serde(default, deny_unknown_fields))]
pub struct MonitorSettings {
    /// Whether anything is counted or timed at all. Default: true.
    ///
    /// When false all figures stay at zero, no alarm is raised, and what is left is one branch per operation.
    pub enabled: bool,
    /// One lookup in so many is timed, on each thread and in each shard, until a check finds that the load asks for
    /// another rate. Default: 1,024.
    ///
    /// Rounded up to a power of two, of at most 2³¹; zero counts as one, which times every lookup.
    pub sample_every: u32,
    /// So many lookups are to be timed in a second, in all shards together. Default: 2,000; zero: the rate stays as it is.
    ///
    /// Each [check](registry_core::Probe::checked) keeps the rate if between half and twice as many were timed since the
    /// check before, and otherwise sets it by what was looked up meanwhile; to eight times what
    /// [`sample_every`](Self::sample_every) gives, at most.
    /// So what timing costs does not grow with the load, and where a slow shard holds everybody up, enough lookups are
    /// timed to tell.
    pub samples_per_second: u32,
    /// How far back latencies reach at most; counts reach back to the start or the last reset. Default: 10 s.
    ///
    /// Time is cut into slices of half a window each, and the window is the present slice and the one before it.
    /// So the figures never contain anything older than a window, and always all of its second half.
    /// Rounded down to an even number of nanoseconds, of at least two.
    pub window: Duration,
    /// How many of the last writes of each shard are kept, for those who judge by them: up to 1,000. Default: 10.
    pub recent_writes: usize,
    /// When a shard is slow enough to raise its alarm.
    pub alarm: AlarmRule,
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
    use serde::Deserialize;
    use serde::de::value::{Error, MapDeserializer};

    use super::*;

    fn read(fields: &[(&str, u32)]) -> Result<MonitorSettings, Error> {
        MonitorSettings::deserialize(MapDeserializer::new(fields.iter().copied()))
    }

    #[test]
    fn what_is_not_given_is_default() {
        assert_eq!(read(&[]).unwrap(), MonitorSettings::default());
        let given = read(&[("sample_every", 8)]).unwrap();
        assert_eq!(given, MonitorSettings { sample_every: 8, ..MonitorSettings::default() });
    }

    #[test]
    fn a_misspelt_setting_is_refused() {
        assert!(read(&[("sample_evry", 8)]).is_err());
    }
}
