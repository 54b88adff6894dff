//! The time source of a registry: the system clock, tokio's clock, or one supplied by the user.

use std::fmt;
use std::sync::Arc;
use std::time::Instant;

/// A time source that replaces the system clock of a registry.
///
/// A registry reads it to time operations, to date new registrations, and wherever a method needs the current time
/// and takes no instant as an argument. Tasks that wait ([`sweep_task`](crate::Registry::sweep_task),
/// [`health_task`](crate::Registry::health_task), sending with a limit) use tokio's clock instead.
///
/// # Clocks that jump
///
/// A clock should be monotonic and advance at the rate of real time. If it goes back, the time in between counts as
/// zero. If it returned an instant in the future once, the registry recovers: each function that depends on time works
/// as before after one of its periods of correct time.
///
/// | function | period | until then |
/// |---|---|---|
/// | rate limit | one second | the burst is not refilled |
/// | windows of latencies and hot ids | one window, at least one second | samples of the old window are in the totals only |
/// | alarms, admission and limits | two health checks | a hold time may have ended too early |
/// | sampling rate of lookups | two health checks | |
/// | eviction when a limit is reached | one [`sweep_every`](crate::Limits::sweep_every) | |
/// | sweeps | one sweep | the reported lag is too long rather than too short |
///
/// The latency of an operation during which the clock jumps is recorded as measured.
///
/// # Examples
///
/// ```
/// use std::sync::Mutex;
/// use std::time::{Duration, Instant};
///
/// use registry_router::{Clock, Registry};
///
/// #[derive(Debug)]
/// struct ManualClock(&'static Mutex<Instant>);
///
/// impl Clock for ManualClock {
///     fn now(&self) -> Instant {
///         *self.0.lock().unwrap()
///     }
/// }
///
/// let now = Box::leak(Box::new(Mutex::new(Instant::now())));
/// let registry = Registry::<String>::builder().clock(ManualClock(now)).build()?;
/// *now.lock().unwrap() += Duration::from_secs(60);
/// # drop(registry);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub trait Clock: fmt::Debug + Send + Sync + 'static {
    /// Returns the current time.
    ///
    /// Called on every registration, with no lock held. It must not block and must not call the registry.
    fn now(&self) -> Instant;
}

/// Tokio's clock, which tests can pause and advance. Reads `tokio::time::Instant::now`.
///
/// With it, everything that the registry times or decides by time follows the same clock as its tasks and send limits,
/// which wait on tokio's clock. Outside a runtime, or without tokio's feature `test-util`, it is the system clock.
///
/// # Examples
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
/// let rate = RateLimit::new(1, 1);
/// let limits = Limits::default().with_rate(rate);
/// let registry = Registry::<String>::builder().clock(TokioClock).limits(limits).build()?;
/// let (to_server, _inbox) = mailbox(1);
/// let _first = registry.register_server("first", to_server.clone(), ())?;
/// assert!(registry.register_server("second", to_server.clone(), ()).is_err(), "the rate limit is reached");
///
/// tokio::time::sleep(Duration::from_secs(1)).await; // Returns at once: the paused clock advances by itself.
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

/// The clock of one registry: the system clock unless a [`Clock`] is given.
#[derive(Clone, Debug, Default)]
pub(crate) struct Time(Option<Arc<dyn Clock>>);

impl Time {
    pub(crate) fn from_clock(clock: impl Clock) -> Self {
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
