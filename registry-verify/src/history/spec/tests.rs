//! Histories that a registry must never have, each with a twin that it may.

use super::{BindOutcome, Call, DeliveryOutcome, Name, Owner, RegisterOutcome, RegistrySpec, RouteOutcome, State};
use crate::linear::{History, Timed, Verdict, check};

const S: Name = Name::server(0);
const OTHER: Name = Name::server(1);
const T: Name = Name::transport(0);
const A: Owner = Owner(0);
const B: Owner = Owner(1);
const C: Owner = Owner(2);

/// Threads, and their calls with the times at which they began and ended.
type Threads<'a> = &'a [&'a [(u64, u64, Call)]];

fn verdict(threads: Threads<'_>) -> Verdict {
    let timed = |(began, ended, call): &(u64, u64, Call)| Timed { began: *began, ended: *ended, call: call.clone() };
    let history: History<Call> = threads.iter().map(|calls| calls.iter().map(timed).collect()).collect();
    check(&RegistrySpec::of(&history), &State::default(), &history, 1_000_000)
}

#[track_caller]
fn must_not_be(threads: Threads<'_>) {
    let verdict = verdict(threads);
    assert!(verdict.is_violation(), "{verdict:?}");
}

#[track_caller]
fn may_be(threads: Threads<'_>) {
    match verdict(threads) {
        Verdict::Linearizable => {}
        Verdict::Violation(violation) => panic!("{violation}"),
        Verdict::Undecided { visited } => panic!("not decided after {visited}"),
    }
}

fn is(name: Name, owner: Owner) -> Call {
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
fn of_two_who_want_a_name_one_gets_it() {
    must_not_be(&[&[(0, 2, is(S, A))], &[(1, 3, is(S, B))]]);
    may_be(&[&[(0, 2, is(S, A))], &[(1, 3, taken(S, A))]]);
    // One after the other, when the first has left.
    may_be(&[&[(0, 2, is(S, A)), (4, 6, Call::Release(A, true))], &[(5, 7, is(S, B))]]);
    must_not_be(&[&[(0, 2, is(S, A)), (4, 6, Call::Release(A, false))], &[(5, 7, is(S, B))]]);
}

#[test]
fn nobody_is_found_again_after_being_unregistered() {
    let found = Call::Find(S, Some(A));
    must_not_be(&[&[(0, 1, is(S, A)), (2, 3, Call::Unregister(S, true)), (4, 5, found.clone())]]);
    may_be(&[&[(0, 1, is(S, A)), (2, 4, Call::Unregister(S, true))], &[(3, 5, found.clone())]]);
    // Not to be found by one and then found by another is as bad.
    let threads = |second: Call| {
        let ends = vec![(0, 1, is(S, A)), (2, 9, Call::Unregister(S, true))];
        let looks = vec![(3, 4, Call::Find(S, None)), (5, 6, second)];
        verdict(&[&ends, &looks])
    };
    assert!(threads(found).is_violation());
    assert_eq!(threads(Call::Find(S, None)), Verdict::Linearizable);
}

#[test]
fn a_read_is_not_stale() {
    must_not_be(&[&[(0, 1, is(S, A))], &[(2, 3, Call::Find(S, None))]]);
    may_be(&[&[(0, 2, is(S, A))], &[(1, 3, Call::Find(S, None))]]);
    must_not_be(&[&[(0, 1, is(S, A)), (2, 3, is(T, B)), (4, 5, bound(S)), (6, 7, Call::ServerFor(T, None))]]);
    may_be(&[&[(0, 1, is(S, A)), (2, 3, is(T, B)), (4, 6, bound(S))], &[(5, 7, Call::ServerFor(T, None))]]);
}

#[test]
fn a_lease_removes_no_successor() {
    let start = [(0, 1, is(S, A)), (2, 3, Call::Unregister(S, true)), (4, 5, is(S, B))];
    let then = |calls: &[(u64, u64, Call)]| verdict(&[&[&start, calls].concat()]);
    assert!(then(&[(6, 7, Call::Release(A, true))]).is_violation());
    assert!(then(&[(6, 7, Call::Release(A, false)), (8, 9, Call::Find(S, None))]).is_violation());
    assert!(then(&[(6, 7, Call::Release(A, false)), (8, 9, Call::IsCurrent(B, false))]).is_violation());
    assert_eq!(then(&[(6, 7, Call::Release(A, false)), (8, 9, Call::Find(S, Some(B)))]), Verdict::Linearizable);
}

#[test]
fn of_two_who_end_a_registration_one_did_it() {
    let start = (0, 1, is(S, A));
    must_not_be(&[&[start.clone(), (2, 4, Call::Release(A, true))], &[(3, 5, Call::Unregister(S, true))]]);
    must_not_be(&[&[start.clone(), (2, 4, Call::Release(A, false))], &[(3, 5, Call::Unregister(S, false))]]);
    may_be(&[&[start, (2, 4, Call::Release(A, false))], &[(3, 5, Call::Unregister(S, true))]]);
}

#[test]
fn a_binding_does_not_survive_its_server() {
    let start = [(0, 1, is(S, A)), (2, 3, registers_bound(B)), (4, 7, Call::Unregister(S, true))];
    must_not_be(&[&start, &[(8, 9, Call::ServerFor(T, Some(S)))]]);
    may_be(&[&start, &[(8, 9, Call::ServerFor(T, None))]]);
    // The bindings end before the name is free, and no other way round.
    may_be(&[&start, &[(4, 5, Call::ServerFor(T, None)), (6, 8, Call::Find(S, Some(A)))]]);
    must_not_be(&[&start, &[(4, 5, Call::Find(S, None)), (6, 8, Call::ServerFor(T, Some(S)))]]);
    // All of them at one instant.
    must_not_be(&[&start, &[(4, 5, Call::TransportsOf(S, vec![])), (6, 8, Call::ServerFor(T, Some(S)))]]);
    may_be(&[&start, &[(4, 5, Call::TransportsOf(S, vec![T])), (6, 8, Call::ServerFor(T, Some(S)))]]);
}

#[test]
fn a_successor_inherits_no_binding() {
    let start = [(0, 1, is(S, A)), (2, 3, registers_bound(B)), (4, 5, Call::Release(B, true)), (6, 7, is(T, C))];
    let then = |call: Call| verdict(&[&start, &[(8, 9, call)]]);
    for wrong in [
        Call::ServerFor(T, Some(S)),
        Call::TransportsOf(S, vec![T]),
        Call::Unbind(T, true),
        Call::Broadcast(S, Some(vec![(T, DeliveryOutcome::Delivered(C))])),
        Call::Count(1, 1, 1),
    ] {
        assert!(then(wrong.clone()).is_violation(), "{wrong}");
    }
    for right in [
        Call::ServerFor(T, None),
        Call::TransportsOf(S, vec![]),
        Call::Unbind(T, false),
        Call::Broadcast(S, Some(vec![])),
        Call::Count(1, 1, 0),
    ] {
        assert_eq!(then(right.clone()), Verdict::Linearizable, "{right}");
    }
}

#[test]
fn a_binding_that_was_made_is_there() {
    let start = [(0, 1, is(S, A)), (2, 3, is(OTHER, C)), (4, 5, is(T, B)), (6, 7, bound(S))];
    must_not_be(&[&start, &[(8, 9, Call::ServerFor(T, None))]]);
    must_not_be(&[&start, &[(8, 9, Call::TransportsOf(S, vec![]))]]);
    may_be(&[&start, &[(8, 9, Call::TransportsOf(S, vec![T]))]]);
    // It moves from one server to the other with no instant between.
    let moves = [&start[..], &[(8, 11, bound(OTHER))]].concat();
    must_not_be(&[&moves, &[(9, 10, Call::ServerFor(T, None))]]);
    may_be(&[&moves, &[(9, 10, Call::ServerFor(T, Some(S)))]]);
    may_be(&[&moves, &[(9, 10, Call::ServerFor(T, Some(OTHER)))]]);
    must_not_be(&[&moves, &[(12, 13, Call::ServerFor(T, Some(S)))]]);
    // Nothing is bound to nobody.
    must_not_be(&[&[(0, 1, is(T, B)), (2, 3, bound(S))]]);
    may_be(&[&[(0, 1, is(T, B)), (2, 3, Call::Bind(T, S, BindOutcome::NoServer))]]);
}

#[test]
fn one_that_is_born_bound_is_never_unbound_while_its_server_lives() {
    let server = [(0, 1, is(S, A))];
    must_not_be(&[
        &server,
        &[(2, 5, registers_bound(B))],
        &[(3, 4, Call::Find(T, Some(B))), (6, 7, Call::ServerFor(T, None))],
    ]);
    may_be(&[
        &server,
        &[(2, 5, registers_bound(B))],
        &[(3, 4, Call::Find(T, Some(B))), (6, 7, Call::ServerFor(T, Some(S)))],
    ]);
    // If the server ends meanwhile, it is unbound or not born at all.
    let ends = [(0, 1, is(S, A)), (3, 4, Call::Unregister(S, true))];
    may_be(&[&ends, &[(2, 5, registers_bound(B)), (6, 7, Call::ServerFor(T, None))]]);
    may_be(&[&ends, &[(2, 5, Call::RegisterBound(T, S, RegisterOutcome::NoServer)), (6, 7, Call::Find(T, None))]]);
    must_not_be(&[&ends, &[(2, 5, registers_bound(B)), (6, 7, Call::ServerFor(T, Some(S)))]]);
    must_not_be(&[&ends, &[(5, 6, registers_bound(B))]]);
}

#[test]
fn a_message_goes_to_a_registration_that_is_there_during_the_call() {
    let start = [(0, 1, is(S, A)), (2, 5, Call::Release(A, true)), (6, 7, is(S, B))];
    must_not_be(&[&start, &[(8, 9, Call::Route(S, RouteOutcome::Delivered(A)))]]);
    may_be(&[&start, &[(4, 9, Call::Route(S, RouteOutcome::Delivered(A)))]]);
    may_be(&[&start, &[(8, 9, Call::Route(S, RouteOutcome::Delivered(B)))]]);
    must_not_be(&[&start, &[(3, 4, Call::Route(S, RouteOutcome::Delivered(B)))]]);
    must_not_be(&[&start, &[(8, 9, Call::Route(S, RouteOutcome::NotFound))]]);
}

#[test]
fn the_dead_are_not_found_and_leave_their_names() {
    let start = [(0, 1, is(S, A)), (2, 3, registers_bound(B)), (4, 5, Call::Close(A))];
    let then = |calls: &[(u64, u64, Call)]| verdict(&[&start, calls]);
    for wrong in [
        Call::Find(S, Some(A)),
        taken(S, A),
        bound(S),
        Call::TransportsOf(S, vec![T]),
        Call::Route(S, RouteOutcome::NotFound),
        Call::Sweep(0, 0),
        Call::Sweep(1, 1),
    ] {
        assert!(then(&[(6, 7, wrong.clone())]).is_violation(), "{wrong}");
    }
    for right in [
        Call::Find(S, None),
        is(S, C),
        Call::Bind(T, S, BindOutcome::NoServer),
        Call::TransportsOf(S, vec![]),
        Call::ServerFor(T, Some(S)),
        Call::Route(S, RouteOutcome::Closed),
        Call::Sweep(1, 0),
        Call::Unregister(S, true),
    ] {
        assert_eq!(then(&[(6, 7, right.clone())]), Verdict::Linearizable, "{right}");
    }
    // Whoever was told that it is closed finds it gone, and so are its bindings.
    for ends in [Call::Route(S, RouteOutcome::Closed), Call::Sweep(1, 0), is(S, C)] {
        assert!(then(&[(6, 7, ends.clone()), (8, 9, Call::IsCurrent(A, true))]).is_violation(), "{ends}");
        assert!(then(&[(6, 7, ends.clone()), (8, 9, Call::ServerFor(T, Some(S)))]).is_violation(), "{ends}");
    }
    let found_late = [(6, 7, Call::Route(S, RouteOutcome::Closed)), (8, 9, Call::Count(0, 1, 0))];
    assert_eq!(then(&found_late), Verdict::Linearizable);
}

#[test]
fn incarnations_of_a_name_grow() {
    // Owners are numbered by their incarnations.
    let ends = |owner| Call::Release(owner, true);
    let one_after_the_other =
        |name, first, second| verdict(&[&[(0, 1, is(name, first)), (2, 3, ends(first)), (4, 5, is(name, second))]]);
    for name in [S, T] {
        assert!(one_after_the_other(name, B, A).is_violation(), "{name}");
        assert_eq!(one_after_the_other(name, A, B), Verdict::Linearizable, "{name}");
    }
    // Of two rivals the later one has the greater, whenever they began.
    let rivals = |slow, fast| verdict(&[&[(0, 9, is(S, slow))], &[(1, 2, is(S, fast)), (3, 4, ends(fast))]]);
    assert!(rivals(A, B).is_violation());
    assert_eq!(rivals(B, A), Verdict::Linearizable);
    // It does not matter how the earlier one has ended, nor that nobody looked.
    for ending in [Call::Unregister(S, true), Call::Close(B)] {
        must_not_be(&[&[(0, 1, is(S, B)), (2, 3, ending.clone()), (4, 5, is(S, A))]]);
        may_be(&[&[(0, 1, is(S, B)), (2, 3, ending), (4, 5, is(S, C))]]);
    }
    let server = [(0, 1, is(S, A)), (2, 3, is(T, C)), (4, 5, ends(C))];
    must_not_be(&[&server, &[(6, 7, registers_bound(B))]]);
    may_be(&[&server, &[(6, 7, Call::RegisterBound(T, S, RegisterOutcome::Registered(Owner(3))))]]);
    // Names do not concern each other.
    may_be(&[&[(0, 1, is(S, B)), (2, 3, is(OTHER, A))]]);
}

#[test]
fn a_look_up_shows_the_present_incarnation() {
    let start = [(0, 1, is(S, A)), (2, 3, Call::Release(A, true)), (4, 5, is(S, B))];
    let then = |call| verdict(&[&[&start[..], &[(6, 7, call)]].concat()]);
    for wrong in [Call::Find(S, Some(A)), taken(S, A), Call::IsCurrent(A, true), Call::IsCurrent(B, false)] {
        assert!(then(wrong.clone()).is_violation(), "{wrong}");
    }
    for right in [Call::Find(S, Some(B)), taken(S, B), Call::IsCurrent(A, false), Call::IsCurrent(B, true)] {
        assert_eq!(then(right.clone()), Verdict::Linearizable, "{right}");
    }
}

#[test]
fn those_who_are_not_dead_stay() {
    let start = [(0, 1, is(S, A)), (2, 3, is(T, B))];
    must_not_be(&[&start, &[(4, 5, Call::Sweep(1, 0))]]);
    must_not_be(&[&start, &[(4, 5, Call::Route(S, RouteOutcome::Closed))]]);
    must_not_be(&[&start, &[(4, 5, is(S, C))]]);
    may_be(&[&start, &[(4, 5, Call::Sweep(0, 0)), (6, 7, Call::Count(1, 1, 0))]]);
}

#[test]
fn a_broadcast_reaches_each_at_an_instant_of_its_own() {
    let start = [(0, 1, is(S, A)), (2, 3, registers_bound(B)), (4, 7, Call::Unbind(T, true))];
    let reached = Call::Broadcast(S, Some(vec![(T, DeliveryOutcome::Delivered(B))]));
    let missed = Call::Broadcast(S, Some(vec![]));
    may_be(&[&start, &[(5, 6, reached.clone())]]);
    may_be(&[&start, &[(5, 6, missed.clone())]]);
    must_not_be(&[&start, &[(8, 9, reached)]]);
    must_not_be(&[&start[..2], &[(8, 9, missed)]]);
    must_not_be(&[&start[..2], &[(8, 9, Call::Broadcast(S, None))]]);
    // One whose mailbox is closed is taken out.
    let closed = (10, 11, Call::Broadcast(S, Some(vec![(T, DeliveryOutcome::Closed)])));
    let dead = [&start[..2], &[(8, 9, Call::Close(B)), closed]].concat();
    may_be(&[&dead, &[(12, 13, Call::IsCurrent(B, false))]]);
    must_not_be(&[&dead, &[(12, 13, Call::IsCurrent(B, true))]]);
}

/// The dead one is ended when the name is wanted, and the server may end after that and before the name is taken.
#[test]
fn a_birth_may_end_the_dead_before_it_finds_its_server_gone() {
    let start = [(0, 1, is(S, A)), (2, 3, is(T, B)), (4, 5, Call::Close(B))];
    let in_vain = |began, ended| [(began, ended, Call::RegisterBound(T, S, RegisterOutcome::NoServer))];
    let server_ends = [(6, 7, Call::Unregister(S, true)), (12, 13, Call::Route(T, RouteOutcome::NotFound))];
    may_be(&[&start, &in_vain(5, 10), &server_ends]);
    must_not_be(&[&start, &in_vain(8, 10), &server_ends]);
}
