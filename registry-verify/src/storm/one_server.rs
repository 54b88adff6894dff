//! One server has 200,000 transports, of which 2,000 come and go in a second, and then it dies.
//!
//! Coming and going is timed as one, and must not depend on how many others there are. When the server dies, another
//! thread asks one transport after the other for its server: from the first one that has none on, none may have one.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, Sender};
use std::thread;
use std::time::{Duration, Instant};

use registry_core::Backend;
use registry_router::{Registry, ServerId, TransportId, mailbox};

use super::field::{held, registry, server, transport};
use super::logbook::{Left, Logbook};
use super::owner::granted;
use super::routing::Latencies;

/// How often a transport comes and goes.
const PACE: Duration = Duration::from_micros(500);

pub(super) fn run<B: Backend>(logbook: &mut Logbook) {
    let transports = logbook.sized(200_000);
    // Two seconds of it.
    let passing = logbook.sized(4_000);
    let registry = registry::<B>();
    let ((to_server, _server_inbox), (to_transport, _transport_inbox)) = (mailbox(1), mailbox(1));
    let home = server("home", 0);
    let lease = granted(registry.register_server(home.clone(), to_server, ()));
    let ids: Vec<_> = (0..transports).map(|number| transport("bound", number)).collect();
    let leases: Vec<_> = ids
        .iter()
        .map(|id| granted(registry.register_transport_bound_to(id.clone(), to_transport.clone(), (), &home)))
        .collect();
    let all = Left { servers: 1, transports, bindings: transports };
    logbook.expect_eq("what is registered", held(&registry), all);

    let latencies = come_and_go(&registry, &home, passing);
    logbook.died(passing);
    logbook.figure("join_and_leave_p50_us", latencies.per_mille(500) / 1e3);
    logbook.figure("join_and_leave_p99_us", latencies.p99_ns() / 1e3);
    logbook.figure("join_and_leave_max_us", latencies.max_ns() / 1e3);
    logbook.expect_eq("what is registered when those who came are gone", held(&registry), all);

    let (watching, watched) = mpsc::channel();
    let dead = AtomicBool::new(false);
    let (took, bound_after) = thread::scope(|scope| {
        let watcher = scope.spawn(|| watch(&registry, &ids, &dead, watching));
        watched.recv().expect("the watcher says so when it has seen all transports bound");
        let began = Instant::now();
        drop(lease);
        let took = began.elapsed();
        dead.store(true, Ordering::Release);
        (took, watcher.join().expect("looking up does not panic"))
    });
    logbook.died(1);
    logbook.cleaned_in(took);
    logbook.lagged(took);
    logbook.expect_eq("transports seen bound after one had been seen unbound", bound_after, 0);
    logbook.expect_eq(
        "what is registered when the server is dead",
        held(&registry),
        Left { transports, ..Left::default() },
    );

    let began = Instant::now();
    drop(leases);
    logbook.time("transports_exit_ms", began.elapsed());
    logbook.died(transports);
    logbook.left_over("when all are gone", held(&registry));
}

/// Lets transports come and go at the pace, one after the other.
fn come_and_go<B: Backend>(registry: &Registry<u64, B>, home: &ServerId, passing: usize) -> Latencies {
    let mut latencies = Latencies::new();
    let mut due = Instant::now();
    for number in 0..passing {
        let (id, (mailbox, _inbox)) = (transport("passing", number), mailbox(1));
        let began = Instant::now();
        drop(granted(registry.register_transport_bound_to(id, mailbox, (), home)));
        latencies.record(began);
        due += PACE;
        // What is waited for is the time itself.
        thread::sleep(due.saturating_duration_since(Instant::now()));
    }
    latencies
}

/// Asks one transport after the other for its server until one has none, or the server is dead; says so when it has
/// seen all of them bound. Returns how many of all have one after that.
fn watch<B: Backend>(registry: &Registry<u64, B>, ids: &[TransportId], dead: &AtomicBool, ready: Sender<()>) -> usize {
    let is_bound = |id: &&TransportId| registry.server_for_transport(id).is_some();
    while !dead.load(Ordering::Acquire) && ids.iter().all(|id| is_bound(&id)) {
        // When it is told once, it lets the server die; nobody listens to the other times.
        let _ = ready.send(());
    }
    ids.iter().filter(is_bound).count()
}
