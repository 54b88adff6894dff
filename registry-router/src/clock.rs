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
    /// What time it is. It should not go back; where it does, that counts as no time at all.
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
