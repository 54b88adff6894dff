//! What the user can change about the load.

use clap::ValueEnum;

/// The most threads that make load.
pub(crate) const MOST_THREADS: usize = 8;

/// The most that comes and goes.
pub(crate) const MOST_CHURN: usize = 8;

/// How the load is set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Controls {
    /// How many threads make load, from 1 on.
    pub(crate) threads: usize,
    /// How many transports come and go.
    pub(crate) churn: usize,
    /// Whether every second lookup is for one id.
    pub(crate) hot: bool,
    pub(crate) slow: Slow,
}

/// Which shards are slow.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Slow {
    /// None.
    Off,
    /// One of them.
    One,
    /// Five of eight, which are enough to close admission.
    Most,
}

impl Slow {
    /// Whether a shard is slow.
    pub(crate) fn includes(self, shard: usize, shards: usize) -> bool {
        match self {
            Self::Off => false,
            Self::One => shard == 17 % shards,
            Self::Most => shards < 8 || shard % 8 >= 3,
        }
    }

    pub(crate) fn next(self) -> Self {
        match self {
            Self::Off => Self::One,
            Self::One => Self::Most,
            Self::Most => Self::Off,
        }
    }

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Off => "off",
            Self::One => "one",
            Self::Most => "most",
        }
    }
}
