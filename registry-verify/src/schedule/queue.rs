//! A mailbox with the scheduler's lock, so that threads can also interleave inside a delivery.

use std::collections::VecDeque;
use std::future::poll_fn;
use std::sync::Arc;
use std::task::{Poll, Waker};

use registry_core::{Closed, Mailbox, MailboxFamily, Permit, ReserveMailbox, TrySendError};
use shuttle::sync::{Mutex, MutexGuard};

/// The family of [`Queue`]s.
#[derive(Clone, Copy, Debug)]
pub(super) struct Queues;

impl MailboxFamily for Queues {
    type Mailbox<T: Send + 'static> = Queue<T>;
}

/// Both ends of a bounded queue.
pub(super) struct Queue<T>(Arc<Mutex<Inner<T>>>);

struct Inner<T> {
    items: VecDeque<T>,
    /// Capacity that is neither filled nor reserved.
    room: usize,
    closed: bool,
    waiting: VecDeque<Waker>,
}

impl<T> Queue<T> {
    pub(super) fn new(capacity: usize) -> Self {
        let inner = Inner { items: VecDeque::new(), room: capacity, closed: false, waiting: VecDeque::new() };
        Self(Arc::new(Mutex::new(inner)))
    }

    /// Closes the mailbox.
    pub(super) fn close(&self) {
        let mut inner = self.lock();
        inner.closed = true;
        wake(inner);
    }

    /// Removes and returns all items.
    pub(super) fn drain(&self) -> Vec<T> {
        let mut inner = self.lock();
        let items: Vec<T> = inner.items.drain(..).collect();
        inner.room += items.len();
        wake(inner);
        items
    }

    /// Returns the number of items.
    pub(super) fn len(&self) -> usize {
        self.lock().items.len()
    }

    fn lock(&self) -> MutexGuard<'_, Inner<T>> {
        self.0.lock().expect("nothing panics under this lock")
    }
}

fn wake<T>(mut inner: MutexGuard<'_, Inner<T>>) {
    let waiting = std::mem::take(&mut inner.waiting);
    drop(inner);
    waiting.into_iter().for_each(Waker::wake);
}

impl<T> Clone for Queue<T> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<T: Send + 'static> Mailbox<T> for Queue<T> {
    fn try_send(&self, item: T) -> Result<(), TrySendError<T>> {
        let mut inner = self.lock();
        if inner.closed {
            return Err(TrySendError::Closed(item));
        }
        if inner.room == 0 {
            return Err(TrySendError::Full(item));
        }
        inner.room -= 1;
        inner.items.push_back(item);
        Ok(())
    }

    fn is_closed(&self) -> bool {
        self.lock().closed
    }
}

impl<T: Send + 'static> ReserveMailbox<T> for Queue<T> {
    type Permit<'a> = RoomPermit<'a, T>;

    async fn reserve(&self) -> Result<RoomPermit<'_, T>, Closed> {
        poll_fn(|context| {
            let mut inner = self.lock();
            if inner.closed {
                return Poll::Ready(Err(Closed));
            }
            if inner.room == 0 {
                inner.waiting.push_back(context.waker().clone());
                return Poll::Pending;
            }
            inner.room -= 1;
            Poll::Ready(Ok(RoomPermit { queue: self, sent: false }))
        })
        .await
    }
}

/// Reserved capacity for one item.
pub(super) struct RoomPermit<'a, T> {
    queue: &'a Queue<T>,
    sent: bool,
}

impl<T> Permit<T> for RoomPermit<'_, T> {
    fn send(mut self, item: T) {
        self.sent = true;
        self.queue.lock().items.push_back(item);
    }
}

impl<T> Drop for RoomPermit<'_, T> {
    fn drop(&mut self) {
        if !self.sent {
            let mut inner = self.queue.lock();
            inner.room += 1;
            wake(inner);
        }
    }
}
