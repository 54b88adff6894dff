//! The outcome of an operation on a peer.

use serde::{Deserialize, Serialize};

/// One operation on one peer, in one round.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Peer {
    /// The name and version, as in `kameo 0.22.2`.
    pub peer: String,
    /// The kind: `ours`, `map`, `registry` or `beam`.
    pub kind: String,
    /// The name of the operation: `lookup`, `miss`, `hot`, `register`, `route`, `mixed`.
    pub operation: String,
    /// The number of threads or schedulers.
    pub threads: usize,
    /// The number of entries registered beforehand.
    pub entries: usize,
    /// The seed of ids and their order.
    pub seed: u64,
    /// The outcome.
    pub outcome: Outcome,
    /// How it differs from the others, for a fair comparison.
    pub remark: Option<String>,
}

/// The outcome of an operation on a peer.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// Measured.
    Measured {
        /// Nanoseconds per operation and thread.
        ns: f64,
        /// Operations per second of all threads together.
        ops_per_s: f64,
    },
    /// Not supported, and why.
    Cannot(String),
    /// Not installed, and how to install it.
    Missing(String),
    /// Failed with an error, or killed after a time limit.
    Failed(String),
}
