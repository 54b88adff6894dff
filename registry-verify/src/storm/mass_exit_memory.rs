//! Many come and go in several waves, and after some sweeps their memory is given back.
//!
//! There are several kinds of load, each in a registry of its own, and each wave comes under new names:
//!
//! - `shared`: 200,000 servers that share one mailbox;
//! - `own`: 50,000 servers with a mailbox each;
//! - `bound`: 50,000 entries, of which one in a hundred is a server and the others are transports bound to it;
//! - `labelled`: 50,000 servers with metadata.
//!
//! What is counted is the registry's own, without a monitor. Mailboxes, inboxes and room for the leases are there before
//! a wave comes, so that the peak does not have them; but a mailbox that the registry keeps after the wave has gone counts
//! as left. When a wave has gone, all shards are swept [`SWEEPS`] times at instants [`APART`], by the registry's own clock,
//! which only this storm moves.
//!
//! On every backend at most [`LEFT`] of the first wave's peak may be left after any wave, and after the last one no more
//! than after the first, give or take [`SLACK`] of that peak. On papaya, whose threads keep removed entries until they
//! have 32, 31 entries of each table may come on top of the latter.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use registry_core::{Backend, Metadata};
use registry_router::{
    Clock, Inbox, MonitorSettings, Registry, ServerMailbox, ToServer, ToTransport, TransportMailbox, mailbox,
};

use super::fixture::{entry_counts, server, transport};
use super::owner::{AnyLease, expect_lease};
use super::recorder::{EntryCounts, Recorder};

const WAVES: usize = 4;

/// How often all shards are swept when a wave has gone, and how far apart.
const SWEEPS: usize = 8;
const APART: Duration = Duration::from_secs(10);

/// What may be left after a wave, as a share of the first wave's peak.
const LEFT: f64 = 0.25;

/// What more may be left after the last wave than after the first, as a share of the peak.
const SLACK: f64 = 0.02;

/// Of the kind with bindings, one in so many entries is a server; the others are transports, bound to servers.
const SERVERS: usize = 100;

/// How many shards there are, and in the short form, so that each has some hundreds of entries there too: with fewer,
/// what a shard has when it is empty outweighs them.
const SHARDS: usize = 64;
const FEW_SHARDS: usize = 16;

/// The fewest entries whose bytes say anything, with few shards.
const FEWEST: usize = 8_000;

/// A kind of load.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Load {
    Shared,
    Own,
    Bound,
    Labelled,
}

impl Load {
    const ALL: [Self; 4] = [Self::Shared, Self::Own, Self::Bound, Self::Labelled];

    fn name(self) -> &'static str {
        match self {
            Self::Shared => "shared",
            Self::Own => "own",
            Self::Bound => "bound",
            Self::Labelled => "labelled",
        }
    }

    /// How many entries a wave has.
    fn entries(self) -> usize {
        match self {
            Self::Shared => 200_000,
            Self::Own | Self::Bound | Self::Labelled => 50_000,
        }
    }
}

/// How many entries of each table may be kept on a backend, beyond what was kept after the first wave.
fn kept_per_table(backend: &str) -> usize {
    if backend == "papaya" { 31 } else { 0 }
}

pub(super) fn run<B: Backend>(recorder: &mut Recorder) {
    for load in Load::ALL {
        let full = load.entries();
        let entries = recorder.scaled(full).max(FEWEST);
        let shards = if entries == full { SHARDS } else { FEW_SHARDS };
        come_and_go::<B>(recorder, load, entries, shards);
    }
}

/// All waves of one kind of load.
fn come_and_go<B: Backend>(recorder: &mut Recorder, load: Load, entries: usize, shards: usize) {
    let clock = ManualClock::new();
    let monitor = MonitorSettings { enabled: false, ..MonitorSettings::default() };
    let builder = Registry::<u64, B>::builder().shards(shards).monitor(monitor).clock(clock.clone());
    let registry = builder.build().expect("the settings are valid");
    let mut population = Population::new(load, entries);
    // Some backends make a reader when a thread first reads a shard, even an empty one.
    recorder.expect_eq("what is there at first", entry_counts(&registry), EntryCounts::default());
    // What all mailboxes of the program share grows with the most that there were, and is not the registry's. Some may be
    // kept while the next wave has its own.
    population.create_mailboxes();
    population.create_mailboxes();
    population.drop_mailboxes();
    let empty = recorder.live_bytes() as f64;
    // What is noted takes bytes too, so it is noted when all has been counted.
    let mut waves = Vec::with_capacity(WAVES);
    for wave in 0..WAVES {
        let without_mailboxes = recorder.live_bytes() as f64;
        population.create_mailboxes();
        let mailboxes = recorder.live_bytes() as f64 - without_mailboxes;
        population.register_wave(&registry, wave);
        let peak = recorder.live_bytes() as f64 - mailboxes - empty;
        population.drop_wave();
        for _ in 0..SWEEPS {
            let now = clock.advance(APART);
            for shard in 0..shards {
                registry.sweep_shard(shard, now);
            }
        }
        let remaining = recorder.live_bytes() as f64 - empty;
        waves.push(Wave { peak, remaining, entry_counts: entry_counts(&registry) });
    }
    let name = load.name();
    let peak = waves[0].peak;
    let most_left = waves.iter().map(|wave| wave.remaining / peak).fold(0.0, f64::max);
    let growth = waves[WAVES - 1].remaining - waves[0].remaining;
    recorder.figure(&format!("{name}_peak_bytes_per_entry"), peak / entries as f64);
    recorder.figure(&format!("{name}_left_share"), most_left);
    recorder.figure(&format!("{name}_growth_share"), growth / peak);
    recorder.expect(most_left <= LEFT, || {
        let remaining: Vec<_> = waves.iter().map(|wave| format!("{:.0}", wave.remaining)).collect();
        format!("{name}: bytes that are left after the waves, of {peak:.0}: {}; a quarter may be", remaining.join(", "))
    });
    let kept = (2 * shards * kept_per_table(B::NAME)) as f64 * peak / entries as f64;
    let may_grow = SLACK * peak + kept;
    recorder.expect(growth <= may_grow, || {
        format!(
            "{name}: {growth:.0} bytes more are left after the last wave than after the first; {may_grow:.0} may be"
        )
    });
    for wave in &waves {
        recorder.add_deaths(entries);
        recorder.expect_empty(&format!("after a wave ({name})"), wave.entry_counts);
    }
}

/// How many bytes a wave had at its peak and after it, and how many entries when there should have been none.
struct Wave {
    peak: f64,
    remaining: f64,
    entry_counts: EntryCounts,
}

/// A clock that stands still until it is advanced.
#[derive(Clone, Debug)]
struct ManualClock(Arc<Mutex<Instant>>);

impl ManualClock {
    fn new() -> Self {
        Self(Arc::new(Mutex::new(Instant::now())))
    }

    fn advance(&self, by: Duration) -> Instant {
        let mut now = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        *now += by;
        *now
    }
}

impl Clock for ManualClock {
    fn now(&self) -> Instant {
        self.advance(Duration::ZERO)
    }
}

/// Entries that come and go, and room for what they hold.
struct Population {
    load: Load,
    entries: usize,
    leases: Vec<AnyLease>,
    /// Of those with mailboxes of their own.
    inboxes: Vec<Inbox<ToServer<u64>>>,
    mailboxes: Vec<ServerMailbox<u64>>,
    to_server: ServerMailbox<u64>,
    to_transport: TransportMailbox<u64>,
    /// Nobody sends anything; the inboxes keep the mailboxes open.
    _inboxes: (Inbox<ToServer<u64>>, Inbox<ToTransport<u64>>),
}

impl Population {
    fn new(load: Load, entries: usize) -> Self {
        let ((to_server, server_inbox), (to_transport, transport_inbox)) = (mailbox(1), mailbox(1));
        let own = if load == Load::Own { entries } else { 0 };
        Self {
            load,
            entries,
            leases: Vec::with_capacity(entries),
            inboxes: Vec::with_capacity(own),
            mailboxes: Vec::with_capacity(own),
            to_server,
            to_transport,
            _inboxes: (server_inbox, transport_inbox),
        }
    }

    /// Makes the mailboxes of the next wave, if it has some of its own.
    fn create_mailboxes(&mut self) {
        if self.load == Load::Own {
            for _ in 0..self.entries {
                let (mailbox, inbox) = mailbox(1);
                self.mailboxes.push(mailbox);
                self.inboxes.push(inbox);
            }
        }
    }

    fn register_wave<B: Backend>(&mut self, registry: &Registry<u64, B>, wave: usize) {
        let kind = format!("wave-{wave}");
        let servers = if self.load == Load::Bound { self.entries.div_ceil(SERVERS) } else { self.entries };
        for number in 0..servers {
            let mailbox = self.mailboxes.pop().unwrap_or_else(|| self.to_server.clone());
            let metadata = match self.load {
                Load::Labelled => Metadata::new().with("region", "somewhere").with("number", number.to_string()),
                _ => Metadata::new(),
            };
            let lease = registry.register_server(server(&kind, number), mailbox, metadata);
            self.leases.push(AnyLease::Server(expect_lease(lease)));
        }
        for number in servers..self.entries {
            let (id, home) = (transport(&kind, number), server(&kind, number % servers));
            let lease = registry.register_transport_bound_to(id, self.to_transport.clone(), (), home);
            self.leases.push(AnyLease::Transport(expect_lease(lease)));
        }
    }

    fn drop_wave(&mut self) {
        self.leases.clear();
        self.drop_mailboxes();
    }

    fn drop_mailboxes(&mut self) {
        self.mailboxes.clear();
        self.inboxes.clear();
    }
}
