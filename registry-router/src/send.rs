//! Delivering a message to one who may have to be waited for.

use std::future::Future;
use std::time::Duration;

use registry_core::{
    Backend, Closed, Delivery, Event, Mailbox, Mailboxes, Probe, ReservingMailbox, SendError, ServerId, Slot, ToServer,
    ToTransport, TransportId,
};

use crate::registry::{Inner, Registry, ServerMailbox, TransportMailbox};
use crate::seeded::SeededBug;
use crate::side::{DeliveryTo, MailboxOf, Side};

impl<M, B, X, P> Registry<M, B, X, P>
where
    M: Send + 'static,
    B: Backend,
    X: Mailboxes,
    P: Probe,
{
    /// Puts a message into the mailbox of a server, waiting for room; at most for `limit`, if one is given.
    ///
    /// Waiters are served in order. The message goes to the registration that is found when the future is first polled,
    /// never to a successor under the same name.
    /// A server that stalls holds up those who send to it and nobody else: nothing of the registry is held meanwhile.
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
    pub async fn send_to_server(
        &self,
        server: impl AsRef<[u8]> + Send,
        from: &TransportId,
        message: M,
        limit: Option<Duration>,
    ) -> Result<(), SendError<M>>
    where
        ServerMailbox<M, X>: ReservingMailbox<ToServer<M>>,
    {
        self.inner.send::<ServerId>(server.as_ref(), from, message, limit).await
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
    pub async fn send_to_transport(
        &self,
        transport: impl AsRef<[u8]> + Send,
        from: &ServerId,
        message: M,
        limit: Option<Duration>,
    ) -> Result<(), SendError<M>>
    where
        TransportMailbox<M, X>: ReservingMailbox<ToTransport<M>>,
    {
        self.inner.send::<TransportId>(transport.as_ref(), from, message, limit).await
    }
}

impl<M, B, X, P> Inner<M, B, X, P>
where
    M: Send + 'static,
    B: Backend,
    X: Mailboxes,
    P: Probe,
{
    /// Finds the receiver, waits for room, delivers if the registration still stands, and takes out the dead.
    async fn send<I>(&self, id: &[u8], from: &I::Peer, message: M, limit: Option<Duration>) -> Result<(), SendError<M>>
    where
        I: Side,
        MailboxOf<I, M, X>: ReservingMailbox<DeliveryTo<I, M>>,
    {
        let place = self.place(id);
        let Some(found) = self.registered(place, id, |id: &I, head, _| head.entry(id).to_entry()) else {
            return Err(SendError::NotFound(message));
        };
        let stands = || {
            let holds = I::table(self).holds(place, id, found.incarnation);
            holds || SeededBug::WaiterIgnoresTheEnd.is_on()
        };
        let outcome = match within(limit, found.mailbox.reserve()).await {
            None => Err(SendError::TimedOut(message)),
            Some(Ok(room)) if stands() => {
                room.fill(Delivery { from: from.clone(), message });
                Ok(())
            }
            Some(Ok(_) | Err(Closed)) => Err(SendError::Closed(message)),
        };
        self.probe.event(place.shard, event_of(&outcome));
        if found.mailbox.is_closed() {
            self.end::<I>(place, id, Some(found.incarnation));
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

fn event_of<M>(outcome: &Result<(), SendError<M>>) -> Event {
    match outcome {
        Ok(()) => Event::Routed,
        Err(SendError::TimedOut(_)) => Event::Full,
        Err(SendError::NotFound(_) | SendError::Closed(_)) => Event::Closed,
    }
}
