//! A bounded mailbox that takes little memory while it is empty: a flume channel.
//!
//! A tokio channel allocates room for 32 messages when it is created, so most of the memory of a million idle connections
//! is room for messages that are never sent. A flume channel grows with its messages. `cargo xtask bench --mailboxes`
//! measures both, and others.

use std::fmt;
use std::hint::black_box;

use registry_core::{Mailbox, MailboxFamily, TrySendError};

use self::inbox::Receiver;
use super::slot::{self, SenderSlot};
use super::{CapacityError, is_large};

pub use self::inbox::FlumeInbox;

mod inbox;

/// Creates a bounded mailbox for `capacity` messages that takes little memory while it is empty.
///
/// The mailbox belongs to the family [`Flume`], which a registry names in its type: `Registry<Message, Papaya, Flume>`.
/// Its queue keeps the largest size that it has had. Sending takes a lock for a moment, which is shared with the receiver
/// of that mailbox only.
///
/// A sender cannot wait for room in such a mailbox: `route_*` and `broadcast` work, `send_*` do not.
///
/// # Panics
///
/// Panics if `capacity` is zero or greater than [`MAX_MAILBOX_CAPACITY`](crate::MAX_MAILBOX_CAPACITY). Use
/// [`try_flume_mailbox`] for a capacity that is not known to be valid.
///
/// # Examples
///
/// ```
/// use registry_router::backends::Papaya;
/// use registry_router::{Flume, Registry, TransportId, flume_mailbox};
///
/// let registry: Registry<&str, Papaya, Flume> = Registry::builder().build()?;
/// let (mailbox, mut inbox) = flume_mailbox(16);
/// let server = registry.register_server("echo", mailbox, ())?;
/// registry.route_to_server("echo", &TransportId::new("conn-1")?, "hello")?;
/// assert_eq!(inbox.try_recv()?.message, "hello");
/// # drop(server);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[track_caller]
pub fn flume_mailbox<T: 'static>(capacity: usize) -> (FlumeMailbox<T>, FlumeInbox<T>) {
    match try_flume_mailbox(capacity) {
        Ok(ends) => ends,
        Err(error) => panic!("{error}"),
    }
}

/// Creates a bounded mailbox like [`flume_mailbox`], but returns an error instead of panicking.
///
/// # Errors
///
/// Returns a [`CapacityError`] if `capacity` is zero or greater than
/// [`MAX_MAILBOX_CAPACITY`](crate::MAX_MAILBOX_CAPACITY).
///
/// # Examples
///
/// ```
/// use registry_router::{ToServer, try_flume_mailbox};
///
/// let (_mailbox, inbox) = try_flume_mailbox::<ToServer<String>>(64)?;
/// assert_eq!(inbox.max_capacity(), 64);
/// assert!(try_flume_mailbox::<ToServer<String>>(0).is_err());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn try_flume_mailbox<T: 'static>(capacity: usize) -> Result<(FlumeMailbox<T>, FlumeInbox<T>), CapacityError> {
    CapacityError::check(capacity)?;
    let (sender_slot, inbox_slot) = slot::allocate();
    Ok(if const { is_large::<T>() } {
        let (sender, receiver) = flume::bounded(capacity);
        (FlumeMailbox(Channel::Boxed(sender_slot, sender)), FlumeInbox::new(Receiver::boxed(receiver), inbox_slot))
    } else {
        let (sender, receiver) = flume::bounded(capacity);
        (FlumeMailbox(Channel::ByValue(sender_slot, sender)), FlumeInbox::new(Receiver::by_value(receiver), inbox_slot))
    })
}

/// The sending end of a bounded flume channel.
///
/// Items of more than 1,024 bytes are boxed in the queue.
pub struct FlumeMailbox<T>(Channel<T>);

/// A channel of items or of boxes. Each variant contains the slot, so that the whole takes 16 bytes.
enum Channel<T> {
    ByValue(SenderSlot, flume::Sender<T>),
    Boxed(SenderSlot, flume::Sender<Box<T>>),
}

/// Evaluates the same expression for either sender.
macro_rules! with_sender {
    ($mailbox:expr, $sender:ident => $act:expr) => {
        match &$mailbox.0 {
            Channel::ByValue(_, $sender) => $act,
            Channel::Boxed(_, $sender) => $act,
        }
    };
}

/// The family of [`FlumeMailbox`]es.
#[derive(Clone, Copy, Debug, Default)]
pub struct Flume;

impl<T> FlumeMailbox<T> {
    #[inline]
    fn slot(&self) -> &SenderSlot {
        match &self.0 {
            Channel::ByValue(slot, _) | Channel::Boxed(slot, _) => slot,
        }
    }

    fn slot_mut(&mut self) -> &mut SenderSlot {
        match &mut self.0 {
            Channel::ByValue(slot, _) | Channel::Boxed(slot, _) => slot,
        }
    }

    /// Returns whether the inbox has set the closed flag. Without a slot for the flag, the queue detects a dropped inbox.
    #[inline]
    fn is_flagged_closed(&self) -> bool {
        self.slot().is_closed() == Some(true)
    }
}

impl<T> Clone for FlumeMailbox<T> {
    fn clone(&self) -> Self {
        Self(match &self.0 {
            Channel::ByValue(slot, sender) => Channel::ByValue(slot.clone(), sender.clone()),
            Channel::Boxed(slot, sender) => Channel::Boxed(slot.clone(), sender.clone()),
        })
    }
}

impl<T: Send + 'static> Mailbox<T> for FlumeMailbox<T> {
    #[inline]
    fn try_send(&self, item: T) -> Result<(), TrySendError<T>> {
        if self.is_flagged_closed() {
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
        if self.is_flagged_closed() {
            return Err(TrySendError::Closed(item));
        }
        match &self.0 {
            Channel::ByValue(_, sender) => by_value(sender, item),
            Channel::Boxed(_, sender) => sender.try_send(item).map_err(try_send_error),
        }
    }

    #[inline]
    fn is_closed(&self) -> bool {
        self.slot().is_closed().unwrap_or_else(|| with_sender!(self, sender => sender.is_disconnected()))
    }

    #[inline]
    fn prefetch(&self) {
        with_sender!(self, sender => black_box(sender.is_disconnected()));
    }

    fn make_weak(&mut self) {
        self.slot_mut().make_weak();
    }

    fn registration_started(&mut self) {
        self.slot_mut().registration_started();
    }

    fn token(&self) -> u64 {
        self.slot().token()
    }

    fn registration_ended(token: u64) {
        slot::registration_ended(token);
    }
}

/// A function of its own, so that no other path has an item on its stack.
#[inline(never)]
#[expect(clippy::boxed_local, reason = "the item is given in a box, and the channel carries items")]
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
            .field("closed", &(self.is_flagged_closed() || with_sender!(self, sender => sender.is_disconnected())))
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::task::{Context, Poll, Wake, Waker};
    use std::thread;

    use tokio::sync::mpsc::error::TryRecvError;

    use super::*;

    #[test]
    fn rejected_items_are_returned_with_the_reason() {
        let (mailbox, mut inbox) = flume_mailbox(1);
        assert!(mailbox.try_send(1).is_ok());
        assert_eq!(mailbox.try_send(2), Err(TrySendError::Full(2)));
        assert_eq!((inbox.len(), inbox.try_recv(), inbox.try_recv()), (1, Ok(1), Err(TryRecvError::Empty)));
        drop(inbox);
        assert!(mailbox.is_closed() && mailbox.clone().is_closed());
        assert_eq!(mailbox.try_send(3), Err(TrySendError::Closed(3)));
    }

    #[test]
    fn invalid_capacities_are_errors() {
        for given in [0, usize::MAX] {
            assert_eq!(try_flume_mailbox::<()>(given).unwrap_err(), CapacityError { given });
        }
    }

    #[test]
    #[should_panic(expected = "the capacity of a mailbox must be between 1 and")]
    fn a_mailbox_without_capacity_panics() {
        flume_mailbox::<()>(0);
    }

    #[test]
    fn dropping_the_inbox_drops_its_items() {
        let (mailbox, inbox) = flume_mailbox(2);
        let item = Arc::new(());
        assert!(mailbox.try_send(Arc::clone(&item)).is_ok());
        drop(inbox);
        assert_eq!(Arc::strong_count(&item), 1);
    }

    /// Between the two steps of dropping an inbox, in which a message would be left behind.
    #[test]
    fn a_mailbox_that_is_flagged_closed_rejects_items() {
        let (mailbox, inbox) = flume_mailbox::<u8>(2);
        inbox.set_closed_flag();
        assert_eq!(mailbox.try_send(1), Err(TrySendError::Closed(1)));
        assert_eq!(mailbox.try_send_boxed(Box::new(1)), Err(TrySendError::Closed(Box::new(1))));
        assert!(inbox.is_empty() && mailbox.is_closed());
    }

    #[test]
    fn an_inbox_ends_with_the_last_sending_end() {
        let (mailbox, mut inbox) = flume_mailbox(2);
        assert!(mailbox.try_send(1).is_ok());
        assert!(!inbox.is_closed());
        drop(mailbox);
        assert!(inbox.is_closed());
        assert_eq!((inbox.blocking_recv(), inbox.blocking_recv()), (Some(1), None));
        assert_eq!(inbox.try_recv(), Err(TryRecvError::Disconnected));
    }

    #[test]
    fn capacity_counts_the_remaining_room() {
        let (mailbox, mut inbox) = flume_mailbox(2000);
        assert!(mailbox.try_send([0_u8; 2000]).is_ok());
        assert_eq!((inbox.capacity(), inbox.max_capacity(), inbox.sender_strong_count()), (1999, 2000, 1));
        assert!(inbox.try_recv().is_ok());
        assert_eq!(inbox.capacity(), 2000);
    }

    #[derive(Default)]
    struct WakeCount(AtomicUsize);

    impl Wake for WakeCount {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    #[test]
    fn a_pending_poll_is_woken_by_the_next_item() {
        let (mailbox, mut inbox) = flume_mailbox(4);
        let wake_count = Arc::new(WakeCount::default());
        let waker = Waker::from(Arc::clone(&wake_count));
        let context = &mut Context::from_waker(&waker);
        for item in 0..4 {
            assert_eq!(inbox.poll_recv(context), Poll::Pending);
            assert_eq!(inbox.poll_recv(context), Poll::Pending);
            assert!(mailbox.try_send(item).is_ok());
            assert_eq!(wake_count.0.load(Ordering::Relaxed), item + 1);
            // The item is received by the poll that was woken, and by another method, in turn.
            if item % 2 == 0 {
                assert_eq!(inbox.poll_recv(context), Poll::Ready(Some(item)));
            } else {
                assert_eq!(inbox.try_recv(), Ok(item));
            }
        }
        assert_eq!(inbox.poll_recv(context), Poll::Pending);
        drop(mailbox);
        assert_eq!(inbox.poll_recv(context), Poll::Ready(None));
    }

    #[test]
    fn a_blocking_receive_after_an_abandoned_poll_is_woken() {
        let (mailbox, mut inbox) = flume_mailbox(4);
        assert!(inbox.poll_recv(&mut Context::from_waker(Waker::noop())).is_pending());
        thread::scope(|scope| {
            let received = scope.spawn(|| inbox.blocking_recv());
            assert!(mailbox.try_send(1).is_ok());
            assert_eq!(received.join().unwrap(), Some(1));
        });
    }
}
