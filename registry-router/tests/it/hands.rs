//! A clock that stands still until a test turns its hands.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use registry_router::Clock;

/// A clock; clones are the same one.
#[derive(Clone, Debug)]
pub(crate) struct Hands(Arc<Mutex<Instant>>);

impl Hands {
    pub(crate) fn new() -> Self {
        Self(Arc::new(Mutex::new(Instant::now())))
    }

    pub(crate) fn turn(&self, by: Duration) {
        *self.0.lock().unwrap() += by;
    }

    pub(crate) fn turn_back(&self, by: Duration) {
        *self.0.lock().unwrap() -= by;
    }
}

impl Clock for Hands {
    fn now(&self) -> Instant {
        *self.0.lock().unwrap()
    }
}
