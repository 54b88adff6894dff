//! A clock that advances by a microsecond at every read, so that every run exports the same values.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use registry_router::Clock;

/// A clock that is advanced by its readers; clones share the time.
#[derive(Clone, Debug)]
pub(crate) struct ManualClock(Arc<Mutex<Instant>>);

impl ManualClock {
    pub(crate) fn new() -> Self {
        Self(Arc::new(Mutex::new(Instant::now())))
    }

    /// Advances the clock and returns the new time.
    pub(crate) fn advance(&self, time: Duration) -> Instant {
        let mut now = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        *now += time;
        *now
    }
}

impl Clock for ManualClock {
    fn now(&self) -> Instant {
        self.advance(Duration::from_micros(1))
    }
}
