//! What the registry says of itself.

use std::time::Instant;

use registry_core::{Backend, ContentionStatus, Mailboxes, Probe, ShardStats};
use registry_monitor::{imbalance, skew};

use crate::registry::Registry;

impl<M, B, X, P> Registry<M, B, X, P>
where
    M: Send + 'static,
    B: Backend,
    X: Mailboxes,
    P: Probe,
{
    /// The figures of one shard; `None` if there is no such shard.
    pub fn shard_stats(&self, shard: usize) -> Option<ShardStats> {
        (shard < self.shard_count()).then(|| self.stats_at(shard, Instant::now()))
    }

    /// The figures of all shards, in order. Each shard is read at another moment, so sums are exact when nothing runs.
    pub fn all_shard_stats(&self) -> Vec<ShardStats> {
        let now = Instant::now();
        (0..self.shard_count()).map(|shard| self.stats_at(shard, now)).collect()
    }

    /// Sets all counts and latencies back to zero; registrations, bindings and alarms are not figures and stay.
    pub fn reset_stats(&self) {
        self.inner.probe.reset();
    }

    /// Where it hurts: which shards are in alarm, whether new registrations are taken, how evenly entries lie.
    pub fn contention_status(&self) -> ContentionStatus {
        let shards = self.all_shard_stats();
        let entries: Vec<usize> = shards.iter().map(|shard| shard.servers + shard.transports).collect();
        let mut status = ContentionStatus::default();
        status.shards = shards.len();
        status.alarmed = shards.iter().filter(|shard| shard.alarm).map(|shard| shard.shard).collect();
        status.admission = self.inner.admission.state();
        status.skew = skew(&entries);
        status.imbalance = imbalance(&entries);
        status
    }

    /// How many shards there are.
    pub fn shard_count(&self) -> usize {
        self.inner.partition.shards()
    }

    /// The shard that an id is in, registered or not.
    ///
    /// The same for the same seed and number of shards in every process, on every platform.
    pub fn shard_of(&self, id: impl AsRef<[u8]>) -> usize {
        self.inner.place(id.as_ref()).shard
    }

    fn stats_at(&self, shard: usize, now: Instant) -> ShardStats {
        let mut stats = self.inner.probe.stats(shard, now);
        stats.servers = self.inner.servers.len_of(shard);
        stats.transports = self.inner.transports.len_of(shard);
        stats.bindings = self.inner.roll.bound(shard);
        stats
    }
}
