//! Reached limits: a hysteresis for each, and a bounded number of changes per check.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use registry_core::{HealthChange, Limit, LimitCount, LimitHits, LimitUsage};

use super::hysteresis::{Condition, Hysteresis, Transition};

/// The maximum number of label limits that one check names; further ones are only counted.
///
/// Cleared limits take precedence, and those in excess are deferred to the next check. So a limit that was named when it was
/// reached is also named when it is cleared.
pub(super) const MAX_NAMED: usize = 64;

/// The limits that are reached and not yet cleared.
#[derive(Debug, Default)]
pub(super) struct ReachedLimits {
    /// The hits of each fixed limit at the previous check.
    totals: HashMap<Limit, u64>,
    reached: HashMap<Limit, ReachedLimit>,
    /// The number of limits that have been added to `reached`.
    added: u64,
    /// The label limits that the limiter counted without listing them.
    unlisted: Hysteresis,
    unlisted_limits: u64,
    /// The number of visits to a limit.
    #[cfg(test)]
    pub(super) visited: u64,
}

/// A limit that is reached and not yet cleared.
#[derive(Debug)]
struct ReachedLimit {
    hysteresis: Hysteresis,
    used: LimitUsage,
    /// The position in the order in which limits were reached.
    number: u64,
    /// Whether it was named when it was reached.
    is_named: bool,
    /// Whether it was hit since the previous check.
    has_new_hits: bool,
}

/// The numbers of limits that a check counts without naming them.
#[derive(Debug, Default)]
struct UnnamedCounts {
    reached: u64,
    cleared: u64,
}

impl ReachedLimits {
    /// Appends the changes since the previous check. O(limits that are reached and not yet cleared).
    pub(super) fn check(
        &mut self,
        fixed: &[LimitUsage],
        hits: &LimitHits,
        hold: Duration,
        now: Instant,
        changes: &mut Vec<HealthChange>,
    ) {
        let new = self.record_hits(fixed, hits);
        let mut unnamed = self.check_unlisted(hits.unlisted, hold, now);
        let named = self.clear_expired(hits.unlisted > 0, hold, now, &mut unnamed, changes);
        self.report_reached(new, MAX_NAMED - named, &mut unnamed, changes);
        let count = |limits: u64| Some(LimitCount::new(limits)).filter(|_| limits > 0);
        changes.extend(count(unnamed.cleared).map(HealthChange::MoreLimitsCleared));
        changes.extend(count(unnamed.reached).map(HealthChange::MoreLimitsReached));
    }

    /// Records the limits that were hit since the previous check, and returns those that are newly reached.
    fn record_hits(&mut self, fixed: &[LimitUsage], hits: &LimitHits) -> Vec<Limit> {
        let before = std::mem::take(&mut self.totals);
        self.totals = fixed.iter().map(|used| (used.limit.clone(), used.hits)).collect();
        let is_hit = |used: &&LimitUsage| match before.get(&used.limit) {
            // A total that has decreased was reset.
            Some(total) if used.hits >= *total => used.hits > *total,
            _ => used.hits > 0,
        };
        // The usage of reached limits is updated without a hit, too.
        for used in fixed {
            if let Some(reached) = self.reached.get_mut(&used.limit) {
                reached.used.clone_from(used);
            }
        }
        let mut new = Vec::new();
        for used in fixed.iter().filter(is_hit).chain(&hits.limits) {
            #[cfg(test)]
            (self.visited += 1);
            match self.reached.get_mut(&used.limit) {
                Some(reached) => {
                    reached.used.clone_from(used);
                    reached.has_new_hits = true;
                }
                None => {
                    self.added += 1;
                    let (hysteresis, used, number) = (Hysteresis::default(), used.clone(), self.added);
                    new.push(used.limit.clone());
                    self.reached.insert(
                        used.limit.clone(),
                        ReachedLimit { hysteresis, used, number, is_named: false, has_new_hits: true },
                    );
                }
            }
        }
        new
    }

    /// Clears the limits whose hold time has elapsed, and returns how many label limits it has named.
    ///
    /// If there are unlisted hits, any label limit may have been hit.
    fn clear_expired(
        &mut self,
        has_unlisted_hits: bool,
        hold: Duration,
        now: Instant,
        unnamed: &mut UnnamedCounts,
        changes: &mut Vec<HealthChange>,
    ) -> usize {
        let mut due = Vec::new();
        self.reached.retain(|limit, reached| {
            #[cfg(test)]
            (self.visited += 1);
            let is_hit = std::mem::take(&mut reached.has_new_hits) || has_unlisted_hits && is_label_limit(limit);
            let before = reached.hysteresis;
            let condition = if is_hit { Condition::Bad } else { Condition::Good };
            if reached.hysteresis.check(condition, hold, now) != Some(Transition::Cleared) {
                return true;
            }
            if reached.is_named {
                // It stays reached until the change is reported.
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
            let of_label = usize::from(is_label_limit(&limit));
            if named + of_label > MAX_NAMED {
                continue;
            }
            named += of_label;
            changes.extend(self.reached.remove(&limit).map(|reached| HealthChange::LimitCleared(reached.used)));
        }
        named
    }

    /// Reports newly reached limits, and names at most `max_named` label limits.
    fn report_reached(
        &mut self,
        new: Vec<Limit>,
        mut max_named: usize,
        unnamed: &mut UnnamedCounts,
        changes: &mut Vec<HealthChange>,
    ) {
        for limit in new {
            let Some(reached) = self.reached.get_mut(&limit) else { continue };
            reached.is_named = !is_label_limit(&limit) || max_named > 0;
            if reached.is_named {
                max_named -= usize::from(is_label_limit(&limit));
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
