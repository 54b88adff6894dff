//! Which caps are being hit: one latch for each, and a bounded number of changes to tell of them.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use registry_core::{HealthChange, Limit, LimitCount, LimitHits, LimitUsage};

use super::hysteresis::{Condition, Hysteresis, Transition};

/// The most changes of single caps by label that one check tells; those beyond are told by their number.
///
/// Reliefs go first, and those beyond are told by the next check. So a cap that was told by name when it was hit is told
/// by name when it is relieved.
pub(super) const MAX_NAMED: usize = 64;

/// The caps that have been hit, until they are relieved.
#[derive(Debug, Default)]
pub(super) struct ReachedLimits {
    /// How often each of the few fixed caps had been hit at the check before.
    totals: HashMap<Limit, u64>,
    reached: HashMap<Limit, ReachedLimit>,
    /// How many have been in `reached` so far: later ones have greater numbers.
    count: u64,
    /// Those of which nobody knows which they are.
    unlisted: Hysteresis,
    unlisted_limits: u64,
    /// How many caps have been looked at so far.
    #[cfg(test)]
    pub(super) visited: u64,
}

/// A cap that has been hit and is not relieved.
#[derive(Debug)]
struct ReachedLimit {
    hysteresis: Hysteresis,
    used: LimitUsage,
    number: u64,
    /// Whether it was told by name.
    is_named: bool,
    /// Whether it was hit since the check before.
    is_new: bool,
}

/// How many caps a check tells by their number alone.
#[derive(Debug, Default)]
struct UnnamedCounts {
    reached: u64,
    cleared: u64,
}

impl ReachedLimits {
    /// Judges what was hit since the check before, and says what has changed. O(caps that are hit or not yet relieved).
    pub(super) fn check(
        &mut self,
        fixed: &[LimitUsage],
        hits: &LimitHits,
        hold: Duration,
        now: Instant,
        changes: &mut Vec<HealthChange>,
    ) {
        let more = self.record_hits(fixed, hits);
        let mut unnamed = self.check_unlisted(hits.unlisted, hold, now);
        let named = self.clear_expired(hits.unlisted > 0, hold, now, &mut unnamed, changes);
        self.report_reached(more, MAX_NAMED - named, &mut unnamed, changes);
        let of = |limits: u64| Some(LimitCount { limits }).filter(|_| limits > 0);
        changes.extend(of(unnamed.cleared).map(HealthChange::MoreLimitsCleared));
        changes.extend(of(unnamed.reached).map(HealthChange::MoreLimitsReached));
    }

    /// Takes in what was hit, and returns what had not been hit before.
    fn record_hits(&mut self, fixed: &[LimitUsage], hits: &LimitHits) -> Vec<Limit> {
        let before = std::mem::take(&mut self.totals);
        self.totals = fixed.iter().map(|used| (used.limit.clone(), used.hits)).collect();
        let is_hit = |used: &&LimitUsage| match before.get(&used.limit) {
            // A total that has fallen is one that began anew.
            Some(total) if used.hits >= *total => used.hits > *total,
            _ => used.hits > 0,
        };
        // Those that were not hit are brought up to date all the same.
        for used in fixed {
            if let Some(reached) = self.reached.get_mut(&used.limit) {
                reached.used.clone_from(used);
            }
        }
        let mut more = Vec::new();
        for used in fixed.iter().filter(is_hit).chain(&hits.limits) {
            #[cfg(test)]
            (self.visited += 1);
            match self.reached.get_mut(&used.limit) {
                Some(reached) => {
                    reached.used.clone_from(used);
                    reached.is_new = true;
                }
                None => {
                    self.count += 1;
                    let (hysteresis, used, number) = (Hysteresis::default(), used.clone(), self.count);
                    more.push(used.limit.clone());
                    self.reached.insert(
                        used.limit.clone(),
                        ReachedLimit { hysteresis, used, number, is_named: false, is_new: true },
                    );
                }
            }
        }
        more
    }

    /// Ends those that have not been hit for long enough, and returns how many caps by label it has named.
    ///
    /// When there are hits of which it is not known where, all caps by label may have been hit.
    fn clear_expired(
        &mut self,
        any_may_be_hit: bool,
        hold: Duration,
        now: Instant,
        unnamed: &mut UnnamedCounts,
        changes: &mut Vec<HealthChange>,
    ) -> usize {
        let mut due = Vec::new();
        self.reached.retain(|limit, reached| {
            #[cfg(test)]
            (self.visited += 1);
            let is_hit = std::mem::take(&mut reached.is_new) || any_may_be_hit && is_label_limit(limit);
            let before = reached.hysteresis;
            let condition = if is_hit { Condition::Bad } else { Condition::Good };
            if reached.hysteresis.check(condition, hold, now) != Some(Transition::Cleared) {
                return true;
            }
            if reached.is_named {
                // Until it has been told it is hit.
                reached.hysteresis = before;
                due.push((reached.number, limit.clone()));
            } else {
                unnamed.cleared += 1;
            }
            reached.is_named
        });
        due.sort_unstable_by_key(|(number, _)| *number);
        let mut named = 0;
        for (_, limit) in due {
            let by_label = usize::from(is_label_limit(&limit));
            if named + by_label > MAX_NAMED {
                continue;
            }
            named += by_label;
            changes.extend(self.reached.remove(&limit).map(|reached| HealthChange::LimitCleared(reached.used)));
        }
        named
    }

    /// Tells of those that were not hit before, of at most so many caps by label by name.
    fn report_reached(
        &mut self,
        more: Vec<Limit>,
        mut most_named: usize,
        unnamed: &mut UnnamedCounts,
        changes: &mut Vec<HealthChange>,
    ) {
        for limit in more {
            let Some(reached) = self.reached.get_mut(&limit) else { continue };
            reached.is_named = !is_label_limit(&limit) || most_named > 0;
            if reached.is_named {
                most_named -= usize::from(is_label_limit(&limit));
                changes.push(HealthChange::LimitReached(reached.used.clone()));
            } else {
                unnamed.reached += 1;
            }
        }
    }

    fn check_unlisted(&mut self, limits: u64, hold: Duration, now: Instant) -> UnnamedCounts {
        let mut unnamed = UnnamedCounts::default();
        if limits > self.unlisted_limits {
            unnamed.reached = limits - std::mem::replace(&mut self.unlisted_limits, limits);
        }
        let condition = if limits > 0 { Condition::Bad } else { Condition::Good };
        if self.unlisted.check(condition, hold, now) == Some(Transition::Cleared) {
            unnamed.cleared = std::mem::take(&mut self.unlisted_limits);
        }
        unnamed
    }
}

fn is_label_limit(limit: &Limit) -> bool {
    matches!(limit, Limit::Label { .. })
}

#[cfg(test)]
mod tests;
