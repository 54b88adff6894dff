//! One server has 200,000 transports, while 2,000 more come and go each second, and then it dies.
//!
//! A registration and its removal are timed together, and must not depend on the number of other transports. When the
//! server dies, another thread reads the server of one transport after another: once one is unbound, all later ones
//! must be.

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

/// The interval between transports.
const PACE: Duration = Duration::from_micros(500);

pub(super) fn run<B: Backend>(recorder: &mut Recorder) {
    let transports = recorder.scaled(200_000);
    // For two seconds.
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
    recorder.expect_eq("entries after registration", entry_counts(&registry), all);

    let latencies = pass_through(&registry, &home, passing);
    recorder.add_deaths(passing);
    recorder.figure("join_and_leave_p50_us", latencies.per_mille(500) / 1e3);
    recorder.figure("join_and_leave_p99_us", latencies.p99_ns() / 1e3);
    recorder.figure("join_and_leave_max_us", latencies.max_ns() / 1e3);
    recorder.expect_eq("entries after the passing transports left", entry_counts(&registry), all);

    let (watching, watched) = mpsc::channel();
    let dead = AtomicBool::new(false);
    let (took, bound_after) = thread::scope(|scope| {
        let watcher = scope.spawn(|| watch(&registry, &ids, &dead, watching));
        watched.recv().expect("the watcher reports that it has seen all transports bound");
        let began = Instant::now();
        drop(lease);
        let took = began.elapsed();
        dead.store(true, Ordering::Release);
        (took, watcher.join().expect("lookups do not panic"))
    });
    recorder.add_deaths(1);
    recorder.set_cleanup(took);
    recorder.record_lag(took);
    recorder.expect_eq("transports seen bound after one was seen unbound", bound_after, 0);
    recorder.expect_eq(
        "entries after the server's death",
        entry_counts(&registry),
        EntryCounts { transports, ..EntryCounts::default() },
    );

    let began = Instant::now();
    drop(leases);
    recorder.time("transports_exit_ms", began.elapsed());
    recorder.add_deaths(transports);
    recorder.expect_empty("at the end", entry_counts(&registry));
}

/// Registers and drops transports at the given pace, one after another.
fn pass_through<B: Backend>(registry: &Registry<u64, B>, home: &ServerId, passing: usize) -> Latencies {
    let mut latencies = Latencies::new();
    let mut due = Instant::now();
    for number in 0..passing {
        let (id, (mailbox, _inbox)) = (transport("passing", number), mailbox(1));
        let began = Instant::now();
        drop(expect_lease(registry.register_transport_bound_to(id, mailbox, (), home)));
        latencies.record(began);
        due += PACE;
        // Paces the registrations by the clock.
        thread::sleep(due.saturating_duration_since(Instant::now()));
    }
    latencies
}

/// Reads the server of one transport after another until one is unbound or the server is dead; reports each pass that
/// found all bound. Returns how many of all transports are bound after that.
fn watch<B: Backend>(registry: &Registry<u64, B>, ids: &[TransportId], dead: &AtomicBool, ready: Sender<()>) -> usize {
    let is_bound = |id: &&TransportId| registry.server_for_transport(id).is_some();
    while !dead.load(Ordering::Acquire) && ids.iter().all(|id| is_bound(&id)) {
        // The first message lets the server die; the others are not received.
        let _ = ready.send(());
    }
    ids.iter().filter(is_bound).count()
}
