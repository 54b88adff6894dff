//! Sends that wait until the receiver has room.

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
use crate::routing::delivery::fail;
use crate::types::Types;

impl<M, B, X, P> Registry<M, B, X, P>
where
    M: Send + 'static,
    B: Backend,
    X: MailboxFamily,
    P: Probe,
{
    /// Sends a message to a server, waiting until its mailbox has room; for at most `limit`, if one is given.
    ///
    /// Senders that wait for the same mailbox are served in order. The message goes to the registration that is found when
    /// the future is first polled, never to a later registration of the same id. A stalled server delays only those who
    /// send to it: nothing of the registry is held while waiting. When the registration ends, for any reason, the future
    /// completes with [`SendError::Closed`] at once.
    ///
    /// # Errors
    ///
    /// Returns a [`SendError`] with the message.
    ///
    /// # Cancel safety
    ///
    /// If the future is dropped before it completes, the message has not been delivered and is dropped with it. Give a
    /// limit to get the message back.
    ///
    /// # Panics
    ///
    /// Panics if a limit is given and the future is polled outside of a tokio runtime with its clock enabled.
    ///
    /// # Cost
    ///
    /// One lookup, and a box for the message.
    ///
    /// # Examples
    ///
    /// ```
    /// # use std::time::Duration;
    /// # use registry_router::{Registry, SendError, TransportId, mailbox};
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let registry: Registry<&str> = Registry::builder().build()?;
    /// let (mailbox, mut inbox) = mailbox(1);
    /// let _lease = registry.register_server("echo", mailbox, ())?;
    ///
    /// let from = TransportId::new("conn-1")?;
    /// registry.send_to_server("echo", &from, "one", None).await?;
    /// let limit = Some(Duration::from_millis(1));
    /// let outcome = registry.send_to_server("echo", &from, "two", limit).await;
    /// assert_eq!(outcome, Err(SendError::TimedOut("two")));
    /// assert_eq!(inbox.try_recv()?.message, "one");
    /// # Ok(())
    /// # }
    /// ```
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
                Err(error) => fail(error),
            }
        }
    }

    /// Sends a message to a transport, waiting until its mailbox has room; for at most `limit`, if one is given.
    ///
    /// The counterpart of [`send_to_server`](Self::send_to_server).
    ///
    /// # Errors
    ///
    /// Returns a [`SendError`] with the message.
    ///
    /// # Cancel safety
    ///
    /// If the future is dropped before it completes, the message has not been delivered and is dropped with it.
    ///
    /// # Panics
    ///
    /// Panics if a limit is given and the future is polled outside of a tokio runtime with its clock enabled.
    ///
    /// # Examples
    ///
    /// ```
    /// # use registry_router::{Registry, ServerId, mailbox};
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let registry: Registry<&str> = Registry::builder().build()?;
    /// let (mailbox, mut inbox) = mailbox(1);
    /// let _lease = registry.register_transport("conn-1", mailbox, ())?;
    ///
    /// registry.send_to_transport("conn-1", &ServerId::new("echo")?, "reply", None).await?;
    /// assert_eq!(inbox.try_recv()?.message, "reply");
    /// # Ok(())
    /// # }
    /// ```
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
                Err(error) => fail(error),
            }
        }
    }
}

impl<T: Types> Inner<T> {
    /// Finds the receiver, waits for room, delivers if the registration is still current, and removes a dead receiver.
    ///
    /// The delivery is boxed, because a future is moved together with everything that it holds.
    pub(crate) async fn send<I>(
        &self,
        id: &[u8],
        delivery: Box<DeliveryTo<I, T::Message>>,
        limit: Option<Duration>,
    ) -> Result<(), SendError<Box<DeliveryTo<I, T::Message>>>>
    where
        I: Endpoint,
        MailboxOf<I, T>: ReserveMailbox<DeliveryTo<I, T::Message>>,
    {
        let location = self.location(id);
        let Some(mut found) = self.registered(location, id, |id: &I, record, _| record.entry(id).to_entry()) else {
            return Err(SendError::NotFound(delivery));
        };
        found.mailbox.make_weak();
        let is_current = || I::table(self).holds(location, id, found.incarnation);
        let mut permit = pin!(timeout(limit, found.mailbox.reserve()));
        let permit = match poll_once(permit.as_mut()).await {
            Poll::Ready(permit) => Some(permit),
            Poll::Pending => {
                let waiter = self.ends.wait_for(location.shard, found.incarnation);
                waiter.unless_ended(permit, is_current).await
            }
        };
        let (event, outcome) = match permit {
            Some(None) => (Event::Full, Err(SendError::TimedOut(delivery))),
            Some(Some(Ok(permit))) if is_current() => {
                permit.send_boxed(delivery);
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

/// Returns the output of a future, or `None` if it does not complete within the limit.
pub(crate) async fn timeout<T>(limit: Option<Duration>, future: impl Future<Output = T>) -> Option<T> {
    match limit {
        None => Some(future.await),
        Some(limit) => tokio::time::timeout(limit, future).await.ok(),
    }
}

/// Polls a future once.
async fn poll_once<F: Future>(mut future: Pin<&mut F>) -> Poll<F::Output> {
    poll_fn(|context| Poll::Ready(future.as_mut().poll(context))).await
}
