//! The steps of calls that send messages.

use super::bindings::{FOUND, bit, may_be_visited};
use super::name::{IDS, Message, Name, Owner, Side};
use super::outcome::{BroadcastOutcome, Delivery, Routed};
use super::relaxation::Relaxation;
use super::state::State;
use super::steps::{Progress, Steps};

/// What a message finds on its way, alive or not.
enum Receiver {
    NotFound,
    NotBound,
    Found(Owner),
}

/// Sends a message to a name.
pub(super) fn route(steps: &mut Steps<'_>, to: Name, from: Name, message: Message, routed: Routed) {
    let receiver = steps.state.owner(to).map_or(Receiver::NotFound, Receiver::Found);
    send(steps, receiver, from, message, routed);
}

/// Sends a message to the server of a transport, alive or not.
pub(super) fn route_to_bound(steps: &mut Steps<'_>, transport: Name, message: Message, routed: Routed) {
    let receiver = bound_server(steps.state, Some(transport));
    send(steps, receiver, transport, message, routed);
}

/// Sends a message to the server of a registration of a transport.
///
/// The sender's id is that of the registration, which is not remembered when it has ended; nothing is delivered then.
pub(super) fn send_bound(steps: &mut Steps<'_>, transport: Owner, message: Message, routed: Routed) {
    let name = steps.state.name_of(transport);
    let receiver = bound_server(steps.state, name);
    send(steps, receiver, name.unwrap_or(Name::transport(0)), message, routed);
}

fn bound_server(state: &State, transport: Option<Name>) -> Receiver {
    match transport.and_then(|transport| state.at(transport)) {
        None => Receiver::NotFound,
        Some(registration) => registration.server.map_or(Receiver::NotBound, Receiver::Found),
    }
}

/// A message that is returned is the one that was sent. One that is returned as closed has found a registration, whose
/// mailbox is closed, and which has been removed by some call when this one returns.
fn send(steps: &mut Steps<'_>, receiver: Receiver, from: Name, message: Message, routed: Routed) {
    if !returns(message, routed) {
        return;
    }
    if let Routed::Closed(_) = routed {
        let found = if let Receiver::Found(owner) = receiver { Some(owner) } else { None };
        if steps.remove_closed(found, 0) {
            steps.done();
        }
        return;
    }
    let mut next = steps.state.clone();
    if arrives(&mut next, receiver, from, message, routed) {
        steps.done_in(next);
    }
}

/// Sends a message to each of several names, in order. Receivers with closed mailboxes are removed when it returns.
pub(super) fn route_many(steps: &mut Steps<'_>, to: &[Name], from: Name, first: Message, routed: &[Routed]) {
    let messages = || to.iter().zip(first..).zip(routed.iter().copied()).enumerate();
    if to.len() != routed.len() || messages().any(|(_, ((_, message), routed))| !returns(message, routed)) {
        return;
    }
    let is_split = steps.allows(Relaxation::SplitBatches);
    let (mut next, mut observed) = (steps.state.clone(), steps.progress.observed);
    let (mut all, mut closed) = (0, 0);
    for (number, ((name, message), routed)) in messages() {
        let bit = 1 << number;
        all |= bit;
        if let Routed::Closed(_) = routed {
            closed |= bit;
            if steps.remove_closed(steps.state.owner(*name), name.id.into()) {
                observed |= bit;
            }
        } else if observed & bit == 0 && (is_split || *steps.progress == Progress::default()) {
            let receiver = next.owner(*name).map_or(Receiver::NotFound, Receiver::Found);
            if arrives(&mut next, receiver, from, message, routed) {
                observed |= bit;
            }
        }
    }
    if is_split || observed | closed == all {
        steps.observe(observed, all, |state| *state = next);
    }
}

/// Returns whether the message, if it was returned, is the one that was sent.
fn returns(message: Message, routed: Routed) -> bool {
    routed.returned().is_none_or(|returned| returned == message)
}

/// Delivers or returns a message at one instant; returns whether that outcome is possible. It never is for a message that
/// is returned as closed, which takes several steps.
fn arrives(state: &mut State, receiver: Receiver, from: Name, message: Message, routed: Routed) -> bool {
    match (routed, receiver) {
        (Routed::Delivered(to), Receiver::Found(owner)) => {
            let is_delivered = to.is_none_or(|to| to == owner) && accepts(state, owner);
            if is_delivered {
                state.mailboxes.push(owner, from, message);
            }
            is_delivered
        }
        (Routed::Full(_), Receiver::Found(owner)) => refuses(state, owner),
        (Routed::NotFound(_), Receiver::NotFound) | (Routed::NotBound(_), Receiver::NotBound) => true,
        _ => false,
    }
}

/// The server is found; then each transport has its own instant: one that was tried was bound, any other was not.
pub(super) fn broadcast(steps: &mut Steps<'_>, server: Name, message: Message, outcome: &BroadcastOutcome) {
    let (state, tried) = (steps.state, &outcome.tried);
    let deliveries = tried.iter().filter(|(_, delivery)| matches!(delivery, Delivery::Delivered(_))).count();
    if deliveries != outcome.delivered || !may_be_visited(steps, tried.iter().map(|(transport, _)| *transport)) {
        return;
    }
    if !outcome.found {
        return steps.done_if(tried.is_empty() && state.alive(server).is_none());
    }
    let (mut observed, mut all) = (steps.progress.observed, FOUND);
    if state.alive(server).is_some() {
        observed |= FOUND;
    }
    for transport in Name::all_of(Side::Transport) {
        if tried.iter().all(|(tried, _)| *tried != transport) {
            all |= bit(transport);
            if !state.is_bound(transport, server) {
                observed |= bit(transport);
            }
        }
    }
    let mut delivered = Vec::new();
    for (number, (transport, delivery)) in tried.iter().enumerate() {
        let bit = 1 << (IDS + number);
        all |= bit;
        if observed & bit != 0 {
            continue;
        }
        let found = state.owner(*transport).filter(|_| state.is_bound(*transport, server));
        let is_observed = match *delivery {
            Delivery::Delivered(to) => {
                let is_receiver = found == Some(to) && accepts(state, to);
                delivered.extend(is_receiver.then_some(to));
                is_receiver
            }
            Delivery::Full => found.is_some_and(|owner| refuses(state, owner)),
            Delivery::Closed => steps.remove_closed(found, transport.id.into()),
        };
        observed |= if is_observed { bit } else { 0 };
    }
    steps.observe(observed, all, |next| {
        delivered.into_iter().for_each(|to| next.mailboxes.push(to, server, message));
    });
}

fn accepts(state: &State, owner: Owner) -> bool {
    !state.is_closed(owner) && state.mailboxes.may_accept(owner)
}

fn refuses(state: &State, owner: Owner) -> bool {
    !state.is_closed(owner) && state.mailboxes.may_refuse(owner)
}
