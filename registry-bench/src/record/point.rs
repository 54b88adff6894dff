//! A point of a curve: what something costs at some size.

use serde::{Deserialize, Serialize};

use crate::spread::Spread;

/// What an operation, or an entry, costs on one subject at one size.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Point {
    /// What grows: `entries`, `shards` or `tasks`.
    pub along: String,
    /// To how many of it.
    pub at: usize,
    /// What is measured: `lookup`, `route` or `register` in nanoseconds per operation and thread; `memory` in bytes
    /// per entry.
    pub figure: String,
    /// `registry`, `bare` for the backend's own map, `limit` for an immutable `HashMap`.
    pub subject: String,
    /// The name of the backend; of the default one for `limit`.
    pub backend: String,
    /// How many shards the registry has; 1 for the others.
    pub shards: usize,
    /// How many threads work.
    pub threads: usize,
    /// How many entries there are.
    pub entries: usize,
    /// How many rounds.
    pub rounds: usize,
    /// What ids and order are drawn from.
    pub seed: u64,
    /// The figure: median and range of the rounds.
    #[serde(flatten)]
    pub spread: Spread,
}
