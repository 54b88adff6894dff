//! What a peer did, or why it did not: one row for each peer and operation.

use serde::{Deserialize, Serialize};

/// One operation on one peer, in one round.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Peer {
    /// Its name and its version, as in `kameo 0.22.2`.
    pub peer: String,
    /// What it is: `ours`, `map`, `registry` or `beam`.
    pub kind: String,
    /// The name of the operation: `lookup`, `miss`, `hot`, `register`, `route`, `mixed`.
    pub operation: String,
    /// How many threads, or schedulers, work at once.
    pub threads: usize,
    /// How many entries there are beforehand.
    pub entries: usize,
    /// What ids and order are drawn from.
    pub seed: u64,
    /// What came of it.
    pub outcome: Outcome,
    /// What a reader must know to compare fairly: what it does beyond or short of the others.
    pub remark: Option<String>,
}

/// What came of an operation on a peer.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// It was measured.
    Measured {
        /// Nanoseconds per operation and thread.
        ns: f64,
        /// Operations per second of all threads together.
        ops_per_s: f64,
    },
    /// It cannot do that, and why.
    Cannot(String),
    /// It is not installed, and how it can be.
    Missing(String),
    /// It should have, and did not: it hung and was ended, or it ended with an error.
    Failed(String),
}
