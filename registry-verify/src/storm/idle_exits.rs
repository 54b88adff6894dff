//! 500 owners without bindings leave, among 20,000 servers that have transports and among 20.
//!
//! The cost of removing an entry without bindings should not depend on the number of other entries. The owners are
//! servers without transports and unbound transports. The two populations alternate, and the figures are medians. What
//! remains as a difference is the cache misses of a larger table.

use std::time::Instant;

use registry_core::Backend;
use registry_router::{Inbox, Registry, ToServer, ToTransport, mailbox};

use super::fixture::{entry_counts, registry, server, transport};
use super::owner::{Owner, expect_lease};
use super::recorder::{Recorder, RoundMetrics};
use crate::any_lease::AnyLease;

pub(super) fn run<B: Backend>(recorder: &mut Recorder) {
    let exits = recorder.scaled(500);
    let many = Population::<B>::new(recorder.scaled(20_000));
    let few = Population::<B>::new(20);
    let mut rounds = RoundMetrics::default();
    for _ in 0..recorder.rounds(9) {
        let among_few = few.exits(exits, recorder);
        let among_many = many.exits(exits, recorder);
        rounds.add("exit_among_few_ns", among_few);
        rounds.add("exit_among_many_ns", among_many);
        rounds.add("ratio_x", among_many / among_few);
    }
    rounds.record_medians(recorder);
    for population in [many, few] {
        let Population { registry, leases, .. } = population;
        recorder.add_deaths(leases.len());
        drop(leases);
        recorder.expect_empty("at the end", entry_counts(&registry));
    }
}

/// Servers with one transport each, which stay.
struct Population<B: Backend> {
    registry: Registry<u64, B>,
    leases: Vec<AnyLease>,
    /// No messages are sent; the inboxes keep the mailboxes open.
    _inboxes: (Inbox<ToServer<u64>>, Inbox<ToTransport<u64>>),
}

impl<B: Backend> Population<B> {
    fn new(servers: usize) -> Self {
        let registry = registry::<B>();
        let ((to_server, server_inbox), (to_transport, transport_inbox)) = (mailbox(1), mailbox(1));
        let mut leases = Vec::new();
        for number in 0..servers {
            let id = server("resident", number);
            leases.push(AnyLease::Server(expect_lease(registry.register_server(id.clone(), to_server.clone(), ()))));
            let bound =
                registry.register_transport_bound_to(transport("resident", number), to_transport.clone(), (), id);
            leases.push(AnyLease::Transport(expect_lease(bound)));
        }
        Self { registry, leases, _inboxes: (server_inbox, transport_inbox) }
    }

    /// Registers and drops owners without bindings; returns the nanoseconds that dropping one lease took.
    fn exits(&self, exits: usize, recorder: &mut Recorder) -> f64 {
        let before = entry_counts(&self.registry);
        let owner = |number| {
            if number % 2 == 0 {
                Owner::server(&self.registry, server("idle", number))
            } else {
                Owner::transport(&self.registry, transport("idle", number))
            }
        };
        let (leases, inboxes): (Vec<_>, Vec<_>) =
            (0..exits).map(owner).map(|Owner { lease, inbox }| (lease, inbox)).unzip();
        let began = Instant::now();
        drop(leases);
        let took = began.elapsed();
        drop(inboxes);
        recorder.add_deaths(exits);
        recorder.expect_eq("entries after the idle owners left", entry_counts(&self.registry), before);
        took.as_nanos() as f64 / exits as f64
    }
}
