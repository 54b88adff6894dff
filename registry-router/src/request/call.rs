//! Calls to one server or transport: with the message sent at once, or when there is room.

use std::future::Future;
use std::time::Duration;

use registry_core::{
    AsId, Backend, CallError, Delivery, MailboxFamily, Probe, ReserveMailbox, RouteError, ServerId, ToServer,
    ToTransport, TransportId,
};
use tokio::sync::oneshot;
use tokio::time::Sleep;

use super::message::Request;
use super::reply::ReplyReceiver;
use crate::endpoint::{DeliveryTo, Endpoint};
use crate::mailbox::is_large;
use crate::registry::{Inner, Registry, ServerMailbox, TransportMailbox};
use crate::routing::delivery::message_error;
use crate::types::Types;

/// A request that was sent, or the error; in a box, so that the future which waits does not contain a message.
pub(super) type Sent<M, Rep> = Result<ReplyReceiver<Rep>, Box<CallError<M>>>;

impl<M, B, X, P> Registry<M, B, X, P>
where
    M: Send + 'static,
    B: Backend,
    X: MailboxFamily,
    P: Probe,
{
    /// Sends a request to a server and returns the future of its reply; it waits for at most `limit`, if one is given.
    ///
    /// The request is sent before this method returns, as by [`route_to_server`](Self::route_to_server): without waiting
    /// for room, and in order with the other messages of the thread. The future only waits for the reply, so it borrows
    /// nothing of the registry, and several calls can wait at once. The time limit starts with the call.
    ///
    /// A request that is in the mailbox may be answered even if the registration ends meanwhile. Without a limit the
    /// future waits until the request is answered or dropped.
    ///
    /// # Errors
    ///
    /// Returns a [`CallError`], with the message if it was not delivered. When the time limit has passed, the receiver sees
    /// that the caller does not wait any more ([`ReplySender::is_cancelled`](crate::ReplySender::is_cancelled)).
    ///
    /// # Cancel safety
    ///
    /// Dropping the future does not take the request back. The receiver sees that the caller does not wait any more.
    ///
    /// # Panics
    ///
    /// Panics, before anything is sent, if a limit is given outside of a tokio runtime with its clock enabled.
    ///
    /// # Cost
    ///
    /// Beyond that of [`route_to_server`](Self::route_to_server), one allocation, and a timer if a limit is given and the
    /// reply is not there at the first poll. The size of the future does not depend on that of the message.
    ///
    /// # Examples
    ///
    /// ```
    /// # use std::time::Duration;
    /// # use registry_router::{CallError, Registry, Request, TransportId, mailbox};
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let registry: Registry<Request<u64, u64>> = Registry::builder().build()?;
    /// let (mailbox, mut inbox) = mailbox(16);
    /// let _lease = registry.register_server("square", mailbox, ())?;
    /// tokio::spawn(async move {
    ///     while let Some(delivery) = inbox.recv().await {
    ///         let (number, reply) = delivery.message.into_parts();
    ///         if number < 1_000 {
    ///             let _ = reply.send(number * number);
    ///         }
    ///     }
    /// });
    ///
    /// let from = TransportId::new("conn-1")?;
    /// let limit = Some(Duration::from_secs(10));
    /// assert_eq!(registry.call_server("square", &from, 12, limit).await?, 144);
    /// let outcome = registry.call_server("square", &from, 5_000, limit).await;
    /// assert!(matches!(outcome, Err(CallError::Unanswered)));
    /// let outcome = registry.call_server("cube", &from, 12, limit).await;
    /// assert!(matches!(outcome, Err(CallError::NotFound(_))));
    /// # Ok(())
    /// # }
    /// ```
    #[track_caller]
    pub fn call_server<I, Req, Rep>(
        &self,
        server: I,
        from: &TransportId,
        request: Req,
        limit: Option<Duration>,
    ) -> impl Future<Output = Result<Rep, CallError<M>>> + Send + use<M, B, X, P, I, Req, Rep>
    where
        I: AsId<ServerId>,
        M: From<Request<Req, Rep>>,
        Rep: Send,
    {
        let deadline = deadline(limit);
        reply((self.inner.send_request::<ServerId, _, _>())(&self.inner, server.as_id(), from, request), deadline)
    }

    /// Sends a request to a transport and returns the future of its reply; it waits for at most `limit`, if one is given.
    ///
    /// The counterpart of [`call_server`](Self::call_server).
    ///
    /// # Errors
    ///
    /// Returns a [`CallError`], with the message if it was not delivered.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future does not take the request back. The receiver sees that the caller does not wait any more.
    ///
    /// # Panics
    ///
    /// Panics, before anything is sent, if a limit is given outside of a tokio runtime with its clock enabled.
    ///
    /// # Examples
    ///
    /// ```
    /// # use std::time::Duration;
    /// # use registry_router::{Registry, Request, ServerId, mailbox};
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let registry: Registry<Request<&str, bool>> = Registry::builder().build()?;
    /// let (mailbox, mut inbox) = mailbox(16);
    /// let _lease = registry.register_transport("conn-1", mailbox, ())?;
    ///
    /// let limit = Some(Duration::from_secs(10));
    /// let allowed = registry.call_transport("conn-1", &ServerId::new("shell")?, "rm -r", limit);
    /// let (_, reply) = inbox.try_recv()?.message.into_parts();
    /// let _ = reply.send(false);
    /// assert!(!allowed.await?);
    /// # Ok(())
    /// # }
    /// ```
    #[track_caller]
    pub fn call_transport<I, Req, Rep>(
        &self,
        transport: I,
        from: &ServerId,
        request: Req,
        limit: Option<Duration>,
    ) -> impl Future<Output = Result<Rep, CallError<M>>> + Send + use<M, B, X, P, I, Req, Rep>
    where
        I: AsId<TransportId>,
        M: From<Request<Req, Rep>>,
        Rep: Send,
    {
        let deadline = deadline(limit);
        reply((self.inner.send_request::<TransportId, _, _>())(&self.inner, transport.as_id(), from, request), deadline)
    }

    /// Sends a request to a server when its mailbox has room, and waits for the reply; for at most `limit` in all, if one
    /// is given.
    ///
    /// Unlike [`call_server`](Self::call_server) this waits for room, as [`send_to_server`](Self::send_to_server): in order,
    /// and for the registration that is found when the future is first polled. Nothing is sent before that, and the time
    /// limit starts with it.
    ///
    /// # Errors
    ///
    /// Returns a [`CallError`], with the message if it was not delivered: [`CallError::Full`] if there was no room within
    /// the time limit, [`CallError::TimedOut`] if the request was delivered and there was no reply within the rest of it.
    ///
    /// # Cancel safety
    ///
    /// If the future is dropped before there was room, the request has not been delivered and is dropped with it.
    /// Afterwards, dropping the future does not take the request back; the receiver sees that the caller does not wait any
    /// more.
    ///
    /// # Panics
    ///
    /// Panics if a limit is given and the future is polled outside of a tokio runtime with its clock enabled.
    ///
    /// # Cost
    ///
    /// Beyond that of [`send_to_server`](Self::send_to_server), one allocation and a timer.
    ///
    /// # Examples
    ///
    /// ```
    /// # use std::time::Duration;
    /// # use registry_router::{CallError, Registry, Request, TransportId, mailbox};
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let registry: Registry<Request<u64, u64>> = Registry::builder().build()?;
    /// let (mailbox, mut inbox) = mailbox(1);
    /// let _lease = registry.register_server("square", mailbox, ())?;
    /// let from = TransportId::new("conn-1")?;
    ///
    /// let first = registry.call_server("square", &from, 3, None);
    /// let limit = Some(Duration::from_millis(1));
    /// let outcome = registry.call_server_when_ready("square", &from, 4, limit).await;
    /// assert!(matches!(outcome, Err(CallError::Full(_))));
    ///
    /// tokio::spawn(async move {
    ///     while let Some(delivery) = inbox.recv().await {
    ///         let (number, reply) = delivery.message.into_parts();
    ///         let _ = reply.send(number * number);
    ///     }
    /// });
    /// assert_eq!(registry.call_server_when_ready("square", &from, 4, None).await?, 16);
    /// assert_eq!(first.await?, 9);
    /// # Ok(())
    /// # }
    /// ```
    pub fn call_server_when_ready<Req, Rep>(
        &self,
        server: impl AsId<ServerId> + Send,
        from: &TransportId,
        request: Req,
        limit: Option<Duration>,
    ) -> impl Future<Output = Result<Rep, CallError<M>>> + Send
    where
        M: From<Request<Req, Rep>>,
        Rep: Send,
        ServerMailbox<M, X>: ReserveMailbox<ToServer<M>>,
    {
        let (delivery, receiver) = boxed_delivery::<ServerId, M, _, _>(from, request);
        async move {
            let deadline = deadline(limit);
            match self.inner.send::<ServerId>(server.as_id(), delivery, limit).await {
                Ok(()) => receiver.until(deadline).await.map_err(CallError::from),
                Err(error) => Err(message_error(error).into()),
            }
        }
    }

    /// Sends a request to a transport when its mailbox has room, and waits for the reply; for at most `limit` in all, if
    /// one is given.
    ///
    /// The counterpart of [`call_server_when_ready`](Self::call_server_when_ready).
    ///
    /// # Errors
    ///
    /// Returns a [`CallError`], with the message if it was not delivered.
    ///
    /// # Cancel safety
    ///
    /// If the future is dropped before there was room, the request has not been delivered and is dropped with it.
    ///
    /// # Panics
    ///
    /// Panics if a limit is given and the future is polled outside of a tokio runtime with its clock enabled.
    ///
    /// # Examples
    ///
    /// ```
    /// # use registry_router::{Registry, Request, ServerId, mailbox};
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let registry: Registry<Request<&str, bool>> = Registry::builder().build()?;
    /// let (mailbox, mut inbox) = mailbox(16);
    /// let _lease = registry.register_transport("conn-1", mailbox, ())?;
    /// tokio::spawn(async move {
    ///     while let Some(delivery) = inbox.recv().await {
    ///         let (question, reply) = delivery.message.into_parts();
    ///         let _ = reply.send(question == "ready?");
    ///     }
    /// });
    /// assert!(registry.call_transport_when_ready("conn-1", &ServerId::new("shell")?, "ready?", None).await?);
    /// # Ok(())
    /// # }
    /// ```
    pub fn call_transport_when_ready<Req, Rep>(
        &self,
        transport: impl AsId<TransportId> + Send,
        from: &ServerId,
        request: Req,
        limit: Option<Duration>,
    ) -> impl Future<Output = Result<Rep, CallError<M>>> + Send
    where
        M: From<Request<Req, Rep>>,
        Rep: Send,
        TransportMailbox<M, X>: ReserveMailbox<ToTransport<M>>,
    {
        let (delivery, receiver) = boxed_delivery::<TransportId, M, _, _>(from, request);
        async move {
            let deadline = deadline(limit);
            match self.inner.send::<TransportId>(transport.as_id(), delivery, limit).await {
                Ok(()) => receiver.until(deadline).await.map_err(CallError::from),
                Err(error) => Err(message_error(error).into()),
            }
        }
    }
}

/// A function that sends a request with an id of type `I` without waiting.
type SendRequest<I, T, Req, Rep> =
    fn(&Inner<T>, &[u8], &<I as Endpoint>::Peer, Req) -> Sent<<T as Types>::Message, Rep>;

impl<T: Types> Inner<T> {
    /// Returns the function that sends a request without waiting: with the message by value, or in a box if it is large.
    ///
    /// The caller calls it, because in a debug build each function in between would have a copy of the request.
    #[inline]
    pub(super) fn send_request<I, Req, Rep>(&self) -> SendRequest<I, T, Req, Rep>
    where
        I: Endpoint,
        T::Message: From<Request<Req, Rep>>,
    {
        if const { is_large::<T::Message>() } { Self::send_boxed::<I, _, _> } else { Self::send_by_value::<I, _, _> }
    }

    fn send_by_value<I, Req, Rep>(&self, id: &[u8], from: &I::Peer, request: Req) -> Sent<T::Message, Rep>
    where
        I: Endpoint,
        T::Message: From<Request<Req, Rep>>,
    {
        sent_by(request, |message| self.route::<I>(id, from, message))
    }

    fn send_boxed<I, Req, Rep>(&self, id: &[u8], from: &I::Peer, request: Req) -> Sent<T::Message, Rep>
    where
        I: Endpoint,
        T::Message: From<Request<Req, Rep>>,
    {
        let (delivery, receiver) = boxed_delivery::<I, T::Message, _, _>(from, request);
        match self.deliver::<I, Box<_>>(id, delivery) {
            Ok(()) => Ok(receiver),
            Err(error) => Err(not_delivered::<I, _>(error)),
        }
    }
}

/// Converts the error of a boxed delivery.
#[cold]
#[inline(never)]
fn not_delivered<I: Endpoint, M>(error: RouteError<Box<DeliveryTo<I, M>>>) -> Box<CallError<M>> {
    Box::new(message_error(error).into())
}

/// Returns the timer of a time limit that starts now.
///
/// Not `Option::map`, which would be where a panic is reported.
#[track_caller]
#[expect(clippy::manual_map, reason = "see above")]
pub(super) fn deadline(limit: Option<Duration>) -> Option<Sleep> {
    match limit {
        Some(limit) => Some(tokio::time::sleep(limit)),
        None => None,
    }
}

/// Creates the message of a request and passes it to `send`.
pub(super) fn sent_by<M, Req, Rep, E>(request: Req, send: impl FnOnce(M) -> Result<(), E>) -> Sent<M, Rep>
where
    M: From<Request<Req, Rep>>,
    CallError<M>: From<E>,
{
    let (request, receiver) = Request::new(request);
    match send(M::from(request)) {
        Ok(()) => Ok(receiver),
        Err(error) => Err(Box::new(error.into())),
    }
}

/// Waits for the reply to a request that was sent, or returns the error.
pub(super) async fn reply<M, Rep>(sent: Sent<M, Rep>, deadline: Option<Sleep>) -> Result<Rep, CallError<M>> {
    match sent {
        Ok(receiver) => receiver.until(deadline).await.map_err(CallError::from),
        Err(error) => Err(*error),
    }
}

/// Creates the delivery of a request.
///
/// A function of its own, so that the caller's frame has no room for the message beside the box.
#[inline(never)]
fn boxed_delivery<I, M, Req, Rep>(from: &I::Peer, request: Req) -> (Box<DeliveryTo<I, M>>, ReplyReceiver<Rep>)
where
    I: Endpoint,
    M: From<Request<Req, Rep>>,
{
    let (slot, receiver) = oneshot::channel();
    let message = M::from(Request { request, slot });
    (Box::new(Delivery { from: from.clone(), message }), ReplyReceiver::new(receiver))
}
