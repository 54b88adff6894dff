//! Exactness of the counters: many threads tally the outcomes of their operations per shard, and the counters of the
//! registry must equal the sums, also across a concurrent reset.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use registry_core::Backend;
use registry_router::{AlarmRule, HealthSettings, Limits, Registry, ShardStats};

use self::tally::Tally;
use self::worker::{Fixture, Worker};
use crate::support::within;

mod tally;
mod worker;

test_every_backend! {
    counts_equal_what_many_threads_did_to_the_last_one,
    a_concurrent_reset_clears_only_counters,
}

const THREADS: usize = 8;

/// Long enough for ten million operations of a debug build on a busy machine.
const LIMIT: Duration = Duration::from_secs(330);

/// Returns the number of operations of each thread, over all of its runs: ten million in total for the default backend,
/// fewer for the others.
fn operations<B: Backend>(shards: usize) -> usize {
    match (B::NAME, shards) {
        ("papaya", 64) => 10_000_000 / THREADS,
        _ if cfg!(debug_assertions) => 320_000 / THREADS,
        _ => 1_600_000 / THREADS,
    }
}

/// Builds a registry with limits that some operations reach. Every shard with writes raises an alarm at a check, but
/// admission stays open.
fn limited<B: Backend>(shards: usize) -> Registry<u64, B> {
    let limits = Limits::default()
        .with_servers(worker::SERVERS_AT_MOST)
        .with_transports_per_server(worker::TRANSPORTS_PER_SERVER)
        .with_sweep_every(Duration::from_secs(1_000_000));
    let alarm = AlarmRule::default().with_threshold(Duration::from_nanos(1));
    let health = HealthSettings::default().with_close_above(1.0);
    Registry::builder().shards(shards).limits(limits).alarm(alarm).health(health).build().unwrap()
}

/// Runs all workers concurrently, one thread each, and `meanwhile` on this one; returns when all have ended.
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
    workers.iter_mut().for_each(Worker::reconcile);
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

/// Returns the numbers of servers, transports and bindings of each shard.
fn entries(stats: &[ShardStats]) -> Vec<(usize, usize, usize)> {
    stats.iter().map(|shard| (shard.servers, shard.transports, shard.bindings)).collect()
}

fn counts_equal_what_many_threads_did_to_the_last_one<B: Backend>(shards: usize) {
    within(LIMIT, move || {
        let registry = limited::<B>(shards);
        let fixture = Fixture::new(&registry);
        let mut workers: Vec<_> = (0..THREADS).map(|number| Worker::new(&fixture, number)).collect();
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
            assert!(count > 0, "no operation was counted as {name}: {total:?}");
        }
        assert_eq!(workers.iter().map(|worker| worker.operations).sum::<usize>(), each / 2 * 2 * THREADS);
        // After all entries are released, removals equal registrations.
        workers.iter_mut().for_each(Worker::release_all);
        drop(fixture);
        let stats = registry.all_shard_stats();
        assert_eq!(entries(&stats), vec![(0, 0, 0); shards]);
        assert!(stats.iter().all(|shard| shard.registrations == shard.removals));
    });
}

fn a_concurrent_reset_clears_only_counters<B: Backend>(shards: usize) {
    within(LIMIT, move || {
        let registry = limited::<B>(shards);
        let fixture = Fixture::new(&registry);
        let mut workers: Vec<_> = (0..THREADS).map(|number| Worker::new(&fixture, number)).collect();
        let each = operations::<B>(shards).min(40_000) / 2;

        // At rest, a reset clears exactly the counters, and neither entries nor alarms.
        run(&mut workers, |worker| steps(worker, each), || ());
        registry.tick(std::time::Instant::now());
        let before = registry.all_shard_stats();
        let alarmed = registry.contention_status().alarmed;
        assert!(!alarmed.is_empty());
        registry.reset_stats();
        let after = registry.all_shard_stats();
        assert_eq!(counted(&after), vec![Tally::default(); shards]);
        assert_eq!((entries(&after), registry.contention_status().alarmed), (entries(&before), alarmed.clone()));

        // Under concurrency: counters only grow between resets, so the reset cleared at least the values read just
        // before it, and at least the values read just after it remain at the end. Nor can it have cleared later
        // operations.
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
            // Reset once a quarter of the operations has begun.
            while fixture.begun() < started + (each * THREADS / 4) as u64 {
                std::thread::yield_now();
            }
            just_before = registry.all_shard_stats();
            registry.reset_stats();
            begun = fixture.begun();
            just_after = registry.all_shard_stats();
            done.store(true, Ordering::Relaxed);
        });
        let end = registry.all_shard_stats();
        let all = tallied(shards, &workers);
        let (mut cleared, mut left) = (0, 0);
        for shard in 0..shards {
            // All operations since the first reset.
            let whole = all[shard].minus(&Tally::counted(&before[shard])).without_hits();
            let end = Tally::counted_concurrently(&end[shard]);
            let cleared_here = whole.minus(&end);
            assert!(Tally::counted_concurrently(&just_before[shard]).is_within(&cleared_here), "shard {shard}");
            assert!(Tally::counted_concurrently(&just_after[shard]).is_within(&end), "shard {shard}");
            cleared += cleared_here.lookups();
            left += end.lookups();
        }
        assert!(cleared + started <= begun, "the reset cleared operations that had not begun");
        assert!(cleared > 0 && left > 0, "the reset was not concurrent: {cleared} cleared, {left} left");
        assert_eq!(registry.contention_status().alarmed, alarmed);
        let bindings = workers.iter().map(Worker::bound).sum::<usize>();
        assert_eq!((registry.binding_count(), registry.transports_of("absent").len()), (bindings, 0));
        workers.iter_mut().for_each(Worker::release_all);
        drop(fixture);
        assert_eq!(entries(&registry.all_shard_stats()), vec![(0, 0, 0); shards]);
    });
}
