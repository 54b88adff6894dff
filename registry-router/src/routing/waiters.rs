//! Tells those who wait for a registration that it has ended.

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

use crate::seeded::SeededBug;
use crate::sync::{AtomicU64, Mutex, MutexGuard};

/// The registrations of one registry that are waited for, by shard.
///
/// The end of a registration that is not waited for costs one load.
pub(crate) struct Waiters(Box<[CachePadded<OfShard>]>);

#[derive(Default)]
struct OfShard {
    /// How many waiters there are.
    count: AtomicU64,
    awaited: Mutex<HashMap<u64, Awaited>>,
}

/// A registration that is waited for.
struct Awaited {
    waiters: usize,
    ended: Arc<Notify>,
}

/// A share in waiting for the end of one registration.
pub(crate) struct Waiter<'a> {
    of_shard: &'a OfShard,
    incarnation: u64,
    ended: Arc<Notify>,
}

impl Waiters {
    pub(crate) fn new(shards: usize) -> Self {
        Self((0..shards).map(|_| CachePadded::default()).collect())
    }

    /// Begins to wait for the end of a registration.
    ///
    /// An end that comes after this is [told](Waiter::unless_ended); whether there was one before is for the caller to
    /// look up, after this.
    pub(crate) fn wait_for(&self, shard: usize, incarnation: Incarnation) -> Waiter<'_> {
        let of_shard = &*self.0[shard];
        of_shard.count.fetch_add(1, Ordering::SeqCst);
        let incarnation = incarnation.as_u64();
        let ended = {
            let mut all = of_shard.lock();
            let awaited = all.entry(incarnation).or_insert_with(|| Awaited { waiters: 0, ended: Arc::default() });
            awaited.waiters += 1;
            Arc::clone(&awaited.ended)
        };
        // Either the caller's lookup sees the end, or `tell` sees the count.
        fence(Ordering::SeqCst);
        Waiter { of_shard, incarnation, ended }
    }

    /// Tells that a registration has ended; to be called when it cannot be found any more.
    pub(crate) fn tell(&self, shard: usize, incarnation: Incarnation) {
        fence(Ordering::SeqCst);
        let of_shard = &*self.0[shard];
        if of_shard.count.load(Ordering::SeqCst) == 0 || SeededBug::EndIsNotTold.is_on() {
            return;
        }
        let ended = of_shard.lock().get(&incarnation.as_u64()).map(|awaited| Arc::clone(&awaited.ended));
        if let Some(ended) = ended {
            // With nothing held: a waker is others' code.
            ended.notify_waiters();
        }
    }
}

impl OfShard {
    fn lock(&self) -> MutexGuard<'_, HashMap<u64, Awaited>> {
        // Nothing in here calls code that can panic half-way.
        self.awaited.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Waiter<'_> {
    /// Completes with the future, or with `None` if the registration ends before; it has ended if `stands` says no.
    ///
    /// Cancel-safe if the future is.
    pub(crate) async fn unless_ended<F: Future>(
        &self,
        mut future: Pin<&mut F>,
        stands: impl FnOnce() -> bool,
    ) -> Option<F::Output> {
        // Told of every end from here on, before it is polled.
        let mut ended = pin!(self.ended.notified());
        if !stands() {
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
        if let Entry::Occupied(mut awaited) = self.of_shard.lock().entry(self.incarnation) {
            awaited.get_mut().waiters -= 1;
            if awaited.get().waiters == 0 {
                awaited.remove();
            }
        }
        self.of_shard.count.fetch_sub(1, Ordering::SeqCst);
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
    fn an_end_is_told_to_all_who_wait_for_that_registration() {
        let waiters = Waiters::new(2);
        let [one, other] = [1, 2].map(Incarnation::from_u64);
        let ours = [waiters.wait_for(1, one), waiters.wait_for(1, one)];
        let others = waiters.wait_for(1, other);
        let mut nothing = [(); 3].map(|()| Box::pin(pending::<()>()));
        let [a, b, c] = &mut nothing;
        let mut first = pin!(ours[0].unless_ended(a.as_mut(), || true));
        let mut second = pin!(ours[1].unless_ended(b.as_mut(), || true));
        let mut third = pin!(others.unless_ended(c.as_mut(), || true));
        let poll_all = || [poll(first.as_mut()), poll(second.as_mut()), poll(third.as_mut())];
        let mut poll_all = poll_all;
        assert_eq!(poll_all(), [Poll::Pending; 3]);
        waiters.tell(0, one);
        assert_eq!(poll_all(), [Poll::Pending; 3], "another shard has nothing to do with it");
        waiters.tell(1, one);
        assert_eq!(poll_all(), [Poll::Ready(None), Poll::Ready(None), Poll::Pending]);
    }

    #[test]
    fn what_has_ended_before_is_not_waited_for() {
        let waiters = Waiters::new(1);
        let waiter = waiters.wait_for(0, Incarnation::from_u64(1));
        let mut future = pin!(pending::<()>());
        assert_eq!(poll(pin!(waiter.unless_ended(future.as_mut(), || false))), Poll::Ready(None));
        let mut future = pin!(ready(7));
        assert_eq!(poll(pin!(waiter.unless_ended(future.as_mut(), || true))), Poll::Ready(Some(7)));
    }

    #[test]
    fn who_waits_no_more_leaves_nothing_behind() {
        let waiters = Waiters::new(1);
        let both = [(); 2].map(|()| waiters.wait_for(0, Incarnation::from_u64(1)));
        drop(both);
        assert!(waiters.0[0].lock().is_empty());
        assert_eq!(waiters.0[0].count.load(Ordering::SeqCst), 0);
    }
}
