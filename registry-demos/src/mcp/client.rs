//! The owner of a client: it holds the lease of the transport, and the SDK's client that talks through it.

use std::sync::Arc;

use anyhow::{Context as _, bail, ensure};
use registry_core::Backend;
use registry_router::{Inbox, Registry, ToTransport, TransportId, TransportLease, mailbox};
use rmcp::model::{CallToolRequest, CallToolRequestParams, CallToolResult, ClientRequest};
use rmcp::service::{Peer, PeerRequestOptions, RunningService};
use rmcp::{RoleClient, ServiceError};
use serde_json::{Value, json};
use tokio::sync::Mutex;
use tokio::task::JoinSet;

use crate::mcp::frame::Frame;
use crate::mcp::handlers::Profile;
use crate::mcp::traffic::Ledger;
use crate::mcp::transport::ClientWire;

/// Room in a client's mailbox: little, so that servers do have to wait.
const ROOM: usize = 4;

/// How many calls a client has under way at the same time.
const AT_ONCE: u64 = 16;

/// An MCP client on a transport of the registry.
pub(crate) struct Client<B: Backend> {
    /// The first field, so that a client that dies is out of the registry before any other part of it notices.
    lease: TransportLease,
    registry: Registry<Frame, B>,
    inbox: Arc<Mutex<Inbox<ToTransport<Frame>>>>,
    ledger: Arc<Ledger>,
    service: RunningService<RoleClient, ()>,
}

/// A call of a tool, and what must come back.
#[derive(Clone, Debug)]
pub(crate) struct Call {
    tool: &'static str,
    arguments: Value,
    expected: String,
}

impl Call {
    pub(crate) fn new(tool: &'static str, arguments: Value, expected: impl ToString) -> Self {
        Self { tool, arguments, expected: expected.to_string() }
    }

    async fn make(self, peer: Peer<RoleClient>) -> anyhow::Result<()> {
        let arguments = self.arguments.as_object().cloned().context("arguments are an object")?;
        let result = peer.call_tool(CallToolRequestParams::new(self.tool).with_arguments(arguments)).await?;
        let got = text_of(&result);
        ensure!(
            got == Some(&self.expected),
            "{}({}) gave {got:?} instead of {:?}",
            self.tool,
            self.arguments,
            self.expected
        );
        Ok(())
    }
}

/// The text of a result that is one text and no error.
fn text_of(result: &CallToolResult) -> Option<&String> {
    match &*result.content {
        [content] if result.is_error != Some(true) => content.as_text().map(|text| &text.text),
        _ => None,
    }
}

impl<B: Backend> Client<B> {
    /// Registers a transport that is bound to the server, and says hello to it.
    pub(crate) async fn connect(
        registry: Registry<Frame, B>,
        name: String,
        server: Profile,
        ledger: Arc<Ledger>,
    ) -> anyhow::Result<Self> {
        let (mailbox, inbox) = mailbox(ROOM);
        let lease = registry.register_transport_bound_to(name, mailbox, (), server.name)?;
        let inbox = Arc::new(Mutex::new(inbox));
        let wire = ClientWire {
            registry: registry.clone(),
            me: lease.id().clone(),
            inbox: Arc::clone(&inbox),
            ledger: Arc::clone(&ledger),
        };
        let service = rmcp::serve_client((), wire).await?;
        let client = Self { lease, registry, inbox, ledger, service };
        client.check(server).await?;
        Ok(client)
    }

    /// Binds the transport anew, and says hello to the server that is there now.
    pub(crate) async fn reconnect(&mut self, server: Profile) -> anyhow::Result<()> {
        self.service.close().await?;
        let left_over = self.inbox.lock().await.try_recv().ok();
        ensure!(left_over.is_none(), "{} was still sent {left_over:?}", self.id());
        self.registry.bind_transport_to_server(self.id(), server.name)?;
        let wire = ClientWire {
            registry: self.registry.clone(),
            me: self.id().clone(),
            inbox: Arc::clone(&self.inbox),
            ledger: Arc::clone(&self.ledger),
        };
        self.service = rmcp::serve_client((), wire).await?;
        self.check(server).await
    }

    /// Checks that the server is the one that is expected, by what it says of itself and by its list of tools.
    async fn check(&self, server: Profile) -> anyhow::Result<()> {
        let info = self.service.peer_info().and_then(|info| info.server_info.clone());
        let info = info.context("a server says its name")?;
        ensure!((&*info.name, &*info.version) == (server.name, server.version), "it is another server: {info:?}");
        let mut tools: Vec<_> = self.service.list_tools(None).await?.tools.into_iter().map(|tool| tool.name).collect();
        tools.sort();
        ensure!(tools == server.tools, "it has other tools: {tools:?}");
        Ok(())
    }

    pub(crate) fn id(&self) -> &TransportId {
        self.lease.id()
    }

    /// Makes calls, several at once, and checks what comes back. Returns how many results were as expected.
    pub(crate) async fn make(&self, calls: impl IntoIterator<Item = Call>) -> anyhow::Result<u64> {
        let mut under_way = JoinSet::new();
        let mut checked = 0;
        let mut calls = calls.into_iter();
        loop {
            while (under_way.len() as u64) < AT_ONCE
                && let Some(call) = calls.next()
            {
                under_way.spawn(call.make(self.service.peer().clone()));
            }
            match under_way.join_next().await {
                None => return Ok(checked),
                Some(outcome) => outcome?.with_context(|| self.id().to_string())?,
            }
            checked += 1;
        }
    }

    /// Makes a call that nobody is there to take.
    pub(crate) async fn fail_to_call(&self) -> anyhow::Result<()> {
        let call =
            CallToolRequestParams::new("add").with_arguments(pair(1, 1).as_object().cloned().unwrap_or_default());
        match self.service.call_tool(call).await {
            Err(ServiceError::TransportSend(_)) => Ok(()),
            outcome => bail!("{} has no server, and yet a call gave {outcome:?}", self.id()),
        }
    }

    /// Makes a call that is not answered until the server is let go.
    pub(crate) async fn hold(self) -> anyhow::Result<()> {
        let request = ClientRequest::CallToolRequest(CallToolRequest::new(CallToolRequestParams::new("hold")));
        // Not `call_tool`: that one sends a last word when it is dropped, and whoever dies says nothing.
        let handle = self.service.send_cancellable_request(request, PeerRequestOptions::no_options()).await?;
        handle.await_response().await?;
        Ok(())
    }

    /// Ends the session and gives up the name.
    pub(crate) async fn leave(mut self) -> anyhow::Result<()> {
        self.service.close().await?;
        ensure!(self.lease.release(), "a client that leaves was still registered");
        Ok(())
    }
}

/// The arguments of an arithmetic tool.
pub(crate) fn pair(a: u64, b: u64) -> Value {
    json!({ "a": a, "b": b })
}
