//! 200,000 owners die within a second while messages are routed to 1,000 servers that stay alive.
//!
//! The deaths come in five rounds of a fifth of a second, in one batch a millisecond, on one thread, while another
//! thread routes. Before the deaths of each round the same routing is timed twice with the same number of entries: with
//! nothing else running, and with the same deaths in another registry. The first comparison gives the cost of a storm
//! for live servers; the second separates the registry's share from a busy second core, shared caches, and the release
//! of memory. All figures are medians of the rounds.

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

/// The duration of the deaths, over all rounds.
const DURATION: Duration = Duration::from_secs(1);

/// The interval between batches.
const PACE: Duration = Duration::from_millis(1);

/// One in this many dying owners is a server; the others are transports, bound to live servers.
const SERVERS: usize = 10;

pub(super) fn run<B: Backend>(recorder: &mut Recorder) {
    let deaths = recorder.scaled(200_000) / ROUNDS;
    let batches = recorder.scaled(DURATION.as_millis() as usize) / ROUNDS;
    let servers = recorder.scaled(1_000);
    let mut rng = recorder.rng();
    let mut live = LiveServers::new(registry::<B>(), servers, rng.fork());
    let other = LiveServers::new(registry::<B>(), servers, rng.fork());
    let (mut rounds, mut cpu_time) = (RoundMetrics::default(), Duration::ZERO);
    for _ in 0..ROUNDS {
        let dying_in_this_registry = dying(&live, deaths, batches, &mut rng);
        let dying_in_other_registry = dying(&other, deaths, batches, &mut rng);
        let no_deaths = (0..batches).map(|_| Vec::new()).collect();

        let (idle, _) = route_during(no_deaths, &mut live);
        let (control, _) = route_during(dying_in_other_registry, &mut live);
        let (during, stats) = route_during(dying_in_this_registry, &mut live);

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
        cpu_time += stats.cpu_time;
    }
    rounds.record_medians(recorder);
    recorder.set_cleanup(cpu_time);

    recorder.expect_eq("number of lost messages, and the first", live.lost(), None);
    recorder.expect(live.all_current(), || "a live server is no longer registered".to_owned());
    let mut remaining = entry_counts(&live.registry);
    remaining.servers -= servers.min(remaining.servers);
    recorder.expect_empty("beside the live servers", remaining);
    let registry = live.registry.clone();
    drop(live);
    recorder.expect_empty("at the end", entry_counts(&registry));
}

/// Registers owners that are to die, in batches.
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

/// The cost of the deaths.
struct ExitStats {
    /// From the first death to the last.
    took: Duration,
    /// The CPU time of dropping leases and inboxes.
    cpu_time: Duration,
    /// The longest drop of a lease.
    longest: Duration,
}

/// Routes messages while batches of owners die, one after another.
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

/// Drops batches of owners at the given pace, or as fast as possible.
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
        // Paces the batches by the clock.
        thread::sleep(due.saturating_duration_since(Instant::now()));
    }
    ExitStats { took: began.elapsed(), cpu_time: cpu_timer.end(), longest }
}
