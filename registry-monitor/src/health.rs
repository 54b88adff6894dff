//! [`Health`], a state machine that turns the statistics of a registry into health changes.
//!
//! It reads no clock and has no side effects: the caller passes the statistics and an instant, and acts on the changes.

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

/// The health of a registry. Only [`check`](Self::check) changes it.
#[derive(Debug)]
pub struct Health {
    alarm: AlarmRule,
    settings: HealthSettings,
    alarms: Vec<Hysteresis>,
    servers: Hysteresis,
    transports: Hysteresis,
    /// The ids that are hot.
    hot: HashMap<(Kind, Box<str>), (Hysteresis, HotId)>,
    alarmed_shards: Hysteresis,
    limits: ReachedLimits,
    /// Initialized by the first check.
    clock: Option<CheckClock>,
}

/// A monotonic clock from the instants of the checks, which recovers if one of them was wrong.
#[derive(Debug)]
struct CheckClock {
    start: Instant,
    timeline: Timeline,
    now: Instant,
}

/// The tolerance and the patience of the [`Timeline`].
const PATIENCE: Duration = Duration::from_millis(500);

impl CheckClock {
    fn new(start: Instant) -> Self {
        Self { start, timeline: Timeline::new(start, PATIENCE, PATIENCE), now: start }
    }

    fn advance(&mut self, now: Instant) -> Instant {
        let time = self.start.checked_add(Duration::from_nanos(self.timeline.advance(now)));
        self.now = time.map_or(self.now, |time| time.max(self.now));
        self.now
    }
}

impl Health {
    /// Creates the health of a registry of `shards` shards: no alarm, no imbalance, no hot id, and admission open.
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

    /// Evaluates all rules and returns the changes since the last check.
    ///
    /// `stats` are the statistics of all shards, `hot` the ids with the most lookups, `limits` the usage of the fixed limits,
    /// and `hits` the other limits that were hit since the last check.
    ///
    /// Alarms come first, in the order of the shards; then imbalance, hot ids, admission and limits. At most 64 label limits
    /// are named; further ones are only counted.
    ///
    /// Call this about once a second: hold times are measured from check to check. An instant before that of the last check
    /// counts as no elapsed time. If the checks after it span half a second, the later instant was wrong, and time passes
    /// according to those checks.
    ///
    /// # Cost
    ///
    /// O(shards + hot ids + limits that are reached and not yet cleared).
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
        self.limits.check(limits, hits, self.settings.limits_clear_after, now, &mut changes);
        changes
    }

    /// Returns whether a shard is in alarm; `false` if the shard is out of range.
    #[must_use]
    pub fn is_alarmed(&self, shard: usize) -> bool {
        self.alarms.get(shard).is_some_and(Hysteresis::is_raised)
    }

    /// Returns whether new registrations should be admitted, or rejected because too many shards are in alarm.
    #[must_use]
    pub fn admission(&self) -> AdmissionState {
        if self.alarmed_shards.is_raised() { AdmissionState::Closed } else { AdmissionState::Open }
    }

    /// Returns the settings, which do not include the rule for alarms.
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

    /// Tests servers and transports separately: a server and a transport with the same id are in the same shard, so that
    /// their sum is not the sum of independent entries.
    fn check_imbalance(&mut self, kind: Kind, stats: &[ShardStats], now: Instant, changes: &mut Vec<HealthChange>) {
        let (hysteresis, count): (_, fn(&ShardStats) -> usize) = match kind {
            Kind::Server => (&mut self.servers, |shard| shard.servers),
            Kind::Transport => (&mut self.transports, |shard| shard.transports),
        };
        let rule = &self.settings.imbalance;
        let entries: Vec<usize> = stats.iter().map(count).collect();
        let p_value = p_value(&entries);
        let condition = match () {
            () if p_value < rule.false_alarm => Condition::Bad,
            () if p_value < rule.false_alarm.sqrt() => Condition::Marginal,
            () => Condition::Good,
        };
        let Some(transition) = hysteresis.check(condition, rule.clear_after, now) else { return };
        let Some(fullest) = stats.iter().max_by_key(|shard| count(shard)) else { return };
        let mean = entries.iter().sum::<usize>() as f64 / entries.len() as f64;
        let mut imbalance = Imbalance::new(kind, fullest.shard);
        (imbalance.entries, imbalance.mean, imbalance.p_value) = (count(fullest), mean, p_value);
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
        // In a deterministic order.
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
        // The number of shards is a power of two, so the product is exact.
        let above = |fraction: f64| alarmed as f64 > fraction * shards as f64;
        let condition = match () {
            () if above(self.settings.close_above) => Condition::Bad,
            () if above(self.settings.reopen_at) => Condition::Marginal,
            () => Condition::Good,
        };
        let alarmed_shards = AlarmedShards::new(alarmed, shards);
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
