//! Hysteresis: a state that is entered at once and left only after it has been calm for a stated time.

use std::time::{Duration, Instant};

/// What a check says of a condition.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Verdict {
    /// Well on the good side.
    Calm,
    /// Not bad enough to begin with, and not good enough to end with.
    Between,
    /// Bad.
    Bad,
}

/// What a verdict changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Flip {
    Raised,
    Cleared,
}

/// Raised by one bad verdict; cleared when all verdicts of a stated time were calm.
///
/// So it is never raised twice within that time.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Latch {
    raised: bool,
    calm_since: Option<Instant>,
}

impl Latch {
    /// Takes a verdict in, and says whether it changed anything.
    ///
    /// Instants that go back count as no time at all.
    pub(crate) fn check(&mut self, verdict: Verdict, hold: Duration, now: Instant) -> Option<Flip> {
        match (self.raised, verdict) {
            (false, Verdict::Bad) => {
                *self = Self { raised: true, calm_since: None };
                Some(Flip::Raised)
            }
            (false, _) => None,
            (true, Verdict::Calm) => {
                let since = *self.calm_since.get_or_insert(now);
                if now.saturating_duration_since(since) < hold {
                    return None;
                }
                *self = Self::default();
                Some(Flip::Cleared)
            }
            (true, _) => {
                self.calm_since = None;
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

    use super::Verdict::{Bad, Between, Calm};
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn flips(verdicts: impl IntoIterator<Item = Verdict>, hold: Duration) -> Vec<(u32, Flip)> {
        let start = Instant::now();
        let mut latch = Latch::default();
        let mut check = |(at, verdict)| latch.check(verdict, hold, start + at * SECOND).map(|flip| (at, flip));
        (0..).zip(verdicts).filter_map(&mut check).collect()
    }

    #[test]
    fn it_is_raised_at_once_and_cleared_after_the_hold() {
        let verdicts = [Calm, Between, Bad, Bad, Calm, Calm, Between, Calm, Calm, Calm, Calm, Calm];
        assert_eq!(flips(verdicts, 3 * SECOND), [(2, Flip::Raised), (10, Flip::Cleared)]);
    }

    #[test]
    fn without_a_hold_the_first_calm_clears() {
        let verdicts = [Bad, Between, Calm, Bad, Calm];
        let expected = [(0, Flip::Raised), (2, Flip::Cleared), (3, Flip::Raised), (4, Flip::Cleared)];
        assert_eq!(flips(verdicts, Duration::ZERO), expected);
    }

    #[test]
    fn instants_that_go_back_do_no_harm() {
        let start = Instant::now() + 100 * SECOND;
        let mut latch = Latch::default();
        assert_eq!(latch.check(Bad, SECOND, start), Some(Flip::Raised));
        assert_eq!(latch.check(Calm, SECOND, start), None);
        assert_eq!(latch.check(Calm, SECOND, start - 50 * SECOND), None);
        assert_eq!(latch.check(Calm, SECOND, start + SECOND), Some(Flip::Cleared));
        assert!(!latch.is_raised());
    }

    proptest! {
        #[test]
        fn it_alternates_and_keeps_its_hold(
            verdicts in prop::collection::vec(prop::sample::select(vec![Calm, Between, Bad]), 0..3_600),
            hold in 0..20_u32,
        ) {
            let flips = flips(verdicts.iter().copied(), hold * SECOND);
            for (number, &(at, flip)) in flips.iter().enumerate() {
                prop_assert_eq!(flip, if number % 2 == 0 { Flip::Raised } else { Flip::Cleared });
                if flip == Flip::Cleared {
                    prop_assert!((at - hold..=at).all(|second| verdicts[second as usize] == Calm));
                }
            }
        }
    }
}
