//! Settings of the health checks.

use std::time::Duration;

use registry_core::BuildError;

/// Settings of the health checks of a registry.
///
/// The rule for the alarms of shards is [`MonitorSettings::alarm`](crate::MonitorSettings::alarm).
///
/// # Examples
///
/// ```
/// use registry_monitor::{HealthSettings, HotRule};
///
/// let settings = HealthSettings::default().with_close_above(0.75).with_hot(HotRule::default().with_share(0.3));
/// assert_eq!((settings.close_above, settings.hot.share), (0.75, 0.3));
/// assert!(settings.check().is_ok());
/// ```
#[derive(Clone, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize), serde(default, deny_unknown_fields))]
#[non_exhaustive]
pub struct HealthSettings {
    /// When the distribution of entries is imbalanced.
    pub imbalance: ImbalanceRule,
    /// When an id is hot.
    pub hot: HotRule,
    /// Admission closes when more than this fraction of the shards is in alarm. Default: 0.5.
    ///
    /// At 0 a single alarm closes admission; at 1 it never closes.
    pub close_above: f64,
    /// Admission reopens when the fraction has been at most this for a while; at most `close_above`. Default: 0.25.
    pub reopen_at: f64,
    /// How long it must have been so, at every check. Also the retry delay of rejected registrations. Default: 5 s.
    pub reopen_after: Duration,
    /// A reached limit is cleared when it has rejected nothing for this long. Default: 10 s.
    pub limits_clear_after: Duration,
}

/// When the distribution of entries over the shards is more uneven than chance explains.
///
/// The test is on entries and not on lookups: the hash of an id selects its shard uniformly, but lookups are not uniform
/// over ids, and a popular id makes its shard busier. [`HotRule`] detects ids with too many lookups.
///
/// # Examples
///
/// ```
/// use registry_monitor::ImbalanceRule;
///
/// let rule = ImbalanceRule::default().with_false_alarm(1e-6);
/// assert_eq!(rule.false_alarm, 1e-6);
/// ```
#[derive(Clone, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize), serde(default, deny_unknown_fields))]
#[non_exhaustive]
pub struct ImbalanceRule {
    /// Raised at a p-value below this, cleared at one above its square root. Default: 1e-9.
    ///
    /// This is the probability of a false alarm in one check of one kind. If both kinds are checked each second, and all
    /// entries are replaced between two checks, expect one false alarm in 16 years; real registries change more slowly.
    pub false_alarm: f64,
    /// How long the p-value must have been above that, at every check. Default: 10 s.
    pub clear_after: Duration,
}

/// When one id has too large a share of the lookups.
///
/// The share is estimated from the sampled lookups in the window.
///
/// # Examples
///
/// ```
/// use registry_monitor::HotRule;
///
/// let rule = HotRule::default().with_share(0.5);
/// assert_eq!((rule.share, rule.min_samples), (0.5, 200));
/// ```
#[derive(Clone, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize), serde(default, deny_unknown_fields))]
#[non_exhaustive]
pub struct HotRule {
    /// The share from which an id is hot, above 0 and at most 1. It is cleared below half of it. Default: 0.2.
    pub share: f64,
    /// The minimum ratio of the share to the fair share, which is one divided by the number of entries. Default: 10.
    ///
    /// With few entries, no id is hot.
    pub min_fair_ratio: f64,
    /// The minimum number of sampled lookups. Default: 200.
    pub min_samples: u64,
    /// How long the share must have been below that, at every check. Default: 10 s.
    pub clear_after: Duration,
}

impl HealthSettings {
    /// Checks that all values are in range.
    ///
    /// # Errors
    ///
    /// [`BuildError::Setting`] with the name of the first invalid setting.
    pub fn check(&self) -> Result<(), BuildError> {
        let must = |name, valid, must| if valid { Ok(()) } else { Err(BuildError::Setting { name, must }) };
        let false_alarm = self.imbalance.false_alarm;
        must("health.imbalance.false_alarm", false_alarm > 0.0 && false_alarm < 0.1, "above 0 and below 0.1")?;
        must("health.hot.share", self.hot.share > 0.0 && self.hot.share <= 1.0, "above 0 and at most 1")?;
        must(
            "health.hot.min_fair_ratio",
            self.hot.min_fair_ratio >= 1.0 && self.hot.min_fair_ratio.is_finite(),
            "at least 1",
        )?;
        must("health.hot.min_samples", self.hot.min_samples > 0, "at least 1")?;
        must("health.close_above", (0.0..=1.0).contains(&self.close_above), "from 0 to 1")?;
        must("health.reopen_at", (0.0..=self.close_above).contains(&self.reopen_at), "from 0 to `health.close_above`")
    }
}

impl HealthSettings {
    /// Sets [`imbalance`](Self::imbalance).
    #[must_use]
    pub fn with_imbalance(self, imbalance: ImbalanceRule) -> Self {
        Self { imbalance, ..self }
    }

    /// Sets [`hot`](Self::hot).
    #[must_use]
    pub fn with_hot(self, hot: HotRule) -> Self {
        Self { hot, ..self }
    }

    /// Sets [`close_above`](Self::close_above).
    #[must_use]
    pub fn with_close_above(self, close_above: f64) -> Self {
        Self { close_above, ..self }
    }

    /// Sets [`reopen_at`](Self::reopen_at).
    #[must_use]
    pub fn with_reopen_at(self, reopen_at: f64) -> Self {
        Self { reopen_at, ..self }
    }

    /// Sets [`reopen_after`](Self::reopen_after).
    #[must_use]
    pub fn with_reopen_after(self, reopen_after: Duration) -> Self {
        Self { reopen_after, ..self }
    }

    /// Sets [`limits_clear_after`](Self::limits_clear_after).
    #[must_use]
    pub fn with_limits_clear_after(self, limits_clear_after: Duration) -> Self {
        Self { limits_clear_after, ..self }
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
            limits_clear_after: Duration::from_secs(10),
        }
    }
}

impl ImbalanceRule {
    /// Sets [`false_alarm`](Self::false_alarm).
    #[must_use]
    pub fn with_false_alarm(self, false_alarm: f64) -> Self {
        Self { false_alarm, ..self }
    }

    /// Sets [`clear_after`](Self::clear_after).
    #[must_use]
    pub fn with_clear_after(self, clear_after: Duration) -> Self {
        Self { clear_after, ..self }
    }
}

impl Default for ImbalanceRule {
    fn default() -> Self {
        Self { false_alarm: 1e-9, clear_after: Duration::from_secs(10) }
    }
}

impl HotRule {
    /// Sets [`share`](Self::share).
    #[must_use]
    pub fn with_share(self, share: f64) -> Self {
        Self { share, ..self }
    }

    /// Sets [`min_fair_ratio`](Self::min_fair_ratio).
    #[must_use]
    pub fn with_min_fair_ratio(self, min_fair_ratio: f64) -> Self {
        Self { min_fair_ratio, ..self }
    }

    /// Sets [`min_samples`](Self::min_samples).
    #[must_use]
    pub fn with_min_samples(self, min_samples: u64) -> Self {
        Self { min_samples, ..self }
    }

    /// Sets [`clear_after`](Self::clear_after).
    #[must_use]
    pub fn with_clear_after(self, clear_after: Duration) -> Self {
        Self { clear_after, ..self }
    }
}

impl Default for HotRule {
    fn default() -> Self {
        Self { share: 0.2, min_fair_ratio: 10.0, min_samples: 200, clear_after: Duration::from_secs(10) }
    }
}
