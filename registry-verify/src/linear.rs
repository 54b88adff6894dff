//! A linearizability checker: decides whether a recorded concurrent history has an order of instants, one or several
//! within each call, in which a sequential specification yields the same results.
//!
//! The algorithm is that of Wing and Gong with Lowe's memoization: a depth-first search over all orders that respect
//! the recorded times, which visits no configuration twice.
//!
//! stateright's `LinearizabilityTester` (0.31.0) does not fit: its specification is a deterministic `invoke` that
//! completes a call in one step, and its search does not memoize. Here a call may take several steps with other calls
//! in between (a removal is visible in two), and a result may be reached in several ways.

mod explain;
mod search;
mod shrink;

use std::fmt::{self, Display};
use std::hash::Hash;

pub use shrink::shrink;

/// A sequential specification of the object under test, one step at a time.
pub trait Specification {
    /// The state of the object.
    type State: Clone + Eq + Hash + Display;

    /// A call together with its observed result.
    type Call: Clone + Display;

    /// The progress of a call that takes more than one step. A call without a step so far has the default.
    type Progress: Clone + Eq + Hash + Default;

    /// Appends the steps that a call can take now, each with the resulting state; none if the observed result forbids
    /// all.
    ///
    /// They are tried in order. A step must change the state or the progress, and every call must terminate.
    fn steps(
        &self,
        state: &Self::State,
        call: &Self::Call,
        progress: &Self::Progress,
        into: &mut Vec<(Self::State, Step<Self::Progress>)>,
    );

    /// Returns whether no step of this call changes the state, and no step of it disables another of its steps.
    ///
    /// The search takes the steps of such a call as soon as they are enabled, and tries no other order: delaying an
    /// enabled read gains nothing. The call may also be omitted from a history, which then proves no more than before.
    fn is_read_only(&self, call: &Self::Call) -> bool {
        let _ = call;
        false
    }
}

/// One atomic step of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step<P> {
    /// The call continues with this progress.
    Continue(P),
    /// The call completes with the observed result.
    Done,
}

/// A call with its start and end times, from a clock that all threads share and that never returns the same time twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timed<C> {
    /// The time just before the call.
    pub began: u64,
    /// The time just after the call.
    pub ended: u64,
    /// The call and its result.
    pub call: C,
}

/// The calls of each thread, in order.
pub type History<C> = Vec<Vec<Timed<C>>>;

/// The result of a check.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The history is linearizable.
    Linearizable,
    /// The history is not linearizable.
    Violation(Violation),
    /// The search reached its limit.
    Undecided {
        /// The number of visited configurations.
        visited: usize,
    },
}

impl Verdict {
    /// Returns whether the history is known not to be linearizable.
    #[must_use]
    pub fn is_violation(&self) -> bool {
        matches!(self, Self::Violation(_))
    }
}

/// A history that is not linearizable.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// The maximum number of calls that can be linearized.
    pub explained: usize,
    /// The number of calls.
    pub calls: usize,
    report: String,
}

impl Display for Violation {
    /// Writes the longest prefix that can be linearized, the calls that cannot follow it, and the whole history.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.report)
    }
}

/// Decides whether `history` is linearizable, visiting at most `max_configurations` configurations.
///
/// The calls of one thread must not overlap, and each must end after it began.
pub fn check<S: Specification>(
    specification: &S,
    initial: &S::State,
    history: &History<S::Call>,
    max_configurations: usize,
) -> Verdict {
    match search::search(specification, initial, history, max_configurations) {
        search::Outcome::Explained => Verdict::Linearizable,
        search::Outcome::LimitReached { visited } => Verdict::Undecided { visited },
        search::Outcome::DeadEnd(dead_end) => Verdict::Violation(explain::explain(history, &dead_end)),
    }
}
