//! The probe that listens to all shards of one registry.

use std::fmt;
use std::sync::{Mutex, OnceLock, PoisonError, TryLockError};
use std::time::Instant;

use registry_core::{Event, HotId, Kind, LatencyStats, Operation, Pace, Probe, ShardStats};

use crate::apart::Apart;
use crate::counters::Counters;
use crate::hot::Hot;
use crate::last::Last;
use crate::latencies::Latencies;
use crate::pace::{Bounds, Paces, SLICES};
use crate::settings::MonitorSettings;
use crate::window::{Slices, Window};

/// Counts what happens in all shards of one registry, and keeps the latencies of the last seconds.
///
/// Everything that can be asked of it, [`Probe`] says; it has no methods of its own beyond making one.
///
/// # What the figures promise
///
/// - Counts are exact once those who counted have happened before the question, for instance by being joined. While
///   threads run, each count lags behind by a moment, and counts that belong together may do so by different moments.
///   A miss is never seen without its look-up, so `hits`, which is look-ups less misses, is never negative and at
///   most too high by the look-ups that are under way.
/// - A [reset](Probe::reset) during a look-up may leave its miss to be counted after it. `hits` is then one too low.
/// - Writes are timed one and all. Of the sampled reads, those are left out that come while another thread of the same
///   shard is recording or asking: a look-up never waits for a lock.
/// - Percentiles are at most 1/16 above, and never below, those by nearest rank of what was recorded in the window;
///   mean, minimum and maximum are exact. Latencies above 292 years count as that.
/// - Of the ids of sampled look-ups, those are left out that come while another thread is counting or asking.
/// - [`LatencyStats::window`] is the reach of the window, [`MonitorSettings::window`]. Its older half may be missing.
///
/// # Instants
///
/// They must come from one clock, [`Instant::now`] or a test's, and need not be in order: a look-up that ended before
/// it began took no time, and a record older than the window is dropped.
/// One far in the future turns the window over for good; nothing is recorded until the others come up with it.
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

struct Active {
    slices: Slices,
    pace_slices: Slices,
    bounds: Bounds,
    last_writes: usize,
    shards: Box<[Latency]>,
    hot: Hot,
}

/// The windows of one shard. Reads and writes come from different threads more often than not.
#[derive(Default)]
struct Latency {
    reads: Apart<Mutex<Timed>>,
    writes: Apart<Writes>,
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
            slices: Slices::new(start, settings.window),
            // A slice is half of what it is given.
            pace_slices: Slices::new(start, settings.window / (SLICES as u32 / 2)),
            bounds: settings.alarm.bounds(),
            last_writes: settings.last_writes,
            shards: std::iter::repeat_with(Latency::default).take(shards).collect(),
            hot: Hot::default(),
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
    fn sampled(&self, shard: usize, kind: Kind, id: &[u8]) {
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

    fn took(&self, shard: usize, operation: Operation, began: Instant, ended: Instant) {
        let Some(active) = &self.active else { return };
        let latency = ended.saturating_duration_since(began);
        let number = active.slices.number(ended);
        let pace_number = active.pace_slices.number(ended);
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
                let mut timed = shard.writes.timed.lock().unwrap_or_else(PoisonError::into_inner);
                timed.window.record(number, latency);
                timed.paces.record(pace_number, latency, &active.bounds);
                timed.last.record(latency, active.last_writes);
            }
            Operation::CleanUp => {
                shard
                    .writes
                    .cleanups
                    .get_or_init(Box::default)
                    .lock()
                    .unwrap_or_else(PoisonError::into_inner)
                    .record(number, latency);
            }
        }
    }

    fn stats(&self, shard: usize, now: Instant) -> ShardStats {
        let mut stats = ShardStats::default();
        stats.shard = shard;
        let Some(active) = &self.active else { return stats };
        let totals = self.counters.totals(shard);
        stats.lookups = totals.lookups();
        stats.misses = totals.events(Event::Miss);
        // Saturating, because a reset may have come between a look-up and its miss.
        stats.hits = stats.lookups.saturating_sub(stats.misses);
        stats.registrations = totals.events(Event::Registered);
        stats.removals = totals.events(Event::Removed);
        stats.rejections = totals.events(Event::Rejected);
        stats.refused = totals.events(Event::Refused);
        stats.binds = totals.events(Event::Bound);
        stats.unbinds = totals.events(Event::Unbound);
        stats.routes = totals.events(Event::Routed);
        stats.full = totals.events(Event::Full);
        stats.closed = totals.events(Event::Closed);
        stats.swept = totals.events(Event::Swept);
        let Latency { reads, writes } = &active.shards[shard];
        (stats.reads, stats.read_pace) = active.timed(reads, now, |_| ());
        (stats.writes, stats.write_pace) =
            active.timed(&writes.timed, now, |timed| stats.last_writes = timed.last.read());
        stats.cleanup_lag = match writes.cleanups.get() {
            Some(cleanups) => active.latency(cleanups, now),
            None => Latencies::default().summary(active.slices.reach()),
        };
        stats
    }

    fn hot_ids(&self, now: Instant) -> Vec<HotId> {
        self.active.as_ref().map_or_else(Vec::new, |active| active.hot.read(active.slices.number(now)))
    }

    fn reset(&self) {
        let Some(active) = &self.active else { return };
        self.counters.reset();
        active.hot.clear();
        for Latency { reads, writes } in &active.shards {
            for timed in [&**reads, &writes.timed] {
                let mut timed = timed.lock().unwrap_or_else(PoisonError::into_inner);
                timed.window.clear();
                timed.paces.clear();
                timed.last.clear();
            }
            if let Some(cleanups) = writes.cleanups.get() {
                cleanups.lock().unwrap_or_else(PoisonError::into_inner).clear();
            }
        }
    }
}

impl Active {
    fn latency(&self, window: &Mutex<Window>, now: Instant) -> LatencyStats {
        // The lock is gone before the summary is made: whoever records should not wait for percentiles.
        let latencies = window.lock().unwrap_or_else(PoisonError::into_inner).read(self.slices.number(now));
        latencies.summary(self.slices.reach())
    }

    fn timed(&self, timed: &Mutex<Timed>, now: Instant, also: impl FnOnce(&Timed)) -> (LatencyStats, Pace) {
        let timed = timed.lock().unwrap_or_else(PoisonError::into_inner);
        let latencies = timed.window.read(self.slices.number(now));
        let pace = timed.paces.read(self.pace_slices.number(now), self.pace_slices.reach() / 2, &self.bounds);
        also(&timed);
        drop(timed);
        (latencies.summary(self.slices.reach()), pace)
    }
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
