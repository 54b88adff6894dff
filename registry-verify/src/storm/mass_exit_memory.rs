//! Entries come and go in waves, and their memory is released after some sweeps.
//!
//! There are several workloads, each in a registry of its own, and each wave uses new names:
//!
//! - `shared`: 200,000 servers that share one mailbox;
//! - `own`: 50,000 servers with a mailbox each;
//! - `bound`: 50,000 entries, of which one in a hundred is a server and the others are transports bound to it;
//! - `labelled`: 50,000 servers with metadata.
//!
//! Only the registry's own bytes are counted, without a monitor. Mailboxes, inboxes and the vector of leases are
//! allocated before a wave, so the peak does not include them; but a mailbox that the registry retains after the wave
//! counts as remaining. After a wave, all shards are swept [`SWEEPS`] times, [`SWEEP_INTERVAL`] apart by the registry's
//! clock, which only this storm advances.
//!
//! On every backend at most [`MAX_REMAINDER`] of the first wave's peak may remain after any wave, and after the last
//! one no more than after the first, within [`SLACK`] of that peak. On papaya, whose threads retain removed entries
//! until they have 32, 31 entries of each table may be added to the latter.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use registry_core::{Backend, Metadata};
use registry_router::{
    Clock, Inbox, MonitorSettings, Registry, ServerMailbox, ToServer, ToTransport, TransportMailbox, mailbox,
};

use super::fixture::{entry_counts, server, transport};
use super::owner::expect_lease;
use super::recorder::{EntryCounts, Recorder};
use crate::any_lease::AnyLease;

const WAVES: usize = 4;

/// The number of sweeps of all shards after a wave, and the interval between them.
const SWEEPS: usize = 8;
const SWEEP_INTERVAL: Duration = Duration::from_secs(10);

/// The share of the first wave's peak that may remain after a wave.
const MAX_REMAINDER: f64 = 0.25;

/// The growth of the remainder that is allowed between the first and the last wave, as a share of the peak.
const SLACK: f64 = 0.02;

/// In the `bound` workload, one in this many entries is a server; the others are transports, bound to servers.
const SERVERS: usize = 100;

/// The number of shards at full and at short scale. With fewer than some hundreds of entries a shard, the size of an
/// empty shard would dominate.
const SHARDS: usize = 64;
const SHORT_SHARDS: usize = 16;

/// The minimum number of entries for a meaningful count, with few shards.
const MIN_ENTRIES: usize = 8_000;

/// A workload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Workload {
    Shared,
    Own,
    Bound,
    Labelled,
}

impl Workload {
    const ALL: [Self; 4] = [Self::Shared, Self::Own, Self::Bound, Self::Labelled];

    fn name(self) -> &'static str {
        match self {
            Self::Shared => "shared",
            Self::Own => "own",
            Self::Bound => "bound",
            Self::Labelled => "labelled",
        }
    }

    /// Returns the number of entries in a wave.
    fn entries(self) -> usize {
        match self {
            Self::Shared => 200_000,
            Self::Own | Self::Bound | Self::Labelled => 50_000,
        }
    }
}

/// Returns how many entries of each table a backend may retain beyond those retained after the first wave.
fn retained_per_table(backend: &str) -> usize {
    if backend == "papaya" { 31 } else { 0 }
}

pub(super) fn run<B: Backend>(recorder: &mut Recorder) {
    for workload in Workload::ALL {
        let full = workload.entries();
        let entries = recorder.scaled(full).max(MIN_ENTRIES);
        let shards = if entries == full { SHARDS } else { SHORT_SHARDS };
        run_waves::<B>(recorder, workload, entries, shards);
    }
}

/// Runs all waves of one workload.
fn run_waves<B: Backend>(recorder: &mut Recorder, workload: Workload, entries: usize, shards: usize) {
    let clock = ManualClock::new();
    let monitor = MonitorSettings::default().with_enabled(false);
    let builder = Registry::<u64, B>::builder().shards(shards).monitor(monitor).clock(clock.clone());
    let registry = builder.build().expect("the settings are valid");
    let mut population = Population::new(workload, entries);
    // Some backends allocate a reader when a thread first reads a shard, even an empty one.
    recorder.expect_eq("entries at the start", entry_counts(&registry), EntryCounts::default());
    // The memory that all mailboxes of the program share grows with their maximum number, and is not the registry's.
    // Some may be retained while the next wave has its own.
    population.create_mailboxes();
    population.create_mailboxes();
    population.drop_mailboxes();
    let empty = recorder.live_bytes() as f64;
    // Recording allocates, so it is deferred until all bytes are counted.
    let mut waves = Vec::with_capacity(WAVES);
    for wave in 0..WAVES {
        let without_mailboxes = recorder.live_bytes() as f64;
        population.create_mailboxes();
        let mailboxes = recorder.live_bytes() as f64 - without_mailboxes;
        population.register_wave(&registry, wave);
        let peak = recorder.live_bytes() as f64 - mailboxes - empty;
        population.drop_wave();
        for _ in 0..SWEEPS {
            let now = clock.advance(SWEEP_INTERVAL);
            for shard in 0..shards {
                registry.sweep_shard(shard, now);
            }
        }
        let remaining = recorder.live_bytes() as f64 - empty;
        waves.push(Wave { peak, remaining, entry_counts: entry_counts(&registry) });
    }
    let name = workload.name();
    let peak = waves[0].peak;
    let max_share = waves.iter().map(|wave| wave.remaining / peak).fold(0.0, f64::max);
    let growth = waves[WAVES - 1].remaining - waves[0].remaining;
    recorder.figure(&format!("{name}_peak_bytes_per_entry"), peak / entries as f64);
    recorder.figure(&format!("{name}_left_share"), max_share);
    recorder.figure(&format!("{name}_growth_share"), growth / peak);
    recorder.expect(max_share <= MAX_REMAINDER, || {
        let remaining: Vec<_> = waves.iter().map(|wave| format!("{:.0}", wave.remaining)).collect();
        format!("{name}: bytes remaining after each wave, of {peak:.0}: {}; allowed: a quarter", remaining.join(", "))
    });
    let retained = (2 * shards * retained_per_table(B::NAME)) as f64 * peak / entries as f64;
    let max_growth = SLACK * peak + retained;
    recorder.expect(growth <= max_growth, || {
        format!(
            "{name}: {growth:.0} more bytes remain after the last wave than after the first; allowed: {max_growth:.0}"
        )
    });
    for wave in &waves {
        recorder.add_deaths(entries);
        recorder.expect_empty(&format!("after a wave ({name})"), wave.entry_counts);
    }
}

/// The bytes at the peak of a wave and after it, and the entries that remained.
struct Wave {
    peak: f64,
    remaining: f64,
    entry_counts: EntryCounts,
}

/// A clock that only advances when told to.
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

/// The entries of a wave, with preallocated storage.
struct Population {
    workload: Workload,
    entries: usize,
    leases: Vec<AnyLease>,
    /// The inboxes of entries with mailboxes of their own.
    inboxes: Vec<Inbox<ToServer<u64>>>,
    mailboxes: Vec<ServerMailbox<u64>>,
    to_server: ServerMailbox<u64>,
    to_transport: TransportMailbox<u64>,
    /// No messages are sent; the inboxes keep the mailboxes open.
    _inboxes: (Inbox<ToServer<u64>>, Inbox<ToTransport<u64>>),
}

impl Population {
    fn new(workload: Workload, entries: usize) -> Self {
        let ((to_server, server_inbox), (to_transport, transport_inbox)) = (mailbox(1), mailbox(1));
        let own = if workload == Workload::Own { entries } else { 0 };
        Self {
            workload,
            entries,
            leases: Vec::with_capacity(entries),
            inboxes: Vec::with_capacity(own),
            mailboxes: Vec::with_capacity(own),
            to_server,
            to_transport,
            _inboxes: (server_inbox, transport_inbox),
        }
    }

    /// Creates the mailboxes of the next wave, if the workload has its own.
    fn create_mailboxes(&mut self) {
        if self.workload == Workload::Own {
            for _ in 0..self.entries {
                let (mailbox, inbox) = mailbox(1);
                self.mailboxes.push(mailbox);
                self.inboxes.push(inbox);
            }
        }
    }

    fn register_wave<B: Backend>(&mut self, registry: &Registry<u64, B>, wave: usize) {
        let kind = format!("wave-{wave}");
        let servers = if self.workload == Workload::Bound { self.entries.div_ceil(SERVERS) } else { self.entries };
        for number in 0..servers {
            let mailbox = self.mailboxes.pop().unwrap_or_else(|| self.to_server.clone());
            let metadata = match self.workload {
                Workload::Labelled => Metadata::new().with("region", "anywhere").with("number", number.to_string()),
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
