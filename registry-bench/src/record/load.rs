//! How busy the machine was with other programs while figures were measured.

use serde::{Deserialize, Serialize};

/// The share of processor time above which figures are called unreliable.
const BUSY: f64 = 0.1;

/// The shares of processor time that other programs took before and during a run, from 0 to 1.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct BackgroundLoad {
    /// Just before the run.
    pub before: f64,
    /// During the run.
    pub during: f64,
}

impl BackgroundLoad {
    /// Returns a sentence for a report: a warning if the machine was busy.
    #[must_use]
    pub fn sentence(self) -> String {
        let [before, during] = [self.before, self.during].map(|share| 100.0 * share);
        let shares = format!("{during:.0} % of processor time went to other programs ({before:.0} % before the run)");
        if self.during > BUSY {
            format!("machine busy: {shares}; figures are unreliable")
        } else {
            format!("machine idle: {shares}")
        }
    }

    /// Returns the load of the busier of two runs.
    #[must_use]
    pub fn max(self, other: Self) -> Self {
        if other.during > self.during { other } else { self }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_busy_machine_makes_figures_unreliable() {
        let load = |during| BackgroundLoad { before: 0.051, during };
        let busy =
            "machine busy: 38 % of processor time went to other programs (5 % before the run); figures are unreliable";
        assert_eq!(load(0.38).sentence(), busy);
        let idle = "machine idle: 10 % of processor time went to other programs (5 % before the run)";
        assert_eq!(load(0.1).sentence(), idle);
        assert_eq!(load(0.2).max(load(0.3)), load(0.3));
    }
}
