//! What the measurement needs of a peer.

use registry_bench::timed_loop::{Operation, TimedLoop};

/// A peer that is set up: all names are registered, and nothing receives from the mailboxes.
pub trait Peer: Sync {
    /// Returns the loop of the n-th thread over an operation; called on that thread.
    fn timed_loop(&self, operation: Operation, thread: usize) -> Box<dyn TimedLoop + '_>;

    /// Empties all mailboxes.
    fn drain(&self);

    /// Returns how many messages can be spread over all servers before a mailbox may be full.
    fn room(&self) -> usize;
}
