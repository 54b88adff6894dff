//! The mailbox that a registry uses unless told otherwise: tokio's bounded channel.

use std::fmt;

use registry_core::{Closed, Mailbox, Mailboxes, ReservingMailbox, Slot, Undelivered};
use tokio::sync::mpsc;
use tokio::sync::mpsc::error::TrySendError;

/// The receiving end of a [`TokioMailbox`]: tokio's own receiver, with all that it can do.
pub type Inbox<T> = mpsc::Receiver<T>;

/// The greatest capacity of a mailbox; tokio's limit.
pub const MAX_MAILBOX_CAPACITY: usize = tokio::sync::Semaphore::MAX_PERMITS;

/// Makes a bounded mailbox for `capacity` messages.
///
/// What it carries is usually inferred from where it is registered: [`ToServer<M>`](crate::ToServer) for a server,
/// [`ToTransport<M>`](crate::ToTransport) for a transport.
/// Dropping or closing the inbox closes the mailbox.
/// The inbox ends when it has been emptied and all sending ends are gone; a registry may hold its own end for a while
/// after the registration has ended, so an owner who is done should close the inbox and not wait for that.
///
/// ```
/// use registry_router::{ToServer, mailbox};
///
/// let (mailbox, inbox) = mailbox::<ToServer<String>>(64);
/// # drop((mailbox, inbox));
/// ```
///
/// # Panics
///
/// When `capacity` is zero or above [`MAX_MAILBOX_CAPACITY`]; where it comes from outside, use [`try_mailbox`].
#[track_caller]
pub fn mailbox<T>(capacity: usize) -> (TokioMailbox<T>, Inbox<T>) {
    match try_mailbox(capacity) {
        Ok(ends) => ends,
        Err(error) => panic!("{error}"),
    }
}

/// Like [`mailbox`], for a capacity that comes from outside.
///
/// # Errors
///
/// [`CapacityError`] when `capacity` is zero or above [`MAX_MAILBOX_CAPACITY`].
pub fn try_mailbox<T>(capacity: usize) -> Result<(TokioMailbox<T>, Inbox<T>), CapacityError> {
    if capacity == 0 || capacity > MAX_MAILBOX_CAPACITY {
        return Err(CapacityError { given: capacity });
    }
    let (sender, receiver) = mpsc::channel(capacity);
    Ok((TokioMailbox(sender), receiver))
}

/// No mailbox can have this capacity.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CapacityError {
    /// What was asked for.
    pub given: usize,
}

impl fmt::Display for CapacityError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the capacity of a mailbox must be from 1 to {MAX_MAILBOX_CAPACITY}, not {}", self.given)
    }
}

impl std::error::Error for CapacityError {}

/// The sending end of a bounded tokio channel.
pub struct TokioMailbox<T>(mpsc::Sender<T>);

impl<T> TokioMailbox<T> {
    /// The channel's own sender.
    pub fn as_sender(&self) -> &mpsc::Sender<T> {
        &self.0
    }
}

impl<T> From<mpsc::Sender<T>> for TokioMailbox<T> {
    fn from(sender: mpsc::Sender<T>) -> Self {
        Self(sender)
    }
}

impl<T> Clone for TokioMailbox<T> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<T> fmt::Debug for TokioMailbox<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TokioMailbox")
            .field("capacity", &self.0.max_capacity())
            .field("room", &self.0.capacity())
            .field("closed", &self.0.is_closed())
            .finish()
    }
}

impl<T: Send + 'static> Mailbox<T> for TokioMailbox<T> {
    #[inline]
    fn try_deliver(&self, item: T) -> Result<(), Undelivered<T>> {
        self.0.try_send(item).map_err(|error| match error {
            TrySendError::Full(item) => Undelivered::Full(item),
            TrySendError::Closed(item) => Undelivered::Closed(item),
        })
    }

    #[inline]
    fn is_closed(&self) -> bool {
        self.0.is_closed()
    }
}

impl<T: Send + 'static> ReservingMailbox<T> for TokioMailbox<T> {
    type Slot<'a> = TokioSlot<'a, T>;

    async fn reserve(&self) -> Result<TokioSlot<'_, T>, Closed> {
        self.0.reserve().await.map(TokioSlot).map_err(|_| Closed)
    }
}

/// Room for one message in a [`TokioMailbox`].
pub struct TokioSlot<'a, T>(mpsc::Permit<'a, T>);

impl<T> Slot<T> for TokioSlot<'_, T> {
    fn fill(self, item: T) {
        self.0.send(item);
    }
}

impl<T> fmt::Debug for TokioSlot<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TokioSlot").finish_non_exhaustive()
    }
}

/// The family of [`TokioMailbox`]es.
#[derive(Clone, Copy, Debug, Default)]
pub struct Tokio;

impl Mailboxes for Tokio {
    type Mailbox<T: Send + 'static> = TokioMailbox<T>;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn absurd_capacities_are_errors() {
        for given in [0, MAX_MAILBOX_CAPACITY + 1, usize::MAX] {
            assert_eq!(try_mailbox::<()>(given).unwrap_err(), CapacityError { given });
        }
        assert!(try_mailbox::<()>(MAX_MAILBOX_CAPACITY).is_ok());
    }

    #[test]
    #[should_panic(expected = "the capacity of a mailbox must be from 1 to")]
    fn a_mailbox_without_room_is_a_panic_that_says_so() {
        mailbox::<()>(0);
    }

    #[test]
    fn items_come_back_with_the_reason() {
        let (mailbox, mut inbox) = mailbox(1);
        assert!(mailbox.try_deliver(1).is_ok());
        assert_eq!(mailbox.try_deliver(2), Err(Undelivered::Full(2)));
        assert_eq!(inbox.try_recv(), Ok(1));
        inbox.close();
        assert!(mailbox.is_closed());
        assert_eq!(mailbox.try_deliver(3), Err(Undelivered::Closed(3)));
    }
}
