//! Decides whether a recorded history of concurrent calls is linearizable: whether there is an order of instants, one or
//! several within each call, in which a sequential specification gives the same results.
//!
//! The method is that of Wing and Gong with the memory of Lowe: depth first through all orders that keep to the
//! recorded times, and never twice through the same situation.
//!
//! Why not stateright's `LinearizabilityTester` (0.31.0): its specification is a deterministic `invoke` that does a
//! call in one step, and its search remembers no situation that it has been in. Here a call may take several steps with
//! other calls between them (a death is seen in two), and one result may come about in several ways.

mod explain;
mod search;
mod shrink;

use std::fmt::{self, Display};
use std::hash::Hash;

pub use shrink::shrink;

/// What the object under test must do, one step at a time.
pub trait Specification {
    /// What the object is.
    type State: Clone + Eq + Hash + Display;

    /// A call, together with the result that was observed.
    type Call: Clone + Display;

    /// How far a call has come that takes more than one step. A call that has taken none is at the default.
    type Progress: Clone + Eq + Hash + Default;

    /// The steps that a call can take now, each with the state that it leaves; none if its result forbids all.
    ///
    /// They are tried in the order given. A step must change the state or the progress, and no call may go on forever.
    fn steps(
        &self,
        state: &Self::State,
        call: &Self::Call,
        progress: &Self::Progress,
        into: &mut Vec<(Self::State, Step<Self::Progress>)>,
    );

    /// Whether no step of this call changes the state, and no step takes away what the call could have done.
    ///
    /// The steps of such a call are taken as soon as they can be, with no other order tried: whoever saw what it had to
    /// see does not gain by waiting. And it may be left out of a history, which then shows no more than before.
    fn is_read_only(&self, call: &Self::Call) -> bool {
        let _ = call;
        false
    }
}

/// One atomic step of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step<P> {
    /// The call is not done yet.
    Continue(P),
    /// The call is done, with the result that was observed.
    Done,
}

/// A call, and when it began and ended by a clock that all threads share and that never shows the same time twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timed<C> {
    /// Taken just before the call.
    pub began: u64,
    /// Taken just after it.
    pub ended: u64,
    /// The call and its result.
    pub call: C,
}

/// The calls of each thread, in order.
pub type History<C> = Vec<Vec<Timed<C>>>;

/// Whether a history is linearizable.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It is.
    Linearizable,
    /// It is not.
    Violation(Violation),
    /// The search was given up.
    Undecided {
        /// After so many situations.
        visited: usize,
    },
}

impl Verdict {
    /// Whether the history is known not to be linearizable.
    #[must_use]
    pub fn is_violation(&self) -> bool {
        matches!(self, Self::Violation(_))
    }
}

/// A history that no order of instants explains.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// How many of the calls can be explained at most.
    pub explained: usize,
    /// How many calls there are.
    pub calls: usize,
    report: String,
}

impl Display for Violation {
    /// The longest part that can be explained, the calls that then cannot, and the whole history.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.report)
    }
}

/// Decides whether `history` is linearizable, visiting at most `max_configurations` situations.
///
/// The calls of one thread must follow one another, and each must end after it began.
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
