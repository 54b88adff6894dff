//! The scenario: two servers, many clients, one client dropped during a call, and one server replaced.

use std::sync::Arc;

use anyhow::{Context as _, bail, ensure};
use registry_core::Backend;
use registry_router::{Registry, TransportId};
use serde_json::json;
use tokio::task::JoinSet;

use crate::mcp::client::{Call, Client, pair};
use crate::mcp::frame::Frame;
use crate::mcp::handlers::{Arithmetic, Gate, McpServer, NewArithmetic, ServerInfo, Text};
use crate::mcp::report::{RegistryCounts, Remaining, Report};
use crate::mcp::server::Server;
use crate::mcp::traffic::MessageLog;

/// The size of a scenario.
#[derive(Clone, Copy, Debug)]
pub struct Plan {
    /// The number of clients, at least 2; they alternate between the two servers.
    pub clients: u64,
    /// The number of calls that each client makes in each of three rounds.
    pub calls: u64,
}

impl Plan {
    /// The number of clients of the arithmetic server.
    pub(crate) fn arithmetic_clients(&self) -> u64 {
        self.clients.div_ceil(2)
    }

    /// The number of clients of the text server at first; the last of them is dropped.
    pub(crate) fn text_clients(&self) -> u64 {
        self.clients / 2
    }
}

/// Runs the scenario, checks each step, and returns the report.
///
/// # Errors
///
/// The first failed check. The counts are checked by [`Report::mismatches`].
pub async fn run<B: Backend>(registry: Registry<Frame, B>, plan: Plan) -> anyhow::Result<Report> {
    let log = Arc::new(MessageLog::default());
    let gate = Arc::new(Gate::default());
    let mut old = Server::open(&registry, Arithmetic, &log)?;
    let mut text = Server::open(&registry, Text::new(&gate), &log)?;

    let arithmetic_clients = connect(&registry, Arithmetic::INFO, plan.arithmetic_clients(), &log).await?;
    let text_clients = connect(&registry, Text::INFO, plan.text_clients(), &log).await?;
    let ids: Vec<TransportId> =
        arithmetic_clients.iter().chain(&text_clients).map(|client| client.id().clone()).collect();
    ensure!(registry.transport_count() as u64 == plan.clients && registry.server_count() == 2);

    // The first round: all clients.
    let (arithmetic_round, text_round) =
        tokio::try_join!(round(arithmetic_clients, plan, arithmetic_call_v1), round(text_clients, plan, text_call))?;
    let (arithmetic_clients, mut checked_results) = arithmetic_round;
    let (mut text_clients, text_results) = text_round;
    checked_results += text_results;

    // The second round: one client is dropped during a call, while the others make theirs.
    let client = text_clients.pop().context("the plan has fewer than two clients")?;
    let (arithmetic_round, text_round, ()) = tokio::try_join!(
        round(arithmetic_clients, plan, arithmetic_call_v1),
        round(text_clients, plan, text_call),
        drop_client_during_call(&registry, client, &gate, &mut text, plan.text_clients() - 1),
    )?;
    let (arithmetic_clients, arithmetic_results) = arithmetic_round;
    let (text_clients, text_results) = text_round;
    checked_results += arithmetic_results + text_results;

    // The third round: one server is replaced, while the clients of the other one continue.
    let (arithmetic_round, text_round) = tokio::try_join!(
        replace_server(&registry, &mut old, arithmetic_clients, plan, &log),
        round(text_clients, plan, text_call)
    )?;
    let (new, arithmetic_clients, arithmetic_results) = arithmetic_round;
    let (text_clients, text_results) = text_round;
    checked_results += arithmetic_results + text_results;

    let mut surviving_clients = 0;
    for client in arithmetic_clients.into_iter().chain(text_clients) {
        client.leave().await?;
        surviving_clients += 1;
    }
    let mut server_reports = Vec::new();
    for server in [old, text, new] {
        server_reports.push(server.close().await?);
    }
    let remaining = Remaining {
        servers: registry.server_count(),
        transports: registry.transport_count(),
        bindings: ids.iter().filter(|id| registry.server_for_transport(id).is_some()).count(),
    };
    let registry_counts = RegistryCounts::of(&registry.all_shard_stats());
    Ok(Report {
        backend: B::NAME,
        shards: registry.shard_count(),
        plan,
        checked_results,
        surviving_clients,
        sent: log.sent(),
        registry_counts,
        servers: server_reports,
        remaining,
    })
}

/// Connects clients concurrently.
async fn connect<B: Backend>(
    registry: &Registry<Frame, B>,
    server: ServerInfo,
    count: u64,
    log: &Arc<MessageLog>,
) -> anyhow::Result<Vec<Client<B>>> {
    let mut tasks = JoinSet::new();
    for number in 0..count {
        let name = format!("{}/client-{number}", server.name);
        tasks.spawn(Client::connect(registry.clone(), name, server, Arc::clone(log)));
    }
    tasks.join_all().await.into_iter().collect()
}

/// Lets all clients make their calls concurrently; returns them with the number of results checked.
async fn round<B: Backend>(
    clients: Vec<Client<B>>,
    plan: Plan,
    call: fn(u64) -> Call,
) -> anyhow::Result<(Vec<Client<B>>, u64)> {
    let mut tasks = JoinSet::new();
    for client in clients {
        tasks.spawn(async move { anyhow::Ok((client.make((0..plan.calls).map(call)).await?, client)) });
    }
    let mut totals = (Vec::new(), 0);
    for outcome in tasks.join_all().await {
        let (checked, client) = outcome?;
        totals.0.push(client);
        totals.1 += checked;
    }
    Ok(totals)
}

/// Drops a client during a call, and checks that its registration, its binding and its session end.
async fn drop_client_during_call<B: Backend>(
    registry: &Registry<Frame, B>,
    client: Client<B>,
    gate: &Gate,
    server: &mut Server,
    survivors: u64,
) -> anyhow::Result<()> {
    let id = client.id().clone();
    let mailbox = registry.find_transport(&id).context("the client is not registered")?.mailbox;
    let mut task = tokio::spawn(client.hold());
    tokio::select! {
        () = gate.started.notified() => {}
        ended = &mut task => bail!("the call returned early: {ended:?}"),
    }
    ensure!(registry.transports_of(Text::INFO.name).contains(&id));

    task.abort();
    ensure!(task.await.is_err_and(|error| error.is_cancelled()));
    ensure!(registry.find_transport(&id).is_none() && registry.server_for_transport(&id).is_none());
    ensure!(!registry.transports_of(Text::INFO.name).contains(&id));
    // The inbox closes when the SDK's own task for this client has ended as well.
    mailbox.closed().await;

    // The server completes the call, and cannot deliver the result.
    gate.release_call.notify_one();
    server.until_sessions(usize::try_from(survivors)?).await
}

/// Replaces a server, which stays open, by a new one, and rebinds the clients.
async fn replace_server<B: Backend>(
    registry: &Registry<Frame, B>,
    old: &mut Server,
    mut clients: Vec<Client<B>>,
    plan: Plan,
    log: &Arc<MessageLog>,
) -> anyhow::Result<(Server, Vec<Client<B>>, u64)> {
    let name = Arithmetic::INFO.name;
    ensure!(registry.transports_of(name).len() == clients.len());
    ensure!(old.release_name(), "the old server was not registered");
    ensure!(registry.find_server(name).is_none() && registry.transports_of(name).is_empty());
    for client in &clients {
        client.expect_no_server().await?;
    }

    let new = Server::open(registry, NewArithmetic, log)?;
    ensure!(new.incarnation() > old.incarnation());
    let version = registry.with_server(name, |entry| entry.metadata.get("version").map(str::to_owned)).flatten();
    ensure!(version.as_deref() == Some(NewArithmetic::INFO.version), "unexpected version {version:?}");
    // The name is the same but the registration is new: no transport is bound to it yet.
    ensure!(registry.transports_of(name).is_empty());
    for client in &mut clients {
        client.expect_no_server().await?;
        client.reconnect(NewArithmetic::INFO).await?;
    }
    ensure!(registry.transports_of(name).len() == clients.len());
    let (clients, checked) = round(clients, plan, arithmetic_call_v2).await?;
    Ok((new, clients, checked))
}

/// A call to version 1 of the arithmetic server.
fn arithmetic_call_v1(n: u64) -> Call {
    if n.is_multiple_of(2) { Call::new("add", pair(n, 7), n + 7) } else { Call::new("multiply", pair(n, 3), n * 3) }
}

/// A call to version 2 of the arithmetic server; version 1 does not have every second one of the tools.
fn arithmetic_call_v2(n: u64) -> Call {
    if n.is_multiple_of(2) { Call::new("subtract", pair(n * 3, n), n * 2) } else { Call::new("add", pair(n, n), n * 2) }
}

/// A call to the text server.
fn text_call(n: u64) -> Call {
    if n.is_multiple_of(2) {
        Call::new("upper", json!({ "text": format!("line {n}") }), format!("LINE {n}"))
    } else {
        let reversed: String = n.to_string().chars().rev().collect();
        Call::new("reverse", json!({ "text": format!("no. {n}") }), reversed + " .on")
    }
}
