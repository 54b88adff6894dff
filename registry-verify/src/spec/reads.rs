//! The steps of lookups, lists and counts, and of what an owner does with its inbox.

use super::name::{Message, Name, Owner, Side};
use super::steps::Steps;

/// Looks up a name at one instant.
pub(super) fn find(steps: &mut Steps<'_>, name: Name, found: Option<Owner>) {
    steps.done_if(steps.state.alive(name) == found);
}

/// Looks up several names, each at its own instant.
pub(super) fn find_many(steps: &mut Steps<'_>, names: &[Name], found: &[Option<Owner>]) {
    if names.len() != found.len() {
        return;
    }
    let mut observed = steps.progress.observed;
    for (number, (name, found)) in names.iter().zip(found).enumerate() {
        observed |= u32::from(steps.state.alive(*name) == *found) << number;
    }
    steps.observe(observed, (1 << names.len()) - 1, |_| {});
}

/// Lists a side: a listed entry was alive at an instant, and a name that is not listed was not.
pub(super) fn list(steps: &mut Steps<'_>, side: Side, listed: &[(Name, Owner)]) {
    let is_repeated = |(number, entry)| listed[..number].contains(entry);
    if listed.iter().any(|(name, _)| name.side != side) || listed.iter().enumerate().any(is_repeated) {
        return;
    }
    let absent = Name::all_of(side).filter(|name| listed.iter().all(|(listed, _)| listed != name));
    let expected = listed.iter().map(|(name, owner)| (*name, Some(*owner))).chain(absent.map(|name| (name, None)));
    let (mut observed, mut all) = (steps.progress.observed, 0);
    for (number, (name, owner)) in expected.enumerate() {
        observed |= u32::from(steps.state.alive(name) == owner) << number;
        all |= 1 << number;
    }
    steps.observe(observed, all, |_| {});
}

/// Checks a lease: it is current until its registration's name is free, dead or not.
pub(super) fn is_current(steps: &mut Steps<'_>, owner: Owner, is_current: bool) {
    steps.done_if(steps.state.name_of(owner).is_some() == is_current);
}

/// Counts registrations and bindings, dead ones included, while no other call is pending.
pub(super) fn count(steps: &mut Steps<'_>, servers: usize, transports: usize, bindings: usize) {
    steps.done_if(steps.state.counts() == (servers, transports, bindings));
}

/// Reads all messages in an inbox, which may be closed.
pub(super) fn drain(steps: &mut Steps<'_>, owner: Owner, read: &[(Name, Message)]) {
    if steps.state.mailboxes.may_contain(owner, read) {
        steps.done_with(|next| next.mailboxes.clear(owner));
    }
}

/// Returns the number of messages in an inbox.
pub(super) fn waiting(steps: &mut Steps<'_>, owner: Owner, messages: usize) {
    steps.done_if(steps.state.mailboxes.may_hold(owner, messages));
}
