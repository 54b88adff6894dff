//! The specification of the registry: which outcome of a call is allowed in which state, and the state after it.
//!
//! It specifies what `docs/semantics.md` promises, once, for two checks. In the *strict* mode every call runs alone, and
//! exactly one outcome is allowed: error precedence, returned messages and the contents of mailboxes included.
//! [`sequence`](crate::sequence) judges random calls of one thread by it. In the *concurrent* mode calls overlap, and
//! [`history`](crate::history) searches an order of their steps that explains all outcomes. That mode takes the same
//! steps, and allows more by named [`Relaxation`]s only.
//!
//! # Steps
//!
//! A call that is promised to take effect at one instant has one step; these have more, with steps of other calls
//! possibly in between:
//!
//! - *Removal*: the bindings end, then the name becomes free. Of two calls that remove the same registration each may
//!   take one step; the one that frees the name is the one that succeeded.
//! - *Registration under the name of a dead owner*: the removal of the dead registration, then the registration.
//! - *Registration of a bound transport*: it joins its server, then it becomes visible. If the server's removal has
//!   begun meanwhile, the transport is registered unbound, or not at all.
//! - *Calls with several targets*, which are [`Call::TransportsOf`], [`Call::Broadcast`], [`Call::Sweep`],
//!   [`Call::List`], [`Call::FindMany`] and [`Call::RouteMany`]: an instant for each target.
//! - *A message to a closed mailbox*: its registration was found, its mailbox was closed, and the registration is
//!   removed when the call returns.
//! - *Liveness checks* of bindings and server lookups: the entry was alive at an instant before the one at which the
//!   call takes effect, since only its owner closes a mailbox.
//!
//! Of two registrations of one name the later one has the greater incarnation, by which owners are numbered.
//!
//! # Adding a call
//!
//! 1. A variant of [`Call`], and of [`Outcome`] if no existing one fits, with their `Display`.
//! 2. A function in the file of its concept that adds the steps it can take to a `Steps`; new state in `state.rs`, new
//!    elementary changes as methods there. A call that takes several steps keeps what it needs in [`Progress`].
//! 3. A line in [`RegistrySpec::steps`], and one in [`RegistrySpec::is_read_only`] if no step of it changes the state.
//! 4. If only concurrency allows an outcome, a [`Relaxation`] that says so, and a test of what it allows.
//! 5. Its outcomes in `tests/space.rs`: the exhaustive tests then check that the strict mode allows exactly one outcome in
//!    each small state and that the concurrent mode allows it too. Wrong outcomes of it in `tests/strict.rs`, and
//!    histories that violate its promise in `tests/histories.rs`.
//! 6. Programs that make the call, in `sequence` and `history`.

mod bindings;
mod call;
mod mailboxes;
mod name;
mod outcome;
mod reads;
mod registrations;
mod relaxation;
mod routing;
mod state;
mod steps;
#[cfg(test)]
mod tests;

use std::collections::HashSet;

use crate::linear::{History, Specification, Step};
use name::Owners;
use relaxation::Relaxations;
use steps::Steps;

pub use call::{Call, Completed};
pub use name::{IDS, Message, Name, OWNERS, Owner, Side};
pub use outcome::{BroadcastOutcome, Delivery, Outcome, Routed};
pub use relaxation::Relaxation;
pub use state::State;
pub use steps::Progress;

/// The specification in one of its modes.
#[derive(Clone, Copy, Debug)]
pub struct RegistrySpec {
    relaxations: Relaxations,
    /// The owners that close their mailbox in this history. The liveness of others need not be remembered.
    will_close: Owners,
}

impl RegistrySpec {
    /// Returns the specification of calls that run one after another.
    #[must_use]
    pub fn strict() -> Self {
        Self { relaxations: Relaxations::NONE, will_close: Owners::default() }
    }

    /// Returns the specification of the concurrent calls of a history.
    #[must_use]
    pub fn concurrent(history: &History<Completed>) -> Self {
        let mut will_close = Owners::default();
        for timed in history.iter().flatten() {
            if let Call::Close(owner) = timed.call.call {
                will_close = will_close.with(owner);
            }
        }
        Self { relaxations: Relaxations::all(), will_close }
    }

    /// Returns the state of an empty registry.
    #[must_use]
    pub fn initial(&self) -> State {
        if self.allows(Relaxation::UntrackedMailboxes) { State::default() } else { State::tracked() }
    }

    /// Judges a call during which no other call took a step: returns the state after it, or `None` if its outcome is not
    /// allowed.
    ///
    /// If several states are possible, which the strict mode excludes, one of them is returned.
    #[must_use]
    pub fn apply(&self, state: &State, completed: &Completed) -> Option<State> {
        let mut next = None;
        self.for_each_final(state, completed, |state| {
            next = Some(state);
            false
        });
        next
    }

    /// Calls `visit` with each state in which a call that runs alone can complete, until `visit` returns `false`.
    fn for_each_final(&self, state: &State, completed: &Completed, mut visit: impl FnMut(State) -> bool) {
        let (mut visited, mut stack, mut steps) = (HashSet::new(), Vec::new(), Vec::new());
        let mut current = Some((state.clone(), Progress::default()));
        while let Some((state, progress)) = current {
            self.steps(&state, completed, &progress, &mut steps);
            for (next, step) in steps.drain(..).rev() {
                match step {
                    Step::Done => {
                        if !visit(next) {
                            return;
                        }
                    }
                    Step::Continue(progress) => {
                        if visited.insert((next.clone(), progress)) {
                            stack.push((next, progress));
                        }
                    }
                }
            }
            current = stack.pop();
        }
    }

    fn allows(&self, relaxation: Relaxation) -> bool {
        self.relaxations.contain(relaxation)
    }

    /// Returns whether an owner may close its mailbox while another call runs.
    fn will_close(&self, owner: Owner) -> bool {
        self.allows(Relaxation::LaterClosing) && self.will_close.has(owner)
    }
}

impl Specification for RegistrySpec {
    type State = State;
    type Call = Completed;
    type Progress = Progress;

    fn steps(
        &self,
        state: &State,
        completed: &Completed,
        progress: &Progress,
        into: &mut Vec<(State, Step<Progress>)>,
    ) {
        let steps = &mut Steps { spec: self, state, progress, into };
        match (&completed.call, &completed.outcome) {
            (Call::Register(name, capacity), outcome) => registrations::register(steps, *name, *capacity, outcome),
            (Call::RegisterBound(name, server, capacity), outcome) => {
                registrations::register_bound(steps, *name, *server, *capacity, outcome);
            }
            (Call::Release(owner), Outcome::Bool(ended)) => {
                registrations::end(steps, state.name_of(*owner), Some(*ended));
            }
            (Call::DropLease(owner), Outcome::Done) => registrations::end(steps, state.name_of(*owner), None),
            (Call::Detach(_), Outcome::Done) => steps.done(),
            (Call::Unregister(name), Outcome::Bool(ended)) => registrations::end(steps, Some(*name), Some(*ended)),
            (Call::Sweep, Outcome::Swept(servers, transports)) => registrations::sweep(steps, [*servers, *transports]),

            (Call::Bind(transport, server), outcome) => bindings::bind(steps, *transport, *server, outcome),
            (Call::Unbind(transport), Outcome::Bool(was_bound)) => bindings::unbind(steps, *transport, *was_bound),
            (Call::ServerFor(transport), Outcome::Server(server)) => bindings::server_for(steps, *transport, *server),
            (Call::TransportsOf(server), Outcome::Transports(transports)) => {
                bindings::transports_of(steps, *server, transports);
            }

            (Call::Find(name) | Call::BoundRoute(name), Outcome::Found(found)) => reads::find(steps, *name, *found),
            (Call::FindMany(names), Outcome::FoundMany(found)) => reads::find_many(steps, names, found),
            (Call::List(side), Outcome::Listed(listed)) => reads::list(steps, *side, listed),
            (Call::IsCurrent(owner), Outcome::Bool(is_current)) => reads::is_current(steps, *owner, *is_current),
            (Call::Count, Outcome::Counted(servers, transports, bindings)) => {
                reads::count(steps, *servers, *transports, *bindings);
            }

            (Call::Route(to, from, message), Outcome::Routed(routed)) => {
                routing::route(steps, *to, *from, *message, *routed);
            }
            (Call::RouteMany(to, from, first), Outcome::RoutedMany(routed)) => {
                routing::route_many(steps, to, *from, *first, routed);
            }
            (Call::Broadcast(server, message), Outcome::Broadcast(outcome)) => {
                routing::broadcast(steps, *server, *message, outcome);
            }
            (Call::RouteToBound(transport, message), Outcome::Routed(routed)) => {
                routing::route_to_bound(steps, *transport, *message, *routed);
            }
            (Call::SendBound(owner, message), Outcome::Routed(routed)) => {
                routing::send_bound(steps, *owner, *message, *routed);
            }

            (Call::Close(owner), Outcome::Done) => steps.done_with(|next| next.close(*owner)),
            (Call::Drain(owner), Outcome::Read(read)) => reads::drain(steps, *owner, read),
            (Call::Waiting(owner), Outcome::Waiting(messages)) => reads::waiting(steps, *owner, *messages),
            // The outcome of another kind of call.
            _ => {}
        }
    }

    fn is_read_only(&self, completed: &Completed) -> bool {
        let changes_nothing = |routed: &Routed| match routed {
            Routed::Closed(_) => false,
            Routed::Delivered(_) => self.allows(Relaxation::UntrackedMailboxes),
            Routed::NotFound(_) | Routed::NotBound(_) | Routed::Full(_) => true,
        };
        match (&completed.call, &completed.outcome) {
            (Call::Bind(..), outcome) => *outcome != Outcome::Done,
            (Call::Unbind(_), Outcome::Bool(was_bound)) => !was_bound,
            (_, Outcome::Routed(routed)) => changes_nothing(routed),
            (_, Outcome::RoutedMany(routed)) => routed.iter().all(changes_nothing),
            (_, Outcome::Broadcast(outcome)) => outcome.tried.iter().all(|(_, delivery)| match delivery {
                Delivery::Closed => false,
                Delivery::Delivered(_) => self.allows(Relaxation::UntrackedMailboxes),
                Delivery::Full => true,
            }),
            (Call::Drain(_), _) => self.allows(Relaxation::UntrackedMailboxes),
            // All others may change the state. Even a failed removal may have taken the first step of one that another
            // call completed.
            (call, _) => matches!(
                call,
                Call::Detach(_)
                    | Call::ServerFor(_)
                    | Call::TransportsOf(_)
                    | Call::Find(_)
                    | Call::FindMany(_)
                    | Call::List(_)
                    | Call::IsCurrent(_)
                    | Call::Count
                    | Call::BoundRoute(_)
                    | Call::Waiting(_)
            ),
        }
    }
}
