//! Being told from outside to end: the terminal is given back then too.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Whether somebody has told this process to end.
#[derive(Debug)]
pub struct Told(Arc<AtomicBool>);

impl Told {
    /// Listens from now on; what ends a process by default does not end this one any more.
    pub fn listen() -> io::Result<Self> {
        let told = Self(Arc::default());
        let tell = Arc::clone(&told.0);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let end = runtime.block_on(async { signalled() })?;
        std::thread::Builder::new().name("signals".to_owned()).spawn(move || {
            runtime.block_on(end);
            tell.store(true, Ordering::Relaxed);
        })?;
        Ok(told)
    }

    pub fn to_end(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

/// Waits for a signal that asks a process to end.
#[cfg(unix)]
fn signalled() -> io::Result<impl Future<Output = ()>> {
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

/// Waits for a signal that asks a process to end.
#[cfg(not(unix))]
fn signalled() -> io::Result<impl Future<Output = ()>> {
    Ok(async {
        // Where there is no such thing, nobody is told, and nobody need be.
        let _ = tokio::signal::ctrl_c().await;
    })
}
