//! What the user can change about the load.

use clap::ValueEnum;

/// The most threads that make load.
pub const MOST_THREADS: usize = 8;

/// The most that comes and goes.
pub const MOST_CHURN: usize = 8;

/// How the load is set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Controls {
    /// How many threads make load, from 1 on.
    pub threads: usize,
    /// How many transports come and go.
    pub churn: usize,
    /// Whether every second lookup is for one id.
    pub hot: bool,
    pub slow: Slow,
}

/// Which shards are slow.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Slow {
    /// None.
    Off,
    /// One of them.
    One,
    /// Five of eight, which are enough to close admission.
    Most,
}

impl Slow {
    /// Whether a shard is slow.
    pub fn includes(self, shard: usize, shards: usize) -> bool {
        match self {
            Self::Off => false,
            Self::One => shard == 17 % shards,
            Self::Most => shards < 8 || shard % 8 >= 3,
        }
    }

    pub fn next(self) -> Self {
        match self {
            Self::Off => Self::One,
            Self::One => Self::Most,
            Self::Most => Self::Off,
        }
    }

    pub fn name(self) -> &'static str {
        match self {
            Self::Off => "off",
            Self::One => "one",
            Self::Most => "most",
        }
    }
}
