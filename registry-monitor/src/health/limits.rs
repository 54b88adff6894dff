//! Which caps are being hit: one latch for each, and a bounded number of changes to tell of them.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use registry_core::{HealthChange, Limit, LimitCount, LimitHits, LimitUsage};

use super::hysteresis::{Flip, Latch, Verdict};

/// The most changes of single caps by label that one check tells; those beyond are told by their number.
///
/// Reliefs go first, and those beyond are told by the next check. So a cap that was told by name when it was hit is told
/// by name when it is relieved.
pub(super) const MOST_TOLD: usize = 64;

/// The caps that have been hit, until they are relieved.
#[derive(Debug, Default)]
pub(super) struct Caps {
    /// How often each of the few fixed caps had been hit at the check before.
    totals: HashMap<Limit, u64>,
    hit: HashMap<Limit, Hit>,
    /// How many have been in `hit` so far: later ones have greater numbers.
    count: u64,
    /// Those of which nobody knows which they are.
    unlisted: Latch,
    unlisted_caps: u64,
    /// How many caps have been looked at so far.
    #[cfg(test)]
    pub(super) visited: u64,
}

/// A cap that has been hit and is not relieved.
#[derive(Debug)]
struct Hit {
    latch: Latch,
    used: LimitUsage,
    number: u64,
    /// Whether it was told by name.
    is_named: bool,
    /// Whether it was hit since the check before.
    is_new: bool,
}

/// How many caps a check tells by their number alone.
#[derive(Debug, Default)]
struct Counted {
    hit: u64,
    relieved: u64,
}

impl Caps {
    /// Judges what was hit since the check before, and says what has changed. O(caps that are hit or not yet relieved).
    pub(super) fn check(
        &mut self,
        fixed: &[LimitUsage],
        hits: &LimitHits,
        hold: Duration,
        now: Instant,
        changes: &mut Vec<HealthChange>,
    ) {
        let more = self.hit_now(fixed, hits);
        let mut counted = self.check_unlisted(hits.unlisted, hold, now);
        let named = self.relieve(hits.unlisted > 0, hold, now, &mut counted, changes);
        self.tell_hits(more, MOST_TOLD - named, &mut counted, changes);
        let of = |limits: u64| Some(LimitCount { limits }).filter(|_| limits > 0);
        changes.extend(of(counted.relieved).map(HealthChange::MoreLimitsCleared));
        changes.extend(of(counted.hit).map(HealthChange::MoreLimitsReached));
    }

    /// Takes in what was hit, and returns what had not been hit before.
    fn hit_now(&mut self, fixed: &[LimitUsage], hits: &LimitHits) -> Vec<Limit> {
        let before = std::mem::take(&mut self.totals);
        self.totals = fixed.iter().map(|used| (used.limit.clone(), used.hits)).collect();
        let is_hit = |used: &&LimitUsage| match before.get(&used.limit) {
            // A total that has fallen is one that began anew.
            Some(total) if used.hits >= *total => used.hits > *total,
            _ => used.hits > 0,
        };
        // Those that were not hit are brought up to date all the same.
        for used in fixed {
            if let Some(hit) = self.hit.get_mut(&used.limit) {
                hit.used.clone_from(used);
            }
        }
        let mut more = Vec::new();
        for used in fixed.iter().filter(is_hit).chain(&hits.limits) {
            #[cfg(test)]
            (self.visited += 1);
            match self.hit.get_mut(&used.limit) {
                Some(hit) => {
                    hit.used.clone_from(used);
                    hit.is_new = true;
                }
                None => {
                    self.count += 1;
                    let (latch, used, number) = (Latch::default(), used.clone(), self.count);
                    more.push(used.limit.clone());
                    self.hit.insert(used.limit.clone(), Hit { latch, used, number, is_named: false, is_new: true });
                }
            }
        }
        more
    }

    /// Ends those that have not been hit for long enough, and returns how many caps by label it has named.
    ///
    /// When there are hits of which it is not known where, all caps by label may have been hit.
    fn relieve(
        &mut self,
        any_may_be_hit: bool,
        hold: Duration,
        now: Instant,
        counted: &mut Counted,
        changes: &mut Vec<HealthChange>,
    ) -> usize {
        let mut due = Vec::new();
        self.hit.retain(|limit, hit| {
            #[cfg(test)]
            (self.visited += 1);
            let is_hit = std::mem::take(&mut hit.is_new) || any_may_be_hit && is_by_label(limit);
            let before = hit.latch;
            let verdict = if is_hit { Verdict::Bad } else { Verdict::Calm };
            if hit.latch.check(verdict, hold, now) != Some(Flip::Cleared) {
                return true;
            }
            if hit.is_named {
                // Until it has been told it is hit.
                hit.latch = before;
                due.push((hit.number, limit.clone()));
            } else {
                counted.relieved += 1;
            }
            hit.is_named
        });
        due.sort_unstable_by_key(|(number, _)| *number);
        let mut named = 0;
        for (_, limit) in due {
            let by_label = usize::from(is_by_label(&limit));
            if named + by_label > MOST_TOLD {
                continue;
            }
            named += by_label;
            changes.extend(self.hit.remove(&limit).map(|hit| HealthChange::LimitCleared(hit.used)));
        }
        named
    }

    /// Tells of those that were not hit before, of at most so many caps by label by name.
    fn tell_hits(
        &mut self,
        more: Vec<Limit>,
        mut most_named: usize,
        counted: &mut Counted,
        changes: &mut Vec<HealthChange>,
    ) {
        for limit in more {
            let Some(hit) = self.hit.get_mut(&limit) else { continue };
            hit.is_named = !is_by_label(&limit) || most_named > 0;
            if hit.is_named {
                most_named -= usize::from(is_by_label(&limit));
                changes.push(HealthChange::LimitReached(hit.used.clone()));
            } else {
                counted.hit += 1;
            }
        }
    }

    fn check_unlisted(&mut self, limits: u64, hold: Duration, now: Instant) -> Counted {
        let mut counted = Counted::default();
        if limits > self.unlisted_caps {
            counted.hit = limits - std::mem::replace(&mut self.unlisted_caps, limits);
        }
        let verdict = if limits > 0 { Verdict::Bad } else { Verdict::Calm };
        if self.unlisted.check(verdict, hold, now) == Some(Flip::Cleared) {
            counted.relieved = std::mem::take(&mut self.unlisted_caps);
        }
        counted
    }
}

fn is_by_label(limit: &Limit) -> bool {
    matches!(limit, Limit::Label { .. })
}

#[cfg(test)]
mod tests;
