//! The steps of calls that make, end and read bindings.

use super::name::{Name, Side};
use super::outcome::Outcome;
use super::relaxation::Relaxation;
use super::steps::Steps;

/// The bit set once the server was found. The lower bits are those of the other targets.
pub(super) const FOUND: u32 = 1 << 31;

/// Binds a transport if neither side's removal has begun, and both were alive at an instant of this call.
pub(super) fn bind(steps: &mut Steps<'_>, transport: Name, server: Name, outcome: &Outcome) {
    let state = steps.state;
    match outcome {
        Outcome::Done => {
            let target = state.bindable(transport).and(state.bindable(server));
            if let Some(owner) = target.filter(|_| steps.was_alive(transport) && steps.was_alive(server)) {
                steps.done_with(|next| next.bind(transport, Some(owner)));
            }
            steps.remember_live(&[transport, server]);
        }
        Outcome::ServerNotFound => steps.done_if(state.is_missing(server)),
        Outcome::TransportNotFound => {
            let precedes = steps.allows(Relaxation::ErrorPrecedence) || !state.is_missing(server);
            steps.done_if(precedes && state.is_missing(transport));
        }
        _ => {}
    }
}

/// Unbinds a transport, alive or not.
pub(super) fn unbind(steps: &mut Steps<'_>, transport: Name, was_bound: bool) {
    if steps.state.server_of(transport).is_some() == was_bound {
        steps.done_with(|next| next.bind(transport, None));
    }
}

/// Reads the server of a live transport. The server may be dead: a binding lasts as long as both registrations.
pub(super) fn server_for(steps: &mut Steps<'_>, transport: Name, server: Option<Name>) {
    let state = steps.state;
    match server {
        None => steps.done_if(state.dead(transport).is_some() || state.server_of(transport).is_none()),
        Some(server) if state.is_bound(transport, server) && steps.was_alive(transport) => steps.done(),
        Some(_) => steps.remember_live(&[transport]),
    }
}

/// The server is found; then each transport has its own instant: a listed one is bound and alive, any other is not.
pub(super) fn transports_of(steps: &mut Steps<'_>, server: Name, transports: &[Name]) {
    let state = steps.state;
    let is_found = state.alive(server).is_some();
    if !is_found && transports.is_empty() {
        return steps.done();
    }
    if !may_be_visited(steps, transports.iter().copied()) {
        return;
    }
    let mut observed = steps.progress.observed | if is_found { FOUND } else { 0 };
    let mut all = FOUND;
    for transport in Name::all_of(Side::Transport) {
        let is_there = state.is_bound(transport, server) && state.alive(transport).is_some();
        if is_there == transports.contains(&transport) {
            observed |= bit(transport);
        }
        all |= bit(transport);
    }
    steps.observe(observed, all, |_| {});
}

/// Returns whether one call may have visited these transports of one server.
pub(super) fn may_be_visited(steps: &Steps<'_>, transports: impl Iterator<Item = Name>) -> bool {
    let mut visited = 0;
    for transport in transports {
        if visited & bit(transport) != 0 && !steps.allows(Relaxation::RepeatedVisits) {
            return false;
        }
        visited |= bit(transport);
    }
    true
}

/// The bit of an id.
pub(super) fn bit(name: Name) -> u32 {
    1 << name.id
}
