//! The settings of the load that the user can change.

use clap::ValueEnum;

/// The maximum number of threads that generate load.
pub const MAX_THREADS: usize = 8;

/// The maximum churn.
pub const MAX_CHURN: usize = 8;

/// The settings of the load.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Controls {
    /// The number of threads that generate load, at least 1.
    pub threads: usize,
    /// How many transports each thread registers per batch; as many are released later.
    pub churn: usize,
    /// Whether every second lookup is for the same id.
    pub hot: bool,
    /// Which shards are slow.
    pub slow: SlowShards,
}

/// Which shards are slow.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum SlowShards {
    /// None.
    Off,
    /// One of them.
    One,
    /// Five of eight, which is enough to close admission.
    Most,
}

impl SlowShards {
    /// Returns whether the shard with this index is slow.
    pub fn includes(self, shard: usize, shards: usize) -> bool {
        match self {
            Self::Off => false,
            Self::One => shard == 17 % shards,
            Self::Most => shards < 8 || shard % 8 >= 3,
        }
    }

    /// Returns the next setting, in a cycle.
    pub fn next(self) -> Self {
        match self {
            Self::Off => Self::One,
            Self::One => Self::Most,
            Self::Most => Self::Off,
        }
    }

    /// Returns the name that is displayed.
    pub fn name(self) -> &'static str {
        match self {
            Self::Off => "off",
            Self::One => "one",
            Self::Most => "most",
        }
    }
}
