//! A clock that goes on by a microsecond whenever somebody looks at it, so that every run tells the same figures.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use registry_router::Clock;

/// A clock; clones are the same one.
#[derive(Clone, Debug)]
pub(crate) struct Ticking(Arc<Mutex<Instant>>);

impl Ticking {
    pub(crate) fn new() -> Self {
        Self(Arc::new(Mutex::new(Instant::now())))
    }

    /// Lets so much time pass, and says what time it is then.
    pub(crate) fn pass(&self, time: Duration) -> Instant {
        let mut now = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        *now += time;
        *now
    }
}

impl Clock for Ticking {
    fn now(&self) -> Instant {
        self.pass(Duration::from_micros(1))
    }
}
