//! The sequential specification of the registry: its state at one instant, and the steps of each call.
//!
//! It specifies what `docs/semantics.md` promises. Of two registrations of one name the later one has the greater
//! incarnation. A call that is promised to take effect at one instant has one step; these have more, with steps of
//! other calls possibly in between:
//!
//! - *Removal*: the bindings end, then the name becomes free. Of two calls that remove the same registration each may
//!   take one step; the one that frees the name is the one that succeeded.
//! - *Registration under the name of a dead owner*: the removal of the dead registration, then the registration.
//! - *Registration of a bound transport*: it joins its server, then it becomes visible. If the server's removal has
//!   begun meanwhile, the transport is registered unbound, or not at all.
//! - *Calls with several targets*, which are [`Call::TransportsOf`], [`Call::Broadcast`] and [`Call::Sweep`]: an
//!   instant for each target.
//! - *A message to a closed mailbox*: its registration was found, its mailbox was closed, and the registration is
//!   removed when the call returns.
//! - *Liveness checks* of bindings and server lookups: the entry was alive at an instant before the one at which the
//!   call takes effect, since only its owner closes a mailbox.

mod call;
mod reads;
#[cfg(test)]
mod tests;
mod writes;

use std::fmt;

use crate::linear::{History, Specification, Step};
use crate::sequence::Side;

pub use call::{BindOutcome, Call, DeliveryOutcome, RegisterOutcome, RouteOutcome};

/// The number of ids of each side.
pub const IDS: usize = 2;

/// The maximum number of owners in one history.
pub const OWNERS: usize = 64;

/// An id of one side.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Name {
    /// The side.
    pub side: Side,
    /// The id, less than [`IDS`].
    pub id: u8,
}

impl Name {
    /// All names.
    pub const ALL: [Self; 2 * IDS] = [Self::server(0), Self::server(1), Self::transport(0), Self::transport(1)];

    /// Returns the name of a server.
    #[must_use]
    pub const fn server(id: u8) -> Self {
        Self { side: Side::Server, id }
    }

    /// Returns the name of a transport.
    #[must_use]
    pub const fn transport(id: u8) -> Self {
        Self { side: Side::Transport, id }
    }

    fn index(self) -> usize {
        match self.side {
            Side::Server => self.id.into(),
            Side::Transport => IDS + usize::from(self.id),
        }
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.side {
            Side::Server => write!(f, "server {}", self.id),
            Side::Transport => write!(f, "transport {}", self.id),
        }
    }
}

/// The owner of a registration, and thereby that registration: a number less than [`OWNERS`].
///
/// Owners are ordered by their incarnations.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Owner(pub u8);

impl fmt::Display for Owner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "#{}", self.0)
    }
}

/// A set of owners.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
struct Owners(u64);

impl Owners {
    fn has(self, owner: Owner) -> bool {
        self.0 >> owner.0 & 1 == 1
    }

    fn with(self, owner: Owner) -> Self {
        Self(self.0 | 1 << owner.0)
    }
}

/// The state of the registry at one instant. The default is an empty registry.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct State {
    names: [Option<Registration>; 2 * IDS],
    /// The last owner of each name; the next one must be greater.
    last: [Option<Owner>; 2 * IDS],
    /// The owners whose mailbox is closed, which is final.
    closed: Owners,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Registration {
    owner: Owner,
    /// Whether its bindings have ended and its name is about to become free.
    ending: bool,
    /// The owner of the server that it is bound to, which is registered and not ending.
    server: Option<Owner>,
}

impl State {
    fn at(&self, name: Name) -> Option<Registration> {
        self.names[name.index()]
    }

    /// Returns the name under which an owner is registered.
    fn name_of(&self, owner: Owner) -> Option<Name> {
        Name::ALL.into_iter().find(|name| self.at(*name).is_some_and(|registration| registration.owner == owner))
    }

    /// Returns the owner of a name, if its mailbox is open.
    fn alive(&self, name: Name) -> Option<Owner> {
        self.at(name).map(|registration| registration.owner).filter(|owner| !self.closed.has(*owner))
    }

    /// Returns the owner of a name, alive or not, if its removal has not begun.
    fn bindable(&self, name: Name) -> Option<Owner> {
        self.at(name).filter(|registration| !registration.ending).map(|registration| registration.owner)
    }

    /// Returns the owner of a name, if its mailbox is closed.
    fn dead(&self, name: Name) -> Option<Owner> {
        self.at(name).map(|registration| registration.owner).filter(|owner| self.closed.has(*owner))
    }

    /// Returns whether a transport is bound to the current registration of a server.
    fn is_bound(&self, transport: Name, server: Name) -> bool {
        let bound_to = self.at(transport).and_then(|registration| registration.server);
        bound_to.is_some() && bound_to == self.at(server).map(|registration| registration.owner)
    }

    /// Returns whether `owner` may be the next one of a name: later owners have greater incarnations.
    fn is_later(&self, name: Name, owner: Owner) -> bool {
        self.last[name.index()].is_none_or(|last| last < owner)
    }

    fn insert(&mut self, name: Name, owner: Owner, server: Option<Owner>) {
        self.last[name.index()] = Some(owner);
        self.names[name.index()] = Some(Registration { owner, ending: false, server });
    }

    /// Takes the first step of a removal, or the second; returns whether the name is free now.
    fn end(&mut self, name: Name) -> bool {
        let Some(registration) = &mut self.names[name.index()] else { return false };
        if registration.ending {
            self.names[name.index()] = None;
            return true;
        }
        let owner = registration.owner;
        registration.ending = true;
        registration.server = None;
        for other in self.names.iter_mut().flatten().filter(|other| other.server == Some(owner)) {
            other.server = None;
        }
        false
    }
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut is_empty = true;
        for name in Name::ALL {
            let Some(registration) = self.at(name) else {
                if let Some(last) = self.last[name.index()] {
                    write!(f, "{}{name} is free, last owned by {last}", if is_empty { "" } else { "; " })?;
                    is_empty = false;
                }
                continue;
            };
            write!(f, "{}{name} is {}", if is_empty { "" } else { "; " }, registration.owner)?;
            if self.closed.has(registration.owner) {
                f.write_str(", closed")?;
            }
            if registration.ending {
                f.write_str(", ending")?;
            }
            if let Some(server) = registration.server {
                write!(f, ", bound to {server}")?;
            }
            is_empty = false;
        }
        if is_empty { f.write_str("empty registry") } else { Ok(()) }
    }
}

/// The progress of a call.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Progress {
    /// The owners seen alive by this call, of those that will close their mailbox.
    seen: Owners,
    /// The server that was joined, or the registration that was found: one for each id.
    candidates: [Option<Owner>; IDS],
    /// The targets of a call with several targets that have had their instant, as bits.
    observed: u16,
    /// The numbers of servers and transports that a sweep has removed so far.
    removed: [u8; 2],
}

/// The specification, for one history.
#[derive(Clone, Copy, Debug)]
pub struct RegistrySpec {
    /// The owners that close their mailbox in this history. The liveness of others need not be remembered.
    will_close: Owners,
}

impl RegistrySpec {
    /// Returns the specification for a history.
    #[must_use]
    pub fn of(history: &History<Call>) -> Self {
        let mut will_close = Owners::default();
        for timed in history.iter().flatten() {
            if let Call::Close(owner) = timed.call {
                will_close = will_close.with(owner);
            }
        }
        Self { will_close }
    }
}

impl Specification for RegistrySpec {
    type State = State;
    type Call = Call;
    type Progress = Progress;

    fn steps(&self, state: &State, call: &Call, progress: &Progress, into: &mut Vec<(State, Step<Progress>)>) {
        if self.is_read_only(call) {
            into.extend(self.read_step(state, call, progress).map(|step| (state.clone(), step)));
        } else {
            self.write_steps(state, call, progress, into);
        }
    }

    fn is_read_only(&self, call: &Call) -> bool {
        call.is_read_only()
    }
}
