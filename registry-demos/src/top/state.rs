//! The state of the view, as plain data: the last two samples of the registry's statistics, and its health.

use std::collections::VecDeque;
use std::time::Duration;

use registry_router::{
    AdmissionState, Alarm, ContentionKind, HealthChange, HealthSettings, HotId, Imbalance, LatencyStats, LimitUsage,
    Operation, ShardStats, SlowOps,
};

use crate::top::controls::Controls;
use crate::top::format;

/// The number of samples kept for the sparkline.
const MAX_HISTORY: usize = 240;

/// The number of health changes kept.
const MAX_CHANGES: usize = 100;

/// The metric that the shard map shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MapMetric {
    /// Lookups per second.
    Lookups,
    /// The greater of the 99th percentiles of reads and writes.
    P99,
    /// Registered entries.
    Entries,
}

impl MapMetric {
    /// Returns the next metric, in a cycle.
    pub fn next(self) -> Self {
        match self {
            Self::Lookups => Self::P99,
            Self::P99 => Self::Entries,
            Self::Entries => Self::Lookups,
        }
    }

    /// Returns the name that is displayed.
    pub fn name(self) -> &'static str {
        match self {
            Self::Lookups => "lookups per second",
            Self::P99 => "p99 of reads or writes",
            Self::Entries => "entries",
        }
    }

    /// Formats a value of this metric in at most four characters.
    pub fn format(self, value: f64) -> String {
        match self {
            Self::P99 => format::latency(value as u64),
            Self::Lookups | Self::Entries => format::count(value),
        }
    }
}

/// The state of the view.
#[derive(Debug)]
pub struct State {
    /// The name of the backend.
    pub backend: &'static str,
    /// The metric that the shard map shows.
    pub metric: MapMetric,
    /// The settings of the load.
    pub controls: Controls,
    /// The limits on registrations, by name.
    pub limits: Vec<(&'static str, usize)>,
    /// The number of shards in alarm that closes admission.
    pub close_at: usize,
    /// The number of shards in alarm at which admission reopens.
    pub reopen_at: usize,
    /// The number of shards.
    pub shards: usize,
    /// The last sample of the statistics; empty at first.
    pub stats: Vec<ShardStats>,
    /// The time of the last sample, since the start.
    pub elapsed: Duration,
    /// Whether new registrations are admitted.
    pub admission: AdmissionState,
    /// The alarms raised and not cleared.
    pub alarms: Vec<Alarm>,
    /// The imbalances raised and not cleared.
    pub imbalances: Vec<Imbalance>,
    /// The hot ids detected and not cleared.
    pub hot_ids: Vec<HotId>,
    /// The limits reached and not cleared.
    pub limits_reached: Vec<LimitUsage>,
    /// Health changes with their times, the newest first.
    pub changes: VecDeque<(Duration, String)>,
    /// Lookups per second, the newest last.
    pub history: VecDeque<u64>,
    /// The sample before the last one, and the time between the two.
    previous: Option<(Vec<ShardStats>, Duration)>,
}

impl State {
    /// Creates a state without samples.
    pub fn new(
        backend: &'static str,
        shards: usize,
        health: &HealthSettings,
        limits: Vec<(&'static str, usize)>,
        controls: Controls,
    ) -> Self {
        Self {
            backend,
            metric: MapMetric::Lookups,
            controls,
            limits,
            close_at: (health.close_above * shards as f64) as usize + 1,
            reopen_at: (health.reopen_at * shards as f64) as usize,
            shards,
            stats: Vec::new(),
            elapsed: Duration::ZERO,
            admission: AdmissionState::Open,
            alarms: Vec::new(),
            imbalances: Vec::new(),
            hot_ids: Vec::new(),
            limits_reached: Vec::new(),
            changes: VecDeque::new(),
            history: VecDeque::new(),
            previous: None,
        }
    }

    /// Adds a sample of the registry's statistics.
    pub fn sample(&mut self, stats: Vec<ShardStats>, admission: AdmissionState, elapsed: Duration) {
        let interval = elapsed.saturating_sub(self.elapsed);
        let previous = std::mem::replace(&mut self.stats, stats);
        self.previous = (!previous.is_empty()).then_some((previous, interval));
        self.admission = admission;
        self.elapsed = elapsed;
        if self.previous.is_some() {
            self.history.push_back(self.rate(|shard| shard.lookups) as u64);
            self.history.drain(..self.history.len().saturating_sub(MAX_HISTORY));
        }
    }

    /// Applies the changes that a health check found.
    pub fn apply(&mut self, changes: Vec<HealthChange>, elapsed: Duration) {
        for change in changes {
            self.changes.push_front((elapsed, change.to_string()));
            self.changes.truncate(MAX_CHANGES);
            match change {
                HealthChange::AlarmRaised(alarm) => self.alarms.push(alarm),
                HealthChange::AlarmCleared(cleared) => self.alarms.retain(|alarm| alarm.shard != cleared.shard),
                HealthChange::ImbalanceRaised(imbalance) => self.imbalances.push(imbalance),
                HealthChange::ImbalanceCleared(cleared) => self.imbalances.retain(|raised| raised.kind != cleared.kind),
                HealthChange::HotIdDetected(hot) => self.hot_ids.push(hot),
                HealthChange::HotIdCleared(cleared) => {
                    self.hot_ids.retain(|hot| (hot.kind, &hot.id) != (cleared.kind, &cleared.id));
                }
                HealthChange::LimitReached(limit) => self.limits_reached.push(limit),
                HealthChange::LimitCleared(cleared) => {
                    self.limits_reached.retain(|reached| reached.limit != cleared.limit);
                }
                // The admission state comes with each sample; the enum may also gain variants.
                _ => {}
            }
        }
    }

    /// Discards all samples: statistics after a reset must not be compared with those before it.
    pub fn clear_samples(&mut self) {
        self.stats.clear();
        self.previous = None;
        self.history.clear();
    }

    /// Returns the sum of a gauge over all shards.
    pub fn sum(&self, gauge: impl Fn(&ShardStats) -> usize) -> usize {
        self.stats.iter().map(gauge).sum()
    }

    /// Returns the rate per second of a counter, over all shards.
    pub fn rate(&self, counter: impl Fn(&ShardStats) -> u64) -> f64 {
        (0..self.stats.len()).map(|shard| self.shard_rate(shard, &counter)).sum()
    }

    fn shard_rate(&self, shard: usize, counter: impl Fn(&ShardStats) -> u64) -> f64 {
        let Some((previous, interval)) = &self.previous else { return 0.0 };
        let increase = counter(&self.stats[shard]).saturating_sub(counter(&previous[shard]));
        if interval.is_zero() { 0.0 } else { increase as f64 / interval.as_secs_f64() }
    }

    /// Returns the share of lookups that found an entry, between the last two samples.
    pub fn hit_rate(&self) -> f64 {
        let lookups = self.rate(|shard| shard.lookups);
        if lookups > 0.0 { self.rate(|shard| shard.hits) / lookups } else { 0.0 }
    }

    /// Returns the kind of contention that the backend counts, if it counts any.
    pub fn contention_kind(&self) -> Option<ContentionKind> {
        self.stats.iter().find_map(|shard| shard.contention).map(|contention| contention.kind)
    }

    /// Returns the value of the selected metric for a shard.
    pub fn metric_of(&self, shard: usize) -> f64 {
        let stats = &self.stats[shard];
        match self.metric {
            MapMetric::Lookups => self.shard_rate(shard, |shard| shard.lookups),
            MapMetric::P99 => stats.reads.p99_ns.max(stats.writes.p99_ns) as f64,
            MapMetric::Entries => (stats.servers + stats.transports) as f64,
        }
    }

    /// Returns the shard with the highest 99th percentile, and its latencies.
    pub fn slowest(&self, latency: impl Fn(&ShardStats) -> &LatencyStats) -> Option<(usize, &LatencyStats)> {
        let shards = self.stats.iter().map(|shard| (shard.shard, latency(shard)));
        shards.filter(|(_, latency)| latency.count > 0).max_by_key(|(_, latency)| latency.p99_ns)
    }

    /// Returns how many of a shard's recent operations were slow, which is what alarms are judged by.
    pub fn slow_ops(&self, shard: usize, operation: Operation) -> Option<&SlowOps> {
        let stats = self.stats.get(shard)?;
        Some(if operation == Operation::Read { &stats.slow_reads } else { &stats.slow_writes })
    }

    /// Returns whether the limit of this name has recently rejected a registration.
    pub fn limit_reached(&self, name: &str) -> bool {
        self.limits_reached.iter().any(|usage| usage.limit.name() == name)
    }
}
