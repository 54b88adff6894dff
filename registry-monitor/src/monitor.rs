//! [`Monitor`], the default probe: counters, latencies and hot ids of all shards of one registry.

use std::fmt;
use std::sync::{Mutex, MutexGuard, PoisonError, TryLockError};
use std::time::Instant;

use registry_core::{Event, HotId, Kind, LatencyStats, Operation, Probe, ShardStats};

use crate::counters::Counters;
use crate::latency::ShardLatencies;
use crate::latency::histogram::LatencyHistogram;
use crate::latency::window::TotalsSince;
use crate::settings::MonitorSettings;

use active::Active;

mod active;

/// Counts the operations of all shards of one registry, and records their latencies over a rolling window and in total.
///
/// Its interface is [`Probe`]; it has no methods of its own apart from constructors and [`settings`](Self::settings).
///
/// # Accuracy
///
/// - Counts are exact if all counting threads happen before the reading, for example because they were joined. While
///   threads run, each count may lag behind, and counts that belong together may lag by different amounts.
///   A miss is never visible without its lookup, so `hits`, the difference of lookups and misses, is never negative, and
///   at most too high by the number of lookups in progress.
/// - A [reset](Probe::reset) keeps what health checks are based on, all of which expires with time: the hot ids, the
///   recent writes, and the counts of slow operations in the window.
/// - After a reset during a lookup, its miss may be counted without it. `hits` is then too low by one.
/// - All writes are timed. A sampled read is dropped if another thread records or reads latencies of the same shard at
///   that moment: a lookup never waits for a lock.
/// - Totals of latencies cover all timed operations since the start or the last reset, including those in the window.
/// - A percentile is at least the exact one by nearest rank, and at most 1/16 above it, of the latencies in the window or
///   in total. Mean, minimum and maximum are exact. Latencies above 292 years count as 292 years.
/// - The id of a sampled lookup is dropped if another thread counts or reads ids at that moment.
/// - [`LatencyStats::window`] is the full length of the window, [`MonitorSettings::window`]. Its older half may be
///   missing.
///
/// # Instants
///
/// Instants must come from one clock, [`Instant::now`] or a test's. They need not be in order: a lookup that ended before
/// it began counts as zero time, and a record that is older than the window counts in the totals only.
///
/// A record with an instant far in the future advances the window: its contents then count in the totals only. If
/// following records and readings are behind it by more than half a window, for more than half a window, the monitor
/// concludes that the clock was wrong and continues the window from their time; until then they count in the totals only.
/// So the monitor recovers within one window, or one second if that is longer, after the clock is right again.
/// A reading with an instant in the future changes nothing.
///
/// # Panics
///
/// All methods that take a shard panic if it is out of range, unless the monitor is off.
pub struct Monitor {
    settings: MonitorSettings,
    counters: Counters,
    /// `None` if the monitor is off.
    active: Option<Active>,
}

impl Monitor {
    /// Creates a monitor of `shards` shards whose windows start at `start`.
    ///
    /// If the settings are not [`enabled`](MonitorSettings::enabled), the monitor is off and allocates nothing.
    #[must_use]
    pub fn new(shards: usize, settings: MonitorSettings, start: Instant) -> Self {
        let active = settings.enabled.then(|| Active::new(shards, &settings, start));
        let counters = if settings.enabled { Counters::new(shards, settings.sample_every) } else { Counters::off() };
        Self { settings, counters, active }
    }

    /// Creates a monitor that is off: it records nothing, and its statistics are zero for every shard.
    #[must_use]
    pub fn off() -> Self {
        let settings = MonitorSettings::default().with_enabled(false);
        Self { settings, counters: Counters::off(), active: None }
    }

    /// Returns the settings of this monitor.
    #[must_use]
    pub fn settings(&self) -> &MonitorSettings {
        &self.settings
    }
}

impl Probe for Monitor {
    // A call that saves registers would cost as much as the body.
    #[inline(always)]
    fn lookup(&self, shard: usize) -> bool {
        self.counters.lookup(shard)
    }

    #[cold]
    fn on_sample(&self, shard: usize, kind: Kind, id: &[u8]) {
        if let Some(active) = &self.active {
            active.hot_keys.record(kind, shard, id);
        }
    }

    #[inline(always)]
    fn event(&self, shard: usize, event: Event) {
        self.counters.event(shard, event);
    }

    #[inline]
    fn times_writes(&self) -> bool {
        self.active.is_some()
    }

    fn record_latency(&self, shard: usize, operation: Operation, began: Instant, ended: Instant) {
        let Some(active) = &self.active else { return };
        let latency = ended.saturating_duration_since(began);
        let since_start = active.timeline.advance(ended);
        let slice = active.window_slices.number_at(since_start);
        let slow_ops_slice = active.slow_ops_slices.number_at(since_start);
        let shard = &active.shards[shard];
        match operation {
            // A lost sample does not matter; waiting for a lock does.
            Operation::Read => {
                active.hot_keys.advance_to(slice);
                let mut reads = match shard.reads.try_lock() {
                    Ok(reads) => reads,
                    Err(TryLockError::Poisoned(reads)) => reads.into_inner(),
                    Err(TryLockError::WouldBlock) => return,
                };
                reads.window.record(slice, latency);
                reads.slow_ops.record(slow_ops_slice, latency, &active.thresholds);
            }
            // Alarms are based on all writes, so this waits. The lock is held for one record or one copy at a time.
            Operation::Write => {
                let mut writes = lock(&shard.writes.operations);
                writes.window.record(slice, latency);
                writes.slow_ops.record(slow_ops_slice, latency, &active.thresholds);
                writes.recent_writes.record(latency, active.recent_writes);
            }
            Operation::CleanUp => {
                lock(shard.writes.cleanups.get_or_init(Box::default)).record(slice, latency);
            }
        }
    }

    fn stats(&self, shard: usize, now: Instant) -> ShardStats {
        self.shard_stats(shard, TotalsSince::LastReset, now)
    }

    fn stats_since_start(&self, shard: usize, now: Instant) -> ShardStats {
        self.shard_stats(shard, TotalsSince::Start, now)
    }

    fn latency(&self, operation: Operation, now: Instant) -> LatencyStats {
        let Some(active) = &self.active else { return LatencyStats::default() };
        let slice = active.slice_at(now);
        let mut all = LatencyHistogram::default();
        for ShardLatencies { reads, writes } in &active.shards {
            match operation {
                Operation::Read => all.add(&lock(reads).window.read(slice)),
                Operation::Write => all.add(&lock(&writes.operations).window.read(slice)),
                Operation::CleanUp => {
                    writes.cleanups.get().into_iter().for_each(|cleanups| all.add(&lock(cleanups).read(slice)))
                }
            }
        }
        all.summary(active.window_slices.window_length())
    }

    fn hot_ids(&self, now: Instant) -> Vec<HotId> {
        self.active.as_ref().map_or_else(Vec::new, |active| active.hot_keys.snapshot(active.slice_at(now)))
    }

    fn on_health_check(&self, now: Instant) {
        let Some(active) = &self.active else { return };
        let mut sample_rate = lock(&active.sample_rate);
        if let Some(sampling) = sample_rate.update(self.counters.sampling(), self.counters.all_lookups(), now) {
            self.counters.set_sampling(sampling);
        }
    }

    fn reset(&self) {
        let Some(active) = &self.active else { return };
        {
            // Locked across both steps, so that readers of the counts since the start see each count exactly once.
            let mut before_reset = lock(&active.before_reset);
            let totals = self.counters.reset();
            before_reset.resize_with(totals.len(), ShardStats::default);
            before_reset.iter_mut().zip(&totals).for_each(|(sum, totals)| totals.add_to(sum));
        }
        // What health checks are based on expires with its window: a reset before each check would hide everything.
        for ShardLatencies { reads, writes } in &active.shards {
            lock(reads).window.clear();
            lock(&writes.operations).window.clear();
            if let Some(cleanups) = writes.cleanups.get() {
                lock(cleanups).clear();
            }
        }
    }
}

impl Monitor {
    fn shard_stats(&self, shard: usize, since: TotalsSince, now: Instant) -> ShardStats {
        let mut stats = ShardStats::default();
        stats.shard = shard;
        let Some(active) = &self.active else { return stats };
        match since {
            TotalsSince::LastReset => self.counters.totals(shard).add_to(&mut stats),
            TotalsSince::Start => {
                let before_reset = lock(&active.before_reset);
                if let Some(before_reset) = before_reset.get(shard) {
                    stats.clone_from(before_reset);
                    stats.shard = shard;
                }
                self.counters.totals(shard).add_to(&mut stats);
            }
        }
        // Saturating, because a reset may have come between a lookup and its miss.
        stats.hits = stats.lookups.saturating_sub(stats.misses);
        let ShardLatencies { reads, writes } = &active.shards[shard];
        (stats.reads, stats.reads_total, stats.slow_reads) = active.operation_stats(reads, since, now, |_| ());
        (stats.writes, stats.writes_total, stats.slow_writes) =
            active.operation_stats(&writes.operations, since, now, |writes| {
                stats.recent_writes = writes.recent_writes.read()
            });
        stats.cleanup_lag.window = active.window_slices.window_length();
        if let Some(cleanups) = writes.cleanups.get() {
            let latencies = active.read(&lock(cleanups), since, now);
            (stats.cleanup_lag, stats.cleanup_lag_total) = active.summaries(latencies);
        }
        stats
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Omits the statistics, which would fill pages.
impl fmt::Debug for Monitor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Monitor")
            .field("settings", &self.settings)
            .field("shards", &self.counters.shards())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
