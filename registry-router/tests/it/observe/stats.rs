//! Statistics: exact at rest, resettable, and with a stable assignment of ids to shards.

use std::time::Duration;

use registry_core::Backend;
use registry_router::backends::Reference;
use registry_router::{Contention, ContentionKind, MonitorSettings, Registry, ServerId, ShardStats, Tokio};

use crate::support::fault_injection::{Behavior, Call, faulty_registry, ids};
use crate::support::{registry, server_mailbox, transport, transport_mailbox, within_time_limit};

test_every_backend! {
    counters_equal_the_operations_performed,
    counters_are_exact_after_concurrent_operations,
    a_reset_clears_only_counters,
    contention_is_counted_per_shard_until_reset,
    an_out_of_range_shard_has_no_stats,
    an_id_always_maps_to_the_same_shard,
    nothing_is_counted_without_a_probe,
    writes_and_sampled_reads_are_timed,
}

fn total<B: Backend>(registry: &Registry<u64, B>) -> ShardStats {
    let mut total = ShardStats::default();
    for (index, shard) in registry.all_shard_stats().into_iter().enumerate() {
        assert_eq!(shard.shard, index);
        assert_eq!(shard.hits + shard.misses, shard.lookups);
        total.servers += shard.servers;
        total.transports += shard.transports;
        total.lookups += shard.lookups;
        total.misses += shard.misses;
        total.registrations += shard.registrations;
        total.removals += shard.removals;
        total.rejections += shard.rejections;
        total.binds += shard.binds;
        total.unbinds += shard.unbinds;
        total.routes += shard.routes;
        total.full += shard.full;
        total.closed += shard.closed;
    }
    total
}

fn counters_equal_the_operations_performed<B: Backend>(shards: usize) {
    let registry = registry::<B>(shards);
    let (mailbox, inbox) = server_mailbox();
    let lease = registry.register_server("s", mailbox, ()).unwrap();
    let (mailbox, _inbox) = transport_mailbox();
    let t = registry.register_transport("t", mailbox.clone(), ()).unwrap();
    registry.register_transport("t", mailbox, ()).unwrap_err(); // a rejection
    registry.find_server("s").unwrap(); // lookup 1
    assert!(registry.find_server("absent").is_none()); // 2, a miss
    registry.bind_transport_to_server("t", "s").unwrap(); // 3 and 4
    registry.unbind_transport("t"); // 5
    for message in 0..9 {
        let _ = registry.route_to_server("s", t.id(), message); // 6 to 14, the last one full
    }
    drop(inbox);
    registry.route_to_server("s", t.id(), 9).unwrap_err(); // 15, closed, and the server is removed
    registry.route_to_server("s", t.id(), 9).unwrap_err(); // 16, a miss
    drop(lease);
    let total = total(&registry);
    assert_eq!((total.servers, total.transports), (0, 1));
    assert_eq!((total.lookups, total.misses), (16, 2));
    assert_eq!((total.registrations, total.removals, total.rejections), (2, 1, 1));
    assert_eq!((total.binds, total.unbinds), (1, 1));
    assert_eq!((total.routes, total.full, total.closed), (8, 1, 1));
}

fn counters_are_exact_after_concurrent_operations<B: Backend>(shards: usize) {
    within_time_limit(move || {
        const THREADS: u64 = 4;
        const ROUNDS: u64 = 500;
        let registry = registry::<B>(shards);
        let (mailbox, _inbox) = server_mailbox();
        let _s = registry.register_server("s", mailbox, ()).unwrap();
        std::thread::scope(|scope| {
            for thread in 0..THREADS {
                let registry = &registry;
                scope.spawn(move || {
                    for round in 0..ROUNDS {
                        let (mailbox, _inbox) = transport_mailbox();
                        let id = format!("t{thread}-{round}");
                        let _lease = registry.register_transport_bound_to(id.as_str(), mailbox, (), "s").unwrap();
                        registry.route_to_transport(&id, &ServerId::new("s").unwrap(), round).unwrap();
                        assert!(registry.find_transport("absent").is_none());
                    }
                });
            }
        });
        let total = total(&registry);
        let done = THREADS * ROUNDS;
        assert_eq!((total.registrations, total.removals, total.binds), (done + 1, done, done));
        assert_eq!((total.lookups, total.misses, total.routes), (3 * done, done, done));
        assert_eq!((total.servers, total.transports), (1, 0));
    });
}

fn a_reset_clears_only_counters<B: Backend>(shards: usize) {
    let registry = registry::<B>(shards);
    let (mailbox, _inbox) = server_mailbox();
    let _s = registry.register_server("s", mailbox, ()).unwrap();
    let (mailbox, _inbox) = transport_mailbox();
    let _t = registry.register_transport_bound_to("t", mailbox, (), "s").unwrap();
    registry.reset_stats();
    let after = total(&registry);
    assert_eq!((after.servers, after.transports), (1, 1));
    assert_eq!((after.lookups, after.registrations, after.binds), (0, 0, 0));
    assert_eq!(registry.transports_of("s").len(), 1); // a lookup
    assert_eq!(total(&registry).lookups, 1);
}

fn contention_is_counted_per_shard_until_reset<B: Backend>(shards: usize) {
    let (registry, faults) = faulty_registry::<B>(shards, |builder| builder);
    let contention = || -> Vec<u64> {
        let of = |stats: ShardStats| stats.contention.expect("the backend counts contention");
        let all: Vec<Contention> = registry.all_shard_stats().into_iter().map(of).collect();
        assert!(all.iter().all(|contention| contention.kind == ContentionKind::LockWait));
        all.iter().map(|contention| contention.count).collect()
    };
    let ids = ids(&registry);
    let mut expected = vec![0; shards];
    for round in 0..2 {
        for (shard, id) in ids.iter().enumerate().skip(round) {
            faults.set(shard, Call::Read, Behavior::FailOnce);
            assert!(registry.with_server(id, |_| ()).is_none());
            faults.set(shard, Call::Read, Behavior::FailOnce);
            assert!(registry.with_transport(id, |_| ()).is_none());
            expected[shard] = 2;
        }
        assert_eq!(contention(), expected, "contention is the sum over both tables of a shard");
        registry.reset_stats();
        expected.fill(0);
        assert_eq!(contention(), expected);
    }
}

fn an_out_of_range_shard_has_no_stats<B: Backend>(shards: usize) {
    let registry = registry::<B>(shards);
    assert_eq!(registry.all_shard_stats().len(), shards);
    assert!(registry.shard_stats(shards - 1).is_some());
    assert!(registry.shard_stats(shards).is_none());
    assert!(registry.shard_stats(usize::MAX).is_none());
}

fn an_id_always_maps_to_the_same_shard<B: Backend>(shards: usize) {
    let (one, two) = (registry::<B>(shards), registry::<B>(shards));
    for i in 0..100 {
        let id = format!("s{i}");
        let shard = one.shard_of(&id);
        assert_eq!(shard, two.shard_of(&id));
        let (mailbox, _inbox) = server_mailbox();
        let _lease = one.register_server(id.as_str(), mailbox, ()).unwrap();
        assert_eq!(one.shard_stats(shard).unwrap().servers, 1);
    }
}

fn nothing_is_counted_without_a_probe<B: Backend>(shards: usize) {
    let registry = Registry::<u64, B>::builder().shards(shards).probe(|_| ()).build().unwrap();
    let (mailbox, _inbox) = server_mailbox();
    let _s = registry.register_server("s", mailbox, ()).unwrap();
    registry.route_to_server("s", &transport("t"), 1).unwrap();
    let stats = registry.shard_stats(registry.shard_of("s")).unwrap();
    assert_eq!((stats.servers, stats.registrations, stats.lookups, stats.routes), (1, 0, 0, 0));
    assert_eq!(registry.contention_status().alarmed, [0; 0]);
}

fn writes_and_sampled_reads_are_timed<B: Backend>(shards: usize) {
    let window = Duration::from_secs(3_600);
    let monitor = MonitorSettings::default().with_sample_every(4).with_window(window);
    let registry: Registry<u64, B> = Registry::builder().shards(shards).monitor(monitor).build().unwrap();
    let (mailbox, _inbox) = server_mailbox();
    let lease = registry.register_server("s", mailbox, ()).unwrap();
    for _ in 0..40 {
        registry.find_server("s").unwrap();
    }
    lease.release();
    let stats = registry.shard_stats(registry.shard_of("s")).unwrap();
    assert_eq!((stats.writes.count, stats.reads.count), (2, 10));
    for latency in [stats.writes, stats.reads] {
        assert!(latency.min_ns <= latency.p50_ns && latency.p50_ns <= latency.p99_ns, "{latency:?}");
        assert!(latency.min_ns as f64 <= latency.mean_ns && latency.mean_ns <= latency.max_ns as f64, "{latency:?}");
    }
}

#[test]
fn ids_are_distributed_uniformly_over_shards() {
    let registry: Registry<u64, Reference, Tokio> = Registry::builder().build().unwrap();
    let (mailbox, _inbox) = server_mailbox();
    for i in 0..50_000 {
        registry.register_server(format!("server-{i}"), mailbox.clone(), ()).unwrap().detach();
    }
    let status = registry.contention_status();
    assert!(status.skew < 0.30, "skew {}", status.skew);
    // Chi-square with 63 degrees of freedom: 99.99 % of random spreads lie below 1.8 per degree.
    assert!(status.imbalance < 1.8, "imbalance {}", status.imbalance);
}
