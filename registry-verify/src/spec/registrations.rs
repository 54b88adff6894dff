//! The steps of registrations, and of everything that ends one.

use super::name::{Name, Owner, Side};
use super::outcome::Outcome;
use super::relaxation::Relaxation;
use super::steps::{Progress, Steps};

/// Removes a dead registration of the name, and takes the name if it is free.
pub(super) fn register(steps: &mut Steps<'_>, name: Name, capacity: usize, outcome: &Outcome) {
    claim(steps, name, None, capacity, outcome);
}

/// Joins the server, then takes the name like another registration. If the server's removal has begun by then, the
/// transport is not bound.
pub(super) fn register_bound(steps: &mut Steps<'_>, name: Name, server: Name, capacity: usize, outcome: &Outcome) {
    let joins = match outcome {
        Outcome::ServerNotFound => return register_without_server(steps, name, server),
        // A call that finds the name taken need not have joined the server.
        Outcome::Taken(_) => !steps.allows(Relaxation::ErrorPrecedence),
        _ => true,
    };
    match steps.progress.candidates[0] {
        None if joins => join(steps, server),
        joined => claim(steps, name, joined, capacity, outcome),
    }
}

/// Removes the registration of a name in two steps; whether it existed is `ended`, if that was observed.
///
/// A failed call finds the name free, but may have taken the first step before another call took the second.
pub(super) fn end(steps: &mut Steps<'_>, name: Option<Name>, ended: Option<bool>) {
    match name.filter(|name| steps.state.at(*name).is_some()) {
        None => steps.done_if(ended != Some(true)),
        Some(name) if !steps.state.is_ending(name) => steps.end(name),
        Some(name) if ended != Some(false) => steps.done_with(|next| next.end(name)),
        Some(_) => {}
    }
}

/// Removes dead entries. It is done once each name had an instant at which it was not dead.
pub(super) fn sweep(steps: &mut Steps<'_>, expected: [usize; 2]) {
    let progress = *steps.progress;
    let mut observed = progress.observed;
    for name in Name::ALL {
        if steps.state.dead(name).is_none() {
            observed |= 1 << name.index();
            continue;
        }
        let mut removed = progress.removed;
        let side = usize::from(name.side == Side::Transport);
        removed[side] += u8::from(steps.state.is_ending(name));
        if usize::from(removed[side]) <= expected[side] {
            steps.proceed(Progress { removed, ..progress }, |next| next.end(name));
        }
    }
    let is_complete = observed == (1 << Name::ALL.len()) - 1 && progress.removed.map(usize::from) == expected;
    if is_complete {
        steps.done();
    } else if observed != progress.observed {
        steps.proceed(Progress { observed, ..progress }, |_| {});
    }
}

/// Finds no such server, or that the one it found has ended. In between it may have removed a dead registration of the
/// name.
fn register_without_server(steps: &mut Steps<'_>, name: Name, server: Name) {
    let state = steps.state;
    steps.done_if(state.is_missing(server));
    match steps.progress.candidates[0] {
        None => join(steps, server),
        Some(found) => {
            // The server that it found has ended, whether or not another one has its name by now.
            steps.done_if(!is_bindable(steps, found));
            if state.dead(name).is_some() {
                steps.end(name);
            }
        }
    }
}

fn claim(steps: &mut Steps<'_>, name: Name, joined: Option<Owner>, capacity: usize, outcome: &Outcome) {
    let state = steps.state;
    match *outcome {
        Outcome::Registered(owner) if state.at(name).is_none() && may_be_next(steps, name, owner) => {
            let server = joined.filter(|server| is_bindable(steps, *server));
            steps.done_with(|next| {
                next.insert(name, owner, server);
                next.mailboxes.add(owner, capacity);
            });
        }
        Outcome::Taken(by) => steps.done_if(state.alive(name) == Some(by)),
        _ => {}
    }
    if state.dead(name).is_some() {
        steps.end(name);
    }
}

fn join(steps: &mut Steps<'_>, server: Name) {
    if !steps.state.is_missing(server) {
        steps.state.owner(server).into_iter().for_each(|owner| steps.hold(owner, 0));
    }
}

fn is_bindable(steps: &Steps<'_>, server: Owner) -> bool {
    steps.state.name_of(server).is_some_and(|name| !steps.state.is_ending(name))
}

fn may_be_next(steps: &Steps<'_>, name: Name, owner: Owner) -> bool {
    if steps.allows(Relaxation::InterleavedIncarnations) {
        steps.state.is_later(name, owner)
    } else {
        steps.state.is_next(owner)
    }
}
