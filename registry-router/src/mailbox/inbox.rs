//! The receiving end of a mailbox: tokio's receiver, whose end is told to look-ups as well as to the channel.

use std::fmt;
use std::task::{Context, Poll};

use tokio::sync::mpsc;
use tokio::sync::mpsc::error::TryRecvError;

use super::life::Life;

/// The receiving end of a [`TokioMailbox`](crate::TokioMailbox).
///
/// Its methods are those of tokio's [`Receiver`](mpsc::Receiver), with the same promises.
/// Dropping or closing it closes the mailbox: from when that has returned, no look-up finds who registered it.
pub struct Inbox<T> {
    receiver: mpsc::Receiver<T>,
    life: Life,
}

impl<T> Inbox<T> {
    pub(super) fn new(receiver: mpsc::Receiver<T>, life: Life) -> Self {
        Self { receiver, life }
    }

    /// The next item; `None` when the inbox is empty and closed, or all sending ends are gone. Cancel-safe.
    pub async fn recv(&mut self) -> Option<T> {
        self.receiver.recv().await
    }

    /// Waits for an item, takes up to `limit` that are there behind it, and says how many. Cancel-safe.
    pub async fn recv_many(&mut self, buffer: &mut Vec<T>, limit: usize) -> usize {
        self.receiver.recv_many(buffer, limit).await
    }

    /// The next item if there is one now.
    ///
    /// # Errors
    ///
    /// [`TryRecvError`], telling an inbox that is empty now from one that will stay so.
    pub fn try_recv(&mut self) -> Result<T, TryRecvError> {
        self.receiver.try_recv()
    }

    /// The next item, for which it blocks the thread.
    ///
    /// # Panics
    ///
    /// In an asynchronous context.
    pub fn blocking_recv(&mut self) -> Option<T> {
        self.receiver.blocking_recv()
    }

    /// The next item, for those who poll by hand.
    pub fn poll_recv(&mut self, context: &mut Context<'_>) -> Poll<Option<T>> {
        self.receiver.poll_recv(context)
    }

    /// Takes no more items; those that are there can still be received.
    pub fn close(&mut self) {
        // In this order, for the reason that is given where the inbox is dropped.
        self.receiver.close();
        self.life.end();
    }

    /// Whether the inbox has been closed, or all sending ends are gone.
    pub fn is_closed(&self) -> bool {
        self.receiver.is_closed()
    }

    /// How many items there are now.
    pub fn len(&self) -> usize {
        self.receiver.len()
    }

    /// Whether there are none now.
    pub fn is_empty(&self) -> bool {
        self.receiver.is_empty()
    }

    /// How many more items there is room for now.
    pub fn capacity(&self) -> usize {
        self.receiver.capacity()
    }

    /// How many items there is room for in all.
    pub fn max_capacity(&self) -> usize {
        self.receiver.max_capacity()
    }

    /// How many sending ends there are, those in registries included.
    pub fn sender_strong_count(&self) -> usize {
        self.receiver.sender_strong_count()
    }
}

impl<T> Drop for Inbox<T> {
    fn drop(&mut self) {
        // The channel first: nobody may be told that it is gone and then still get a message into it.
        self.close();
    }
}

impl<T> fmt::Debug for Inbox<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Inbox").field("items", &self.len()).field("closed", &self.is_closed()).finish_non_exhaustive()
    }
}
