//! The receiving end of a mailbox: tokio's receiver, whose end is told to lookups as well as to the channel.

use std::fmt;
use std::hint;
use std::task::{Context, Poll, Waker};

use tokio::sync::mpsc;
use tokio::sync::mpsc::error::TryRecvError;

use super::closed_flag::ClosedFlag;

/// The receiving end of a [`TokioMailbox`](crate::TokioMailbox).
///
/// Its methods are those of tokio's [`Receiver`](mpsc::Receiver), with the same promises.
/// Dropping or closing it closes the mailbox: from when that has returned, no lookup finds who registered it.
/// Dropping it drops the items that are in it.
pub struct Inbox<T> {
    receiver: Receiver<T>,
    closed_flag: ClosedFlag,
}

/// A receiver of items or of boxes, as the [sending end](crate::TokioMailbox) has it.
pub(super) enum Receiver<T> {
    ByValue(mpsc::Receiver<T>),
    Boxed(mpsc::Receiver<Box<T>>),
}

/// Does the same with either receiver.
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
    pub(super) fn new(receiver: Receiver<T>, closed_flag: ClosedFlag) -> Self {
        Self { receiver, closed_flag }
    }

    /// The next item; `None` when the inbox is empty and closed, or all sending ends are gone. Cancel-safe.
    pub async fn recv(&mut self) -> Option<T> {
        std::future::poll_fn(|context| self.poll_recv(context)).await
    }

    /// Waits for an item, takes up to `limit` that are there behind it, and says how many. Cancel-safe.
    pub async fn recv_many(&mut self, buffer: &mut Vec<T>, limit: usize) -> usize {
        match &mut self.receiver {
            Receiver::ByValue(receiver) => receiver.recv_many(buffer, limit).await,
            Receiver::Boxed(receiver) => {
                let mut boxes = Vec::new();
                let received = receiver.recv_many(&mut boxes, limit).await;
                buffer.extend(boxes.into_iter().map(|item| *item));
                received
            }
        }
    }

    /// The next item if there is one now.
    ///
    /// # Errors
    ///
    /// [`TryRecvError`], telling an inbox that is empty now from one that will stay so.
    pub fn try_recv(&mut self) -> Result<T, TryRecvError> {
        match &mut self.receiver {
            Receiver::ByValue(receiver) => receiver.try_recv(),
            Receiver::Boxed(receiver) => Ok(*receiver.try_recv()?),
        }
    }

    /// The next item, for which it blocks the thread.
    ///
    /// # Panics
    ///
    /// In an asynchronous context.
    pub fn blocking_recv(&mut self) -> Option<T> {
        match &mut self.receiver {
            Receiver::ByValue(receiver) => receiver.blocking_recv(),
            Receiver::Boxed(receiver) => Some(*receiver.blocking_recv()?),
        }
    }

    /// The next item, for those who poll by hand.
    pub fn poll_recv(&mut self, context: &mut Context<'_>) -> Poll<Option<T>> {
        match &mut self.receiver {
            Receiver::ByValue(receiver) => receiver.poll_recv(context),
            Receiver::Boxed(receiver) => match receiver.poll_recv(context) {
                Poll::Ready(Some(item)) => Poll::Ready(Some(*item)),
                Poll::Ready(None) => Poll::Ready(None),
                Poll::Pending => Poll::Pending,
            },
        }
    }

    /// Takes no more items; those that are there can still be received.
    pub fn close(&mut self) {
        // In this order, for the reason that is given where the inbox is dropped.
        with_receiver!(mut self, receiver => receiver.close());
        self.closed_flag.end();
    }

    /// Whether the inbox has been closed, or all sending ends are gone.
    pub fn is_closed(&self) -> bool {
        with_receiver!(self, receiver => receiver.is_closed())
    }

    /// How many items there are now.
    pub fn len(&self) -> usize {
        with_receiver!(self, receiver => receiver.len())
    }

    /// Whether there are none now.
    pub fn is_empty(&self) -> bool {
        with_receiver!(self, receiver => receiver.is_empty())
    }

    /// How many more items there is room for now.
    pub fn capacity(&self) -> usize {
        with_receiver!(self, receiver => receiver.capacity())
    }

    /// How many items there is room for in all.
    pub fn max_capacity(&self) -> usize {
        with_receiver!(self, receiver => receiver.max_capacity())
    }

    /// How many sending ends there are, those in registries included.
    pub fn sender_strong_count(&self) -> usize {
        with_receiver!(self, receiver => receiver.sender_strong_count())
    }
}

/// How often a dropped inbox looks for an item that a sender has room for and has not put in yet: some microseconds.
const LOOKS_FOR_LATE_ITEMS: usize = 256;

impl<T> Drop for Inbox<T> {
    fn drop(&mut self) {
        // The channel first: nobody may be told that it is gone and then still get a message into it.
        self.close();
        // A sender that got room before may put its item in only now. What nobody will receive should not lie there until
        // the last sending end is gone. A sender that does not come to it meanwhile leaves it to the last one.
        let context = &mut Context::from_waker(Waker::noop());
        for _ in 0..LOOKS_FOR_LATE_ITEMS {
            // Items are taken the cheap way; whether one is still under way tells the other.
            let last = with_receiver!(mut self, receiver => {
                while let Ok(item) = receiver.try_recv() {
                    drop(item);
                }
                matches!(receiver.poll_recv(context), Poll::Ready(None))
            });
            if last {
                break;
            }
            hint::spin_loop();
        }
    }
}

impl<T> fmt::Debug for Inbox<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Inbox").field("items", &self.len()).field("closed", &self.is_closed()).finish_non_exhaustive()
    }
}
