//! Histories that violate the specification, each with a similar one that does not.

use super::{BindOutcome, Call, DeliveryOutcome, Name, Owner, RegisterOutcome, RegistrySpec, RouteOutcome, State};
use crate::linear::{History, Timed, Verdict, check};

const S: Name = Name::server(0);
const OTHER: Name = Name::server(1);
const T: Name = Name::transport(0);
const A: Owner = Owner(0);
const B: Owner = Owner(1);
const C: Owner = Owner(2);

/// The calls of each thread, with their start and end times.
type Threads<'a> = &'a [&'a [(u64, u64, Call)]];

fn verdict(threads: Threads<'_>) -> Verdict {
    let timed = |(began, ended, call): &(u64, u64, Call)| Timed { began: *began, ended: *ended, call: call.clone() };
    let history: History<Call> = threads.iter().map(|calls| calls.iter().map(timed).collect()).collect();
    check(&RegistrySpec::of(&history), &State::default(), &history, 1_000_000)
}

#[track_caller]
fn assert_violation(threads: Threads<'_>) {
    let verdict = verdict(threads);
    assert!(verdict.is_violation(), "{verdict:?}");
}

#[track_caller]
fn assert_linearizable(threads: Threads<'_>) {
    match verdict(threads) {
        Verdict::Linearizable => {}
        Verdict::Violation(violation) => panic!("{violation}"),
        Verdict::Undecided { visited } => panic!("undecided after {visited} configurations"),
    }
}

fn registered(name: Name, owner: Owner) -> Call {
    Call::Register(name, RegisterOutcome::Registered(owner))
}

fn taken(name: Name, by: Owner) -> Call {
    Call::Register(name, RegisterOutcome::Taken(by))
}

fn registers_bound(owner: Owner) -> Call {
    Call::RegisterBound(T, S, RegisterOutcome::Registered(owner))
}

fn bound(server: Name) -> Call {
    Call::Bind(T, server, BindOutcome::Bound)
}

#[test]
fn at_most_one_of_two_concurrent_registrations_succeeds() {
    assert_violation(&[&[(0, 2, registered(S, A))], &[(1, 3, registered(S, B))]]);
    assert_linearizable(&[&[(0, 2, registered(S, A))], &[(1, 3, taken(S, A))]]);
    // One after the other, once the first has left.
    assert_linearizable(&[&[(0, 2, registered(S, A)), (4, 6, Call::Release(A, true))], &[(5, 7, registered(S, B))]]);
    assert_violation(&[&[(0, 2, registered(S, A)), (4, 6, Call::Release(A, false))], &[(5, 7, registered(S, B))]]);
}

#[test]
fn lookups_after_an_unregistration_find_nothing() {
    let found = Call::Find(S, Some(A));
    assert_violation(&[&[(0, 1, registered(S, A)), (2, 3, Call::Unregister(S, true)), (4, 5, found.clone())]]);
    assert_linearizable(&[&[(0, 1, registered(S, A)), (2, 4, Call::Unregister(S, true))], &[(3, 5, found.clone())]]);
    // A lookup must not find what an earlier lookup no longer found.
    let threads = |second: Call| {
        let ends = vec![(0, 1, registered(S, A)), (2, 9, Call::Unregister(S, true))];
        let reads = vec![(3, 4, Call::Find(S, None)), (5, 6, second)];
        verdict(&[&ends, &reads])
    };
    assert!(threads(found).is_violation());
    assert_eq!(threads(Call::Find(S, None)), Verdict::Linearizable);
}

#[test]
fn reads_are_not_stale() {
    assert_violation(&[&[(0, 1, registered(S, A))], &[(2, 3, Call::Find(S, None))]]);
    assert_linearizable(&[&[(0, 2, registered(S, A))], &[(1, 3, Call::Find(S, None))]]);
    assert_violation(&[&[
        (0, 1, registered(S, A)),
        (2, 3, registered(T, B)),
        (4, 5, bound(S)),
        (6, 7, Call::ServerFor(T, None)),
    ]]);
    assert_linearizable(&[
        &[(0, 1, registered(S, A)), (2, 3, registered(T, B)), (4, 6, bound(S))],
        &[(5, 7, Call::ServerFor(T, None))],
    ]);
}

#[test]
fn a_stale_lease_does_not_remove_its_successor() {
    let start = [(0, 1, registered(S, A)), (2, 3, Call::Unregister(S, true)), (4, 5, registered(S, B))];
    let then = |calls: &[(u64, u64, Call)]| verdict(&[&[&start, calls].concat()]);
    assert!(then(&[(6, 7, Call::Release(A, true))]).is_violation());
    assert!(then(&[(6, 7, Call::Release(A, false)), (8, 9, Call::Find(S, None))]).is_violation());
    assert!(then(&[(6, 7, Call::Release(A, false)), (8, 9, Call::IsCurrent(B, false))]).is_violation());
    assert_eq!(then(&[(6, 7, Call::Release(A, false)), (8, 9, Call::Find(S, Some(B)))]), Verdict::Linearizable);
}

#[test]
fn exactly_one_of_two_concurrent_removals_succeeds() {
    let start = (0, 1, registered(S, A));
    assert_violation(&[&[start.clone(), (2, 4, Call::Release(A, true))], &[(3, 5, Call::Unregister(S, true))]]);
    assert_violation(&[&[start.clone(), (2, 4, Call::Release(A, false))], &[(3, 5, Call::Unregister(S, false))]]);
    assert_linearizable(&[&[start, (2, 4, Call::Release(A, false))], &[(3, 5, Call::Unregister(S, true))]]);
}

#[test]
fn a_binding_does_not_survive_its_server() {
    let start = [(0, 1, registered(S, A)), (2, 3, registers_bound(B)), (4, 7, Call::Unregister(S, true))];
    assert_violation(&[&start, &[(8, 9, Call::ServerFor(T, Some(S)))]]);
    assert_linearizable(&[&start, &[(8, 9, Call::ServerFor(T, None))]]);
    // The bindings end before the name becomes free, not after.
    assert_linearizable(&[&start, &[(4, 5, Call::ServerFor(T, None)), (6, 8, Call::Find(S, Some(A)))]]);
    assert_violation(&[&start, &[(4, 5, Call::Find(S, None)), (6, 8, Call::ServerFor(T, Some(S)))]]);
    // All bindings end at one instant.
    assert_violation(&[&start, &[(4, 5, Call::TransportsOf(S, vec![])), (6, 8, Call::ServerFor(T, Some(S)))]]);
    assert_linearizable(&[&start, &[(4, 5, Call::TransportsOf(S, vec![T])), (6, 8, Call::ServerFor(T, Some(S)))]]);
}

#[test]
fn a_successor_inherits_no_binding() {
    let start = [
        (0, 1, registered(S, A)),
        (2, 3, registers_bound(B)),
        (4, 5, Call::Release(B, true)),
        (6, 7, registered(T, C)),
    ];
    let then = |call: Call| verdict(&[&start, &[(8, 9, call)]]);
    for forbidden in [
        Call::ServerFor(T, Some(S)),
        Call::TransportsOf(S, vec![T]),
        Call::Unbind(T, true),
        Call::Broadcast(S, Some(vec![(T, DeliveryOutcome::Delivered(C))])),
        Call::Count(1, 1, 1),
    ] {
        assert!(then(forbidden.clone()).is_violation(), "{forbidden}");
    }
    for allowed in [
        Call::ServerFor(T, None),
        Call::TransportsOf(S, vec![]),
        Call::Unbind(T, false),
        Call::Broadcast(S, Some(vec![])),
        Call::Count(1, 1, 0),
    ] {
        assert_eq!(then(allowed.clone()), Verdict::Linearizable, "{allowed}");
    }
}

#[test]
fn a_binding_is_visible_once_made() {
    let start = [(0, 1, registered(S, A)), (2, 3, registered(OTHER, C)), (4, 5, registered(T, B)), (6, 7, bound(S))];
    assert_violation(&[&start, &[(8, 9, Call::ServerFor(T, None))]]);
    assert_violation(&[&start, &[(8, 9, Call::TransportsOf(S, vec![]))]]);
    assert_linearizable(&[&start, &[(8, 9, Call::TransportsOf(S, vec![T]))]]);
    // It moves from one server to the other atomically.
    let moves = [&start[..], &[(8, 11, bound(OTHER))]].concat();
    assert_violation(&[&moves, &[(9, 10, Call::ServerFor(T, None))]]);
    assert_linearizable(&[&moves, &[(9, 10, Call::ServerFor(T, Some(S)))]]);
    assert_linearizable(&[&moves, &[(9, 10, Call::ServerFor(T, Some(OTHER)))]]);
    assert_violation(&[&moves, &[(12, 13, Call::ServerFor(T, Some(S)))]]);
    // A binding needs both sides.
    assert_violation(&[&[(0, 1, registered(T, B)), (2, 3, bound(S))]]);
    assert_linearizable(&[&[(0, 1, registered(T, B)), (2, 3, Call::Bind(T, S, BindOutcome::NoServer))]]);
}

#[test]
fn a_bound_registration_is_never_seen_unbound_while_its_server_is_registered() {
    let server = [(0, 1, registered(S, A))];
    assert_violation(&[
        &server,
        &[(2, 5, registers_bound(B))],
        &[(3, 4, Call::Find(T, Some(B))), (6, 7, Call::ServerFor(T, None))],
    ]);
    assert_linearizable(&[
        &server,
        &[(2, 5, registers_bound(B))],
        &[(3, 4, Call::Find(T, Some(B))), (6, 7, Call::ServerFor(T, Some(S)))],
    ]);
    // If the server ends meanwhile, the transport is unbound or not registered.
    let ends = [(0, 1, registered(S, A)), (3, 4, Call::Unregister(S, true))];
    assert_linearizable(&[&ends, &[(2, 5, registers_bound(B)), (6, 7, Call::ServerFor(T, None))]]);
    assert_linearizable(&[
        &ends,
        &[(2, 5, Call::RegisterBound(T, S, RegisterOutcome::NoServer)), (6, 7, Call::Find(T, None))],
    ]);
    assert_violation(&[&ends, &[(2, 5, registers_bound(B)), (6, 7, Call::ServerFor(T, Some(S)))]]);
    assert_violation(&[&ends, &[(5, 6, registers_bound(B))]]);
}

#[test]
fn messages_reach_a_registration_that_overlaps_the_call() {
    let start = [(0, 1, registered(S, A)), (2, 5, Call::Release(A, true)), (6, 7, registered(S, B))];
    assert_violation(&[&start, &[(8, 9, Call::Route(S, RouteOutcome::Delivered(A)))]]);
    assert_linearizable(&[&start, &[(4, 9, Call::Route(S, RouteOutcome::Delivered(A)))]]);
    assert_linearizable(&[&start, &[(8, 9, Call::Route(S, RouteOutcome::Delivered(B)))]]);
    assert_violation(&[&start, &[(3, 4, Call::Route(S, RouteOutcome::Delivered(B)))]]);
    assert_violation(&[&start, &[(8, 9, Call::Route(S, RouteOutcome::NotFound))]]);
}

#[test]
fn dead_entries_are_not_found_and_their_names_are_free() {
    let start = [(0, 1, registered(S, A)), (2, 3, registers_bound(B)), (4, 5, Call::Close(A))];
    let then = |calls: &[(u64, u64, Call)]| verdict(&[&start, calls]);
    for forbidden in [
        Call::Find(S, Some(A)),
        taken(S, A),
        bound(S),
        Call::TransportsOf(S, vec![T]),
        Call::Route(S, RouteOutcome::NotFound),
        Call::Sweep(0, 0),
        Call::Sweep(1, 1),
    ] {
        assert!(then(&[(6, 7, forbidden.clone())]).is_violation(), "{forbidden}");
    }
    for allowed in [
        Call::Find(S, None),
        registered(S, C),
        Call::Bind(T, S, BindOutcome::NoServer),
        Call::TransportsOf(S, vec![]),
        Call::ServerFor(T, Some(S)),
        Call::Route(S, RouteOutcome::Closed),
        Call::Sweep(1, 0),
        Call::Unregister(S, true),
    ] {
        assert_eq!(then(&[(6, 7, allowed.clone())]), Verdict::Linearizable, "{allowed}");
    }
    // After a call that reported the closed mailbox, the registration and its bindings are gone.
    for ends in [Call::Route(S, RouteOutcome::Closed), Call::Sweep(1, 0), registered(S, C)] {
        assert!(then(&[(6, 7, ends.clone()), (8, 9, Call::IsCurrent(A, true))]).is_violation(), "{ends}");
        assert!(then(&[(6, 7, ends.clone()), (8, 9, Call::ServerFor(T, Some(S)))]).is_violation(), "{ends}");
    }
    let found_late = [(6, 7, Call::Route(S, RouteOutcome::Closed)), (8, 9, Call::Count(0, 1, 0))];
    assert_eq!(then(&found_late), Verdict::Linearizable);
}

#[test]
fn incarnations_of_a_name_increase() {
    // Owners are numbered by their incarnations.
    let ends = |owner| Call::Release(owner, true);
    let one_after_the_other = |name, first, second| {
        verdict(&[&[(0, 1, registered(name, first)), (2, 3, ends(first)), (4, 5, registered(name, second))]])
    };
    for name in [S, T] {
        assert!(one_after_the_other(name, B, A).is_violation(), "{name}");
        assert_eq!(one_after_the_other(name, A, B), Verdict::Linearizable, "{name}");
    }
    // Of two concurrent registrations the later one has the greater incarnation, whichever call began first.
    let concurrent =
        |slow, fast| verdict(&[&[(0, 9, registered(S, slow))], &[(1, 2, registered(S, fast)), (3, 4, ends(fast))]]);
    assert!(concurrent(A, B).is_violation());
    assert_eq!(concurrent(B, A), Verdict::Linearizable);
    // The kind of removal does not matter, nor whether a read observed it.
    for ending in [Call::Unregister(S, true), Call::Close(B)] {
        assert_violation(&[&[(0, 1, registered(S, B)), (2, 3, ending.clone()), (4, 5, registered(S, A))]]);
        assert_linearizable(&[&[(0, 1, registered(S, B)), (2, 3, ending), (4, 5, registered(S, C))]]);
    }
    let server = [(0, 1, registered(S, A)), (2, 3, registered(T, C)), (4, 5, ends(C))];
    assert_violation(&[&server, &[(6, 7, registers_bound(B))]]);
    assert_linearizable(&[&server, &[(6, 7, Call::RegisterBound(T, S, RegisterOutcome::Registered(Owner(3))))]]);
    // Incarnations of different names are independent.
    assert_linearizable(&[&[(0, 1, registered(S, B)), (2, 3, registered(OTHER, A))]]);
}

#[test]
fn lookups_return_the_current_incarnation() {
    let start = [(0, 1, registered(S, A)), (2, 3, Call::Release(A, true)), (4, 5, registered(S, B))];
    let then = |call| verdict(&[&[&start[..], &[(6, 7, call)]].concat()]);
    for forbidden in [Call::Find(S, Some(A)), taken(S, A), Call::IsCurrent(A, true), Call::IsCurrent(B, false)] {
        assert!(then(forbidden.clone()).is_violation(), "{forbidden}");
    }
    for allowed in [Call::Find(S, Some(B)), taken(S, B), Call::IsCurrent(A, false), Call::IsCurrent(B, true)] {
        assert_eq!(then(allowed.clone()), Verdict::Linearizable, "{allowed}");
    }
}

#[test]
fn live_entries_are_not_removed() {
    let start = [(0, 1, registered(S, A)), (2, 3, registered(T, B))];
    assert_violation(&[&start, &[(4, 5, Call::Sweep(1, 0))]]);
    assert_violation(&[&start, &[(4, 5, Call::Route(S, RouteOutcome::Closed))]]);
    assert_violation(&[&start, &[(4, 5, registered(S, C))]]);
    assert_linearizable(&[&start, &[(4, 5, Call::Sweep(0, 0)), (6, 7, Call::Count(1, 1, 0))]]);
}

#[test]
fn a_broadcast_reaches_each_transport_at_its_own_instant() {
    let start = [(0, 1, registered(S, A)), (2, 3, registers_bound(B)), (4, 7, Call::Unbind(T, true))];
    let reached = Call::Broadcast(S, Some(vec![(T, DeliveryOutcome::Delivered(B))]));
    let missed = Call::Broadcast(S, Some(vec![]));
    assert_linearizable(&[&start, &[(5, 6, reached.clone())]]);
    assert_linearizable(&[&start, &[(5, 6, missed.clone())]]);
    assert_violation(&[&start, &[(8, 9, reached)]]);
    assert_violation(&[&start[..2], &[(8, 9, missed)]]);
    assert_violation(&[&start[..2], &[(8, 9, Call::Broadcast(S, None))]]);
    // A transport with a closed mailbox is removed.
    let closed = (10, 11, Call::Broadcast(S, Some(vec![(T, DeliveryOutcome::Closed)])));
    let dead = [&start[..2], &[(8, 9, Call::Close(B)), closed]].concat();
    assert_linearizable(&[&dead, &[(12, 13, Call::IsCurrent(B, false))]]);
    assert_violation(&[&dead, &[(12, 13, Call::IsCurrent(B, true))]]);
}

/// The dead registration is removed first; the server may end after that and before the name is taken.
#[test]
fn a_failed_bound_registration_may_have_removed_a_dead_entry() {
    let start = [(0, 1, registered(S, A)), (2, 3, registered(T, B)), (4, 5, Call::Close(B))];
    let failed = |began, ended| [(began, ended, Call::RegisterBound(T, S, RegisterOutcome::NoServer))];
    let server_ends = [(6, 7, Call::Unregister(S, true)), (12, 13, Call::Route(T, RouteOutcome::NotFound))];
    assert_linearizable(&[&start, &failed(5, 10), &server_ends]);
    assert_violation(&[&start, &failed(8, 10), &server_ends]);
}

/// The server that it found ends, and another one takes its name, before the dead registration is removed.
#[test]
fn a_failed_bound_registration_may_have_found_a_server_that_was_replaced() {
    let start = [(0, 1, registered(S, A)), (2, 3, registered(T, B))];
    let failed = |began| [(began, 20, Call::RegisterBound(T, S, RegisterOutcome::NoServer))];
    let replaced = [(6, 7, Call::Unregister(S, true)), (8, 9, registered(S, C)), (10, 11, Call::Close(B))];
    let ended = [(22, 23, Call::IsCurrent(B, false))];
    assert_linearizable(&[&start, &failed(5), &replaced, &ended]);
    assert_violation(&[&start, &failed(12), &replaced, &ended]);
}
