//! Room in the mailbox of one registration, reserved by one call and used by a later one.
//!
//! A permit borrows its mailbox, so the two cannot be stored side by side. Here a future owns the mailbox, holds the
//! permit, and stays suspended until it is passed the delivery.

use std::future::{Future, poll_fn};
use std::mem;
use std::pin::{Pin, pin};
use std::sync::{Arc, PoisonError};
use std::task::{Context, Poll, Waker};

use registry_core::{Backend, Event, Incarnation, Mailbox, MailboxFamily, Permit, Probe, ReserveMailbox};

use crate::endpoint::{DeliveryTo, Endpoint, MailboxOf, is_dead};
use crate::registry::{Inner, Registry};
use crate::storage::table::Location;
use crate::sync::{Mutex, MutexGuard};
use crate::types::{Types, TypesOf};

/// Room for one delivery `D` in the mailbox of one registration, or the wait for it.
///
/// Dropping it releases the room, or the place in the queue for it.
pub(super) struct Reservation<D> {
    /// Completes when the delivery has been sent, or the registration has ended.
    holder: Pin<Box<dyn Future<Output = ()> + Send>>,
    handoff: Arc<Handoff<D>>,
}

/// The state that a reservation shares with its future.
struct Handoff<D>(Mutex<Step<D>>);

/// The steps of a reservation, in order.
enum Step<D> {
    /// The future waits for room.
    Waiting,
    /// The future holds the room.
    Reserved,
    /// The delivery is passed to the future.
    Passed(Box<D>),
    /// The delivery has been sent.
    Sent,
}

impl<D> Handoff<D> {
    fn step(&self) -> MutexGuard<'_, Step<D>> {
        // Nothing under the lock can panic half-way, so a poisoned lock guards consistent data.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn is_passed(&self) -> bool {
        matches!(*self.step(), Step::Passed(_))
    }

    /// Takes the delivery, if it is passed.
    fn take(&self) -> Option<Box<D>> {
        match mem::replace(&mut *self.step(), Step::Sent) {
            Step::Passed(delivery) => Some(delivery),
            Step::Waiting | Step::Reserved | Step::Sent => None,
        }
    }
}

impl<D> Reservation<D> {
    /// Waits for room; `true` when it is reserved, `false` when the registration has ended, also after `true`.
    pub(super) fn poll_reserved(&mut self, context: &mut Context<'_>) -> Poll<bool> {
        if self.holder.as_mut().poll(context).is_ready() {
            return Poll::Ready(false);
        }
        if self.is_reserved() { Poll::Ready(true) } else { Poll::Pending }
    }

    pub(super) fn is_reserved(&self) -> bool {
        matches!(*self.handoff.step(), Step::Reserved)
    }

    /// Sends a delivery with the reserved room. Returns it if no room is reserved or the registration has ended.
    pub(super) fn send(mut self, delivery: D) -> Result<(), Box<D>> {
        let delivery = Box::new(delivery);
        if !self.is_reserved() {
            return Err(delivery);
        }
        *self.handoff.step() = Step::Passed(delivery);
        // Completes without waiting: what it waited for is there.
        let _ = self.holder.as_mut().poll(&mut Context::from_waker(Waker::noop()));
        self.handoff.take().map_or(Ok(()), Err)
    }
}

/// Starts to wait for room in the mailbox of the present registration of an id; `None` if there is none.
pub(super) fn reserve<I, M, B, X, P>(registry: &Registry<M, B, X, P>, id: &I) -> Option<Reservation<DeliveryTo<I, M>>>
where
    I: Endpoint,
    M: Send + 'static,
    B: Backend,
    X: MailboxFamily,
    P: Probe,
    MailboxOf<I, TypesOf<M, B, X, P>>: ReserveMailbox<DeliveryTo<I, M>>,
{
    let location = registry.inner.location(id.as_ref());
    let found = registry.inner.registered(location, id.as_ref(), |_: &I, record, _| {
        (record.incarnation, (!is_dead::<I, TypesOf<M, B, X, P>>(record)).then(|| record.mailbox.clone()))
    });
    let (incarnation, mailbox) = found?;
    let Some(mailbox) = mailbox else {
        registry.inner.evict::<I>(location, id.as_ref(), incarnation);
        return None;
    };
    let handoff = Arc::new(Handoff(Mutex::new(Step::Waiting)));
    let holder = {
        let (registry, id, handoff) = (registry.clone(), id.clone(), Arc::clone(&handoff));
        async move {
            registry.inner.hold::<I>(location, id.as_ref(), incarnation, &mailbox, &handoff).await;
        }
    };
    Some(Reservation { holder: Box::pin(holder), handoff })
}

impl<T: Types> Inner<T> {
    /// Waits for room in the mailbox of a registration, holds it, and sends the delivery that is passed. Ends before that
    /// if the registration ends or its mailbox is closed.
    async fn hold<I>(
        &self,
        location: Location,
        id: &[u8],
        incarnation: Incarnation,
        mailbox: &MailboxOf<I, T>,
        handoff: &Handoff<DeliveryTo<I, T::Message>>,
    ) where
        I: Endpoint,
        MailboxOf<I, T>: ReserveMailbox<DeliveryTo<I, T::Message>>,
    {
        let is_current = || I::table(self).holds(location, id, incarnation);
        let waiter = self.ends.wait_for(location.shard, incarnation);
        let permit = pin!(mailbox.reserve());
        if let Some(Ok(permit)) = waiter.unless_ended(permit, is_current).await {
            *handoff.step() = Step::Reserved;
            let passed = pin!(poll_fn(|_| {
                if handoff.is_passed() || mailbox.is_closed() { Poll::Ready(()) } else { Poll::Pending }
            }));
            // The end of the registration wakes the task, so that it can reserve room in the mailbox of the next one.
            let in_time = waiter.unless_ended(passed, is_current).await.is_some();
            if in_time && is_current() && !mailbox.is_closed() {
                if let Some(delivery) = handoff.take() {
                    permit.send_boxed(delivery);
                    self.probe.event(location.shard, Event::Routed);
                }
            } else if handoff.is_passed() {
                self.probe.event(location.shard, Event::Closed);
            }
        }
        if mailbox.is_closed() {
            self.evict::<I>(location, id, incarnation);
        }
    }
}
