//! The list of peers: names, kinds, constructors, and how each differs, for a fair comparison.

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

use crate::beam::{ELIXIR, ETS, Script};
use crate::kameo::Kameo;
use crate::names::Size;
use crate::peer::Peer;
use crate::ractor::Ractor;
use crate::scc::BareScc;
use crate::session::OverSubject;
use crate::version;

/// The number of shards of the registry.
const SHARDS: usize = 64;

/// A peer.
#[derive(Clone, Copy, Debug)]
pub struct PeerSpec {
    /// The name on the command line.
    pub key: &'static str,
    /// The kind: `ours`, `map`, `registry` or `beam`.
    pub kind: &'static str,
    /// The name in rows, before the version.
    name: &'static str,
    /// The name in rows, after the version.
    after: &'static str,
    /// The crate with the version.
    versioned: &'static str,
    /// How it is set up.
    pub make: Setup,
    /// How it differs from the others at an operation.
    remark: fn(Operation) -> Option<&'static str>,
}

/// How a peer is set up.
#[derive(Clone, Copy, Debug)]
pub enum Setup {
    /// In this process.
    InProcess(fn(Size, u64) -> Result<Box<dyn Peer>>),
    /// By a program in another language, which also says its version.
    Script(&'static Script),
}

/// All peers, in the order in which they are measured.
pub const PEERS: [PeerSpec; 12] = [
    PeerSpec {
        key: "ours-papaya",
        kind: "ours",
        name: "Registry",
        after: " on papaya",
        versioned: "registry-router",
        make: Setup::InProcess(ours::<Papaya>),
        remark: about_ours,
    },
    PeerSpec {
        key: "ours-dashmap",
        kind: "ours",
        name: "Registry",
        after: " on dashmap",
        versioned: "registry-router",
        make: Setup::InProcess(ours::<Dashmap>),
        remark: about_ours,
    },
    PeerSpec {
        key: "ours-evmap",
        kind: "ours",
        name: "Registry",
        after: " on evmap",
        versioned: "registry-router",
        make: Setup::InProcess(ours::<Evmap>),
        remark: about_ours,
    },
    map("papaya", "papaya", Setup::InProcess(bare::<BarePapaya>)),
    map("dashmap", "dashmap", Setup::InProcess(bare::<BareDashmap>)),
    map("evmap", "evmap", Setup::InProcess(bare::<BareEvmap>)),
    map("scc", "scc HashIndex", Setup::InProcess(bare::<BareScc>)),
    map("rwlock", "std RwLock<HashMap>", Setup::InProcess(bare::<BareReference>)),
    PeerSpec {
        key: "kameo",
        kind: "registry",
        name: "kameo",
        after: "",
        versioned: "kameo",
        make: Setup::InProcess(|size, seed| Ok(Box::new(Kameo::new(size, seed)?))),
        remark: about_kameo,
    },
    PeerSpec {
        key: "ractor",
        kind: "registry",
        name: "ractor",
        after: "",
        versioned: "ractor",
        make: Setup::InProcess(|size, seed| Ok(Box::new(Ractor::new(size, seed)?))),
        remark: about_ractor,
    },
    PeerSpec {
        key: "ets",
        kind: "beam",
        name: "64 ETS tables",
        after: "",
        versioned: "",
        make: Setup::Script(&ETS),
        remark: about_ets,
    },
    PeerSpec {
        key: "elixir",
        kind: "beam",
        name: "Elixir Registry",
        after: "",
        versioned: "",
        make: Setup::Script(&ELIXIR),
        remark: about_elixir,
    },
];

impl PeerSpec {
    /// Returns the name and the version at build time. A program in another language reports its version itself.
    #[must_use]
    pub fn named(&self) -> String {
        let version = match self.key {
            // The standard library has the version of the compiler, which the workspace specifies.
            "rwlock" => Some(env!("CARGO_PKG_RUST_VERSION")),
            _ => version::of(self.versioned),
        };
        self.with_version(version)
    }

    /// Returns the name with a version.
    #[must_use]
    pub fn with_version(&self, version: Option<&str>) -> String {
        let version = version.map_or_else(String::new, |version| format!(" {version}"));
        format!("{}{version}{}", self.name, self.after)
    }

    /// Returns how it differs from the others at an operation.
    #[must_use]
    pub fn remark(&self, operation: Operation) -> Option<String> {
        (self.remark)(operation).map(str::to_owned)
    }
}

/// Returns the peer of that name.
#[must_use]
pub fn find(key: &str) -> Option<&'static PeerSpec> {
    PEERS.iter().find(|spec| spec.key == key)
}

const fn map(key: &'static str, name: &'static str, make: Setup) -> PeerSpec {
    PeerSpec { key, kind: "map", name, after: "", versioned: key, make, remark: about_maps }
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
            Some("64 shards, statistics on; reads in place, and checks whether the owner is alive")
        }
        Operation::Register => Some("a lease with an incarnation, which removes only its own entry"),
        Operation::Route => Some("a full or closed mailbox returns the message"),
        Operation::Miss | Operation::Mixed => None,
    }
}

fn about_maps(operation: Operation) -> Option<&'static str> {
    match operation {
        Operation::Lookup | Operation::Hot => {
            Some("one map; reads in place, and does not check whether the owner is alive")
        }
        Operation::Register => Some("insert replaces an existing entry, which stays when its owner ends"),
        Operation::Mixed => Some("bindings are a second map, from which a dead owner is not removed"),
        Operation::Miss | Operation::Route => None,
    }
}

fn about_kameo(operation: Operation) -> Option<&'static str> {
    match operation {
        Operation::Lookup | Operation::Hot => Some("returns a clone, even of a dead actor; one lock for all names"),
        Operation::Register => Some("a living actor is registered under one more name, which is then removed"),
        Operation::Route => Some("a bounded mailbox; tell boxes the message"),
        Operation::Mixed => Some("no bindings: a DashMap beside it, from transports to actors"),
        Operation::Miss => None,
    }
}

fn about_ractor(operation: Operation) -> Option<&'static str> {
    match operation {
        Operation::Lookup | Operation::Hot => Some("returns a clone, even of an actor that is still starting"),
        Operation::Register => Some("a name is registered by spawning its actor, which is then stopped and awaited"),
        Operation::Route => Some("the mailbox has no bound, so it is never full"),
        Operation::Mixed => {
            Some("no bindings: a DashMap beside it, from transports to actors; registering spawns an actor and ends it")
        }
        Operation::Miss => None,
    }
}

fn about_ets(operation: Operation) -> Option<&'static str> {
    match operation {
        Operation::Lookup | Operation::Hot => {
            Some("public ETS tables in a persistent term, phash2; copies the row, and does not check the owner")
        }
        Operation::Register => {
            Some("insert_new and delete, without the monitor that would detect the death of the owner")
        }
        Operation::Route => Some("look up and `!`; the mailbox has no bound, so it is never full"),
        Operation::Mixed => Some("bindings are one more ETS table"),
        Operation::Miss => None,
    }
}

fn about_elixir(operation: Operation) -> Option<&'static str> {
    match operation {
        Operation::Lookup | Operation::Hot => {
            Some("64 partitions; copies the row, and checks whether the owner is alive")
        }
        Operation::Register => Some("the worker registers itself, which links it to the partition, and unregisters"),
        Operation::Route => Some("look up and send; the mailbox has no bound, so it is never full"),
        Operation::Mixed => Some("no bindings: one ETS table beside it"),
        Operation::Miss => None,
    }
}

/// The checks shared by the tests of all peers.
#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// Checks that every operation succeeds on two threads, twice.
    pub(crate) fn check_operations(peer: &dyn Peer) {
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
    fn every_peer_has_a_unique_name_and_a_version() {
        for spec in &PEERS {
            assert_eq!(PEERS.iter().filter(|other| other.key == spec.key).count(), 1);
            assert_eq!(PEERS.iter().filter(|other| other.named() == spec.named()).count(), 1);
            let versioned = spec.named().contains('.');
            assert_eq!(versioned, matches!(spec.make, Setup::InProcess(_)), "{}", spec.named());
            assert!(["ours", "map", "registry", "beam"].contains(&spec.kind));
        }
        assert!(find("nope").is_none());
    }

    #[test]
    fn every_operation_succeeds_on_every_peer_in_process() {
        let size = Size { entries: 50, threads: 2 };
        for spec in &PEERS {
            // These have one registry per process, and a test of their own.
            if let (Setup::InProcess(make), false) = (spec.make, ["kameo", "ractor"].contains(&spec.key)) {
                check_operations(&*make(size, 5).unwrap());
            }
        }
    }
}
