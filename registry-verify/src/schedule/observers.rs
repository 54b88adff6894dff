//! A probe that reports removals, and an admission policy that counts admitted entries.

use std::fmt;
use std::sync::atomic::{AtomicIsize, Ordering};
use std::sync::{Arc, PoisonError};
use std::time::Instant;

use registry_core::{Admission, AdmissionError, AdmissionState, Event, Kind, Metadata, Operation, Probe, ShardStats};
use shuttle::sync::Mutex;
use shuttle::sync::mpsc::{Receiver, Sender, channel};

/// Sends a message for each removed registration.
pub(super) struct RemovalNotifier(Mutex<Sender<()>>);

impl RemovalNotifier {
    /// Returns a notifier and its receiver.
    pub(super) fn new() -> (Self, Receiver<()>) {
        let (sender, receiver) = channel();
        (Self(Mutex::new(sender)), receiver)
    }
}

impl Probe for RemovalNotifier {
    fn lookup(&self, _shard: usize) -> bool {
        false
    }

    fn event(&self, _shard: usize, event: Event) {
        if event == Event::Removed {
            // The receiver may be gone; those schedules need no message.
            let _ = self.0.lock().unwrap_or_else(PoisonError::into_inner).send(());
        }
    }

    fn times_writes(&self) -> bool {
        false
    }

    fn record_latency(&self, _shard: usize, _operation: Operation, _began: Instant, _ended: Instant) {}

    fn stats(&self, _shard: usize, _now: Instant) -> ShardStats {
        ShardStats::default()
    }

    fn reset(&self) {}
}

impl fmt::Debug for RemovalNotifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RemovalNotifier").finish_non_exhaustive()
    }
}

/// Counts admitted entries that were not released. Uses a std atomic, which is not a scheduling point.
#[derive(Clone, Debug, Default)]
pub(super) struct CountingAdmission(Arc<AtomicIsize>);

impl CountingAdmission {
    pub(super) fn admitted(&self) -> isize {
        self.0.load(Ordering::SeqCst)
    }
}

impl Admission for CountingAdmission {
    fn admit(&self, _kind: Kind, _metadata: &Metadata, _now: Instant) -> Result<(), AdmissionError> {
        self.0.fetch_add(1, Ordering::SeqCst);
        Ok(())
    }

    fn release(&self, _kind: Kind, _metadata: &Metadata) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }

    fn state(&self) -> AdmissionState {
        AdmissionState::Open
    }
}
