//! The two modes: what the strict one allows, the concurrent one allows too, and the difference has names.

use super::space::Space;
use crate::linear::{History, Timed, check};
use crate::spec::mailboxes::Mailboxes;
use crate::spec::relaxation::Relaxations;
use crate::spec::{
    BroadcastOutcome, Call, Completed, Delivery, Name, Outcome, Owner, RegistrySpec, Relaxation, Routed, State,
};

const S: Name = Name::server(0);
const T: Name = Name::transport(0);
const A: Owner = Owner(0);
const B: Owner = Owner(1);

/// Small enough to visit all states. With two servers a transport can move, with two transports a broadcast has two
/// targets.
const SPACES: [Space; 4] = [
    Space { servers: 1, transports: 1, owners: 2, messages: true },
    Space { servers: 2, transports: 0, owners: 2, messages: true },
    Space { servers: 2, transports: 1, owners: 3, messages: false },
    Space { servers: 1, transports: 2, owners: 3, messages: false },
];

#[test]
fn the_strict_mode_allows_exactly_one_outcome_in_every_small_state() {
    let spec = RegistrySpec::strict();
    for space in SPACES {
        for state in space.states() {
            for call in space.calls(&state) {
                let mut allowed = space.outcomes(&state, &call);
                allowed.retain(|outcome| {
                    // The same outcome, if the receiver is known.
                    let is_known = matches!(outcome, Outcome::Routed(Routed::Delivered(Some(_))));
                    let finals = finals(&spec, &state, &call.clone().with(outcome.clone()));
                    assert!(finals.len() <= 1, "{call}: {outcome} leads to {finals:?} from {state}");
                    !finals.is_empty() && !is_known
                });
                assert_eq!(allowed.len(), 1, "{call} in {state}: {allowed:?}");
            }
        }
    }
}

#[test]
fn the_concurrent_mode_allows_what_the_strict_mode_allows() {
    let strict = RegistrySpec::strict();
    // That an owner will close its mailbox only adds steps.
    let concurrent = RegistrySpec::concurrent(&History::new());
    let mut allowed = 0;
    for space in SPACES {
        for state in space.states() {
            for call in space.calls(&state) {
                for outcome in space.outcomes(&state, &call) {
                    let completed = call.clone().with(outcome);
                    if let Some(next) = strict.apply(&state, &completed) {
                        let widened = finals(&concurrent, &untracked(&state), &completed);
                        assert!(widened.contains(&untracked(&next)), "{completed} in {state}");
                        allowed += 1;
                    }
                }
            }
        }
    }
    assert!(allowed > 50_000, "only {allowed} outcomes were allowed");
}

#[test]
fn each_relaxation_allows_what_the_strict_mode_refuses() {
    let route = |routed| Call::Route(S, T, 7).with(Outcome::Routed(routed));
    let bound = [registered(S, A), Call::RegisterBound(T, S, 1).with(Outcome::Registered(B))];
    let twice = |delivery| BroadcastOutcome { found: true, delivered: 0, tried: vec![(T, delivery); 2] };
    let full = [&bound[..], &[Call::Route(T, S, 7).with(Outcome::Routed(Routed::Delivered(None)))]].concat();
    let closed = [registered(S, A), Call::Close(A).with(Outcome::Done)];
    let split = vec![Routed::Closed(7), Routed::NotFound(8)];
    for (relaxation, before, completed) in [
        (Relaxation::ErrorPrecedence, &[][..], Call::Bind(T, S).with(Outcome::TransportNotFound)),
        (Relaxation::ErrorPrecedence, &[registered(T, A)][..], Call::RegisterBound(T, S, 1).with(Outcome::Taken(A))),
        (Relaxation::UntrackedMailboxes, &[registered(S, A)][..], route(Routed::Full(7))),
        (Relaxation::RepeatedVisits, &full[..], Call::Broadcast(S, 8).with(Outcome::Broadcast(twice(Delivery::Full)))),
        (Relaxation::RepeatedVisits, &bound[..], Call::TransportsOf(S).with(Outcome::Transports(vec![T, T]))),
        (Relaxation::SplitBatches, &closed[..], Call::RouteMany(vec![S, S], T, 7).with(Outcome::RoutedMany(split))),
        (Relaxation::InterleavedIncarnations, &[][..], registered(S, B)),
    ] {
        let relaxed = RegistrySpec { relaxations: Relaxations::NONE.with(relaxation), ..RegistrySpec::strict() };
        assert_eq!(after(&RegistrySpec::strict(), before, &completed), None, "{completed}");
        assert!(after(&relaxed, before, &completed).is_some(), "{relaxation:?}: {completed}");
    }
}

/// The message found the registration while it was alive; its mailbox was closed after it had ended.
#[test]
fn only_with_later_closing_a_message_finds_a_mailbox_that_is_closed_later() {
    let calls = [
        (0, 1, registered(S, A)),
        (4, 5, Call::Unregister(S).with(Outcome::Bool(true))),
        (6, 7, Call::Close(A).with(Outcome::Done)),
    ];
    let timed = |(began, ended, call)| Timed { began, ended, call };
    let routed = Timed { began: 2, ended: 9, call: Call::Route(S, T, 7).with(Outcome::Routed(Routed::Closed(7))) };
    let history = vec![calls.map(timed).into(), vec![routed]];
    let concurrent = RegistrySpec::concurrent(&history);
    assert!(!check(&concurrent, &concurrent.initial(), &history, 1_000).is_violation());
    let relaxations = concurrent.relaxations.without(Relaxation::LaterClosing);
    let narrower = RegistrySpec { relaxations, ..concurrent };
    assert!(check(&narrower, &narrower.initial(), &history, 1_000).is_violation());
}

fn registered(name: Name, owner: Owner) -> Completed {
    Call::Register(name, 1).with(Outcome::Registered(owner))
}

/// Returns the state after `completed`, after calls that are allowed.
fn after(spec: &RegistrySpec, before: &[Completed], completed: &Completed) -> Option<State> {
    let step = |state, call: &Completed| spec.apply(&state, call).unwrap_or_else(|| panic!("{call} is not allowed"));
    spec.apply(&before.iter().fold(spec.initial(), step), completed)
}

/// Returns the different states in which a call that runs alone can complete.
fn finals(spec: &RegistrySpec, state: &State, completed: &Completed) -> Vec<State> {
    let mut finals = Vec::new();
    spec.for_each_final(state, completed, |state| {
        if !finals.contains(&state) {
            finals.push(state);
        }
        true
    });
    finals
}

fn untracked(state: &State) -> State {
    let mut untracked = state.clone();
    untracked.mailboxes = Mailboxes::default();
    untracked
}
