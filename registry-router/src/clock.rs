//! What time it is: the machine's clock, or one that the user brings, of which a test turns the hands.

use std::fmt;
use std::sync::Arc;
use std::time::Instant;

/// A clock for a registry to read, instead of the machine's.
///
/// A registry reads it to time operations, to say when somebody wants to register, and where a figure is asked for
/// without an instant. Tasks that wait ([`sweep_task`](crate::Registry::sweep_task),
/// [`health_task`](crate::Registry::health_task), sending with a limit) wait by tokio's.
pub trait Clock: fmt::Debug + Send + Sync + 'static {
    /// What time it is.
    ///
    /// It should go on as time does. Where it goes back, that counts as no time at all, and where it is ahead once, that
    /// is got over: what follows is taken for right when it has gone on for one period of whatever depends on it.
    ///
    /// - The rate of registrations: a second. Meanwhile nothing is added to what may come at once.
    /// - Windows of latencies and hot ids: one window, a second at least. What was in the window is only in the totals.
    /// - Alarms, admission and caps: two checks of health. One that was held for a time may have ended too early.
    /// - How many lookups are timed: two checks of health.
    /// - Taking out the dead when a cap is hit: one [`sweep_every`](crate::Limits::sweep_every).
    /// - Sweeps: the lag that the next one tells is too long rather than too short.
    ///
    /// The latency of an operation during which it jumps is what it says.
    ///
    /// Called on every registration and inside no lock, so it must not block, and must not call the registry.
    fn now(&self) -> Instant;
}

/// Tokio's clock, which a test can pause and advance: it reads `tokio::time::Instant::now`.
///
/// So what the registry times and judges goes by the same clock as the tasks and limits that wait by tokio's. Outside of a
/// runtime, and without tokio's feature `test-util`, it is the machine's.
///
/// ```
/// # #[cfg(feature = "papaya")]
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build()?.block_on(async {
/// // As in a `#[tokio::test(start_paused = true)]`.
/// use std::time::Duration;
///
/// use registry_router::{Limits, RateLimit, Registry, TokioClock, mailbox};
///
/// let rate = RateLimit { per_second: 1, burst: 1 };
/// let limits = Limits { rate: Some(rate), ..Limits::default() };
/// let registry: Registry<String> = Registry::builder().clock(TokioClock).limits(limits).build()?;
/// let (to_server, _inbox) = mailbox(1);
/// let _first = registry.register_server("first", to_server.clone(), ())?;
/// assert!(registry.register_server("second", to_server.clone(), ()).is_err(), "they come too fast");
///
/// tokio::time::sleep(Duration::from_secs(1)).await; // Over at once, for nothing else is to be done.
/// assert!(registry.register_server("second", to_server, ()).is_ok());
/// # Ok(())
/// # })
/// # }
/// # #[cfg(not(feature = "papaya"))]
/// # fn main() {}
/// ```
#[derive(Clone, Copy, Debug, Default)]
pub struct TokioClock;

impl Clock for TokioClock {
    fn now(&self) -> Instant {
        tokio::time::Instant::now().into_std()
    }
}

/// The clock of one registry.
#[derive(Clone, Debug, Default)]
pub(crate) struct Time(Option<Arc<dyn Clock>>);

impl Time {
    pub(crate) fn by(clock: impl Clock) -> Self {
        Self(Some(Arc::new(clock)))
    }

    #[inline]
    pub(crate) fn now(&self) -> Instant {
        match &self.0 {
            None => Instant::now(),
            Some(clock) => clock.now(),
        }
    }
}
