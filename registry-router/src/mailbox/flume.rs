//! The leanest mailbox that waits for its first message: a queue that has no room until it needs some.
//!
//! A tokio channel lays out room for 32 messages when it is made, so most of what a million connections take that say
//! nothing is room for what they do not say. A flume channel grows when messages come. `cargo xtask bench --mailboxes`
//! measures both, beside others.

use std::fmt;
use std::hint::{self, black_box};

use registry_core::{Mailbox, MailboxFamily, TrySendError};

use super::closed_flag::ClosedFlag;
use super::{CapacityError, is_large};

/// Makes a bounded mailbox for `capacity` messages, which takes little until there are some.
///
/// It is a mailbox of the family [`Flume`], which a registry names in its type: `Registry<Message, Papaya, Flume>`.
/// Its queue keeps the most room that it ever needed. To put a message in takes a lock for a moment, shared with the
/// receiver of that mailbox and nobody else.
/// No sender can wait for room in it: `route_*` and `broadcast` work, `send_*` do not.
///
/// ```
/// use registry_router::backends::Papaya;
/// use registry_router::{Flume, Registry, TransportId, flume_mailbox};
///
/// let registry: Registry<&str, Papaya, Flume> = Registry::builder().build()?;
/// let (mailbox, inbox) = flume_mailbox(16)?;
/// let server = registry.register_server("echo", mailbox, ())?;
/// registry.route_to_server("echo", &TransportId::new("conn-1")?, "hello")?;
/// assert_eq!(inbox.try_recv().map(|delivery| delivery.message), Some("hello"));
/// # drop(server);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Errors
///
/// [`CapacityError`] when `capacity` is zero or above [`MAX_MAILBOX_CAPACITY`](crate::MAX_MAILBOX_CAPACITY).
pub fn flume_mailbox<T>(capacity: usize) -> Result<(FlumeMailbox<T>, FlumeInbox<T>), CapacityError> {
    CapacityError::check(capacity)?;
    let closed_flag = ClosedFlag::begin();
    let told = closed_flag.clone();
    Ok(if const { is_large::<T>() } {
        let (sender, receiver) = flume::bounded(capacity);
        (FlumeMailbox(Channel::Boxed(told, sender)), FlumeInbox { receiver: Receiver::Boxed(receiver), closed_flag })
    } else {
        let (sender, receiver) = flume::bounded(capacity);
        (
            FlumeMailbox(Channel::ByValue(told, sender)),
            FlumeInbox { receiver: Receiver::ByValue(receiver), closed_flag },
        )
    })
}

/// The sending end of a mailbox that takes little until there are messages.
///
/// Items of more than 1,024 bytes lie in the queue in boxes of their own.
pub struct FlumeMailbox<T>(Channel<T>);

/// A channel of items or of boxes; with the share in the slot inside, so that both take 16 bytes.
enum Channel<T> {
    ByValue(ClosedFlag, flume::Sender<T>),
    Boxed(ClosedFlag, flume::Sender<Box<T>>),
}

/// Does the same with either end of either channel.
macro_rules! with_sender {
    ($mailbox:expr, $sender:ident => $act:expr) => {
        match &$mailbox.0 {
            Channel::ByValue(_, $sender) => $act,
            Channel::Boxed(_, $sender) => $act,
        }
    };
}
macro_rules! with_receiver {
    ($inbox:expr, $receiver:ident => $act:expr) => {
        match &$inbox.receiver {
            Receiver::ByValue($receiver) => $act,
            Receiver::Boxed($receiver) => $act,
        }
    };
}

/// The receiving end of a [`FlumeMailbox`]; dropping it closes the mailbox.
pub struct FlumeInbox<T> {
    receiver: Receiver<T>,
    closed_flag: ClosedFlag,
}

/// A receiver of items or of boxes, as the sending end has it.
enum Receiver<T> {
    ByValue(flume::Receiver<T>),
    Boxed(flume::Receiver<Box<T>>),
}

/// The family of [`FlumeMailbox`]es.
#[derive(Clone, Copy, Debug, Default)]
pub struct Flume;

impl<T> FlumeInbox<T> {
    /// The next item; `None` when the inbox is empty and all sending ends are gone. Cancel-safe.
    pub async fn recv(&self) -> Option<T> {
        match &self.receiver {
            Receiver::ByValue(receiver) => receiver.recv_async().await.ok(),
            Receiver::Boxed(receiver) => Some(*receiver.recv_async().await.ok()?),
        }
    }

    /// The next item if there is one now.
    pub fn try_recv(&self) -> Option<T> {
        match &self.receiver {
            Receiver::ByValue(receiver) => receiver.try_recv().ok(),
            Receiver::Boxed(receiver) => Some(*receiver.try_recv().ok()?),
        }
    }

    /// The next item, for which it blocks the thread; `None` when the inbox is empty and all sending ends are gone.
    pub fn blocking_recv(&self) -> Option<T> {
        match &self.receiver {
            Receiver::ByValue(receiver) => receiver.recv().ok(),
            Receiver::Boxed(receiver) => Some(*receiver.recv().ok()?),
        }
    }

    /// How many items there are now.
    pub fn len(&self) -> usize {
        with_receiver!(self, receiver => receiver.len())
    }

    /// Whether there are none now.
    pub fn is_empty(&self) -> bool {
        with_receiver!(self, receiver => receiver.is_empty())
    }
}

impl<T> Drop for FlumeInbox<T> {
    fn drop(&mut self) {
        // From here on no sender begins to put an item in. One that has begun may do so a moment later; what nobody will
        // receive should not wait in the queue until the last sending end is gone, so it is looked for a few times.
        self.closed_flag.end();
        for _ in 0..LOOKS_FOR_LATE_ITEMS {
            with_receiver!(self, receiver => drop(receiver.drain()));
            (0..SPINS_BETWEEN).for_each(|_| hint::spin_loop());
        }
    }
}

/// How often a dropped inbox looks for items that are put in late, and how long it waits in between: a microsecond.
const LOOKS_FOR_LATE_ITEMS: usize = 4;
const SPINS_BETWEEN: usize = 32;

impl<T> FlumeMailbox<T> {
    #[inline]
    fn closed_flag(&self) -> &ClosedFlag {
        match &self.0 {
            Channel::ByValue(closed_flag, _) | Channel::Boxed(closed_flag, _) => closed_flag,
        }
    }

    /// Whether the inbox has said that it is gone. One that is gone without that is found by the queue.
    #[inline]
    fn is_over(&self) -> bool {
        self.closed_flag().is_over() == Some(true)
    }
}

impl<T> Clone for FlumeMailbox<T> {
    fn clone(&self) -> Self {
        Self(match &self.0 {
            Channel::ByValue(closed_flag, sender) => Channel::ByValue(closed_flag.clone(), sender.clone()),
            Channel::Boxed(closed_flag, sender) => Channel::Boxed(closed_flag.clone(), sender.clone()),
        })
    }
}

impl<T: Send + 'static> Mailbox<T> for FlumeMailbox<T> {
    #[inline]
    fn try_send(&self, item: T) -> Result<(), TrySendError<T>> {
        if self.is_over() {
            return Err(TrySendError::Closed(item));
        }
        match &self.0 {
            Channel::ByValue(_, sender) => sender.try_send(item).map_err(try_send_error),
            Channel::Boxed(_, sender) => {
                sender.try_send(Box::new(item)).map_err(|error| try_send_error(error).map(|item| *item))
            }
        }
    }

    fn try_send_boxed(&self, item: Box<T>) -> Result<(), TrySendError<Box<T>>> {
        if self.is_over() {
            return Err(TrySendError::Closed(item));
        }
        match &self.0 {
            Channel::ByValue(_, sender) => by_value(sender, item),
            Channel::Boxed(_, sender) => sender.try_send(item).map_err(try_send_error),
        }
    }

    #[inline]
    fn is_closed(&self) -> bool {
        self.closed_flag().is_over().unwrap_or_else(|| with_sender!(self, sender => sender.is_disconnected()))
    }

    #[inline]
    fn prefetch(&self) {
        with_sender!(self, sender => black_box(sender.is_disconnected()));
    }
}

/// Apart, so that no other way through has room for an item on its stack.
#[inline(never)]
#[expect(clippy::boxed_local, reason = "it comes in a box, for which there is no room in the channel")]
fn by_value<T>(sender: &flume::Sender<T>, item: Box<T>) -> Result<(), TrySendError<Box<T>>> {
    sender.try_send(*item).map_err(|error| try_send_error(error).map(Box::new))
}

#[inline]
fn try_send_error<T>(error: flume::TrySendError<T>) -> TrySendError<T> {
    match error {
        flume::TrySendError::Full(item) => TrySendError::Full(item),
        flume::TrySendError::Disconnected(item) => TrySendError::Closed(item),
    }
}

impl MailboxFamily for Flume {
    type Mailbox<T: Send + 'static> = FlumeMailbox<T>;
}

impl<T> fmt::Debug for FlumeMailbox<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FlumeMailbox")
            .field("capacity", &with_sender!(self, sender => sender.capacity()))
            .field("items", &with_sender!(self, sender => sender.len()))
            .field("closed", &(self.is_over() || with_sender!(self, sender => sender.is_disconnected())))
            .finish()
    }
}

impl<T> fmt::Debug for FlumeInbox<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FlumeInbox").field("items", &self.len()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    #[test]
    fn items_come_back_with_the_reason() {
        let (mailbox, inbox) = flume_mailbox(1).unwrap();
        assert!(mailbox.try_send(1).is_ok());
        assert_eq!(mailbox.try_send(2), Err(TrySendError::Full(2)));
        assert_eq!((inbox.len(), inbox.try_recv(), inbox.try_recv()), (1, Some(1), None));
        drop(inbox);
        assert!(mailbox.is_closed() && mailbox.clone().is_closed());
        assert_eq!(mailbox.try_send(3), Err(TrySendError::Closed(3)));
    }

    #[test]
    fn absurd_capacities_are_errors() {
        for given in [0, usize::MAX] {
            assert_eq!(flume_mailbox::<()>(given).unwrap_err(), CapacityError { given });
        }
    }

    #[test]
    fn nothing_waits_where_nobody_receives() {
        let (mailbox, inbox) = flume_mailbox(2).unwrap();
        let item = Arc::new(());
        assert!(mailbox.try_send(Arc::clone(&item)).is_ok());
        drop(inbox);
        assert_eq!(Arc::strong_count(&item), 1);
    }

    /// Between the two steps of an inbox's end, in which a message would be left behind.
    #[test]
    fn what_is_told_to_be_closed_takes_nothing() {
        let (mailbox, inbox) = flume_mailbox::<u8>(2).unwrap();
        inbox.closed_flag.end();
        assert_eq!(mailbox.try_send(1), Err(TrySendError::Closed(1)));
        assert_eq!(mailbox.try_send_boxed(Box::new(1)), Err(TrySendError::Closed(Box::new(1))));
        assert!(inbox.is_empty() && mailbox.is_closed());
    }

    #[test]
    fn an_inbox_ends_with_the_last_sending_end() {
        let (mailbox, inbox) = flume_mailbox(2).unwrap();
        assert!(mailbox.try_send(1).is_ok());
        drop(mailbox);
        assert_eq!((inbox.blocking_recv(), inbox.blocking_recv()), (Some(1), None));
    }
}
