//! 100,000 entries come and go, three times, and memory returns to the bound of the backend.
//!
//! What is counted is the registry's own, without a monitor: the entries share one mailbox of each kind, and the leases
//! lie in room that is there before. `after_exit_share` is what is left when all leases have been dropped, and
//! `after_inserts_share` when then a tenth as many have come and gone, both as shares of the peak: the largest of all
//! times. What is left after the first time must be all that is left after the others.
//!
//! The bounds, with 64 shards and from 20,000 entries on:
//!
//! | | after the exit | after some insertions | more after another time |
//! |---|---|---|---|
//! | papaya | 20 % of the peak | 20 % | 31 entries per table and thread that removes |
//! | dashmap, reference | 75 % | 75 % | nothing |
//! | left-right | 80 % | 80 % | nothing |
//! | evmap | 90 % | 90 % | nothing |

use registry_core::Backend;
use registry_router::{
    Inbox, MonitorSettings, Registry, ServerMailbox, ToServer, ToTransport, TransportMailbox, mailbox,
};

use super::field::{held, server, transport};
use super::logbook::{Left, Logbook};
use super::owner::{AnyLease, granted};

const TIMES: usize = 3;

/// One in so many entries is a server; the others are transports, bound to servers.
const SERVERS: usize = 100;

/// How many entries come and go after a mass exit, as a share of the peak.
const FEW: usize = 10;

/// The fewest entries whose bytes say anything: with fewer, what a shard has when it is empty outweighs them.
const FEWEST: usize = 20_000;

/// What may be left.
#[derive(Clone, Copy)]
struct Bound {
    /// When all entries are gone, as a share of the peak.
    after_exit: f64,
    /// When some have come and gone after that, as a share of the peak.
    after_inserts: f64,
    /// How many entries' bytes may be left in each table beyond what was left the first time.
    entries_per_table: usize,
}

/// The bounds are measured, and rounded up. A backend that is not known may keep everything, but not more each time.
fn bound(backend: &str) -> Bound {
    let (after_exit, after_inserts, entries_per_table) = match backend {
        // A thread keeps removed entries until it has 32 of a table.
        "papaya" => (0.2, 0.2, 31),
        "dashmap" | "reference" => (0.75, 0.75, 0),
        "left-right" => (0.8, 0.8, 0),
        "evmap" => (0.9, 0.9, 0),
        _ => (1.0, 1.0, 0),
    };
    Bound { after_exit, after_inserts, entries_per_table }
}

pub(super) fn run<B: Backend>(logbook: &mut Logbook) {
    let entries = logbook.sized(100_000).max(FEWEST);
    let monitor = MonitorSettings { enabled: false, ..MonitorSettings::default() };
    let registry = Registry::<u64, B>::builder().monitor(monitor).build().expect("the settings are valid");
    let mut crowd = Crowd::new(entries);
    // Some backends make a reader when a thread first reads a shard, even an empty one.
    logbook.expect_eq("what is there at first", held(&registry), Left::default());
    let empty = logbook.live_bytes();
    let grown = |logbook: &mut Logbook| logbook.live_bytes() as f64 - empty as f64;
    let bound = bound(B::NAME);
    // What is noted takes bytes too, so it is noted when all has been counted.
    let mut counts = Vec::with_capacity(TIMES);
    for _ in 0..TIMES {
        crowd.come(&registry, entries);
        let peak = grown(logbook);
        crowd.go();
        let (after_exit, left) = (grown(logbook), held(&registry));
        crowd.come(&registry, entries / FEW);
        crowd.go();
        counts.push(Count { peak, after_exit, after_inserts: grown(logbook), left });
    }
    let share = |part: fn(&Count) -> f64| counts.iter().map(|count| part(count) / count.peak).fold(0.0, f64::max);
    let (after_exit, after_inserts) = (share(|count| count.after_exit), share(|count| count.after_inserts));
    logbook.figure("peak_bytes_per_entry", counts[0].peak / entries as f64);
    logbook.figure("after_exit_share", after_exit);
    logbook.figure("after_inserts_share", after_inserts);
    within(logbook, "of the peak after a mass exit", after_exit, bound.after_exit);
    within(logbook, "of the peak after some insertions", after_inserts, bound.after_inserts);
    let kept = 2 * registry.shard_count() * bound.entries_per_table;
    for Count { peak, after_exit, left, .. } in &counts {
        logbook.died(entries + entries / FEW);
        logbook.left_over("after a mass exit", *left);
        let may_be_more = kept as f64 * peak / entries as f64;
        within(logbook, "in bytes beyond the first mass exit", after_exit - counts[0].after_exit, may_be_more);
    }
    logbook.left_over("when all are gone", held(&registry));
}

/// How many bytes there were, and how many entries when there should have been none.
struct Count {
    peak: f64,
    after_exit: f64,
    after_inserts: f64,
    left: Left,
}

fn within(logbook: &mut Logbook, what: &str, left: f64, bound: f64) {
    logbook.expect(left <= bound, || format!("what is left {what}: {left:.3}, and at most {bound:.3} may be"));
}

/// Entries that come and go, and room for their leases.
struct Crowd {
    leases: Vec<AnyLease>,
    to_server: ServerMailbox<u64>,
    to_transport: TransportMailbox<u64>,
    /// Nobody sends anything; the inboxes keep the mailboxes open.
    _inboxes: (Inbox<ToServer<u64>>, Inbox<ToTransport<u64>>),
}

impl Crowd {
    fn new(entries: usize) -> Self {
        let ((to_server, server_inbox), (to_transport, transport_inbox)) = (mailbox(1), mailbox(1));
        Self { leases: Vec::with_capacity(entries), to_server, to_transport, _inboxes: (server_inbox, transport_inbox) }
    }

    fn come<B: Backend>(&mut self, registry: &Registry<u64, B>, entries: usize) {
        let servers = entries.div_ceil(SERVERS);
        for number in 0..servers {
            let lease = registry.register_server(server("server", number), self.to_server.clone(), ());
            self.leases.push(AnyLease::Server(granted(lease)));
        }
        for number in servers..entries {
            let id = transport("transport", number);
            let home = server("server", number % servers);
            let lease = registry.register_transport_bound_to(id, self.to_transport.clone(), (), home);
            self.leases.push(AnyLease::Transport(granted(lease)));
        }
    }

    fn go(&mut self) {
        self.leases.clear();
    }
}
