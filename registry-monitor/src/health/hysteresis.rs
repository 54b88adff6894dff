//! Hysteresis: a state that is raised at once, and cleared after the condition has been good for a hold time.

use std::time::{Duration, Instant};

/// The result of one check of a condition.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Condition {
    /// Good enough to clear the state.
    Good,
    /// Neither bad enough to raise the state nor good enough to clear it.
    Marginal,
    /// Bad enough to raise the state.
    Bad,
}

/// A change of the state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Transition {
    Raised,
    Cleared,
}

/// Raised by one bad condition, and cleared when all conditions during the hold time were good.
///
/// So at least the hold time passes between two raises.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Hysteresis {
    raised: bool,
    good_since: Option<Instant>,
}

impl Hysteresis {
    /// Applies a condition, and returns the transition if there is one.
    ///
    /// An instant before the previous one counts as no elapsed time.
    pub(crate) fn check(&mut self, condition: Condition, hold: Duration, now: Instant) -> Option<Transition> {
        match (self.raised, condition) {
            (false, Condition::Bad) => {
                *self = Self { raised: true, good_since: None };
                Some(Transition::Raised)
            }
            (false, _) => None,
            (true, Condition::Good) => {
                let since = *self.good_since.get_or_insert(now);
                if now.saturating_duration_since(since) < hold {
                    return None;
                }
                *self = Self::default();
                Some(Transition::Cleared)
            }
            (true, _) => {
                self.good_since = None;
                None
            }
        }
    }

    pub(crate) fn is_raised(&self) -> bool {
        self.raised
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::Condition::{Bad, Good, Marginal};
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn transitions(conditions: impl IntoIterator<Item = Condition>, hold: Duration) -> Vec<(u32, Transition)> {
        let start = Instant::now();
        let mut state = Hysteresis::default();
        let mut check =
            |(at, condition)| state.check(condition, hold, start + at * SECOND).map(|transition| (at, transition));
        (0..).zip(conditions).filter_map(&mut check).collect()
    }

    #[test]
    fn raised_at_once_and_cleared_after_the_hold_time() {
        let conditions = [Good, Marginal, Bad, Bad, Good, Good, Marginal, Good, Good, Good, Good, Good];
        assert_eq!(transitions(conditions, 3 * SECOND), [(2, Transition::Raised), (10, Transition::Cleared)]);
    }

    #[test]
    fn without_a_hold_time_the_first_good_condition_clears() {
        let conditions = [Bad, Marginal, Good, Bad, Good];
        let expected =
            [(0, Transition::Raised), (2, Transition::Cleared), (3, Transition::Raised), (4, Transition::Cleared)];
        assert_eq!(transitions(conditions, Duration::ZERO), expected);
    }

    #[test]
    fn instants_in_the_past_do_not_clear() {
        let start = Instant::now() + 100 * SECOND;
        let mut state = Hysteresis::default();
        assert_eq!(state.check(Bad, SECOND, start), Some(Transition::Raised));
        assert_eq!(state.check(Good, SECOND, start), None);
        assert_eq!(state.check(Good, SECOND, start - 50 * SECOND), None);
        assert_eq!(state.check(Good, SECOND, start + SECOND), Some(Transition::Cleared));
        assert!(!state.is_raised());
    }

    proptest! {
        #[test]
        fn transitions_alternate_and_observe_the_hold_time(
            conditions in prop::collection::vec(prop::sample::select(vec![Good, Marginal, Bad]), 0..3_600),
            hold in 0..20_u32,
        ) {
            let transitions = transitions(conditions.iter().copied(), hold * SECOND);
            for (number, &(at, transition)) in transitions.iter().enumerate() {
                prop_assert_eq!(transition, if number % 2 == 0 { Transition::Raised } else { Transition::Cleared });
                if transition == Transition::Cleared {
                    prop_assert!((at - hold..=at).all(|second| conditions[second as usize] == Good));
                }
            }
        }
    }
}
