//! The leanest mailbox that waits for its first message: a queue that has no room until it needs some.
//!
//! A tokio channel lays out room for 32 messages when it is made, so most of what a million connections take that say
//! nothing is room for what they do not say. A flume channel grows when messages come. `cargo xtask bench --mailboxes`
//! measures both, beside others.

use std::fmt;
use std::hint::{self, black_box};

use flume::TrySendError;
use registry_core::{Mailbox, Mailboxes, Undelivered};

use super::life::Life;
use super::{CapacityError, is_large};

/// Makes a bounded mailbox for `capacity` messages, which takes little until there are some.
///
/// It is a mailbox of the family [`Lean`], which a registry names in its type: `Registry<Message, Papaya, Lean>`.
/// Its queue keeps the most room that it ever needed. To put a message in takes a lock for a moment, shared with the
/// receiver of that mailbox and nobody else.
/// No sender can wait for room in it: `route_*` and `broadcast` work, `send_*` do not.
///
/// ```
/// use registry_router::backends::Papaya;
/// use registry_router::{Lean, Registry, TransportId, lean_mailbox};
///
/// let registry: Registry<&str, Papaya, Lean> = Registry::builder().build()?;
/// let (mailbox, inbox) = lean_mailbox(16)?;
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
pub fn lean_mailbox<T>(capacity: usize) -> Result<(LeanMailbox<T>, LeanInbox<T>), CapacityError> {
    CapacityError::check(capacity)?;
    let life = Life::begin();
    let told = life.clone();
    Ok(if const { is_large::<T>() } {
        let (sender, receiver) = flume::bounded(capacity);
        (LeanMailbox(Channel::Boxed(told, sender)), LeanInbox { receiver: Receiver::Boxed(receiver), life })
    } else {
        let (sender, receiver) = flume::bounded(capacity);
        (LeanMailbox(Channel::ByValue(told, sender)), LeanInbox { receiver: Receiver::ByValue(receiver), life })
    })
}

/// The sending end of a mailbox that takes little until there are messages.
///
/// Items of more than 1,024 bytes lie in the queue in boxes of their own.
pub struct LeanMailbox<T>(Channel<T>);

/// A channel of items or of boxes; with the share in the slot inside, so that both take 16 bytes.
enum Channel<T> {
    ByValue(Life, flume::Sender<T>),
    Boxed(Life, flume::Sender<Box<T>>),
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

/// The receiving end of a [`LeanMailbox`]; dropping it closes the mailbox.
pub struct LeanInbox<T> {
    receiver: Receiver<T>,
    life: Life,
}

/// A receiver of items or of boxes, as the sending end has it.
enum Receiver<T> {
    ByValue(flume::Receiver<T>),
    Boxed(flume::Receiver<Box<T>>),
}

/// The family of [`LeanMailbox`]es.
#[derive(Clone, Copy, Debug, Default)]
pub struct Lean;

impl<T> LeanInbox<T> {
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

impl<T> Drop for LeanInbox<T> {
    fn drop(&mut self) {
        // From here on no sender begins to put an item in. One that has begun may do so a moment later; what nobody will
        // receive should not wait in the queue until the last sending end is gone, so it is looked for a few times.
        self.life.end();
        for _ in 0..LOOKS_FOR_LATE_ITEMS {
            with_receiver!(self, receiver => drop(receiver.drain()));
            (0..SPINS_BETWEEN).for_each(|_| hint::spin_loop());
        }
    }
}

/// How often a dropped inbox looks for items that are put in late, and how long it waits in between: a microsecond.
const LOOKS_FOR_LATE_ITEMS: usize = 4;
const SPINS_BETWEEN: usize = 32;

impl<T> LeanMailbox<T> {
    #[inline]
    fn life(&self) -> &Life {
        match &self.0 {
            Channel::ByValue(life, _) | Channel::Boxed(life, _) => life,
        }
    }

    /// Whether the inbox has said that it is gone. One that is gone without that is found by the queue.
    #[inline]
    fn is_over(&self) -> bool {
        self.life().is_over() == Some(true)
    }
}

impl<T> Clone for LeanMailbox<T> {
    fn clone(&self) -> Self {
        Self(match &self.0 {
            Channel::ByValue(life, sender) => Channel::ByValue(life.clone(), sender.clone()),
            Channel::Boxed(life, sender) => Channel::Boxed(life.clone(), sender.clone()),
        })
    }
}

impl<T: Send + 'static> Mailbox<T> for LeanMailbox<T> {
    #[inline]
    fn try_deliver(&self, item: T) -> Result<(), Undelivered<T>> {
        if self.is_over() {
            return Err(Undelivered::Closed(item));
        }
        match &self.0 {
            Channel::ByValue(_, sender) => sender.try_send(item).map_err(undelivered),
            Channel::Boxed(_, sender) => {
                sender.try_send(Box::new(item)).map_err(|error| undelivered(error).map(|item| *item))
            }
        }
    }

    fn try_deliver_boxed(&self, item: Box<T>) -> Result<(), Undelivered<Box<T>>> {
        if self.is_over() {
            return Err(Undelivered::Closed(item));
        }
        match &self.0 {
            Channel::ByValue(_, sender) => by_value(sender, item),
            Channel::Boxed(_, sender) => sender.try_send(item).map_err(undelivered),
        }
    }

    #[inline]
    fn is_closed(&self) -> bool {
        self.life().is_over().unwrap_or_else(|| with_sender!(self, sender => sender.is_disconnected()))
    }

    #[inline]
    fn approach(&self) {
        with_sender!(self, sender => black_box(sender.is_disconnected()));
    }
}

/// Apart, so that no other way through has room for an item on its stack.
#[inline(never)]
#[expect(clippy::boxed_local, reason = "it comes in a box, for which there is no room in the channel")]
fn by_value<T>(sender: &flume::Sender<T>, item: Box<T>) -> Result<(), Undelivered<Box<T>>> {
    sender.try_send(*item).map_err(|error| undelivered(error).map(Box::new))
}

#[inline]
fn undelivered<T>(error: TrySendError<T>) -> Undelivered<T> {
    match error {
        TrySendError::Full(item) => Undelivered::Full(item),
        TrySendError::Disconnected(item) => Undelivered::Closed(item),
    }
}

impl Mailboxes for Lean {
    type Mailbox<T: Send + 'static> = LeanMailbox<T>;
}

impl<T> fmt::Debug for LeanMailbox<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LeanMailbox")
            .field("capacity", &with_sender!(self, sender => sender.capacity()))
            .field("items", &with_sender!(self, sender => sender.len()))
            .field("closed", &(self.is_over() || with_sender!(self, sender => sender.is_disconnected())))
            .finish()
    }
}

impl<T> fmt::Debug for LeanInbox<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LeanInbox").field("items", &self.len()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    #[test]
    fn items_come_back_with_the_reason() {
        let (mailbox, inbox) = lean_mailbox(1).unwrap();
        assert!(mailbox.try_deliver(1).is_ok());
        assert_eq!(mailbox.try_deliver(2), Err(Undelivered::Full(2)));
        assert_eq!((inbox.len(), inbox.try_recv(), inbox.try_recv()), (1, Some(1), None));
        drop(inbox);
        assert!(mailbox.is_closed() && mailbox.clone().is_closed());
        assert_eq!(mailbox.try_deliver(3), Err(Undelivered::Closed(3)));
    }

    #[test]
    fn absurd_capacities_are_errors() {
        for given in [0, usize::MAX] {
            assert_eq!(lean_mailbox::<()>(given).unwrap_err(), CapacityError { given });
        }
    }

    #[test]
    fn nothing_waits_where_nobody_receives() {
        let (mailbox, inbox) = lean_mailbox(2).unwrap();
        let item = Arc::new(());
        assert!(mailbox.try_deliver(Arc::clone(&item)).is_ok());
        drop(inbox);
        assert_eq!(Arc::strong_count(&item), 1);
    }

    /// Between the two steps of an inbox's end, in which a message would be left behind.
    #[test]
    fn what_is_told_to_be_closed_takes_nothing() {
        let (mailbox, inbox) = lean_mailbox::<u8>(2).unwrap();
        inbox.life.end();
        assert_eq!(mailbox.try_deliver(1), Err(Undelivered::Closed(1)));
        assert_eq!(mailbox.try_deliver_boxed(Box::new(1)), Err(Undelivered::Closed(Box::new(1))));
        assert!(inbox.is_empty() && mailbox.is_closed());
    }

    #[test]
    fn an_inbox_ends_with_the_last_sending_end() {
        let (mailbox, inbox) = lean_mailbox(2).unwrap();
        assert!(mailbox.try_deliver(1).is_ok());
        drop(mailbox);
        assert_eq!((inbox.blocking_recv(), inbox.blocking_recv()), (Some(1), None));
    }
}
