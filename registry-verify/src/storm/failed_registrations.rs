//! 10,000 registrations fail, for eight reasons in turn, and leave zero bytes.
//!
//! Every reason is tried often before anything is counted, so that what is made once for all is there: the counters of
//! this thread, its readers, the room in a server's group. After that the bound is exact: not a byte, on any backend.
//!
//! With a monitor, a shard's histogram grows when a latency comes by that is longer than all before it. That is not the
//! failures' doing, so with a monitor the best of several times counts, and the bound is less than a byte for each
//! failure: anything that one of the reasons left would be more.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Instant;

use registry_core::{
    Admission, AdmissionError, AdmissionState, Backend, DenyReason, InvalidId, Kind, MAX_ID_BYTES, Metadata,
    RegisterErrorKind,
};
use registry_router::{MonitorSettings, Registry, ServerMailbox, TransportMailbox, mailbox};

use super::field::{held, server, transport};
use super::logbook::Logbook;
use super::owner::granted;

/// How many servers there are, and how many transports bound to them.
const RESIDENTS: usize = 100;

const REASONS: usize = 8;

/// How many failures come before the bytes are counted: every reason for every resident, several times.
const WARM_UP: usize = 5 * REASONS * RESIDENTS;

/// How many failures are counted, which take little time even all of them.
const FAILURES: usize = 10_000;

/// How often bytes are counted before and after all failures.
const TIMES: usize = 3;

pub(super) fn run<B: Backend>(logbook: &mut Logbook) {
    let unheard = fail::<B>(logbook, false);
    logbook.figure("left_bytes", unheard.iter().copied().fold(0.0, f64::max));
    logbook.expect_eq("bytes that failures left, each time", unheard, vec![0.0; TIMES]);
    let heard = fail::<B>(logbook, true);
    let least = heard.iter().copied().fold(f64::INFINITY, f64::min);
    logbook.figure("left_with_monitor_bytes", least);
    logbook
        .expect(least < FAILURES as f64, || format!("bytes that failures left with a monitor, each time: {heard:?}"));
}

/// Fails so many times as often, and says how many bytes each time left.
fn fail<B: Backend>(logbook: &mut Logbook, heard: bool) -> Vec<f64> {
    let places = Arc::new(AtomicI64::new(0));
    let monitor = MonitorSettings { enabled: heard, ..MonitorSettings::default() };
    let builder = Registry::<u64, B>::builder().monitor(monitor).admission(Picky(Arc::clone(&places)));
    let registry = builder.build().expect("the settings are valid");
    let ((to_server, _server_inbox), (to_transport, _transport_inbox)) = (mailbox(1), mailbox(1));
    let mut leases = (Vec::new(), Vec::new());
    for number in 0..RESIDENTS {
        let id = server("resident", number);
        leases.0.push(granted(registry.register_server(id.clone(), to_server.clone(), ())));
        let bound = registry.register_transport_bound_to(transport("resident", number), to_transport.clone(), (), id);
        leases.1.push(granted(bound));
    }
    let mut loser = Loser {
        registry: &registry,
        too_long: "x".repeat(MAX_ID_BYTES + 1),
        unwanted: Metadata::new().with(UNWANTED, "yes"),
        to_server: Some(to_server),
        to_transport: Some(to_transport),
    };
    let before = held(&registry);

    let mut wrong = None;
    let mut lose = |failures| {
        for number in 0..failures {
            if let Some(reason) = loser.lose(number) {
                wrong.get_or_insert_with(|| format!("failure {number}: {reason}"));
            }
        }
    };
    lose(WARM_UP);
    let mut left = Vec::with_capacity(TIMES);
    for _ in 0..TIMES {
        let live_before = logbook.live_bytes();
        lose(FAILURES);
        left.push(logbook.live_bytes() as f64 - live_before as f64);
    }
    logbook.expect_eq("the first registration that did not fail as it should", wrong, None);
    logbook.expect_eq("what is registered after the failures", held(&registry), before);
    logbook.expect_eq("places that admission has given", places.load(Ordering::Relaxed), 2 * RESIDENTS as i64);

    logbook.died(2 * RESIDENTS);
    drop(leases);
    logbook.left_over("when all are gone", held(&registry));
    logbook.expect_eq("places that did not come back", places.load(Ordering::Relaxed), 0);
    left
}

/// One who tries to register and always fails; the mailboxes come back each time.
struct Loser<'a, B: Backend> {
    registry: &'a Registry<u64, B>,
    too_long: String,
    unwanted: Metadata,
    to_server: Option<ServerMailbox<u64>>,
    to_transport: Option<TransportMailbox<u64>>,
}

impl<B: Backend> Loser<'_, B> {
    /// Fails, and says what the reason was if it was not the right one.
    fn lose(&mut self, number: usize) -> Option<String> {
        let nobody = Metadata::new();
        let resident = format!("resident-{}", number / REASONS % RESIDENTS);
        let new = format!("new-{number}");
        let reason = match number % REASONS {
            0 => self.lose_server(&resident, nobody),
            1 => self.lose_transport(&resident, None),
            2 => self.lose_transport(&resident, Some(&resident)),
            3 => self.lose_transport(&new, Some("stranger")),
            4 => self.lose_server(&new, self.unwanted.clone()),
            5 => self.lose_server("", nobody),
            6 => self.lose_server(&self.too_long.clone(), nobody),
            _ => self.lose_transport("two\nlines", Some(&resident)),
        };
        let is_right = matches!(
            (number % REASONS, &reason),
            (0..=2, Some(RegisterErrorKind::Taken { .. }))
                | (3, Some(RegisterErrorKind::ServerNotFound))
                | (4, Some(RegisterErrorKind::Refused(_)))
                | (5, Some(RegisterErrorKind::InvalidId(InvalidId::Empty)))
                | (6, Some(RegisterErrorKind::InvalidId(InvalidId::TooLong { .. })))
                | (7, Some(RegisterErrorKind::InvalidId(InvalidId::ControlCharacter { .. })))
        );
        (!is_right).then(|| format!("{reason:?}"))
    }

    /// The reason why a server was not registered.
    fn lose_server(&mut self, id: &str, metadata: Metadata) -> Option<RegisterErrorKind> {
        let error = self.registry.register_server(id, self.to_server.take()?, metadata).err()?;
        self.to_server = Some(error.mailbox);
        Some(error.kind)
    }

    /// The reason why a transport was not registered, bound to a server or to none.
    fn lose_transport(&mut self, id: &str, bound_to: Option<&str>) -> Option<RegisterErrorKind> {
        let mailbox = self.to_transport.take()?;
        let error = match bound_to {
            Some(server) => self.registry.register_transport_bound_to(id, mailbox, (), server).err()?,
            None => self.registry.register_transport(id, mailbox, ()).err()?,
        };
        self.to_transport = Some(error.mailbox);
        Some(error.kind)
    }
}

/// The label that admission does not like.
const UNWANTED: &str = "unwanted";

/// Refuses some, and counts the places that it has given and not got back.
#[derive(Debug)]
struct Picky(Arc<AtomicI64>);

impl Admission for Picky {
    fn admit(&self, _kind: Kind, metadata: &Metadata, _now: Instant) -> Result<(), AdmissionError> {
        if metadata.get(UNWANTED).is_some() {
            return Err(AdmissionError {
                reason: DenyReason::Policy,
                message: "it is not wanted".into(),
                retry_after: None,
            });
        }
        self.0.fetch_add(1, Ordering::Relaxed);
        Ok(())
    }

    fn release(&self, _kind: Kind, _metadata: &Metadata) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }

    fn state(&self) -> AdmissionState {
        AdmissionState::Open
    }
}
