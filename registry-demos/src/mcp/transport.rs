//! The SDK's connections over the registry: what a pipe or a socket is elsewhere.
//!
//! Both ends put each message into the other's mailbox at once, inside `send`, so that messages stay in order.
//! Only a mailbox that is full is waited for, in the future that `send` returns.

use std::fmt;
use std::future::Future;
use std::sync::Arc;

use registry_core::Backend;
use registry_router::{Inbox, Registry, RouteError, SendError, ServerId, ToTransport, TransportId, TransportMailbox};
use rmcp::service::{RxJsonRpcMessage, TxJsonRpcMessage};
use rmcp::transport::Transport;
use rmcp::{RoleClient, RoleServer};
use tokio::sync::{Mutex, mpsc};

use crate::mcp::frame::{Frame, Unanswered};
use crate::mcp::traffic::{Ledger, To, Why};

/// A client's end: it writes to whichever server its transport is bound to, and reads the transport's inbox.
pub(crate) struct ClientWire<B: Backend> {
    pub(crate) registry: Registry<Frame, B>,
    pub(crate) me: TransportId,
    /// Shared, because a registration outlives a session: the next session goes on reading it.
    pub(crate) inbox: Arc<Mutex<Inbox<ToTransport<Frame>>>>,
    pub(crate) ledger: Arc<Ledger>,
}

impl<B: Backend> Transport<RoleClient> for ClientWire<B> {
    type Error = Refused;

    fn send(
        &mut self,
        message: TxJsonRpcMessage<RoleClient>,
    ) -> impl Future<Output = Result<(), Refused>> + Send + 'static {
        let frame = Frame::write(&message);
        // The servers of this example ask their clients nothing, so clients have nothing to answer.
        let method = Unanswered::default().method_of(&frame);
        let attempt = match self.registry.server_for_transport(&self.me) {
            None => Attempt::Done(Err(refused(&self.ledger, To::Server, method, Why::NotBound))),
            Some(server) => {
                let outcome = self.registry.route_to_server(&server, &self.me, frame);
                Attempt::enter(&self.ledger, To::Server, method, outcome, server)
            }
        };
        let (registry, me, ledger) = (self.registry.clone(), self.me.clone(), Arc::clone(&self.ledger));
        async move {
            match attempt {
                Attempt::Done(outcome) => outcome,
                Attempt::Full { receiver, method, frame } => {
                    let outcome = registry.send_to_server(receiver, &me, frame, None).await;
                    enter_at_last(&ledger, To::Server, method, outcome)
                }
            }
        }
    }

    async fn receive(&mut self) -> Option<RxJsonRpcMessage<RoleClient>> {
        let delivery = self.inbox.lock().await.recv().await?;
        let message = delivery.message.read();
        if message.is_none() {
            self.ledger.refused(To::Transport, "unknown", Why::Unreadable);
        }
        message
    }

    async fn close(&mut self) -> Result<(), Refused> {
        Ok(())
    }
}

/// A server's end of one session: it writes to one transport, and reads what the server's owner sorted out for it.
///
/// It ends when the owner drops its queue, and when the transport is gone.
pub(crate) struct SessionWire<B: Backend> {
    pub(crate) registry: Registry<Frame, B>,
    pub(crate) me: ServerId,
    pub(crate) peer: TransportId,
    /// The other side's mailbox, only to be told when nobody reads it any more.
    pub(crate) line: TransportMailbox<Frame>,
    pub(crate) queue: mpsc::UnboundedReceiver<Frame>,
    pub(crate) unanswered: Unanswered,
    pub(crate) ledger: Arc<Ledger>,
}

impl<B: Backend> Transport<RoleServer> for SessionWire<B> {
    type Error = Refused;

    fn send(
        &mut self,
        message: TxJsonRpcMessage<RoleServer>,
    ) -> impl Future<Output = Result<(), Refused>> + Send + 'static {
        let frame = Frame::write(&message);
        let method = self.unanswered.method_of(&frame);
        let outcome = self.registry.route_to_transport(&self.peer, &self.me, frame);
        let attempt = Attempt::enter(&self.ledger, To::Transport, method, outcome, self.peer.clone());
        if matches!(attempt, Attempt::Done(Err(_))) {
            // Nobody is there, so there is nothing more to read.
            self.queue.close();
        }
        let (registry, me, ledger) = (self.registry.clone(), self.me.clone(), Arc::clone(&self.ledger));
        async move {
            match attempt {
                Attempt::Done(outcome) => outcome,
                Attempt::Full { receiver, method, frame } => {
                    let outcome = registry.send_to_transport(receiver, &me, frame, None).await;
                    enter_at_last(&ledger, To::Transport, method, outcome)
                }
            }
        }
    }

    async fn receive(&mut self) -> Option<RxJsonRpcMessage<RoleServer>> {
        let frame = tokio::select! {
            frame = self.queue.recv() => frame?,
            () = self.line.closed() => return None,
        };
        self.unanswered.received(&frame);
        let message = frame.read();
        if message.is_none() {
            self.ledger.refused(To::Server, "unknown", Why::Unreadable);
        }
        message
    }

    async fn close(&mut self) -> Result<(), Refused> {
        Ok(())
    }
}

/// What became of a message at once.
enum Attempt<I> {
    Done(Result<(), Refused>),
    /// To be waited with.
    Full {
        receiver: I,
        method: String,
        frame: Frame,
    },
}

impl<I> Attempt<I> {
    /// Enters it in the books now, not in the future that `send` returns: the SDK may drop that one unpolled.
    fn enter(ledger: &Ledger, to: To, method: String, outcome: Result<(), RouteError<Frame>>, receiver: I) -> Self {
        match outcome {
            Ok(()) => {
                ledger.routed(to, &method);
                Self::Done(Ok(()))
            }
            Err(RouteError::NotFound(_)) => Self::Done(Err(refused(ledger, to, method, Why::NotFound))),
            Err(RouteError::Closed(_)) => Self::Done(Err(refused(ledger, to, method, Why::Closed))),
            Err(RouteError::Full(frame)) => {
                ledger.full();
                Self::Full { receiver, method, frame }
            }
        }
    }
}

/// Enters what became of a message that was waited with.
fn enter_at_last(
    ledger: &Ledger,
    to: To,
    method: String,
    outcome: Result<(), SendError<Frame>>,
) -> Result<(), Refused> {
    match outcome {
        Ok(()) => {
            ledger.routed(to, &method);
            Ok(())
        }
        Err(SendError::NotFound(_)) => Err(refused(ledger, to, method, Why::NotFound)),
        Err(SendError::Closed(_) | SendError::TimedOut(_)) => Err(refused(ledger, to, method, Why::Closed)),
    }
}

/// Enters a message that was not delivered.
fn refused(ledger: &Ledger, to: To, method: String, why: Why) -> Refused {
    ledger.refused(to, &method, why);
    Refused { method, why }
}

/// A message was not delivered.
#[derive(Debug)]
pub(crate) struct Refused {
    method: String,
    why: Why,
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}` was not delivered: {}", self.method, self.why)
    }
}

impl std::error::Error for Refused {}
