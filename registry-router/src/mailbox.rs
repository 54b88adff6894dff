//! The mailbox that a registry uses unless told otherwise: tokio's bounded channel.

use std::fmt;
use std::hint::black_box;

use registry_core::{Closed, Mailbox, Mailboxes, ReservingMailbox, Slot, Undelivered};
use tokio::sync::mpsc;
use tokio::sync::mpsc::error::TrySendError;

use self::life::Life;

pub use self::inbox::Inbox;
#[cfg(feature = "flume")]
pub use self::lean::{Lean, LeanInbox, LeanMailbox, lean_mailbox};

mod inbox;
#[cfg(feature = "flume")]
mod lean;
mod life;

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
    CapacityError::check(capacity)?;
    let (sender, receiver) = mpsc::channel(capacity);
    let life = Life::begin();
    Ok((TokioMailbox { sender, life: life.clone() }, Inbox::new(receiver, life)))
}

/// No mailbox can have this capacity.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CapacityError {
    /// What was asked for.
    pub given: usize,
}

impl CapacityError {
    fn check(given: usize) -> Result<(), Self> {
        if given == 0 || given > MAX_MAILBOX_CAPACITY { Err(Self { given }) } else { Ok(()) }
    }
}

impl fmt::Display for CapacityError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the capacity of a mailbox must be from 1 to {MAX_MAILBOX_CAPACITY}, not {}", self.given)
    }
}

impl std::error::Error for CapacityError {}

/// The sending end of a bounded tokio channel.
///
/// Made from a channel's own [`Sender`](mpsc::Sender) it works as well; look-ups then ask the channel whether its
/// receiver is gone, which is a cache miss, and not the [`Inbox`].
pub struct TokioMailbox<T> {
    sender: mpsc::Sender<T>,
    life: Life,
}

impl<T> TokioMailbox<T> {
    /// The channel's own sender.
    pub fn as_sender(&self) -> &mpsc::Sender<T> {
        &self.sender
    }
}

impl<T> From<mpsc::Sender<T>> for TokioMailbox<T> {
    fn from(sender: mpsc::Sender<T>) -> Self {
        Self { sender, life: Life::untold() }
    }
}

impl<T> Clone for TokioMailbox<T> {
    fn clone(&self) -> Self {
        Self { sender: self.sender.clone(), life: self.life.clone() }
    }
}

impl<T> fmt::Debug for TokioMailbox<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TokioMailbox")
            .field("capacity", &self.sender.max_capacity())
            .field("room", &self.sender.capacity())
            .field("closed", &self.sender.is_closed())
            .finish()
    }
}

impl<T: Send + 'static> Mailbox<T> for TokioMailbox<T> {
    #[inline]
    fn try_deliver(&self, item: T) -> Result<(), Undelivered<T>> {
        self.sender.try_send(item).map_err(|error| match error {
            TrySendError::Full(item) => Undelivered::Full(item),
            TrySendError::Closed(item) => Undelivered::Closed(item),
        })
    }

    #[inline]
    fn is_closed(&self) -> bool {
        self.life.is_over().unwrap_or_else(|| self.sender.is_closed())
    }

    #[inline]
    fn approach(&self) {
        black_box(self.sender.is_closed());
    }
}

impl<T: Send + 'static> ReservingMailbox<T> for TokioMailbox<T> {
    type Slot<'a> = TokioSlot<'a, T>;

    async fn reserve(&self) -> Result<TokioSlot<'_, T>, Closed> {
        self.sender.reserve().await.map(TokioSlot).map_err(|_| Closed)
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
    fn both_ends_tell_the_sending_one_that_nobody_receives() {
        type Close = fn(Inbox<u8>) -> Option<Inbox<u8>>;
        let ways: [Close; 2] = [
            |mut inbox| {
                inbox.close();
                Some(inbox)
            },
            |_| None,
        ];
        for close in ways {
            let (mailbox, inbox) = mailbox(1);
            let clone = mailbox.clone();
            assert!(!mailbox.is_closed() && !clone.is_closed());
            let kept = close(inbox);
            assert!(mailbox.is_closed() && clone.is_closed());
            drop((kept, mailbox));
            assert!(clone.is_closed(), "once true it stays true");
        }
    }

    #[test]
    fn a_channel_that_was_made_elsewhere_tells_too() {
        let (sender, receiver) = mpsc::channel::<u8>(1);
        let mailbox = TokioMailbox::from(sender);
        assert!(!mailbox.is_closed());
        drop(receiver);
        assert!(mailbox.is_closed() && mailbox.clone().is_closed());
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
