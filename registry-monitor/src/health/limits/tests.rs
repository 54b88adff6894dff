//! Many caps by label: each hit is followed by its relief, few changes are told, and a check does what has to be done once.

use registry_core::Kind;

use super::*;

const SECOND: Duration = Duration::from_secs(1);
const HOLD: Duration = Duration::from_secs(10);

fn by_label(value: usize) -> Limit {
    Limit::Label { kind: Kind::Transport, key: "tenant".into(), value: value.to_string().into() }
}

fn hits(values: impl IntoIterator<Item = usize>, unlisted: u64) -> LimitHits {
    let used = |value| LimitUsage { limit: by_label(value), max: 1, used: 1, hits: 1 };
    LimitHits { limits: values.into_iter().map(used).collect(), unlisted }
}

/// What is known of the changes that were told so far.
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

    /// Checks, and returns how many caps have been hit and are not relieved.
    fn check(&mut self, second: u32, hits: &LimitHits) -> u64 {
        let mut changes = Vec::new();
        self.limits.check(&[], hits, HOLD, self.start + second * SECOND, &mut changes);
        let of_many = |change: &&HealthChange| {
            matches!(change, HealthChange::MoreLimitsReached(_) | HealthChange::MoreLimitsCleared(_))
        };
        assert!(changes.iter().filter(of_many).count() <= 2 && changes.len() <= MAX_NAMED + 2, "{}", changes.len());
        for change in changes {
            match change {
                HealthChange::LimitReached(reached) => {
                    assert!(!self.named.contains(&reached.limit), "{} is hit twice", reached.limit);
                    self.named.push(reached.limit);
                }
                HealthChange::LimitCleared(cleared) => {
                    let place = self.named.iter().position(|limit| *limit == cleared.limit);
                    self.named.remove(place.expect("only what was hit by name is relieved by name"));
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
fn each_hit_is_followed_by_its_relief_however_many_there_are() {
    let mut reported = Reported::new();
    assert_eq!(reported.check(0, &hits(0..1_000, 0)), 1_000);
    assert_eq!(reported.named, (0..64).map(by_label).collect::<Vec<_>>(), "those that were hit first");
    // Some go on: one that was named, one that was not.
    for second in 1..30 {
        let left = if second < 11 { 1_000 } else { 2 };
        assert_eq!(reported.check(second, &hits([7, 700], 0)), left, "second {second}");
    }
    assert_eq!(reported.named, [by_label(7)]);
    (30..41).for_each(|second| _ = reported.check(second, &hits([], 0)));
    assert_eq!((reported.named.len(), reported.unnamed, reported.limits.reached.len()), (0, 0, 0));
}

#[test]
fn reliefs_by_name_are_spread_over_checks_and_none_is_lost() {
    let mut reported = Reported::new();
    // Sixty-four more are named at each check, and all are hit until all end at once.
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
fn one_that_waits_for_its_relief_and_is_hit_again_is_not_relieved() {
    let mut reported = Reported::new();
    reported.check(0, &hits(0..64, 0));
    reported.check(1, &hits(0..128, 0));
    (2..12).for_each(|second| _ = reported.check(second, &hits([], 0)));
    // The first sixty-four went at once, the others have to wait for the next check.
    assert_eq!(reported.check(12, &hits(100..128, 0)), 64);
    assert_eq!(reported.check(13, &hits([], 0)), 28);
}

#[test]
fn what_is_hit_without_being_listed_keeps_all_that_may_be_it() {
    let mut reported = Reported::new();
    assert_eq!(reported.check(0, &hits(0..3, 5)), 8);
    (1..30).for_each(|second| assert_eq!(reported.check(second, &hits([], 5)), 8));
    assert_eq!(reported.check(30, &hits([], 7)), 10);
    assert_eq!((31..42).map(|second| reported.check(second, &hits([], 0))).last(), Some(0));
}

#[test]
fn a_check_looks_at_each_cap_once() {
    for limits in [2_000, 8_000] {
        let mut reported = Reported::new();
        reported.check(0, &hits(0..limits, 0));
        // Taken in, and judged.
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
fn a_total_that_begins_anew_is_a_hit_and_one_that_stays_is_none() {
    let (mut limits, start) = (ReachedLimits::default(), Instant::now());
    let mut check = |second: u32, total: u64| {
        let mut changes = Vec::new();
        let fixed = [LimitUsage { limit: Limit::Servers, max: 9, used: 9, hits: total }];
        limits.check(&fixed, &LimitHits::default(), HOLD, start + second * SECOND, &mut changes);
        changes.len()
    };
    assert_eq!([check(0, 0), check(1, 3), check(2, 3), check(10, 1), check(12, 1), check(21, 1)], [0, 1, 0, 0, 0, 0]);
    assert_eq!([check(22, 1), check(23, 0), check(24, 1)], [1, 0, 1]);
}
