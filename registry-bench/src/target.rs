//! The targets: bounds on the cost of the registry, and whether they hold in a run.
//!
//! A target is a bound on the median. Where the range of the rounds crosses the bound, the run does not decide.

use crate::record::{Document, Memory, Ratio};
use crate::spread::Spread;

/// A bound, and the setting for which it is set.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Target {
    /// The name of the ratio, or of a figure computed from other parts of a document.
    pub name: &'static str,
    /// A description of the comparison.
    pub description: &'static str,
    /// The bound.
    pub at_most: f64,
    /// The unit of the bound; empty for a ratio.
    pub unit: &'static str,
    /// The backends for which it is set.
    pub backends: &'static [&'static str],
    /// The numbers of entries for which it is set; any if empty.
    pub entries: &'static [usize],
    source: Source,
}

/// The part of a document with the figure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Source {
    /// The ratios of that name, or with it as a prefix.
    Ratios,
    /// Bytes of an entry over those of the bare map's.
    Memory,
    /// Bytes of a binding.
    Bindings,
    /// The service time's 99th percentile under the mixed open-loop load.
    Tails,
}

/// The backends that lookups and writes have targets for.
const FAST: &[&str] = &["papaya", "dashmap", "evmap"];
/// Those of them whose lookups write nothing that threads share.
const UNSHARED: &[&str] = &["papaya", "evmap"];
const DEFAULT: &[&str] = &["papaya"];
const SIZES: &[usize] = &[10_000, 1_000_000];

const fn ratio(name: &'static str, description: &'static str, at_most: f64) -> Target {
    Target { name, description, at_most, unit: "", backends: FAST, entries: SIZES, source: Source::Ratios }
}

/// All targets, the most important first.
pub const TARGETS: [Target; 10] = [
    ratio("lookup_vs_bare", "finding a server, against the bare map", 1.15),
    ratio("lookup_miss_vs_bare", "not finding one, against the bare map", 1.15),
    Target {
        backends: DEFAULT,
        entries: &[10_000],
        ..ratio("lookup_vs_limit", "finding a server, against an immutable HashMap with a fast hash", 2.5)
    },
    ratio("route_vs_bare", "sending a message, against a bare lookup and a bare try_send", 1.25),
    ratio("register_vs_bare", "registering and leaving, against a bare insert and remove", 2.0),
    Target {
        backends: UNSHARED,
        entries: &[],
        ..ratio("hot_two_threads", "one hot id looked up by two threads, per thread, against one thread", 1.3)
    },
    Target { entries: &[], ..ratio("monitor_overhead", "statistics on, against statistics off", 1.02) },
    Target {
        entries: &[10_000, 1_000_000, 10_000_000],
        source: Source::Memory,
        ..ratio("memory_vs_bare", "bytes of an entry, against the bare map's with the same key and one pointer", 1.5)
    },
    Target {
        unit: "bytes",
        entries: &[10_000, 1_000_000, 10_000_000],
        source: Source::Bindings,
        ..ratio("bytes_per_binding", "bytes of a binding, beyond the entries that it joins", 64.0)
    },
    Target {
        unit: "µs",
        entries: &[],
        source: Source::Tails,
        ..ratio("service_p99", "99 % of operations, mixed open-loop load at half of what saturates", 2.0)
    },
];

/// The figure of a target in one setting.
#[derive(Clone, Debug, PartialEq)]
pub struct Finding {
    /// The name of the ratio, which may be longer than that of the target.
    pub name: String,
    /// The name of the backend.
    pub backend: String,
    /// The number of entries.
    pub entries: usize,
    /// The number of threads; `None` if it does not matter.
    pub threads: Option<usize>,
    /// The figure, in the unit of the target.
    pub spread: Spread,
    /// Whether the target holds here.
    pub verdict: Verdict,
}

/// Whether a target holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Verdict {
    /// In all rounds.
    Holds,
    /// In some rounds and not in others.
    Undecided,
    /// In no round.
    Misses,
}

/// A target with its figures in a run.
#[derive(Clone, Debug, PartialEq)]
pub struct Evaluation {
    /// The target.
    pub target: &'static Target,
    /// Empty if it was not measured.
    pub findings: Vec<Finding>,
}

/// Evaluates every target in a run.
#[must_use]
pub fn evaluate(document: &Document) -> Vec<Evaluation> {
    TARGETS.iter().map(|target| Evaluation { target, findings: target.findings(document) }).collect()
}

/// Returns the name of a ratio, with its operation if several operations share the name.
#[must_use]
pub fn display_name(ratio: &Ratio) -> String {
    let apart = TARGETS.iter().any(|target| target.name == ratio.name && target.name == "monitor_overhead");
    if apart { format!("{}, {}", ratio.name, ratio.operation) } else { ratio.name.clone() }
}

/// Returns the target of a ratio on a backend with a number of entries.
#[must_use]
pub fn of(name: &str, backend: &str, entries: usize) -> Option<&'static Target> {
    TARGETS.iter().find(|target| target.is_named(name) && target.is_set(backend, entries))
}

impl Evaluation {
    /// Returns the worst verdict; `None` if it was not measured.
    #[must_use]
    pub fn verdict(&self) -> Option<Verdict> {
        self.findings.iter().map(|finding| finding.verdict).max()
    }
}

impl Finding {
    /// Returns the verdict, with how much the median is beyond the bound.
    #[must_use]
    pub fn verdict_text(&self, bound: f64) -> String {
        let beyond = (self.spread.median / bound - 1.0) * 100.0;
        match self.verdict {
            Verdict::Holds => "holds".to_owned(),
            Verdict::Undecided => "undecided".to_owned(),
            Verdict::Misses => format!("misses by {beyond:.0} %"),
        }
    }
}

impl Verdict {
    fn of(spread: &Spread, bound: f64) -> Self {
        if spread.max <= bound {
            Self::Holds
        } else if spread.min > bound {
            Self::Misses
        } else {
            Self::Undecided
        }
    }
}

impl Target {
    fn is_named(&self, name: &str) -> bool {
        let rest = name.strip_prefix(self.name);
        self.source == Source::Ratios && rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('_'))
    }

    fn is_set(&self, backend: &str, entries: usize) -> bool {
        self.backends.contains(&backend) && (self.entries.is_empty() || self.entries.contains(&entries))
    }

    fn finding(
        &self,
        (name, backend): (&str, &str),
        entries: usize,
        threads: Option<usize>,
        spread: Spread,
    ) -> Finding {
        let verdict = Verdict::of(&spread, self.at_most);
        Finding { name: name.to_owned(), backend: backend.to_owned(), entries, threads, spread, verdict }
    }

    fn findings(&self, document: &Document) -> Vec<Finding> {
        match self.source {
            Source::Ratios => {
                let set = document
                    .ratios
                    .iter()
                    .filter(|ratio| self.is_named(&ratio.name) && self.is_set(&ratio.backend, ratio.entries));
                let finding = |ratio: &Ratio| {
                    let name = display_name(ratio);
                    self.finding((&name, &ratio.backend), ratio.entries, Some(ratio.threads), ratio.spread)
                };
                set.map(finding).collect()
            }
            Source::Memory => {
                self.of_memory(document, &|ours, bare| Some(ours.bytes_per_entry / bare?.bytes_per_entry))
            }
            Source::Bindings => self.of_memory(document, &|ours, _| ours.bytes_per_binding),
            Source::Tails => self.of_tails(document),
        }
    }

    /// Returns the figure of each backend and size with the greatest number of shards.
    fn of_memory(&self, document: &Document, figure: &dyn Fn(&Memory, Option<&Memory>) -> Option<f64>) -> Vec<Finding> {
        let ours = || document.memory.iter().filter(|bytes| bytes.subject == "registry");
        let same = |one: &Memory, other: &Memory| one.backend == other.backend && one.entries == other.entries;
        let most =
            |bytes: &&Memory| ours().filter(|other| same(bytes, other)).all(|other| other.shards <= bytes.shards);
        let finding = |bytes: &Memory| {
            let bare = document.memory.iter().find(|other| other.subject == "bare" && same(bytes, other));
            let figure = figure(bytes, bare)?;
            let spread = Spread { median: figure, min: figure, max: figure };
            Some(self.finding((self.name, &bytes.backend), bytes.entries, None, spread))
        };
        ours().filter(most).filter(|bytes| self.is_set(&bytes.backend, bytes.entries)).filter_map(finding).collect()
    }

    /// Returns the figures of all operations together in microseconds, over the runs of one setting.
    fn of_tails(&self, document: &Document) -> Vec<Finding> {
        type Setting<'a> = (&'a str, usize, usize);
        let mut settings: Vec<(Setting<'_>, Vec<f64>)> = Vec::new();
        for tail in &document.tails {
            let set = self.is_set(&tail.backend, tail.entries) && tail.subject == "registry";
            if !(set && tail.scenario == "mixed" && tail.operation == "all") {
                continue;
            }
            let setting = (tail.backend.as_str(), tail.entries, tail.threads);
            let figure = tail.service.p99_ns as f64 / 1e3;
            match settings.iter_mut().find(|(other, _)| *other == setting) {
                Some((_, figures)) => figures.push(figure),
                None => settings.push((setting, vec![figure])),
            }
        }
        let finding = |((backend, entries, threads), figures): &(Setting<'_>, Vec<f64>)| {
            Some(self.finding((self.name, backend), *entries, Some(*threads), Spread::of(figures)?))
        };
        settings.iter().filter_map(finding).collect()
    }
}

#[cfg(test)]
mod tests;
