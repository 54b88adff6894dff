//! The probe that listens to all shards of one registry.

use std::fmt;
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError, TryLockError};
use std::time::{Duration, Instant};

use crossbeam_utils::CachePadded;
use registry_core::{Event, HotId, Kind, LatencyStats, Operation, Probe, ShardStats, SlowOps};

use crate::counters::{Counters, Totals};
use crate::hot_keys::Hot;
use crate::latency::histogram::{AllTime, Latencies};
use crate::latency::recent_writes::Last;
use crate::latency::slow_ops::{Bounds, Paces, SLICES};
use crate::latency::timeline::Timeline;
use crate::latency::window::{Since, Slices, Window};
use crate::sampling::Sampling;
use crate::sampling::controller::Rate;
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
const LEAST_PERIOD: Duration = Duration::from_secs(1);

struct Active {
    time: Timeline,
    slices: Slices,
    pace_slices: Slices,
    bounds: Bounds,
    recent_writes: usize,
    shards: Box<[Latency]>,
    hot: Hot,
    rate: Mutex<Rate>,
    /// What was counted in each shard before the last reset; empty until there is one.
    forgotten: Mutex<Vec<ShardStats>>,
}

/// The windows of one shard. Reads and writes come from different threads more often than not.
#[derive(Default)]
struct Latency {
    reads: CachePadded<Mutex<Timed>>,
    writes: CachePadded<Writes>,
}

/// What is kept of the latencies of one kind of operation.
#[derive(Default)]
struct Timed {
    window: Window,
    paces: Paces,
    /// Of writes alone.
    last: Last,
}

#[derive(Default)]
struct Writes {
    timed: Mutex<Timed>,
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
            time: Timeline::new(start, settings.window.max(LEAST_PERIOD) / 2, settings.window.max(LEAST_PERIOD) / 2),
            slices: Slices::new(settings.window),
            // A slice is half of what it is given.
            pace_slices: Slices::new(settings.window / (SLICES as u32 / 2)),
            bounds: settings.alarm.bounds(),
            recent_writes: settings.recent_writes,
            shards: std::iter::repeat_with(Latency::default).take(shards).collect(),
            hot: Hot::default(),
            rate: Mutex::new(Rate::new(Sampling::new(settings.sample_every), settings.samples_per_second, start)),
            forgotten: Mutex::default(),
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
            active.hot.record(kind, shard, id);
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
        let since_start = active.time.follow(ended);
        let number = active.slices.number_at(since_start);
        let pace_number = active.pace_slices.number_at(since_start);
        let shard = &active.shards[shard];
        match operation {
            // One sample more or less does not matter, waiting for a lock does.
            Operation::Read => {
                active.hot.turn(number);
                let mut timed = match shard.reads.try_lock() {
                    Ok(timed) => timed,
                    Err(TryLockError::Poisoned(timed)) => timed.into_inner(),
                    Err(TryLockError::WouldBlock) => return,
                };
                timed.window.record(number, latency);
                timed.paces.record(pace_number, latency, &active.bounds);
            }
            // All writes count for the alarm, so this waits; the lock is held for one record or one copy at a time.
            Operation::Write => {
                let mut timed = locked(&shard.writes.timed);
                timed.window.record(number, latency);
                timed.paces.record(pace_number, latency, &active.bounds);
                timed.last.record(latency, active.recent_writes);
            }
            Operation::CleanUp => {
                locked(shard.writes.cleanups.get_or_init(Box::default)).record(number, latency);
            }
        }
    }

    fn stats(&self, shard: usize, now: Instant) -> ShardStats {
        self.figures(shard, Since::Cleared, now)
    }

    fn stats_since_start(&self, shard: usize, now: Instant) -> ShardStats {
        self.figures(shard, Since::Made, now)
    }

    fn latency(&self, operation: Operation, now: Instant) -> LatencyStats {
        let Some(active) = &self.active else { return LatencyStats::default() };
        let number = active.number(now);
        let mut all = Latencies::default();
        for Latency { reads, writes } in &active.shards {
            match operation {
                Operation::Read => all.add(&locked(reads).window.read(number)),
                Operation::Write => all.add(&locked(&writes.timed).window.read(number)),
                Operation::CleanUp => {
                    writes.cleanups.get().into_iter().for_each(|all_of| all.add(&locked(all_of).read(number)))
                }
            }
        }
        all.summary(active.slices.reach())
    }

    fn hot_ids(&self, now: Instant) -> Vec<HotId> {
        self.active.as_ref().map_or_else(Vec::new, |active| active.hot.read(active.number(now)))
    }

    fn on_health_check(&self, now: Instant) {
        let Some(active) = &self.active else { return };
        let mut rate = locked(&active.rate);
        if let Some(sampling) = rate.judge(self.counters.sampling(), self.counters.all_lookups(), now) {
            self.counters.sample_by(sampling);
        }
    }

    fn reset(&self) {
        let Some(active) = &self.active else { return };
        {
            // Held meanwhile, so that whoever asks for all since the start misses nothing between the two.
            let mut forgotten = locked(&active.forgotten);
            let totals = self.counters.reset();
            forgotten.resize_with(totals.len(), ShardStats::default);
            forgotten.iter_mut().zip(&totals).for_each(|(sum, totals)| add_counts(sum, totals));
        }
        // What health is judged by stays until it leaves its window: a reset before each check would hide everything.
        for Latency { reads, writes } in &active.shards {
            locked(reads).window.clear();
            locked(&writes.timed).window.clear();
            if let Some(cleanups) = writes.cleanups.get() {
                locked(cleanups).clear();
            }
        }
    }
}

impl Monitor {
    fn figures(&self, shard: usize, since: Since, now: Instant) -> ShardStats {
        let mut stats = ShardStats::default();
        stats.shard = shard;
        let Some(active) = &self.active else { return stats };
        match since {
            Since::Cleared => add_counts(&mut stats, &self.counters.totals(shard)),
            Since::Made => {
                let forgotten = locked(&active.forgotten);
                if let Some(forgotten) = forgotten.get(shard) {
                    stats.clone_from(forgotten);
                    stats.shard = shard;
                }
                add_counts(&mut stats, &self.counters.totals(shard));
            }
        }
        // Saturating, because a reset may have come between a lookup and its miss.
        stats.hits = stats.lookups.saturating_sub(stats.misses);
        let Latency { reads, writes } = &active.shards[shard];
        (stats.reads, stats.reads_total, stats.slow_reads) = active.timed(reads, since, now, |_| ());
        (stats.writes, stats.writes_total, stats.slow_writes) =
            active.timed(&writes.timed, since, now, |timed| stats.recent_writes = timed.last.read());
        stats.cleanup_lag.window = active.slices.reach();
        if let Some(cleanups) = writes.cleanups.get() {
            let latencies = active.read(&locked(cleanups), since, now);
            (stats.cleanup_lag, stats.cleanup_lag_total) = active.summaries(latencies);
        }
        stats
    }
}

impl Active {
    /// The number of the slice that an instant lies in.
    fn number(&self, now: Instant) -> u64 {
        self.slices.number_at(self.time.see(now))
    }

    /// What is in the window and what is not.
    fn read(&self, window: &Window, since: Since, now: Instant) -> (Latencies, AllTime) {
        let number = self.number(now);
        (window.read(number), window.read_past(number, since))
    }

    /// Of the window, and of all.
    fn summaries(&self, (window, mut all): (Latencies, AllTime)) -> (LatencyStats, LatencyStats) {
        all.add_slice(&window);
        (window.summary(self.slices.reach()), all.summary(Duration::ZERO))
    }

    fn timed(
        &self,
        timed: &Mutex<Timed>,
        since: Since,
        now: Instant,
        also: impl FnOnce(&Timed),
    ) -> (LatencyStats, LatencyStats, SlowOps) {
        let timed = locked(timed);
        let latencies = self.read(&timed.window, since, now);
        let pace = timed.paces.read(
            self.pace_slices.number_at(self.time.see(now)),
            self.pace_slices.reach() / 2,
            &self.bounds,
        );
        also(&timed);
        // The lock is gone before the summaries are made: whoever records should not wait for percentiles.
        drop(timed);
        let (window, all) = self.summaries(latencies);
        (window, all, pace)
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

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
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
