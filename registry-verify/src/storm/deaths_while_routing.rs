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

use super::field::{held, registry, server, transport};
use super::logbook::{Logbook, Rounds};
use super::owner::Owner;
use super::routing::{Latencies, Living};
use super::work::Work;

const ROUNDS: usize = 5;

/// How long the deaths of all rounds take together.
const STORM: Duration = Duration::from_secs(1);

/// How often a batch dies.
const PACE: Duration = Duration::from_millis(1);

/// One in so many of the dying is a server; the others are transports, bound to servers that live on.
const SERVERS: usize = 10;

pub(super) fn run<B: Backend>(logbook: &mut Logbook) {
    let deaths = logbook.sized(200_000) / ROUNDS;
    let batches = logbook.sized(STORM.as_millis() as usize) / ROUNDS;
    let servers = logbook.sized(1_000);
    let mut rng = logbook.rng();
    let mut living = Living::new(registry::<B>(), servers, rng.fork());
    let elsewhere = Living::new(registry::<B>(), servers, rng.fork());
    let (mut rounds, mut work) = (Rounds::default(), Duration::ZERO);
    for _ in 0..ROUNDS {
        let dying_here = dying(&living, deaths, batches, &mut rng);
        let dying_elsewhere = dying(&elsewhere, deaths, batches, &mut rng);
        let nobody = (0..batches).map(|_| Vec::new()).collect();

        let (idle, _) = route_during(nobody, &mut living);
        let (control, _) = route_during(dying_elsewhere, &mut living);
        let (during, toll) = route_during(dying_here, &mut living);

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
        rounds.add("deaths_per_s", deaths as f64 / toll.took.as_secs_f64());
        logbook.died(deaths);
        logbook.lagged(toll.longest);
        work += toll.work;
    }
    rounds.note(logbook);
    logbook.cleaned_in(work);

    logbook.expect_eq("messages that were lost, and the first", living.lost(), None);
    logbook.expect(living.all_current(), || "one that lives on is not registered any more".to_owned());
    let mut left = held(&living.registry);
    left.servers -= servers.min(left.servers);
    logbook.left_over("beside the living", left);
    let registry = living.registry.clone();
    drop(living);
    logbook.left_over("when all are gone", held(&registry));
}

/// Owners that are to die, in batches.
fn dying<B: Backend>(living: &Living<B>, deaths: usize, batches: usize, rng: &mut fastrand::Rng) -> Vec<Vec<Owner>> {
    let mut owners: Vec<_> = (0..deaths)
        .map(|number| {
            if number % SERVERS == 0 {
                return Owner::server(&living.registry, server("dying", number));
            }
            let home = &living.ids[rng.usize(..living.ids.len())];
            Owner::bound(&living.registry, transport("dying", number), home)
        })
        .collect();
    rng.shuffle(&mut owners);
    let batch = deaths.div_ceil(batches);
    (0..batches).map(|_| owners.split_off(owners.len().saturating_sub(batch))).collect()
}

/// What it took to die.
struct Toll {
    /// From the first death to the last.
    took: Duration,
    /// The work of dying: ending the registration, and giving back the inbox.
    work: Duration,
    /// The longest that it took to end a registration.
    longest: Duration,
}

/// Routes messages while batches of owners die, one after the other.
fn route_during<B: Backend>(batches: Vec<Vec<Owner>>, living: &mut Living<B>) -> (Latencies, Toll) {
    let stop = AtomicBool::new(false);
    thread::scope(|scope| {
        let killer = scope.spawn(|| {
            let toll = kill(batches);
            stop.store(true, Ordering::Relaxed);
            toll
        });
        let latencies = living.route_while(|_| !stop.load(Ordering::Relaxed));
        (latencies, killer.join().expect("dropping leases does not panic"))
    })
}

/// Lets batches of owners die, one at each beat of the pace, or as fast as it can.
fn kill(batches: Vec<Vec<Owner>>) -> Toll {
    let began = Instant::now();
    let work = Work::begin();
    let mut longest = Duration::ZERO;
    let mut due = began;
    for batch in batches {
        for Owner { lease, inbox } in batch {
            let died = Instant::now();
            drop(lease);
            longest = longest.max(died.elapsed());
            drop(inbox);
        }
        due += PACE;
        // What is waited for is the time itself.
        thread::sleep(due.saturating_duration_since(Instant::now()));
    }
    Toll { took: began.elapsed(), work: work.end(), longest }
}
