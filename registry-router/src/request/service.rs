//! `tower` services that call one server or transport, with back-pressure.

use std::fmt;
use std::future::Future;
use std::marker::PhantomData;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use registry_core::{
    Backend, CallError, Delivery, MailboxFamily, Probe, ReserveMailbox, RouteError, ServerId, ToServer, ToTransport,
    TransportId,
};
use tower_service::Service;

use super::call::{Sent, deadline, reply, sent_by};
use super::message::Request;
use super::reservation::{Reservation, reserve};
use crate::registry::{Registry, ServerMailbox, TransportMailbox};

/// A `Service` that calls one server, created by [`Registry::server_service`].
///
/// # Readiness
///
/// `poll_ready` reserves room for one request in the server's mailbox, waiting in order with all senders that wait for
/// room, and `call` uses it. It never fails: while no server is registered under the id the service is ready, and the call
/// fails with [`CallError::NotFound`]. When the registration ends, the next `poll_ready` finds the registration that has
/// the id by then; a call in between fails with [`CallError::Closed`]. A request never goes to a later registration than
/// the one whose room was reserved. Without a preceding `poll_ready`, `call` does not wait for room, as
/// [`Registry::call_server`].
///
/// The room stays reserved until it is used or the service is dropped. A service that is ready and not called takes it
/// from others, and an owner that has closed its inbox and reads the rest of it waits for it.
///
/// # Cloning and dropping
///
/// A clone has no room reserved, and reserves its own. A service keeps its registry alive.
#[cfg_attr(docsrs, doc(cfg(feature = "tower")))]
pub struct ServerService<M: Send + 'static, Req, Rep, B: Backend, X: MailboxFamily, P: Probe> {
    registry: Registry<M, B, X, P>,
    server: ServerId,
    from: TransportId,
    limit: Option<Duration>,
    reservation: Option<Reservation<ToServer<M>>>,
    types: PhantomData<fn(Req) -> Rep>,
}

/// A `Service` that calls one transport, created by [`Registry::transport_service`].
///
/// The counterpart of [`ServerService`].
#[cfg_attr(docsrs, doc(cfg(feature = "tower")))]
pub struct TransportService<M: Send + 'static, Req, Rep, B: Backend, X: MailboxFamily, P: Probe> {
    registry: Registry<M, B, X, P>,
    transport: TransportId,
    from: ServerId,
    limit: Option<Duration>,
    reservation: Option<Reservation<ToTransport<M>>>,
    types: PhantomData<fn(Req) -> Rep>,
}

/// The future of the reply to a request that was sent through a [`ServerService`] or [`TransportService`].
///
/// Dropping it does not take the request back. The receiver sees that the caller does not wait any more.
#[cfg_attr(docsrs, doc(cfg(feature = "tower")))]
pub struct ResponseFuture<M, Rep>(Pin<Box<dyn Future<Output = Result<Rep, CallError<M>>> + Send>>);

impl<M, Rep> Future for ResponseFuture<M, Rep> {
    type Output = Result<Rep, CallError<M>>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        self.0.as_mut().poll(context)
    }
}

impl<M, Rep> fmt::Debug for ResponseFuture<M, Rep> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResponseFuture").finish_non_exhaustive()
    }
}

impl<M, B, X, P> Registry<M, B, X, P>
where
    M: Send + 'static,
    B: Backend,
    X: MailboxFamily,
    P: Probe,
{
    /// Returns a `tower` service that calls `server`; `from` is the sender. Each reply is waited for at most `limit`, if
    /// one is given; waiting for room is not limited.
    ///
    /// # Errors
    ///
    /// The calls return a [`CallError`], with the message if it was not delivered.
    ///
    /// # Panics
    ///
    /// A call panics if a limit is given and it is made outside of a tokio runtime with its clock enabled.
    ///
    /// # Cost
    ///
    /// For each request one lookup, a place among those who wait for the end of the registration, and several allocations.
    ///
    /// # Examples
    ///
    /// ```
    /// # use registry_router::{CallError, Registry, Request, ServerId, TransportId, mailbox};
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use tower::{Service, ServiceExt};
    ///
    /// let registry: Registry<Request<u64, u64>> = Registry::builder().build()?;
    /// let (mailbox, mut inbox) = mailbox(16);
    /// let lease = registry.register_server("square", mailbox, ())?;
    /// tokio::spawn(async move {
    ///     while let Some(delivery) = inbox.recv().await {
    ///         let (number, reply) = delivery.message.into_parts();
    ///         let _ = reply.send(number * number);
    ///     }
    /// });
    ///
    /// let mut square = registry.server_service(ServerId::new("square")?, TransportId::new("conn-1")?, None);
    /// assert_eq!(square.ready().await?.call(12).await?, 144);
    /// drop(lease);
    /// assert!(matches!(square.ready().await?.call(12).await, Err(CallError::NotFound(_))));
    /// # Ok(())
    /// # }
    /// ```
    #[cfg_attr(docsrs, doc(cfg(feature = "tower")))]
    pub fn server_service<Req, Rep>(
        &self,
        server: ServerId,
        from: TransportId,
        limit: Option<Duration>,
    ) -> ServerService<M, Req, Rep, B, X, P>
    where
        M: From<Request<Req, Rep>>,
    {
        ServerService { registry: self.clone(), server, from, limit, reservation: None, types: PhantomData }
    }

    /// Returns a `tower` service that calls `transport`; `from` is the sender. Each reply is waited for at most `limit`,
    /// if one is given; waiting for room is not limited.
    ///
    /// The counterpart of [`server_service`](Self::server_service).
    ///
    /// # Errors
    ///
    /// The calls return a [`CallError`], with the message if it was not delivered.
    ///
    /// # Panics
    ///
    /// A call panics if a limit is given and it is made outside of a tokio runtime with its clock enabled.
    ///
    /// # Examples
    ///
    /// ```
    /// # use registry_router::{Registry, Request, ServerId, TransportId, mailbox};
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use tower::ServiceExt;
    ///
    /// let registry: Registry<Request<&str, bool>> = Registry::builder().build()?;
    /// let (mailbox, mut inbox) = mailbox(16);
    /// let _lease = registry.register_transport("conn-1", mailbox, ())?;
    /// tokio::spawn(async move {
    ///     while let Some(delivery) = inbox.recv().await {
    ///         let (question, reply) = delivery.message.into_parts();
    ///         let _ = reply.send(question == "ready?");
    ///     }
    /// });
    /// let confirm = registry.transport_service(TransportId::new("conn-1")?, ServerId::new("shell")?, None);
    /// assert!(confirm.oneshot("ready?").await?);
    /// # Ok(())
    /// # }
    /// ```
    #[cfg_attr(docsrs, doc(cfg(feature = "tower")))]
    pub fn transport_service<Req, Rep>(
        &self,
        transport: TransportId,
        from: ServerId,
        limit: Option<Duration>,
    ) -> TransportService<M, Req, Rep, B, X, P>
    where
        M: From<Request<Req, Rep>>,
    {
        TransportService { registry: self.clone(), transport, from, limit, reservation: None, types: PhantomData }
    }
}

/// Sends a request with the room that was reserved for it.
fn send_reserved<F, M, Req, Rep>(reservation: Reservation<Delivery<F, M>>, from: F, request: Req) -> Sent<M, Rep>
where
    M: From<Request<Req, Rep>>,
{
    sent_by(request, |message| {
        reservation.send(Delivery { from, message }).map_err(|delivery| RouteError::Closed(delivery.message))
    })
}

/// Implements `Service`, `Clone` and `Debug` for a service that calls one kind of receiver.
macro_rules! service {
    ($Service:ident, $receiver:ident, $Id:ident, $Mailbox:ident, $Delivery:ident) => {
        impl<M, Req, Rep, B, X, P> Service<Req> for $Service<M, Req, Rep, B, X, P>
        where
            M: From<Request<Req, Rep>> + Send + 'static,
            Rep: Send + 'static,
            B: Backend,
            X: MailboxFamily,
            P: Probe,
            $Mailbox<M, X>: ReserveMailbox<$Delivery<M>>,
        {
            type Response = Rep;
            type Error = CallError<M>;
            type Future = ResponseFuture<M, Rep>;

            fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), CallError<M>>> {
                loop {
                    if let Some(reservation) = &mut self.reservation {
                        match reservation.poll_reserved(context) {
                            Poll::Pending => return Poll::Pending,
                            Poll::Ready(true) => return Poll::Ready(Ok(())),
                            Poll::Ready(false) => {}
                        }
                    }
                    self.reservation = reserve::<$Id, M, B, X, P>(&self.registry, &self.$receiver);
                    if self.reservation.is_none() {
                        return Poll::Ready(Ok(()));
                    }
                }
            }

            #[track_caller]
            fn call(&mut self, request: Req) -> ResponseFuture<M, Rep> {
                let deadline = deadline(self.limit);
                let sent = match self.reservation.take() {
                    Some(reservation) if reservation.is_reserved() => {
                        send_reserved(reservation, self.from.clone(), request)
                    }
                    _ => {
                        let inner = &self.registry.inner;
                        (inner.send_request::<$Id, _, _>())(inner, self.$receiver.as_bytes(), &self.from, request)
                    }
                };
                ResponseFuture(Box::pin(reply(sent, deadline)))
            }
        }

        impl<M: Send + 'static, Req, Rep, B: Backend, X: MailboxFamily, P: Probe> Clone
            for $Service<M, Req, Rep, B, X, P>
        {
            fn clone(&self) -> Self {
                Self {
                    registry: self.registry.clone(),
                    $receiver: self.$receiver.clone(),
                    from: self.from.clone(),
                    limit: self.limit,
                    reservation: None,
                    types: PhantomData,
                }
            }
        }

        impl<M: Send + 'static, Req, Rep, B: Backend, X: MailboxFamily, P: Probe> fmt::Debug
            for $Service<M, Req, Rep, B, X, P>
        {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.debug_struct(stringify!($Service))
                    .field(stringify!($receiver), &self.$receiver)
                    .field("from", &self.from)
                    .field("limit", &self.limit)
                    .field("is_reserved", &self.reservation.as_ref().is_some_and(Reservation::is_reserved))
                    .finish_non_exhaustive()
            }
        }
    };
}

service!(ServerService, server, ServerId, ServerMailbox, ToServer);
service!(TransportService, transport, TransportId, TransportMailbox, ToTransport);
