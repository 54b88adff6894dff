//! Termination signals, so that the terminal is restored when the process is told to exit.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Records whether the process has received a termination signal.
#[derive(Debug)]
pub struct Termination(Arc<AtomicBool>);

impl Termination {
    /// Starts to listen; from now on these signals no longer terminate the process by themselves.
    ///
    /// # Errors
    ///
    /// An I/O error when a handler cannot be installed or a thread cannot be started.
    pub fn listen() -> io::Result<Self> {
        let termination = Self(Arc::default());
        let requested = Arc::clone(&termination.0);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let signal = runtime.block_on(async { signal() })?;
        std::thread::Builder::new().name("signals".to_owned()).spawn(move || {
            runtime.block_on(signal);
            requested.store(true, Ordering::Relaxed);
        })?;
        Ok(termination)
    }

    /// Returns whether a termination signal has been received.
    pub fn is_requested(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

/// Waits for a termination signal.
#[cfg(unix)]
fn signal() -> io::Result<impl Future<Output = ()>> {
    use tokio::signal::unix::{SignalKind, signal};

    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    let mut hangup = signal(SignalKind::hangup())?;
    Ok(async move {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
            _ = hangup.recv() => {}
        }
    })
}

/// Waits for a termination signal.
#[cfg(not(unix))]
fn signal() -> io::Result<impl Future<Output = ()>> {
    Ok(async {
        // An error means that there is no such signal here: the flag is then set at once, which only ends the program.
        let _ = tokio::signal::ctrl_c().await;
    })
}
