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
use hysteresis::{Condition, Hysteresis, Transition};
use imbalance::p_value;
use limits::ReachedLimits;
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
    alarms: Vec<Hysteresis>,
    servers: Hysteresis,
    transports: Hysteresis,
    /// Those alone that are hot.
    hot: HashMap<(Kind, Box<str>), (Hysteresis, HotId)>,
    alarmed_shards: Hysteresis,
    limits: ReachedLimits,
    /// Made by the first check.
    clock: Option<CheckClock>,
}

/// The time of the checks, which never goes back and heals when one of their instants was wrong.
#[derive(Debug)]
struct CheckClock {
    start: Instant,
    timeline: Timeline,
    now: Instant,
}

/// A check that comes from further back than this finds that the clock was wrong, if the next ones do so too.
const PATIENCE: Duration = Duration::from_millis(500);

impl CheckClock {
    fn new(start: Instant) -> Self {
        Self { start, timeline: Timeline::new(start, PATIENCE, PATIENCE), now: start }
    }

    fn advance(&mut self, now: Instant) -> Instant {
        let clock = self.start.checked_add(Duration::from_nanos(self.timeline.advance(now)));
        self.now = clock.map_or(self.now, |clock| clock.max(self.now));
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
            alarms: vec![Hysteresis::default(); shards],
            servers: Hysteresis::default(),
            transports: Hysteresis::default(),
            hot: HashMap::new(),
            alarmed_shards: Hysteresis::default(),
            limits: ReachedLimits::default(),
            clock: None,
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
        let now = self.clock.get_or_insert_with(|| CheckClock::new(now)).advance(now);
        let mut changes = Vec::new();
        self.check_alarms(stats, now, &mut changes);
        self.check_imbalance(Kind::Server, stats, now, &mut changes);
        self.check_imbalance(Kind::Transport, stats, now, &mut changes);
        self.check_hot(stats, hot, now, &mut changes);
        self.check_admission(now, &mut changes);
        self.limits.check(limits, hits, self.settings.caps_clear_after, now, &mut changes);
        changes
    }

    /// Whether a shard is in alarm; one that there is not is not.
    #[must_use]
    pub fn is_alarmed(&self, shard: usize) -> bool {
        self.alarms.get(shard).is_some_and(Hysteresis::is_raised)
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
            let Some(hysteresis) = self.alarms.get_mut(shard.shard) else { continue };
            let (condition, alarm) = self.alarm.evaluate(shard);
            changes.extend(hysteresis.check(condition, self.alarm.clear_after, now).map(
                |transition| match transition {
                    Transition::Raised => HealthChange::AlarmRaised(alarm),
                    Transition::Cleared => HealthChange::AlarmCleared(alarm),
                },
            ));
        }
    }

    /// Servers and transports are judged apart: the same text may name one of each, which then lie in the same shard,
    /// and two that go together are twice what chance would put there.
    fn check_imbalance(&mut self, kind: Kind, stats: &[ShardStats], now: Instant, changes: &mut Vec<HealthChange>) {
        let (hysteresis, of): (_, fn(&ShardStats) -> usize) = match kind {
            Kind::Server => (&mut self.servers, |shard| shard.servers),
            Kind::Transport => (&mut self.transports, |shard| shard.transports),
        };
        let rule = &self.settings.imbalance;
        let entries: Vec<usize> = stats.iter().map(of).collect();
        let p_value = p_value(&entries);
        let condition = match () {
            () if p_value < rule.false_alarm => Condition::Bad,
            () if p_value < rule.false_alarm.sqrt() => Condition::Marginal,
            () => Condition::Good,
        };
        let Some(transition) = hysteresis.check(condition, rule.clear_after, now) else { return };
        let Some(fullest) = stats.iter().max_by_key(|shard| of(shard)) else { return };
        let mean = entries.iter().sum::<usize>() as f64 / entries.len() as f64;
        let imbalance = Imbalance { kind, shard: fullest.shard, entries: of(fullest), mean, p_value };
        changes.push(match transition {
            Transition::Raised => HealthChange::ImbalanceRaised(imbalance),
            Transition::Cleared => HealthChange::ImbalanceCleared(imbalance),
        });
    }

    fn check_hot(&mut self, stats: &[ShardStats], hot: &[HotId], now: Instant, changes: &mut Vec<HealthChange>) {
        let rule = &self.settings.hot;
        let entries: usize = stats.iter().map(|shard| shard.servers + shard.transports).sum();
        let limit = rule.share.max(rule.min_fair_ratio / entries.max(1) as f64);
        let evaluate = |id: &HotId| match () {
            () if id.share < limit / 2.0 => Condition::Good,
            () if id.share_at_least >= limit && id.samples >= rule.min_samples => Condition::Bad,
            () => Condition::Marginal,
        };
        let listed: HashMap<(Kind, &str), &HotId> = hot.iter().map(|hot| ((hot.kind, &*hot.id), hot)).collect();
        let mut cleared = Vec::new();
        self.hot.retain(|(kind, id), (hysteresis, known)| {
            match listed.get(&(*kind, &**id)) {
                Some(present) => known.clone_from(*present),
                None => (known.share, known.share_at_least, known.samples) = (0.0, 0.0, 0),
            }
            let transition = hysteresis.check(evaluate(known), rule.clear_after, now);
            cleared.extend(transition.map(|_| known.clone()));
            hysteresis.is_raised()
        });
        // In an order that depends on nothing but what they are.
        cleared.sort_unstable_by(|one, two| (&one.id, one.kind as u8).cmp(&(&two.id, two.kind as u8)));
        changes.extend(cleared.into_iter().map(HealthChange::HotIdCleared));
        for id in hot.iter().filter(|id| evaluate(id) == Condition::Bad) {
            let known = self.hot.entry((id.kind, id.id.clone())).or_insert_with(|| (Hysteresis::default(), id.clone()));
            let transition = known.0.check(Condition::Bad, rule.clear_after, now);
            changes.extend(transition.map(|_| HealthChange::HotIdDetected(id.clone())));
        }
    }

    fn check_admission(&mut self, now: Instant, changes: &mut Vec<HealthChange>) {
        let shards = self.alarms.len();
        let alarmed = self.alarms.iter().filter(|hysteresis| hysteresis.is_raised()).count();
        // Numbers of shards are powers of two, so the product is exact.
        let above = |share: f64| alarmed as f64 > share * shards as f64;
        let condition = match () {
            () if above(self.settings.close_above) => Condition::Bad,
            () if above(self.settings.reopen_at) => Condition::Marginal,
            () => Condition::Good,
        };
        let alarmed_shards = AlarmedShards { alarmed, shards };
        changes.extend(self.alarmed_shards.check(condition, self.settings.reopen_after, now).map(|transition| {
            match transition {
                Transition::Raised => HealthChange::AdmissionClosed(alarmed_shards),
                Transition::Cleared => HealthChange::AdmissionReopened(alarmed_shards),
            }
        }));
    }
}

#[cfg(test)]
mod tests;
