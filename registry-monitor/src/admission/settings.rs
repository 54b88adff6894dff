//! What can be limited about registrations.

use std::time::Duration;

use registry_core::BuildError;

/// What is limited about registrations: plain data. By default nothing is but the size of metadata.
///
/// A limit turns away the new and nobody else: who is registered stays, and is looked up, routed to and bound as before.
#[derive(Clone, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize), serde(default, deny_unknown_fields))]
pub struct Limits {
    /// How many servers may be registered at a time.
    pub servers: Option<usize>,
    /// How many transports may be registered at a time.
    pub transports: Option<usize>,
    /// How many transports may be bound to one server at a time. The registry keeps this one.
    pub transports_per_server: Option<usize>,
    /// How large the metadata of one registration may be. The registry keeps this one.
    pub metadata: MetadataLimit,
    /// How many may be registered that have the same value of a label, such as the same tenant.
    pub label: Option<LabelLimit>,
    /// How many registrations per second are taken.
    pub rate: Option<RateLimit>,
    /// What who is turned away by a cap is told to wait. Default: 1 s.
    pub retry_after: Duration,
    /// When a cap turns somebody away, the registry takes out the dead and asks again; but at most once in so long,
    /// because it looks at all registrations for that. Default: 1 s.
    pub sweep_every: Duration,
}

/// How large the metadata of one registration may be.
///
/// Metadata are copied by nothing, but are kept for as long as the registration, listed, and counted by label.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize), serde(default, deny_unknown_fields))]
pub struct MetadataLimit {
    /// How many labels there may be. Default: 256.
    pub labels: usize,
    /// How many bytes their keys and values may have together. Default: 65,536.
    pub bytes: usize,
}

/// How many may be registered that have the same value of a label. Who does not have the label is not counted.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize), serde(deny_unknown_fields))]
pub struct LabelLimit {
    /// The name of the label in the metadata, such as `tenant`.
    pub key: String,
    /// So many servers for each value, if they are limited.
    #[cfg_attr(feature = "serde", serde(default))]
    pub servers: Option<usize>,
    /// So many transports for each value, if they are limited.
    #[cfg_attr(feature = "serde", serde(default))]
    pub transports: Option<usize>,
}

/// How many registrations per second are taken, servers and transports together.
///
/// Those are counted that get so far as to ask, also if they fail then because their name is taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize), serde(deny_unknown_fields))]
pub struct RateLimit {
    /// In the long run.
    pub per_second: u32,
    /// How many may come at once after a pause.
    pub burst: u32,
}

impl Limits {
    /// Whether the limits make sense: none is zero, and a label that is named is limited.
    ///
    /// # Errors
    ///
    /// [`BuildError::Setting`], naming the one that does not.
    pub fn check(&self) -> Result<(), BuildError> {
        let some = |name, number: Option<usize>| match number {
            Some(0) => Err(BuildError::Setting { name, must: "at least 1, or absent" }),
            _ => Ok(()),
        };
        some("limits.servers", self.servers)?;
        some("limits.transports", self.transports)?;
        some("limits.transports_per_server", self.transports_per_server)?;
        some("limits.metadata.labels", Some(self.metadata.labels))?;
        some("limits.metadata.bytes", Some(self.metadata.bytes))?;
        if let Some(label) = &self.label {
            some("limits.label.servers", label.servers)?;
            some("limits.label.transports", label.transports)?;
            if label.servers.is_none() && label.transports.is_none() {
                return Err(BuildError::Setting {
                    name: "limits.label",
                    must: "a limit on servers, transports or both",
                });
            }
        }
        if let Some(rate) = &self.rate {
            some("limits.rate.per_second", Some(rate.per_second as usize))?;
            some("limits.rate.burst", Some(rate.burst as usize))?;
        }
        if self.retry_after.is_zero() {
            return Err(BuildError::Setting { name: "limits.retry_after", must: "above zero" });
        }
        Ok(())
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
