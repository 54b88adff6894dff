//! The mailboxes of this crate: bounded tokio channels, the default, and bounded flume channels.

use std::fmt;

#[cfg(feature = "flume")]
pub use self::flume::{Flume, FlumeInbox, FlumeMailbox, flume_mailbox, try_flume_mailbox};
pub use self::inbox::Inbox;
pub use self::tokio::{Tokio, TokioMailbox, TokioPermit};

mod block_on;
#[cfg(feature = "flume")]
pub(crate) mod flume;
pub(crate) mod inbox;
pub(crate) mod slot;
pub(crate) mod tokio;

/// The maximum capacity of a mailbox, which is that of a tokio channel.
pub const MAX_MAILBOX_CAPACITY: usize = ::tokio::sync::Semaphore::MAX_PERMITS;

/// Creates a bounded mailbox for `capacity` messages.
///
/// The item type is usually inferred from where the mailbox is registered: [`ToServer<M>`](crate::ToServer) for a server,
/// [`ToTransport<M>`](crate::ToTransport) for a transport.
///
/// Dropping or closing the inbox closes the mailbox.
/// The inbox ends when it is empty, all sending ends are gone, and all registrations of the mailbox have ended. So an owner
/// that has registered its only sending end receives `None` when its registration has ended, for whatever reason.
///
/// # Panics
///
/// Panics if `capacity` is zero or greater than [`MAX_MAILBOX_CAPACITY`]. Use [`try_mailbox`] for a capacity that is not
/// known to be valid.
///
/// # Examples
///
/// ```
/// use registry_router::{Registry, mailbox};
///
/// let registry: Registry<String> = Registry::builder().build()?;
/// let (mailbox, mut inbox) = mailbox(64);
/// let lease = registry.register_server("echo", mailbox, ())?;
/// assert!(inbox.try_recv().is_err());
/// # drop(lease);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[track_caller]
pub fn mailbox<T>(capacity: usize) -> (TokioMailbox<T>, Inbox<T>) {
    match try_mailbox(capacity) {
        Ok(ends) => ends,
        Err(error) => panic!("{error}"),
    }
}

/// Creates a bounded mailbox like [`mailbox`], but returns an error instead of panicking.
///
/// # Errors
///
/// Returns a [`CapacityError`] if `capacity` is zero or greater than [`MAX_MAILBOX_CAPACITY`].
///
/// # Examples
///
/// ```
/// use registry_router::{ToServer, try_mailbox};
///
/// let (mailbox, _inbox) = try_mailbox::<ToServer<String>>(64)?;
/// assert_eq!(mailbox.max_capacity(), 64);
/// assert!(try_mailbox::<ToServer<String>>(0).is_err());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn try_mailbox<T>(capacity: usize) -> Result<(TokioMailbox<T>, Inbox<T>), CapacityError> {
    CapacityError::check(capacity)?;
    Ok(self::tokio::pair(capacity))
}

/// The error returned for a mailbox capacity that is zero or too large.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct CapacityError {
    /// The requested capacity.
    pub given: usize,
}

impl CapacityError {
    fn check(given: usize) -> Result<(), Self> {
        if given == 0 || given > MAX_MAILBOX_CAPACITY { Err(Self { given }) } else { Ok(()) }
    }
}

impl fmt::Display for CapacityError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the capacity of a mailbox must be between 1 and {MAX_MAILBOX_CAPACITY}, not {}", self.given)
    }
}

impl std::error::Error for CapacityError {}

/// Messages of more bytes than this are boxed, both when they are moved through the registry and in its mailboxes.
///
/// By value, each step would copy them, on a stack that may be small; and a tokio channel allocates blocks of 32 slots.
pub(crate) const LARGE: usize = 1024;

/// Returns whether messages of this type are boxed.
pub(crate) const fn is_large<T>() -> bool {
    size_of::<T>() > LARGE
}

#[cfg(test)]
pub(crate) mod tests {
    use ::tokio::sync::mpsc;
    use registry_core::{Mailbox, TrySendError};

    use super::*;

    #[test]
    fn invalid_capacities_are_errors() {
        for given in [0, MAX_MAILBOX_CAPACITY + 1, usize::MAX] {
            assert_eq!(try_mailbox::<()>(given).unwrap_err(), CapacityError { given });
        }
        assert!(try_mailbox::<()>(MAX_MAILBOX_CAPACITY).is_ok());
    }

    #[test]
    #[should_panic(expected = "the capacity of a mailbox must be between 1 and")]
    fn a_mailbox_without_capacity_panics() {
        mailbox::<()>(0);
    }

    #[test]
    fn closing_or_dropping_the_inbox_closes_all_sending_ends() {
        type Close = fn(Inbox<u8>) -> Option<Inbox<u8>>;
        let variants: [Close; 2] = [
            |mut inbox| {
                inbox.close();
                Some(inbox)
            },
            |_| None,
        ];
        for close in variants {
            let (mailbox, inbox) = mailbox(1);
            let clone = mailbox.clone();
            assert!(!mailbox.is_closed() && !clone.is_closed());
            let kept = close(inbox);
            assert!(mailbox.is_closed() && clone.is_closed());
            drop((kept, mailbox));
            assert!(clone.is_closed(), "a closed mailbox stays closed");
        }
    }

    #[test]
    fn a_mailbox_from_a_plain_sender_detects_the_dropped_receiver() {
        let (sender, receiver) = mpsc::channel::<u8>(1);
        let mailbox = TokioMailbox::from(sender);
        assert!(!mailbox.is_closed());
        drop(receiver);
        assert!(mailbox.is_closed() && mailbox.clone().is_closed());
    }

    #[test]
    fn rejected_items_are_returned_with_the_reason() {
        let (mailbox, mut inbox) = mailbox(1);
        assert!(mailbox.try_send(1).is_ok());
        assert_eq!(mailbox.try_send(2), Err(TrySendError::Full(2)));
        assert_eq!(inbox.try_recv(), Ok(1));
        inbox.close();
        assert!(mailbox.is_closed());
        assert_eq!(mailbox.try_send(3), Err(TrySendError::Closed(3)));
    }
}
