//! The account: what was done, what the plan says must have been done, and whether the two agree.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use registry_router::ShardStats;

use crate::mcp::scenario::Plan;
use crate::mcp::server::Closing;
use crate::mcp::traffic::{Tally, To, Why};

/// What is still in the registry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Left {
    pub(crate) servers: usize,
    pub(crate) transports: usize,
    pub(crate) bindings: usize,
}

/// All that there is to say when everything is over.
#[derive(Clone, Debug)]
pub struct Account {
    pub(crate) backend: &'static str,
    pub(crate) shards: usize,
    pub(crate) plan: Plan,
    /// Results of calls that were compared with what must come back.
    pub(crate) results: u64,
    /// Clients that lived to the end.
    pub(crate) leavers: u64,
    /// What the senders counted.
    pub(crate) tally: Tally,
    /// What the registry counted.
    pub(crate) counts: Counts,
    /// The replaced server, the other one, and the new one.
    pub(crate) servers: Vec<Closing>,
    pub(crate) left: Left,
}

/// The registry's own counts, all shards together.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Counts {
    routes: u64,
    full: u64,
    closed: u64,
    registrations: u64,
    removals: u64,
}

impl Counts {
    pub(crate) fn of(stats: &[ShardStats]) -> Self {
        let sum = |count: fn(&ShardStats) -> u64| stats.iter().map(count).sum();
        Self {
            routes: sum(|shard| shard.routes),
            full: sum(|shard| shard.full),
            closed: sum(|shard| shard.closed),
            registrations: sum(|shard| shard.registrations),
            removals: sum(|shard| shard.removals),
        }
    }
}

impl Account {
    fn died(&self) -> u64 {
        self.plan.clients - self.leavers
    }

    /// Servers that came after another one of the same name.
    fn replaced(&self) -> u64 {
        let names: BTreeSet<_> = self.servers.iter().map(|server| server.profile.name).collect();
        (self.servers.len() - names.len()) as u64
    }

    /// What is not as the plan says, one line each; nothing if all is well.
    pub fn faults(&self) -> Vec<String> {
        let Plan { clients, calls } = self.plan;
        let (reckoners, writers) = (self.plan.of_arithmetic(), self.plan.of_text());
        let mut faults = Faults(Vec::new());

        // Everybody makes one round of calls, and all but the client that dies make two more.
        let results = clients * calls + (clients - 1) * calls * 2;
        faults.compare("results checked", self.results, results);
        faults.compare("clients that died", self.died(), 1);
        faults.compare("servers replaced", self.replaced(), 1);
        // Clients of arithmetic say hello twice, for their server is replaced.
        let hellos = clients + reckoners;
        let routed = BTreeMap::from([
            ((To::Server, "initialize".to_owned()), hellos),
            ((To::Transport, "initialize".to_owned()), hellos),
            ((To::Server, "notifications/initialized".to_owned()), hellos),
            ((To::Server, "tools/list".to_owned()), hellos),
            ((To::Transport, "tools/list".to_owned()), hellos),
            // One more call than results: the client that made it died.
            ((To::Server, "tools/call".to_owned()), results + 1),
            ((To::Transport, "tools/call".to_owned()), results),
        ]);
        faults.compare("messages by method", &self.tally.routed, &routed);
        let refused = BTreeMap::from([
            ((To::Server, "tools/call".to_owned(), Why::NotBound), reckoners * 2),
            ((To::Transport, "tools/call".to_owned(), Why::NotFound), 1),
        ]);
        faults.compare("messages that were not delivered", &self.tally.refused, &refused);

        let sent = self.tally.total(To::Server) + self.tally.total(To::Transport);
        faults.compare("messages that the registry says it routed", self.counts.routes, sent);
        faults.compare("full mailboxes that the registry met", self.counts.full, self.tally.full);
        faults.compare("closed mailboxes that the registry met", self.counts.closed, 0);
        faults.compare("registrations", self.counts.registrations, clients + 3);
        faults.compare("registrations that ended", self.counts.removals, clients + 3);
        faults.compare("entries left", self.left, Left { servers: 0, transports: 0, bindings: 0 });

        // A session takes a hello, the word that it was heard, and a question for the tools.
        let received =
            [reckoners * (3 + calls * 2), writers * (3 + calls * 3) - calls * 2 + 1, reckoners * (3 + calls)];
        for ((server, received), sessions) in self.servers.iter().zip(received).zip([reckoners, writers, reckoners]) {
            let name = format!("{} {}", server.profile.name, server.profile.version);
            faults.compare(&format!("messages received by {name}"), server.received, received);
            faults.compare(&format!("sessions of {name}"), server.sessions, sessions);
            faults.compare(&format!("messages without a session at {name}"), server.strays, 0);
            faults.compare(&format!("failed sessions of {name}"), &server.failures, &Vec::new());
        }
        faults.0
    }
}

struct Faults(Vec<String>);

impl Faults {
    fn compare<T: PartialEq + fmt::Debug>(&mut self, what: &str, is: T, must_be: T) {
        if is != must_be {
            self.0.push(format!("{what}: {is:?}, and should be {must_be:?}"));
        }
    }
}

impl fmt::Display for Account {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { plan, tally, counts, left, .. } = self;
        writeln!(f, "Backend {}, {} shards; {} clients", self.backend, self.shards, plan.clients)?;
        writeln!(f)?;
        writeln!(f, "{:<28}{:>12}{:>15}", "Messages routed", "to servers", "to transports")?;
        let methods: BTreeSet<&String> = tally.routed.keys().map(|(_, method)| method).collect();
        for method in methods {
            let (there, back) = (tally.of(To::Server, method), tally.of(To::Transport, method));
            writeln!(f, "  {method:<26}{there:>12}{back:>15}")?;
        }
        let (there, back) = (tally.total(To::Server), tally.total(To::Transport));
        writeln!(f, "  {:<26}{there:>12}{back:>15}", "together")?;
        writeln!(f, "  {:<26}{:>27}", "as senders count", there + back)?;
        writeln!(f, "  {:<26}{:>27}", "as the registry counts", counts.routes)?;
        writeln!(f, "  {:<26}{:>27}", "had to wait for room", tally.full)?;
        writeln!(f)?;
        writeln!(f, "Messages not delivered")?;
        for ((to, method, why), count) in &tally.refused {
            let what = if *to == To::Server { "requests" } else { "answers" };
            writeln!(f, "  {count:>5} {method}, {what}: {why}")?;
        }
        writeln!(f)?;
        writeln!(f, "{:<28}{:>12}{:>15}", "Servers", "sessions", "received")?;
        for Closing { profile, sessions, received, .. } in &self.servers {
            writeln!(f, "  {:<26}{sessions:>12}{received:>15}", format!("{} {}", profile.name, profile.version))?;
        }
        writeln!(f)?;
        for (what, count) in [
            ("Results checked", self.results),
            ("Clients that died", self.died()),
            ("Servers replaced", self.replaced()),
            ("Entries left: servers", left.servers as u64),
            ("Entries left: transports", left.transports as u64),
            ("Entries left: bindings", left.bindings as u64),
        ] {
            writeln!(f, "{what:<28}{count:>27}")?;
        }
        Ok(())
    }
}
