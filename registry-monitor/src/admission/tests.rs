//! Limits are exact under concurrency, and a rejection states its reason and its retry delay.

use std::sync::Barrier;
use std::thread;

use proptest::prelude::*;

use super::*;

const SECOND: Duration = Duration::from_secs(1);

fn limiter(limits: Limits) -> Limiter {
    limits.check().unwrap();
    Limiter::new(limits, Instant::now())
}

fn tenant(name: &str) -> Metadata {
    Metadata::new().with("tenant", name)
}

fn admit(limiter: &Limiter, kind: Kind, metadata: &Metadata) -> Result<(), DenyReason> {
    limiter.admit(kind, metadata, Instant::now()).map_err(|error| {
        assert!(error.retry_after.is_some_and(|wait| !wait.is_zero()) && !error.message.is_empty(), "{error:?}");
        error.reason
    })
}

#[test]
fn without_limits_everything_is_admitted() {
    let limiter = limiter(Limits::default());
    for _ in 0..10_000 {
        admit(&limiter, Kind::Server, &tenant("a")).unwrap();
    }
    assert_eq!((limiter.limit_usage(), limiter.state()), (vec![], AdmissionState::Open));
}

#[test]
fn each_kind_has_its_own_limit() {
    let limiter = limiter(Limits::default().with_servers(2).with_transports(1));
    let none = Metadata::new();
    admit(&limiter, Kind::Server, &none).unwrap();
    admit(&limiter, Kind::Server, &none).unwrap();
    admit(&limiter, Kind::Transport, &none).unwrap();
    assert_eq!(admit(&limiter, Kind::Server, &none), Err(DenyReason::Limit(Limit::Servers)));
    assert_eq!(admit(&limiter, Kind::Transport, &none), Err(DenyReason::Limit(Limit::Transports)));
    limiter.release(Kind::Server, &none);
    admit(&limiter, Kind::Server, &none).unwrap();
    let servers = LimitUsage::new(Limit::Servers, 2).with_used(2).with_hits(1);
    assert_eq!(limiter.limit_usage(), [servers, LimitUsage::new(Limit::Transports, 1).with_used(1).with_hits(1)]);
}

#[test]
fn each_label_value_has_its_own_limit_and_is_removed_when_unused() {
    let label = LabelLimit::new("tenant").with_transports(2);
    let limiter = limiter(Limits::default().with_transports(3).with_label(label));
    let full = |value: &str| Limit::Label { kind: Kind::Transport, key: "tenant".into(), value: value.into() };
    for _ in 0..2 {
        admit(&limiter, Kind::Transport, &tenant("a")).unwrap();
        admit(&limiter, Kind::Server, &tenant("a")).unwrap();
    }
    assert_eq!(admit(&limiter, Kind::Transport, &tenant("a")), Err(DenyReason::Limit(full("a"))));
    // The capacity under the other limit was released.
    admit(&limiter, Kind::Transport, &tenant("b")).unwrap();
    assert_eq!(admit(&limiter, Kind::Transport, &tenant("b")), Err(DenyReason::Limit(Limit::Transports)));
    assert_eq!(limiter.limit_usage().len(), 1, "label limits are not in the usage");
    let hits = LimitHits::default().with_limits(vec![LimitUsage::new(full("a"), 2).with_used(2).with_hits(1)]);
    assert_eq!((limiter.take_limit_hits(), limiter.take_limit_hits()), (hits, LimitHits::default()));
    limiter.release(Kind::Transport, &tenant("a"));
    admit(&limiter, Kind::Transport, &Metadata::new()).unwrap();
    for name in ["a", "b"] {
        limiter.release(Kind::Transport, &tenant(name));
    }
    assert!(format!("{:?}", limiter.labels).contains("values: 0"), "{:?}", limiter.labels);
}

#[test]
fn hits_are_drained_once_in_order_including_values_without_entries() {
    let label = LabelLimit::new("tenant").with_servers(1);
    let limiter = limiter(Limits::default().with_label(label));
    let names = |hits: LimitHits| -> Vec<(String, u64)> {
        let name = |limit| match limit {
            Limit::Label { value, .. } => value.to_string(),
            other => panic!("only label limits can be reached: {other}"),
        };
        hits.limits.into_iter().map(|hit| (name(hit.limit), hit.hits)).collect()
    };
    let hit = |name: &str, hits: u64| (name.to_owned(), hits);
    for name in ["b", "a"] {
        admit(&limiter, Kind::Server, &tenant(name)).unwrap();
        admit(&limiter, Kind::Server, &tenant(name)).unwrap_err();
        admit(&limiter, Kind::Server, &tenant(name)).unwrap_err();
    }
    assert!(!format!("{:?}", limiter.labels).contains("\"a\""), "values may be secrets");
    limiter.release(Kind::Server, &tenant("b"));
    assert_eq!(names(limiter.take_limit_hits()), [hit("b", 2), hit("a", 2)]);
    assert_eq!(names(limiter.take_limit_hits()), []);
    admit(&limiter, Kind::Server, &tenant("b")).unwrap();
    admit(&limiter, Kind::Server, &tenant("b")).unwrap_err();
    admit(&limiter, Kind::Server, &tenant("a")).unwrap_err();
    assert_eq!(names(limiter.take_limit_hits()), [hit("b", 1), hit("a", 3)]);
}

#[test]
fn concurrent_drains_lose_no_hit() {
    const HITS: u64 = 20_000;
    let label = LabelLimit::new("tenant").with_servers(1);
    let limiter = limiter(Limits::default().with_label(label));
    let names = ["a", "b", "c"];
    names.iter().for_each(|name| admit(&limiter, Kind::Server, &tenant(name)).unwrap());
    let mut last = std::collections::HashMap::new();
    let mut take = || last.extend(limiter.take_limit_hits().limits.into_iter().map(|hit| (hit.limit, hit.hits)));
    thread::scope(|scope| {
        let threads = names.map(|name| {
            let limiter = &limiter;
            scope.spawn(move || (0..HITS).for_each(|_| drop(admit(limiter, Kind::Server, &tenant(name)).unwrap_err())))
        });
        while threads.iter().any(|thread| !thread.is_finished()) {
            take();
        }
    });
    take();
    assert_eq!(last.into_values().collect::<Vec<_>>(), [HITS; 3]);
}

#[test]
fn memory_is_bounded_without_drains() {
    let label = LabelLimit::new("tenant").with_servers(1);
    let limiter = limiter(Limits::default().with_label(label));
    let register_and_remove = |number: u32| {
        let tenant = tenant(&number.to_string());
        admit(&limiter, Kind::Server, &tenant).unwrap();
        (0..3).for_each(|_| drop(admit(&limiter, Kind::Server, &tenant).unwrap_err()));
        limiter.release(Kind::Server, &tenant);
    };
    (0..66_000).for_each(register_and_remove);
    let hits = limiter.take_limit_hits();
    assert_eq!((hits.limits.len(), hits.unlisted), (65_536, 66_000 - 65_536));
    assert_eq!(limiter.take_limit_hits(), LimitHits::default());
    assert!(format!("{:?}", limiter.labels).contains("values: 0"), "{:?}", limiter.labels);
}

#[test]
fn the_rate_limit_allows_bursts_and_returns_the_exact_wait() {
    let rate = RateLimit::new(10, 5);
    let limits = Limits::default().with_rate(rate).with_servers(1_000);
    let start = Instant::now();
    let limiter = Limiter::new(limits, start);
    let none = Metadata::new();
    let burst = |now| (0..100).take_while(|_| limiter.admit(Kind::Server, &none, now).is_ok()).count();
    assert_eq!(burst(start), 5);
    let error = limiter.admit(Kind::Server, &none, start).unwrap_err();
    assert_eq!((error.reason, error.retry_after), (DenyReason::Limit(Limit::Rate), Some(SECOND / 10)));
    assert_eq!(burst(start + SECOND / 10 - Duration::from_nanos(1)), 0);
    assert_eq!(burst(start + SECOND / 10), 1);
    assert_eq!(burst(start), 0, "an earlier instant refills nothing");
    assert_eq!(burst(start + 10 * SECOND), 5);
    let in_a_minute: usize = (0..600).map(|tenth| burst(start + 20 * SECOND + tenth * SECOND / 10)).sum();
    assert_eq!(in_a_minute, 5 + 599);
    // A registration that the rate limit rejects holds no capacity.
    let [servers, rate] = &limiter.limit_usage()[..] else { panic!("{:?}", limiter.limit_usage()) };
    assert_eq!((servers.used, rate.max), (5 + 1 + 5 + 604, 10));
    assert!(rate.hits > 600);
}

#[test]
fn closed_admission_rejects_registrations_until_it_reopens() {
    let limiter = limiter(Limits::default());
    let none = Metadata::new();
    admit(&limiter, Kind::Server, &none).unwrap();
    limiter.health(AdmissionState::Closed, 3 * SECOND);
    assert_eq!(limiter.state(), AdmissionState::Closed);
    let error = limiter.admit(Kind::Server, &none, Instant::now()).unwrap_err();
    assert_eq!((error.reason, error.retry_after), (DenyReason::Closed, Some(3 * SECOND)));
    limiter.release(Kind::Server, &none);
    limiter.health(AdmissionState::Open, SECOND);
    admit(&limiter, Kind::Server, &none).unwrap();
    limiter.health(AdmissionState::Closed, Duration::ZERO);
    assert_eq!(limiter.state(), AdmissionState::Closed);
}

#[test]
fn concurrent_threads_acquire_exactly_the_capacity() {
    const THREADS: usize = 8;
    let label = || LabelLimit::new("tenant").with_servers(5);
    for (limits, limit) in [
        (Limits::default().with_servers(5), 5),
        (Limits::default().with_label(label()), 5),
        (Limits::default().with_servers(100).with_label(label()), 5),
        (Limits::default().with_rate(RateLimit::new(1, 5)), 5),
    ] {
        for _ in 0..200 {
            let limiter = limiter(limits.clone());
            let (start, together, metadata) = (Instant::now(), Barrier::new(THREADS), tenant("a"));
            let inside: usize = thread::scope(|scope| {
                let threads: Vec<_> = (0..THREADS)
                    .map(|_| {
                        scope.spawn(|| {
                            together.wait();
                            usize::from(limiter.admit(Kind::Server, &metadata, start).is_ok())
                        })
                    })
                    .collect();
                threads.into_iter().map(|thread| thread.join().unwrap()).sum()
            });
            assert_eq!(inside, limit, "{limits:?}");
        }
    }
}

#[test]
fn concurrent_acquire_and_release_never_exceed_the_limit() {
    let limiter = limiter(Limits::default().with_servers(3));
    let (inside, none) = (AtomicU64::new(0), Metadata::new());
    thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                for _ in 0..2_000 {
                    if limiter.admit(Kind::Server, &none, Instant::now()).is_ok() {
                        assert!(inside.fetch_add(1, Ordering::SeqCst) < 3);
                        inside.fetch_sub(1, Ordering::SeqCst);
                        limiter.release(Kind::Server, &none);
                    }
                }
            });
        }
    });
    assert_eq!(limiter.limit_usage()[0].used, 0);
}

#[test]
fn zero_limits_are_errors() {
    let label = |servers| LabelLimit::new("tenant").with_servers(servers);
    let rate = RateLimit::new;
    for limits in [
        Limits::default().with_servers(0),
        Limits::default().with_transports(0),
        Limits::default().with_transports_per_server(0),
        Limits::default().with_label(label(0)),
        Limits::default().with_rate(rate(0, 1)),
        Limits::default().with_rate(rate(1, 0)),
        Limits::default().with_retry_after(Duration::ZERO),
    ] {
        assert!(limits.check().is_err(), "{limits:?}");
        // The limiter does not panic with invalid limits.
        let _ = Limiter::new(limits, Instant::now()).admit(Kind::Server, &tenant("a"), Instant::now());
    }
}

/// Returns how many of a hundred evenly spaced registrations are admitted in the second after `from`.
fn admitted_in_a_second(limiter: &Limiter, from: Instant) -> usize {
    let none = Metadata::new();
    (0..100).filter(|number| limiter.admit(Kind::Server, &none, from + *number * SECOND / 100).is_ok()).count()
}

#[test]
fn recovers_from_an_instant_in_the_future() {
    let (start, none) = (Instant::now(), Metadata::new());
    let rate = RateLimit::new(10, 2);
    let limiter = Limiter::new(Limits::default().with_rate(rate), start);
    let take = |after_ms: u64| limiter.admit(Kind::Server, &none, start + Duration::from_millis(after_ms)).is_ok();
    assert_eq!([0, 3_600_000, 3_600_000, 3_600_000].map(take), [true, true, true, false]);
    let admitted = (1..=100).filter(|tenth| take(tenth * 100)).count();
    assert!((91..=100).contains(&admitted), "{admitted} of 100 in the next ten seconds");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    /// One second after the clock is right again, the rate is exact again.
    #[test]
    fn the_rate_recovers_from_any_clock_jumps(
        jumps in prop::collection::vec(0..7_200_u32, 0..10),
        begin in 0..7_200_u32,
        threads in 1..4_usize,
    ) {
        let start = Instant::now() + 3_600 * SECOND;
        let rate = RateLimit::new(10, 5);
        let limiter = Limiter::new(Limits::default().with_rate(rate), start);
        let at = |second: u32| start - 3_600 * SECOND + second * SECOND;
        thread::scope(|scope| {
            for jumps in jumps.chunks(jumps.len().div_ceil(threads).max(1)) {
                let limiter = &limiter;
                scope.spawn(move || {
                    for jump in jumps {
                        (0..10).for_each(|_| _ = limiter.admit(Kind::Server, &Metadata::new(), at(*jump)));
                    }
                });
            }
        });
        let recovering = admitted_in_a_second(&limiter, at(begin));
        prop_assert!(recovering <= 5 + 10 + 5, "{} while it recovers", recovering);
        for second in begin + 1..begin + 20 {
            let admitted = admitted_in_a_second(&limiter, at(second));
            prop_assert!((9..=11 + 5).contains(&admitted), "{} in a second", admitted);
            if second > begin + 1 {
                prop_assert!((9..=11).contains(&admitted), "{} in a second", admitted);
            }
        }
    }
}
