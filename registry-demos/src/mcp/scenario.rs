//! What happens: two servers, many clients, one client that dies in the middle of a call, one server that is replaced.

use std::sync::Arc;

use anyhow::{Context as _, bail, ensure};
use registry_core::Backend;
use registry_router::{Registry, TransportId};
use serde_json::json;
use tokio::task::JoinSet;

use crate::mcp::client::{Call, Client, pair};
use crate::mcp::frame::Frame;
use crate::mcp::handlers::{Arithmetic, Gate, NewArithmetic, Profile, Serves, Text};
use crate::mcp::report::{Account, Counts, Left};
use crate::mcp::server::Server;
use crate::mcp::traffic::Ledger;

/// How much is to happen.
#[derive(Clone, Copy, Debug)]
pub struct Plan {
    /// How many clients, at least 2: every other one of arithmetic, the rest of text.
    pub clients: u64,
    /// How many calls each client makes in each of three rounds.
    pub calls: u64,
}

impl Plan {
    /// How many clients use the server of arithmetic.
    pub(crate) fn of_arithmetic(&self) -> u64 {
        self.clients.div_ceil(2)
    }

    /// How many clients use the server of text at first; the last of them dies.
    pub(crate) fn of_text(&self) -> u64 {
        self.clients / 2
    }
}

/// Runs all of it, checks each step, and closes the books.
///
/// # Errors
///
/// The first thing that was not as it should be. Whether the counts are right is asked of the [`Account`].
pub async fn run<B: Backend>(registry: Registry<Frame, B>, plan: Plan) -> anyhow::Result<Account> {
    let ledger = Arc::new(Ledger::default());
    let gate = Arc::new(Gate::default());
    let mut old = Server::open(&registry, Arithmetic, &ledger)?;
    let mut text = Server::open(&registry, Text::new(&gate), &ledger)?;

    let reckoners = connect(&registry, Arithmetic::PROFILE, plan.of_arithmetic(), &ledger).await?;
    let writers = connect(&registry, Text::PROFILE, plan.of_text(), &ledger).await?;
    let ids: Vec<TransportId> = reckoners.iter().chain(&writers).map(|client| client.id().clone()).collect();
    ensure!(registry.transport_count() as u64 == plan.clients && registry.server_count() == 2);

    // The first round: everybody.
    let (reckoning, writing) = tokio::try_join!(round(reckoners, plan, product), round(writers, plan, line))?;
    let (reckoners, mut results) = reckoning;
    let (mut writers, written) = writing;
    results += written;

    // The second round: a client dies in the middle of a call, while all others make theirs.
    let doomed = writers.pop().context("a plan has at least two clients")?;
    let (reckoning, writing, ()) = tokio::try_join!(
        round(reckoners, plan, product),
        round(writers, plan, line),
        die(&registry, doomed, &gate, &mut text, plan.of_text() - 1),
    )?;
    let (reckoners, reckoned) = reckoning;
    let (writers, written) = writing;
    results += reckoned + written;

    // The third round: a server is replaced, while those who use the other one go on.
    let (reckoning, writing) =
        tokio::try_join!(replace(&registry, &mut old, reckoners, plan, &ledger), round(writers, plan, line))?;
    let (new, reckoners, reckoned) = reckoning;
    let (writers, written) = writing;
    results += reckoned + written;

    let mut leavers = 0;
    for client in reckoners.into_iter().chain(writers) {
        client.leave().await?;
        leavers += 1;
    }
    let mut closings = Vec::new();
    for server in [old, text, new] {
        closings.push(server.close().await?);
    }
    let left = Left {
        servers: registry.server_count(),
        transports: registry.transport_count(),
        bindings: ids.iter().filter(|id| registry.server_for_transport(id).is_some()).count(),
    };
    let counts = Counts::of(&registry.all_shard_stats());
    Ok(Account {
        backend: B::NAME,
        shards: registry.shard_count(),
        plan,
        results,
        leavers,
        tally: ledger.tally(),
        counts,
        servers: closings,
        left,
    })
}

/// Registers clients and has them say hello, all at once.
async fn connect<B: Backend>(
    registry: &Registry<Frame, B>,
    server: Profile,
    count: u64,
    ledger: &Arc<Ledger>,
) -> anyhow::Result<Vec<Client<B>>> {
    let mut connecting = JoinSet::new();
    for number in 0..count {
        let name = format!("{}/client-{number}", server.name);
        connecting.spawn(Client::connect(registry.clone(), name, server, Arc::clone(ledger)));
    }
    connecting.join_all().await.into_iter().collect()
}

/// Has all clients make their calls, and returns them with the number of results that were checked.
async fn round<B: Backend>(
    clients: Vec<Client<B>>,
    plan: Plan,
    call: fn(u64) -> Call,
) -> anyhow::Result<(Vec<Client<B>>, u64)> {
    let mut working = JoinSet::new();
    for client in clients {
        working.spawn(async move { anyhow::Ok((client.make((0..plan.calls).map(call)).await?, client)) });
    }
    let mut back = (Vec::new(), 0);
    for outcome in working.join_all().await {
        let (checked, client) = outcome?;
        back.0.push(client);
        back.1 += checked;
    }
    Ok(back)
}

/// Kills a client in the middle of a call, and sees its registration, its binding and its session end.
async fn die<B: Backend>(
    registry: &Registry<Frame, B>,
    doomed: Client<B>,
    gate: &Gate,
    server: &mut Server,
    survivors: u64,
) -> anyhow::Result<()> {
    let id = doomed.id().clone();
    let line = registry.find_transport(&id).context("the client is registered")?.mailbox;
    let mut life = tokio::spawn(doomed.hold());
    tokio::select! {
        () = gate.began.notified() => {}
        ended = &mut life => bail!("the call was to be held, and ended: {ended:?}"),
    }
    ensure!(registry.transports_of(Text::PROFILE.name).contains(&id));

    life.abort();
    ensure!(life.await.is_err_and(|error| error.is_cancelled()));
    ensure!(registry.find_transport(&id).is_none() && registry.server_for_transport(&id).is_none());
    ensure!(!registry.transports_of(Text::PROFILE.name).contains(&id));
    // The SDK's own task for this client has ended as well when nobody reads the inbox any more.
    line.closed().await;

    // The server finishes the call, and finds nobody to give the result to.
    gate.go_on.notify_one();
    server.until_sessions(usize::try_from(survivors)?).await
}

/// Puts a new server in the place of the old one, which stays open, and moves the clients over.
async fn replace<B: Backend>(
    registry: &Registry<Frame, B>,
    old: &mut Server,
    mut clients: Vec<Client<B>>,
    plan: Plan,
    ledger: &Arc<Ledger>,
) -> anyhow::Result<(Server, Vec<Client<B>>, u64)> {
    let name = Arithmetic::PROFILE.name;
    ensure!(registry.transports_of(name).len() == clients.len());
    ensure!(old.give_up_name(), "the old server was registered until now");
    ensure!(registry.find_server(name).is_none() && registry.transports_of(name).is_empty());
    for client in &clients {
        client.fail_to_call().await?;
    }

    let new = Server::open(registry, NewArithmetic, ledger)?;
    ensure!(new.incarnation() > old.incarnation());
    let version = registry.with_server(name, |entry| entry.metadata.get("version").map(str::to_owned)).flatten();
    ensure!(version.as_deref() == Some(NewArithmetic::PROFILE.version), "the name leads to version {version:?}");
    // The name is the same, the server is not: nobody is bound to it yet.
    ensure!(registry.transports_of(name).is_empty());
    for client in &mut clients {
        client.fail_to_call().await?;
        client.reconnect(NewArithmetic::PROFILE).await?;
    }
    ensure!(registry.transports_of(name).len() == clients.len());
    let (clients, checked) = round(clients, plan, difference).await?;
    Ok((new, clients, checked))
}

/// A call to the first server of arithmetic.
fn product(n: u64) -> Call {
    if n.is_multiple_of(2) { Call::new("add", pair(n, 7), n + 7) } else { Call::new("multiply", pair(n, 3), n * 3) }
}

/// A call to the second server of arithmetic; half of them the first one would not understand.
fn difference(n: u64) -> Call {
    if n.is_multiple_of(2) { Call::new("subtract", pair(n * 3, n), n * 2) } else { Call::new("add", pair(n, n), n * 2) }
}

/// A call to the server of text.
fn line(n: u64) -> Call {
    if n.is_multiple_of(2) {
        Call::new("upper", json!({ "text": format!("line {n}") }), format!("LINE {n}"))
    } else {
        let turned: String = n.to_string().chars().rev().collect();
        Call::new("reverse", json!({ "text": format!("no. {n}") }), turned + " .on")
    }
}
