//! The probe that listens to all shards of one registry.

use std::fmt;
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError, TryLockError};
use std::time::{Duration, Instant};

use crossbeam_utils::CachePadded;
use registry_core::{Event, HotId, Kind, LatencyStats, Operation, Probe, ShardStats, SlowOps};

use crate::counters::{Counters, Totals};
use crate::hot_keys::HotKeys;
use crate::latency::histogram::{LatencyHistogram, LifetimeHistogram};
use crate::latency::recent_writes::RecentWritesWindow;
use crate::latency::slow_ops::{SLICES, SlowOpsWindow, SlowThresholds};
use crate::latency::timeline::Timeline;
use crate::latency::window::{Slices, TotalsSince, Window};
use crate::sampling::Sampling;
use crate::sampling::controller::SampleRateController;
use crate::settings::MonitorSettings;

/// Counts what happens in all shards of one registry, and keeps the latencies of the last seconds and the sum of all
/// before.
///
/// Everything that can be asked of it, [`Probe`] says; it has no methods of its own beyond making one.
///
/// # What the figures promise
///
/// - Counts are exact once those who counted have happened before the question, for instance by being joined. While
///   threads run, each count lags behind by a moment, and counts that belong together may do so by different moments.
///   A miss is never seen without its lookup, so `hits`, which is lookups less misses, is never negative and at
///   most too high by the lookups that are under way.
/// - A [reset](Probe::reset) leaves what health is judged by, which is forgotten as time goes on: the hot ids, the last
///   writes, and how many operations of the window were slow.
/// - A reset during a lookup may leave its miss to be counted after it. `hits` is then one too low.
/// - Writes are timed one and all. Of the sampled reads, those are left out that come while another thread of the same
///   shard is recording or asking: a lookup never waits for a lock.
/// - Totals of latencies are of all that was timed since the start or the last reset, the window included.
/// - Percentiles are at most 1/16 above, and never below, those by nearest rank of what was recorded in the window
///   or since the start; mean, minimum and maximum are exact. Latencies above 292 years count as that.
/// - Of the ids of sampled lookups, those are left out that come while another thread is counting or asking.
/// - [`LatencyStats::window`] is the reach of the window, [`MonitorSettings::window`]. Its older half may be missing.
///
/// # Instants
///
/// They must come from one clock, [`Instant::now`] or a test's, and need not be in order: a lookup that ended before
/// it began took no time, and a record older than the window counts in the totals alone.
///
/// A record with an instant far in the future empties the window: what was in it counts in the totals. If the records
/// and questions that follow come from further back than half a window, for as long, the clock was wrong, and the window
/// goes on from there; until then they count in the totals alone. So everything is as before within one window, or a
/// second if that is longer, after the clock has gone right again. A question from the future changes nothing.
///
/// # Panics
///
/// All methods that take a shard panic if the index is not below the number of shards, unless the monitor is off.
pub struct Monitor {
    settings: MonitorSettings,
    counters: Counters,
    /// What is kept of latencies; `None` when off.
    active: Option<Active>,
}

/// A clock that was wrong is got over in no less than this, however short the window is.
const MIN_RECOVERY: Duration = Duration::from_secs(1);

struct Active {
    time: Timeline,
    window_slices: Slices,
    slow_ops_slices: Slices,
    thresholds: SlowThresholds,
    recent_writes: usize,
    shards: Box<[ShardLatencies]>,
    hot_keys: HotKeys,
    sample_rate: Mutex<SampleRateController>,
    /// What was counted in each shard before the last reset; empty until there is one.
    before_reset: Mutex<Vec<ShardStats>>,
}

/// The windows of one shard. Reads and writes come from different threads more often than not.
#[derive(Default)]
struct ShardLatencies {
    reads: CachePadded<Mutex<OperationLatencies>>,
    writes: CachePadded<WriteLatencies>,
}

/// What is kept of the latencies of one kind of operation.
#[derive(Default)]
struct OperationLatencies {
    window: Window,
    slow_ops: SlowOpsWindow,
    /// Of writes alone.
    recent_writes: RecentWritesWindow,
}

#[derive(Default)]
struct WriteLatencies {
    operation_stats: Mutex<OperationLatencies>,
    /// Made by the first that a sweep finds: most registries are never swept.
    cleanups: OnceLock<Box<Mutex<Window>>>,
}

impl Monitor {
    /// Makes a monitor for so many shards, whose windows are cut from `start` on.
    ///
    /// With settings that are not [`enabled`](MonitorSettings::enabled), it is off and nothing is allocated.
    #[must_use]
    pub fn new(shards: usize, settings: MonitorSettings, start: Instant) -> Self {
        let active = settings.enabled.then(|| Active {
            // Heals within a window; what is late by half of one is still in it.
            time: Timeline::new(start, settings.window.max(MIN_RECOVERY) / 2, settings.window.max(MIN_RECOVERY) / 2),
            window_slices: Slices::new(settings.window),
            // A slice is half of what it is given.
            slow_ops_slices: Slices::new(settings.window / (SLICES as u32 / 2)),
            thresholds: settings.alarm.thresholds(),
            recent_writes: settings.recent_writes,
            shards: std::iter::repeat_with(ShardLatencies::default).take(shards).collect(),
            hot_keys: HotKeys::default(),
            sample_rate: Mutex::new(SampleRateController::new(
                Sampling::new(settings.sample_every),
                settings.samples_per_second,
                start,
            )),
            before_reset: Mutex::default(),
        });
        let counters = if settings.enabled { Counters::new(shards, settings.sample_every) } else { Counters::off() };
        Self { settings, counters, active }
    }

    /// Makes a monitor that is off: it hears nothing, and says of every shard that nothing happened.
    #[must_use]
    pub fn off() -> Self {
        Self::new(0, MonitorSettings { enabled: false, ..MonitorSettings::default() }, Instant::now())
    }

    /// The settings that it was made with.
    #[must_use]
    pub fn settings(&self) -> &MonitorSettings {
        &self.settings
    }
}

impl Probe for Monitor {
    // A call, with its registers to save, would cost as much as what it does.
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
        let since_start = active.time.advance(ended);
        let slice = active.window_slices.number_at(since_start);
        let slow_ops_slice = active.slow_ops_slices.number_at(since_start);
        let shard = &active.shards[shard];
        match operation {
            // One sample more or less does not matter, waiting for a lock does.
            Operation::Read => {
                active.hot_keys.advance_to(slice);
                let mut operation_stats = match shard.reads.try_lock() {
                    Ok(operation_stats) => operation_stats,
                    Err(TryLockError::Poisoned(operation_stats)) => operation_stats.into_inner(),
                    Err(TryLockError::WouldBlock) => return,
                };
                operation_stats.window.record(slice, latency);
                operation_stats.slow_ops.record(slow_ops_slice, latency, &active.thresholds);
            }
            // All writes count for the alarm, so this waits; the lock is held for one record or one copy at a time.
            Operation::Write => {
                let mut operation_stats = lock(&shard.writes.operation_stats);
                operation_stats.window.record(slice, latency);
                operation_stats.slow_ops.record(slow_ops_slice, latency, &active.thresholds);
                operation_stats.recent_writes.record(latency, active.recent_writes);
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
        let slice = active.slice(now);
        let mut all = LatencyHistogram::default();
        for ShardLatencies { reads, writes } in &active.shards {
            match operation {
                Operation::Read => all.add(&lock(reads).window.read(slice)),
                Operation::Write => all.add(&lock(&writes.operation_stats).window.read(slice)),
                Operation::CleanUp => {
                    writes.cleanups.get().into_iter().for_each(|cleanups| all.add(&lock(cleanups).read(slice)))
                }
            }
        }
        all.summary(active.window_slices.window_length())
    }

    fn hot_ids(&self, now: Instant) -> Vec<HotId> {
        self.active.as_ref().map_or_else(Vec::new, |active| active.hot_keys.snapshot(active.slice(now)))
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
            // Held meanwhile, so that whoever asks for all since the start misses nothing between the two.
            let mut before_reset = lock(&active.before_reset);
            let totals = self.counters.reset();
            before_reset.resize_with(totals.len(), ShardStats::default);
            before_reset.iter_mut().zip(&totals).for_each(|(sum, totals)| add_counts(sum, totals));
        }
        // What health is judged by stays until it leaves its window: a reset before each check would hide everything.
        for ShardLatencies { reads, writes } in &active.shards {
            lock(reads).window.clear();
            lock(&writes.operation_stats).window.clear();
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
            TotalsSince::LastReset => add_counts(&mut stats, &self.counters.totals(shard)),
            TotalsSince::Start => {
                let before_reset = lock(&active.before_reset);
                if let Some(before_reset) = before_reset.get(shard) {
                    stats.clone_from(before_reset);
                    stats.shard = shard;
                }
                add_counts(&mut stats, &self.counters.totals(shard));
            }
        }
        // Saturating, because a reset may have come between a lookup and its miss.
        stats.hits = stats.lookups.saturating_sub(stats.misses);
        let ShardLatencies { reads, writes } = &active.shards[shard];
        (stats.reads, stats.reads_total, stats.slow_reads) = active.operation_stats(reads, since, now, |_| ());
        (stats.writes, stats.writes_total, stats.slow_writes) =
            active.operation_stats(&writes.operation_stats, since, now, |operation_stats| {
                stats.recent_writes = operation_stats.recent_writes.read()
            });
        stats.cleanup_lag.window = active.window_slices.window_length();
        if let Some(cleanups) = writes.cleanups.get() {
            let latencies = active.read(&lock(cleanups), since, now);
            (stats.cleanup_lag, stats.cleanup_lag_total) = active.summaries(latencies);
        }
        stats
    }
}

impl Active {
    /// The number of the slice that an instant lies in.
    fn slice(&self, now: Instant) -> u64 {
        self.window_slices.number_at(self.time.peek(now))
    }

    /// What is in the window and what is not.
    fn read(&self, window: &Window, since: TotalsSince, now: Instant) -> (LatencyHistogram, LifetimeHistogram) {
        let slice = self.slice(now);
        (window.read(slice), window.read_retired(slice, since))
    }

    /// Of the window, and of all.
    fn summaries(&self, (window, mut all): (LatencyHistogram, LifetimeHistogram)) -> (LatencyStats, LatencyStats) {
        all.add_slice(&window);
        (window.summary(self.window_slices.window_length()), all.summary(Duration::ZERO))
    }

    fn operation_stats(
        &self,
        operation_stats: &Mutex<OperationLatencies>,
        since: TotalsSince,
        now: Instant,
        also: impl FnOnce(&OperationLatencies),
    ) -> (LatencyStats, LatencyStats, SlowOps) {
        let operation_stats = lock(operation_stats);
        let latencies = self.read(&operation_stats.window, since, now);
        let slow_ops = operation_stats.slow_ops.read(
            self.slow_ops_slices.number_at(self.time.peek(now)),
            self.slow_ops_slices.window_length() / 2,
            &self.thresholds,
        );
        also(&operation_stats);
        // The lock is gone before the summaries are made: whoever records should not wait for percentiles.
        drop(operation_stats);
        let (window, all) = self.summaries(latencies);
        (window, all, slow_ops)
    }
}

/// Adds what the counters say to the counts of a shard; hits are for the caller to tell.
fn add_counts(stats: &mut ShardStats, totals: &Totals) {
    stats.lookups += totals.lookups();
    for (sum, event) in [
        (&mut stats.misses, Event::Miss),
        (&mut stats.registrations, Event::Registered),
        (&mut stats.removals, Event::Removed),
        (&mut stats.rejections, Event::Rejected),
        (&mut stats.refused, Event::Refused),
        (&mut stats.binds, Event::Bound),
        (&mut stats.unbinds, Event::Unbound),
        (&mut stats.routes, Event::Routed),
        (&mut stats.full, Event::Full),
        (&mut stats.closed, Event::Closed),
        (&mut stats.swept, Event::SweepReport),
    ] {
        *sum += totals.events(event);
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Says what it is, not what it counted: that would be pages.
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
