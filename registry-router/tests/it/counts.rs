//! Counts equal what was done, to the last one: many threads tally what they did and got, shard by shard, and the registry
//! must say the same, also when its figures are reset in the middle.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use registry_core::Backend;
use registry_router::{AlarmRule, HealthSettings, Limits, Registry, ShardStats};

use self::tally::Tally;
use self::worker::{Worker, World};
use crate::support::within;

mod tally;
mod worker;

over_every_backend! {
    counts_equal_what_many_threads_did_to_the_last_one,
    a_reset_in_the_middle_loses_nothing_but_the_figures,
}

const THREADS: usize = 8;

/// Ten million operations of a debug build, on a machine that is busy with other things.
const LIMIT: Duration = Duration::from_secs(330);

/// How many operations each thread makes, all of its runs together. The default backend gets the ten million that were
/// promised; the others get what is enough to see a count go wrong.
fn operations<B: Backend>(shards: usize) -> usize {
    match (B::NAME, shards) {
        ("papaya", 64) => 10_000_000 / THREADS,
        _ if cfg!(debug_assertions) => 320_000 / THREADS,
        _ => 1_600_000 / THREADS,
    }
}

/// With caps that some will meet. All shards that are written to alarm at a check, and nobody is shed for it.
fn limited<B: Backend>(shards: usize) -> Registry<u64, B> {
    let limits = Limits {
        servers: Some(worker::SERVERS_AT_MOST),
        transports_per_server: Some(worker::TRANSPORTS_PER_SERVER),
        sweep_every: Duration::from_secs(1_000_000),
        ..Limits::default()
    };
    let alarm = AlarmRule::default().with_threshold(Duration::from_nanos(1));
    let health = HealthSettings { close_above: 1.0, ..HealthSettings::default() };
    Registry::builder().shards(shards).limits(limits).alarm(alarm).health(health).build().unwrap()
}

/// Lets all workers work at once, each on a thread of its own, while something else happens; then nothing runs any more.
fn run<'a, B: Backend>(
    workers: &mut [Worker<'a, B>],
    work: impl Fn(&mut Worker<'a, B>) + Sync,
    meanwhile: impl FnOnce(),
) {
    let work = &work;
    std::thread::scope(|scope| {
        for worker in &mut *workers {
            scope.spawn(move || work(worker));
        }
        meanwhile();
    });
    workers.iter_mut().for_each(Worker::settle);
}

fn steps<B: Backend>(worker: &mut Worker<'_, B>, steps: usize) {
    (0..steps).for_each(|_| worker.step());
}

fn tallied<B: Backend>(shards: usize, workers: &[Worker<'_, B>]) -> Vec<Tally> {
    let mut sum = vec![Tally::default(); shards];
    for worker in workers {
        for (sum, tally) in sum.iter_mut().zip(&worker.tallies) {
            *sum = sum.plus(tally);
        }
    }
    sum
}

fn counted(stats: &[ShardStats]) -> Vec<Tally> {
    stats.iter().map(Tally::counted).collect()
}

/// Servers, transports and bindings of each shard: what is there, and no figure.
fn there(stats: &[ShardStats]) -> Vec<(usize, usize, usize)> {
    stats.iter().map(|shard| (shard.servers, shard.transports, shard.bindings)).collect()
}

fn counts_equal_what_many_threads_did_to_the_last_one<B: Backend>(shards: usize) {
    within(LIMIT, move || {
        let registry = limited::<B>(shards);
        let world = World::new(&registry);
        let mut workers: Vec<_> = (0..THREADS).map(|number| Worker::new(&world, number)).collect();
        let each = operations::<B>(shards);
        for _ in 0..2 {
            run(&mut workers, |worker| steps(worker, each / 2), || ());
            let stats = registry.all_shard_stats();
            assert_eq!(counted(&stats), tallied(shards, &workers));
            let bindings = workers.iter().map(Worker::bound).sum::<usize>();
            assert_eq!(stats.iter().map(|shard| shard.bindings).sum::<usize>(), bindings);
            assert_eq!(registry.transport_count(), workers.iter().map(Worker::transports).sum::<usize>());
        }
        let total = tallied(shards, &workers).iter().fold(Tally::default(), |sum, tally| sum.plus(tally));
        for (name, count) in total.named() {
            assert!(count > 0, "nothing was {name}: {total:?}");
        }
        assert_eq!(workers.iter().map(|worker| worker.operations).sum::<usize>(), each / 2 * 2 * THREADS);
        // When all have left, as many have gone as had come.
        workers.iter_mut().for_each(Worker::leave);
        drop(world);
        let stats = registry.all_shard_stats();
        assert_eq!(there(&stats), vec![(0, 0, 0); shards]);
        assert!(stats.iter().all(|shard| shard.registrations == shard.removals));
    });
}

fn a_reset_in_the_middle_loses_nothing_but_the_figures<B: Backend>(shards: usize) {
    within(LIMIT, move || {
        let registry = limited::<B>(shards);
        let world = World::new(&registry);
        let mut workers: Vec<_> = (0..THREADS).map(|number| Worker::new(&world, number)).collect();
        let each = operations::<B>(shards).min(40_000) / 2;

        // While nothing runs, a reset takes away exactly what was said before it, and nothing that is no figure.
        run(&mut workers, |worker| steps(worker, each), || ());
        registry.tick(std::time::Instant::now());
        let before = registry.all_shard_stats();
        let alarmed = registry.contention_status().alarmed;
        assert!(!alarmed.is_empty());
        registry.reset_stats();
        let after = registry.all_shard_stats();
        assert_eq!(counted(&after), vec![Tally::default(); shards]);
        assert_eq!((there(&after), registry.contention_status().alarmed), (there(&before), alarmed.clone()));

        // While others run: counts only grow between resets, so what the reset took is at least what was said just before
        // it, and what is left at the end is at least what was said just after. Nor can it have taken what was done later.
        let (mut just_before, mut just_after, mut begun) = (Vec::new(), Vec::new(), 0);
        let lookups = |tallies: &[Tally]| tallies.iter().map(Tally::lookups).sum::<u64>();
        let started = lookups(&tallied(shards, &workers));
        let done = AtomicBool::new(false);
        let work = |worker: &mut Worker<'_, B>| {
            steps(worker, each / 2);
            while !done.load(Ordering::Relaxed) {
                worker.step();
            }
            steps(worker, each / 2);
        };
        run(&mut workers, work, || {
            // In the middle: much has been done.
            while world.begun() < started + (each * THREADS / 4) as u64 {
                std::thread::yield_now();
            }
            just_before = registry.all_shard_stats();
            registry.reset_stats();
            begun = world.begun();
            just_after = registry.all_shard_stats();
            done.store(true, Ordering::Relaxed);
        });
        let end = registry.all_shard_stats();
        let all = tallied(shards, &workers);
        let (mut taken, mut left) = (0, 0);
        for shard in 0..shards {
            // What was counted since the first reset, in all.
            let whole = all[shard].minus(&Tally::counted(&before[shard])).without_hits();
            let end = Tally::counted_meanwhile(&end[shard]);
            let lost = whole.minus(&end);
            assert!(Tally::counted_meanwhile(&just_before[shard]).is_within(&lost), "shard {shard}");
            assert!(Tally::counted_meanwhile(&just_after[shard]).is_within(&end), "shard {shard}");
            taken += lost.lookups();
            left += end.lookups();
        }
        assert!(taken + started <= begun, "it took what had not begun");
        assert!(taken > 0 && left > 0, "it was not in the middle: {taken} and {left}");
        assert_eq!(registry.contention_status().alarmed, alarmed);
        let bindings = workers.iter().map(Worker::bound).sum::<usize>();
        assert_eq!((registry.binding_count(), registry.transports_of("nobody").len()), (bindings, 0));
        workers.iter_mut().for_each(Worker::leave);
        drop(world);
        assert_eq!(there(&registry.all_shard_stats()), vec![(0, 0, 0); shards]);
    });
}
