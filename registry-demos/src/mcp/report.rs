//! The report: what happened, what the plan implies must have happened, and the differences.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use registry_router::ShardStats;

use crate::mcp::scenario::Plan;
use crate::mcp::server::ServerReport;
use crate::mcp::traffic::{Recipient, SentMessages, UndeliveredReason};

/// What is still registered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Remaining {
    pub(crate) servers: usize,
    pub(crate) transports: usize,
    pub(crate) bindings: usize,
}

/// The counts of a finished scenario.
#[derive(Clone, Debug)]
pub struct Report {
    pub(crate) backend: &'static str,
    pub(crate) shards: usize,
    pub(crate) plan: Plan,
    /// Results of calls that were compared with the expected result.
    pub(crate) checked_results: u64,
    /// Clients that were not dropped.
    pub(crate) surviving_clients: u64,
    /// The senders' counts.
    pub(crate) sent: SentMessages,
    /// The registry's counts.
    pub(crate) registry_counts: RegistryCounts,
    /// The replaced server, the other one, and the replacement.
    pub(crate) servers: Vec<ServerReport>,
    pub(crate) remaining: Remaining,
}

/// The registry's counts, summed over all shards.
#[derive(Clone, Copy, Debug)]
pub(crate) struct RegistryCounts {
    routes: u64,
    full: u64,
    closed: u64,
    registrations: u64,
    removals: u64,
}

impl RegistryCounts {
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

impl Report {
    fn dropped_clients(&self) -> u64 {
        self.plan.clients - self.surviving_clients
    }

    /// Servers that replaced another one with the same name.
    fn replaced_servers(&self) -> u64 {
        let names: BTreeSet<_> = self.servers.iter().map(|server| server.info.name).collect();
        (self.servers.len() - names.len()) as u64
    }

    /// Returns the differences from the plan, one line each; empty if there are none.
    pub fn mismatches(&self) -> Vec<String> {
        let Plan { clients, calls } = self.plan;
        let (arithmetic_clients, text_clients) = (self.plan.arithmetic_clients(), self.plan.text_clients());
        let mut mismatches = Mismatches(Vec::new());

        // Every client makes one round of calls, and all but the dropped one make two more.
        let checked_results = clients * calls + (clients - 1) * calls * 2;
        mismatches.compare("results checked", self.checked_results, checked_results);
        mismatches.compare("clients dropped", self.dropped_clients(), 1);
        mismatches.compare("servers replaced", self.replaced_servers(), 1);
        // Arithmetic clients initialize twice, because their server is replaced.
        let handshakes = clients + arithmetic_clients;
        let routed = BTreeMap::from([
            ((Recipient::Server, "initialize".to_owned()), handshakes),
            ((Recipient::Transport, "initialize".to_owned()), handshakes),
            ((Recipient::Server, "notifications/initialized".to_owned()), handshakes),
            ((Recipient::Server, "tools/list".to_owned()), handshakes),
            ((Recipient::Transport, "tools/list".to_owned()), handshakes),
            // One more call than results: its client was dropped.
            ((Recipient::Server, "tools/call".to_owned()), checked_results + 1),
            ((Recipient::Transport, "tools/call".to_owned()), checked_results),
        ]);
        mismatches.compare("messages by method", &self.sent.routed, &routed);
        let delivery_failed = BTreeMap::from([
            ((Recipient::Server, "tools/call".to_owned(), UndeliveredReason::NotBound), arithmetic_clients * 2),
            ((Recipient::Transport, "tools/call".to_owned(), UndeliveredReason::NotFound), 1),
        ]);
        mismatches.compare("messages not delivered", &self.sent.delivery_failed, &delivery_failed);

        let sent = self.sent.total(Recipient::Server) + self.sent.total(Recipient::Transport);
        mismatches.compare("messages routed by the registry", self.registry_counts.routes, sent);
        mismatches.compare("full mailboxes counted by the registry", self.registry_counts.full, self.sent.full);
        mismatches.compare("closed mailboxes counted by the registry", self.registry_counts.closed, 0);
        mismatches.compare("registrations", self.registry_counts.registrations, clients + 3);
        mismatches.compare("registrations that ended", self.registry_counts.removals, clients + 3);
        mismatches.compare("entries left", self.remaining, Remaining { servers: 0, transports: 0, bindings: 0 });

        // A session starts with three messages: `initialize`, `notifications/initialized` and `tools/list`.
        let received = [
            arithmetic_clients * (3 + calls * 2),
            text_clients * (3 + calls * 3) - calls * 2 + 1,
            arithmetic_clients * (3 + calls),
        ];
        for ((server, received), sessions) in
            self.servers.iter().zip(received).zip([arithmetic_clients, text_clients, arithmetic_clients])
        {
            let name = format!("{} {}", server.info.name, server.info.version);
            mismatches.compare(&format!("messages received by {name}"), server.received, received);
            mismatches.compare(&format!("sessions of {name}"), server.sessions, sessions);
            mismatches.compare(&format!("messages without a session at {name}"), server.unmatched, 0);
            mismatches.compare(&format!("failed sessions of {name}"), &server.failed_sessions, &Vec::new());
        }
        mismatches.0
    }
}

struct Mismatches(Vec<String>);

impl Mismatches {
    fn compare<T: PartialEq + fmt::Debug>(&mut self, what: &str, actual: T, expected: T) {
        if actual != expected {
            self.0.push(format!("{what}: {actual:?}, expected {expected:?}"));
        }
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { plan, sent, registry_counts, remaining, .. } = self;
        writeln!(f, "Backend {}, {} shards; {} clients", self.backend, self.shards, plan.clients)?;
        writeln!(f)?;
        writeln!(f, "{:<28}{:>12}{:>15}", "Messages routed", "to servers", "to transports")?;
        let methods: BTreeSet<&String> = sent.routed.keys().map(|(_, method)| method).collect();
        for method in methods {
            let (to_servers, to_transports) =
                (sent.of(Recipient::Server, method), sent.of(Recipient::Transport, method));
            writeln!(f, "  {method:<26}{to_servers:>12}{to_transports:>15}")?;
        }
        let (to_servers, to_transports) = (sent.total(Recipient::Server), sent.total(Recipient::Transport));
        writeln!(f, "  {:<26}{to_servers:>12}{to_transports:>15}", "total")?;
        writeln!(f, "  {:<26}{:>27}", "counted by senders", to_servers + to_transports)?;
        writeln!(f, "  {:<26}{:>27}", "counted by the registry", registry_counts.routes)?;
        writeln!(f, "  {:<26}{:>27}", "waited for capacity", sent.full)?;
        writeln!(f)?;
        writeln!(f, "Messages not delivered")?;
        for ((to, method, reason), count) in &sent.delivery_failed {
            let what = if *to == Recipient::Server { "requests" } else { "responses" };
            writeln!(f, "  {count:>5} {method}, {what}: {reason}")?;
        }
        writeln!(f)?;
        writeln!(f, "{:<28}{:>12}{:>15}", "Servers", "sessions", "received")?;
        for ServerReport { info, sessions, received, .. } in &self.servers {
            writeln!(f, "  {:<26}{sessions:>12}{received:>15}", format!("{} {}", info.name, info.version))?;
        }
        writeln!(f)?;
        for (what, count) in [
            ("Results checked", self.checked_results),
            ("Clients dropped", self.dropped_clients()),
            ("Servers replaced", self.replaced_servers()),
            ("Entries left: servers", remaining.servers as u64),
            ("Entries left: transports", remaining.transports as u64),
            ("Entries left: bindings", remaining.bindings as u64),
        ] {
            writeln!(f, "{what:<28}{count:>27}")?;
        }
        Ok(())
    }
}
