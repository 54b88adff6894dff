//! Everything that is shown, as plain data: what the registry said last, what it said before, and what has changed.

use std::collections::VecDeque;
use std::time::Duration;

use registry_router::{
    AdmissionState, Alarm, ContentionKind, HealthChange, HealthSettings, HotId, Imbalance, LatencyStats, Limit,
    LimitUsage, Operation, ShardStats, SlowOps,
};

use crate::top::controls::Controls;
use crate::top::format;

/// Throughput that is shown as a curve: so many samples.
const HISTORY: usize = 240;

/// Changes that are kept.
const CHANGES: usize = 100;

/// What the map of the shards shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AlarmMetric {
    Lookups,
    P99,
    Entries,
}

impl AlarmMetric {
    pub fn next(self) -> Self {
        match self {
            Self::Lookups => Self::P99,
            Self::P99 => Self::Entries,
            Self::Entries => Self::Lookups,
        }
    }

    pub fn name(self) -> &'static str {
        match self {
            Self::Lookups => "lookups per second",
            Self::P99 => "p99 of reads or writes",
            Self::Entries => "entries",
        }
    }

    /// A figure of it, in four characters.
    pub fn figure(self, value: f64) -> String {
        match self {
            Self::P99 => format::latency(value as u64),
            Self::Lookups | Self::Entries => format::count(value),
        }
    }
}

/// What is shown.
#[derive(Debug)]
pub struct State {
    pub backend: &'static str,
    pub metric: AlarmMetric,
    pub controls: Controls,
    /// Caps on what is registered, by name.
    pub limits: Vec<(&'static str, usize)>,
    /// So many shards in alarm close admission, and so few open it again.
    pub closes_at: usize,
    pub opens_at: usize,
    pub shards: usize,
    /// What the registry said last, and when; nothing at first.
    pub stats: Vec<ShardStats>,
    pub elapsed: Duration,
    pub admission: AdmissionState,
    /// What is so now, by what was told to have changed.
    pub alarms: Vec<Alarm>,
    pub uneven: Vec<Imbalance>,
    pub hot: Vec<HotId>,
    pub full: Vec<LimitUsage>,
    /// What has changed, and when; the newest first.
    pub changes: VecDeque<(Duration, String)>,
    /// Lookups per second, the newest last.
    pub history: VecDeque<u64>,
    /// What it said before, and how long before.
    before: Option<(Vec<ShardStats>, Duration)>,
}

impl State {
    pub fn new(
        backend: &'static str,
        shards: usize,
        health: &HealthSettings,
        limits: Vec<(&'static str, usize)>,
        controls: Controls,
    ) -> Self {
        Self {
            backend,
            metric: AlarmMetric::Lookups,
            controls,
            limits,
            closes_at: (health.close_above * shards as f64) as usize + 1,
            opens_at: (health.reopen_at * shards as f64) as usize,
            shards,
            stats: Vec::new(),
            elapsed: Duration::ZERO,
            admission: AdmissionState::Open,
            alarms: Vec::new(),
            uneven: Vec::new(),
            hot: Vec::new(),
            full: Vec::new(),
            changes: VecDeque::new(),
            history: VecDeque::new(),
            before: None,
        }
    }

    /// Takes in what the registry says of itself.
    pub fn sample(&mut self, stats: Vec<ShardStats>, admission: AdmissionState, elapsed: Duration) {
        let passed = elapsed.saturating_sub(self.elapsed);
        let before = std::mem::replace(&mut self.stats, stats);
        self.before = (!before.is_empty()).then_some((before, passed));
        self.admission = admission;
        self.elapsed = elapsed;
        if self.before.is_some() {
            self.history.push_back(self.rate(|shard| shard.lookups) as u64);
            self.history.drain(..self.history.len().saturating_sub(HISTORY));
        }
    }

    /// Takes in what a check of its health has found.
    pub fn changed(&mut self, changes: Vec<HealthChange>, elapsed: Duration) {
        for change in changes {
            self.changes.push_front((elapsed, change.to_string()));
            self.changes.truncate(CHANGES);
            match change {
                HealthChange::AlarmRaised(alarm) => self.alarms.push(alarm),
                HealthChange::AlarmCleared(alarm) => self.alarms.retain(|raised| raised.shard != alarm.shard),
                HealthChange::ImbalanceRaised(uneven) => self.uneven.push(uneven),
                HealthChange::ImbalanceCleared(even) => self.uneven.retain(|uneven| uneven.kind != even.kind),
                HealthChange::HotIdDetected(hot) => self.hot.push(hot),
                HealthChange::HotIdCleared(gone) => self.hot.retain(|hot| (hot.kind, &hot.id) != (gone.kind, &gone.id)),
                HealthChange::LimitReached(limit) => self.full.push(limit),
                HealthChange::LimitCleared(limit) => self.full.retain(|full| full.limit != limit.limit),
                // The state of admission comes with the figures, and so does all that may be told one day.
                _ => {}
            }
        }
    }

    /// Forgets what was said before, for it is not to be compared with what will be said next.
    pub fn forget(&mut self) {
        self.stats.clear();
        self.before = None;
        self.history.clear();
    }

    /// How much there is of something in all shards.
    pub fn sum(&self, of: impl Fn(&ShardStats) -> usize) -> usize {
        self.stats.iter().map(of).sum()
    }

    /// How often something was counted in all shards, per second.
    pub fn rate(&self, of: impl Fn(&ShardStats) -> u64) -> f64 {
        (0..self.stats.len()).map(|shard| self.rate_of(shard, &of)).sum()
    }

    fn rate_of(&self, shard: usize, of: impl Fn(&ShardStats) -> u64) -> f64 {
        let Some((before, passed)) = &self.before else { return 0.0 };
        let counted = of(&self.stats[shard]).saturating_sub(of(&before[shard]));
        if passed.is_zero() { 0.0 } else { counted as f64 / passed.as_secs_f64() }
    }

    /// The share of lookups that found something, lately.
    pub fn found(&self) -> f64 {
        let lookups = self.rate(|shard| shard.lookups);
        if lookups > 0.0 { self.rate(|shard| shard.hits) / lookups } else { 0.0 }
    }

    /// What the maps of the shards count when operations meet, if they can tell.
    pub fn kind(&self) -> Option<ContentionKind> {
        self.stats.iter().find_map(|shard| shard.contention).map(|contention| contention.kind)
    }

    /// What the map shows of a shard.
    pub fn measured(&self, shard: usize) -> f64 {
        let stats = &self.stats[shard];
        match self.metric {
            AlarmMetric::Lookups => self.rate_of(shard, |shard| shard.lookups),
            AlarmMetric::P99 => stats.reads.p99_ns.max(stats.writes.p99_ns) as f64,
            AlarmMetric::Entries => (stats.servers + stats.transports) as f64,
        }
    }

    /// The latencies of the shard with the highest 99th percentile.
    pub fn worst(&self, of: impl Fn(&ShardStats) -> &LatencyStats) -> Option<(usize, &LatencyStats)> {
        let timed = self.stats.iter().map(|shard| (shard.shard, of(shard))).filter(|(_, timed)| timed.count > 0);
        timed.max_by_key(|(_, timed)| timed.p99_ns)
    }

    /// How many of a shard's last operations were slow: what alarms are raised and cleared by.
    pub fn pace(&self, shard: usize, operation: Operation) -> Option<&SlowOps> {
        let stats = self.stats.get(shard)?;
        Some(if operation == Operation::Read { &stats.slow_reads } else { &stats.slow_writes })
    }

    /// Whether a cap has turned somebody away lately.
    pub fn turned_away(&self, name: &str) -> bool {
        let is_it = |full: &LimitUsage| match full.limit {
            Limit::Servers => name == "servers",
            Limit::Transports => name == "transports",
            _ => false,
        };
        self.full.iter().any(is_it)
    }
}
