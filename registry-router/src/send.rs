//! Delivering a message to one who may have to be waited for.

use std::future::Future;
use std::time::Duration;

use registry_core::{
    Backend, Closed, Delivery, Entry, Event, Incarnation, Mailboxes, Probe, ReservingMailbox, SendError, ServerId,
    Slot, TransportId,
};

use crate::registry::{Registry, ServerMailbox, TransportMailbox};

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
        ServerMailbox<M, X>: ReservingMailbox<registry_core::ToServer<M>>,
    {
        let Some(found) = self.find_server(server) else {
            return Err(SendError::NotFound(message));
        };
        let place = self.inner.place(found.id.as_bytes());
        let outcome = send(&found, limit, from, message, |incarnation| {
            self.inner.servers.holds(place, found.id.as_bytes(), incarnation)
        })
        .await;
        self.inner.probe.event(place.shard, event_of(&outcome));
        if registry_core::Mailbox::is_closed(&found.mailbox) {
            self.inner.end_server(place, found.id.as_bytes(), Some(found.incarnation));
        }
        outcome
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
        TransportMailbox<M, X>: ReservingMailbox<registry_core::ToTransport<M>>,
    {
        let Some(found) = self.find_transport(transport) else {
            return Err(SendError::NotFound(message));
        };
        let place = self.inner.place(found.id.as_bytes());
        let outcome = send(&found, limit, from, message, |incarnation| {
            self.inner.transports.holds(place, found.id.as_bytes(), incarnation)
        })
        .await;
        self.inner.probe.event(place.shard, event_of(&outcome));
        if registry_core::Mailbox::is_closed(&found.mailbox) {
            self.inner.end_transport(place, found.id.as_bytes(), Some(found.incarnation));
        }
        outcome
    }
}

/// Waits for room, then delivers if the registration still stands.
async fn send<I, F, M, Mb>(
    found: &Entry<I, Mb>,
    limit: Option<Duration>,
    from: &F,
    message: M,
    stands: impl FnOnce(Incarnation) -> bool,
) -> Result<(), SendError<M>>
where
    F: Clone,
    Mb: ReservingMailbox<Delivery<F, M>>,
{
    let room = match within(limit, found.mailbox.reserve()).await {
        None => return Err(SendError::TimedOut(message)),
        Some(Err(Closed)) => return Err(SendError::Closed(message)),
        Some(Ok(room)) => room,
    };
    if !stands(found.incarnation) {
        return Err(SendError::Closed(message));
    }
    room.fill(Delivery { from: from.clone(), message });
    Ok(())
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
