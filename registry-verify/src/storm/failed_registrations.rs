//! 10,000 registrations fail, for eight reasons in turn, and leak no byte.
//!
//! Each reason is exercised often before bytes are counted, so that one-time allocations exist: the counters of this
//! thread, its readers, the capacity of a server's group. After that the bound is exact: zero bytes, on every backend.
//!
//! With a monitor, a shard's histogram grows when it records a latency longer than all before. That is not due to the
//! failures, so with a monitor the best of several runs counts, and the bound is less than a byte per failure: a leak
//! in any one reason would exceed it.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Instant;

use registry_core::{
    Admission, AdmissionError, AdmissionState, Backend, DenyReason, InvalidId, Kind, MAX_ID_BYTES, Metadata,
    RegisterErrorKind,
};
use registry_router::{MonitorSettings, Registry, ServerMailbox, TransportMailbox, mailbox};

use super::fixture::{entry_counts, server, transport};
use super::owner::expect_lease;
use super::recorder::Recorder;

/// The number of servers, and of transports bound to them.
const RESIDENTS: usize = 100;

const REASONS: usize = 8;

/// The number of failures before bytes are counted: each reason for each resident, several times.
const WARM_UP: usize = 5 * REASONS * RESIDENTS;

/// The number of counted failures. They are cheap, so it is the same at every scale.
const FAILURES: usize = 10_000;

/// The number of counted runs.
const TIMES: usize = 3;

pub(super) fn run<B: Backend>(recorder: &mut Recorder) {
    let unmonitored = fail::<B>(recorder, false);
    recorder.figure("left_bytes", unmonitored.iter().copied().fold(0.0, f64::max));
    recorder.expect_eq("bytes leaked by failures, in each run", unmonitored, vec![0.0; TIMES]);
    let monitored = fail::<B>(recorder, true);
    let least = monitored.iter().copied().fold(f64::INFINITY, f64::min);
    recorder.figure("left_with_monitor_bytes", least);
    recorder.expect(least < FAILURES as f64, || {
        format!("bytes leaked by failures with a monitor, in each run: {monitored:?}")
    });
}

/// Runs the failures, and returns the number of bytes leaked by each run.
fn fail<B: Backend>(recorder: &mut Recorder, monitored: bool) -> Vec<f64> {
    let admitted = Arc::new(AtomicI64::new(0));
    let monitor = MonitorSettings::default().with_enabled(monitored);
    let builder = Registry::<u64, B>::builder().monitor(monitor).admission(LabelAdmission(Arc::clone(&admitted)));
    let registry = builder.build().expect("the settings are valid");
    let ((to_server, _server_inbox), (to_transport, _transport_inbox)) = (mailbox(1), mailbox(1));
    let mut leases = (Vec::new(), Vec::new());
    for number in 0..RESIDENTS {
        let id = server("resident", number);
        leases.0.push(expect_lease(registry.register_server(id.clone(), to_server.clone(), ())));
        let bound = registry.register_transport_bound_to(transport("resident", number), to_transport.clone(), (), id);
        leases.1.push(expect_lease(bound));
    }
    let mut registrar = FailingRegistrar {
        registry: &registry,
        too_long: "x".repeat(MAX_ID_BYTES + 1),
        unwanted: Metadata::new().with(UNWANTED, "yes"),
        to_server: Some(to_server),
        to_transport: Some(to_transport),
    };
    let before = entry_counts(&registry);

    let mut unexpected = None;
    let mut fail = |failures| {
        for number in 0..failures {
            if let Some(reason) = registrar.fail(number) {
                unexpected.get_or_insert_with(|| format!("failure {number}: {reason}"));
            }
        }
    };
    fail(WARM_UP);
    let mut remaining = Vec::with_capacity(TIMES);
    for _ in 0..TIMES {
        let live_before = recorder.live_bytes();
        fail(FAILURES);
        remaining.push(recorder.live_bytes() as f64 - live_before as f64);
    }
    recorder.expect_eq("first registration that did not fail as expected", unexpected, None);
    recorder.expect_eq("entries after the failures", entry_counts(&registry), before);
    recorder.expect_eq("entries admitted and not released", admitted.load(Ordering::Relaxed), 2 * RESIDENTS as i64);

    recorder.add_deaths(2 * RESIDENTS);
    drop(leases);
    recorder.expect_empty("at the end", entry_counts(&registry));
    recorder.expect_eq("entries not released at the end", admitted.load(Ordering::Relaxed), 0);
    remaining
}

/// Makes registrations that all fail; the mailboxes are returned each time.
struct FailingRegistrar<'a, B: Backend> {
    registry: &'a Registry<u64, B>,
    too_long: String,
    unwanted: Metadata,
    to_server: Option<ServerMailbox<u64>>,
    to_transport: Option<TransportMailbox<u64>>,
}

impl<B: Backend> FailingRegistrar<'_, B> {
    /// Makes a registration fail, and returns the outcome if it was not the expected one.
    fn fail(&mut self, number: usize) -> Option<String> {
        let no_metadata = Metadata::new();
        let resident = format!("resident-{}", number / REASONS % RESIDENTS);
        let new = format!("new-{number}");
        let reason = match number % REASONS {
            0 => self.fail_server(&resident, no_metadata),
            1 => self.fail_transport(&resident, None),
            2 => self.fail_transport(&resident, Some(&resident)),
            3 => self.fail_transport(&new, Some("unknown")),
            4 => self.fail_server(&new, self.unwanted.clone()),
            5 => self.fail_server("", no_metadata),
            6 => self.fail_server(&self.too_long.clone(), no_metadata),
            _ => self.fail_transport("two\nlines", Some(&resident)),
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

    /// Returns the reason why registering a server failed.
    fn fail_server(&mut self, id: &str, metadata: Metadata) -> Option<RegisterErrorKind> {
        let error = self.registry.register_server(id, self.to_server.take()?, metadata).err()?;
        let (kind, mailbox, _) = error.into_parts();
        self.to_server = Some(mailbox);
        Some(kind)
    }

    /// Returns the reason why registering a transport failed, bound to a server or unbound.
    fn fail_transport(&mut self, id: &str, bound_to: Option<&str>) -> Option<RegisterErrorKind> {
        let mailbox = self.to_transport.take()?;
        let error = match bound_to {
            Some(server) => self.registry.register_transport_bound_to(id, mailbox, (), server).err()?,
            None => self.registry.register_transport(id, mailbox, ()).err()?,
        };
        let (kind, mailbox, _) = error.into_parts();
        self.to_transport = Some(mailbox);
        Some(kind)
    }
}

/// The label that admission rejects.
const UNWANTED: &str = "unwanted";

/// Rejects entries with the label, and counts admitted entries that were not released.
#[derive(Debug)]
struct LabelAdmission(Arc<AtomicI64>);

impl Admission for LabelAdmission {
    fn admit(&self, _kind: Kind, metadata: &Metadata, _now: Instant) -> Result<(), AdmissionError> {
        if metadata.get(UNWANTED).is_some() {
            return Err(AdmissionError::new(DenyReason::Policy, "unwanted"));
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
