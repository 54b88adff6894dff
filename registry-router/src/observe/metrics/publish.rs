//! Writes the statistics of a registry to a recorder.

use std::cell::RefCell;
use std::time::{Duration, Instant};

use metrics::{Key, Label, Level, Metadata, Recorder};
use registry_core::{AdmissionState, Contention, Kind, LatencyStats, Limit, Operation, Probe, ShardStats};
use registry_monitor::{p_value, skew};

use super::exports::Gauges;
use super::table::{self, Metric};
use crate::registry::Inner;
use crate::types::Types;

/// The number of hot ids that are exported, which bounds the number of series.
const HOT_RANKS: usize = 3;

/// The operations whose latency is exported, with their label values.
const OPERATIONS: [(Operation, &str); 2] = [(Operation::Read, "lookup"), (Operation::Write, "write")];

const KINDS: [Kind; 2] = [Kind::Server, Kind::Transport];

/// A recorder, with the label that all series get.
struct Publisher<'a> {
    recorder: &'a dyn Recorder,
    name: Option<&'a str>,
    /// All gauges that were set.
    gauges: RefCell<Gauges>,
}

impl<T: Types> Inner<T> {
    pub(super) fn publish(&self, recorder: &dyn Recorder, name: Option<&str>, now: Instant) {
        let label = self.exports.label(recorder, name);
        let publisher = Publisher { recorder, name: label.as_deref(), gauges: RefCell::default() };
        let stats: Vec<ShardStats> =
            (0..self.partition.shards()).map(|shard| self.stats_since_start_at(shard, now)).collect();
        publisher.counts(&stats);
        publisher.entries(&stats);
        let latencies = OPERATIONS.map(|(operation, name)| (name, self.probe.latency(operation, now)));
        publisher.latencies(&stats, &latencies);
        publisher.set(&table::CLEANUP_LAG, &[], seconds(self.probe.latency(Operation::CleanUp, now).max_ns));
        for shard in &stats {
            publisher.set(&table::ALARM, &[("shard", &shard.shard.to_string())], flag(shard.alarm));
        }
        publisher.set(&table::ADMISSION, &[], flag(self.admission.state() == AdmissionState::Open));
        let hot = self.probe.hot_ids(now);
        for rank in 0..HOT_RANKS {
            let share = hot.get(rank).map_or(0.0, |hot| hot.share_at_least);
            publisher.set(&table::HOT, &[("rank", &(rank + 1).to_string())], share);
        }
        self.publish_limits(&publisher);
        self.exports.published(recorder, name, publisher.gauges.into_inner());
    }

    fn publish_limits(&self, publisher: &Publisher<'_>) {
        for usage in self.admission.limit_usage().into_iter().chain(self.binding_counts.usage()) {
            // One for each value of a label: their number is unbounded, and they come and go.
            if matches!(usage.limit, Limit::Label { .. }) {
                continue;
            }
            let label = ("limit", usage.limit.name());
            publisher.set(&table::LIMIT_MAX, &[label], usage.max as f64);
            publisher.count(&table::LIMIT_HITS, &[label], usage.hits);
            if usage.limit.has_usage() {
                publisher.set(&table::LIMIT_USED, &[label], usage.used as f64);
            }
        }
    }
}

impl Publisher<'_> {
    fn counts(&self, stats: &[ShardStats]) {
        for shard in stats {
            let label = shard.shard.to_string();
            self.count(&table::LOOKUPS, &[("shard", &label)], shard.lookups);
            self.count(&table::MISSES, &[("shard", &label)], shard.misses);
            if let Some(Contention { kind, count, .. }) = shard.contention {
                self.count(&table::CONTENTION, &[("kind", kind.name()), ("shard", &label)], count);
            }
        }
        let sum = |of: fn(&ShardStats) -> u64| stats.iter().map(of).sum();
        self.count(&table::REGISTRATIONS, &[], sum(|shard| shard.registrations));
        self.count(&table::REMOVALS, &[], sum(|shard| shard.removals));
        self.count(&table::REJECTIONS, &[], sum(|shard| shard.rejections));
        self.count(&table::REFUSALS, &[], sum(|shard| shard.refused));
        self.count(&table::BINDS, &[], sum(|shard| shard.binds));
        self.count(&table::UNBINDS, &[], sum(|shard| shard.unbinds));
        self.count(&table::MESSAGES, &[("outcome", "delivered")], sum(|shard| shard.routes));
        self.count(&table::MESSAGES, &[("outcome", "full")], sum(|shard| shard.full));
        self.count(&table::MESSAGES, &[("outcome", "closed")], sum(|shard| shard.closed));
        self.count(&table::SWEPT, &[], sum(|shard| shard.swept));
    }

    fn entries(&self, stats: &[ShardStats]) {
        self.set(&table::SHARDS, &[], stats.len() as f64);
        self.set(&table::BINDINGS, &[], stats.iter().map(|shard| shard.bindings).sum::<usize>() as f64);
        for kind in KINDS {
            let name = kind.to_string();
            let of = |shard: &ShardStats| match kind {
                Kind::Server => shard.servers,
                Kind::Transport => shard.transports,
            };
            let entries: Vec<usize> = stats.iter().map(of).collect();
            for (shard, entries) in stats.iter().zip(&entries) {
                let labels = [("kind", name.as_str()), ("shard", &shard.shard.to_string())];
                self.set(&table::ENTRIES, &labels, *entries as f64);
            }
            self.set(&table::SKEW, &[("kind", &name)], skew(&entries));
            self.set(&table::P_VALUE, &[("kind", &name)], p_value(&entries));
        }
    }

    fn latencies(&self, stats: &[ShardStats], latencies: &[(&str, LatencyStats)]) {
        for (operation, latency) in latencies {
            let operation = ("operation", *operation);
            for (stat, ns) in [
                ("p50", latency.p50_ns),
                ("p95", latency.p95_ns),
                ("p99", latency.p99_ns),
                ("p999", latency.p999_ns),
                ("max", latency.max_ns),
            ] {
                self.set(&table::LATENCY, &[operation, ("stat", stat)], seconds(ns));
            }
            self.set(&table::SAMPLES, &[operation], latency.count as f64);
        }
        let window = latencies.iter().map(|(_, latency)| latency.window).max().unwrap_or_default();
        self.set(&table::WINDOW, &[], window.as_secs_f64());
        for (operation, name) in OPERATIONS {
            let label = ("operation", name);
            let (mut count, mut sum_ns) = (0, 0.0);
            for shard in stats {
                let (window, total) = match operation {
                    Operation::Read => (&shard.reads, &shard.reads_total),
                    Operation::Write | Operation::CleanUp => (&shard.writes, &shard.writes_total),
                };
                self.set(&table::SHARD_P99, &[label, ("shard", &shard.shard.to_string())], seconds(window.p99_ns));
                count += total.count;
                sum_ns += total.count as f64 * total.mean_ns;
            }
            self.count(&table::LATENCY_COUNT, &[label], count);
            self.set(&table::LATENCY_SUM, &[label], sum_ns / 1e9);
        }
    }

    /// Sets a counter to its value since the start of the registry.
    ///
    /// Recorders keep the greater of this and their own value, so the same counter may be exported by several callers.
    fn count(&self, metric: &Metric, labels: &[(&'static str, &str)], value: u64) {
        self.recorder.register_counter(&self.key(metric, labels), &METADATA).absolute(value);
    }

    fn set(&self, metric: &Metric, labels: &[(&'static str, &str)], value: f64) {
        let key = self.key(metric, labels);
        let gauge = self.recorder.register_gauge(&key, &METADATA);
        gauge.set(value);
        self.gauges.borrow_mut().insert(key, (gauge, metric.reset_value()));
    }

    fn key(&self, metric: &Metric, labels: &[(&'static str, &str)]) -> Key {
        debug_assert!(labels.iter().map(|label| label.0).eq(metric.labels.iter().copied()), "{metric:?}: {labels:?}");
        let name = self.name.map(|name| ("registry", name));
        let labels = name.iter().chain(labels).map(|&(key, value)| Label::new(key, value.to_owned()));
        Key::from_parts(metric.name, labels.collect::<Vec<_>>())
    }
}

static METADATA: Metadata<'static> = Metadata::new("registry", Level::INFO, Some(module_path!()));

fn seconds(ns: u64) -> f64 {
    Duration::from_nanos(ns).as_secs_f64()
}

fn flag(value: bool) -> f64 {
    f64::from(u8::from(value))
}
