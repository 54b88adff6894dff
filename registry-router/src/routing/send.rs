//! Delivering a message to one who may have to be waited for.

use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::task::Poll;
use std::time::Duration;

use registry_core::{
    AsId, Backend, Closed, Delivery, Event, Mailbox, MailboxFamily, Permit, Probe, ReserveMailbox, SendError, ServerId,
    ToServer, ToTransport, TransportId,
};

use crate::endpoint::{DeliveryTo, Endpoint, MailboxOf};
use crate::registry::{Inner, Registry, ServerMailbox, TransportMailbox};
use crate::routing::delivery::give_back;
use crate::seeded::SeededBug;

impl<M, B, X, P> Registry<M, B, X, P>
where
    M: Send + 'static,
    B: Backend,
    X: MailboxFamily,
    P: Probe,
{
    /// Puts a message into the mailbox of a server, waiting for room; at most for `limit`, if one is given.
    ///
    /// Waiters are served in order. The message goes to the registration that is found when the future is first polled,
    /// never to a successor under the same name.
    /// A server that stalls holds up those who send to it and nobody else: nothing of the registry is held meanwhile.
    /// When its registration ends, whatever ends it, those who wait are told at once.
    /// Allocates a box for the message.
    ///
    /// # Errors
    ///
    /// [`SendError`] with the message.
    ///
    /// # Cancellation
    ///
    /// A future that is dropped before it completes has delivered nothing, and the message is dropped with it; give a
    /// limit to get it back.
    ///
    /// # Panics
    ///
    /// With a limit, when polled outside of a tokio runtime whose clock is enabled.
    pub fn send_to_server(
        &self,
        server: impl AsId<ServerId> + Send,
        from: &TransportId,
        message: M,
        limit: Option<Duration>,
    ) -> impl Future<Output = Result<(), SendError<M>>> + Send
    where
        ServerMailbox<M, X>: ReserveMailbox<ToServer<M>>,
    {
        let delivery = Box::new(Delivery { from: from.clone(), message });
        async move {
            match self.inner.send::<ServerId>(server.as_id(), delivery, limit).await {
                Ok(()) => Ok(()),
                Err(error) => give_back(error),
            }
        }
    }

    /// Puts a message into the mailbox of a transport, waiting for room; at most for `limit`, if one is given.
    ///
    /// As [`send_to_server`](Self::send_to_server), the other way round.
    ///
    /// # Errors
    ///
    /// [`SendError`] with the message.
    ///
    /// # Cancellation
    ///
    /// A future that is dropped before it completes has delivered nothing, and the message is dropped with it.
    ///
    /// # Panics
    ///
    /// With a limit, when polled outside of a tokio runtime whose clock is enabled.
    pub fn send_to_transport(
        &self,
        transport: impl AsId<TransportId> + Send,
        from: &ServerId,
        message: M,
        limit: Option<Duration>,
    ) -> impl Future<Output = Result<(), SendError<M>>> + Send
    where
        TransportMailbox<M, X>: ReserveMailbox<ToTransport<M>>,
    {
        let delivery = Box::new(Delivery { from: from.clone(), message });
        async move {
            match self.inner.send::<TransportId>(transport.as_id(), delivery, limit).await {
                Ok(()) => Ok(()),
                Err(error) => give_back(error),
            }
        }
    }
}

impl<M, B, X, P> Inner<M, B, X, P>
where
    M: Send + 'static,
    B: Backend,
    X: MailboxFamily,
    P: Probe,
{
    /// Finds the receiver, waits for room, delivers if the registration still stands, and takes out the dead.
    ///
    /// In a box, because a future is moved, and what it holds with it.
    async fn send<I>(
        &self,
        id: &[u8],
        delivery: Box<DeliveryTo<I, M>>,
        limit: Option<Duration>,
    ) -> Result<(), SendError<Box<DeliveryTo<I, M>>>>
    where
        I: Endpoint,
        MailboxOf<I, M, X>: ReserveMailbox<DeliveryTo<I, M>>,
    {
        let location = self.location(id);
        let Some(found) = self.registered(location, id, |id: &I, record, _| record.entry(id).to_entry()) else {
            return Err(SendError::NotFound(delivery));
        };
        let stands = || {
            let holds = I::table(self).holds(location, id, found.incarnation);
            holds || SeededBug::WaiterIgnoresTheEnd.is_on()
        };
        let mut room = pin!(within(limit, found.mailbox.reserve()));
        let room = match poll_once(room.as_mut()).await {
            Poll::Ready(room) => Some(room),
            Poll::Pending => {
                let waiter = self.waiters.wait_for(location.shard, found.incarnation);
                waiter.unless_ended(room, stands).await
            }
        };
        let (event, outcome) = match room {
            Some(None) => (Event::Full, Err(SendError::TimedOut(delivery))),
            Some(Some(Ok(room))) if stands() => {
                room.send_boxed(delivery);
                (Event::Routed, Ok(()))
            }
            None | Some(Some(Ok(_) | Err(Closed))) => (Event::Closed, Err(SendError::Closed(delivery))),
        };
        self.probe.event(location.shard, event);
        if found.mailbox.is_closed() {
            self.evict::<I>(location, id, found.incarnation);
        }
        outcome
    }
}

/// The outcome of a future, or `None` if it takes longer than the limit.
async fn within<T>(limit: Option<Duration>, future: impl Future<Output = T>) -> Option<T> {
    match limit {
        None => Some(future.await),
        Some(limit) => tokio::time::timeout(limit, future).await.ok(),
    }
}

/// Polls a future once.
async fn poll_once<F: Future>(mut future: Pin<&mut F>) -> Poll<F::Output> {
    poll_fn(|context| Poll::Ready(future.as_mut().poll(context))).await
}
