//! Three threads register, renew and drop one name while another one looks it up, and its incarnation never falls.
//!
//! Two look. Each owner, while it has the name, compares its incarnation with the greatest of those that had the name
//! before, so that each registration is compared with all earlier ones. And a lookup is compared with the one before it.
//! It is done for servers and for transports, with 1 shard and with 64.

use std::sync::Barrier;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;

use registry_core::{Backend, Incarnation, RegisterErrorKind};
use registry_router::{Inbox, Registry, ServerMailbox, ToServer, ToTransport, TransportMailbox, mailbox};

use super::fixture::entry_counts;
use super::owner::AnyLease;
use super::recorder::Recorder;
use crate::sequence::Side;

const COMPETITORS: usize = 3;

/// Every so many registrations of a rival are renewed once.
const RENEWED: usize = 4;

/// So often a rival tries in vain, when the lookups are over, before it gives up.
const PATIENCE: usize = 1_000_000;

/// The name that all want.
const NAME: &str = "wanted";

pub(super) fn run<B: Backend>(recorder: &mut Recorder) {
    let races = [(1, Side::Server), (1, Side::Transport), (64, Side::Server), (64, Side::Transport)];
    let lookups = recorder.scaled(300_000) / races.len();
    let least = recorder.scaled(10_000) / races.len();
    let (mut falls_seen, mut falls_owned, mut registrations) = (0, 0, 0);
    for (shards, side) in races {
        let race = Race::<B>::new(shards, side);
        let (seen, owned) = race.run(lookups, least);
        let when = format!("{side:?}, {shards} shards");
        recorder.expect_eq(&format!("incarnations that fell in lookups ({when})"), &seen.first_fall, &None);
        for competitor in &owned {
            recorder.expect(competitor.registrations >= least, || {
                format!("a rival had the name only {} times ({when})", competitor.registrations)
            });
            recorder.expect_eq(
                &format!("incarnations that were less than an earlier one ({when})"),
                &competitor.first_fall,
                &None,
            );
            recorder.expect_eq(
                &format!("registrations that were refused for another reason ({when})"),
                &competitor.refused,
                &None,
            );
        }
        falls_seen += seen.falls;
        falls_owned += owned.iter().map(|competitor| competitor.falls).sum::<u64>();
        registrations += owned.iter().map(|competitor| competitor.registrations).sum::<usize>();
        recorder.expect_empty(&format!("after a race ({when})"), entry_counts(&race.registry));
    }
    recorder.add_deaths(registrations);
    recorder.figure("look_ups_count", (lookups * races.len()) as f64);
    recorder.figure("falls_seen_count", falls_seen as f64);
    recorder.figure("falls_owned_count", falls_owned as f64);
}

/// What one thread has found.
#[derive(Default)]
struct Tally {
    /// How many registrations it has made, renewals among them.
    registrations: usize,
    /// How often an incarnation was not greater than an earlier one, and the first two that were so.
    falls: u64,
    first_fall: Option<(u64, u64)>,
    /// Why it was refused, if it was and the name was not taken.
    refused: Option<RegisterErrorKind>,
}

impl Tally {
    fn fell(&mut self, earlier: u64, later: u64) {
        self.falls += 1;
        self.first_fall.get_or_insert((earlier, later));
    }
}

/// One name in a registry of its own.
struct Race<B: Backend> {
    registry: Registry<u64, B>,
    side: Side,
    to_server: ServerMailbox<u64>,
    to_transport: TransportMailbox<u64>,
    /// The inboxes keep the mailboxes open.
    _inboxes: (Inbox<ToServer<u64>>, Inbox<ToTransport<u64>>),
    /// The greatest incarnation that has had the name.
    greatest: AtomicU64,
    over: AtomicBool,
    ready: Barrier,
}

impl<B: Backend> Race<B> {
    fn new(shards: usize, side: Side) -> Self {
        let ((to_server, server_inbox), (to_transport, transport_inbox)) = (mailbox(1), mailbox(1));
        Self {
            registry: Registry::builder().shards(shards).build().expect("the settings are valid"),
            side,
            to_server,
            to_transport,
            _inboxes: (server_inbox, transport_inbox),
            greatest: AtomicU64::new(0),
            over: AtomicBool::new(false),
            ready: Barrier::new(COMPETITORS + 1),
        }
    }

    /// So many lookups, while each rival registers at least so often. What was seen, and what each rival found.
    fn run(&self, lookups: usize, least: usize) -> (Tally, Vec<Tally>) {
        thread::scope(|scope| {
            let competing_registrations: Vec<_> =
                (0..COMPETITORS).map(|_| scope.spawn(|| self.compete(least))).collect();
            let seen = self.watch(lookups);
            let owned = competing_registrations
                .into_iter()
                .map(|competitor| competitor.join().expect("a rival does not panic"));
            (seen, owned.collect())
        })
    }

    fn watch(&self, lookups: usize) -> Tally {
        let (mut tally, mut last) = (Tally::default(), 0);
        self.ready.wait();
        for _ in 0..lookups {
            if let Some(now) = self.find().map(Incarnation::as_u64) {
                if now < last {
                    tally.fell(last, now);
                }
                last = now;
            }
        }
        self.over.store(true, Ordering::Relaxed);
        tally
    }

    fn compete(&self, least: usize) -> Tally {
        let mut tally = Tally::default();
        self.ready.wait();
        let mut late = 0;
        loop {
            if self.over.load(Ordering::Relaxed) {
                if tally.registrations >= least || late == PATIENCE {
                    break;
                }
                late += 1;
                // Whoever has the name needs the processor to give it up.
                thread::yield_now();
            }
            match self.register() {
                Ok(mut lease) => {
                    self.owns(&lease, &mut tally);
                    if tally.registrations.is_multiple_of(RENEWED) {
                        match self.renew(&mut lease) {
                            Ok(()) => self.owns(&lease, &mut tally),
                            Err(reason) => refused(reason, &mut tally),
                        }
                    }
                }
                Err(reason) => refused(reason, &mut tally),
            }
            if tally.refused.is_some() {
                break;
            }
        }
        tally
    }

    /// Compares a registration with all that had the name before. Those after it cannot have it yet.
    fn owns(&self, lease: &AnyLease, tally: &mut Tally) {
        let incarnation = lease.incarnation().as_u64();
        let earlier = self.greatest.fetch_max(incarnation, Ordering::SeqCst);
        if earlier >= incarnation {
            tally.fell(earlier, incarnation);
        }
        tally.registrations += 1;
    }

    fn register(&self) -> Result<AnyLease, RegisterErrorKind> {
        match self.side {
            Side::Server => {
                let lease = self.registry.register_server(NAME, self.to_server.clone(), ());
                lease.map(AnyLease::Server).map_err(|error| error.kind)
            }
            Side::Transport => {
                let lease = self.registry.register_transport(NAME, self.to_transport.clone(), ());
                lease.map(AnyLease::Transport).map_err(|error| error.kind)
            }
        }
    }

    fn renew(&self, lease: &mut AnyLease) -> Result<(), RegisterErrorKind> {
        match lease {
            AnyLease::Server(lease) => {
                self.registry.renew_server(lease, self.to_server.clone(), ()).map_err(|error| error.kind)
            }
            AnyLease::Transport(lease) => {
                self.registry.renew_transport(lease, self.to_transport.clone(), ()).map_err(|error| error.kind)
            }
        }
    }

    fn find(&self) -> Option<Incarnation> {
        match self.side {
            Side::Server => self.registry.with_server(NAME, |entry| entry.incarnation),
            Side::Transport => self.registry.with_transport(NAME, |entry| entry.incarnation),
        }
    }
}

/// That another one has the name is what a race is about.
fn refused(reason: RegisterErrorKind, tally: &mut Tally) {
    if !matches!(reason, RegisterErrorKind::Taken { .. }) {
        tally.refused.get_or_insert(reason);
    }
}
