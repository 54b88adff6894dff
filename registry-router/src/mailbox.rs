//! The mailboxes that come with the registry; the default is tokio's bounded channel.

use std::fmt;

#[cfg(feature = "flume")]
pub use self::flume::{Flume, FlumeInbox, FlumeMailbox, flume_mailbox};
pub use self::inbox::Inbox;
pub use self::tokio::{Tokio, TokioMailbox, TokioPermit};

pub(crate) mod closed_flag;
#[cfg(feature = "flume")]
pub(crate) mod flume;
pub(crate) mod inbox;
pub(crate) mod tokio;

/// The greatest capacity of a mailbox; tokio's limit.
pub const MAX_MAILBOX_CAPACITY: usize = ::tokio::sync::Semaphore::MAX_PERMITS;

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
    Ok(self::tokio::pair(capacity))
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

/// Messages of more bytes than this travel through the registry, and lie in its mailboxes, in boxes of their own.
///
/// By value, each step would copy them, on a stack that may be small; and a tokio channel allocates room for 32 at a time.
pub(crate) const LARGE: usize = 1024;

/// Returns whether messages of this type are moved in boxes.
pub(crate) const fn is_large<T>() -> bool {
    size_of::<T>() > LARGE
}

#[cfg(test)]
pub(crate) mod tests {
    use ::tokio::sync::mpsc;
    use registry_core::{Mailbox, TrySendError};

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
        assert!(mailbox.try_send(1).is_ok());
        assert_eq!(mailbox.try_send(2), Err(TrySendError::Full(2)));
        assert_eq!(inbox.try_recv(), Ok(1));
        inbox.close();
        assert!(mailbox.is_closed());
        assert_eq!(mailbox.try_send(3), Err(TrySendError::Closed(3)));
    }
}
