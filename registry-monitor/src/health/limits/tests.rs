//! Each reached limit is cleared exactly once, with few changes and one visit to each limit per check.

use registry_core::Kind;

use super::*;

const SECOND: Duration = Duration::from_secs(1);
const HOLD: Duration = Duration::from_secs(10);

fn label_limit(value: usize) -> Limit {
    Limit::Label { kind: Kind::Transport, key: "tenant".into(), value: value.to_string().into() }
}

fn hits(values: impl IntoIterator<Item = usize>, unlisted: u64) -> LimitHits {
    let used = |value| LimitUsage::new(label_limit(value), 1).with_used(1).with_hits(1);
    LimitHits::default().with_limits(values.into_iter().map(used).collect()).with_unlisted(unlisted)
}

/// Applies the reported changes.
struct Reported {
    start: Instant,
    limits: ReachedLimits,
    named: Vec<Limit>,
    unnamed: u64,
}

impl Reported {
    fn new() -> Self {
        Self { start: Instant::now(), limits: ReachedLimits::default(), named: Vec::new(), unnamed: 0 }
    }

    /// Checks, and returns how many limits are reached and not cleared.
    fn check(&mut self, second: u32, hits: &LimitHits) -> u64 {
        let mut changes = Vec::new();
        self.limits.check(&[], hits, HOLD, self.start + second * SECOND, &mut changes);
        let is_unnamed = |change: &&HealthChange| {
            matches!(change, HealthChange::MoreLimitsReached(_) | HealthChange::MoreLimitsCleared(_))
        };
        assert!(changes.iter().filter(is_unnamed).count() <= 2 && changes.len() <= MAX_NAMED + 2, "{}", changes.len());
        for change in changes {
            match change {
                HealthChange::LimitReached(reached) => {
                    assert!(!self.named.contains(&reached.limit), "{} is reached twice", reached.limit);
                    self.named.push(reached.limit);
                }
                HealthChange::LimitCleared(cleared) => {
                    let index = self.named.iter().position(|limit| *limit == cleared.limit);
                    self.named.remove(index.expect("a limit that is cleared by name was reached by name"));
                }
                HealthChange::MoreLimitsReached(more) => self.unnamed += more.limits,
                HealthChange::MoreLimitsCleared(more) => self.unnamed -= more.limits,
                other => panic!("{other}"),
            }
        }
        self.named.len() as u64 + self.unnamed
    }
}

#[test]
fn every_reached_limit_is_cleared_for_any_number() {
    let mut reported = Reported::new();
    assert_eq!(reported.check(0, &hits(0..1_000, 0)), 1_000);
    assert_eq!(reported.named, (0..64).map(label_limit).collect::<Vec<_>>(), "the first ones are named");
    // Two limits continue to be hit: one that was named, one that was not.
    for second in 1..30 {
        let left = if second < 11 { 1_000 } else { 2 };
        assert_eq!(reported.check(second, &hits([7, 700], 0)), left, "second {second}");
    }
    assert_eq!(reported.named, [label_limit(7)]);
    (30..41).for_each(|second| _ = reported.check(second, &hits([], 0)));
    assert_eq!((reported.named.len(), reported.unnamed, reported.limits.reached.len()), (0, 0, 0));
}

#[test]
fn named_clears_are_spread_over_checks_without_loss() {
    let mut reported = Reported::new();
    // Each check names sixty-four more, and all are hit until all stop at once.
    for second in 0..10 {
        assert_eq!(reported.check(second, &hits(0..64 * (second as usize + 1), 0)), 64 * (u64::from(second) + 1));
    }
    assert_eq!(reported.named.len(), 640);
    let left: Vec<u64> = (10..40).map(|second| reported.check(second, &hits([], 0))).collect();
    let expected: Vec<u64> =
        (0..30).map(|check| 640_u64.saturating_sub(64 * (check + 1_u64).saturating_sub(10))).collect();
    assert_eq!(left, expected);
    assert_eq!(reported.limits.reached.len(), 0);
}

#[test]
fn a_limit_that_is_hit_before_its_deferred_clear_is_not_cleared() {
    let mut reported = Reported::new();
    reported.check(0, &hits(0..64, 0));
    reported.check(1, &hits(0..128, 0));
    (2..12).for_each(|second| _ = reported.check(second, &hits([], 0)));
    // The first sixty-four are cleared at once, the others are deferred to the next check.
    assert_eq!(reported.check(12, &hits(100..128, 0)), 64);
    assert_eq!(reported.check(13, &hits([], 0)), 28);
}

#[test]
fn unlisted_hits_keep_all_label_limits_reached() {
    let mut reported = Reported::new();
    assert_eq!(reported.check(0, &hits(0..3, 5)), 8);
    (1..30).for_each(|second| assert_eq!(reported.check(second, &hits([], 5)), 8));
    assert_eq!(reported.check(30, &hits([], 7)), 10);
    assert_eq!((31..42).map(|second| reported.check(second, &hits([], 0))).last(), Some(0));
}

#[test]
fn a_check_visits_each_limit_once() {
    for limits in [2_000, 8_000] {
        let mut reported = Reported::new();
        reported.check(0, &hits(0..limits, 0));
        // Once when it is recorded, and once when it is checked.
        assert_eq!(reported.limits.visited, 2 * limits as u64);
        for second in 1..20 {
            reported.limits.visited = 0;
            reported.check(second, &hits(0..3, 0));
            let known = if second <= 11 { limits as u64 } else { 3 };
            assert_eq!(reported.limits.visited, 3 + known, "second {second}");
        }
    }
}

#[test]
fn a_reset_total_is_a_hit_and_an_unchanged_one_is_not() {
    let (mut limits, start) = (ReachedLimits::default(), Instant::now());
    let mut check = |second: u32, total: u64| {
        let mut changes = Vec::new();
        let fixed = [LimitUsage::new(Limit::Servers, 9).with_used(9).with_hits(total)];
        limits.check(&fixed, &LimitHits::default(), HOLD, start + second * SECOND, &mut changes);
        changes.len()
    };
    assert_eq!([check(0, 0), check(1, 3), check(2, 3), check(10, 1), check(12, 1), check(21, 1)], [0, 1, 0, 0, 0, 0]);
    assert_eq!([check(22, 1), check(23, 0), check(24, 1)], [1, 0, 1]);
}
