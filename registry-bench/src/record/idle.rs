//! What a connection takes that nobody talks to: its mailbox, which is the larger part of it.

use serde::{Deserialize, Serialize};

/// Bytes of an idle mailbox.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Idle {
    /// The kind of mailbox, and the crate's version, as in `tokio 1.54.1`.
    pub mailbox: String,
    /// How many messages it has room for.
    pub capacity: usize,
    /// Bytes of a message as it is delivered.
    pub message_bytes: usize,
    /// How many there were at the same time.
    pub mailboxes: usize,
    /// Bytes asked of the allocator per mailbox that has never had a message, both ends included.
    pub empty_bytes: f64,
    /// Bytes per mailbox after one message has gone through it.
    pub used_bytes: f64,
    /// Bytes per mailbox while its receiver waits for the next message, the future that waits included.
    #[serde(default)]
    pub waiting_bytes: Option<f64>,
    /// Nanoseconds to put a message in and to take it out again, where that was measured.
    pub send_ns: Option<f64>,
}
