//! Calls to the server that a transport is bound to.

use std::future::Future;
use std::time::Duration;

use registry_core::{AsId, Backend, CallError, MailboxFamily, Probe, TransportId};

use super::call::{deadline, reply, sent_by};
use super::message::Request;
use crate::registry::Registry;
use crate::routing::bound::BoundRoute;

impl<M, B, X, P> Registry<M, B, X, P>
where
    M: Send + 'static,
    B: Backend,
    X: MailboxFamily,
    P: Probe,
{
    /// Sends a request to the server that a transport is bound to, and returns the future of its reply; it waits for at
    /// most `limit`, if one is given. The transport is the sender.
    ///
    /// The request is sent before this method returns, as by [`route_to_bound_server`](Self::route_to_bound_server); the
    /// reply is waited for as by [`call_server`](Self::call_server). A binding that ends afterwards does not affect it.
    ///
    /// # Errors
    ///
    /// Returns a [`CallError`], with the message if it was not delivered: [`CallError::NotFound`] if the transport is not
    /// registered, [`CallError::NotBound`] if it is not bound.
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
    /// Beyond that of [`route_to_bound_server`](Self::route_to_bound_server), as for [`call_server`](Self::call_server).
    ///
    /// # Examples
    ///
    /// ```
    /// # use registry_router::{CallError, Registry, Request, mailbox};
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let registry: Registry<Request<u64, u64>> = Registry::builder().build()?;
    /// let (to_server, mut inbox) = mailbox(16);
    /// let _server = registry.register_server("square", to_server, ())?;
    /// let (to_transport, _replies) = mailbox(16);
    /// let _transport = registry.register_transport_bound_to("conn-1", to_transport, (), "square")?;
    ///
    /// let called = registry.call_bound_server("conn-1", 12, None);
    /// let (number, reply) = inbox.try_recv()?.message.into_parts();
    /// let _ = reply.send(number * number);
    /// assert_eq!(called.await?, 144);
    ///
    /// registry.unbind_transport("conn-1");
    /// assert!(matches!(registry.call_bound_server("conn-1", 12, None).await, Err(CallError::NotBound(_))));
    /// # Ok(())
    /// # }
    /// ```
    #[track_caller]
    pub fn call_bound_server<I, Req, Rep>(
        &self,
        transport: I,
        request: Req,
        limit: Option<Duration>,
    ) -> impl Future<Output = Result<Rep, CallError<M>>> + Send + use<M, B, X, P, I, Req, Rep>
    where
        I: AsId<TransportId>,
        M: From<Request<Req, Rep>>,
        Rep: Send,
    {
        let deadline = deadline(limit);
        reply(sent_by(request, |message| self.route_to_bound_server(transport, message)), deadline)
    }
}

impl<M: Send + 'static, X: MailboxFamily> BoundRoute<M, X> {
    /// Sends a request to the server that the route's transport is bound to, and returns the future of its reply; it waits
    /// for at most `limit`, if one is given.
    ///
    /// The request is sent before this method returns, as by [`try_send`](Self::try_send). The future borrows neither the
    /// route nor the registry, so the next request can be sent before there is a reply.
    ///
    /// # Errors
    ///
    /// Returns a [`CallError`], with the message if it was not delivered: [`CallError::NotFound`] if the route's transport
    /// is not registered any more, [`CallError::NotBound`] if it is not bound.
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
    /// Beyond that of [`try_send`](Self::try_send), as for [`Registry::call_server`].
    ///
    /// # Examples
    ///
    /// ```
    /// # use registry_router::{Registry, Request, mailbox};
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let registry: Registry<Request<u64, u64>> = Registry::builder().build()?;
    /// # let (to_server, mut inbox) = mailbox(16);
    /// # let _server = registry.register_server("square", to_server, ())?;
    /// # let (to_transport, _replies) = mailbox(16);
    /// let _transport = registry.register_transport_bound_to("conn-1", to_transport, (), "square")?;
    /// let mut route = registry.bound_route("conn-1").ok_or("not registered")?;
    /// let (one, two) = (route.call(&registry, 3, None), route.call(&registry, 4, None));
    /// while let Ok(delivery) = inbox.try_recv() {
    ///     let (number, reply) = delivery.message.into_parts();
    ///     let _ = reply.send(number * number);
    /// }
    /// assert_eq!((two.await?, one.await?), (16, 9));
    /// # Ok(())
    /// # }
    /// ```
    #[track_caller]
    pub fn call<B, P, Req, Rep>(
        &mut self,
        registry: &Registry<M, B, X, P>,
        request: Req,
        limit: Option<Duration>,
    ) -> impl Future<Output = Result<Rep, CallError<M>>> + Send + use<M, X, B, P, Req, Rep>
    where
        B: Backend,
        P: Probe,
        M: From<Request<Req, Rep>>,
        Rep: Send,
    {
        let deadline = deadline(limit);
        reply(sent_by(request, |message| self.try_send(registry, message)), deadline)
    }
}
