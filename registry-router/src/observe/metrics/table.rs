//! The names of all metrics, in one table: what the code publishes, recorders describe and `docs/operations.md` lists.

use metrics::{Recorder, Unit};

/// One metric.
#[derive(Debug)]
pub(crate) struct Metric {
    pub(crate) name: &'static str,
    pub(crate) kind: Kind,
    pub(crate) unit: Unit,
    /// Those besides `registry`, which all have if the registry is exported by name.
    pub(crate) labels: &'static [&'static str],
    pub(crate) help: &'static str,
}

/// What a metric does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// It never falls.
    Counter,
    /// It is what it is now.
    Gauge,
}

impl Metric {
    /// What a gauge is when its registry has ended, so that no alert goes on firing for it: a registry that is not there
    /// refuses nobody, and lies as evenly as can be.
    pub(crate) fn at_the_end(&self) -> f64 {
        if [ADMISSION.name, CHANCE.name].contains(&self.name) { 1.0 } else { 0.0 }
    }

    /// Tells a recorder what the metric is.
    pub(crate) fn describe(&self, recorder: &dyn Recorder) {
        let (name, help) = (self.name.into(), self.help.into());
        match self.kind {
            Kind::Counter => recorder.describe_counter(name, Some(self.unit), help),
            Kind::Gauge => recorder.describe_gauge(name, Some(self.unit), help),
        }
    }
}

/// Makes a constant of each metric, and the list of them all, so that none can be left out of the list.
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
        "How many shards there are; 0 when the registry has ended.";
    ENTRIES = Gauge "registry_entries" Count ["kind", "shard"]
        "Servers and transports that are registered, the dead that nobody has found yet included.";
    BINDINGS = Gauge "registry_bindings" Count []
        "Transports that are bound to a server.";
    LOOKUPS = Counter "registry_lookups_total" Count ["shard"]
        "Lookups, those of routing and binding included.";
    MISSES = Counter "registry_lookup_misses_total" Count ["shard"]
        "Lookups that found nobody.";
    CONTENTION = Counter "registry_contention_total" Count ["kind", "shard"]
        "How often operations met in the map of a shard, as that map counts it; not to be compared across backends.";
    REGISTRATIONS = Counter "registry_registrations_total" Count []
        "Registrations that succeeded.";
    REMOVALS = Counter "registry_removals_total" Count []
        "Registrations that ended, for whatever reason.";
    REJECTIONS = Counter "registry_rejections_total" Count []
        "Registrations that were turned down: the name was taken, the server to be bound to was missing or full, the metadata were too large, or they were not admitted.";
    REFUSALS = Counter "registry_refusals_total" Count []
        "Those rejections that admission or a full server is the reason of.";
    BINDS = Counter "registry_binds_total" Count []
        "Transports that were bound, a move counted as one.";
    UNBINDS = Counter "registry_unbinds_total" Count []
        "Bindings that were undone, other than by the death of their server.";
    MESSAGES = Counter "registry_messages_total" Count ["outcome"]
        "Messages to somebody who was found: delivered, or given back because the mailbox was full or closed.";
    SWEPT = Counter "registry_swept_total" Count []
        "Registrations of the dead that sweeps have ended.";
    LATENCY = Gauge "registry_operation_seconds" Seconds ["operation", "quantile"]
        "Latency in the window, over all shards; the quantile 1 is the slowest.";
    SAMPLES = Gauge "registry_latency_samples" Count ["operation"]
        "How many operations of the window were timed: one lookup in so many, every write.";
    SHARD_P99 = Gauge "registry_shard_latency_p99_seconds" Seconds ["operation", "shard"]
        "99th percentile of the latency in the window, by shard.";
    WINDOW = Gauge "registry_latency_window_seconds" Seconds []
        "How far back the window of latencies reaches at most.";
    TIMED = Counter "registry_operation_seconds_count" Count ["operation"]
        "Operations that were timed since the start.";
    TIMED_SECONDS = Gauge "registry_operation_seconds_sum" Seconds ["operation"]
        "The sum of the latencies of the operations that were timed since the start; its rate over that of registry_operation_seconds_count is the mean.";
    CLEANUP_LAG = Gauge "registry_cleanup_lag_max_seconds" Seconds []
        "The longest that somebody whom a sweep ended in the window can have been dead.";
    ALARM = Gauge "registry_shard_alarm" Count ["shard"]
        "1 if the shard was in alarm at the last check of the health, else 0.";
    ADMISSION = Gauge "registry_admission_open" Count []
        "1 if new registrations are taken, 0 if they are refused because too many shards are in alarm.";
    SKEW = Gauge "registry_skew_ratio" Count ["kind"]
        "How unevenly entries lie over the shards: (most - fewest) / mean. Chance makes it large when there are few.";
    CHANCE = Gauge "registry_imbalance_probability" Count ["kind"]
        "The probability that chance alone would spread the entries so unevenly, by chi-square; 1 below ten a shard.";
    HOT = Gauge "registry_hot_id_share_ratio" Count ["rank"]
        "The least share of the sampled lookups that the hottest, second and third hottest id have.";
    LIMIT_MAX = Gauge "registry_limit_max" Count ["limit"]
        "What a cap allows. Caps by label are not exported: there are as many as the label has values.";
    LIMIT_USED = Gauge "registry_limit_used" Count ["limit"]
        "How much of the cap on servers or transports is taken.";
    LIMIT_HITS = Counter "registry_limit_hits_total" Count ["limit"]
        "How often a cap has said no, those who got in after the dead had been taken out included.";
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;
    use std::fmt::Write;

    use super::*;

    #[test]
    fn names_follow_the_conventions_and_say_their_unit() {
        let mut seen = HashSet::new();
        for metric in ALL {
            let Metric { name, kind, unit, .. } = metric;
            assert!(seen.insert(name), "{name} is there twice");
            assert!(
                name.starts_with("registry_")
                    && name.bytes().all(|b| b.is_ascii_lowercase() || b == b'_' || b.is_ascii_digit())
            );
            // The parts of a summary are named after it.
            let summary = name.strip_suffix("_sum").or(name.strip_suffix("_count"));
            let counts = name.ends_with("_total") || name.ends_with("_count");
            assert_eq!(*kind == Kind::Counter, counts, "{name}");
            let seconds = summary.unwrap_or(name).ends_with("_seconds") && !name.ends_with("_count");
            assert_eq!(*unit == Unit::Seconds, seconds, "{name}");
            assert!(summary.is_none_or(|summary| ALL.iter().any(|metric| metric.name == summary)), "{name}");
            assert!(matches!(unit, Unit::Seconds | Unit::Count), "{name}");
            assert!(metric.help.ends_with('.'), "{name}");
        }
    }

    #[test]
    fn the_documentation_lists_exactly_what_there_is() {
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

    /// Whatever stands in a text and looks like the name of a metric.
    fn named(text: &str) -> HashSet<&str> {
        let words = text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
        words.filter(|word| word.starts_with("registry_")).collect()
    }

    #[test]
    fn rules_and_their_tests_name_only_what_is_exported() {
        let known: HashSet<&str> = ALL.iter().map(|metric| metric.name).collect();
        for text in
            [include_str!("../../../../docs/alerts.rules.yml"), include_str!("../../../../docs/alerts.test.yml")]
        {
            let named = named(text);
            assert!(!named.is_empty());
            let unknown: Vec<_> = named.difference(&known).collect();
            assert_eq!(unknown, [&""; 0]);
        }
    }
}
