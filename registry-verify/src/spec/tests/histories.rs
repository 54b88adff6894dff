//! Histories that violate the specification, each with a similar one that does not.

use crate::linear::{History, Timed, Verdict, check};
use crate::spec::{BroadcastOutcome, Call, Completed, Delivery, Name, Outcome, Owner, RegistrySpec, Routed};

const S: Name = Name::server(0);
const OTHER: Name = Name::server(1);
const T: Name = Name::transport(0);
const A: Owner = Owner(0);
const B: Owner = Owner(1);
const C: Owner = Owner(2);

/// The calls of each thread, with their start and end times.
type Threads<'a> = &'a [&'a [(u64, u64, Completed)]];

fn verdict(threads: Threads<'_>) -> Verdict {
    let timed =
        |(began, ended, call): &(u64, u64, Completed)| Timed { began: *began, ended: *ended, call: call.clone() };
    let history: History<Completed> = threads.iter().map(|calls| calls.iter().map(timed).collect()).collect();
    let spec = RegistrySpec::concurrent(&history);
    check(&spec, &spec.initial(), &history, 1_000_000)
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

fn registered(name: Name, owner: Owner) -> Completed {
    Call::Register(name, 1).with(Outcome::Registered(owner))
}

fn taken(name: Name, by: Owner) -> Completed {
    Call::Register(name, 1).with(Outcome::Taken(by))
}

fn registers_bound(owner: Owner) -> Completed {
    Call::RegisterBound(T, S, 1).with(Outcome::Registered(owner))
}

fn register_bound_fails() -> Completed {
    Call::RegisterBound(T, S, 1).with(Outcome::ServerNotFound)
}

fn release(owner: Owner, ended: bool) -> Completed {
    Call::Release(owner).with(Outcome::Bool(ended))
}

fn unregister(name: Name, ended: bool) -> Completed {
    Call::Unregister(name).with(Outcome::Bool(ended))
}

fn close(owner: Owner) -> Completed {
    Call::Close(owner).with(Outcome::Done)
}

fn sweep(servers: usize, transports: usize) -> Completed {
    Call::Sweep.with(Outcome::Swept(servers, transports))
}

fn bound(server: Name) -> Completed {
    Call::Bind(T, server).with(Outcome::Done)
}

fn bind_finds_no_server() -> Completed {
    Call::Bind(T, S).with(Outcome::ServerNotFound)
}

fn unbind(was_bound: bool) -> Completed {
    Call::Unbind(T).with(Outcome::Bool(was_bound))
}

fn find(name: Name, found: Option<Owner>) -> Completed {
    Call::Find(name).with(Outcome::Found(found))
}

fn is_current(owner: Owner, is_current: bool) -> Completed {
    Call::IsCurrent(owner).with(Outcome::Bool(is_current))
}

fn server_for(server: Option<Name>) -> Completed {
    Call::ServerFor(T).with(Outcome::Server(server))
}

fn transports_of(transports: &[Name]) -> Completed {
    Call::TransportsOf(S).with(Outcome::Transports(transports.to_vec()))
}

fn count(servers: usize, transports: usize, bindings: usize) -> Completed {
    Call::Count.with(Outcome::Counted(servers, transports, bindings))
}

const MESSAGE: u64 = 7;

fn route(to: Name, routed: Routed) -> Completed {
    Call::Route(to, Name::sender(to.side, 0), MESSAGE).with(Outcome::Routed(routed))
}

fn delivered(to: Owner) -> Completed {
    route(S, Routed::Delivered(Some(to)))
}

fn broadcast(tried: Option<&[(Name, Delivery)]>) -> Completed {
    let found = tried.is_some();
    let tried = tried.unwrap_or_default().to_vec();
    let delivered = tried.iter().filter(|(_, delivery)| matches!(delivery, Delivery::Delivered(_))).count();
    Call::Broadcast(S, MESSAGE).with(Outcome::Broadcast(BroadcastOutcome { found, delivered, tried }))
}

#[test]
fn at_most_one_of_two_concurrent_registrations_succeeds() {
    assert_violation(&[&[(0, 2, registered(S, A))], &[(1, 3, registered(S, B))]]);
    assert_linearizable(&[&[(0, 2, registered(S, A))], &[(1, 3, taken(S, A))]]);
    // One after the other, once the first has left.
    assert_linearizable(&[&[(0, 2, registered(S, A)), (4, 6, release(A, true))], &[(5, 7, registered(S, B))]]);
    assert_violation(&[&[(0, 2, registered(S, A)), (4, 6, release(A, false))], &[(5, 7, registered(S, B))]]);
}

#[test]
fn lookups_after_an_unregistration_find_nothing() {
    let found = find(S, Some(A));
    assert_violation(&[&[(0, 1, registered(S, A)), (2, 3, unregister(S, true)), (4, 5, found.clone())]]);
    assert_linearizable(&[&[(0, 1, registered(S, A)), (2, 4, unregister(S, true))], &[(3, 5, found.clone())]]);
    // A lookup must not find what an earlier lookup no longer found.
    let threads = |second: Completed| {
        let ends = vec![(0, 1, registered(S, A)), (2, 9, unregister(S, true))];
        let reads = vec![(3, 4, find(S, None)), (5, 6, second)];
        verdict(&[&ends, &reads])
    };
    assert!(threads(found).is_violation());
    assert_eq!(threads(find(S, None)), Verdict::Linearizable);
}

#[test]
fn reads_are_not_stale() {
    assert_violation(&[&[(0, 1, registered(S, A))], &[(2, 3, find(S, None))]]);
    assert_linearizable(&[&[(0, 2, registered(S, A))], &[(1, 3, find(S, None))]]);
    assert_violation(&[&[
        (0, 1, registered(S, A)),
        (2, 3, registered(T, B)),
        (4, 5, bound(S)),
        (6, 7, server_for(None)),
    ]]);
    assert_linearizable(&[
        &[(0, 1, registered(S, A)), (2, 3, registered(T, B)), (4, 6, bound(S))],
        &[(5, 7, server_for(None))],
    ]);
}

#[test]
fn a_stale_lease_does_not_remove_its_successor() {
    let start = [(0, 1, registered(S, A)), (2, 3, unregister(S, true)), (4, 5, registered(S, B))];
    let then = |calls: &[(u64, u64, Completed)]| verdict(&[&[&start, calls].concat()]);
    assert!(then(&[(6, 7, release(A, true))]).is_violation());
    assert!(then(&[(6, 7, release(A, false)), (8, 9, find(S, None))]).is_violation());
    assert!(then(&[(6, 7, release(A, false)), (8, 9, is_current(B, false))]).is_violation());
    assert_eq!(then(&[(6, 7, release(A, false)), (8, 9, find(S, Some(B)))]), Verdict::Linearizable);
}

#[test]
fn exactly_one_of_two_concurrent_removals_succeeds() {
    let start = (0, 1, registered(S, A));
    assert_violation(&[&[start.clone(), (2, 4, release(A, true))], &[(3, 5, unregister(S, true))]]);
    assert_violation(&[&[start.clone(), (2, 4, release(A, false))], &[(3, 5, unregister(S, false))]]);
    assert_linearizable(&[&[start, (2, 4, release(A, false))], &[(3, 5, unregister(S, true))]]);
}

#[test]
fn a_binding_does_not_survive_its_server() {
    let start = [(0, 1, registered(S, A)), (2, 3, registers_bound(B)), (4, 7, unregister(S, true))];
    assert_violation(&[&start, &[(8, 9, server_for(Some(S)))]]);
    assert_linearizable(&[&start, &[(8, 9, server_for(None))]]);
    // The bindings end before the name becomes free, not after.
    assert_linearizable(&[&start, &[(4, 5, server_for(None)), (6, 8, find(S, Some(A)))]]);
    assert_violation(&[&start, &[(4, 5, find(S, None)), (6, 8, server_for(Some(S)))]]);
    // All bindings end at one instant.
    assert_violation(&[&start, &[(4, 5, transports_of(&[])), (6, 8, server_for(Some(S)))]]);
    assert_linearizable(&[&start, &[(4, 5, transports_of(&[T])), (6, 8, server_for(Some(S)))]]);
}

#[test]
fn a_successor_inherits_no_binding() {
    let start =
        [(0, 1, registered(S, A)), (2, 3, registers_bound(B)), (4, 5, release(B, true)), (6, 7, registered(T, C))];
    let then = |call: Completed| verdict(&[&start, &[(8, 9, call)]]);
    for forbidden in [
        server_for(Some(S)),
        transports_of(&[T]),
        unbind(true),
        broadcast(Some(&[(T, Delivery::Delivered(C))])),
        count(1, 1, 1),
    ] {
        assert!(then(forbidden.clone()).is_violation(), "{forbidden}");
    }
    for allowed in [server_for(None), transports_of(&[]), unbind(false), broadcast(Some(&[])), count(1, 1, 0)] {
        assert_eq!(then(allowed.clone()), Verdict::Linearizable, "{allowed}");
    }
}

#[test]
fn a_binding_is_visible_once_made() {
    let start = [(0, 1, registered(S, A)), (2, 3, registered(OTHER, C)), (4, 5, registered(T, B)), (6, 7, bound(S))];
    assert_violation(&[&start, &[(8, 9, server_for(None))]]);
    assert_violation(&[&start, &[(8, 9, transports_of(&[]))]]);
    assert_linearizable(&[&start, &[(8, 9, transports_of(&[T]))]]);
    // It moves from one server to the other atomically.
    let moves = [&start[..], &[(8, 11, bound(OTHER))]].concat();
    assert_violation(&[&moves, &[(9, 10, server_for(None))]]);
    assert_linearizable(&[&moves, &[(9, 10, server_for(Some(S)))]]);
    assert_linearizable(&[&moves, &[(9, 10, server_for(Some(OTHER)))]]);
    assert_violation(&[&moves, &[(12, 13, server_for(Some(S)))]]);
    // A binding needs both sides.
    assert_violation(&[&[(0, 1, registered(T, B)), (2, 3, bound(S))]]);
    assert_linearizable(&[&[(0, 1, registered(T, B)), (2, 3, bind_finds_no_server())]]);
}

#[test]
fn a_bound_registration_is_never_seen_unbound_while_its_server_is_registered() {
    let server = [(0, 1, registered(S, A))];
    assert_violation(&[&server, &[(2, 5, registers_bound(B))], &[(3, 4, find(T, Some(B))), (6, 7, server_for(None))]]);
    assert_linearizable(&[
        &server,
        &[(2, 5, registers_bound(B))],
        &[(3, 4, find(T, Some(B))), (6, 7, server_for(Some(S)))],
    ]);
    // If the server ends meanwhile, the transport is unbound or not registered.
    let ends = [(0, 1, registered(S, A)), (3, 4, unregister(S, true))];
    assert_linearizable(&[&ends, &[(2, 5, registers_bound(B)), (6, 7, server_for(None))]]);
    assert_linearizable(&[&ends, &[(2, 5, register_bound_fails()), (6, 7, find(T, None))]]);
    assert_violation(&[&ends, &[(2, 5, registers_bound(B)), (6, 7, server_for(Some(S)))]]);
    assert_violation(&[&ends, &[(5, 6, registers_bound(B))]]);
}

#[test]
fn messages_reach_a_registration_that_overlaps_the_call() {
    let start = [(0, 1, registered(S, A)), (2, 5, release(A, true)), (6, 7, registered(S, B))];
    assert_violation(&[&start, &[(8, 9, delivered(A))]]);
    assert_linearizable(&[&start, &[(4, 9, delivered(A))]]);
    assert_linearizable(&[&start, &[(8, 9, delivered(B))]]);
    assert_violation(&[&start, &[(3, 4, delivered(B))]]);
    assert_violation(&[&start, &[(8, 9, route(S, Routed::NotFound(MESSAGE)))]]);
}

#[test]
fn dead_entries_are_not_found_and_their_names_are_free() {
    let start = [(0, 1, registered(S, A)), (2, 3, registers_bound(B)), (4, 5, close(A))];
    let then = |calls: &[(u64, u64, Completed)]| verdict(&[&start, calls]);
    for forbidden in [
        find(S, Some(A)),
        taken(S, A),
        bound(S),
        transports_of(&[T]),
        route(S, Routed::NotFound(MESSAGE)),
        sweep(0, 0),
        sweep(1, 1),
    ] {
        assert!(then(&[(6, 7, forbidden.clone())]).is_violation(), "{forbidden}");
    }
    for allowed in [
        find(S, None),
        registered(S, C),
        bind_finds_no_server(),
        transports_of(&[]),
        server_for(Some(S)),
        route(S, Routed::Closed(MESSAGE)),
        sweep(1, 0),
        unregister(S, true),
    ] {
        assert_eq!(then(&[(6, 7, allowed.clone())]), Verdict::Linearizable, "{allowed}");
    }
    // After a call that reported the closed mailbox, the registration and its bindings are gone.
    for ends in [route(S, Routed::Closed(MESSAGE)), sweep(1, 0), registered(S, C)] {
        assert!(then(&[(6, 7, ends.clone()), (8, 9, is_current(A, true))]).is_violation(), "{ends}");
        assert!(then(&[(6, 7, ends.clone()), (8, 9, server_for(Some(S)))]).is_violation(), "{ends}");
    }
    let found_late = [(6, 7, route(S, Routed::Closed(MESSAGE))), (8, 9, count(0, 1, 0))];
    assert_eq!(then(&found_late), Verdict::Linearizable);
}

#[test]
fn incarnations_of_a_name_increase() {
    // Owners are numbered by their incarnations.
    let ends = |owner| release(owner, true);
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
    for ending in [unregister(S, true), close(B)] {
        assert_violation(&[&[(0, 1, registered(S, B)), (2, 3, ending.clone()), (4, 5, registered(S, A))]]);
        assert_linearizable(&[&[(0, 1, registered(S, B)), (2, 3, ending), (4, 5, registered(S, C))]]);
    }
    let server = [(0, 1, registered(S, A)), (2, 3, registered(T, C)), (4, 5, ends(C))];
    assert_violation(&[&server, &[(6, 7, registers_bound(B))]]);
    assert_linearizable(&[&server, &[(6, 7, registers_bound(Owner(3)))]]);
    // Incarnations of different names are independent.
    assert_linearizable(&[&[(0, 1, registered(S, B)), (2, 3, registered(OTHER, A))]]);
}

#[test]
fn lookups_return_the_current_incarnation() {
    let start = [(0, 1, registered(S, A)), (2, 3, release(A, true)), (4, 5, registered(S, B))];
    let then = |call| verdict(&[&[&start[..], &[(6, 7, call)]].concat()]);
    for forbidden in [find(S, Some(A)), taken(S, A), is_current(A, true), is_current(B, false)] {
        assert!(then(forbidden.clone()).is_violation(), "{forbidden}");
    }
    for allowed in [find(S, Some(B)), taken(S, B), is_current(A, false), is_current(B, true)] {
        assert_eq!(then(allowed.clone()), Verdict::Linearizable, "{allowed}");
    }
}

#[test]
fn live_entries_are_not_removed() {
    let start = [(0, 1, registered(S, A)), (2, 3, registered(T, B))];
    assert_violation(&[&start, &[(4, 5, sweep(1, 0))]]);
    assert_violation(&[&start, &[(4, 5, route(S, Routed::Closed(MESSAGE)))]]);
    assert_violation(&[&start, &[(4, 5, registered(S, C))]]);
    assert_linearizable(&[&start, &[(4, 5, sweep(0, 0)), (6, 7, count(1, 1, 0))]]);
}

#[test]
fn a_broadcast_reaches_each_transport_at_its_own_instant() {
    let start = [(0, 1, registered(S, A)), (2, 3, registers_bound(B)), (4, 7, unbind(true))];
    let reached = broadcast(Some(&[(T, Delivery::Delivered(B))]));
    let missed = broadcast(Some(&[]));
    assert_linearizable(&[&start, &[(5, 6, reached.clone())]]);
    assert_linearizable(&[&start, &[(5, 6, missed.clone())]]);
    assert_violation(&[&start, &[(8, 9, reached)]]);
    assert_violation(&[&start[..2], &[(8, 9, missed)]]);
    assert_violation(&[&start[..2], &[(8, 9, broadcast(None))]]);
    // A transport with a closed mailbox is removed.
    let closed = (10, 11, broadcast(Some(&[(T, Delivery::Closed)])));
    let dead = [&start[..2], &[(8, 9, close(B)), closed]].concat();
    assert_linearizable(&[&dead, &[(12, 13, is_current(B, false))]]);
    assert_violation(&[&dead, &[(12, 13, is_current(B, true))]]);
}

/// The dead registration is removed first; the server may end after that and before the name is taken.
#[test]
fn a_failed_bound_registration_may_have_removed_a_dead_entry() {
    let start = [(0, 1, registered(S, A)), (2, 3, registered(T, B)), (4, 5, close(B))];
    let failed = |began, ended| [(began, ended, register_bound_fails())];
    let server_ends = [(6, 7, unregister(S, true)), (12, 13, route(T, Routed::NotFound(MESSAGE)))];
    assert_linearizable(&[&start, &failed(5, 10), &server_ends]);
    assert_violation(&[&start, &failed(8, 10), &server_ends]);
}

/// The server that it found ends, and another one takes its name, before the dead registration is removed.
#[test]
fn a_failed_bound_registration_may_have_found_a_server_that_was_replaced() {
    let start = [(0, 1, registered(S, A)), (2, 3, registered(T, B))];
    let failed = |began| [(began, 20, register_bound_fails())];
    let replaced = [(6, 7, unregister(S, true)), (8, 9, registered(S, C)), (10, 11, close(B))];
    let ended = [(22, 23, is_current(B, false))];
    assert_linearizable(&[&start, &failed(5), &replaced, &ended]);
    assert_violation(&[&start, &failed(12), &replaced, &ended]);
}
