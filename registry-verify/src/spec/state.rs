//! The state of the registry at one instant, and its elementary changes.

use std::fmt;
use std::hash::{Hash, Hasher};

use super::mailboxes::Mailboxes;
use super::name::{NAMES, Name, Owner, Owners, Side};

/// The state of the registry at one instant. The default is an empty registry whose mailboxes are not tracked.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct State {
    names: [Option<Registration>; NAMES],
    /// The last owner of each name; the next one must be greater.
    last: [Option<Owner>; NAMES],
    /// The owners whose mailbox is closed, which is final.
    closed: Owners,
    pub(super) mailboxes: Mailboxes,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Registration {
    pub(super) owner: Owner,
    /// Whether its bindings have ended and its name is about to become free.
    ending: bool,
    /// The owner of the server that it is bound to, which is registered and not ending.
    pub(super) server: Option<Owner>,
}

impl State {
    /// Returns an empty registry whose mailboxes are tracked.
    pub(super) fn tracked() -> Self {
        Self { mailboxes: Mailboxes::tracked(), ..Self::default() }
    }

    pub(super) fn at(&self, name: Name) -> Option<Registration> {
        self.names[name.index()]
    }

    /// Returns the owner of a name, alive or not.
    pub(super) fn owner(&self, name: Name) -> Option<Owner> {
        self.at(name).map(|registration| registration.owner)
    }

    /// Returns the server that a transport is bound to.
    pub(super) fn server_of(&self, transport: Name) -> Option<Owner> {
        self.at(transport)?.server
    }

    /// Returns the name under which an owner is registered.
    pub(super) fn name_of(&self, owner: Owner) -> Option<Name> {
        let is_owned = |of: &Option<Registration>| of.is_some_and(|registration| registration.owner == owner);
        self.names.iter().position(is_owned).map(|index| Name::ALL[index])
    }

    /// Returns whether the mailbox of an owner is closed.
    pub(super) fn is_closed(&self, owner: Owner) -> bool {
        self.closed.has(owner)
    }

    /// Returns the owner of a name, if its mailbox is open.
    pub(super) fn alive(&self, name: Name) -> Option<Owner> {
        self.owner(name).filter(|owner| !self.is_closed(*owner))
    }

    /// Returns the owner of a name, if its mailbox is closed.
    pub(super) fn dead(&self, name: Name) -> Option<Owner> {
        self.owner(name).filter(|owner| self.is_closed(*owner))
    }

    /// Returns the owner of a name, alive or not, if its removal has not begun.
    pub(super) fn bindable(&self, name: Name) -> Option<Owner> {
        self.at(name).filter(|registration| !registration.ending).map(|registration| registration.owner)
    }

    /// Returns whether a name cannot be bound: it is free, dead, or its removal has begun.
    pub(super) fn is_missing(&self, name: Name) -> bool {
        self.bindable(name).is_none_or(|owner| self.is_closed(owner))
    }

    /// Returns whether the removal of a registration has begun.
    pub(super) fn is_ending(&self, name: Name) -> bool {
        self.at(name).is_some_and(|registration| registration.ending)
    }

    /// Returns whether a transport is bound to the current registration of a server.
    pub(super) fn is_bound(&self, transport: Name, server: Name) -> bool {
        let bound_to = self.server_of(transport);
        bound_to.is_some() && bound_to == self.owner(server)
    }

    /// Returns whether `owner` may be the next one of a name: later owners have greater incarnations.
    pub(super) fn is_later(&self, name: Name, owner: Owner) -> bool {
        self.last[name.index()].is_none_or(|last| last < owner)
    }

    /// Returns whether `owner` is the next one of all, without a gap.
    pub(super) fn is_next(&self, owner: Owner) -> bool {
        owner.index() == self.last.iter().flatten().max().map_or(0, |last| last.index() + 1)
    }

    /// Returns the numbers of servers, transports and bindings, dead ones included.
    pub(super) fn counts(&self) -> (usize, usize, usize) {
        let count = |side| Name::all_of(side).filter(|name| self.at(*name).is_some()).count();
        let bindings = self.names.iter().flatten().filter(|registration| registration.server.is_some()).count();
        (count(Side::Server), count(Side::Transport), bindings)
    }

    pub(super) fn insert(&mut self, name: Name, owner: Owner, server: Option<Owner>) {
        self.last[name.index()] = Some(owner);
        self.names[name.index()] = Some(Registration { owner, ending: false, server });
    }

    /// Takes the first step of a removal, or the second, which frees the name.
    pub(super) fn end(&mut self, name: Name) {
        let Some(registration) = &mut self.names[name.index()] else { return };
        if registration.ending {
            self.names[name.index()] = None;
            return;
        }
        let owner = registration.owner;
        registration.ending = true;
        registration.server = None;
        for other in self.names.iter_mut().flatten().filter(|other| other.server == Some(owner)) {
            other.server = None;
        }
    }

    pub(super) fn bind(&mut self, transport: Name, server: Option<Owner>) {
        if let Some(registration) = &mut self.names[transport.index()] {
            registration.server = server;
        }
    }

    pub(super) fn close(&mut self, owner: Owner) {
        self.closed = self.closed.with(owner);
    }
}

/// Packed into few words, because the search hashes every state that it visits. The mailboxes are left out: the search
/// does not track them.
impl Hash for State {
    fn hash<H: Hasher>(&self, hasher: &mut H) {
        let packed = |registration: &Option<Registration>| {
            registration.map_or(0, |of| {
                1 << 24 | u64::from(of.ending) << 16 | u64::from(pack(of.server)) << 8 | u64::from(of.owner.0)
            })
        };
        for pair in self.names.chunks(2) {
            hasher.write_u64(pair.iter().fold(0, |word, registration| word << 32 | packed(registration)));
        }
        for eight in self.last.chunks(8) {
            hasher.write_u64(eight.iter().fold(0, |word, owner| word << 8 | u64::from(pack(*owner))));
        }
        self.closed.hash(hasher);
    }
}

impl Hash for Owners {
    fn hash<H: Hasher>(&self, hasher: &mut H) {
        hasher.write_u64(self.0 as u64);
        hasher.write_u64((self.0 >> 64) as u64);
    }
}

/// Returns a number that differs for each owner and for none.
pub(super) fn pack(owner: Option<Owner>) -> u8 {
    owner.map_or(u8::MAX, |owner| owner.0)
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut facts = Vec::new();
        for name in Name::ALL {
            if let Some(Registration { owner, ending, server }) = self.at(name) {
                let closed = if self.is_closed(owner) { ", closed" } else { "" };
                let ending = if ending { ", ending" } else { "" };
                let bound = server.map(|server| format!(", bound to {server}")).unwrap_or_default();
                facts.push(format!("{name} is {owner}{closed}{ending}{bound}"));
            } else if let Some(last) = self.last[name.index()] {
                facts.push(format!("{name} is free, last owned by {last}"));
            }
        }
        facts.extend(self.mailboxes.describe());
        if facts.is_empty() { f.write_str("empty registry") } else { f.write_str(&facts.join("; ")) }
    }
}
