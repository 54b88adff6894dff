//! The checks that run beside a registry that serves, until this is dropped.
//!
//! They set the rate at which lookups are timed, so that what is measured without them is not what people run.
//! They come ten times as often as by default, because a registry that is measured does not live long: it should have
//! found its rate when measuring begins.

use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use registry_core::Backend;
use registry_router::{MailboxFamily, Probe, Registry};

/// The most often that the rate is set.
const EVERY: Duration = Duration::from_millis(100);

/// After so long under load the rate has been set, and once more if the load began in between.
pub(crate) const SETTLED: Duration = Duration::from_millis(250);

/// A thread that checks.
#[derive(Debug)]
pub struct Checks {
    /// Nothing is sent: that it is gone is what the thread hears.
    lives: Option<mpsc::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Checks {
    /// Of this registry.
    #[must_use]
    pub fn of<M, B, X, P>(registry: Registry<M, B, X, P>) -> Self
    where
        M: Send + 'static,
        B: Backend,
        X: MailboxFamily,
        P: Probe,
    {
        let (lives, ends) = mpsc::channel();
        let work = move || {
            while ends.recv_timeout(EVERY) == Err(RecvTimeoutError::Timeout) {
                registry.tick(Instant::now());
            }
        };
        Self { lives: Some(lives), thread: Some(thread::spawn(work)) }
    }
}

impl Drop for Checks {
    fn drop(&mut self) {
        drop(self.lives.take());
        if let Some(thread) = self.thread.take() {
            // That it panicked has been told by the panic.
            let _ = thread.join();
        }
    }
}
