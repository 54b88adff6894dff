//! Hysteresis: a state that is entered at once and left only after it has been calm for a stated time.

use std::time::{Duration, Instant};

/// What a check says of a condition.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Condition {
    /// Well on the good side.
    Good,
    /// Not bad enough to begin with, and not good enough to end with.
    Marginal,
    /// Bad.
    Bad,
}

/// What a verdict changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Transition {
    Raised,
    Cleared,
}

/// Raised by one bad verdict; cleared when all verdicts of a stated time were calm.
///
/// So it is never raised twice within that time.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Hysteresis {
    raised: bool,
    good_since: Option<Instant>,
}

impl Hysteresis {
    /// Takes a verdict in, and says whether it changed anything.
    ///
    /// Instants that go back count as no time at all.
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

    fn transitions(verdicts: impl IntoIterator<Item = Condition>, hold: Duration) -> Vec<(u32, Transition)> {
        let start = Instant::now();
        let mut state = Hysteresis::default();
        let mut check =
            |(at, condition)| state.check(condition, hold, start + at * SECOND).map(|transition| (at, transition));
        (0..).zip(verdicts).filter_map(&mut check).collect()
    }

    #[test]
    fn it_is_raised_at_once_and_cleared_after_the_hold() {
        let verdicts = [Good, Marginal, Bad, Bad, Good, Good, Marginal, Good, Good, Good, Good, Good];
        assert_eq!(transitions(verdicts, 3 * SECOND), [(2, Transition::Raised), (10, Transition::Cleared)]);
    }

    #[test]
    fn without_a_hold_the_first_calm_clears() {
        let verdicts = [Bad, Marginal, Good, Bad, Good];
        let expected =
            [(0, Transition::Raised), (2, Transition::Cleared), (3, Transition::Raised), (4, Transition::Cleared)];
        assert_eq!(transitions(verdicts, Duration::ZERO), expected);
    }

    #[test]
    fn instants_that_go_back_do_no_harm() {
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
        fn it_alternates_and_keeps_its_hold(
            verdicts in prop::collection::vec(prop::sample::select(vec![Good, Marginal, Bad]), 0..3_600),
            hold in 0..20_u32,
        ) {
            let transitions = transitions(verdicts.iter().copied(), hold * SECOND);
            for (number, &(at, transition)) in transitions.iter().enumerate() {
                prop_assert_eq!(transition, if number % 2 == 0 { Transition::Raised } else { Transition::Cleared });
                if transition == Transition::Cleared {
                    prop_assert!((at - hold..=at).all(|second| verdicts[second as usize] == Good));
                }
            }
        }
    }
}
