//! The mailbox of an idle connection.

use serde::{Deserialize, Serialize};

/// Bytes of an idle mailbox.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Idle {
    /// The family of mailboxes.
    pub mailbox: String,
    /// The capacity.
    pub capacity: usize,
    /// Bytes of a delivered message.
    pub message_bytes: usize,
    /// The number of mailboxes at the same time.
    pub mailboxes: usize,
    /// Bytes asked of the allocator per unused mailbox, both ends included.
    pub empty_bytes: f64,
    /// Bytes per mailbox after one message has gone through it.
    pub used_bytes: f64,
    /// Bytes per mailbox while its receiver waits for the next message, the future that waits included.
    #[serde(default)]
    pub waiting_bytes: Option<f64>,
    /// Nanoseconds to send a message and to receive it, if measured.
    pub send_ns: Option<f64>,
}
