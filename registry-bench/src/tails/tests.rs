//! Small runs of all scenarios.

use super::*;

fn request(backend: &str) -> Request {
    Request {
        backend: backend.to_owned(),
        shards: 4,
        tasks: 200,
        threads: 1,
        duration: Duration::from_millis(20),
        offered_per_s: Some(100_000.0),
        seed: 1,
    }
}

#[test]
fn every_scenario_is_measured_on_both_subjects() {
    for backend in choose::backends() {
        let tails = measure(&request(backend)).unwrap();
        let names: Vec<(&str, &str)> =
            tails.iter().map(|tail| (tail.scenario.as_str(), tail.operation.as_str())).collect();
        let of_one = [
            ("mixed", "lookup"),
            ("mixed", "route"),
            ("mixed", "register"),
            ("mixed", "bind"),
            ("mixed", "all"),
            ("lookups-alone", "lookup"),
            ("lookups-under-churn", "lookup"),
        ];
        assert_eq!(names, [of_one, of_one].concat(), "{backend}");
        for tail in &tails {
            assert!(tail.timed > 0 && tail.saturated_per_s > 0.0 && tail.tasks == 200, "{tail:?}");
            assert!(tail.service.p50_ns <= tail.service.p999_ns && tail.service.p50_ns > 0, "{tail:?}");
            assert!(tail.service.p50_ns <= tail.response.p50_ns, "nothing ends before it begins: {tail:?}");
        }
        // All operations that were due are done, however busy the machine is: some 2,000, with a standard deviation of
        // 45.
        let all = tails.iter().find(|tail| tail.operation == "all").unwrap();
        assert!(all.timed.abs_diff(2_000) < 300 && all.offered_per_s == 100_000.0, "{all:?}");
        let shares = |operation: &str| {
            let timed = |name: &str| tails.iter().find(|tail| tail.operation == name).unwrap().timed as f64;
            timed(operation) / timed("all")
        };
        let expected = [("lookup", 0.4), ("route", 0.3), ("register", 0.2), ("bind", 0.1)];
        assert!(expected.iter().all(|&(name, share)| (shares(name) - share).abs() < 0.1), "{backend}: {tails:?}");
    }
}

#[test]
fn churn_leaves_only_dead_entries_since_the_last_sweep() {
    let layout = Layout { shards: 1, servers: 10, transports: 1 };
    let counts = Counts { servers: 10, absent_ids: 0, claims: 2 * CHURNED, transports: 1 };
    let fixture = Fixture::new(counts, 1);
    let registry = registry_router::Registry::<Message>::builder().shards(layout.shards).build().unwrap();
    let session = crate::registry::RegistrySession::over(registry.clone());
    let over = AtomicBool::new(false);
    thread::scope(|scope| {
        let churn = scope.spawn(|| churn(&session, &fixture, &over));
        // Until both kinds of registrations have been made many times.
        while registry.all_shard_stats().iter().map(|stats| stats.swept).sum::<u64>() < 10 * BETWEEN_SWEEPS as u64 {
            thread::yield_now();
        }
        over.store(true, Ordering::Relaxed);
        churn.join().unwrap().check().unwrap();
    });
    assert!(registry.server_count() <= BETWEEN_SWEEPS, "{} are left", registry.server_count());
}
