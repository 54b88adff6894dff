//! The health of a registry: what changed since the last check, judged from all figures and an instant, and remembered.
//!
//! Pure: it reads no clock, asks nobody and does nothing. The registry brings the figures and acts on the changes.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use registry_core::{
    AdmissionState, AlarmedShards, HealthChange, HotId, Imbalance, Kind, LimitHits, LimitUsage, ShardStats,
};

use crate::latency::timeline::Timeline;

use alarm::AlarmRule;
use hysteresis::{Flip, Latch, Verdict};
use imbalance::p_value;
use limits::Caps;
pub use settings::{HealthSettings, HotRule, ImbalanceRule};

pub(crate) mod alarm;
mod chi_square;
mod hysteresis;
pub(crate) mod imbalance;
mod limits;
mod settings;

/// What is known of the health of a registry.
///
/// It changes in [`check`](Self::check) and at no other time.
#[derive(Debug)]
pub struct Health {
    alarm: AlarmRule,
    settings: HealthSettings,
    alarms: Vec<Latch>,
    servers: Latch,
    transports: Latch,
    /// Those alone that are hot.
    hot: HashMap<(Kind, Box<str>), (Latch, HotId)>,
    alarmed_shards: Latch,
    limits: Caps,
    /// Made by the first check.
    time: Option<Time>,
}

/// The time of the checks, which never goes back and heals when one of their instants was wrong.
#[derive(Debug)]
struct Time {
    start: Instant,
    timeline: Timeline,
    now: Instant,
}

/// A check that comes from further back than this finds that the clock was wrong, if the next ones do so too.
const PATIENCE: Duration = Duration::from_millis(500);

impl Time {
    fn new(start: Instant) -> Self {
        Self { start, timeline: Timeline::new(start, PATIENCE, PATIENCE), now: start }
    }

    fn follow(&mut self, now: Instant) -> Instant {
        let time = self.start.checked_add(Duration::from_nanos(self.timeline.follow(now)));
        self.now = time.map_or(self.now, |time| time.max(self.now));
        self.now
    }
}

impl Health {
    /// The health of a registry of so many shards, of which nothing bad is known.
    #[must_use]
    pub fn new(shards: usize, alarm: AlarmRule, settings: HealthSettings) -> Self {
        Self {
            alarm,
            settings,
            alarms: vec![Latch::default(); shards],
            servers: Latch::default(),
            transports: Latch::default(),
            hot: HashMap::new(),
            alarmed_shards: Latch::default(),
            limits: Caps::default(),
            time: None,
        }
    }

    /// Judges the figures of all shards, the hottest ids, the use of the fixed caps and what else was hit since the last
    /// check, and says what has changed.
    ///
    /// Alarms come first, in the order of the shards; then imbalance, hot ids, admission and caps. Of single caps by label
    /// at most 64 are told by name; those beyond are told together, by their number.
    /// To be called about once a second: what is held for a time is held from check to check. Instants that go back
    /// count as no time at all; when checks have gone on from there for half a second, the instant before was wrong, and
    /// time passes as they say. O(shards + hot ids + caps that are hit or not yet relieved).
    pub fn check(
        &mut self,
        stats: &[ShardStats],
        hot: &[HotId],
        limits: &[LimitUsage],
        hits: &LimitHits,
        now: Instant,
    ) -> Vec<HealthChange> {
        let now = self.time.get_or_insert_with(|| Time::new(now)).follow(now);
        let mut changes = Vec::new();
        self.check_alarms(stats, now, &mut changes);
        self.check_imbalance(Kind::Server, stats, now, &mut changes);
        self.check_imbalance(Kind::Transport, stats, now, &mut changes);
        self.check_hot(stats, hot, now, &mut changes);
        self.check_door(now, &mut changes);
        self.limits.check(limits, hits, self.settings.caps_clear_after, now, &mut changes);
        changes
    }

    /// Whether a shard is in alarm; one that there is not is not.
    #[must_use]
    pub fn is_alarmed(&self, shard: usize) -> bool {
        self.alarms.get(shard).is_some_and(Latch::is_raised)
    }

    /// Whether so many shards are in alarm that nobody new should be taken.
    #[must_use]
    pub fn admission(&self) -> AdmissionState {
        if self.alarmed_shards.is_raised() { AdmissionState::Closed } else { AdmissionState::Open }
    }

    /// What it judges by, apart from the rule for alarms.
    #[must_use]
    pub fn settings(&self) -> &HealthSettings {
        &self.settings
    }

    fn check_alarms(&mut self, stats: &[ShardStats], now: Instant, changes: &mut Vec<HealthChange>) {
        for shard in stats {
            let Some(latch) = self.alarms.get_mut(shard.shard) else { continue };
            let (verdict, alarm) = self.alarm.judge(shard);
            changes.extend(latch.check(verdict, self.alarm.clear_after, now).map(|flip| match flip {
                Flip::Raised => HealthChange::AlarmRaised(alarm),
                Flip::Cleared => HealthChange::AlarmCleared(alarm),
            }));
        }
    }

    /// Servers and transports are judged apart: the same text may name one of each, which then lie in the same shard,
    /// and two that go together are twice what chance would put there.
    fn check_imbalance(&mut self, kind: Kind, stats: &[ShardStats], now: Instant, changes: &mut Vec<HealthChange>) {
        let (latch, of): (_, fn(&ShardStats) -> usize) = match kind {
            Kind::Server => (&mut self.servers, |shard| shard.servers),
            Kind::Transport => (&mut self.transports, |shard| shard.transports),
        };
        let rule = &self.settings.imbalance;
        let entries: Vec<usize> = stats.iter().map(of).collect();
        let p_value = p_value(&entries);
        let verdict = match () {
            () if p_value < rule.false_alarm => Verdict::Bad,
            () if p_value < rule.false_alarm.sqrt() => Verdict::Between,
            () => Verdict::Calm,
        };
        let Some(flip) = latch.check(verdict, rule.clear_after, now) else { return };
        let Some(fullest) = stats.iter().max_by_key(|shard| of(shard)) else { return };
        let mean = entries.iter().sum::<usize>() as f64 / entries.len() as f64;
        let imbalance = Imbalance { kind, shard: fullest.shard, entries: of(fullest), mean, p_value };
        changes.push(match flip {
            Flip::Raised => HealthChange::ImbalanceRaised(imbalance),
            Flip::Cleared => HealthChange::ImbalanceCleared(imbalance),
        });
    }

    fn check_hot(&mut self, stats: &[ShardStats], hot: &[HotId], now: Instant, changes: &mut Vec<HealthChange>) {
        let rule = &self.settings.hot;
        let entries: usize = stats.iter().map(|shard| shard.servers + shard.transports).sum();
        let limit = rule.share.max(rule.min_fair_ratio / entries.max(1) as f64);
        let judge = |id: &HotId| match () {
            () if id.share < limit / 2.0 => Verdict::Calm,
            () if id.share_at_least >= limit && id.samples >= rule.min_samples => Verdict::Bad,
            () => Verdict::Between,
        };
        let listed: HashMap<(Kind, &str), &HotId> = hot.iter().map(|hot| ((hot.kind, &*hot.id), hot)).collect();
        let mut gone = Vec::new();
        self.hot.retain(|(kind, id), (latch, known)| {
            match listed.get(&(*kind, &**id)) {
                Some(present) => known.clone_from(*present),
                None => (known.share, known.share_at_least, known.samples) = (0.0, 0.0, 0),
            }
            let flip = latch.check(judge(known), rule.clear_after, now);
            gone.extend(flip.map(|_| known.clone()));
            latch.is_raised()
        });
        // In an order that depends on nothing but what they are.
        gone.sort_unstable_by(|one, two| (&one.id, one.kind as u8).cmp(&(&two.id, two.kind as u8)));
        changes.extend(gone.into_iter().map(HealthChange::HotIdCleared));
        for id in hot.iter().filter(|id| judge(id) == Verdict::Bad) {
            let known = self.hot.entry((id.kind, id.id.clone())).or_insert_with(|| (Latch::default(), id.clone()));
            let flip = known.0.check(Verdict::Bad, rule.clear_after, now);
            changes.extend(flip.map(|_| HealthChange::HotIdDetected(id.clone())));
        }
    }

    fn check_door(&mut self, now: Instant, changes: &mut Vec<HealthChange>) {
        let shards = self.alarms.len();
        let alarmed = self.alarms.iter().filter(|latch| latch.is_raised()).count();
        // Numbers of shards are powers of two, so the product is exact.
        let above = |share: f64| alarmed as f64 > share * shards as f64;
        let verdict = match () {
            () if above(self.settings.close_above) => Verdict::Bad,
            () if above(self.settings.reopen_at) => Verdict::Between,
            () => Verdict::Calm,
        };
        let alarmed_shards = AlarmedShards { alarmed, shards };
        changes.extend(self.alarmed_shards.check(verdict, self.settings.reopen_after, now).map(|flip| match flip {
            Flip::Raised => HealthChange::AdmissionClosed(alarmed_shards),
            Flip::Cleared => HealthChange::AdmissionReopened(alarmed_shards),
        }));
    }
}

#[cfg(test)]
mod tests;
