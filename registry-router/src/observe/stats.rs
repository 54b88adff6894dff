//! What the registry says of itself.

use std::sync::atomic::Ordering;
use std::time::Instant;

use registry_core::{Backend, Contention, ContentionStatus, LatencyStats, MailboxFamily, Operation, Probe, ShardStats};
use registry_monitor::{imbalance, skew};

use crate::registry::{Inner, Registry};

impl<M, B, X, P> Registry<M, B, X, P>
where
    M: Send + 'static,
    B: Backend,
    X: MailboxFamily,
    P: Probe,
{
    /// The figures of one shard; `None` if there is no such shard.
    pub fn shard_stats(&self, shard: usize) -> Option<ShardStats> {
        (shard < self.shard_count()).then(|| self.inner.stats_at(shard, self.inner.time.now()))
    }

    /// The figures of all shards, in order. Each shard is read at another moment, so sums are exact when nothing runs.
    pub fn all_shard_stats(&self) -> Vec<ShardStats> {
        let now = self.inner.time.now();
        (0..self.shard_count()).map(|shard| self.inner.stats_at(shard, now)).collect()
    }

    /// Latencies of all shards taken together, in the window. None, if the probe does not know.
    ///
    /// For percentiles of the whole: they cannot be told from those of the shards. O(shards).
    pub fn latency(&self, operation: Operation) -> LatencyStats {
        self.inner.probe.latency(operation, self.inner.time.now())
    }

    /// What hears of everything that happens here: the [`Monitor`](crate::Monitor), or what the builder was
    /// [given](crate::Builder::probe) in its place.
    pub fn probe(&self) -> &P {
        &self.inner.probe
    }

    /// Sets all counts and latencies back to zero; registrations, bindings and alarms are not figures and stay, and so does
    /// what health is judged by, until it leaves the window: hot ids, the last writes, and how many operations were slow.
    pub fn reset_stats(&self) {
        self.inner.probe.reset();
        for (shard, before) in self.inner.contention_baseline.iter().enumerate() {
            let contention = self.inner.contention(shard).map_or(0, |contention| contention.count);
            before.fetch_max(contention, Ordering::Relaxed);
        }
    }

    /// Where it hurts: which shards are in alarm, whether new registrations are taken, how evenly entries lie.
    ///
    /// Alarms are those of the last [check](Self::tick); entries are those of now.
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
        self.inner.location(id.as_ref()).shard
    }
}

impl<M, B, X, P> Inner<M, B, X, P>
where
    M: Send + 'static,
    B: Backend,
    X: MailboxFamily,
    P: Probe,
{
    pub(crate) fn stats_at(&self, shard: usize, now: Instant) -> ShardStats {
        let mut stats = self.completed(shard, self.probe.stats(shard, now));
        if let Some(contention) = &mut stats.contention {
            contention.count -= contention.count.min(self.contention_baseline[shard].load(Ordering::Relaxed));
        }
        stats
    }

    /// The same, whatever was reset.
    #[cfg(feature = "metrics")]
    pub(crate) fn stats_since_start_at(&self, shard: usize, now: Instant) -> ShardStats {
        self.completed(shard, self.probe.stats_since_start(shard, now))
    }

    /// With what the probe does not know.
    fn completed(&self, shard: usize, mut stats: ShardStats) -> ShardStats {
        stats.servers = self.servers.len_of(shard);
        stats.transports = self.transports.len_of(shard);
        stats.bindings = self.binding_counts.bound(shard);
        stats.alarm = self.health_state.is_alarmed(shard);
        stats.contention = self.contention(shard);
        stats
    }

    /// How often operations met in a shard, whatever was reset.
    fn contention(&self, shard: usize) -> Option<Contention> {
        Contention::sum(self.servers.contention_of(shard), self.transports.contention_of(shard))
    }
}
