//! The steps of one call: what it has done so far, and what it can do next.

use std::hash::{Hash, Hasher};

use super::RegistrySpec;
use super::name::{IDS, Name, Owner, Owners};
use super::relaxation::Relaxation;
use super::state::{State, pack};
use crate::linear::Step;

/// The progress of a call.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Progress {
    /// The owners seen alive by this call, of those that will close their mailbox.
    pub(super) seen: Owners,
    /// The server that was joined, or the registration that was found: one for each id.
    pub(super) candidates: [Option<Owner>; IDS],
    /// The targets of a call with several targets that have had their instant, as bits.
    pub(super) observed: u32,
    /// The numbers of servers and transports that a sweep has removed so far.
    pub(super) removed: [u8; 2],
}

/// Packed into few words, because the search hashes the progress of every pending call.
impl Hash for Progress {
    fn hash<H: Hasher>(&self, hasher: &mut H) {
        let word = self.candidates.iter().fold(0, |word, owner| word << 8 | u64::from(pack(*owner)));
        hasher.write_u64(word << 32 | u64::from(self.observed));
        hasher.write_u64(u64::from(u16::from_le_bytes(self.removed)));
        self.seen.hash(hasher);
    }
}

/// Collects the steps that a call can take in a state.
#[derive(Debug)]
pub(super) struct Steps<'a> {
    pub(super) spec: &'a RegistrySpec,
    pub(super) state: &'a State,
    pub(super) progress: &'a Progress,
    pub(super) into: &'a mut Vec<(State, Step<Progress>)>,
}

impl Steps<'_> {
    /// Adds the step that completes the call and changes nothing.
    pub(super) fn done(&mut self) {
        self.done_with(|_| {});
    }

    /// Adds the step that completes the call and changes nothing, if `is_allowed`.
    pub(super) fn done_if(&mut self, is_allowed: bool) {
        if is_allowed {
            self.done();
        }
    }

    /// Adds a step that completes the call.
    pub(super) fn done_with(&mut self, change: impl FnOnce(&mut State)) {
        let mut next = self.state.clone();
        change(&mut next);
        self.done_in(next);
    }

    /// Adds a step that completes the call, with the state after it.
    pub(super) fn done_in(&mut self, next: State) {
        self.into.push((next, Step::Done));
    }

    /// Adds a step after which the call continues.
    pub(super) fn proceed(&mut self, progress: Progress, change: impl FnOnce(&mut State)) {
        let mut next = self.state.clone();
        change(&mut next);
        self.into.push((next, Step::Continue(progress)));
    }

    /// Adds the next of the two steps of a removal.
    pub(super) fn end(&mut self, name: Name) {
        self.proceed(*self.progress, |next| next.end(name));
    }

    /// Adds a step that remembers a registration that was found.
    pub(super) fn hold(&mut self, owner: Owner, slot: usize) {
        let mut progress = *self.progress;
        progress.candidates[slot] = Some(owner);
        self.proceed(progress, |_| {});
    }

    /// Adds the step after which `observed` are the targets that have had their instant, of `all`.
    pub(super) fn observe(&mut self, observed: u32, all: u32, change: impl FnOnce(&mut State)) {
        if observed == all {
            self.done_with(change);
        } else if observed != self.progress.observed {
            self.proceed(Progress { observed, ..*self.progress }, change);
        }
    }

    /// Returns whether an entry was alive at an instant of this call.
    pub(super) fn was_alive(&self, name: Name) -> bool {
        self.state.owner(name).is_some_and(|owner| !self.state.is_closed(owner) || self.progress.seen.has(owner))
    }

    /// Adds a step that remembers the owners that are alive now but will close their mailbox.
    pub(super) fn remember_live(&mut self, names: &[Name]) {
        let live = names.iter().filter_map(|name| self.state.alive(*name));
        let seen = live.filter(|owner| self.spec.will_close(*owner)).fold(self.progress.seen, Owners::with);
        if seen != self.progress.seen {
            self.proceed(Progress { seen, ..*self.progress }, |_| {});
        }
    }

    /// Adds the next step of finding a registration with a closed mailbox and removing it: `found` is the one that the
    /// call would find now.
    ///
    /// Returns whether the one that it found has been removed, by any call.
    pub(super) fn remove_closed(&mut self, found: Option<Owner>, slot: usize) -> bool {
        match self.progress.candidates[slot] {
            None => {
                if let Some(owner) = found.filter(|owner| self.state.is_closed(*owner) || self.spec.will_close(*owner))
                {
                    self.hold(owner, slot);
                }
                false
            }
            Some(owner) if self.state.is_closed(owner) => match self.state.name_of(owner) {
                None => true,
                Some(name) => {
                    self.end(name);
                    false
                }
            },
            Some(_) => false,
        }
    }

    pub(super) fn allows(&self, relaxation: Relaxation) -> bool {
        self.spec.allows(relaxation)
    }
}
