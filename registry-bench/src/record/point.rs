//! A point of a curve.

use serde::{Deserialize, Serialize};

use crate::spread::Spread;

/// The cost of an operation or of an entry on one subject at one size.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Point {
    /// The quantity that grows: `entries`, `shards` or `tasks`.
    pub along: String,
    /// Its value.
    pub at: usize,
    /// The figure: `lookup`, `route` or `register` in nanoseconds per operation and thread; `memory` in bytes
    /// per entry.
    pub figure: String,
    /// `registry`, `bare` for the map of the backend, `limit` for an immutable `HashMap`.
    pub subject: String,
    /// The name of the backend; of the default one for `limit`.
    pub backend: String,
    /// The number of shards; 1 for the others.
    pub shards: usize,
    /// The number of threads.
    pub threads: usize,
    /// The number of entries.
    pub entries: usize,
    /// The number of rounds.
    pub rounds: usize,
    /// The seed of ids and their order.
    pub seed: u64,
    /// The figure: median and range of the rounds.
    #[serde(flatten)]
    pub spread: Spread,
}
