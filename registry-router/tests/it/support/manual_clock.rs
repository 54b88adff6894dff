//! A clock that a test sets.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use registry_router::Clock;

/// A clock that advances only by calls; clones share the time.
#[derive(Clone, Debug)]
pub(crate) struct ManualClock(Arc<(Instant, AtomicU64)>);

impl ManualClock {
    pub(crate) fn new() -> Self {
        Self(Arc::new((Instant::now(), AtomicU64::new(0))))
    }

    /// Returns the time at which the clock was created.
    pub(crate) fn start(&self) -> Instant {
        self.0.0
    }

    pub(crate) fn advance(&self, by: Duration) {
        self.0.1.fetch_add(nanos(by), Ordering::Relaxed);
    }

    /// Sets the clock back; not to before its start.
    pub(crate) fn rewind(&self, by: Duration) {
        let before = self.0.1.fetch_sub(nanos(by), Ordering::Relaxed);
        assert!(before >= nanos(by), "the clock cannot be set back to before its start");
    }

    /// Advances to `after_start` after the start, unless the clock is already there, and returns the time.
    pub(crate) fn advance_to(&self, after_start: Duration) -> Instant {
        self.0.1.fetch_max(nanos(after_start), Ordering::Relaxed);
        self.now()
    }
}

impl Clock for ManualClock {
    fn now(&self) -> Instant {
        self.0.0 + Duration::from_nanos(self.0.1.load(Ordering::Relaxed))
    }
}

fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).expect("no test lasts for centuries")
}
