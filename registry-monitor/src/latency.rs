//! Latencies of the shards: histograms, rolling windows, counts of slow operations, and the time that divides them.

use std::sync::{Mutex, OnceLock};

use crossbeam_utils::CachePadded;

use recent_writes::RecentWritesWindow;
use slow_ops::SlowOpsWindow;
use window::Window;

pub(crate) mod histogram;
pub(crate) mod recent_writes;
pub(crate) mod slow_ops;
pub(crate) mod timeline;
pub(crate) mod window;

/// The latencies of one shard. Reads and writes are padded apart: they usually come from different threads.
#[derive(Default)]
pub(crate) struct ShardLatencies {
    pub(crate) reads: CachePadded<Mutex<OperationLatencies>>,
    pub(crate) writes: CachePadded<WriteLatencies>,
}

/// The latencies of one kind of operation.
#[derive(Default)]
pub(crate) struct OperationLatencies {
    pub(crate) window: Window,
    pub(crate) slow_ops: SlowOpsWindow,
    /// Used for writes only.
    pub(crate) recent_writes: RecentWritesWindow,
}

/// The latencies of registrations and removals, and the delays of cleanups.
#[derive(Default)]
pub(crate) struct WriteLatencies {
    pub(crate) operations: Mutex<OperationLatencies>,
    /// Allocated by the first cleanup: most registries are never swept.
    pub(crate) cleanups: OnceLock<Box<Mutex<Window>>>,
}
