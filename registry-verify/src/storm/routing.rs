//! Routes messages to live servers and measures each call, while something else is running.

use std::time::Instant;

use hdrhistogram::Histogram;
use registry_core::Backend;
use registry_router::{Inbox, Registry, ServerId, ServerLease, ToServer, TransportId, mailbox};

use super::fixture::{server, transport};
use super::owner::expect_lease;

/// Servers that stay alive, with their inboxes.
pub(super) struct LiveServers<B: Backend> {
    pub(super) registry: Registry<u64, B>,
    pub(super) ids: Vec<ServerId>,
    pub(super) from: TransportId,
    leases: Vec<ServerLease>,
    inboxes: Vec<Inbox<ToServer<u64>>>,
    rng: fastrand::Rng,
    sent: u64,
    /// The number of messages that were not found in the addressed mailbox, and what happened to the first.
    lost: Option<(u64, String)>,
}

impl<B: Backend> LiveServers<B> {
    pub(super) fn new(registry: Registry<u64, B>, servers: usize, rng: fastrand::Rng) -> Self {
        let ids: Vec<_> = (0..servers).map(|number| server("live", number)).collect();
        let (mut leases, mut inboxes) = (Vec::new(), Vec::new());
        for id in &ids {
            let (mailbox, inbox) = mailbox(1);
            leases.push(expect_lease(registry.register_server(id.clone(), mailbox, ())));
            inboxes.push(inbox);
        }
        Self { registry, ids, from: transport("sender", 0), leases, inboxes, rng, sent: 0, lost: None }
    }

    /// Routes messages to random servers while `go_on`, which is called now and then, returns true. Only the routing is
    /// timed: the message is removed after the clock was read.
    pub(super) fn route_while(&mut self, mut go_on: impl FnMut(&Self) -> bool) -> Latencies {
        let mut latencies = Latencies::new();
        while go_on(self) {
            for _ in 0..64 {
                let to = self.rng.usize(..self.ids.len());
                self.sent += 1;
                let began = Instant::now();
                let sent = self.registry.route_to_server(&self.ids[to], &self.from, self.sent);
                latencies.record(began);
                let arrived = self.inboxes[to].try_recv().map(|delivery| delivery.message);
                if sent != Ok(()) || arrived != Ok(self.sent) {
                    let first = || format!("sent: {sent:?}, received: {arrived:?}, expected: {}", self.sent);
                    self.lost.get_or_insert_with(|| (0, first())).0 += 1;
                }
            }
        }
        latencies
    }

    /// Returns the number of messages that were not found in the addressed mailbox, and what happened to the first.
    pub(super) fn lost(&self) -> Option<&(u64, String)> {
        self.lost.as_ref()
    }

    /// Returns whether all servers are still registered.
    pub(super) fn all_current(&self) -> bool {
        self.leases.iter().all(ServerLease::is_current)
    }
}

/// A histogram of latencies in nanoseconds, with an error of at most one percent.
pub(super) struct Latencies(Histogram<u64>);

impl Latencies {
    pub(super) fn new() -> Self {
        let longest_ns = 100_000_000_000;
        Self(Histogram::new_with_bounds(1, longest_ns, 2).expect("the bounds are valid"))
    }

    /// Records a call that began at `began` and has just returned.
    #[inline]
    pub(super) fn record(&mut self, began: Instant) {
        let ns = u64::try_from(began.elapsed().as_nanos()).unwrap_or(u64::MAX);
        self.0.saturating_record(ns);
    }

    /// Returns the latency at a quantile, in nanoseconds; `share` is in thousandths.
    pub(super) fn per_mille(&self, share: u32) -> f64 {
        self.0.value_at_quantile(f64::from(share) / 1e3) as f64
    }

    pub(super) fn p99_ns(&self) -> f64 {
        self.per_mille(990)
    }

    pub(super) fn max_ns(&self) -> f64 {
        self.0.max() as f64
    }
}
