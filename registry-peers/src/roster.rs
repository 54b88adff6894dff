//! The list of peers: what each is called, what it is, how it is made, and what a reader must know to compare fairly.

use anyhow::Result;
use registry_bench::bare::dashmap::BareDashmap;
use registry_bench::bare::evmap::BareEvmap;
use registry_bench::bare::papaya::BarePapaya;
use registry_bench::bare::reference::BareReference;
use registry_bench::bare::{Family, OverBare};
use registry_bench::registry::{Layout, OverRegistry};
use registry_bench::timed_loop::Operation;
use registry_core::Backend;
use registry_router::backends::{Dashmap, Evmap, Papaya};

use crate::beam::{ELIXIR, ORIGINAL, Script};
use crate::kameo::Kameo;
use crate::names::Size;
use crate::peer::Peer;
use crate::ractor::Ractor;
use crate::scc::BareScc;
use crate::session::OverSubject;
use crate::version;

/// How many shards ours have.
const SHARDS: usize = 64;

/// Somebody to be measured.
#[derive(Clone, Copy, Debug)]
pub struct Entry {
    /// The name on the command line.
    pub key: &'static str,
    /// `ours`, `map`, `registry` or `beam`.
    pub kind: &'static str,
    /// The name in rows, which the version follows.
    name: &'static str,
    /// What stands after the version.
    after: &'static str,
    /// The crate that the version is of.
    versioned: &'static str,
    /// How to make it.
    pub make: Make,
    /// What a reader must know about an operation.
    remark: fn(Operation) -> Option<&'static str>,
}

/// How to make a peer.
#[derive(Clone, Copy, Debug)]
pub enum Make {
    /// In this process.
    Here(fn(Size, u64) -> Result<Box<dyn Peer>>),
    /// By a program in another language, which also says its version.
    There(&'static Script),
}

/// All of them, in the order in which they take turns.
pub const ROSTER: [Entry; 12] = [
    Entry {
        key: "ours-papaya",
        kind: "ours",
        name: "Registry",
        after: " on papaya",
        versioned: "registry-router",
        make: Make::Here(ours::<Papaya>),
        remark: about_ours,
    },
    Entry {
        key: "ours-dashmap",
        kind: "ours",
        name: "Registry",
        after: " on dashmap",
        versioned: "registry-router",
        make: Make::Here(ours::<Dashmap>),
        remark: about_ours,
    },
    Entry {
        key: "ours-evmap",
        kind: "ours",
        name: "Registry",
        after: " on evmap",
        versioned: "registry-router",
        make: Make::Here(ours::<Evmap>),
        remark: about_ours,
    },
    map("papaya", "papaya", Make::Here(bare::<BarePapaya>)),
    map("dashmap", "dashmap", Make::Here(bare::<BareDashmap>)),
    map("evmap", "evmap", Make::Here(bare::<BareEvmap>)),
    map("scc", "scc HashIndex", Make::Here(bare::<BareScc>)),
    map("rwlock", "std RwLock<HashMap>", Make::Here(bare::<BareReference>)),
    Entry {
        key: "kameo",
        kind: "registry",
        name: "kameo",
        after: "",
        versioned: "kameo",
        make: Make::Here(|size, seed| Ok(Box::new(Kameo::new(size, seed)?))),
        remark: about_kameo,
    },
    Entry {
        key: "ractor",
        kind: "registry",
        name: "ractor",
        after: "",
        versioned: "ractor",
        make: Make::Here(|size, seed| Ok(Box::new(Ractor::new(size, seed)?))),
        remark: about_ractor,
    },
    Entry {
        key: "original",
        kind: "beam",
        name: "64 ETS tables",
        after: "",
        versioned: "",
        make: Make::There(&ORIGINAL),
        remark: about_original,
    },
    Entry {
        key: "elixir",
        kind: "beam",
        name: "Elixir Registry",
        after: "",
        versioned: "",
        make: Make::There(&ELIXIR),
        remark: about_elixir,
    },
];

impl Entry {
    /// The name and the version, as built in. A program in another language is asked for its version instead.
    #[must_use]
    pub fn named(&self) -> String {
        let version = match self.key {
            // The standard library is as old as the compiler, which is the one that the workspace asks for.
            "rwlock" => Some(env!("CARGO_PKG_RUST_VERSION")),
            _ => version::of(self.versioned),
        };
        self.with_version(version)
    }

    /// The name and a version that it told itself.
    #[must_use]
    pub fn with_version(&self, version: Option<&str>) -> String {
        let version = version.map_or_else(String::new, |version| format!(" {version}"));
        format!("{}{version}{}", self.name, self.after)
    }

    /// What a reader must know about an operation.
    #[must_use]
    pub fn remark(&self, operation: Operation) -> Option<String> {
        (self.remark)(operation).map(str::to_owned)
    }
}

/// The one of that name.
#[must_use]
pub fn find(key: &str) -> Option<&'static Entry> {
    ROSTER.iter().find(|entry| entry.key == key)
}

const fn map(key: &'static str, name: &'static str, make: Make) -> Entry {
    Entry { key, kind: "map", name, after: "", versioned: key, make, remark: about_maps }
}

fn layout(size: Size) -> Layout {
    Layout { shards: SHARDS, servers: size.entries, transports: size.entries }
}

fn ours<B: Backend>(size: Size, seed: u64) -> Result<Box<dyn Peer>> {
    Ok(Box::new(OverSubject::new(OverRegistry::<B, _>::new(layout(size))?, size, seed)))
}

fn bare<F: Family>(size: Size, seed: u64) -> Result<Box<dyn Peer>> {
    Ok(Box::new(OverSubject::new(OverBare::<F>::new(layout(size)), size, seed)))
}

fn about_ours(operation: Operation) -> Option<&'static str> {
    match operation {
        Operation::Lookup | Operation::Hot => {
            Some("64 shards, statistics on; reads in place, and asks the mailbox whether its owner is alive")
        }
        Operation::Register => Some("a lease with an incarnation, which removes only itself"),
        Operation::Route => Some("a full or closed mailbox hands the message back"),
        Operation::Miss | Operation::Mixed => None,
    }
}

fn about_maps(operation: Operation) -> Option<&'static str> {
    match operation {
        Operation::Lookup | Operation::Hot => {
            Some("one map; reads in place, and asks nobody whether the owner is alive")
        }
        Operation::Register => Some("insert takes the place of whatever was there, and nothing ends with its owner"),
        Operation::Mixed => Some("bindings are a second map, which a death would not undo"),
        Operation::Miss | Operation::Route => None,
    }
}

fn about_kameo(operation: Operation) -> Option<&'static str> {
    match operation {
        Operation::Lookup | Operation::Hot => Some("hands out a clone, of a dead actor too; one lock for all names"),
        Operation::Register => Some("a living actor takes one more name, which is removed by the name"),
        Operation::Route => Some("a bounded mailbox; tell puts the message into a box"),
        Operation::Mixed => Some("no bindings: a DashMap beside it, from transports to actors"),
        Operation::Miss => None,
    }
}

fn about_ractor(operation: Operation) -> Option<&'static str> {
    match operation {
        Operation::Lookup | Operation::Hot => Some("hands out a clone, of an actor that is still starting too"),
        Operation::Register => Some("a name comes with its actor only: one is spawned, stopped and waited for"),
        Operation::Route => Some("the mailbox has no bound, so it is never full"),
        Operation::Mixed => {
            Some("no bindings: a DashMap beside it, from transports to actors; registering spawns an actor and ends it")
        }
        Operation::Miss => None,
    }
}

fn about_original(operation: Operation) -> Option<&'static str> {
    match operation {
        Operation::Lookup | Operation::Hot => {
            Some("public ETS tables in a persistent term, phash2; copies the row out, and asks nobody about the owner")
        }
        Operation::Register => Some("insert_new and delete, without the monitor that the design needs to see a death"),
        Operation::Route => Some("look up and `!`; the mailbox has no bound, so it is never full"),
        Operation::Mixed => Some("bindings are one more ETS table, where the design asks a process"),
        Operation::Miss => None,
    }
}

fn about_elixir(operation: Operation) -> Option<&'static str> {
    match operation {
        Operation::Lookup | Operation::Hot => {
            Some("64 partitions; copies the row out, and asks whether the owner is alive")
        }
        Operation::Register => Some("the worker registers itself, which links it to the partition, and unregisters"),
        Operation::Route => Some("look up and send; the mailbox has no bound, so it is never full"),
        Operation::Mixed => Some("no bindings: one ETS table beside it"),
        Operation::Miss => None,
    }
}

/// What the tests of all peers share.
#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// Each operation does what it should on two threads, one after the other, and leaves everything as it was.
    pub(crate) fn does_what_it_says(peer: &dyn Peer) {
        for _ in 0..2 {
            for operation in Operation::ALL {
                for thread in 0..2 {
                    // Mailboxes hold as many: a fifth of 500 goes to each of 50 servers.
                    let (_, failures) = peer.timed_loop(operation, thread).run(17, 500);
                    assert_eq!(failures.count(), 0, "{operation} on thread {thread}: {failures}");
                    peer.drain();
                }
            }
        }
    }

    #[test]
    fn everybody_has_a_name_of_its_own_and_a_version_where_it_can() {
        for entry in &ROSTER {
            assert_eq!(ROSTER.iter().filter(|other| other.key == entry.key).count(), 1);
            assert_eq!(ROSTER.iter().filter(|other| other.named() == entry.named()).count(), 1);
            let versioned = entry.named().contains('.');
            assert_eq!(versioned, matches!(entry.make, Make::Here(_)), "{}", entry.named());
            assert!(["ours", "map", "registry", "beam"].contains(&entry.kind));
        }
        assert!(find("nope").is_none());
    }

    #[test]
    fn everybody_who_is_made_here_does_what_it_says() {
        let size = Size { entries: 50, threads: 2 };
        for entry in &ROSTER {
            // The registries of these are one for the whole process, and have a test of their own.
            if let (Make::Here(make), false) = (entry.make, ["kameo", "ractor"].contains(&entry.key)) {
                does_what_it_says(&*make(size, 5).unwrap());
            }
        }
    }
}
