//! 500 owners that hold nothing leave, among 20,000 servers that have transports and among 20.
//!
//! Who holds nothing should cost the same to clean up after, however many others there are. The owners are servers that
//! nobody is bound to and transports that are bound to nobody, and the two crowds take turns; the figures are medians.
//! Between the two lies what a larger table costs anybody who touches it: caches that no longer hold it.

use std::time::Instant;

use registry_core::Backend;
use registry_router::{Inbox, Registry, ToServer, ToTransport, mailbox};

use super::field::{held, registry, server, transport};
use super::logbook::{Logbook, Rounds};
use super::owner::{AnyLease, Owner, granted};

pub(super) fn run<B: Backend>(logbook: &mut Logbook) {
    let exits = logbook.sized(500);
    let many = Crowd::<B>::new(logbook.sized(20_000));
    let few = Crowd::<B>::new(20);
    let mut rounds = Rounds::default();
    for _ in 0..logbook.rounds(9) {
        let among_few = few.exits(exits, logbook);
        let among_many = many.exits(exits, logbook);
        rounds.add("exit_among_few_ns", among_few);
        rounds.add("exit_among_many_ns", among_many);
        rounds.add("ratio_x", among_many / among_few);
    }
    rounds.note(logbook);
    for crowd in [many, few] {
        let Crowd { registry, leases, .. } = crowd;
        logbook.died(leases.len());
        drop(leases);
        logbook.left_over("when the crowd is gone too", held(&registry));
    }
}

/// Servers with a transport each, which stay.
struct Crowd<B: Backend> {
    registry: Registry<u64, B>,
    leases: Vec<AnyLease>,
    /// Nobody sends anything; the inboxes keep the mailboxes open.
    _inboxes: (Inbox<ToServer<u64>>, Inbox<ToTransport<u64>>),
}

impl<B: Backend> Crowd<B> {
    fn new(servers: usize) -> Self {
        let registry = registry::<B>();
        let ((to_server, server_inbox), (to_transport, transport_inbox)) = (mailbox(1), mailbox(1));
        let mut leases = Vec::new();
        for number in 0..servers {
            let id = server("crowd", number);
            leases.push(AnyLease::Server(granted(registry.register_server(id.clone(), to_server.clone(), ()))));
            let bound = registry.register_transport_bound_to(transport("crowd", number), to_transport.clone(), (), id);
            leases.push(AnyLease::Transport(granted(bound)));
        }
        Self { registry, leases, _inboxes: (server_inbox, transport_inbox) }
    }

    /// Lets owners come and go that hold nothing, and says how many nanoseconds it took one to go.
    fn exits(&self, exits: usize, logbook: &mut Logbook) -> f64 {
        let before = held(&self.registry);
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
        logbook.died(exits);
        logbook.expect_eq("what is registered when the idle are gone", held(&self.registry), before);
        took.as_nanos() as f64 / exits as f64
    }
}
