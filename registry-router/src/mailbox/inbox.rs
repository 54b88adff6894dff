//! The receiving end of the default mailbox: a tokio receiver that also sets the closed flag which lookups read.

use std::fmt;
use std::future::poll_fn;
use std::hint;
#[cfg(feature = "stream")]
use std::pin::Pin;
use std::task::{Context, Poll, Waker};

use tokio::sync::mpsc;
use tokio::sync::mpsc::error::TryRecvError;

use super::block_on;
use super::slot::InboxSlot;

/// The receiving end of a [`TokioMailbox`](crate::TokioMailbox), created by [`mailbox`](crate::mailbox()).
///
/// Its methods are those of tokio's [`Receiver`](mpsc::Receiver), with the same guarantees.
///
/// With the feature `stream` it is a `Stream` of items, which ends when [`recv`](Self::recv) would return `None`.
///
/// Dropping or closing the inbox closes the mailbox: once that has returned, no lookup finds the registration of the
/// mailbox. Dropping the inbox drops the items in it.
pub struct Inbox<T> {
    receiver: Receiver<T>,
    slot: InboxSlot,
}

/// A receiver of items or of boxes, matching the [sending end](crate::TokioMailbox).
pub(super) enum Receiver<T> {
    ByValue(mpsc::Receiver<T>),
    Boxed(mpsc::Receiver<Box<T>>),
}

impl<T> Receiver<T> {
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

/// Evaluates the same expression for either receiver.
macro_rules! with_receiver {
    ($inbox:expr, $receiver:ident => $act:expr) => {
        match $inbox.receiver {
            Receiver::ByValue(ref $receiver) => $act,
            Receiver::Boxed(ref $receiver) => $act,
        }
    };
    (mut $inbox:expr, $receiver:ident => $act:expr) => {
        match $inbox.receiver {
            Receiver::ByValue(ref mut $receiver) => $act,
            Receiver::Boxed(ref mut $receiver) => $act,
        }
    };
}

impl<T> Inbox<T> {
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
    /// # use registry_router::{Mailbox, mailbox};
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let (mailbox, mut inbox) = mailbox(4);
    /// mailbox.try_send("one")?;
    /// drop(mailbox);
    /// assert_eq!(inbox.recv().await, Some("one"));
    /// assert_eq!(inbox.recv().await, None);
    /// # Ok(())
    /// # }
    /// ```
    pub async fn recv(&mut self) -> Option<T> {
        poll_fn(|context| self.poll_recv(context)).await
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
    /// # use registry_router::{Mailbox, mailbox};
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let (mailbox, mut inbox) = mailbox(4);
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
        poll_fn(|context| {
            self.poll_unless_unheld(context, |receiver, context| match receiver {
                Receiver::ByValue(receiver) => receiver.poll_recv_many(context, buffer, limit),
                Receiver::Boxed(receiver) => {
                    let mut boxes = Vec::new();
                    let received = receiver.poll_recv_many(context, &mut boxes, limit);
                    buffer.extend(boxes.into_iter().map(|item| *item));
                    received
                }
            })
        })
        .await
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
    /// # use registry_router::{Mailbox, mailbox};
    /// let (mailbox, mut inbox) = mailbox(4);
    /// assert!(inbox.try_recv().is_err());
    /// mailbox.try_send("one")?;
    /// assert_eq!(inbox.try_recv()?, "one");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn try_recv(&mut self) -> Result<T, TryRecvError> {
        match self.receiver.try_recv() {
            Err(TryRecvError::Empty) if self.slot.is_unheld() => {
                self.close();
                self.receiver.try_recv()
            }
            received => received,
        }
    }

    /// Receives the next item, blocking the thread; `None` when the inbox is empty and [has ended](Self::is_closed).
    ///
    /// # Panics
    ///
    /// Panics if called in an asynchronous context.
    ///
    /// # Examples
    ///
    /// ```
    /// # use registry_router::{Mailbox, mailbox};
    /// let (mailbox, mut inbox) = mailbox(4);
    /// let sender = std::thread::spawn(move || mailbox.try_send("one"));
    /// assert_eq!(inbox.blocking_recv(), Some("one"));
    /// assert_eq!(inbox.blocking_recv(), None);
    /// # sender.join().unwrap()?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn blocking_recv(&mut self) -> Option<T> {
        block_on::assert_not_async();
        block_on::poll(|context| self.poll_recv(context))
    }

    /// Polls for the next item; the basis of [`recv`](Self::recv).
    ///
    /// If it returns `Poll::Pending`, the task of the most recent call is woken when an item arrives or the inbox ends.
    ///
    /// # Examples
    ///
    /// ```
    /// # use registry_router::{Mailbox, mailbox};
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let (mailbox, mut inbox) = mailbox(4);
    /// mailbox.try_send("one")?;
    /// let item = std::future::poll_fn(|context| inbox.poll_recv(context)).await;
    /// assert_eq!(item, Some("one"));
    /// # Ok(())
    /// # }
    /// ```
    pub fn poll_recv(&mut self, context: &mut Context<'_>) -> Poll<Option<T>> {
        self.poll_unless_unheld(context, Receiver::poll_recv)
    }

    /// Polls the channel, and closes it if nothing holds it open.
    fn poll_unless_unheld<R>(
        &mut self,
        context: &mut Context<'_>,
        mut poll: impl FnMut(&mut Receiver<T>, &mut Context<'_>) -> Poll<R>,
    ) -> Poll<R> {
        let polled = poll(&mut self.receiver, context);
        if polled.is_ready() || !self.slot.poll_unheld(context.waker()) {
            return polled;
        }
        // Items that were accepted before this are received; then the channel ends.
        self.close();
        poll(&mut self.receiver, context)
    }

    /// Closes the mailbox: no more items are accepted; those that are in the inbox can still be received.
    ///
    /// Once this has returned, no lookup finds the registration of the mailbox.
    ///
    /// # Examples
    ///
    /// ```
    /// # use registry_router::{Mailbox, mailbox};
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let (mailbox, mut inbox) = mailbox(4);
    /// mailbox.try_send("one")?;
    /// inbox.close();
    /// assert!(mailbox.try_send("two").is_err());
    /// assert_eq!(inbox.recv().await, Some("one"));
    /// assert_eq!(inbox.recv().await, None);
    /// # Ok(())
    /// # }
    /// ```
    pub fn close(&mut self) {
        // The channel first, for the reason given in `drop`.
        with_receiver!(mut self, receiver => receiver.close());
        self.slot.close();
    }

    /// Returns whether the inbox has been closed, or all sending ends are gone and all registrations of the mailbox have
    /// ended.
    ///
    /// # Examples
    ///
    /// ```
    /// # use registry_router::{Mailbox, mailbox};
    /// let (mailbox, inbox) = mailbox::<u8>(4);
    /// assert!(!inbox.is_closed());
    /// drop(mailbox);
    /// assert!(inbox.is_closed());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn is_closed(&self) -> bool {
        self.slot.is_unheld() || with_receiver!(self, receiver => receiver.is_closed())
    }

    /// Returns the number of items in the inbox.
    ///
    /// # Examples
    ///
    /// ```
    /// # use registry_router::{Mailbox, mailbox};
    /// let (mailbox, inbox) = mailbox(4);
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
    /// # use registry_router::{Mailbox, mailbox};
    /// let (mailbox, inbox) = mailbox(4);
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
    /// # use registry_router::{Mailbox, mailbox};
    /// let (mailbox, inbox) = mailbox(4);
    /// mailbox.try_send("one")?;
    /// assert_eq!(inbox.capacity(), 3);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn capacity(&self) -> usize {
        with_receiver!(self, receiver => receiver.capacity())
    }

    /// Returns for how many items there is room in total.
    ///
    /// # Examples
    ///
    /// ```
    /// # use registry_router::{Mailbox, mailbox};
    /// let (mailbox, inbox) = mailbox(4);
    /// mailbox.try_send("one")?;
    /// assert_eq!(inbox.max_capacity(), 4);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn max_capacity(&self) -> usize {
        with_receiver!(self, receiver => receiver.max_capacity())
    }

    /// Returns the number of sending ends and registrations that keep the inbox open.
    ///
    /// # Examples
    ///
    /// ```
    /// # use registry_router::{Mailbox, mailbox};
    /// let (mailbox, inbox) = mailbox::<u8>(4);
    /// assert_eq!(inbox.sender_strong_count(), 1);
    /// let clone = mailbox.clone();
    /// assert_eq!(inbox.sender_strong_count(), 2);
    /// # drop((mailbox, clone));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn sender_strong_count(&self) -> usize {
        self.slot.strong_count().unwrap_or_else(|| with_receiver!(self, receiver => receiver.sender_strong_count()))
    }
}

/// How often a dropped inbox checks for items whose senders have reserved room but not sent yet: some microseconds.
const LATE_ITEM_CHECKS: usize = 256;

impl<T> Drop for Inbox<T> {
    fn drop(&mut self) {
        // The channel is closed before the flag is set: nothing may be sent after a caller has seen the mailbox closed.
        self.close();
        // A sender that had reserved room may send its item only now. Such an item should not stay in the channel until the
        // last sending end is gone. If the sender takes longer than these checks, the item does stay until then.
        let context = &mut Context::from_waker(Waker::noop());
        for _ in 0..LATE_ITEM_CHECKS {
            // `try_recv` is the cheaper way to take items; only `poll_recv` tells whether reserved room is left.
            let is_last = with_receiver!(mut self, receiver => {
                while let Ok(item) = receiver.try_recv() {
                    drop(item);
                }
                matches!(receiver.poll_recv(context), Poll::Ready(None))
            });
            if is_last {
                break;
            }
            hint::spin_loop();
        }
    }
}

#[cfg(feature = "stream")]
#[cfg_attr(docsrs, doc(cfg(feature = "stream")))]
impl<T> futures_core::Stream for Inbox<T> {
    type Item = T;

    fn poll_next(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<T>> {
        self.get_mut().poll_recv(context)
    }
}

impl<T> fmt::Debug for Inbox<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Inbox").field("items", &self.len()).field("closed", &self.is_closed()).finish_non_exhaustive()
    }
}
