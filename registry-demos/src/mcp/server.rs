//! The owner of a server: it holds the lease, reads the one inbox, and sorts what arrives into sessions.
//!
//! The SDK serves one connection with one service, and a registered server has one mailbox for all of its clients.
//! So each `initialize` opens a session for the transport that it came from, and what follows goes there.

use std::collections::HashMap;
use std::sync::Arc;

use registry_core::Backend;
use registry_router::{Inbox, Incarnation, Metadata, Registry, ServerId, ServerLease, ToServer, TransportId, mailbox};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::{JoinHandle, JoinSet};

use crate::mcp::frame::{Frame, Unanswered};
use crate::mcp::handlers::{Profile, Serves};
use crate::mcp::traffic::Ledger;
use crate::mcp::transport::SessionWire;

/// Room in a server's mailbox: little, so that clients do have to wait.
const ROOM: usize = 4;

/// A server that is open.
pub(crate) struct Server {
    /// `None` once the server has given up its name.
    lease: Option<ServerLease>,
    incarnation: Incarnation,
    sessions: watch::Receiver<usize>,
    stop: oneshot::Sender<()>,
    desk: JoinHandle<Closing>,
}

/// What a server has to say when it is closed.
#[derive(Clone, Debug)]
pub(crate) struct Closing {
    pub(crate) profile: Profile,
    /// Messages that were in its inbox.
    pub(crate) received: u64,
    /// Of those, messages that no session was there for.
    pub(crate) strays: u64,
    /// Sessions that were opened.
    pub(crate) sessions: u64,
    /// Why sessions failed, those that did.
    pub(crate) failures: Vec<String>,
}

impl Server {
    /// Registers a server and starts to serve.
    pub(crate) fn open<B: Backend, S: Serves>(
        registry: &Registry<Frame, B>,
        handler: S,
        ledger: &Arc<Ledger>,
    ) -> anyhow::Result<Self> {
        let (mailbox, inbox) = mailbox(ROOM);
        let Profile { name, version, .. } = S::PROFILE;
        let lease = registry.register_server(name, mailbox, Metadata::new().with("version", version))?;
        let (stop, stopped) = oneshot::channel();
        let (open, sessions) = watch::channel(0);
        let desk = Desk {
            registry: registry.clone(),
            me: lease.id().clone(),
            handler,
            ledger: Arc::clone(ledger),
            open,
            queues: HashMap::new(),
            sessions: JoinSet::new(),
            closing: Closing { profile: S::PROFILE, received: 0, strays: 0, sessions: 0, failures: Vec::new() },
        };
        let incarnation = lease.incarnation();
        Ok(Self { lease: Some(lease), incarnation, sessions, stop, desk: tokio::spawn(desk.run(inbox, stopped)) })
    }

    pub(crate) fn incarnation(&self) -> Incarnation {
        self.incarnation
    }

    /// Gives up the name, and says whether the server still had it. It serves on, if anybody reaches it.
    pub(crate) fn give_up_name(&mut self) -> bool {
        self.lease.take().is_some_and(ServerLease::release)
    }

    /// Waits until this many sessions are open.
    pub(crate) async fn until_sessions(&mut self, count: usize) -> anyhow::Result<()> {
        self.sessions.wait_for(|open| *open == count).await?;
        Ok(())
    }

    /// Gives up the name if the server still has it, ends all sessions, and waits until all is done.
    pub(crate) async fn close(mut self) -> anyhow::Result<Closing> {
        self.give_up_name();
        // A desk that is not there to be told has stopped already.
        let _ = self.stop.send(());
        Ok(self.desk.await?)
    }
}

struct Desk<B: Backend, S> {
    registry: Registry<Frame, B>,
    me: ServerId,
    handler: S,
    ledger: Arc<Ledger>,
    open: watch::Sender<usize>,
    /// Where to put what a transport sends: its last session, with the session's number.
    queues: HashMap<TransportId, (u64, mpsc::UnboundedSender<Frame>)>,
    sessions: JoinSet<(TransportId, u64, anyhow::Result<()>)>,
    closing: Closing,
}

impl<B: Backend, S: Serves> Desk<B, S> {
    async fn run(mut self, mut inbox: Inbox<ToServer<Frame>>, mut stopped: oneshot::Receiver<()>) -> Closing {
        loop {
            tokio::select! {
                delivery = inbox.recv() => match delivery {
                    Some(delivery) => self.sort(delivery),
                    None => break,
                },
                Some(ended) = self.sessions.join_next() => self.ended(ended),
                _ = &mut stopped => break,
            }
        }
        inbox.close();
        while let Some(delivery) = inbox.recv().await {
            self.sort(delivery);
        }
        self.queues.clear();
        while let Some(ended) = self.sessions.join_next().await {
            self.ended(ended);
        }
        self.closing
    }

    fn sort(&mut self, delivery: ToServer<Frame>) {
        self.closing.received += 1;
        let ToServer { from, message } = delivery;
        if message.header().method.as_deref() == Some("initialize") {
            self.begin(&from);
        }
        let taken = self.queues.get(&from).is_some_and(|(_, queue)| queue.send(message).is_ok());
        if !taken {
            self.closing.strays += 1;
        }
    }

    /// Opens a session for a transport, in place of the one that it may have.
    fn begin(&mut self, peer: &TransportId) {
        let Some(entry) = self.registry.find_transport(peer) else {
            self.queues.remove(peer);
            return;
        };
        // Without a bound, because the SDK's loop reads all that there is and has no bound either.
        let (queue, frames) = mpsc::unbounded_channel();
        let wire = SessionWire {
            registry: self.registry.clone(),
            me: self.me.clone(),
            peer: peer.clone(),
            line: entry.mailbox,
            queue: frames,
            unanswered: Unanswered::default(),
            ledger: Arc::clone(&self.ledger),
        };
        let (handler, peer, number) = (self.handler.clone(), peer.clone(), self.closing.sessions);
        self.queues.insert(peer.clone(), (number, queue));
        self.sessions.spawn(async move { (peer, number, serve(handler, wire).await) });
        self.closing.sessions += 1;
        self.open.send_replace(self.sessions.len());
    }

    fn ended(&mut self, ended: Result<(TransportId, u64, anyhow::Result<()>), tokio::task::JoinError>) {
        match ended {
            Ok((peer, number, outcome)) => {
                if self.queues.get(&peer).is_some_and(|(last, _)| *last == number) {
                    self.queues.remove(&peer);
                }
                if let Err(error) = outcome {
                    self.closing.failures.push(format!("session {number}, of {peer}: {error:#}"));
                }
            }
            Err(panicked) => self.closing.failures.push(format!("a session: {panicked}")),
        }
        self.open.send_replace(self.sessions.len());
    }
}

/// One session, from `initialize` until either side ends it.
async fn serve<B: Backend, S: Serves>(handler: S, wire: SessionWire<B>) -> anyhow::Result<()> {
    rmcp::serve_server(handler, wire).await?.waiting().await?;
    Ok(())
}
