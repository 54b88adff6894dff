//! A server: its lease, and a task that reads the inbox and dispatches messages to sessions.
//!
//! The SDK runs one service per connection, but a registered server has one mailbox for all of its clients. So each
//! `initialize` opens a session for the sending transport, and later messages from that transport go to that session.

use std::collections::HashMap;
use std::sync::Arc;

use registry_core::Backend;
use registry_router::{Inbox, Incarnation, Metadata, Registry, ServerId, ServerLease, ToServer, TransportId, mailbox};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::{JoinHandle, JoinSet};

use crate::mcp::frame::{Frame, PendingRequests};
use crate::mcp::handlers::{McpServer, ServerInfo};
use crate::mcp::traffic::MessageLog;
use crate::mcp::transport::SessionTransport;

/// The capacity of a server's mailbox: small, so that clients have to wait.
const CAPACITY: usize = 4;

/// A running server.
pub(crate) struct Server {
    /// `None` once the name has been released.
    lease: Option<ServerLease>,
    incarnation: Incarnation,
    sessions: watch::Receiver<usize>,
    stop: oneshot::Sender<()>,
    dispatcher: JoinHandle<ServerReport>,
}

/// The counts of a closed server.
#[derive(Clone, Debug)]
pub(crate) struct ServerReport {
    pub(crate) info: ServerInfo,
    /// Messages received.
    pub(crate) received: u64,
    /// Messages received for which there was no session.
    pub(crate) unmatched: u64,
    /// Sessions opened.
    pub(crate) sessions: u64,
    /// The errors of failed sessions.
    pub(crate) failed_sessions: Vec<String>,
}

impl Server {
    /// Registers a server and starts its task.
    pub(crate) fn open<B: Backend, S: McpServer>(
        registry: &Registry<Frame, B>,
        handler: S,
        log: &Arc<MessageLog>,
    ) -> anyhow::Result<Self> {
        let (mailbox, inbox) = mailbox(CAPACITY);
        let ServerInfo { name, version, .. } = S::INFO;
        let lease = registry.register_server(name, mailbox, Metadata::new().with("version", version))?;
        let (stop, stopped) = oneshot::channel();
        let (open, sessions) = watch::channel(0);
        let dispatcher = Dispatcher {
            registry: registry.clone(),
            me: lease.id().clone(),
            handler,
            log: Arc::clone(log),
            open,
            queues: HashMap::new(),
            sessions: JoinSet::new(),
            report: ServerReport { info: S::INFO, received: 0, unmatched: 0, sessions: 0, failed_sessions: Vec::new() },
        };
        let incarnation = lease.incarnation();
        Ok(Self {
            lease: Some(lease),
            incarnation,
            sessions,
            stop,
            dispatcher: tokio::spawn(dispatcher.run(inbox, stopped)),
        })
    }

    pub(crate) fn incarnation(&self) -> Incarnation {
        self.incarnation
    }

    /// Releases the name, and returns whether the server still had it. The task keeps running.
    pub(crate) fn release_name(&mut self) -> bool {
        self.lease.take().is_some_and(ServerLease::release)
    }

    /// Waits until exactly this many sessions are open.
    pub(crate) async fn until_sessions(&mut self, count: usize) -> anyhow::Result<()> {
        self.sessions.wait_for(|open| *open == count).await?;
        Ok(())
    }

    /// Releases the name if the server still has it, closes all sessions, and waits for them.
    pub(crate) async fn close(mut self) -> anyhow::Result<ServerReport> {
        self.release_name();
        // An error means that the dispatcher has already stopped.
        let _ = self.stop.send(());
        Ok(self.dispatcher.await?)
    }
}

struct Dispatcher<B: Backend, S> {
    registry: Registry<Frame, B>,
    me: ServerId,
    handler: S,
    log: Arc<MessageLog>,
    open: watch::Sender<usize>,
    /// The latest session of each transport: its number and the queue of its messages.
    queues: HashMap<TransportId, (u64, mpsc::UnboundedSender<Frame>)>,
    sessions: JoinSet<(TransportId, u64, anyhow::Result<()>)>,
    report: ServerReport,
}

impl<B: Backend, S: McpServer> Dispatcher<B, S> {
    async fn run(mut self, mut inbox: Inbox<ToServer<Frame>>, mut stopped: oneshot::Receiver<()>) -> ServerReport {
        loop {
            tokio::select! {
                delivery = inbox.recv() => match delivery {
                    Some(delivery) => self.dispatch(delivery),
                    None => break,
                },
                Some(ended) = self.sessions.join_next() => self.close_session(ended),
                _ = &mut stopped => break,
            }
        }
        inbox.close();
        while let Some(delivery) = inbox.recv().await {
            self.dispatch(delivery);
        }
        self.queues.clear();
        while let Some(ended) = self.sessions.join_next().await {
            self.close_session(ended);
        }
        self.report
    }

    fn dispatch(&mut self, delivery: ToServer<Frame>) {
        self.report.received += 1;
        let ToServer { from, message } = delivery;
        if message.header().method.as_deref() == Some("initialize") {
            self.open_session(&from);
        }
        let accepted = self.queues.get(&from).is_some_and(|(_, queue)| queue.send(message).is_ok());
        if !accepted {
            self.report.unmatched += 1;
        }
    }

    /// Opens a session for a transport, replacing a previous one.
    fn open_session(&mut self, peer: &TransportId) {
        let Some(entry) = self.registry.find_transport(peer) else {
            self.queues.remove(peer);
            return;
        };
        // Unbounded, because the SDK's loop reads without a bound too.
        let (queue, frames) = mpsc::unbounded_channel();
        let transport = SessionTransport {
            registry: self.registry.clone(),
            me: self.me.clone(),
            peer: peer.clone(),
            mailbox: entry.mailbox,
            queue: frames,
            pending_requests: PendingRequests::default(),
            log: Arc::clone(&self.log),
        };
        let (handler, peer, number) = (self.handler.clone(), peer.clone(), self.report.sessions);
        self.queues.insert(peer.clone(), (number, queue));
        self.sessions.spawn(async move { (peer, number, serve(handler, transport).await) });
        self.report.sessions += 1;
        self.open.send_replace(self.sessions.len());
    }

    fn close_session(&mut self, ended: Result<(TransportId, u64, anyhow::Result<()>), tokio::task::JoinError>) {
        match ended {
            Ok((peer, number, outcome)) => {
                if self.queues.get(&peer).is_some_and(|(last, _)| *last == number) {
                    self.queues.remove(&peer);
                }
                if let Err(error) = outcome {
                    self.report.failed_sessions.push(format!("session {number} of {peer}: {error:#}"));
                }
            }
            Err(panicked) => self.report.failed_sessions.push(format!("a session: {panicked}")),
        }
        self.open.send_replace(self.sessions.len());
    }
}

/// Runs one session, from `initialize` until either side closes it.
async fn serve<B: Backend, S: McpServer>(handler: S, transport: SessionTransport<B>) -> anyhow::Result<()> {
    rmcp::serve_server(handler, transport).await?.waiting().await?;
    Ok(())
}
