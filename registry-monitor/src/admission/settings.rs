//! Settings of the limiter.

use std::time::Duration;

use registry_core::BuildError;

/// Limits on registrations. By default only the size of metadata is limited.
///
/// A limit rejects new registrations only: lookups, routes and bindings of registered entries are not affected.
///
/// # Examples
///
/// ```
/// use registry_monitor::{LabelLimit, Limits, RateLimit};
///
/// let limits = Limits::default()
///     .with_servers(10_000)
///     .with_label(LabelLimit::new("tenant").with_transports(100))
///     .with_rate(RateLimit::new(500, 50));
/// assert_eq!((limits.servers, limits.transports), (Some(10_000), None));
/// assert!(limits.check().is_ok());
/// ```
#[derive(Clone, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize), serde(default, deny_unknown_fields))]
#[non_exhaustive]
pub struct Limits {
    /// The maximum number of registered servers.
    pub servers: Option<usize>,
    /// The maximum number of registered transports.
    pub transports: Option<usize>,
    /// The maximum number of transports bound to one server. Enforced by the registry.
    pub transports_per_server: Option<usize>,
    /// The maximum size of the metadata of one registration. Enforced by the registry.
    pub metadata: MetadataLimit,
    /// The maximum number of entries with the same value of a label, such as the same tenant.
    pub label: Option<LabelLimit>,
    /// The maximum rate of registrations.
    pub rate: Option<RateLimit>,
    /// The retry delay returned when a limit is reached. Default: 1 s.
    pub retry_after: Duration,
    /// The minimum interval between sweeps that are triggered by a reached limit. Default: 1 s.
    ///
    /// When a limit is reached, the registry removes dead entries and retries the admission. A sweep visits all entries.
    pub sweep_every: Duration,
}

/// The maximum size of the metadata of one registration.
///
/// Metadata is never copied, but it is kept as long as the registration, listed, and counted by label.
///
/// # Examples
///
/// ```
/// use registry_monitor::MetadataLimit;
///
/// let limit = MetadataLimit::default().with_labels(16);
/// assert_eq!((limit.labels, limit.bytes), (16, 65_536));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize), serde(default, deny_unknown_fields))]
#[non_exhaustive]
pub struct MetadataLimit {
    /// The maximum number of labels. Default: 256.
    pub labels: usize,
    /// The maximum total length of their keys and values, in bytes. Default: 65,536.
    pub bytes: usize,
}

/// The maximum number of entries with the same value of a label. Entries without the label are not counted.
///
/// # Examples
///
/// ```
/// use registry_monitor::LabelLimit;
///
/// let limit = LabelLimit::new("tenant").with_servers(10);
/// assert_eq!((limit.servers, limit.transports), (Some(10), None));
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize), serde(deny_unknown_fields))]
#[non_exhaustive]
pub struct LabelLimit {
    /// The name of the label in the metadata, such as `tenant`.
    pub key: String,
    /// The maximum number of servers per value; `None` if unlimited.
    #[cfg_attr(feature = "serde", serde(default))]
    pub servers: Option<usize>,
    /// The maximum number of transports per value; `None` if unlimited.
    #[cfg_attr(feature = "serde", serde(default))]
    pub transports: Option<usize>,
}

/// The maximum rate of registrations, of servers and transports together.
///
/// A registration counts when it requests admission, even if it then fails because its id is in use.
///
/// # Examples
///
/// ```
/// use registry_monitor::RateLimit;
///
/// let limit = RateLimit::new(100, 20);
/// assert_eq!((limit.per_second, limit.burst), (100, 20));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize), serde(deny_unknown_fields))]
#[non_exhaustive]
pub struct RateLimit {
    /// The sustained rate.
    pub per_second: u32,
    /// The maximum number of registrations at once after an idle time.
    pub burst: u32,
}

impl Limits {
    /// Checks that no limit is zero, and that a label limit limits servers, transports or both.
    ///
    /// # Errors
    ///
    /// [`BuildError::Setting`] with the name of the first invalid limit.
    pub fn check(&self) -> Result<(), BuildError> {
        let positive = |name, number: Option<usize>| match number {
            Some(0) => Err(BuildError::Setting { name, must: "at least 1, or absent" }),
            _ => Ok(()),
        };
        positive("limits.servers", self.servers)?;
        positive("limits.transports", self.transports)?;
        positive("limits.transports_per_server", self.transports_per_server)?;
        positive("limits.metadata.labels", Some(self.metadata.labels))?;
        positive("limits.metadata.bytes", Some(self.metadata.bytes))?;
        if let Some(label) = &self.label {
            positive("limits.label.servers", label.servers)?;
            positive("limits.label.transports", label.transports)?;
            if label.servers.is_none() && label.transports.is_none() {
                return Err(BuildError::Setting {
                    name: "limits.label",
                    must: "a limit on servers, transports or both",
                });
            }
        }
        if let Some(rate) = &self.rate {
            positive("limits.rate.per_second", Some(rate.per_second as usize))?;
            positive("limits.rate.burst", Some(rate.burst as usize))?;
        }
        if self.retry_after.is_zero() {
            return Err(BuildError::Setting { name: "limits.retry_after", must: "above zero" });
        }
        Ok(())
    }
}

impl Limits {
    /// Sets [`servers`](Self::servers).
    #[must_use]
    pub fn with_servers(self, servers: usize) -> Self {
        Self { servers: Some(servers), ..self }
    }

    /// Sets [`transports`](Self::transports).
    #[must_use]
    pub fn with_transports(self, transports: usize) -> Self {
        Self { transports: Some(transports), ..self }
    }

    /// Sets [`transports_per_server`](Self::transports_per_server).
    #[must_use]
    pub fn with_transports_per_server(self, transports_per_server: usize) -> Self {
        Self { transports_per_server: Some(transports_per_server), ..self }
    }

    /// Sets [`metadata`](Self::metadata).
    #[must_use]
    pub fn with_metadata(self, metadata: MetadataLimit) -> Self {
        Self { metadata, ..self }
    }

    /// Sets [`label`](Self::label).
    #[must_use]
    pub fn with_label(self, label: LabelLimit) -> Self {
        Self { label: Some(label), ..self }
    }

    /// Sets [`rate`](Self::rate).
    #[must_use]
    pub fn with_rate(self, rate: RateLimit) -> Self {
        Self { rate: Some(rate), ..self }
    }

    /// Sets [`retry_after`](Self::retry_after).
    #[must_use]
    pub fn with_retry_after(self, retry_after: Duration) -> Self {
        Self { retry_after, ..self }
    }

    /// Sets [`sweep_every`](Self::sweep_every).
    #[must_use]
    pub fn with_sweep_every(self, sweep_every: Duration) -> Self {
        Self { sweep_every, ..self }
    }
}

impl MetadataLimit {
    /// Sets [`labels`](Self::labels).
    #[must_use]
    pub fn with_labels(self, labels: usize) -> Self {
        Self { labels, ..self }
    }

    /// Sets [`bytes`](Self::bytes).
    #[must_use]
    pub fn with_bytes(self, bytes: usize) -> Self {
        Self { bytes, ..self }
    }
}

impl LabelLimit {
    /// Creates a limit on the values of the label `key` that limits neither servers nor transports yet; at least one of
    /// them must be set.
    #[must_use]
    pub fn new(key: impl Into<String>) -> Self {
        Self { key: key.into(), servers: None, transports: None }
    }

    /// Sets [`servers`](Self::servers).
    #[must_use]
    pub fn with_servers(self, servers: usize) -> Self {
        Self { servers: Some(servers), ..self }
    }

    /// Sets [`transports`](Self::transports).
    #[must_use]
    pub fn with_transports(self, transports: usize) -> Self {
        Self { transports: Some(transports), ..self }
    }
}

impl RateLimit {
    /// Creates a limit of `per_second` registrations per second, and of `burst` at once after an idle time.
    #[must_use]
    pub fn new(per_second: u32, burst: u32) -> Self {
        Self { per_second, burst }
    }
}

impl Default for MetadataLimit {
    fn default() -> Self {
        Self { labels: 256, bytes: 64 << 10 }
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            servers: None,
            transports: None,
            transports_per_server: None,
            metadata: MetadataLimit::default(),
            label: None,
            rate: None,
            retry_after: Duration::from_secs(1),
            sweep_every: Duration::from_secs(1),
        }
    }
}
