//! What time it is: the machine's clock, or one that the user brings, of which a test turns the hands.

use std::fmt;
use std::sync::Arc;
use std::time::Instant;

/// A clock for a registry to read, instead of the machine's.
///
/// A registry reads it to time operations, to say when somebody wants to register, and where a figure is asked for
/// without an instant. Tasks that wait ([`sweeper`](crate::Registry::sweeper),
/// [`health_task`](crate::Registry::health_task), sending with a limit) wait by tokio's.
pub trait Clock: fmt::Debug + Send + Sync + 'static {
    /// What time it is.
    ///
    /// It should go on as time does. Where it goes back, that counts as no time at all, and where it is ahead once, that
    /// is got over: what follows is taken for right when it has gone on for one period of whatever depends on it.
    ///
    /// - The rate of registrations: half a second. Meanwhile nothing is added to what may come at once.
    /// - Windows of latencies and hot ids: one window, a second at least. What was in the window is only in the totals.
    /// - Alarms, admission and caps: two checks of health. One that was held for a time may have ended too early.
    /// - How many look-ups are timed: two checks of health.
    /// - Taking out the dead when a cap is hit: one [`sweep_every`](crate::Limits::sweep_every).
    /// - Sweeps: the lag that the next one tells is too long rather than too short.
    ///
    /// The latency of an operation during which it jumps is what it says.
    ///
    /// Called on every registration and inside no lock, so it must not block, and must not call the registry.
    fn now(&self) -> Instant;
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
