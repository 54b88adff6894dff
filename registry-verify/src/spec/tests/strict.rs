//! Wrong outcomes that the strict mode refuses, each next to the right one.

use crate::spec::{
    BroadcastOutcome, Call, Completed, Delivery, Name, Outcome, Owner, RegistrySpec, Routed, Side, State,
};

const S: Name = Name::server(0);
const OTHER: Name = Name::server(1);
const T: Name = Name::transport(0);
const U: Name = Name::transport(1);
const A: Owner = Owner(0);
const B: Owner = Owner(1);
const C: Owner = Owner(2);
const MESSAGE: u64 = 7;

/// A state, after calls that are all allowed.
#[derive(Clone)]
struct After(State);

impl After {
    #[track_caller]
    fn calls(calls: impl IntoIterator<Item = Completed>) -> Self {
        calls.into_iter().fold(Self(RegistrySpec::strict().initial()), |state, call| state.then(call))
    }

    #[track_caller]
    fn then(&self, call: Completed) -> Self {
        let next = RegistrySpec::strict().apply(&self.0, &call);
        Self(next.unwrap_or_else(|| panic!("{call} is not allowed in {}", self.0)))
    }

    /// Checks that `right` is allowed and all of `wrong` are not; returns the state after `right`.
    #[track_caller]
    fn only(&self, call: Call, right: Outcome, wrong: impl IntoIterator<Item = Outcome>) -> Self {
        for outcome in wrong {
            let completed = call.clone().with(outcome);
            assert_eq!(RegistrySpec::strict().apply(&self.0, &completed), None, "{completed} in {}", self.0);
        }
        self.then(call.with(right))
    }
}

fn registered(name: Name, owner: Owner, capacity: usize) -> Completed {
    Call::Register(name, capacity).with(Outcome::Registered(owner))
}

fn registered_bound(transport: Name, owner: Owner) -> Completed {
    Call::RegisterBound(transport, S, 1).with(Outcome::Registered(owner))
}

fn closed(owner: Owner) -> Completed {
    Call::Close(owner).with(Outcome::Done)
}

fn delivered(to: Name, from: Name, message: u64) -> Completed {
    Call::Route(to, from, message).with(Outcome::Routed(Routed::Delivered(None)))
}

fn tried(delivered: usize, tried: &[(Name, Delivery)]) -> Outcome {
    Outcome::Broadcast(BroadcastOutcome { found: true, delivered, tried: tried.to_vec() })
}

fn routed(all: impl IntoIterator<Item = Routed>) -> Vec<Outcome> {
    all.into_iter().map(Outcome::Routed).collect()
}

/// A server with a bound transport.
fn bound() -> After {
    After::calls([registered(S, A, 1), registered_bound(T, B)])
}

#[test]
fn the_server_is_looked_at_first() {
    let empty = After::calls([]);
    empty.only(Call::Bind(T, S), Outcome::ServerNotFound, [Outcome::TransportNotFound, Outcome::Done]);
    let server = After::calls([registered(S, A, 1)]);
    server.only(Call::Bind(T, S), Outcome::TransportNotFound, [Outcome::ServerNotFound, Outcome::Done]);
    let wrong = [Outcome::Taken(A), Outcome::Registered(B)];
    After::calls([registered(T, A, 1)]).only(Call::RegisterBound(T, S, 1), Outcome::ServerNotFound, wrong);
    bound().only(Call::RegisterBound(T, S, 1), Outcome::Taken(B), [Outcome::ServerNotFound, Outcome::Registered(C)]);
}

#[test]
fn a_bound_registration_without_a_server_removes_nothing() {
    let dead = After::calls([registered(T, A, 1), closed(A)]);
    let failed = dead.only(Call::RegisterBound(T, S, 1), Outcome::ServerNotFound, [Outcome::Registered(B)]);
    failed.only(Call::Count, Outcome::Counted(0, 1, 0), [Outcome::Counted(0, 0, 0)]);
}

#[test]
fn owners_are_numbered_without_gaps() {
    let first = After::calls([registered(S, A, 1)]);
    first.only(Call::Register(T, 1), Outcome::Registered(B), [A, C].map(Outcome::Registered));
    let wrong = [Outcome::Taken(B), Outcome::Registered(B), Outcome::ServerNotFound, Outcome::Done];
    first.only(Call::Register(S, 1), Outcome::Taken(A), wrong);
}

#[test]
fn the_message_returned_is_the_one_that_was_sent() {
    let other = MESSAGE + 1;
    let all = |message| {
        [Routed::NotFound(message), Routed::NotBound(message), Routed::Full(message), Routed::Closed(message)]
    };
    let route = Call::Route(S, T, MESSAGE);
    let right = |index: usize| Outcome::Routed(all(MESSAGE)[index]);
    let wrong = |index: usize| {
        let others = all(MESSAGE).into_iter().enumerate().filter(move |(place, _)| *place != index).map(|of| of.1);
        routed(others.chain(all(other)).chain([Routed::Delivered(None), Routed::Delivered(Some(A))]))
    };
    After::calls([]).only(route.clone(), right(0), wrong(0));
    let full = After::calls([registered(S, A, 1), delivered(S, T, 1)]);
    full.only(route.clone(), right(2), wrong(2));
    full.then(closed(A)).only(route.clone(), right(3), wrong(3));
    let over = Call::RouteToBound(T, MESSAGE);
    After::calls([registered(T, A, 1)]).only(over.clone(), right(1), wrong(1));
    After::calls([registered(S, A, 1)]).only(over.clone(), right(0), wrong(0));
    bound().then(closed(A)).only(over, right(3), wrong(3));
}

#[test]
fn a_message_is_delivered_to_the_owner_found() {
    let replaced = After::calls([registered(S, A, 1), closed(A), registered(S, B, 1)]);
    let wrong = routed([Routed::Delivered(Some(A)), Routed::NotFound(MESSAGE), Routed::Full(MESSAGE)]);
    let sent = replaced.only(Call::Route(S, T, MESSAGE), Outcome::Routed(Routed::Delivered(Some(B))), wrong);
    sent.only(Call::Waiting(A), Outcome::Waiting(0), [Outcome::Waiting(1)]);
    sent.only(Call::Waiting(B), Outcome::Waiting(1), [Outcome::Waiting(0), Outcome::Waiting(2)]);
}

#[test]
fn an_inbox_contains_exactly_what_was_delivered() {
    let sent = After::calls([registered(S, A, 3), delivered(S, T, 1), delivered(S, U, 2)]);
    let read = |messages: &[(Name, u64)]| Outcome::Read(messages.to_vec());
    let wrong = [
        read(&[]),
        read(&[(T, 1)]),
        read(&[(U, 2), (T, 1)]),
        read(&[(T, 1), (T, 2)]),
        read(&[(T, 1), (U, 2), (U, 2)]),
        read(&[(T, 1), (U, 3)]),
    ];
    // Closing the mailbox, or the end of the registration, loses nothing.
    for state in [sent.clone(), sent.then(closed(A)), sent.then(Call::Unregister(S).with(Outcome::Bool(true)))] {
        let drained = state.only(Call::Drain(A), read(&[(T, 1), (U, 2)]), wrong.clone());
        drained.only(Call::Drain(A), read(&[]), [read(&[(T, 1), (U, 2)])]);
    }
}

#[test]
fn a_mailbox_refuses_exactly_when_it_is_full() {
    let one = After::calls([registered(S, A, 2), delivered(S, T, 1)]);
    let two = one.only(
        Call::Route(S, T, 2),
        Outcome::Routed(Routed::Delivered(None)),
        routed([Routed::Full(2), Routed::Closed(2)]),
    );
    let full = two.only(Call::Route(S, T, 3), Outcome::Routed(Routed::Full(3)), routed([Routed::Delivered(None)]));
    let read = full.then(Call::Drain(A).with(Outcome::Read(vec![(T, 1), (T, 2)])));
    read.only(Call::Route(S, T, 4), Outcome::Routed(Routed::Delivered(None)), routed([Routed::Full(4)]));
}

#[test]
fn counts_are_exact() {
    let wrong = [(0, 1, 1), (2, 1, 1), (1, 0, 1), (1, 2, 1), (1, 1, 0), (1, 1, 2)];
    let wrong = wrong.map(|(servers, transports, bindings)| Outcome::Counted(servers, transports, bindings));
    let bound = bound();
    bound.only(Call::Count, Outcome::Counted(1, 1, 1), wrong.clone());
    // The dead count until they are found.
    let dead = bound.then(closed(A));
    dead.only(Call::Count, Outcome::Counted(1, 1, 1), wrong);
    let wrong = [(0, 0), (0, 1), (1, 1), (2, 0)].map(|(servers, transports)| Outcome::Swept(servers, transports));
    let swept = dead.only(Call::Sweep, Outcome::Swept(1, 0), wrong);
    swept.only(Call::Count, Outcome::Counted(0, 1, 0), [Outcome::Counted(0, 1, 1), Outcome::Counted(1, 1, 1)]);
}

#[test]
fn a_broadcast_reports_each_member_once() {
    let two = bound().then(registered_bound(U, C));
    let (to_t, to_u) = ((T, Delivery::Delivered(B)), (U, Delivery::Delivered(C)));
    let broadcast = Call::Broadcast(S, MESSAGE);
    let wrong = [
        Outcome::Broadcast(BroadcastOutcome::default()),
        tried(0, &[]),
        tried(1, &[to_t]),
        tried(1, &[to_t, to_u]),
        tried(3, &[to_t, to_u]),
        tried(3, &[to_t, to_u, to_u]),
        tried(2, &[to_t, (U, Delivery::Delivered(B))]),
        tried(1, &[to_t, (U, Delivery::Full)]),
        tried(1, &[to_t, (U, Delivery::Closed)]),
    ];
    let sent = two.only(broadcast.clone(), tried(2, &[to_u, to_t]), wrong);
    let full = [(T, Delivery::Full), (U, Delivery::Full)];
    let wrong = [tried(2, &[to_t, to_u]), tried(0, &full[..1]), tried(0, &[full[0], full[1], full[1]])];
    sent.only(broadcast.clone(), tried(0, &full), wrong);
    let closed = (U, Delivery::Closed);
    let wrong = [tried(0, &full), tried(0, &full[..1]), tried(0, &[full[0], closed, closed])];
    let removed = sent.then(self::closed(C)).only(broadcast, tried(0, &[full[0], closed]), wrong);
    removed.only(Call::Count, Outcome::Counted(1, 1, 1), [Outcome::Counted(1, 2, 2), Outcome::Counted(1, 2, 1)]);
    let missing = [Outcome::Broadcast(BroadcastOutcome { delivered: 1, ..BroadcastOutcome::default() }), tried(0, &[])];
    let right = Outcome::Broadcast(BroadcastOutcome::default());
    two.only(Call::Broadcast(OTHER, MESSAGE), right, missing);
}

#[test]
fn a_batch_is_resolved_before_it_removes_and_delivered_in_order() {
    let many = |routed: &[Routed]| Outcome::RoutedMany(routed.to_vec());
    let (delivered, returned) = (Routed::Delivered(None), MESSAGE + 1);
    let batch = Call::RouteMany(vec![S, S], T, MESSAGE);
    let wrong = [
        many(&[delivered, delivered]),
        many(&[Routed::Full(MESSAGE), delivered]),
        many(&[delivered, Routed::Full(MESSAGE)]),
        many(&[delivered]),
    ];
    let open = After::calls([registered(S, A, 1)]);
    let sent = open.only(batch.clone(), many(&[delivered, Routed::Full(returned)]), wrong);
    sent.only(Call::Drain(A), Outcome::Read(vec![(T, MESSAGE)]), [Outcome::Read(vec![(T, returned)])]);
    let wrong = [
        many(&[Routed::Closed(MESSAGE), Routed::NotFound(returned)]),
        many(&[Routed::NotFound(MESSAGE), Routed::NotFound(returned)]),
        many(&[Routed::Closed(returned), Routed::Closed(MESSAGE)]),
    ];
    let right = many(&[Routed::Closed(MESSAGE), Routed::Closed(returned)]);
    let removed = open.then(closed(A)).only(batch, right, wrong);
    removed.only(Call::Find(S), Outcome::Found(None), [Outcome::Found(Some(A))]);
    removed.only(Call::Count, Outcome::Counted(0, 0, 0), [Outcome::Counted(1, 0, 0)]);
}

#[test]
fn a_bound_route_belongs_to_one_registration() {
    let bound = bound();
    bound.only(Call::BoundRoute(T), Outcome::Found(Some(B)), [None, Some(A)].map(Outcome::Found));
    let send = Call::SendBound(B, MESSAGE);
    let sent = bound.only(
        send.clone(),
        Outcome::Routed(Routed::Delivered(Some(A))),
        routed([Routed::Delivered(Some(B)), Routed::NotFound(MESSAGE), Routed::NotBound(MESSAGE)]),
    );
    sent.only(Call::Drain(A), Outcome::Read(vec![(T, MESSAGE)]), [vec![], vec![(U, MESSAGE)]].map(Outcome::Read));
    // Neither a successor of the server nor one of the transport is reached.
    let server = bound.then(closed(A)).then(registered(S, C, 1));
    server.only(
        send.clone(),
        Outcome::Routed(Routed::NotBound(MESSAGE)),
        routed([Routed::Delivered(Some(C)), Routed::NotFound(MESSAGE), Routed::Closed(MESSAGE)]),
    );
    let transport = bound.then(closed(B)).then(registered_bound(T, C));
    let wrong = routed([Routed::Delivered(Some(A)), Routed::NotBound(MESSAGE)]);
    transport.only(send, Outcome::Routed(Routed::NotFound(MESSAGE)), wrong);
}

#[test]
fn reads_show_exactly_the_live_entries() {
    let state = bound().then(registered(OTHER, C, 1));
    let listed = |all: &[(Name, Owner)]| Outcome::Listed(all.to_vec());
    let wrong = [
        listed(&[]),
        listed(&[(S, A)]),
        listed(&[(S, A), (OTHER, A)]),
        listed(&[(S, A), (OTHER, C), (OTHER, C)]),
        listed(&[(S, A), (OTHER, C), (T, B)]),
    ];
    state.only(Call::List(Side::Server), listed(&[(OTHER, C), (S, A)]), wrong);
    let many = |found: &[Option<Owner>]| Outcome::FoundMany(found.to_vec());
    let wrong = [many(&[Some(C), Some(A)]), many(&[Some(A)]), many(&[Some(A), None])];
    state.only(Call::FindMany(vec![S, OTHER]), many(&[Some(A), Some(C)]), wrong);
    state.only(Call::ServerFor(T), Outcome::Server(Some(S)), [None, Some(OTHER)].map(Outcome::Server));
    let wrong = [vec![], vec![T, T], vec![T, U]].map(Outcome::Transports);
    state.only(Call::TransportsOf(S), Outcome::Transports(vec![T]), wrong);
    state.only(Call::IsCurrent(A), Outcome::Bool(true), [Outcome::Bool(false), Outcome::Done]);
    let dead = state.then(closed(A));
    dead.only(Call::List(Side::Server), listed(&[(OTHER, C)]), [listed(&[(S, A), (OTHER, C)]), listed(&[])]);
    dead.only(Call::Find(S), Outcome::Found(None), [Some(A), Some(C)].map(Outcome::Found));
    dead.only(Call::TransportsOf(S), Outcome::Transports(vec![]), [Outcome::Transports(vec![T])]);
    dead.only(Call::IsCurrent(A), Outcome::Bool(true), [Outcome::Bool(false)]);
    state.then(closed(B)).only(Call::ServerFor(T), Outcome::Server(None), [Outcome::Server(Some(S))]);
}

#[test]
fn an_end_reports_whether_there_was_something_to_end() {
    let state = bound();
    let wrong = [Outcome::Bool(false), Outcome::Done];
    let unbound = state.only(Call::Unbind(T), Outcome::Bool(true), wrong.clone());
    unbound.only(Call::Unbind(T), Outcome::Bool(false), [Outcome::Bool(true)]);
    let ended = state.only(Call::Release(A), Outcome::Bool(true), wrong.clone());
    ended.only(Call::ServerFor(T), Outcome::Server(None), [Outcome::Server(Some(S))]);
    ended.only(Call::Unregister(S), Outcome::Bool(false), [Outcome::Bool(true)]);
    // A lease of an ended registration has no effect on the next one.
    let next = ended.then(registered(S, C, 1)).only(Call::Release(A), Outcome::Bool(false), [Outcome::Bool(true)]);
    let dropped = next.then(Call::DropLease(A).with(Outcome::Done)).then(Call::Detach(C).with(Outcome::Done));
    dropped.only(Call::Find(S), Outcome::Found(Some(C)), [None, Some(A)].map(Outcome::Found));
    let dropped = dropped.then(Call::DropLease(C).with(Outcome::Done));
    dropped.only(Call::Find(S), Outcome::Found(None), [Outcome::Found(Some(C))]);
}
