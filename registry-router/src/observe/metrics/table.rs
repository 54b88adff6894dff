//! The table of all metrics: exported by the code, described to recorders, and listed in `docs/operations.md`.

use metrics::{Recorder, Unit};

/// One metric.
#[derive(Debug)]
pub(crate) struct Metric {
    pub(crate) name: &'static str,
    pub(crate) kind: Kind,
    pub(crate) unit: Unit,
    /// The labels other than `registry`, which all metrics of a named registry have.
    pub(crate) labels: &'static [&'static str],
    pub(crate) help: &'static str,
}

/// The type of a metric.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// A value that never decreases.
    Counter,
    /// A current value.
    Gauge,
}

impl Metric {
    /// Returns the value of a gauge after its registry has ended, chosen so that no alert keeps firing: admission is open,
    /// and the distribution is explained by chance.
    pub(crate) fn reset_value(&self) -> f64 {
        if [ADMISSION.name, P_VALUE.name].contains(&self.name) { 1.0 } else { 0.0 }
    }

    /// Describes the metric to a recorder.
    pub(crate) fn describe(&self, recorder: &dyn Recorder) {
        let (name, help) = (self.name.into(), self.help.into());
        match self.kind {
            Kind::Counter => recorder.describe_counter(name, Some(self.unit), help),
            Kind::Gauge => recorder.describe_gauge(name, Some(self.unit), help),
        }
    }
}

/// Defines a constant for each metric, and the list of all, so that none can be missing from the list.
macro_rules! table {
    ($($CONSTANT:ident = $kind:ident $name:literal $unit:ident [$($label:literal),*] $help:literal;)+) => {
        $(pub(crate) const $CONSTANT: Metric = Metric {
            name: $name,
            kind: Kind::$kind,
            unit: Unit::$unit,
            labels: &[$($label),*],
            help: $help,
        };)+

        /// All metrics.
        pub(crate) const ALL: &[&Metric] = &[$(&$CONSTANT),+];
    };
}

table! {
    SHARDS = Gauge "registry_shards" Count []
        "The number of shards; 0 after the registry has ended.";
    ENTRIES = Gauge "registry_entries" Count ["kind", "shard"]
        "Registered servers and transports, including dead ones that have not been found yet.";
    BINDINGS = Gauge "registry_bindings" Count []
        "Transports that are bound to a server.";
    LOOKUPS = Counter "registry_lookups_total" Count ["shard"]
        "Lookups, including those of routing and binding.";
    MISSES = Counter "registry_lookup_misses_total" Count ["shard"]
        "Lookups that found no live entry.";
    CONTENTION = Counter "registry_contention_total" Count ["kind", "shard"]
        "Contended operations in the map of a shard, as counted by that map; not comparable across backends.";
    REGISTRATIONS = Counter "registry_registrations_total" Count []
        "Successful registrations.";
    REMOVALS = Counter "registry_removals_total" Count []
        "Registrations that ended, for any reason.";
    REJECTIONS = Counter "registry_rejections_total" Count []
        "Failed registrations: the id was taken, the server to bind to was missing or full, the metadata was too large, or admission was refused.";
    REFUSALS = Counter "registry_refusals_total" Count []
        "Failed registrations that were refused by admission or because the server was full.";
    BINDS = Counter "registry_binds_total" Count []
        "Bindings created; a move counts as one.";
    UNBINDS = Counter "registry_unbinds_total" Count []
        "Bindings ended, other than by the end of their server.";
    MESSAGES = Counter "registry_messages_total" Count ["outcome"]
        "Messages to registered receivers: delivered, or returned because the mailbox was full or closed.";
    SWEPT = Counter "registry_swept_total" Count []
        "Dead registrations removed by sweeps.";
    LATENCY = Gauge "registry_operation_latency_seconds" Seconds ["operation", "stat"]
        "Latency in the window, over all shards: percentiles, and the maximum.";
    SAMPLES = Gauge "registry_latency_samples" Count ["operation"]
        "Timed operations in the window: a sample of the lookups, and all writes.";
    SHARD_P99 = Gauge "registry_shard_latency_p99_seconds" Seconds ["operation", "shard"]
        "99th percentile of the latency in the window, by shard.";
    WINDOW = Gauge "registry_latency_window_seconds" Seconds []
        "The maximum length of the latency window.";
    LATENCY_COUNT = Counter "registry_operations_timed_total" Count ["operation"]
        "Timed operations since the start.";
    LATENCY_SUM = Gauge "registry_operations_timed_seconds" Seconds ["operation"]
        "Sum of the latencies of timed operations since the start; its rate divided by that of registry_operations_timed_total is the mean.";
    CLEANUP_LAG = Gauge "registry_cleanup_lag_max_seconds" Seconds []
        "Upper bound on how long an entry removed by a sweep in the window had been dead.";
    ALARM = Gauge "registry_shard_alarm" Count ["shard"]
        "1 if the shard was in alarm at the last health check, else 0.";
    ADMISSION = Gauge "registry_admission_open" Count []
        "1 if new registrations are admitted, 0 if they are refused because too many shards are in alarm.";
    SKEW = Gauge "registry_skew_ratio" Count ["kind"]
        "Skew of the entries over the shards: (max - min) / mean. Large by chance if there are few entries.";
    P_VALUE = Gauge "registry_imbalance_probability" Count ["kind"]
        "The p-value of a chi-square test for an even distribution of the entries; 1 if there are fewer than ten per shard.";
    HOT = Gauge "registry_hot_id_share_ratio" Count ["rank"]
        "Lower bound on the share of the sampled lookups for the hottest, second and third hottest id.";
    LIMIT_MAX = Gauge "registry_limit_max" Count ["limit"]
        "The maximum that a limit allows. Limits by label are not exported, because their number is unbounded.";
    LIMIT_USED = Gauge "registry_limit_used" Count ["limit"]
        "The used part of the limit on servers or transports.";
    LIMIT_HITS = Counter "registry_limit_hits_total" Count ["limit"]
        "How often a limit was reached, including registrations that succeeded after dead entries had been removed.";
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;
    use std::fmt::Write;

    use super::*;

    #[test]
    fn names_follow_the_conventions_and_include_the_unit() {
        let mut seen = HashSet::new();
        for metric in ALL {
            let Metric { name, kind, unit, .. } = metric;
            assert!(seen.insert(name), "{name} is listed twice");
            assert!(
                name.starts_with("registry_")
                    && name.bytes().all(|b| b.is_ascii_lowercase() || b == b'_' || b.is_ascii_digit())
            );
            assert_eq!(*kind == Kind::Counter, name.ends_with("_total"), "{name}");
            assert_eq!(*unit == Unit::Seconds, name.ends_with("_seconds"), "{name}");
            assert!(matches!(unit, Unit::Seconds | Unit::Count), "{name}");
            assert!(metric.help.ends_with('.'), "{name}");
        }
    }

    #[test]
    fn the_documentation_lists_all_metrics() {
        let rows = ALL.iter().fold(String::new(), |mut rows, Metric { name, kind, labels, help, .. }| {
            let kind = format!("{kind:?}").to_lowercase();
            let labels: Vec<String> = labels.iter().map(|label| format!("`{label}`")).collect();
            writeln!(rows, "| `{name}` | {kind} | {} | {help} |", labels.join(", ")).unwrap();
            rows
        });
        let operations = include_str!("../../../../docs/operations.md");
        let listed: String = operations
            .lines()
            .filter(|line| line.starts_with("| `registry_"))
            .fold(String::new(), |all, line| all + line + "\n");
        assert_eq!(listed, rows, "docs/operations.md must have these rows:\n{rows}");
    }

    /// Returns the words of a text that look like metric names.
    fn metric_names(text: &str) -> HashSet<&str> {
        let words = text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
        words.filter(|word| word.starts_with("registry_")).collect()
    }

    #[test]
    fn alert_rules_use_only_exported_metrics() {
        let known: HashSet<&str> = ALL.iter().map(|metric| metric.name).collect();
        for text in
            [include_str!("../../../../docs/alerts.rules.yml"), include_str!("../../../../docs/alerts.test.yml")]
        {
            let names = metric_names(text);
            assert!(!names.is_empty());
            let unknown: Vec<_> = names.difference(&known).collect();
            assert_eq!(unknown, [&""; 0]);
        }
    }
}
