//! The registry as a sequential specification: what it may be at one instant, and what each call may do in one step.
//!
//! It says what `docs/semantics.md` promises. Of two registrations of one name the later one has the greater incarnation.
//! Where a call is promised to take effect at one instant it has one step;
//! these have more, and others may come in between:
//!
//! - *A death*: the bindings end, then the name is free. Two calls that end the same registration may take one step
//!   each; the one that frees the name is the one that ended it.
//! - *A registration under the name of a dead owner*: that one's death, then the registration.
//! - *A transport that is born bound*: it joins its server, then it can be found; if the server has ended meanwhile it
//!   is registered unbound, or not at all.
//! - *Those that reach many*, which are [`Call::TransportsOf`], [`Call::Broadcast`] and [`Call::Sweep`]: an instant for
//!   each of them.
//! - *A message to a closed mailbox*: its registration was found, its mailbox was closed, and it is gone when the call
//!   returns.
//! - *Whoever must be alive*, to be bound or to be asked for its server, was so at an instant before the one at which
//!   the call takes effect: that a mailbox is closed is nobody's doing but its owner's.

mod call;
mod reads;
#[cfg(test)]
mod tests;
mod writes;

use std::fmt;

use crate::linear::{History, Specification, Step};
use crate::sequence::Side;

pub use call::{BindOutcome, Call, DeliveryOutcome, RegisterOutcome, RouteOutcome};

/// How many ids there are of each side.
pub const IDS: usize = 2;

/// How many owners there can be in one history.
pub const OWNERS: usize = 64;

/// An id of one side.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Name {
    /// Servers or transports.
    pub side: Side,
    /// Below [`IDS`].
    pub id: u8,
}

impl Name {
    /// All there are.
    pub const ALL: [Self; 2 * IDS] = [Self::server(0), Self::server(1), Self::transport(0), Self::transport(1)];

    /// A server's.
    #[must_use]
    pub const fn server(id: u8) -> Self {
        Self { side: Side::Server, id }
    }

    /// A transport's.
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

/// Whoever made a registration, and that registration: below [`OWNERS`].
///
/// Owners are ordered as their incarnations are.
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

/// What the registry is at one instant; nobody is registered at first.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct State {
    names: [Option<Registration>; 2 * IDS],
    /// Who was registered last under each name; the next one must be greater.
    last: [Option<Owner>; 2 * IDS],
    /// Whose mailbox is closed, which it stays.
    closed: Owners,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Registration {
    owner: Owner,
    /// Its bindings have ended, and its name is about to be free.
    ending: bool,
    /// The owner of the server that it is bound to; only of a server that is registered and not ending.
    server: Option<Owner>,
}

impl State {
    fn at(&self, name: Name) -> Option<Registration> {
        self.names[name.index()]
    }

    /// Where an owner is registered.
    fn name_of(&self, owner: Owner) -> Option<Name> {
        Name::ALL.into_iter().find(|name| self.at(*name).is_some_and(|registration| registration.owner == owner))
    }

    /// Who can be found under a name.
    fn alive(&self, name: Name) -> Option<Owner> {
        self.at(name).map(|registration| registration.owner).filter(|owner| !self.closed.has(*owner))
    }

    /// Who is registered under a name, alive or not, and can be bound: its end has not begun.
    fn bindable(&self, name: Name) -> Option<Owner> {
        self.at(name).filter(|registration| !registration.ending).map(|registration| registration.owner)
    }

    /// Whoever is registered under a name, if it is dead.
    fn dead(&self, name: Name) -> Option<Owner> {
        self.at(name).map(|registration| registration.owner).filter(|owner| self.closed.has(*owner))
    }

    /// Whether a transport is bound to the present registration of a server.
    fn is_bound(&self, transport: Name, server: Name) -> bool {
        let bound_to = self.at(transport).and_then(|registration| registration.server);
        bound_to.is_some() && bound_to == self.at(server).map(|registration| registration.owner)
    }

    /// Whether that owner can be the next one under a name: later ones have greater incarnations.
    fn is_later(&self, name: Name, owner: Owner) -> bool {
        self.last[name.index()].is_none_or(|last| last < owner)
    }

    fn insert(&mut self, name: Name, owner: Owner, server: Option<Owner>) {
        self.last[name.index()] = Some(owner);
        self.names[name.index()] = Some(Registration { owner, ending: false, server });
    }

    /// The first step of a death, or the second; says whether the name is free.
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
        let mut nobody = true;
        for name in Name::ALL {
            let Some(registration) = self.at(name) else {
                if let Some(last) = self.last[name.index()] {
                    write!(f, "{}{name} is free and was {last}", if nobody { "" } else { "; " })?;
                    nobody = false;
                }
                continue;
            };
            write!(f, "{}{name} is {}", if nobody { "" } else { "; " }, registration.owner)?;
            if self.closed.has(registration.owner) {
                f.write_str(", closed")?;
            }
            if registration.ending {
                f.write_str(", ending")?;
            }
            if let Some(server) = registration.server {
                write!(f, ", bound to {server}")?;
            }
            nobody = false;
        }
        if nobody { f.write_str("nobody is registered") } else { Ok(()) }
    }
}

/// How far a call has come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Progress {
    /// Who was seen alive under a name that the call is about, of those who will be dead.
    seen: Owners,
    /// Whose group was joined, or whose registration was found: one for each id.
    candidates: [Option<Owner>; IDS],
    /// Of those that reach many: who has had its instant, as bits.
    observed: u16,
    /// How many servers and transports a sweep has ended so far.
    removed: [u8; 2],
}

/// The specification, for one history.
#[derive(Clone, Copy, Debug)]
pub struct RegistrySpec {
    /// Whose mailbox is closed in the course of it; of all others nobody need remember that they were alive.
    will_close: Owners,
}

impl RegistrySpec {
    /// The specification for that history.
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
