//! Wakes senders that wait for room in a mailbox when the registration of that mailbox ends.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::sync::atomic::{Ordering, fence};
use std::sync::{Arc, PoisonError};
use std::task::Poll;

use crossbeam_utils::CachePadded;
use registry_core::Incarnation;
use tokio::sync::Notify;

use crate::sync::{AtomicU64, Mutex, MutexGuard};

/// The waiters for the end of registrations, by shard.
///
/// The end of a registration without waiters costs one load.
pub(crate) struct Waiters(Box<[CachePadded<ShardWaiters>]>);

#[derive(Default)]
struct ShardWaiters {
    /// The number of waiters in the shard.
    count: AtomicU64,
    /// By incarnation.
    awaited: Mutex<HashMap<u64, Awaited>>,
}

/// A registration that has waiters.
struct Awaited {
    waiters: usize,
    ended: Arc<Notify>,
}

/// A guard that keeps a registration among the awaited ones.
pub(crate) struct Waiter<'a> {
    shard: &'a ShardWaiters,
    incarnation: u64,
    ended: Arc<Notify>,
}

impl Waiters {
    pub(crate) fn new(shards: usize) -> Self {
        Self((0..shards).map(|_| CachePadded::default()).collect())
    }

    /// Starts waiting for the end of a registration.
    ///
    /// An end after this call completes [`Waiter::unless_ended`]. The caller must check after this call whether the
    /// registration had ended before.
    pub(crate) fn wait_for(&self, shard: usize, incarnation: Incarnation) -> Waiter<'_> {
        let shard_waiters = &*self.0[shard];
        shard_waiters.count.fetch_add(1, Ordering::SeqCst);
        let incarnation = incarnation.as_u64();
        let ended = {
            let mut awaited = shard_waiters.lock();
            let awaited = awaited.entry(incarnation).or_insert_with(|| Awaited { waiters: 0, ended: Arc::default() });
            awaited.waiters += 1;
            Arc::clone(&awaited.ended)
        };
        // Pairs with the fence in `tell`: either the caller's lookup sees the end, or `tell` sees the count.
        fence(Ordering::SeqCst);
        Waiter { shard: shard_waiters, incarnation, ended }
    }

    /// Wakes the waiters for the end of a registration. Must be called after the registration can no longer be found.
    pub(crate) fn tell(&self, shard: usize, incarnation: Incarnation) {
        fence(Ordering::SeqCst);
        let shard_waiters = &*self.0[shard];
        if shard_waiters.count.load(Ordering::SeqCst) == 0 {
            return;
        }
        let ended = shard_waiters.lock().get(&incarnation.as_u64()).map(|awaited| Arc::clone(&awaited.ended));
        if let Some(ended) = ended {
            // Without the lock: a waker may run user code.
            ended.notify_waiters();
        }
    }
}

impl ShardWaiters {
    fn lock(&self) -> MutexGuard<'_, HashMap<u64, Awaited>> {
        // Nothing under the lock can panic half-way, so a poisoned lock guards consistent data.
        self.awaited.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Waiter<'_> {
    /// Completes with the output of `future`, or with `None` if the registration ends first, or if `is_current` returns
    /// `false`.
    ///
    /// # Cancel safety
    ///
    /// Cancel-safe if `future` is.
    pub(crate) async fn unless_ended<F: Future>(
        &self,
        mut future: Pin<&mut F>,
        is_current: impl FnOnce() -> bool,
    ) -> Option<F::Output> {
        // Receives every notification from here on, also before it is first polled.
        let mut ended = pin!(self.ended.notified());
        if !is_current() {
            return None;
        }
        poll_fn(|context| {
            if ended.as_mut().poll(context).is_ready() {
                return Poll::Ready(None);
            }
            future.as_mut().poll(context).map(Some)
        })
        .await
    }
}

impl Drop for Waiter<'_> {
    fn drop(&mut self) {
        if let Entry::Occupied(mut awaited) = self.shard.lock().entry(self.incarnation) {
            awaited.get_mut().waiters -= 1;
            if awaited.get().waiters == 0 {
                awaited.remove();
            }
        }
        self.shard.count.fetch_sub(1, Ordering::SeqCst);
    }
}

#[cfg(all(test, not(shuttle)))]
mod tests {
    use std::future::{pending, ready};
    use std::task::{Context, Waker};

    use super::*;

    fn poll<F: Future>(future: Pin<&mut F>) -> Poll<F::Output> {
        future.poll(&mut Context::from_waker(Waker::noop()))
    }

    #[test]
    fn an_end_wakes_all_waiters_for_that_registration_only() {
        let waiters = Waiters::new(2);
        let [one, other] = [1, 2].map(Incarnation::from_u64);
        let same = [waiters.wait_for(1, one), waiters.wait_for(1, one)];
        let different = waiters.wait_for(1, other);
        let mut futures = [(); 3].map(|()| Box::pin(pending::<()>()));
        let [a, b, c] = &mut futures;
        let mut first = pin!(same[0].unless_ended(a.as_mut(), || true));
        let mut second = pin!(same[1].unless_ended(b.as_mut(), || true));
        let mut third = pin!(different.unless_ended(c.as_mut(), || true));
        let poll_all = || [poll(first.as_mut()), poll(second.as_mut()), poll(third.as_mut())];
        let mut poll_all = poll_all;
        assert_eq!(poll_all(), [Poll::Pending; 3]);
        waiters.tell(0, one);
        assert_eq!(poll_all(), [Poll::Pending; 3], "waiters of another shard are not woken");
        waiters.tell(1, one);
        assert_eq!(poll_all(), [Poll::Ready(None), Poll::Ready(None), Poll::Pending]);
    }

    #[test]
    fn a_registration_that_has_already_ended_is_not_awaited() {
        let waiters = Waiters::new(1);
        let waiter = waiters.wait_for(0, Incarnation::from_u64(1));
        let mut future = pin!(pending::<()>());
        assert_eq!(poll(pin!(waiter.unless_ended(future.as_mut(), || false))), Poll::Ready(None));
        let mut future = pin!(ready(7));
        assert_eq!(poll(pin!(waiter.unless_ended(future.as_mut(), || true))), Poll::Ready(Some(7)));
    }

    #[test]
    fn dropped_waiters_leave_no_state() {
        let waiters = Waiters::new(1);
        let both = [(); 2].map(|()| waiters.wait_for(0, Incarnation::from_u64(1)));
        drop(both);
        assert!(waiters.0[0].lock().is_empty());
        assert_eq!(waiters.0[0].count.load(Ordering::SeqCst), 0);
    }
}
