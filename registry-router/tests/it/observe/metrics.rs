//! Export through the `metrics` facade, read back by a parser of the Prometheus text format.

use std::collections::BTreeMap;
use std::time::Duration;

use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusRecorder};
use prometheus_parse::{Scrape, Value};
use registry_core::Backend;
use registry_router::{
    Admission, AdmissionError, AdmissionState, AlarmRule, Clock, HealthSettings, Kind, LabelLimit, Limit, LimitUsage,
    Limits, Metadata, MonitorSettings, Registry, describe_metrics,
};

use crate::support::ManualClock;
use crate::support::{block_on, registry, unread_server_mailbox, unread_transport_mailbox, within_time_limit};

test_every_backend! {
    exported_counters_are_monotonic_and_exact_across_resets,
    a_concurrent_reset_neither_loses_nor_duplicates_counts,
    the_number_of_series_is_independent_of_the_entries,
    named_registries_export_separate_series,
    the_export_task_exports_and_ends_with_its_registry,
    gauges_are_reset_when_their_registry_is_dropped,
    gauges_are_reset_when_the_export_task_ends,
    gauges_are_reset_by_a_drop_on_a_thread_without_a_recorder,
    gauges_that_are_no_longer_published_are_reset,
    registries_with_equal_names_get_distinct_labels,
}

const MS: Duration = Duration::from_millis(1);

/// Returns all series by name and labels, each with whether it is a counter and its value.
fn scrape(recorder: &PrometheusRecorder) -> BTreeMap<String, (bool, f64)> {
    let text = recorder.handle().render();
    let scrape = Scrape::parse(text.lines().map(|line| Ok(line.to_owned()))).unwrap();
    let one = |sample: prometheus_parse::Sample| {
        let labels: BTreeMap<_, _> = sample.labels.iter().collect();
        let value = match sample.value {
            Value::Counter(value) => (true, value),
            Value::Gauge(value) => (false, value),
            other => panic!("{}: {other:?}", sample.metric),
        };
        (format!("{} {labels:?}", sample.metric), value)
    };
    scrape.samples.into_iter().map(one).collect()
}

/// Returns the sum of all series of a name.
fn sum(series: &BTreeMap<String, (bool, f64)>, name: &str) -> f64 {
    let of_name = series.iter().filter(|(series, _)| series.split(' ').next() == Some(name));
    of_name.map(|(_, (_, value))| value).sum()
}

fn export<B: Backend>(registry: &Registry<u64, B>, recorder: &PrometheusRecorder) {
    metrics::with_local_recorder(recorder, || registry.export_metrics(std::time::Instant::now()));
}

fn recorder() -> PrometheusRecorder {
    PrometheusBuilder::new().build_recorder()
}

fn exported_counters_are_monotonic_and_exact_across_resets<B: Backend>(shards: usize) {
    let clock = ManualClock::new();
    let registry: Registry<u64, B> = Registry::builder()
        .shards(shards)
        .monitor(MonitorSettings::default().with_sample_every(1))
        .clock(clock.clone())
        .build()
        .unwrap();
    let (one, other) = (recorder(), recorder());
    let mut before = BTreeMap::new();
    let _s = registry.register_server("s", unread_server_mailbox(), ()).unwrap();
    let mut lookups = 0;
    // Both more and fewer lookups after a reset than before it.
    for (round, times) in [(0, 5), (1, 50), (2, 3), (3, 0), (4, 200)] {
        for _ in 0..times {
            registry.with_server("s", |_| clock.advance(MS)).unwrap();
            lookups += 1;
        }
        if round % 2 == 0 {
            registry.reset_stats();
        }
        // Twice to one recorder, and sometimes to another.
        (0..2).for_each(|_| metrics::with_local_recorder(&one, || registry.export_metrics(clock.now())));
        if round % 2 == 1 || round == 4 {
            metrics::with_local_recorder(&other, || registry.export_metrics(clock.now()));
        }
        let now = scrape(&one);
        assert_eq!(sum(&now, "registry_lookups_total"), f64::from(lookups));
        assert_eq!(sum(&now, "registry_registrations_total"), 1.0);
        let timed = now[r#"registry_operations_timed_total {"operation": "lookup"}"#].1;
        let seconds = now[r#"registry_operations_timed_seconds {"operation": "lookup"}"#].1;
        assert_eq!(timed, f64::from(lookups));
        assert!((seconds - f64::from(lookups) / 1_000.0).abs() < 1e-9, "{seconds}");
        for (series, (is_counter, value)) in &now {
            let (_, earlier) = before.get(series).copied().unwrap_or((true, 0.0));
            assert!(!is_counter || *value >= earlier, "{series} decreased from {earlier} to {value}");
        }
        before = now;
    }
    let counters = |recorder| -> Vec<(String, f64)> {
        let all = scrape(recorder).into_iter();
        all.filter(|(_, (is_counter, _))| *is_counter).map(|(series, (_, value))| (series, value)).collect()
    };
    assert_eq!(counters(&one), counters(&other), "a recorder sees the same totals at its first export");
}

fn a_concurrent_reset_neither_loses_nor_duplicates_counts<B: Backend>(shards: usize) {
    within_time_limit(move || {
        const THREADS: u32 = 3;
        const EACH: u32 = 4_000;
        let registry = registry::<B>(shards);
        let _s = registry.register_server("s", unread_server_mailbox(), ()).unwrap();
        let recorder = recorder();
        std::thread::scope(|scope| {
            let workers: Vec<_> = (0..THREADS)
                .map(|_| scope.spawn(|| (0..EACH).for_each(|_| assert!(registry.find_server("s").is_some()))))
                .collect();
            let mut last = 0.0;
            while !workers.iter().all(|worker| worker.is_finished()) {
                registry.reset_stats();
                export(&registry, &recorder);
                let lookups = sum(&scrape(&recorder), "registry_lookups_total");
                assert!(last <= lookups && lookups <= f64::from(THREADS * EACH), "{last}, then {lookups}");
                last = lookups;
            }
        });
        export(&registry, &recorder);
        assert_eq!(sum(&scrape(&recorder), "registry_lookups_total"), f64::from(THREADS * EACH));
    });
}

fn the_number_of_series_is_independent_of_the_entries<B: Backend>(shards: usize) {
    let label = LabelLimit::new("tenant").with_servers(1);
    let registry: Registry<u64, B> = Registry::builder()
        .shards(shards)
        .monitor(MonitorSettings::default().with_sample_every(1))
        .limits(Limits::default().with_servers(100).with_label(label))
        .build()
        .unwrap();
    let recorder = recorder();
    export(&registry, &recorder);
    let at_first = scrape(&recorder);
    // With changing ids, labels and hot ids.
    for number in 0..20 {
        let tenant = || Metadata::new().with("tenant", format!("tenant-{number}"));
        let lease = registry.register_server(format!("s{number}"), unread_server_mailbox(), tenant()).unwrap();
        registry.register_server(format!("x{number}"), unread_server_mailbox(), tenant()).unwrap_err();
        (0..20).for_each(|_| assert!(registry.find_server(lease.id()).is_some()));
        registry.register_transport(format!("t{number}"), unread_transport_mailbox(), ()).unwrap().detach();
        if number % 2 == 0 {
            lease.detach();
        }
        registry.tick(std::time::Instant::now());
        export(&registry, &recorder);
    }
    let at_last = scrape(&recorder);
    assert!(at_first.keys().eq(at_last.keys()));
    // As documented: eight series per shard, and about forty others.
    let others = at_last.len() - 8 * shards;
    assert!((35..45).contains(&others), "{others}");
}

fn named_registries_export_separate_series<B: Backend>(shards: usize) {
    let (one, two) = (registry::<B>(shards), registry::<B>(shards));
    let _s = one.register_server("s", unread_server_mailbox(), ()).unwrap();
    let recorder = recorder();
    metrics::with_local_recorder(&recorder, || {
        for (registry, name) in [(&one, "one"), (&two, "two"), (&one, "one")] {
            registry.export_metrics_as(name, std::time::Instant::now());
        }
    });
    let series = scrape(&recorder);
    let count = |name: &str| series[&format!(r#"registry_registrations_total {{"registry": "{name}"}}"#)].1;
    assert_eq!((count("one"), count("two")), (1.0, 0.0));
    assert!(series.keys().all(|series| series.contains(r#""registry": ""#)));
}

fn the_export_task_exports_and_ends_with_its_registry<B: Backend>(shards: usize) {
    within_time_limit(move || {
        block_on(async move {
            let registry = registry::<B>(shards);
            let _s = registry.register_server("s", unread_server_mailbox(), ()).unwrap();
            let recorder = recorder();
            let _installed = metrics::set_default_local_recorder(&recorder);
            let tasks = [
                tokio::spawn(registry.export_task(Duration::from_secs(1))),
                tokio::spawn(registry.export_task_as("named", Duration::from_secs(1))),
            ];
            // The paused clock of the runtime advances when all tasks are idle.
            tokio::time::sleep(Duration::from_millis(1_500)).await;
            let series = scrape(&recorder);
            assert_eq!(sum(&series, "registry_registrations_total"), 2.0);
            assert_eq!(series[r#"registry_registrations_total {"registry": "named"}"#], (true, 1.0));
            assert!(
                recorder.handle().render().contains("# HELP registry_registrations_total Successful registrations.")
            );
            drop(registry);
            for task in tasks {
                task.await.unwrap();
            }
        });
    });
}

/// Builds a registry in which every gauge is set: all alarms raised, admission closed, a limit reached, an id hot.
fn degraded_registry<B: Backend>(shards: usize, clock: &ManualClock) -> Registry<u64, B> {
    // At least two shards: one alone is never imbalanced.
    let shards = shards.max(2);
    let registry: Registry<u64, B> = Registry::builder()
        .shards(shards)
        .monitor(MonitorSettings::default().with_sample_every(1))
        .alarm(AlarmRule::default().with_min_samples(1))
        .health(HealthSettings::default().with_close_above(0.0).with_reopen_at(0.0))
        .limits(Limits::default().with_servers(20 * shards))
        .clock(clock.clone())
        .build()
        .unwrap();
    let ids = (0..).map(|number| format!("s{number}")).filter(|id| registry.shard_of(id) == 0);
    ids.take(20 * shards).for_each(|id| registry.register_server(id, unread_server_mailbox(), ()).unwrap().detach());
    let (mailbox, inbox) = registry_router::mailbox(1);
    registry.register_transport_bound_to("t", mailbox, (), registry.list_servers()[0].id.clone()).unwrap().detach();
    for _ in 0..20 {
        registry.with_transport("t", |_| clock.advance(MS)).unwrap();
    }
    drop(inbox);
    registry.sweep();
    registry.tick(clock.now());
    assert_eq!(registry.contention_status().admission, AdmissionState::Closed);
    registry
}

/// Returns the gauges that differ from their value after the end of a registry.
fn active_gauges(recorder: &PrometheusRecorder) -> BTreeMap<String, f64> {
    let value_at_the_end = |series: &str| match series.split(' ').next() {
        Some("registry_admission_open" | "registry_imbalance_probability") => 1.0,
        _ => 0.0,
    };
    let gauges = scrape(recorder).into_iter().filter(|(_, (is_counter, _))| !is_counter);
    gauges
        .map(|(series, (_, value))| (series, value))
        .filter(|(series, value)| value_at_the_end(series) != *value)
        .collect()
}

fn gauges_are_reset_when_their_registry_is_dropped<B: Backend>(shards: usize) {
    let (clock, recorder) = (ManualClock::new(), recorder());
    metrics::with_local_recorder(&recorder, || {
        let registry = degraded_registry::<B>(shards, &clock);
        registry.export_metrics_as("one", clock.now());
        registry.export_metrics(clock.now());
        let active = active_gauges(&recorder);
        for name in ["entries", "shard_alarm", "admission_open", "skew_ratio", "hot_id_share_ratio", "limit_used"] {
            let of_name = active.keys().filter(|series| series.starts_with(&format!("registry_{name} ")));
            assert!(of_name.count() >= 2, "{name} is not among {active:?}");
        }
        let other = registry.clone();
        drop(registry);
        assert_eq!(active_gauges(&recorder), active, "another handle keeps the registry alive");
        drop(other);
    });
    assert_eq!(active_gauges(&recorder), BTreeMap::new());
}

fn gauges_are_reset_when_the_export_task_ends<B: Backend>(shards: usize) {
    within_time_limit(move || {
        let (clock, recorder) = (ManualClock::new(), recorder());
        metrics::with_local_recorder(&recorder, || {
            block_on(async {
                let registry = degraded_registry::<B>(shards, &clock);
                let task = registry.export_task_as("tenant-7", Duration::from_secs(1));
                let end = async {
                    tokio::time::sleep(Duration::from_millis(1_500)).await;
                    assert!(!active_gauges(&recorder).is_empty());
                    drop(registry);
                };
                tokio::join!(task, end);
            });
        });
        assert_eq!(active_gauges(&recorder), BTreeMap::new());
    });
}

fn gauges_are_reset_by_a_drop_on_a_thread_without_a_recorder<B: Backend>(shards: usize) {
    within_time_limit(move || {
        let (clock, recorder) = (ManualClock::new(), recorder());
        let registry = degraded_registry::<B>(shards, &clock);
        export(&registry, &recorder);
        std::thread::spawn(move || drop(registry)).join().unwrap();
        assert_eq!(active_gauges(&recorder), BTreeMap::new());
    });
}

/// A policy that reports a limit in every second call only.
#[derive(Debug, Default)]
struct AlternatingLimits(std::sync::atomic::AtomicBool);

impl Admission for AlternatingLimits {
    fn admit(&self, _: Kind, _: &Metadata, _: std::time::Instant) -> Result<(), AdmissionError> {
        Ok(())
    }

    fn release(&self, _: Kind, _: &Metadata) {}

    fn state(&self) -> AdmissionState {
        AdmissionState::Open
    }

    fn limit_usage(&self) -> Vec<LimitUsage> {
        let is_reported = !self.0.fetch_xor(true, std::sync::atomic::Ordering::Relaxed);
        Vec::from_iter(is_reported.then_some(LimitUsage::new(Limit::Servers, 7).with_used(5).with_hits(3)))
    }
}

fn gauges_that_are_no_longer_published_are_reset<B: Backend>(shards: usize) {
    let registry: Registry<u64, B> =
        Registry::builder().shards(shards).admission(AlternatingLimits::default()).build().unwrap();
    let recorder = recorder();
    for expected in [(7.0, 5.0), (0.0, 0.0), (7.0, 5.0), (0.0, 0.0)] {
        export(&registry, &recorder);
        let series = scrape(&recorder);
        assert_eq!((sum(&series, "registry_limit_max"), sum(&series, "registry_limit_used")), expected);
    }
}

fn registries_with_equal_names_get_distinct_labels<B: Backend>(shards: usize) {
    let recorder = recorder();
    let servers = |label: &str| -> f64 {
        let is_it = |series: &str| match label {
            "" => !series.contains("registry\":"),
            _ => series.contains(&format!(r#""registry": "{label}""#)),
        };
        let entries = scrape(&recorder).into_iter();
        let entries = entries.filter(|(series, _)| series.starts_with("registry_entries ") && is_it(series));
        entries.map(|(_, (_, value))| value).sum()
    };
    let with = |count: usize| {
        let registry = registry::<B>(shards);
        (0..count)
            .for_each(|n| registry.register_server(format!("s{n}"), unread_server_mailbox(), ()).unwrap().detach());
        registry
    };
    let (one, two, three) = (with(1), with(2), with(3));
    metrics::with_local_recorder(&recorder, || {
        let now = std::time::Instant::now();
        for _ in 0..2 {
            for registry in [&one, &two, &three] {
                registry.export_metrics_as("shop", now);
                registry.export_metrics(now);
            }
        }
        assert_eq!(["shop", "shop-2", "shop-3"].map(servers), [1.0, 2.0, 3.0]);
        assert_eq!(["", "2", "3"].map(servers), [1.0, 2.0, 3.0]);
        // The name of a dropped registry is free, and the labels of the others stay.
        drop(one);
        let four = with(4);
        for registry in [&three, &four] {
            registry.export_metrics_as("shop", now);
        }
        assert_eq!(["shop", "shop-2", "shop-3"].map(servers), [4.0, 2.0, 3.0]);
        assert_eq!(servers(""), 0.0);
    });
}

#[test]
fn exporting_without_a_recorder_does_nothing() {
    describe_metrics();
    registry::<registry_router::backends::Reference>(1).export_metrics(std::time::Instant::now());
}
