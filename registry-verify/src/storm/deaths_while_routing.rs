//! 200,000 owners die within a second while messages are routed to 1,000 servers that live on.
//!
//! The deaths come in five rounds of a fifth of a second each, in batches once a millisecond, by one thread, while
//! another one routes. Before the deaths of each round the same routing is timed twice, with just as many registered:
//! when nothing else goes on, and when the same deaths happen in another registry. The first comparison says what a
//! storm costs those who live; the second how much of that is the registry's doing, and not that the other core is
//! busy, its caches are shared, and memory is given back. All figures are medians of the rounds.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use registry_core::Backend;

use super::cpu_timer::CpuTimer;
use super::fixture::{entry_counts, registry, server, transport};
use super::owner::Owner;
use super::recorder::{Recorder, RoundMetrics};
use super::routing::{Latencies, LiveServers};

const ROUNDS: usize = 5;

/// How long the deaths of all rounds take together.
const STORM: Duration = Duration::from_secs(1);

/// How often a batch dies.
const PACE: Duration = Duration::from_millis(1);

/// One in so many of the dying is a server; the others are transports, bound to servers that live on.
const SERVERS: usize = 10;

pub(super) fn run<B: Backend>(recorder: &mut Recorder) {
    let deaths = recorder.scaled(200_000) / ROUNDS;
    let batches = recorder.scaled(STORM.as_millis() as usize) / ROUNDS;
    let servers = recorder.scaled(1_000);
    let mut rng = recorder.rng();
    let mut live = LiveServers::new(registry::<B>(), servers, rng.fork());
    let elsewhere = LiveServers::new(registry::<B>(), servers, rng.fork());
    let (mut rounds, mut cpu_timer) = (RoundMetrics::default(), Duration::ZERO);
    for _ in 0..ROUNDS {
        let dying_here = dying(&live, deaths, batches, &mut rng);
        let dying_elsewhere = dying(&elsewhere, deaths, batches, &mut rng);
        let nobody = (0..batches).map(|_| Vec::new()).collect();

        let (idle, _) = route_during(nobody, &mut live);
        let (control, _) = route_during(dying_elsewhere, &mut live);
        let (during, stats) = route_during(dying_here, &mut live);

        rounds.add("idle_p50_ns", idle.per_mille(500));
        rounds.add("idle_p99_ns", idle.p99_ns());
        rounds.add("idle_p999_ns", idle.per_mille(999));
        rounds.add("control_p99_ns", control.p99_ns());
        rounds.add("control_p999_ns", control.per_mille(999));
        rounds.add("during_p50_ns", during.per_mille(500));
        rounds.add("during_p99_ns", during.p99_ns());
        rounds.add("during_p999_ns", during.per_mille(999));
        rounds.add("during_max_ns", during.max_ns());
        rounds.add("ratio_p99_x", during.p99_ns() / idle.p99_ns());
        rounds.add("ratio_to_control_p99_x", during.p99_ns() / control.p99_ns());
        rounds.add("deaths_per_s", deaths as f64 / stats.took.as_secs_f64());
        recorder.add_deaths(deaths);
        recorder.record_lag(stats.longest);
        cpu_timer += stats.cpu_timer;
    }
    rounds.note(recorder);
    recorder.set_cleanup(cpu_timer);

    recorder.expect_eq("messages that were lost, and the first", live.lost(), None);
    recorder.expect(live.all_current(), || "one that lives on is not registered any more".to_owned());
    let mut remaining = entry_counts(&live.registry);
    remaining.servers -= servers.min(remaining.servers);
    recorder.expect_empty("beside the living", remaining);
    let registry = live.registry.clone();
    drop(live);
    recorder.expect_empty("when all are gone", entry_counts(&registry));
}

/// Owners that are to die, in batches.
fn dying<B: Backend>(live: &LiveServers<B>, deaths: usize, batches: usize, rng: &mut fastrand::Rng) -> Vec<Vec<Owner>> {
    let mut owners: Vec<_> = (0..deaths)
        .map(|number| {
            if number % SERVERS == 0 {
                return Owner::server(&live.registry, server("dying", number));
            }
            let home = &live.ids[rng.usize(..live.ids.len())];
            Owner::bound(&live.registry, transport("dying", number), home)
        })
        .collect();
    rng.shuffle(&mut owners);
    let batch = deaths.div_ceil(batches);
    (0..batches).map(|_| owners.split_off(owners.len().saturating_sub(batch))).collect()
}

/// What it took to die.
struct ExitStats {
    /// From the first death to the last.
    took: Duration,
    /// The work of dying: ending the registration, and giving back the inbox.
    cpu_timer: Duration,
    /// The longest that it took to end a registration.
    longest: Duration,
}

/// Routes messages while batches of owners die, one after the other.
fn route_during<B: Backend>(batches: Vec<Vec<Owner>>, live: &mut LiveServers<B>) -> (Latencies, ExitStats) {
    let stop = AtomicBool::new(false);
    thread::scope(|scope| {
        let dropper = scope.spawn(|| {
            let stats = drop_in_batches(batches);
            stop.store(true, Ordering::Relaxed);
            stats
        });
        let latencies = live.route_while(|_| !stop.load(Ordering::Relaxed));
        (latencies, dropper.join().expect("dropping leases does not panic"))
    })
}

/// Lets batches of owners die, one at each beat of the pace, or as fast as it can.
fn drop_in_batches(batches: Vec<Vec<Owner>>) -> ExitStats {
    let began = Instant::now();
    let cpu_timer = CpuTimer::begin();
    let mut longest = Duration::ZERO;
    let mut due = began;
    for batch in batches {
        for Owner { lease, inbox } in batch {
            let add_deaths = Instant::now();
            drop(lease);
            longest = longest.max(add_deaths.elapsed());
            drop(inbox);
        }
        due += PACE;
        // What is waited for is the time itself.
        thread::sleep(due.saturating_duration_since(Instant::now()));
    }
    ExitStats { took: began.elapsed(), cpu_timer: cpu_timer.end(), longest }
}
