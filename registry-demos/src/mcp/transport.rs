//! The SDK's transports over the registry, in place of a pipe or a socket.
//!
//! Both ends route each message inside `send` itself, so that messages stay in order. Only when the mailbox is full does the
//! future that `send` returns wait for capacity.

use std::fmt;
use std::future::Future;
use std::sync::Arc;

use registry_core::Backend;
use registry_router::{Inbox, Registry, RouteError, SendError, ServerId, ToTransport, TransportId, TransportMailbox};
use rmcp::service::{RxJsonRpcMessage, TxJsonRpcMessage};
use rmcp::transport::Transport;
use rmcp::{RoleClient, RoleServer};
use tokio::sync::{Mutex, mpsc};

use crate::mcp::frame::{Frame, PendingRequests};
use crate::mcp::traffic::{MessageLog, Recipient, UndeliveredReason};

/// The client's end: writes to the server that its transport is bound to, and reads the transport's inbox.
pub(crate) struct ClientTransport<B: Backend> {
    pub(crate) registry: Registry<Frame, B>,
    pub(crate) me: TransportId,
    /// Shared, because a registration outlives a session: the next session reads it too.
    pub(crate) inbox: Arc<Mutex<Inbox<ToTransport<Frame>>>>,
    pub(crate) log: Arc<MessageLog>,
}

impl<B: Backend> Transport<RoleClient> for ClientTransport<B> {
    type Error = DeliveryFailed;

    fn send(
        &mut self,
        message: TxJsonRpcMessage<RoleClient>,
    ) -> impl Future<Output = Result<(), DeliveryFailed>> + Send + 'static {
        let frame = Frame::write(&message);
        // These servers send no requests, so a client never sends a response.
        let method = PendingRequests::default().method_of(&frame);
        let attempt = match self.registry.server_for_transport(&self.me) {
            None => {
                Attempt::Done(Err(delivery_failed(&self.log, Recipient::Server, method, UndeliveredReason::NotBound)))
            }
            Some(server) => {
                let outcome = self.registry.route_to_server(&server, &self.me, frame);
                Attempt::record(&self.log, Recipient::Server, method, outcome, server)
            }
        };
        let (registry, me, log) = (self.registry.clone(), self.me.clone(), Arc::clone(&self.log));
        async move {
            match attempt {
                Attempt::Done(outcome) => outcome,
                Attempt::Full { receiver, method, frame } => {
                    let outcome = registry.send_to_server(receiver, &me, frame, None).await;
                    record_send(&log, Recipient::Server, method, outcome)
                }
            }
        }
    }

    async fn receive(&mut self) -> Option<RxJsonRpcMessage<RoleClient>> {
        let delivery = self.inbox.lock().await.recv().await?;
        let message = delivery.message.read();
        if message.is_none() {
            self.log.delivery_failed(Recipient::Transport, "unknown", UndeliveredReason::Unreadable);
        }
        message
    }

    async fn close(&mut self) -> Result<(), DeliveryFailed> {
        Ok(())
    }
}

/// The server's end of one session: writes to one transport, and reads the messages dispatched to the session.
///
/// Ends when the dispatcher drops its queue, and when the transport is unregistered.
pub(crate) struct SessionTransport<B: Backend> {
    pub(crate) registry: Registry<Frame, B>,
    pub(crate) me: ServerId,
    pub(crate) peer: TransportId,
    /// The transport's mailbox, used only to wait until it is closed.
    pub(crate) mailbox: TransportMailbox<Frame>,
    pub(crate) queue: mpsc::UnboundedReceiver<Frame>,
    pub(crate) pending_requests: PendingRequests,
    pub(crate) log: Arc<MessageLog>,
}

impl<B: Backend> Transport<RoleServer> for SessionTransport<B> {
    type Error = DeliveryFailed;

    fn send(
        &mut self,
        message: TxJsonRpcMessage<RoleServer>,
    ) -> impl Future<Output = Result<(), DeliveryFailed>> + Send + 'static {
        let frame = Frame::write(&message);
        let method = self.pending_requests.method_of(&frame);
        let outcome = self.registry.route_to_transport(&self.peer, &self.me, frame);
        let attempt = Attempt::record(&self.log, Recipient::Transport, method, outcome, self.peer.clone());
        if matches!(attempt, Attempt::Done(Err(_))) {
            // The peer is unreachable, so the session ends.
            self.queue.close();
        }
        let (registry, me, log) = (self.registry.clone(), self.me.clone(), Arc::clone(&self.log));
        async move {
            match attempt {
                Attempt::Done(outcome) => outcome,
                Attempt::Full { receiver, method, frame } => {
                    let outcome = registry.send_to_transport(receiver, &me, frame, None).await;
                    record_send(&log, Recipient::Transport, method, outcome)
                }
            }
        }
    }

    async fn receive(&mut self) -> Option<RxJsonRpcMessage<RoleServer>> {
        let frame = tokio::select! {
            frame = self.queue.recv() => frame?,
            () = self.mailbox.closed() => return None,
        };
        self.pending_requests.received(&frame);
        let message = frame.read();
        if message.is_none() {
            self.log.delivery_failed(Recipient::Server, "unknown", UndeliveredReason::Unreadable);
        }
        message
    }

    async fn close(&mut self) -> Result<(), DeliveryFailed> {
        Ok(())
    }
}

/// The outcome of a first attempt to route a message.
enum Attempt<I> {
    Done(Result<(), DeliveryFailed>),
    /// The mailbox is full: the message has to wait.
    Full {
        receiver: I,
        method: String,
        frame: Frame,
    },
}

impl<I> Attempt<I> {
    /// Records the outcome now, not in the future that `send` returns, which the SDK may drop unpolled.
    fn record(
        log: &MessageLog,
        to: Recipient,
        method: String,
        outcome: Result<(), RouteError<Frame>>,
        receiver: I,
    ) -> Self {
        match outcome {
            Ok(()) => {
                log.routed(to, &method);
                Self::Done(Ok(()))
            }
            Err(RouteError::Full(frame)) => {
                log.full();
                Self::Full { receiver, method, frame }
            }
            Err(error) => Self::Done(Err(delivery_failed(log, to, method, error.kind().into()))),
        }
    }
}

/// Records the outcome of a message that has waited.
fn record_send(
    log: &MessageLog,
    to: Recipient,
    method: String,
    outcome: Result<(), SendError<Frame>>,
) -> Result<(), DeliveryFailed> {
    match outcome {
        Ok(()) => {
            log.routed(to, &method);
            Ok(())
        }
        Err(error) => Err(delivery_failed(log, to, method, error.kind().into())),
    }
}

/// Records a message that was not delivered.
fn delivery_failed(log: &MessageLog, to: Recipient, method: String, reason: UndeliveredReason) -> DeliveryFailed {
    log.delivery_failed(to, &method, reason);
    DeliveryFailed { method, reason }
}

/// A message was not delivered.
#[derive(Debug)]
pub(crate) struct DeliveryFailed {
    method: String,
    reason: UndeliveredReason,
}

impl fmt::Display for DeliveryFailed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}` was not delivered: {}", self.method, self.reason)
    }
}

impl std::error::Error for DeliveryFailed {}
