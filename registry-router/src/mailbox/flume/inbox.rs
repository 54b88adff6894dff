//! The receiving end of a flume mailbox.

use std::fmt;
use std::hint;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use flume::r#async::RecvFut;
use tokio::sync::mpsc::error::TryRecvError;

use crate::mailbox::block_on;
use crate::mailbox::slot::InboxSlot;

/// The receiving end of a [`FlumeMailbox`](crate::FlumeMailbox), created by [`flume_mailbox`](crate::flume_mailbox).
///
/// It has the methods of [`Inbox`](crate::Inbox), with the same guarantees, except `close`: a flume channel cannot reject
/// items while its receiver is still able to take those that are in it.
///
/// With the feature `stream` it is a `Stream` of items, which ends when [`recv`](Self::recv) would return `None`.
///
/// Dropping the inbox closes the mailbox: once that has returned, no lookup finds the registration of the mailbox. It also
/// drops the items in it.
pub struct FlumeInbox<T: 'static> {
    receiver: Receiver<T>,
    slot: InboxSlot,
}

/// A receiver of items or of boxes, matching the sending end.
pub(super) enum Receiver<T: 'static> {
    ByValue(PollReceiver<T>),
    Boxed(PollReceiver<Box<T>>),
}

/// A flume receiver that can be polled.
pub(super) struct PollReceiver<T: 'static> {
    receiver: flume::Receiver<T>,
    /// Registered with the channel since a poll that returned `Poll::Pending`.
    pending: Option<RecvFut<'static, T>>,
}

/// Evaluates the same expression for either receiver.
macro_rules! with_receiver {
    ($inbox:expr, $receiver:ident => $act:expr) => {
        match &$inbox.receiver {
            Receiver::ByValue(PollReceiver { receiver: $receiver, .. }) => $act,
            Receiver::Boxed(PollReceiver { receiver: $receiver, .. }) => $act,
        }
    };
}

impl<T: 'static> FlumeInbox<T> {
    pub(super) fn new(receiver: Receiver<T>, slot: InboxSlot) -> Self {
        Self { receiver, slot }
    }

    /// Receives the next item; `None` when the inbox is empty and [has ended](Self::is_closed).
    ///
    /// # Cancel safety
    ///
    /// Cancel-safe: a future that is dropped before it completes has received no item.
    ///
    /// # Examples
    ///
    /// ```
    /// # use registry_router::{Mailbox, flume_mailbox};
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let (mailbox, mut inbox) = flume_mailbox(4);
    /// mailbox.try_send("one")?;
    /// drop(mailbox);
    /// assert_eq!(inbox.recv().await, Some("one"));
    /// assert_eq!(inbox.recv().await, None);
    /// # Ok(())
    /// # }
    /// ```
    pub async fn recv(&mut self) -> Option<T> {
        std::future::poll_fn(|context| self.poll_recv(context)).await
    }

    /// Waits for an item, then appends it and the items behind it to `buffer`, at most `limit` in all. Returns their number.
    ///
    /// Returns 0 only when the inbox is empty and [has ended](Self::is_closed), or when `limit` is 0.
    ///
    /// # Cancel safety
    ///
    /// Cancel-safe: a future that is dropped before it completes has received no item.
    ///
    /// # Examples
    ///
    /// ```
    /// # use registry_router::{Mailbox, flume_mailbox};
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let (mailbox, mut inbox) = flume_mailbox(4);
    /// for item in 0..3 {
    ///     mailbox.try_send(item)?;
    /// }
    /// let mut items = Vec::new();
    /// assert_eq!(inbox.recv_many(&mut items, 2).await, 2);
    /// assert_eq!(items, [0, 1]);
    /// # Ok(())
    /// # }
    /// ```
    pub async fn recv_many(&mut self, buffer: &mut Vec<T>, limit: usize) -> usize {
        if limit == 0 {
            return 0;
        }
        let Some(item) = self.recv().await else { return 0 };
        buffer.push(item);
        let mut received = 1;
        while received < limit
            && let Ok(item) = self.try_recv()
        {
            buffer.push(item);
            received += 1;
        }
        received
    }

    /// Receives the next item if there is one now.
    ///
    /// # Errors
    ///
    /// Returns [`TryRecvError::Empty`] if the inbox is empty now, and [`TryRecvError::Disconnected`] if it will stay empty.
    ///
    /// # Examples
    ///
    /// ```
    /// # use registry_router::{Mailbox, flume_mailbox};
    /// let (mailbox, mut inbox) = flume_mailbox(4);
    /// assert!(inbox.try_recv().is_err());
    /// mailbox.try_send("one")?;
    /// assert_eq!(inbox.try_recv()?, "one");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn try_recv(&mut self) -> Result<T, TryRecvError> {
        match self.receiver.try_recv() {
            Err(TryRecvError::Empty) if self.slot.is_unheld() => {
                self.set_closed_flag();
                self.receiver.try_recv().map_err(|_| TryRecvError::Disconnected)
            }
            received => received,
        }
    }

    /// Receives the next item, blocking the thread; `None` when the inbox is empty and [has ended](Self::is_closed).
    ///
    /// # Examples
    ///
    /// ```
    /// # use registry_router::{Mailbox, flume_mailbox};
    /// let (mailbox, mut inbox) = flume_mailbox(4);
    /// let sender = std::thread::spawn(move || mailbox.try_send("one"));
    /// assert_eq!(inbox.blocking_recv(), Some("one"));
    /// assert_eq!(inbox.blocking_recv(), None);
    /// # sender.join().unwrap()?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn blocking_recv(&mut self) -> Option<T> {
        block_on::poll(|context| self.poll_recv(context))
    }

    /// Polls for the next item; the basis of [`recv`](Self::recv).
    ///
    /// If it returns `Poll::Pending`, the task of the most recent call is woken when an item arrives or the inbox ends.
    ///
    /// # Examples
    ///
    /// ```
    /// # use registry_router::{Mailbox, flume_mailbox};
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let (mailbox, mut inbox) = flume_mailbox(4);
    /// mailbox.try_send("one")?;
    /// let item = std::future::poll_fn(|context| inbox.poll_recv(context)).await;
    /// assert_eq!(item, Some("one"));
    /// # Ok(())
    /// # }
    /// ```
    pub fn poll_recv(&mut self, context: &mut Context<'_>) -> Poll<Option<T>> {
        let polled = self.receiver.poll_recv(context);
        if polled.is_ready() || !self.slot.poll_unheld(context.waker()) {
            return polled;
        }
        // Items that were accepted before this are received; then the inbox ends.
        self.set_closed_flag();
        Poll::Ready(self.receiver.try_recv().ok())
    }

    /// Returns whether all sending ends are gone and all registrations of the mailbox have ended.
    ///
    /// # Examples
    ///
    /// ```
    /// # use registry_router::{Mailbox, flume_mailbox};
    /// let (mailbox, inbox) = flume_mailbox::<u8>(4);
    /// assert!(!inbox.is_closed());
    /// drop(mailbox);
    /// assert!(inbox.is_closed());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn is_closed(&self) -> bool {
        self.slot.is_unheld() || with_receiver!(self, receiver => receiver.is_disconnected())
    }

    /// Returns the number of items in the inbox.
    ///
    /// # Examples
    ///
    /// ```
    /// # use registry_router::{Mailbox, flume_mailbox};
    /// let (mailbox, inbox) = flume_mailbox(4);
    /// mailbox.try_send("one")?;
    /// assert_eq!(inbox.len(), 1);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn len(&self) -> usize {
        with_receiver!(self, receiver => receiver.len())
    }

    /// Returns whether there are no items in the inbox.
    ///
    /// # Examples
    ///
    /// ```
    /// # use registry_router::{Mailbox, flume_mailbox};
    /// let (mailbox, inbox) = flume_mailbox(4);
    /// assert!(inbox.is_empty());
    /// mailbox.try_send("one")?;
    /// assert!(!inbox.is_empty());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn is_empty(&self) -> bool {
        with_receiver!(self, receiver => receiver.is_empty())
    }

    /// Returns for how many more items there is room now.
    ///
    /// # Examples
    ///
    /// ```
    /// # use registry_router::{Mailbox, flume_mailbox};
    /// let (mailbox, inbox) = flume_mailbox(4);
    /// mailbox.try_send("one")?;
    /// assert_eq!(inbox.capacity(), 3);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn capacity(&self) -> usize {
        self.max_capacity().saturating_sub(self.len())
    }

    /// Returns for how many items there is room in total.
    ///
    /// # Examples
    ///
    /// ```
    /// # use registry_router::{Mailbox, flume_mailbox};
    /// let (mailbox, inbox) = flume_mailbox(4);
    /// mailbox.try_send("one")?;
    /// assert_eq!(inbox.max_capacity(), 4);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn max_capacity(&self) -> usize {
        with_receiver!(self, receiver => receiver.capacity()).unwrap_or(usize::MAX)
    }

    /// Returns the number of sending ends and registrations that keep the inbox open.
    ///
    /// # Examples
    ///
    /// ```
    /// # use registry_router::{Mailbox, flume_mailbox};
    /// let (mailbox, inbox) = flume_mailbox::<u8>(4);
    /// assert_eq!(inbox.sender_strong_count(), 1);
    /// let clone = mailbox.clone();
    /// assert_eq!(inbox.sender_strong_count(), 2);
    /// # drop((mailbox, clone));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn sender_strong_count(&self) -> usize {
        self.slot.strong_count().unwrap_or_else(|| with_receiver!(self, receiver => receiver.sender_count()))
    }

    /// Performs the first of the two steps of dropping an inbox.
    pub(super) fn set_closed_flag(&self) {
        self.slot.close();
    }
}

impl<T: 'static> Receiver<T> {
    pub(super) fn by_value(receiver: flume::Receiver<T>) -> Self {
        Self::ByValue(PollReceiver { receiver, pending: None })
    }

    pub(super) fn boxed(receiver: flume::Receiver<Box<T>>) -> Self {
        Self::Boxed(PollReceiver { receiver, pending: None })
    }

    fn try_recv(&mut self) -> Result<T, TryRecvError> {
        match self {
            Self::ByValue(receiver) => receiver.try_recv(),
            Self::Boxed(receiver) => Ok(*receiver.try_recv()?),
        }
    }

    fn poll_recv(&mut self, context: &mut Context<'_>) -> Poll<Option<T>> {
        match self {
            Self::ByValue(receiver) => receiver.poll_recv(context),
            Self::Boxed(receiver) => receiver.poll_recv(context).map(|item| item.map(|item| *item)),
        }
    }
}

impl<T: 'static> PollReceiver<T> {
    fn try_recv(&mut self) -> Result<T, TryRecvError> {
        match self.receiver.try_recv() {
            Ok(item) => {
                // If a poll is pending, the arrival of this item has woken its task: it is not registered any more.
                self.pending = None;
                Ok(item)
            }
            Err(flume::TryRecvError::Empty) => Err(TryRecvError::Empty),
            Err(flume::TryRecvError::Disconnected) => Err(TryRecvError::Disconnected),
        }
    }

    fn poll_recv(&mut self, context: &mut Context<'_>) -> Poll<Option<T>> {
        let pending = match &mut self.pending {
            Some(pending) => pending,
            None => match self.receiver.try_recv() {
                Ok(item) => return Poll::Ready(Some(item)),
                Err(flume::TryRecvError::Disconnected) => return Poll::Ready(None),
                Err(flume::TryRecvError::Empty) => self.pending.insert(self.receiver.clone().into_recv_async()),
            },
        };
        let received = ready!(Pin::new(pending).poll(context));
        self.pending = None;
        Poll::Ready(received.ok())
    }
}

impl<T: 'static> Drop for FlumeInbox<T> {
    fn drop(&mut self) {
        // After this no sender starts to send. One that has already started may send its item a moment later; such an item
        // should not stay in the queue until the last sending end is gone, so the queue is drained a few times.
        self.set_closed_flag();
        for _ in 0..LATE_ITEM_CHECKS {
            with_receiver!(self, receiver => drop(receiver.drain()));
            (0..SPINS_BETWEEN_CHECKS).for_each(|_| hint::spin_loop());
        }
    }
}

/// How often a dropped inbox checks for late items, and how long it spins in between: a microsecond.
const LATE_ITEM_CHECKS: usize = 4;
const SPINS_BETWEEN_CHECKS: usize = 32;

#[cfg(feature = "stream")]
#[cfg_attr(docsrs, doc(cfg(feature = "stream")))]
impl<T: 'static> futures_core::Stream for FlumeInbox<T> {
    type Item = T;

    fn poll_next(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<T>> {
        self.get_mut().poll_recv(context)
    }
}

impl<T: 'static> fmt::Debug for FlumeInbox<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FlumeInbox")
            .field("items", &self.len())
            .field("closed", &self.is_closed())
            .finish_non_exhaustive()
    }
}
