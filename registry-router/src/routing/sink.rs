//! `Sink` adapters that send to one server or transport, waiting for room.

use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use futures_sink::Sink;
use registry_core::{
    Backend, MailboxFamily, Probe, ReserveMailbox, SendError, ServerId, ToServer, ToTransport, TransportId,
};

use crate::registry::{Registry, ServerMailbox, TransportMailbox};

/// A `Sink` of messages to one server, created by [`Registry::server_sink`].
///
/// The sink holds at most one message, which waits until the server's mailbox has room. It is ready for the next message
/// when that one is in the mailbox, and flushed when it holds none. Each message is sent as by
/// [`Registry::send_to_server`], to the registration of the id at that time.
///
/// An error contains the message that was not delivered. When messages are fed without flushing, that is the message
/// before the current one. The sink can be used after an error.
///
/// Dropping the sink drops a message that is still waiting. A sink keeps its registry alive.
#[cfg_attr(docsrs, doc(cfg(feature = "sink")))]
pub struct ServerSink<M: Send + 'static, B: Backend, X: MailboxFamily, P: Probe> {
    registry: Registry<M, B, X, P>,
    server: ServerId,
    from: TransportId,
    waiting: Waiting<M>,
}

/// A `Sink` of messages to one transport, created by [`Registry::transport_sink`].
///
/// The counterpart of [`ServerSink`].
#[cfg_attr(docsrs, doc(cfg(feature = "sink")))]
pub struct TransportSink<M: Send + 'static, B: Backend, X: MailboxFamily, P: Probe> {
    registry: Registry<M, B, X, P>,
    transport: TransportId,
    from: ServerId,
    waiting: Waiting<M>,
}

/// The message that waits for room, as the future that sends it.
struct Waiting<M>(Option<BoxFuture<Result<(), SendError<M>>>>);

type BoxFuture<T> = Pin<Box<dyn Future<Output = T> + Send>>;

impl<M> Waiting<M> {
    fn poll(&mut self, context: &mut Context<'_>) -> Poll<Result<(), SendError<M>>> {
        let Some(future) = &mut self.0 else { return Poll::Ready(Ok(())) };
        let outcome = ready!(future.as_mut().poll(context));
        self.0 = None;
        Poll::Ready(outcome)
    }

    fn start(&mut self, future: impl Future<Output = Result<(), SendError<M>>> + Send + 'static) {
        assert!(self.0.is_none(), "start_send called before poll_ready has returned Ready(Ok(()))");
        self.0 = Some(Box::pin(future));
    }
}

impl<M, B, X, P> Registry<M, B, X, P>
where
    M: Send + 'static,
    B: Backend,
    X: MailboxFamily,
    P: Probe,
{
    /// Returns a `Sink` that sends messages to `server`, waiting for room; `from` is the sender.
    ///
    /// # Cost
    ///
    /// Two boxes for each message. See [`send_to_server`](Self::send_to_server).
    ///
    /// # Examples
    ///
    /// ```
    /// # use registry_router::{Registry, SendError, ServerId, TransportId, mailbox};
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use futures_util::SinkExt;
    ///
    /// let registry: Registry<&str> = Registry::builder().build()?;
    /// let (mailbox, mut inbox) = mailbox(16);
    /// let lease = registry.register_server("echo", mailbox, ())?;
    ///
    /// let mut sink = registry.server_sink(ServerId::new("echo")?, TransportId::new("conn-1")?);
    /// sink.send("hello").await?;
    /// assert_eq!(inbox.try_recv()?.message, "hello");
    /// drop(lease);
    /// assert_eq!(sink.send("hello?").await, Err(SendError::NotFound("hello?")));
    /// # Ok(())
    /// # }
    /// ```
    #[cfg_attr(docsrs, doc(cfg(feature = "sink")))]
    pub fn server_sink(&self, server: ServerId, from: TransportId) -> ServerSink<M, B, X, P> {
        ServerSink { registry: self.clone(), server, from, waiting: Waiting(None) }
    }

    /// Returns a `Sink` that sends messages to `transport`, waiting for room; `from` is the sender.
    ///
    /// The counterpart of [`server_sink`](Self::server_sink).
    ///
    /// # Examples
    ///
    /// ```
    /// # use registry_router::{Registry, ServerId, TransportId, mailbox};
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use futures_util::SinkExt;
    ///
    /// let registry: Registry<&str> = Registry::builder().build()?;
    /// let (mailbox, mut inbox) = mailbox(16);
    /// let _lease = registry.register_transport("conn-1", mailbox, ())?;
    ///
    /// let mut sink = registry.transport_sink(TransportId::new("conn-1")?, ServerId::new("echo")?);
    /// sink.send("reply").await?;
    /// assert_eq!(inbox.try_recv()?.message, "reply");
    /// # Ok(())
    /// # }
    /// ```
    #[cfg_attr(docsrs, doc(cfg(feature = "sink")))]
    pub fn transport_sink(&self, transport: TransportId, from: ServerId) -> TransportSink<M, B, X, P> {
        TransportSink { registry: self.clone(), transport, from, waiting: Waiting(None) }
    }
}

/// Implements `Sink` and `Debug` for a sink to one kind of receiver.
macro_rules! sink {
    ($Sink:ident, $receiver:ident, $Mailbox:ident, $Delivery:ident, $send:ident) => {
        impl<M, B, X, P> Sink<M> for $Sink<M, B, X, P>
        where
            M: Send + 'static,
            B: Backend,
            X: MailboxFamily,
            P: Probe,
            $Mailbox<M, X>: ReserveMailbox<$Delivery<M>>,
        {
            type Error = SendError<M>;

            fn poll_ready(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Result<(), SendError<M>>> {
                self.get_mut().waiting.poll(context)
            }

            fn start_send(self: Pin<&mut Self>, message: M) -> Result<(), SendError<M>> {
                let this = self.get_mut();
                let (registry, receiver, from) = (this.registry.clone(), this.$receiver.clone(), this.from.clone());
                this.waiting.start(async move { registry.$send(receiver, &from, message, None).await });
                Ok(())
            }

            fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Result<(), SendError<M>>> {
                self.get_mut().waiting.poll(context)
            }

            fn poll_close(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Result<(), SendError<M>>> {
                self.get_mut().waiting.poll(context)
            }
        }

        impl<M: Send + 'static, B: Backend, X: MailboxFamily, P: Probe> fmt::Debug for $Sink<M, B, X, P> {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.debug_struct(stringify!($Sink))
                    .field(stringify!($receiver), &self.$receiver)
                    .field("from", &self.from)
                    .field("is_waiting", &self.waiting.0.is_some())
                    .finish_non_exhaustive()
            }
        }
    };
}

sink!(ServerSink, server, ServerMailbox, ToServer, send_to_server);
sink!(TransportSink, transport, TransportMailbox, ToTransport, send_to_transport);
