//! Three threads register, renew and drop one name while another thread looks it up; its incarnation never decreases.
//!
//! Two comparisons check this. Each owner, while registered, compares its incarnation with the greatest of all earlier
//! owners, so each registration is compared with all before it. And each lookup is compared with the previous one. The
//! storm runs for servers and for transports, with 1 shard and with 64.

use std::sync::Barrier;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;

use registry_core::{Backend, Incarnation, RegisterError, RegisterErrorKind};
use registry_router::{Inbox, Registry, ServerMailbox, ToServer, ToTransport, TransportMailbox, mailbox};

use super::fixture::entry_counts;
use super::recorder::Recorder;
use crate::any_lease::AnyLease;
use crate::spec::Side;

const COMPETITORS: usize = 3;

/// One in this many registrations of a thread is renewed once.
const RENEWAL_PERIOD: usize = 4;

/// The number of failed attempts of a thread, after the lookups are over, before it gives up.
const MAX_FAILED_ATTEMPTS: usize = 1_000_000;

/// The contended name.
const NAME: &str = "wanted";

pub(super) fn run<B: Backend>(recorder: &mut Recorder) {
    let races = [(1, Side::Server), (1, Side::Transport), (64, Side::Server), (64, Side::Transport)];
    let lookups = recorder.scaled(300_000) / races.len();
    let min_registrations = recorder.scaled(10_000) / races.len();
    let (mut decreases_seen, mut decreases_registered, mut registrations) = (0, 0, 0);
    for (shards, side) in races {
        let race = Race::<B>::new(shards, side);
        let (seen, owned) = race.run(lookups, min_registrations);
        let when = format!("{side:?}, {shards} shards");
        recorder.expect_eq(
            &format!("first decrease of an incarnation between lookups ({when})"),
            &seen.first_decrease,
            &None,
        );
        for competitor in &owned {
            recorder.expect(competitor.registrations >= min_registrations, || {
                format!("only {} registrations by one thread ({when})", competitor.registrations)
            });
            recorder.expect_eq(
                &format!("first incarnation less than an earlier one ({when})"),
                &competitor.first_decrease,
                &None,
            );
            recorder.expect_eq(&format!("first unexpected registration error ({when})"), &competitor.refused, &None);
        }
        decreases_seen += seen.decreases;
        decreases_registered += owned.iter().map(|competitor| competitor.decreases).sum::<u64>();
        registrations += owned.iter().map(|competitor| competitor.registrations).sum::<usize>();
        recorder.expect_empty(&format!("after a race ({when})"), entry_counts(&race.registry));
    }
    recorder.add_deaths(registrations);
    recorder.figure("lookups_count", (lookups * races.len()) as f64);
    recorder.figure("decreases_seen_count", decreases_seen as f64);
    recorder.figure("decreases_registered_count", decreases_registered as f64);
}

/// The findings of one thread.
#[derive(Default)]
struct Tally {
    /// The number of registrations, renewals included.
    registrations: usize,
    /// How often an incarnation was not greater than an earlier one, and the first such pair.
    decreases: u64,
    first_decrease: Option<(u64, u64)>,
    /// The first registration error other than `Taken`.
    refused: Option<RegisterErrorKind>,
}

impl Tally {
    fn record_decrease(&mut self, earlier: u64, later: u64) {
        self.decreases += 1;
        self.first_decrease.get_or_insert((earlier, later));
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
    /// The greatest incarnation registered so far.
    greatest: AtomicU64,
    is_over: AtomicBool,
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
            is_over: AtomicBool::new(false),
            ready: Barrier::new(COMPETITORS + 1),
        }
    }

    /// Makes `lookups` lookups while each competitor registers at least `min_registrations` times. Returns the findings
    /// of the reader and of each competitor.
    fn run(&self, lookups: usize, min_registrations: usize) -> (Tally, Vec<Tally>) {
        thread::scope(|scope| {
            let competitors: Vec<_> =
                (0..COMPETITORS).map(|_| scope.spawn(|| self.compete(min_registrations))).collect();
            let seen = self.watch(lookups);
            let owned =
                competitors.into_iter().map(|competitor| competitor.join().expect("a competitor does not panic"));
            (seen, owned.collect())
        })
    }

    fn watch(&self, lookups: usize) -> Tally {
        let (mut tally, mut last) = (Tally::default(), 0);
        self.ready.wait();
        for _ in 0..lookups {
            if let Some(now) = self.find().map(Incarnation::as_u64) {
                if now < last {
                    tally.record_decrease(last, now);
                }
                last = now;
            }
        }
        self.is_over.store(true, Ordering::Relaxed);
        tally
    }

    fn compete(&self, min_registrations: usize) -> Tally {
        let mut tally = Tally::default();
        self.ready.wait();
        let mut failed_attempts = 0;
        loop {
            if self.is_over.load(Ordering::Relaxed) {
                if tally.registrations >= min_registrations || failed_attempts == MAX_FAILED_ATTEMPTS {
                    break;
                }
                failed_attempts += 1;
                // The current owner needs the processor to release the name.
                thread::yield_now();
            }
            match self.register() {
                Ok(mut lease) => {
                    self.record_registration(&lease, &mut tally);
                    if tally.registrations.is_multiple_of(RENEWAL_PERIOD) {
                        match self.renew(&mut lease) {
                            Ok(()) => self.record_registration(&lease, &mut tally),
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

    /// Compares a registration with all earlier ones. Later ones cannot exist yet.
    fn record_registration(&self, lease: &AnyLease, tally: &mut Tally) {
        let incarnation = lease.incarnation().as_u64();
        let earlier = self.greatest.fetch_max(incarnation, Ordering::SeqCst);
        if earlier >= incarnation {
            tally.record_decrease(earlier, incarnation);
        }
        tally.registrations += 1;
    }

    fn register(&self) -> Result<AnyLease, RegisterErrorKind> {
        match self.side {
            Side::Server => {
                let lease = self.registry.register_server(NAME, self.to_server.clone(), ());
                lease.map(AnyLease::Server).map_err(RegisterError::into_kind)
            }
            Side::Transport => {
                let lease = self.registry.register_transport(NAME, self.to_transport.clone(), ());
                lease.map(AnyLease::Transport).map_err(RegisterError::into_kind)
            }
        }
    }

    fn renew(&self, lease: &mut AnyLease) -> Result<(), RegisterErrorKind> {
        match lease {
            AnyLease::Server(lease) => {
                self.registry.renew_server(lease, self.to_server.clone(), ()).map_err(RegisterError::into_kind)
            }
            AnyLease::Transport(lease) => {
                self.registry.renew_transport(lease, self.to_transport.clone(), ()).map_err(RegisterError::into_kind)
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

/// Records an error, unless the name was taken, which is expected.
fn refused(reason: RegisterErrorKind, tally: &mut Tally) {
    if !matches!(reason, RegisterErrorKind::Taken { .. }) {
        tally.refused.get_or_insert(reason);
    }
}
