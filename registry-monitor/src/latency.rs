//! Latencies of one shard: histograms, a rolling window, counts of slow operations, and the time that they are kept by.

pub(crate) mod histogram;
pub(crate) mod recent_writes;
pub(crate) mod slow_ops;
pub(crate) mod timeline;
pub(crate) mod window;
