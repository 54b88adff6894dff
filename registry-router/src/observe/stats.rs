//! Statistics of a registry and its shards.

use std::sync::atomic::Ordering;
use std::time::Instant;

use registry_core::{Backend, Contention, ContentionStatus, LatencyStats, MailboxFamily, Operation, Probe, ShardStats};
use registry_monitor::{imbalance, skew};

use crate::registry::{Inner, Registry};
use crate::types::Types;

impl<M, B, X, P> Registry<M, B, X, P>
where
    M: Send + 'static,
    B: Backend,
    X: MailboxFamily,
    P: Probe,
{
    /// Returns the statistics of one shard; `None` if `shard` is out of range.
    ///
    /// # Examples
    ///
    /// ```
    /// # use registry_router::{Registry, mailbox};
    /// let registry: Registry<&str> = Registry::builder().build()?;
    /// let (mailbox, _inbox) = mailbox(16);
    /// let _lease = registry.register_server("echo", mailbox, ())?;
    ///
    /// let shard = registry.shard_of("echo");
    /// assert_eq!(registry.shard_stats(shard).map(|stats| stats.servers), Some(1));
    /// assert!(registry.shard_stats(registry.shard_count()).is_none());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn shard_stats(&self, shard: usize) -> Option<ShardStats> {
        (shard < self.shard_count()).then(|| self.inner.stats_at(shard, self.inner.time.now()))
    }

    /// Returns the statistics of all shards, in order.
    ///
    /// The shards are read one after the other, so sums over them are exact only while no operation is running.
    ///
    /// # Examples
    ///
    /// ```
    /// # use registry_router::{Registry, mailbox};
    /// let registry: Registry<&str> = Registry::builder().build()?;
    /// let (mailbox, _inbox) = mailbox(16);
    /// let _lease = registry.register_server("echo", mailbox, ())?;
    ///
    /// let registrations: u64 = registry.all_shard_stats().iter().map(|stats| stats.registrations).sum();
    /// assert_eq!(registrations, 1);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn all_shard_stats(&self) -> Vec<ShardStats> {
        let now = self.inner.time.now();
        (0..self.shard_count()).map(|shard| self.inner.stats_at(shard, now)).collect()
    }

    /// Returns the latencies of an operation in the window, over all shards; [`LatencyStats::default`] if the probe does
    /// not measure them.
    ///
    /// Percentiles of the whole registry cannot be computed from those of its shards.
    ///
    /// # Cost
    ///
    /// O(shards).
    ///
    /// # Examples
    ///
    /// ```
    /// # use registry_router::{Operation, Registry, mailbox};
    /// let registry: Registry<&str> = Registry::builder().build()?;
    /// let (mailbox, _inbox) = mailbox(16);
    /// let _lease = registry.register_server("echo", mailbox, ())?;
    ///
    /// let writes = registry.latency(Operation::Write);
    /// assert_eq!(writes.count, 1);
    /// assert!(writes.p99_ns <= writes.max_ns);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn latency(&self, operation: Operation) -> LatencyStats {
        self.inner.probe.latency(operation, self.inner.time.now())
    }

    /// Returns the probe that records the operations: the [`Monitor`](crate::Monitor), or the one
    /// [set by the builder](crate::Builder::probe).
    ///
    /// # Examples
    ///
    /// ```
    /// # use std::time::Instant;
    /// # use registry_router::{Operation, Probe, Registry};
    /// let registry: Registry<&str> = Registry::builder().build()?;
    /// let reads = registry.probe().latency(Operation::Read, Instant::now());
    /// assert_eq!(reads.count, 0);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn probe(&self) -> &P {
        &self.inner.probe
    }

    /// Resets all counts and latencies to zero.
    ///
    /// Registrations, bindings and alarms are not affected. Neither is the data that health is judged by, until it leaves
    /// the window: hot ids, the most recent writes, and the number of slow operations.
    ///
    /// # Examples
    ///
    /// ```
    /// # use registry_router::{Registry, mailbox};
    /// let registry: Registry<&str> = Registry::builder().build()?;
    /// let (mailbox, _inbox) = mailbox(16);
    /// let _lease = registry.register_server("echo", mailbox, ())?;
    ///
    /// registry.reset_stats();
    /// let stats = registry.shard_stats(registry.shard_of("echo")).ok_or("no such shard")?;
    /// assert_eq!((stats.servers, stats.registrations), (1, 0));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn reset_stats(&self) {
        self.inner.probe.reset();
        for (shard, before) in self.inner.contention_baseline.iter().enumerate() {
            let contention = self.inner.contention(shard).map_or(0, |contention| contention.count);
            before.fetch_max(contention, Ordering::Relaxed);
        }
    }

    /// Returns the shards in alarm, whether new registrations are admitted, and how evenly the entries are distributed.
    ///
    /// Alarms are those of the last [health check](Self::tick), entries those of now.
    ///
    /// # Examples
    ///
    /// ```
    /// # use registry_router::{AdmissionState, Registry};
    /// let registry: Registry<&str> = Registry::builder().build()?;
    /// let status = registry.contention_status();
    /// assert!(status.alarmed.is_empty());
    /// assert_eq!(status.admission, AdmissionState::Open);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
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

    /// Returns the number of shards.
    ///
    /// # Examples
    ///
    /// ```
    /// # use registry_router::Registry;
    /// let registry: Registry<&str> = Registry::builder().shards(8).build()?;
    /// assert_eq!(registry.shard_count(), 8);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn shard_count(&self) -> usize {
        self.inner.partition.shards()
    }

    /// Returns the index of the shard of an id, whether or not the id is registered.
    ///
    /// The result is the same for the same seed and number of shards in every process, on every platform.
    ///
    /// # Examples
    ///
    /// ```
    /// # use registry_router::Registry;
    /// let registry: Registry<&str> = Registry::builder().build()?;
    /// assert!(registry.shard_of("echo") < registry.shard_count());
    /// assert_eq!(registry.shard_of("echo"), registry.shard_of(b"echo"));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn shard_of(&self, id: impl AsRef<[u8]>) -> usize {
        self.inner.location(id.as_ref()).shard
    }
}

impl<T: Types> Inner<T> {
    pub(crate) fn stats_at(&self, shard: usize, now: Instant) -> ShardStats {
        let mut stats = self.completed(shard, self.probe.stats(shard, now));
        if let Some(contention) = &mut stats.contention {
            contention.count -= contention.count.min(self.contention_baseline[shard].load(Ordering::Relaxed));
        }
        stats
    }

    /// Like [`stats_at`](Self::stats_at), but not affected by resets.
    #[cfg(feature = "metrics")]
    pub(crate) fn stats_since_start_at(&self, shard: usize, now: Instant) -> ShardStats {
        self.completed(shard, self.probe.stats_since_start(shard, now))
    }

    /// Adds the values that the probe does not record.
    fn completed(&self, shard: usize, mut stats: ShardStats) -> ShardStats {
        stats.servers = self.servers.len_of(shard);
        stats.transports = self.transports.len_of(shard);
        stats.bindings = self.binding_counts.bound(shard);
        stats.alarm = self.health_state.is_alarmed(shard);
        stats.contention = self.contention(shard);
        stats
    }

    /// Returns the contention in a shard, not affected by resets.
    fn contention(&self, shard: usize) -> Option<Contention> {
        Contention::sum(self.servers.contention_of(shard), self.transports.contention_of(shard))
    }
}
