//! [`BuildError`]: an invalid setting.

use std::time::Duration;

/// An invalid setting of a registry.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum BuildError {
    /// The number of shards is not a power of two from 1 to 4096.
    #[error("the number of shards must be a power of two from 1 to 4096, not {given}")]
    Shards {
        /// The value that was given.
        given: usize,
    },
    /// The expected number of entries exceeds what a table can hold.
    #[error("the capacity must be at most {max} entries, not {given}")]
    Capacity {
        /// The value that was given.
        given: usize,
        /// The maximum that is accepted.
        max: usize,
    },
    /// The sampling interval is zero.
    #[error("the sampling interval must not be 0; use 1 to time every lookup, or build without statistics")]
    SampleEvery,
    /// The latency window is shorter than a millisecond or longer than a day.
    #[error("the latency window must be from 1 millisecond to 1 day, not {given:?}")]
    Window {
        /// The value that was given.
        given: Duration,
    },
    /// A setting is zero, not a number, or out of range.
    #[error("the setting `{name}` must be {must}")]
    Setting {
        /// The name of the setting; the name of a nested field follows a dot.
        name: &'static str,
        /// The requirement that the value must meet.
        must: &'static str,
    },
}
