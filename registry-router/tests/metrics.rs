//! The example `metrics` on every backend: the exported series equal the statistics of the registry exactly, as read by a
//! parser of Prometheus' text format.

#![cfg(feature = "metrics")]

#[path = "../examples/metrics/clock.rs"]
mod clock;
#[path = "../examples/metrics/flow.rs"]
mod flow;

use std::collections::BTreeMap;
use std::time::Duration;

use metrics_exporter_prometheus::PrometheusBuilder;
use prometheus_parse::{Scrape, Value};
use registry_core::Backend;
use registry_monitor::{p_value, skew};
use registry_router::{HealthChange, Operation, Registry, ShardStats, describe_metrics};

use crate::flow::{REFUSED, SERVERS, TO_HOT};

/// The name and the labels of a series.
type Series = (String, BTreeMap<String, String>);

fn series(name: &str, labels: &[(&str, &str)]) -> Series {
    let labels = labels.iter().map(|&(label, value)| (label.to_owned(), value.to_owned()));
    (name.to_owned(), labels.collect())
}

/// Parses all series of a text; the flag says whether a series is a counter.
fn parse(text: &str) -> BTreeMap<Series, (bool, f64)> {
    let scrape =
        Scrape::parse(text.lines().map(|line| Ok(line.to_owned()))).expect("the text is not in Prometheus' format");
    let lines = text.lines().filter(|line| !line.starts_with('#') && !line.is_empty()).count();
    assert_eq!(scrape.samples.len(), lines, "a line is not a sample");
    let mut all = BTreeMap::new();
    for sample in scrape.samples {
        let labels = sample.labels.iter().map(|(label, value)| (label.clone(), value.clone())).collect();
        let value = match sample.value {
            Value::Counter(value) => (true, value),
            Value::Gauge(value) => (false, value),
            other => panic!("{}: {other:?}", sample.metric),
        };
        assert!(scrape.docs.contains_key(&sample.metric), "{} has no help", sample.metric);
        assert_eq!(all.insert((sample.metric, labels), value), None, "duplicate series");
    }
    all
}

/// The series that the export must contain.
#[derive(Default)]
struct Expected(BTreeMap<Series, (bool, f64)>);

impl Expected {
    fn counter(&mut self, name: &str, labels: &[(&str, &str)], value: u64) {
        self.0.insert(series(name, labels), (true, value as f64));
    }

    fn gauge(&mut self, name: &str, labels: &[(&str, &str)], value: f64) {
        self.0.insert(series(name, labels), (false, value));
    }
}

fn seconds(ns: u64) -> f64 {
    Duration::from_nanos(ns).as_secs_f64()
}

/// Returns the series expected from the statistics of a registry: all but those of hot ids and limits.
fn expected_series<B: Backend>(registry: &Registry<u64, B>) -> Expected {
    let mut expected = Expected::default();
    let stats = registry.all_shard_stats();
    let status = registry.contention_status();
    expected.gauge("registry_shards", &[], stats.len() as f64);
    expected.gauge("registry_bindings", &[], registry.binding_count() as f64);
    expected.gauge("registry_admission_open", &[], 1.0);
    for shard in &stats {
        let label = ("shard", &*shard.shard.to_string());
        expected.gauge("registry_entries", &[("kind", "server"), label], shard.servers as f64);
        expected.gauge("registry_entries", &[("kind", "transport"), label], shard.transports as f64);
        expected.counter("registry_lookups_total", &[label], shard.lookups);
        expected.counter("registry_lookup_misses_total", &[label], shard.misses);
        let contention = shard.contention.expect("every backend counts contention");
        let kind = ("kind", contention.kind.name());
        expected.counter("registry_contention_total", &[kind, label], contention.count);
        expected.gauge("registry_shard_alarm", &[label], f64::from(status.alarmed.contains(&shard.shard)));
        for (operation, latency) in [("lookup", shard.reads), ("write", shard.writes)] {
            let labels = [("operation", operation), label];
            expected.gauge("registry_shard_latency_p99_seconds", &labels, seconds(latency.p99_ns));
        }
    }
    let sum = |of: fn(&ShardStats) -> u64| stats.iter().map(of).sum::<u64>();
    expected.counter("registry_registrations_total", &[], sum(|shard| shard.registrations));
    expected.counter("registry_removals_total", &[], sum(|shard| shard.removals));
    expected.counter("registry_rejections_total", &[], sum(|shard| shard.rejections));
    expected.counter("registry_refusals_total", &[], sum(|shard| shard.refused));
    expected.counter("registry_binds_total", &[], sum(|shard| shard.binds));
    expected.counter("registry_unbinds_total", &[], sum(|shard| shard.unbinds));
    expected.counter("registry_swept_total", &[], sum(|shard| shard.swept));
    expected.counter("registry_messages_total", &[("outcome", "delivered")], sum(|shard| shard.routes));
    expected.counter("registry_messages_total", &[("outcome", "full")], sum(|shard| shard.full));
    expected.counter("registry_messages_total", &[("outcome", "closed")], sum(|shard| shard.closed));
    for (operation, name) in [(Operation::Read, "lookup"), (Operation::Write, "write")] {
        let total =
            |shard: &ShardStats| if operation == Operation::Read { shard.reads_total } else { shard.writes_total };
        let (latency, label) = (registry.latency(operation), ("operation", name));
        for (stat, ns) in [
            ("p50", latency.p50_ns),
            ("p95", latency.p95_ns),
            ("p99", latency.p99_ns),
            ("p999", latency.p999_ns),
            ("max", latency.max_ns),
        ] {
            expected.gauge("registry_operation_latency_seconds", &[label, ("stat", stat)], seconds(ns));
        }
        expected.gauge("registry_latency_samples", &[label], latency.count as f64);
        expected.counter(
            "registry_operations_timed_total",
            &[label],
            stats.iter().map(|shard| total(shard).count).sum(),
        );
        let mut sum_ns = 0.0;
        for total in stats.iter().map(total) {
            sum_ns += total.count as f64 * total.mean_ns;
        }
        expected.gauge("registry_operations_timed_seconds", &[label], sum_ns / 1e9);
    }
    expected.gauge("registry_latency_window_seconds", &[], 10.0);
    expected.gauge("registry_cleanup_lag_max_seconds", &[], seconds(registry.latency(Operation::CleanUp).max_ns));
    for kind in ["server", "transport"] {
        let of = |shard: &ShardStats| if kind == "server" { shard.servers } else { shard.transports };
        let entries: Vec<usize> = stats.iter().map(of).collect();
        expected.gauge("registry_skew_ratio", &[("kind", kind)], skew(&entries));
        expected.gauge("registry_imbalance_probability", &[("kind", kind)], p_value(&entries));
    }
    expected
}

fn exported_series_equal_the_statistics<B: Backend>(shards: usize) {
    let outcome = flow::run::<B>(shards).unwrap();
    let recorder = PrometheusBuilder::new().build_recorder();
    metrics::with_local_recorder(&recorder, || {
        describe_metrics();
        outcome.registry.export_metrics(outcome.now);
    });
    let mut exported = parse(&recorder.handle().render());

    let mut expected = expected_series(&outcome.registry);
    let find = |wanted: fn(&HealthChange) -> bool| outcome.changes.iter().find(|&change| wanted(change));
    let Some(HealthChange::HotIdDetected(hot)) = find(|change| matches!(change, HealthChange::HotIdDetected(_))) else {
        panic!("no hot id: {:?}", outcome.changes)
    };
    assert_eq!(&*hot.id, "tools/7");
    expected.gauge("registry_hot_id_share_ratio", &[("rank", "1")], hot.share_at_least);
    let Some(HealthChange::LimitReached(limit)) = find(|change| matches!(change, HealthChange::LimitReached(_))) else {
        panic!("no limit was reached: {:?}", outcome.changes)
    };
    assert_eq!(limit.hits, REFUSED as u64);
    expected.gauge("registry_limit_max", &[("limit", "servers")], SERVERS as f64);
    expected.gauge("registry_limit_used", &[("limit", "servers")], outcome.registry.server_count() as f64);
    expected.counter("registry_limit_hits_total", &[("limit", "servers")], limit.hits);
    for rank in ["2", "3"] {
        let (_, share) = exported.remove(&series("registry_hot_id_share_ratio", &[("rank", rank)])).unwrap();
        assert!((0.0..hot.share_at_least).contains(&share), "{rank}: {share}");
    }
    for (series, value) in &exported {
        assert_eq!(expected.0.get(series), Some(value), "{series:?}");
    }
    assert_eq!(exported.len(), expected.0.len());

    // The effects of the load.
    let value = |name, labels: &[(&str, &str)]| exported[&series(name, labels)].1;
    assert_eq!(value("registry_refusals_total", &[]), REFUSED as f64);
    assert!(value("registry_messages_total", &[("outcome", "full")]) > (TO_HOT - 20) as f64);
    assert_eq!(value("registry_messages_total", &[("outcome", "closed")]), 1.0);
    assert_eq!(value("registry_swept_total", &[]), 1.0);
    assert!(value("registry_cleanup_lag_max_seconds", &[]) > 0.5);
    // With one shard the slow lookups are too few among all the others to raise an alarm.
    let slow = Some(outcome.registry.shard_of("tools/42").to_string()).filter(|_| shards > 1);
    for shard in 0..shards {
        let label = shard.to_string();
        assert_eq!(
            value("registry_shard_alarm", &[("shard", &label)]),
            f64::from(Some(&label) == slow.as_ref()),
            "shard {shard}"
        );
    }
}

macro_rules! tests {
    ($($module:ident $Name:ident),+) => {
        $(mod $module {
            use registry_router::backends::$Name;

            #[test]
            fn with_one_shard() {
                super::exported_series_equal_the_statistics::<$Name>(1);
            }

            #[test]
            fn with_64_shards() {
                super::exported_series_equal_the_statistics::<$Name>(64);
            }
        })+
    };
}

registry_backends::for_every_backend!(tests);
