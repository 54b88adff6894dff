//! Limits on registrations and bindings: what is limited, how much of a limit is used, and how often it was hit.

use std::fmt;

use crate::kind::Kind;
use crate::metadata::Bytes;

/// A limit on registrations or bindings.
///
/// `Display` and `Debug` show the key of a label and never its value, which may be a secret. The value is in the field.
#[derive(Clone, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize), serde(rename_all = "snake_case"))]
#[non_exhaustive]
pub enum Limit {
    /// The number of live servers.
    Servers,
    /// The number of live transports.
    Transports,
    /// The number of live registrations of one kind whose metadata contain this label.
    Label {
        /// The kind of the registrations.
        kind: Kind,
        /// The key of the label.
        key: Box<str>,
        /// The value of the label.
        value: Box<str>,
    },
    /// The number of registrations per second.
    Rate,
    /// The number of transports bound to one server.
    TransportsPerServer,
}

impl Limit {
    /// Returns a name for metrics and logs, in snake case; the same for all labels.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::Servers => "servers",
            Self::Transports => "transports",
            Self::Label { .. } => "label",
            Self::Rate => "rate",
            Self::TransportsPerServer => "transports_per_server",
        }
    }

    /// Returns whether the use of this limit is a single number, so that [`LimitUsage::used`] is meaningful.
    #[must_use]
    pub fn has_usage(&self) -> bool {
        match self {
            Self::Servers | Self::Transports | Self::Label { .. } => true,
            Self::Rate | Self::TransportsPerServer => false,
        }
    }

    /// Returns whether removing registrations with a closed mailbox can free capacity under this limit.
    pub fn counts_live_entries(&self) -> bool {
        !matches!(self, Self::Rate)
    }
}

impl fmt::Debug for Limit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Servers => "Servers",
            Self::Transports => "Transports",
            Self::Label { kind, key, value } => {
                let mut label = f.debug_struct("Label");
                return label.field("kind", kind).field("key", key).field("value", &Bytes(value.len())).finish();
            }
            Self::Rate => "Rate",
            Self::TransportsPerServer => "TransportsPerServer",
        })
    }
}

impl fmt::Display for Limit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Servers => f.write_str("servers"),
            Self::Transports => f.write_str("transports"),
            Self::Label { kind, key, .. } => write!(f, "{kind}s per value of `{key}`"),
            Self::Rate => f.write_str("registrations per second"),
            Self::TransportsPerServer => f.write_str("transports bound to one server"),
        }
    }
}

/// How much of a limit is used, and how often it was hit.
///
/// # Examples
///
/// ```
/// use registry_core::{Limit, LimitUsage};
///
/// let usage = LimitUsage::new(Limit::Servers, 100).with_used(7).with_hits(2);
/// assert_eq!(usage.to_string(), "100 servers, refused 2 so far");
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub struct LimitUsage {
    /// The limit.
    pub limit: Limit,
    /// The maximum that the limit allows.
    pub max: u64,
    /// How much is used, registrations in progress included; zero for a limit whose use is not a single number.
    pub used: u64,
    /// How often the limit was hit. Includes registrations that succeeded after dead entries had been evicted.
    pub hits: u64,
}

impl LimitUsage {
    /// Creates the usage of a limit that is unused and was never hit. For implementations of
    /// [`Admission`](crate::Admission).
    #[must_use]
    pub fn new(limit: Limit, max: u64) -> Self {
        Self { limit, max, used: 0, hits: 0 }
    }

    /// Sets [`used`](Self::used).
    #[must_use]
    pub fn with_used(self, used: u64) -> Self {
        Self { used, ..self }
    }

    /// Sets [`hits`](Self::hits).
    #[must_use]
    pub fn with_hits(self, hits: u64) -> Self {
        Self { hits, ..self }
    }
}

/// The limits that were hit between one health check and the next.
///
/// For limits whose number is unbounded; see [`Admission::take_limit_hits`](crate::Admission::take_limit_hits).
///
/// # Examples
///
/// ```
/// use registry_core::{Limit, LimitHits, LimitUsage};
///
/// let hits = LimitHits::default().with_limits(vec![LimitUsage::new(Limit::Servers, 100)]).with_unlisted(3);
/// assert_eq!((hits.limits.len(), hits.unlisted), (1, 3));
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct LimitHits {
    /// The known limits, each once, in the order in which they were first hit.
    pub limits: Vec<LimitUsage>,
    /// The number of further limits that were hit and are not known individually; some of them may be counted twice.
    pub unlisted: u64,
}

impl LimitHits {
    /// Sets [`limits`](Self::limits).
    #[must_use]
    pub fn with_limits(self, limits: Vec<LimitUsage>) -> Self {
        Self { limits, ..self }
    }

    /// Sets [`unlisted`](Self::unlisted).
    #[must_use]
    pub fn with_unlisted(self, unlisted: u64) -> Self {
        Self { unlisted, ..self }
    }
}

/// A number of label limits that a health check does not report individually.
///
/// # Examples
///
/// ```
/// assert_eq!(registry_core::LimitCount::new(3).limits, 3);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub struct LimitCount {
    /// How many limits there are.
    pub limits: u64,
}

impl LimitCount {
    /// Creates a number of limits.
    #[must_use]
    pub fn new(limits: u64) -> Self {
        Self { limits }
    }
}

impl fmt::Display for LimitUsage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { limit, max, hits, .. } = self;
        write!(f, "{max} {limit}, refused {hits} so far")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_usage_agree_with_the_variant() {
        let label = Limit::Label { kind: Kind::Server, key: "tenant".into(), value: "acme42".into() };
        let cases = [
            (Limit::Servers, "servers", true, true),
            (Limit::Transports, "transports", true, true),
            (label, "label", true, true),
            (Limit::Rate, "rate", false, false),
            (Limit::TransportsPerServer, "transports_per_server", false, true),
        ];
        for (limit, name, has_usage, counts_live_entries) in cases {
            assert_eq!((limit.name(), limit.has_usage()), (name, has_usage));
            assert_eq!(limit.counts_live_entries(), counts_live_entries, "{limit}");
        }
    }
}
