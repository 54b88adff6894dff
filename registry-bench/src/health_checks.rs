//! The health checks of a measured registry, in the background.
//!
//! Checks set the rate at which lookups are timed, so figures without them would not be those of a registry in use.
//! They run ten times as often as by default, because a measured registry is short-lived: the rate should have settled
//! when measuring begins.

use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use registry_core::Backend;
use registry_router::{MailboxFamily, Probe, Registry};

/// The interval between two checks.
const EVERY: Duration = Duration::from_millis(100);

/// The time under load after which the rate has settled: two checks, if the load began just after one.
pub(crate) const SETTLED: Duration = Duration::from_millis(250);

/// A thread that runs health checks until this is dropped.
#[derive(Debug)]
pub struct HealthChecks {
    /// Nothing is sent; the thread ends when it is dropped.
    stop: Option<mpsc::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl HealthChecks {
    /// Starts the health checks of a registry.
    #[must_use]
    pub fn of<M, B, X, P>(registry: Registry<M, B, X, P>) -> Self
    where
        M: Send + 'static,
        B: Backend,
        X: MailboxFamily,
        P: Probe,
    {
        let (stop, stopped) = mpsc::channel();
        let work = move || {
            while stopped.recv_timeout(EVERY) == Err(RecvTimeoutError::Timeout) {
                registry.tick(Instant::now());
            }
        };
        Self { stop: Some(stop), thread: Some(thread::spawn(work)) }
    }
}

impl Drop for HealthChecks {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            // A panic has already been printed.
            let _ = thread.join();
        }
    }
}
