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

use super::fixture::{entry_counts, registry, server, transport};
use super::owner::expect_lease;
use super::recorder::{EntryCounts, Recorder};
use super::routing::Latencies;

/// How often a transport comes and goes.
const PACE: Duration = Duration::from_micros(500);

pub(super) fn run<B: Backend>(recorder: &mut Recorder) {
    let transports = recorder.scaled(200_000);
    // Two seconds of it.
    let passing = recorder.scaled(4_000);
    let registry = registry::<B>();
    let ((to_server, _server_inbox), (to_transport, _transport_inbox)) = (mailbox(1), mailbox(1));
    let home = server("home", 0);
    let lease = expect_lease(registry.register_server(home.clone(), to_server, ()));
    let ids: Vec<_> = (0..transports).map(|number| transport("bound", number)).collect();
    let leases: Vec<_> = ids
        .iter()
        .map(|id| expect_lease(registry.register_transport_bound_to(id.clone(), to_transport.clone(), (), &home)))
        .collect();
    let all = EntryCounts { servers: 1, transports, bindings: transports };
    recorder.expect_eq("what is registered", entry_counts(&registry), all);

    let latencies = come_and_go(&registry, &home, passing);
    recorder.add_deaths(passing);
    recorder.figure("join_and_leave_p50_us", latencies.per_mille(500) / 1e3);
    recorder.figure("join_and_leave_p99_us", latencies.p99_ns() / 1e3);
    recorder.figure("join_and_leave_max_us", latencies.max_ns() / 1e3);
    recorder.expect_eq("what is registered when those who came are gone", entry_counts(&registry), all);

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
    recorder.add_deaths(1);
    recorder.set_cleanup(took);
    recorder.record_lag(took);
    recorder.expect_eq("transports seen bound after one had been seen unbound", bound_after, 0);
    recorder.expect_eq(
        "what is registered when the server is dead",
        entry_counts(&registry),
        EntryCounts { transports, ..EntryCounts::default() },
    );

    let began = Instant::now();
    drop(leases);
    recorder.time("transports_exit_ms", began.elapsed());
    recorder.add_deaths(transports);
    recorder.expect_empty("when all are gone", entry_counts(&registry));
}

/// Lets transports come and go at the pace, one after the other.
fn come_and_go<B: Backend>(registry: &Registry<u64, B>, home: &ServerId, passing: usize) -> Latencies {
    let mut latencies = Latencies::new();
    let mut due = Instant::now();
    for number in 0..passing {
        let (id, (mailbox, _inbox)) = (transport("passing", number), mailbox(1));
        let began = Instant::now();
        drop(expect_lease(registry.register_transport_bound_to(id, mailbox, (), home)));
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
