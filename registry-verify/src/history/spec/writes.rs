//! The steps of calls that change the state, or may have done so.

use super::reads::{all_of_broadcast, is_missing, observe_broadcast, outcome_bit};
use super::{
    BindOutcome, Call, DeliveryOutcome, Name, Owner, Progress, RegisterOutcome, RegistrySpec, RouteOutcome, State,
};
use crate::linear::Step;

type Steps = Vec<(State, Step<Progress>)>;

impl RegistrySpec {
    /// Appends all steps that such a call can take.
    pub(super) fn write_steps(&self, state: &State, call: &Call, progress: &Progress, into: &mut Steps) {
        match call {
            Call::Register(name, outcome) => claim(state, *name, *outcome, None, progress, into),
            Call::RegisterBound(name, server, RegisterOutcome::NoServer) => {
                register_bound_without_server(state, *name, *server, progress, into);
            }
            Call::RegisterBound(name, server, outcome) => {
                // A call that finds the name taken need not have joined the server.
                let joins = matches!(outcome, RegisterOutcome::Registered(_)).then_some(*server);
                claim(state, *name, *outcome, joins, progress, into);
            }
            Call::Release(owner, ended) => end(state, state.name_of(*owner), *ended, progress, into),
            Call::Unregister(name, ended) => end(state, Some(*name), *ended, progress, into),
            Call::Bind(transport, server, BindOutcome::Bound) => self.bind(state, *transport, *server, progress, into),
            Call::Unbind(transport, true) => {
                if state.at(*transport).is_some_and(|registration| registration.server.is_some()) {
                    into.push(done(state, |next| next.bind(*transport, None)));
                }
            }
            Call::Close(owner) => into.push(done(state, |next| next.closed = next.closed.with(*owner))),
            Call::Route(name, RouteOutcome::Closed) => self.route_to_closed(state, *name, progress, into),
            Call::Broadcast(server, Some(outcomes)) => self.broadcast(state, *server, outcomes, progress, into),
            Call::Sweep(servers, transports) => sweep(state, [*servers, *transports], progress, into),
            _ => unreachable!("read-only calls do not get here"),
        }
    }

    /// Neither side's removal has begun, and both were alive at an instant of this call.
    fn bind(&self, state: &State, transport: Name, server: Name, progress: &Progress, into: &mut Steps) {
        let target = state.bindable(transport).and(state.bindable(server));
        let alive = [transport, server].iter().all(|name| self.was_alive(state, *name, progress));
        if let Some(owner) = target.filter(|_| alive) {
            into.push(done(state, |next| next.bind(transport, Some(owner))));
        }
        into.extend(self.remember_live(state, &[transport, server], progress).map(|step| (state.clone(), step)));
    }

    /// A registration is found, then its mailbox is closed; when the call returns, it has been removed by some call.
    fn route_to_closed(&self, state: &State, name: Name, progress: &Progress, into: &mut Steps) {
        match progress.candidates[0] {
            None => into.extend(self.hold_candidate(state, name, 0, progress)),
            Some(owner) if state.closed.has(owner) => match state.name_of(owner) {
                None => into.push((state.clone(), Step::Done)),
                Some(name) => into.push(proceed(state, *progress, |next| next.end(name))),
            },
            Some(_) => {}
        }
    }

    fn broadcast(
        &self,
        state: &State,
        server: Name,
        outcomes: &[(Name, DeliveryOutcome)],
        progress: &Progress,
        into: &mut Steps,
    ) {
        let mut observed = observe_broadcast(state, server, outcomes, progress);
        for (number, (transport, outcome)) in outcomes.iter().enumerate() {
            let slot = usize::from(transport.id);
            if *outcome != DeliveryOutcome::Closed || observed & outcome_bit(number) != 0 {
                continue;
            }
            match progress.candidates[slot] {
                None if state.is_bound(*transport, server) => {
                    into.extend(self.hold_candidate(state, *transport, slot, progress));
                }
                Some(owner) if state.closed.has(owner) => match state.name_of(owner) {
                    None => observed |= outcome_bit(number),
                    Some(name) => into.push(proceed(state, *progress, |next| next.end(name))),
                },
                _ => {}
            }
        }
        if observed == all_of_broadcast(outcomes) {
            into.push((state.clone(), Step::Done));
        } else if observed != progress.observed {
            into.push((state.clone(), Step::Continue(Progress { observed, ..*progress })));
        }
    }

    /// Remembers an owner whose mailbox will be found closed.
    fn hold_candidate(
        &self,
        state: &State,
        name: Name,
        slot: usize,
        progress: &Progress,
    ) -> Option<(State, Step<Progress>)> {
        let owner =
            state.at(name).map(|registration| registration.owner).filter(|owner| self.will_close.has(*owner))?;
        let mut progress = *progress;
        progress.candidates[slot] = Some(owner);
        Some((state.clone(), Step::Continue(progress)))
    }
}

impl State {
    fn bind(&mut self, transport: Name, server: Option<Owner>) {
        if let Some(registration) = &mut self.names[transport.index()] {
            registration.server = server;
        }
    }
}

/// Joins the server if requested, removes a dead registration of the name, and takes the name if it is free.
fn claim(
    state: &State,
    name: Name,
    outcome: RegisterOutcome,
    joins: Option<Name>,
    progress: &Progress,
    into: &mut Steps,
) {
    let joined = progress.candidates[0];
    if let Some(server) = joins.filter(|_| joined.is_none()) {
        if let Some(owner) = state.bindable(server).filter(|owner| !state.closed.has(*owner)) {
            let mut progress = *progress;
            progress.candidates[0] = Some(owner);
            into.push((state.clone(), Step::Continue(progress)));
        }
        return;
    }
    match outcome {
        RegisterOutcome::Registered(owner) if state.at(name).is_none() && state.is_later(name, owner) => {
            let server =
                joined.filter(|server| state.name_of(*server).is_some_and(|name| state.bindable(name).is_some()));
            into.push(done(state, |next| next.insert(name, owner, server)));
        }
        RegisterOutcome::Taken(by) if state.alive(name) == Some(by) => into.push((state.clone(), Step::Done)),
        _ => {}
    }
    if state.dead(name).is_some() {
        into.push(proceed(state, *progress, |next| next.end(name)));
    }
}

/// Finds no such server, or that the one it found has ended. In between it may have removed a dead registration of the name.
fn register_bound_without_server(state: &State, name: Name, server: Name, progress: &Progress, into: &mut Steps) {
    if is_missing(state, server) {
        into.push((state.clone(), Step::Done));
    }
    match progress.candidates[0] {
        None => {
            if let Some(owner) = state.bindable(server).filter(|owner| !state.closed.has(*owner)) {
                let mut progress = *progress;
                progress.candidates[0] = Some(owner);
                into.push((state.clone(), Step::Continue(progress)));
            }
        }
        Some(found) => {
            // The server that it found has ended, whether or not another one has its name by now.
            if state.name_of(found).and_then(|name| state.bindable(name)) != Some(found) {
                into.push((state.clone(), Step::Done));
            }
            if state.dead(name).is_some() {
                into.push(proceed(state, *progress, |next| next.end(name)));
            }
        }
    }
}

/// Removes the registration of a name in two steps. A failed call finds the name free, but may have taken the first
/// step before another call took the second.
fn end(state: &State, name: Option<Name>, ended: bool, progress: &Progress, into: &mut Steps) {
    let Some((name, registration)) = name.and_then(|name| Some((name, state.at(name)?))) else {
        if !ended {
            into.push((state.clone(), Step::Done));
        }
        return;
    };
    if !registration.ending {
        into.push(proceed(state, *progress, |next| next.end(name)));
    } else if ended {
        into.push(done(state, |next| next.end(name)));
    }
}

/// Removes dead entries. It is done once each name had an instant at which it was not dead.
fn sweep(state: &State, expected: [u8; 2], progress: &Progress, into: &mut Steps) {
    let mut observed = progress.observed;
    for name in Name::ALL {
        match state.dead(name) {
            None => observed |= 1 << name.index(),
            Some(_) => {
                let mut next = state.clone();
                let mut progress = *progress;
                let side = usize::from(name.side == crate::sequence::Side::Transport);
                progress.removed[side] += u8::from(next.end(name));
                if progress.removed[side] <= expected[side] {
                    into.push((next, Step::Continue(progress)));
                }
            }
        }
    }
    if observed == Name::ALL.iter().map(|name| 1 << name.index()).sum() && progress.removed == expected {
        into.push((state.clone(), Step::Done));
    } else if observed != progress.observed {
        into.push((state.clone(), Step::Continue(Progress { observed, ..*progress })));
    }
}

fn done<R>(state: &State, change: impl FnOnce(&mut State) -> R) -> (State, Step<Progress>) {
    let mut next = state.clone();
    change(&mut next);
    (next, Step::Done)
}

fn proceed<R>(state: &State, progress: Progress, change: impl FnOnce(&mut State) -> R) -> (State, Step<Progress>) {
    let mut next = state.clone();
    change(&mut next);
    (next, Step::Continue(progress))
}
