//! Calls that change something, or may have: their steps.

use super::look::{all_of_broadcast, bit_of_fate, is_missing, settle_broadcast};
use super::{Bound, Call, Claimed, Fate, Name, Owner, Progress, Routed, Rules, State};
use crate::linear::Step;

type Steps = Vec<(State, Step<Progress>)>;

impl Rules {
    /// All steps that such a call can take.
    pub(super) fn act(&self, state: &State, call: &Call, progress: &Progress, into: &mut Steps) {
        match call {
            Call::Register(name, claimed) => claim(state, *name, *claimed, None, progress, into),
            Call::RegisterBound(name, server, Claimed::NoServer) => {
                birth_in_vain(state, *name, *server, progress, into);
            }
            Call::RegisterBound(name, server, claimed) => {
                // One that finds the name taken need not have joined anybody.
                let joins = matches!(claimed, Claimed::Registered(_)).then_some(*server);
                claim(state, *name, *claimed, joins, progress, into);
            }
            Call::Release(owner, ended) => end(state, state.name_of(*owner), *ended, progress, into),
            Call::Unregister(name, ended) => end(state, Some(*name), *ended, progress, into),
            Call::Bind(transport, server, Bound::Yes) => self.bind(state, *transport, *server, progress, into),
            Call::Unbind(transport, true) => {
                if state.at(*transport).is_some_and(|there| there.server.is_some()) {
                    into.push(done(state, |next| next.bind(*transport, None)));
                }
            }
            Call::Close(owner) => into.push(done(state, |next| next.closed = next.closed.with(*owner))),
            Call::Route(name, Routed::Closed) => self.route_to_closed(state, *name, progress, into),
            Call::Broadcast(server, Some(fates)) => self.broadcast(state, *server, fates, progress, into),
            Call::Sweep(servers, transports) => sweep(state, [*servers, *transports], progress, into),
            _ => unreachable!("calls that only look do not get here"),
        }
    }

    /// Both sides stand, and were alive at an instant of this call.
    fn bind(&self, state: &State, transport: Name, server: Name, progress: &Progress, into: &mut Steps) {
        let stand = state.standing(transport).and(state.standing(server));
        let alive = [transport, server].iter().all(|name| self.was_alive(state, *name, progress));
        if let Some(owner) = stand.filter(|_| alive) {
            into.push(done(state, |next| next.bind(transport, Some(owner))));
        }
        into.extend(self.see(state, &[transport, server], progress).map(|step| (state.clone(), step)));
    }

    /// A registration is found; then its mailbox is closed; when the call returns it is gone, by whoever's doing.
    fn route_to_closed(&self, state: &State, name: Name, progress: &Progress, into: &mut Steps) {
        match progress.held[0] {
            None => into.extend(self.hold(state, name, 0, progress)),
            Some(owner) if state.closed.has(owner) => match state.name_of(owner) {
                None => into.push((state.clone(), Step::Done)),
                Some(name) => into.push(going(state, *progress, |next| next.end(name))),
            },
            Some(_) => {}
        }
    }

    fn broadcast(&self, state: &State, server: Name, fates: &[(Name, Fate)], progress: &Progress, into: &mut Steps) {
        let mut settled = settle_broadcast(state, server, fates, progress);
        for (number, (transport, fate)) in fates.iter().enumerate() {
            let slot = usize::from(transport.id);
            if *fate != Fate::Closed || settled & bit_of_fate(number) != 0 {
                continue;
            }
            match progress.held[slot] {
                None if state.is_bound(*transport, server) => {
                    into.extend(self.hold(state, *transport, slot, progress));
                }
                Some(owner) if state.closed.has(owner) => match state.name_of(owner) {
                    None => settled |= bit_of_fate(number),
                    Some(name) => into.push(going(state, *progress, |next| next.end(name))),
                },
                _ => {}
            }
        }
        if settled == all_of_broadcast(fates) {
            into.push((state.clone(), Step::Done));
        } else if settled != progress.settled {
            into.push((state.clone(), Step::Going(Progress { settled, ..*progress })));
        }
    }

    /// Remembers whose mailbox is going to be found closed.
    fn hold(&self, state: &State, name: Name, slot: usize, progress: &Progress) -> Option<(State, Step<Progress>)> {
        let owner = state.at(name).map(|there| there.owner).filter(|owner| self.doomed.has(*owner))?;
        let mut progress = *progress;
        progress.held[slot] = Some(owner);
        Some((state.clone(), Step::Going(progress)))
    }
}

impl State {
    fn bind(&mut self, transport: Name, server: Option<Owner>) {
        if let Some(there) = &mut self.names[transport.index()] {
            there.server = server;
        }
    }
}

/// Joins a server if it is to, ends a dead one that has the name, and takes the name if it is free.
fn claim(state: &State, name: Name, claimed: Claimed, joins: Option<Name>, progress: &Progress, into: &mut Steps) {
    let joined = progress.held[0];
    if let Some(server) = joins.filter(|_| joined.is_none()) {
        if let Some(owner) = state.standing(server).filter(|owner| !state.closed.has(*owner)) {
            let mut progress = *progress;
            progress.held[0] = Some(owner);
            into.push((state.clone(), Step::Going(progress)));
        }
        return;
    }
    match claimed {
        Claimed::Registered(owner) if state.at(name).is_none() && state.is_later(name, owner) => {
            let server =
                joined.filter(|server| state.name_of(*server).is_some_and(|name| state.standing(name).is_some()));
            into.push(done(state, |next| next.insert(name, owner, server)));
        }
        Claimed::Taken(by) if state.alive(name) == Some(by) => into.push((state.clone(), Step::Done)),
        _ => {}
    }
    if state.dead(name).is_some() {
        into.push(going(state, *progress, |next| next.end(name)));
    }
}

/// Finds that there is no such server; if it found one before, it may have ended a dead one that has the name meanwhile.
fn birth_in_vain(state: &State, name: Name, server: Name, progress: &Progress, into: &mut Steps) {
    if is_missing(state, server) {
        into.push((state.clone(), Step::Done));
    }
    match progress.held[0] {
        None => {
            if let Some(owner) = state.standing(server).filter(|owner| !state.closed.has(*owner)) {
                let mut progress = *progress;
                progress.held[0] = Some(owner);
                into.push((state.clone(), Step::Going(progress)));
            }
        }
        Some(_) if state.dead(name).is_some() => into.push(going(state, *progress, |next| next.end(name))),
        Some(_) => {}
    }
}

/// Ends whoever has the name, in two steps. One that is in vain finds the name free, but may have taken a first step
/// before another call took the second.
fn end(state: &State, name: Option<Name>, ended: bool, progress: &Progress, into: &mut Steps) {
    let Some((name, there)) = name.and_then(|name| Some((name, state.at(name)?))) else {
        if !ended {
            into.push((state.clone(), Step::Done));
        }
        return;
    };
    if !there.ending {
        into.push(going(state, *progress, |next| next.end(name)));
    } else if ended {
        into.push(done(state, |next| next.end(name)));
    }
}

/// Ends any of the dead, and is done when there was an instant for each name at which nobody dead had it.
fn sweep(state: &State, swept: [u8; 2], progress: &Progress, into: &mut Steps) {
    let mut settled = progress.settled;
    for name in Name::ALL {
        match state.dead(name) {
            None => settled |= 1 << name.index(),
            Some(_) => {
                let mut next = state.clone();
                let mut progress = *progress;
                let side = usize::from(name.side == crate::sequence::Side::Transport);
                progress.freed[side] += u8::from(next.end(name));
                if progress.freed[side] <= swept[side] {
                    into.push((next, Step::Going(progress)));
                }
            }
        }
    }
    if settled == Name::ALL.iter().map(|name| 1 << name.index()).sum() && progress.freed == swept {
        into.push((state.clone(), Step::Done));
    } else if settled != progress.settled {
        into.push((state.clone(), Step::Going(Progress { settled, ..*progress })));
    }
}

fn done<R>(state: &State, change: impl FnOnce(&mut State) -> R) -> (State, Step<Progress>) {
    let mut next = state.clone();
    change(&mut next);
    (next, Step::Done)
}

fn going<R>(state: &State, progress: Progress, change: impl FnOnce(&mut State) -> R) -> (State, Step<Progress>) {
    let mut next = state.clone();
    change(&mut next);
    (next, Step::Going(progress))
}
