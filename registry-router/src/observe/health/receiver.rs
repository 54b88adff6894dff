//! The channel of health changes, and its receiving end.

use std::error::Error;
use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use registry_core::HealthChange;
use tokio::sync::broadcast::error::TryRecvError;
use tokio::sync::futures::OwnedNotified;
use tokio::sync::{Notify, broadcast};

/// A receiver of health changes, created by [`Registry::watch_health`](crate::Registry::watch_health).
///
/// With the feature `stream` it is a `Stream` of [`HealthEvent`]s, which ends when [`next`](Self::next) would return `None`.
#[derive(Debug)]
pub struct HealthReceiver {
    changes: broadcast::Receiver<HealthChange>,
    changed: Arc<Notify>,
    /// Waits for the next notification since a poll that returned `Poll::Pending`.
    pending: Option<Pin<Box<OwnedNotified>>>,
}

/// An item received from a [`HealthReceiver`].
///
/// Exhaustive: new kinds of changes are variants of [`HealthChange`].
#[derive(Clone, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize), serde(rename_all = "snake_case"))]
pub enum HealthEvent {
    /// A health change.
    Change(HealthChange),
    /// The receiver was slow, and lost this number of the changes that came next.
    Lagged(u64),
}

impl HealthReceiver {
    /// Receives the next change; `None` when the registry is gone and all changes have been received.
    ///
    /// # Cancel safety
    ///
    /// Cancel-safe: a future that is dropped before it completes has received no change.
    ///
    /// # Examples
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # use std::time::{Duration, Instant};
    /// # use registry_router::{HealthEvent, Limits, Registry, TryNextError, mailbox};
    /// let limits = Limits::default().with_servers(1);
    /// let registry: Registry<&str> = Registry::builder().limits(limits).build()?;
    /// let mut changes = registry.watch_health();
    /// let (mailbox, _inbox) = mailbox(1);
    /// let _lease = registry.register_server("one", mailbox.clone(), ())?;
    /// assert!(registry.register_server("two", mailbox, ()).is_err());
    /// registry.tick(Instant::now());
    ///
    /// assert!(matches!(changes.next().await, Some(HealthEvent::Change(_))));
    /// drop(registry);
    /// assert_eq!(changes.next().await, None);
    /// # Ok(())
    /// # }
    /// ```
    pub async fn next(&mut self) -> Option<HealthEvent> {
        std::future::poll_fn(|context| self.poll_event(context)).await
    }

    fn poll_event(&mut self, context: &mut Context<'_>) -> Poll<Option<HealthEvent>> {
        loop {
            // Receives every notification from its creation on, so none is missed between `try_next` and `poll`.
            let pending = self.pending.take();
            let mut pending = pending.unwrap_or_else(|| Box::pin(Arc::clone(&self.changed).notified_owned()));
            match self.try_next() {
                Ok(event) => return Poll::Ready(Some(event)),
                Err(TryNextError::Closed) => return Poll::Ready(None),
                Err(TryNextError::Empty) => {}
            }
            if pending.as_mut().poll(context).is_pending() {
                self.pending = Some(pending);
                return Poll::Pending;
            }
        }
    }

    /// Receives the next change if there is one now.
    ///
    /// # Errors
    ///
    /// Returns [`TryNextError::Empty`] if there is none now, and [`TryNextError::Closed`] if there will be no more: the
    /// registry is gone and all changes have been received.
    ///
    /// # Examples
    ///
    /// ```
    /// # use std::time::{Duration, Instant};
    /// # use registry_router::{HealthEvent, Limits, Registry, TryNextError, mailbox};
    /// let limits = Limits::default().with_servers(1);
    /// let registry: Registry<&str> = Registry::builder().limits(limits).build()?;
    /// let mut changes = registry.watch_health();
    /// let (mailbox, _inbox) = mailbox(1);
    /// let _lease = registry.register_server("one", mailbox.clone(), ())?;
    /// assert!(registry.register_server("two", mailbox, ()).is_err());
    /// registry.tick(Instant::now());
    ///
    /// assert!(matches!(changes.try_next(), Ok(HealthEvent::Change(_))));
    /// assert_eq!(changes.try_next(), Err(TryNextError::Empty));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn try_next(&mut self) -> Result<HealthEvent, TryNextError> {
        match self.changes.try_recv() {
            Ok(change) => Ok(HealthEvent::Change(change)),
            Err(TryRecvError::Lagged(lost)) => Ok(HealthEvent::Lagged(lost)),
            Err(TryRecvError::Empty) => Err(TryNextError::Empty),
            Err(TryRecvError::Closed) => Err(TryNextError::Closed),
        }
    }
}

#[cfg(feature = "stream")]
#[cfg_attr(docsrs, doc(cfg(feature = "stream")))]
impl futures_core::Stream for HealthReceiver {
    type Item = HealthEvent;

    fn poll_next(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<HealthEvent>> {
        self.get_mut().poll_event(context)
    }
}

/// The error returned by [`HealthReceiver::try_next`].
///
/// Exhaustive: there is a change now, there is none now, or there will be none again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TryNextError {
    /// There is no change to receive now.
    Empty,
    /// The registry is gone, and all changes have been received.
    Closed,
}

impl fmt::Display for TryNextError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Empty => "there is no health change to receive",
            Self::Closed => "the registry is gone",
        })
    }
}

impl Error for TryNextError {}

/// The channel of changes. Its fields are dropped in this order, so that a receiver which is woken finds the channel closed.
pub(super) struct Changes {
    sender: broadcast::Sender<HealthChange>,
    changed: NotifyOnDrop,
}

/// Wakes all receivers after a change has been sent, and when it is dropped.
#[derive(Default)]
struct NotifyOnDrop(Arc<Notify>);

impl Drop for NotifyOnDrop {
    fn drop(&mut self) {
        self.0.notify_waiters();
    }
}

impl Changes {
    /// Creates a channel that keeps at least `capacity` changes for slow receivers.
    pub(super) fn new(capacity: usize) -> Self {
        Self { sender: broadcast::Sender::new(capacity), changed: NotifyOnDrop::default() }
    }

    pub(super) fn subscribe(&self) -> HealthReceiver {
        HealthReceiver { changes: self.sender.subscribe(), changed: Arc::clone(&self.changed.0), pending: None }
    }

    pub(super) fn send(&self, change: HealthChange) {
        // Fails if all receivers are gone.
        let _ = self.sender.send(change);
        self.changed.0.notify_waiters();
    }
}
