//! A client: the lease of its transport, and the SDK's client that communicates through it.

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
use crate::mcp::handlers::ServerInfo;
use crate::mcp::traffic::MessageLog;
use crate::mcp::transport::ClientTransport;

/// The capacity of a client's mailbox: small, so that servers have to wait.
const CAPACITY: usize = 4;

/// The maximum number of concurrent calls of a client.
const MAX_IN_FLIGHT: u64 = 16;

/// An MCP client on a transport of the registry.
pub(crate) struct Client<B: Backend> {
    /// The first field, so that a client that is dropped is unregistered before its other fields are dropped.
    lease: TransportLease,
    registry: Registry<Frame, B>,
    inbox: Arc<Mutex<Inbox<ToTransport<Frame>>>>,
    log: Arc<MessageLog>,
    service: RunningService<RoleClient, ()>,
}

/// A call of a tool, and the expected result.
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
        let arguments = self.arguments.as_object().cloned().context("the arguments are not an object")?;
        let result = peer.call_tool(CallToolRequestParams::new(self.tool).with_arguments(arguments)).await?;
        let got = text_of(&result);
        ensure!(
            got == Some(&self.expected),
            "{}({}) returned {got:?} instead of {:?}",
            self.tool,
            self.arguments,
            self.expected
        );
        Ok(())
    }
}

/// Returns the text of a result that is a single text and no error.
fn text_of(result: &CallToolResult) -> Option<&String> {
    match &*result.content {
        [content] if result.is_error != Some(true) => content.as_text().map(|text| &text.text),
        _ => None,
    }
}

impl<B: Backend> Client<B> {
    /// Registers a transport bound to the server, and initializes a session.
    pub(crate) async fn connect(
        registry: Registry<Frame, B>,
        name: String,
        server: ServerInfo,
        log: Arc<MessageLog>,
    ) -> anyhow::Result<Self> {
        let (mailbox, inbox) = mailbox(CAPACITY);
        let lease = registry.register_transport_bound_to(name, mailbox, (), server.name)?;
        let inbox = Arc::new(Mutex::new(inbox));
        let transport = ClientTransport {
            registry: registry.clone(),
            me: lease.id().clone(),
            inbox: Arc::clone(&inbox),
            log: Arc::clone(&log),
        };
        let service = rmcp::serve_client((), transport).await?;
        let client = Self { lease, registry, inbox, log, service };
        client.check(server).await?;
        Ok(client)
    }

    /// Binds the transport again, and initializes a session with the server that is registered now.
    pub(crate) async fn reconnect(&mut self, server: ServerInfo) -> anyhow::Result<()> {
        self.service.close().await?;
        let leftover = self.inbox.lock().await.try_recv().ok();
        ensure!(leftover.is_none(), "{} still received {leftover:?}", self.id());
        self.registry.bind_transport_to_server(self.id(), server.name)?;
        let transport = ClientTransport {
            registry: self.registry.clone(),
            me: self.id().clone(),
            inbox: Arc::clone(&self.inbox),
            log: Arc::clone(&self.log),
        };
        self.service = rmcp::serve_client((), transport).await?;
        self.check(server).await
    }

    /// Checks the name, the version and the tools of the server.
    async fn check(&self, server: ServerInfo) -> anyhow::Result<()> {
        let info = self.service.peer_info().and_then(|info| info.server_info.clone());
        let info = info.context("the server sent no name")?;
        ensure!((&*info.name, &*info.version) == (server.name, server.version), "unexpected server: {info:?}");
        let mut tools: Vec<_> = self.service.list_tools(None).await?.tools.into_iter().map(|tool| tool.name).collect();
        tools.sort();
        ensure!(tools == server.tools, "unexpected tools: {tools:?}");
        Ok(())
    }

    pub(crate) fn id(&self) -> &TransportId {
        self.lease.id()
    }

    /// Makes calls concurrently and checks the results. Returns the number of calls.
    pub(crate) async fn make(&self, calls: impl IntoIterator<Item = Call>) -> anyhow::Result<u64> {
        let mut in_flight = JoinSet::new();
        let mut checked = 0;
        let mut calls = calls.into_iter();
        loop {
            while (in_flight.len() as u64) < MAX_IN_FLIGHT
                && let Some(call) = calls.next()
            {
                in_flight.spawn(call.make(self.service.peer().clone()));
            }
            match in_flight.join_next().await {
                None => return Ok(checked),
                Some(outcome) => outcome?.with_context(|| self.id().to_string())?,
            }
            checked += 1;
        }
    }

    /// Makes a call while no server is bound, and expects it to fail.
    pub(crate) async fn expect_no_server(&self) -> anyhow::Result<()> {
        let call =
            CallToolRequestParams::new("add").with_arguments(pair(1, 1).as_object().cloned().unwrap_or_default());
        match self.service.call_tool(call).await {
            Err(ServiceError::TransportSend(_)) => Ok(()),
            outcome => bail!("{} is bound to no server, but a call returned {outcome:?}", self.id()),
        }
    }

    /// Makes a call that the server does not answer until it is released.
    pub(crate) async fn hold(self) -> anyhow::Result<()> {
        let request = ClientRequest::CallToolRequest(CallToolRequest::new(CallToolRequestParams::new("hold")));
        // Not `call_tool`, which sends a cancellation when it is dropped.
        let handle = self.service.send_cancellable_request(request, PeerRequestOptions::no_options()).await?;
        handle.await_response().await?;
        Ok(())
    }

    /// Closes the session and releases the registration.
    pub(crate) async fn leave(mut self) -> anyhow::Result<()> {
        self.service.close().await?;
        ensure!(self.lease.release(), "the client was not registered");
        Ok(())
    }
}

/// The arguments of an arithmetic tool.
pub(crate) fn pair(a: u64, b: u64) -> Value {
    json!({ "a": a, "b": b })
}
