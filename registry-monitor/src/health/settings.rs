//! What can be set about the judgement of a registry's health.

use std::time::Duration;

use registry_core::BuildError;

/// What can be set about the judgement of a registry's health: plain data, with defaults that suit most.
///
/// The rule for the alarms of shards is [`MonitorSettings::alarm`](crate::MonitorSettings::alarm).
#[derive(Clone, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize), serde(default, deny_unknown_fields))]
pub struct HealthSettings {
    /// When entries lie too unevenly.
    pub imbalance: ImbalanceRule,
    /// When an id is hot.
    pub hot: HotRule,
    /// New registrations are refused when more than this share of the shards is in alarm. Default: 0.5.
    ///
    /// From 0, at which one alarm is enough, to 1, which is never.
    pub close_above: f64,
    /// They are taken again when the share has been this or less for a while; at most `close_above`. Default: 0.25.
    pub reopen_at: f64,
    /// For how long it must have been so, at every check; also what the refused are told to wait. Default: 5 s.
    pub reopen_after: Duration,
    /// A cap is relieved when it has turned nobody away for so long. Default: 10 s.
    pub caps_clear_after: Duration,
}

/// When entries lie more unevenly over the shards than chance would have it.
///
/// Entries and not lookups are judged. An id is in a shard by its hash, which is as good as chance; but what is looked up
/// is what people want, and a popular id makes its shard busier than chance would. Ids that are looked up too often are
/// the business of [`HotRule`].
#[derive(Clone, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize), serde(default, deny_unknown_fields))]
pub struct ImbalanceRule {
    /// Raised when chance would do it with less than this probability; cleared above its square root. Default: 1e-9.
    ///
    /// That is of one check of one kind. With both kinds checked each second and all entries replaced from one check to
    /// the next, a false alarm is to be expected once in 16 years; real registries change more slowly.
    pub false_alarm: f64,
    /// For how long it must have been above that, at every check. Default: 10 s.
    pub clear_after: Duration,
}

/// When one id gets too large a share of the lookups.
///
/// Judged by the sampled lookups of the window, one in [`sample_every`](crate::MonitorSettings::sample_every).
#[derive(Clone, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize), serde(default, deny_unknown_fields))]
pub struct HotRule {
    /// Hot from this share on, above 0 and at most 1; gone below half of it. Default: 0.2.
    pub share: f64,
    /// And from so many times its fair share on, which is one by the number of entries. Default: 10.
    ///
    /// So that none is hot where there are few.
    pub min_fair_ratio: f64,
    /// So many sampled lookups are enough to tell. Default: 200.
    pub min_samples: u64,
    /// For how long it must have been below, at every check. Default: 10 s.
    pub clear_after: Duration,
}

impl HealthSettings {
    /// Whether the settings make sense.
    ///
    /// # Errors
    ///
    /// [`BuildError::Setting`], naming what does not.
    pub fn check(&self) -> Result<(), BuildError> {
        let must = |name, right, must| if right { Ok(()) } else { Err(BuildError::Setting { name, must }) };
        let false_alarm = self.imbalance.false_alarm;
        must("health.imbalance.false_alarm", false_alarm > 0.0 && false_alarm < 0.1, "above 0 and below 0.1")?;
        must("health.hot.share", self.hot.share > 0.0 && self.hot.share <= 1.0, "above 0 and at most 1")?;
        must(
            "health.hot.times_fair",
            self.hot.min_fair_ratio >= 1.0 && self.hot.min_fair_ratio.is_finite(),
            "at least 1",
        )?;
        must("health.hot.enough", self.hot.min_samples > 0, "at least 1")?;
        must("health.close_above", (0.0..=1.0).contains(&self.close_above), "from 0 to 1")?;
        must("health.reopen_at", (0.0..=self.close_above).contains(&self.reopen_at), "from 0 to `health.close_above`")
    }
}

impl Default for HealthSettings {
    fn default() -> Self {
        Self {
            imbalance: ImbalanceRule::default(),
            hot: HotRule::default(),
            close_above: 0.5,
            reopen_at: 0.25,
            reopen_after: Duration::from_secs(5),
            caps_clear_after: Duration::from_secs(10),
        }
    }
}

impl Default for ImbalanceRule {
    fn default() -> Self {
        Self { false_alarm: 1e-9, clear_after: Duration::from_secs(10) }
    }
}

impl Default for HotRule {
    fn default() -> Self {
        Self { share: 0.2, min_fair_ratio: 10.0, min_samples: 200, clear_after: Duration::from_secs(10) }
    }
}
