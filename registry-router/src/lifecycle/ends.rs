//! The ends of registrations: who waits for them, and why they were.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::future::{Future, pending, poll_fn};
use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicBool, Ordering, fence};
use std::sync::{Arc, PoisonError};
use std::task::Poll;

use crossbeam_utils::CachePadded;
use registry_core::{EndReason, Incarnation};
use tokio::sync::Notify;

use crate::sync::{AtomicU64, Mutex, MutexGuard};

/// The ends of registrations, by shard. When it is dropped, the registry has ended, and with it all registrations.
///
/// The end of a registration without waiters costs one load.
pub(crate) struct Ends(Arc<Shared>);

/// What waiters share with the registry, which they may outlive.
struct Shared {
    shards: Box<[CachePadded<ShardEnds>]>,
    registry_ended: AtomicBool,
}

#[derive(Default)]
struct ShardEnds {
    /// The number of waiters in the shard.
    count: AtomicU64,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// The registrations that have waiters, by incarnation.
    awaited: HashMap<u64, Awaited>,
    /// The reasons of registrations that have ended and whose lease is still there, by incarnation.
    reasons: HashMap<u64, EndReason>,
}

/// A registration that has waiters.
struct Awaited {
    waiters: usize,
    ended: Arc<Notify>,
}

/// Waits for the end of a registration.
pub(crate) struct EndWaiter {
    ends: Arc<Shared>,
    shard: usize,
    incarnation: u64,
    ended: Arc<Notify>,
}

impl Ends {
    pub(crate) fn new(shards: usize) -> Self {
        let shards = (0..shards).map(|_| CachePadded::default()).collect();
        Self(Arc::new(Shared { shards, registry_ended: AtomicBool::new(false) }))
    }

    /// Starts waiting for the end of a registration.
    ///
    /// An end after this call completes [`EndWaiter::ended`] and [`EndWaiter::unless_ended`]. The caller must check after
    /// this call whether the registration had ended before.
    pub(crate) fn wait_for(&self, shard: usize, incarnation: Incarnation) -> EndWaiter {
        let incarnation = incarnation.as_u64();
        let shard_ends = &*self.0.shards[shard];
        shard_ends.count.fetch_add(1, Ordering::SeqCst);
        let ended = {
            let mut state = shard_ends.lock();
            let awaited =
                state.awaited.entry(incarnation).or_insert_with(|| Awaited { waiters: 0, ended: Arc::default() });
            awaited.waiters += 1;
            Arc::clone(&awaited.ended)
        };
        // Pairs with the fence in `notify`: either the caller's lookup sees the end, or `notify` sees the count.
        fence(Ordering::SeqCst);
        EndWaiter { ends: Arc::clone(&self.0), shard, incarnation, ended }
    }

    /// Wakes the waiters for the end of a registration. Must be called after the registration can no longer be found.
    pub(crate) fn notify(&self, shard: usize, incarnation: Incarnation) {
        fence(Ordering::SeqCst);
        let shard_ends = &*self.0.shards[shard];
        if shard_ends.count.load(Ordering::SeqCst) == 0 {
            return;
        }
        let ended = shard_ends.lock().awaited.get(&incarnation.as_u64()).map(|awaited| Arc::clone(&awaited.ended));
        if let Some(ended) = ended {
            // Without the lock: a waker may run user code.
            ended.notify_waiters();
        }
    }

    /// Records why a registration ends, for its lease. Must be called before its id is free, and undone by
    /// [`forget`](Self::forget) when there is no lease any more.
    pub(crate) fn record(&self, shard: usize, incarnation: Incarnation, reason: EndReason) {
        self.0.shards[shard].lock().reasons.insert(incarnation.as_u64(), reason);
    }

    /// Returns the recorded reason of an end.
    pub(crate) fn reason(&self, shard: usize, incarnation: Incarnation) -> Option<EndReason> {
        self.0.shards[shard].lock().reasons.get(&incarnation.as_u64()).copied()
    }

    /// Removes the recorded reason of an end, if there is one.
    pub(crate) fn forget(&self, shard: usize, incarnation: Incarnation) {
        let mut state = self.0.shards[shard].lock();
        if state.reasons.remove(&incarnation.as_u64()).is_some() && state.reasons.is_empty() {
            // After a mass end it has much more room than it needs.
            state.reasons = HashMap::new();
        }
    }

    /// Returns the number of recorded reasons.
    #[cfg(all(test, not(shuttle)))]
    pub(crate) fn recorded(&self) -> usize {
        self.0.shards.iter().map(|shard| shard.lock().reasons.len()).sum()
    }
}

impl Drop for Ends {
    fn drop(&mut self) {
        self.0.registry_ended.store(true, Ordering::SeqCst);
        for shard in &self.0.shards {
            let awaited: Vec<_> = shard.lock().awaited.values().map(|awaited| Arc::clone(&awaited.ended)).collect();
            awaited.iter().for_each(|ended| ended.notify_waiters());
        }
    }
}

impl ShardEnds {
    fn lock(&self) -> MutexGuard<'_, State> {
        // Nothing under the lock can panic half-way, so a poisoned lock guards consistent data.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl EndWaiter {
    /// Completes when the registration ends or the registry has ended, or at once if `is_current` returns `false`.
    ///
    /// # Cancel safety
    ///
    /// Cancel-safe.
    pub(crate) async fn ended(&self, is_current: impl FnOnce() -> bool) {
        self.unless_ended(pin!(pending::<()>()), is_current).await;
    }

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
        if self.ends.registry_ended.load(Ordering::SeqCst) || !is_current() {
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

impl Drop for EndWaiter {
    fn drop(&mut self) {
        let shard_ends = &*self.ends.shards[self.shard];
        if let Entry::Occupied(mut awaited) = shard_ends.lock().awaited.entry(self.incarnation) {
            awaited.get_mut().waiters -= 1;
            if awaited.get().waiters == 0 {
                awaited.remove();
            }
        }
        shard_ends.count.fetch_sub(1, Ordering::SeqCst);
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
        let ends = Ends::new(2);
        let [one, other] = [1, 2].map(Incarnation::from_u64);
        let same = [ends.wait_for(1, one), ends.wait_for(1, one)];
        let different = ends.wait_for(1, other);
        let mut futures = [(); 3].map(|()| Box::pin(pending::<()>()));
        let [a, b, c] = &mut futures;
        let mut first = pin!(same[0].unless_ended(a.as_mut(), || true));
        let mut second = pin!(same[1].unless_ended(b.as_mut(), || true));
        let mut third = pin!(different.unless_ended(c.as_mut(), || true));
        let poll_all = || [poll(first.as_mut()), poll(second.as_mut()), poll(third.as_mut())];
        let mut poll_all = poll_all;
        assert_eq!(poll_all(), [Poll::Pending; 3]);
        ends.notify(0, one);
        assert_eq!(poll_all(), [Poll::Pending; 3], "waiters of another shard are not woken");
        ends.notify(1, one);
        assert_eq!(poll_all(), [Poll::Ready(None), Poll::Ready(None), Poll::Pending]);
    }

    #[test]
    fn a_registration_that_has_already_ended_is_not_awaited() {
        let ends = Ends::new(1);
        let waiter = ends.wait_for(0, Incarnation::from_u64(1));
        let mut future = pin!(pending::<()>());
        assert_eq!(poll(pin!(waiter.unless_ended(future.as_mut(), || false))), Poll::Ready(None));
        let mut future = pin!(ready(7));
        assert_eq!(poll(pin!(waiter.unless_ended(future.as_mut(), || true))), Poll::Ready(Some(7)));
    }

    #[test]
    fn dropped_waiters_leave_no_state() {
        let ends = Ends::new(1);
        let both = [(); 2].map(|()| ends.wait_for(0, Incarnation::from_u64(1)));
        drop(both);
        assert!(ends.0.shards[0].lock().awaited.is_empty());
        assert_eq!(ends.0.shards[0].count.load(Ordering::SeqCst), 0);
    }

    #[test]
    fn a_reason_is_kept_until_it_is_forgotten() {
        let ends = Ends::new(1);
        let one = Incarnation::from_u64(1);
        ends.record(0, one, EndReason::Unregistered);
        assert_eq!((ends.reason(0, one), ends.recorded()), (Some(EndReason::Unregistered), 1));
        ends.forget(0, one);
        ends.forget(0, one);
        assert_eq!((ends.reason(0, one), ends.recorded()), (None, 0));
    }

    #[test]
    fn the_end_of_the_registry_wakes_all_waiters() {
        let ends = Ends::new(2);
        let waiters = [0, 1].map(|shard| ends.wait_for(shard, Incarnation::from_u64(1)));
        let [first, second] = &waiters;
        let (mut before, mut after) = (pin!(first.ended(|| true)), pin!(second.ended(|| true)));
        assert_eq!(poll(before.as_mut()), Poll::Pending);
        drop(ends);
        assert_eq!([poll(before.as_mut()), poll(after.as_mut())], [Poll::Ready(()); 2]);
    }
}
