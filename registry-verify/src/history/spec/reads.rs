//! The steps of calls whose result shows that they changed nothing.

use super::{BindOutcome, Call, DeliveryOutcome, IDS, Name, Progress, RegistrySpec, RouteOutcome, State};
use crate::linear::Step;

/// The bit set once the server was found. The lowest bits are those of ids, followed by those of messages.
const FOUND: u16 = 1 << 15;

impl RegistrySpec {
    /// Returns the step that such a call can take, if any.
    pub(super) fn read_step(&self, state: &State, call: &Call, progress: &Progress) -> Option<Step<Progress>> {
        let is_observed = match call {
            Call::Find(name, found) => state.alive(*name) == *found,
            Call::IsCurrent(owner, is_current) => state.name_of(*owner).is_some() == *is_current,
            Call::Route(name, RouteOutcome::Delivered(owner)) => state.alive(*name) == Some(*owner),
            Call::Route(name, RouteOutcome::NotFound) => state.at(*name).is_none(),
            Call::Route(name, RouteOutcome::Full) => state.alive(*name).is_some(),
            Call::Bind(_, server, BindOutcome::NoServer) => is_missing(state, *server),
            Call::Bind(transport, _, BindOutcome::NoTransport) => is_missing(state, *transport),
            Call::Unbind(transport, false) => {
                state.at(*transport).is_none_or(|registration| registration.server.is_none())
            }
            Call::ServerFor(transport, None) => {
                state.dead(*transport).is_some()
                    || state.at(*transport).is_none_or(|registration| registration.server.is_none())
            }
            Call::ServerFor(transport, Some(server)) => {
                let is_bound = state.is_bound(*transport, *server) && self.was_alive(state, *transport, progress);
                return if is_bound { Some(Step::Done) } else { self.remember_live(state, &[*transport], progress) };
            }
            Call::TransportsOf(server, transports) => return observe_transports(state, *server, transports, progress),
            Call::Broadcast(server, None) => state.alive(*server).is_none(),
            Call::Broadcast(server, Some(outcomes)) => {
                let observed = observe_broadcast(state, *server, outcomes, progress);
                return step(progress, observed, all_of_broadcast(outcomes));
            }
            Call::Count(servers, transports, bindings) => is_count(state, *servers, *transports, *bindings),
            _ => unreachable!("only read-only calls get here"),
        };
        is_observed.then_some(Step::Done)
    }

    /// Returns whether the registered owner was alive at an instant of this call.
    pub(super) fn was_alive(&self, state: &State, name: Name, progress: &Progress) -> bool {
        state
            .at(name)
            .is_some_and(|registration| !state.closed.has(registration.owner) || progress.seen.has(registration.owner))
    }

    /// Remembers the owners that are alive now but will close their mailbox.
    pub(super) fn remember_live(&self, state: &State, names: &[Name], progress: &Progress) -> Option<Step<Progress>> {
        let mut seen = progress.seen;
        for owner in names.iter().filter_map(|name| state.alive(*name)).filter(|owner| self.will_close.has(*owner)) {
            seen = seen.with(owner);
        }
        (seen != progress.seen).then_some(Step::Continue(Progress { seen, ..*progress }))
    }
}

/// Returns whether a name cannot be bound: it is free, dead, or its removal has begun.
pub(super) fn is_missing(state: &State, name: Name) -> bool {
    state.bindable(name).is_none_or(|owner| state.closed.has(owner))
}

/// The server is found; then each transport has its own instant: a listed one is bound and alive, any other is not.
fn observe_transports(state: &State, server: Name, transports: &[Name], progress: &Progress) -> Option<Step<Progress>> {
    let is_found = state.alive(server).is_some();
    if !is_found && transports.is_empty() {
        return Some(Step::Done);
    }
    let mut observed = progress.observed | if is_found { FOUND } else { 0 };
    for transport in ids() {
        let is_there = state.is_bound(transport, server) && state.alive(transport).is_some();
        if is_there == transports.contains(&transport) {
            observed |= bit(transport);
        }
    }
    step(progress, observed, FOUND | ids().map(bit).sum::<u16>())
}

/// Returns the targets observed so far: the server was found; a transport that got the message was bound; one without
/// an outcome was not. Closed ones need a write step and are handled by the caller.
pub(super) fn observe_broadcast(
    state: &State,
    server: Name,
    outcomes: &[(Name, DeliveryOutcome)],
    progress: &Progress,
) -> u16 {
    let mut observed = progress.observed;
    if state.alive(server).is_some() {
        observed |= FOUND;
    }
    for transport in ids().filter(|transport| outcomes.iter().all(|(tried, _)| tried != transport)) {
        if !state.is_bound(transport, server) {
            observed |= bit(transport);
        }
    }
    for (number, (transport, outcome)) in outcomes.iter().enumerate() {
        let alive = state.alive(*transport).filter(|_| state.is_bound(*transport, server));
        let is_observed = match outcome {
            DeliveryOutcome::Delivered(owner) => alive == Some(*owner),
            DeliveryOutcome::Full => alive.is_some(),
            DeliveryOutcome::Closed => false,
        };
        if is_observed {
            observed |= outcome_bit(number);
        }
    }
    observed
}

/// Returns the targets that must be observed before a broadcast can return.
pub(super) fn all_of_broadcast(outcomes: &[(Name, DeliveryOutcome)]) -> u16 {
    let untried = ids().filter(|transport| outcomes.iter().all(|(tried, _)| tried != transport));
    FOUND | untried.map(bit).sum::<u16>() | (0..outcomes.len()).map(outcome_bit).sum::<u16>()
}

pub(super) fn outcome_bit(number: usize) -> u16 {
    1 << (IDS + number)
}

fn bit(transport: Name) -> u16 {
    1 << transport.id
}

fn ids() -> impl Iterator<Item = Name> {
    (0..IDS as u8).map(Name::transport)
}

fn step(progress: &Progress, observed: u16, all: u16) -> Option<Step<Progress>> {
    if observed == all {
        Some(Step::Done)
    } else {
        (observed != progress.observed).then_some(Step::Continue(Progress { observed, ..*progress }))
    }
}

fn is_count(state: &State, servers: u8, transports: u8, bindings: u8) -> bool {
    let count = |names: &[Name]| names.iter().filter(|name| state.at(**name).is_some()).count();
    let bound = state.names.iter().flatten().filter(|registration| registration.server.is_some()).count();
    count(&Name::ALL[..IDS]) == servers.into()
        && count(&Name::ALL[IDS..]) == transports.into()
        && bound == bindings.into()
}
