//! What is written down: samples as a child process prints them, and the document that is made of them.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::spread::Spread;

pub use self::idle::Idle;
pub use self::load::BackgroundLoad;
pub use self::peer::{Outcome, Peer};
pub use self::point::Point;
pub use self::tail::{Percentiles, Tail};

mod idle;
mod load;
mod peer;
mod point;
mod tail;

/// One line that a child process prints.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Line {
    /// One run of a workload on one subject.
    Sample(Box<Sample>),
    /// An operation on the registry against the same on the bare map.
    Ratio(Ratio),
    /// How much an entry takes.
    Memory(Memory),
    /// One operation on a peer.
    Peer(Peer),
    /// A point of a curve.
    Point(Point),
    /// Latencies under open-loop load.
    Tail(Tail),
    /// Bytes of a mailbox.
    Idle(Idle),
}

/// What tells rows apart; samples that have it in common are rounds of one row.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Setup {
    /// `registry`, or `bare` for the backend's own map in its place.
    pub subject: String,
    /// The name of the backend.
    pub backend: String,
    /// The name of the workload.
    pub workload: String,
    /// How many shards the registry has; 1 for a bare map, which is one map.
    pub shards: usize,
    /// How many threads work.
    pub threads: usize,
    /// How many live tasks those threads serve; none where the threads work themselves.
    pub tasks: Option<usize>,
    /// How many servers are registered beforehand.
    pub entries: usize,
    /// What ids and order are drawn from.
    pub seed: u64,
    /// One operation in so many was timed.
    pub sample_every: u32,
}

/// One run of a workload on one subject.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Sample {
    /// What was run.
    #[serde(flatten)]
    pub setup: Setup,
    /// How long it ran.
    pub seconds: f64,
    /// Operations per second.
    pub ops_per_s: f64,
    /// The latency that half of the timed operations stay within, in nanoseconds.
    pub p50_ns: u64,
    /// The same for 95 %.
    pub p95_ns: u64,
    /// The same for 99 %.
    pub p99_ns: u64,
    /// The same for 99.9 %.
    pub p999_ns: u64,
    /// The longest of the timed operations.
    pub max_ns: u64,
    /// How many operations were timed.
    pub timed: u64,
    /// (Most − least entries of a shard) / mean, where there are shards.
    pub skew: Option<f64>,
    /// Timed operations by their latency: upper end of a bucket in nanoseconds, and how many; only where all are timed.
    pub buckets: Option<Vec<(u64, u64)>>,
}

/// A comparison in one process.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Ratio {
    /// What is compared: `lookup_vs_bare` and others for single operations, `NAME_vs_bare` for whole workloads.
    pub name: String,
    /// Which operation: `lookup`, `miss`, `route`, `register`; `workload` for a whole one, `memory` for bytes.
    #[serde(default)]
    pub operation: String,
    /// The name of the backend.
    pub backend: String,
    /// How many shards the registry has.
    pub shards: usize,
    /// How many threads work.
    pub threads: usize,
    /// How many servers are registered beforehand.
    pub entries: usize,
    /// Time on the registry over time on the bare map.
    #[serde(flatten)]
    pub spread: Spread,
    /// A quarter of the rounds, of all pairs, is at most this.
    #[serde(default)]
    pub q1: Option<f64>,
    /// Three quarters of the rounds are at most this.
    #[serde(default)]
    pub q3: Option<f64>,
    /// The median on the registry, in nanoseconds per operation.
    pub subject_ns: Option<f64>,
    /// The median on what it is compared with.
    pub bare_ns: Option<f64>,
    /// How many pairs of slices.
    pub rounds: usize,
    /// How many operations in a slice, on each thread.
    pub operations: Option<usize>,
    /// What ids and order are drawn from.
    pub seed: u64,
}

/// How much an entry takes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Memory {
    /// `registry` or `bare`.
    pub subject: String,
    /// The name of the backend.
    pub backend: String,
    /// How many shards the registry has; 1 for a bare map.
    pub shards: usize,
    /// How many entries were put in.
    pub entries: usize,
    /// Bytes asked of the allocator per entry, tables and all; mailboxes apart.
    pub bytes_per_entry: f64,
    /// Bytes more per binding, when each transport is bound to one of a tenth as many servers.
    pub bytes_per_binding: Option<f64>,
}

/// A row of the document.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Row {
    /// What was run.
    #[serde(flatten)]
    pub setup: Setup,
    /// How many times.
    pub rounds: usize,
    /// How long each time, in seconds.
    pub seconds: f64,
    /// The median over the rounds.
    pub ops_per_s: f64,
    /// All rounds.
    pub ops_per_s_rounds: Vec<f64>,
    /// The median over the rounds, as are the other percentiles.
    pub p50_ns: u64,
    /// See [`Sample::p95_ns`].
    pub p95_ns: u64,
    /// See [`Sample::p99_ns`].
    pub p99_ns: u64,
    /// See [`Sample::p999_ns`].
    pub p999_ns: u64,
    /// The longest of all rounds.
    pub max_ns: u64,
    /// How many operations were timed, in all rounds.
    pub timed: u64,
    /// See [`Memory::bytes_per_entry`]; measured in a process of its own.
    pub bytes_per_entry: Option<f64>,
    /// See [`Sample::skew`].
    pub skew: Option<f64>,
    /// See [`Sample::buckets`]; the sum over the rounds.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub buckets: Option<Vec<(u64, u64)>>,
    /// Of which state of the source.
    pub revision: String,
}

/// Where it was measured. Nothing in it is typed by hand.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Host {
    /// The processor, as it names itself.
    pub cpu: String,
    /// How many threads it runs at a time.
    pub cores: usize,
    /// The kernel and its version.
    pub kernel: String,
    /// The compiler.
    pub rustc: String,
    /// The commit, with `+dirty` when files differ from it.
    pub revision: String,
    /// When the run began, in UTC.
    pub date: String,
}

/// Everything about one run of `cargo xtask bench`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Document {
    /// The machine and the revision.
    pub host: Host,
    /// How busy the machine was with other programs, where that could be measured.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub background_load: Option<BackgroundLoad>,
    /// Workloads, one row for each subject, backend and setting.
    pub rows: Vec<Row>,
    /// Comparisons.
    pub ratios: Vec<Ratio>,
    /// Memory, also in the rows that it belongs to.
    pub memory: Vec<Memory>,
    /// Peers, a row for each round.
    #[serde(default)]
    pub peers: Vec<Peer>,
    /// Curves.
    #[serde(default)]
    pub points: Vec<Point>,
    /// Tails under open-loop load.
    #[serde(default)]
    pub tails: Vec<Tail>,
    /// Mailboxes.
    #[serde(default)]
    pub idle: Vec<Idle>,
}

impl Document {
    /// Puts lines together: samples of one setup become a row, in the order of their first appearance.
    #[must_use]
    pub fn of(host: Host, lines: Vec<Line>) -> Self {
        let (mut samples, mut ratios, mut memory) = (Vec::new(), Vec::new(), Vec::new());
        let (mut peers, mut points, mut tails, mut idle) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        for line in lines {
            match line {
                Line::Sample(sample) => samples.push(*sample),
                Line::Ratio(ratio) => ratios.push(ratio),
                // A bare map is measured beside each number of shards, and has none.
                Line::Memory(bytes) if memory.contains(&bytes) => {}
                Line::Memory(bytes) => memory.push(bytes),
                Line::Peer(peer) => peers.push(peer),
                Line::Point(point) if points.contains(&point) => {}
                Line::Point(point) => points.push(point),
                Line::Tail(tail) => tails.push(tail),
                Line::Idle(bytes) => idle.push(bytes),
            }
        }
        let mut order: Vec<Setup> = Vec::new();
        let mut groups: BTreeMap<Setup, Vec<Sample>> = BTreeMap::new();
        for sample in samples {
            let group = groups.entry(sample.setup.clone()).or_default();
            if group.is_empty() {
                order.push(sample.setup.clone());
            }
            group.push(sample);
        }
        let mut rows: Vec<Row> =
            order.iter().filter_map(|setup| Row::of(groups.get(setup)?, &memory, &host.revision)).collect();
        let place = |name: &str| crate::workload::WORKLOADS.iter().position(|workload| workload.name == name);
        rows.sort_by_key(|row| place(&row.setup.workload));
        Self { host, background_load: None, rows, ratios: combine(ratios), memory, peers, points, tails, idle }
    }
}

impl Document {
    /// Adds what another run has measured on the same host, of the same revision.
    ///
    /// # Errors
    ///
    /// What differs between the hosts; nothing is added then.
    pub fn append(&mut self, other: Self) -> Result<(), String> {
        let place = |host: &Host| Host { date: String::new(), ..host.clone() };
        if place(&self.host) != place(&other.host) {
            return Err(format!("it was measured elsewhere: {:?}, and not {:?}", other.host, self.host));
        }
        self.background_load = match (self.background_load, other.background_load) {
            (Some(one), Some(two)) => Some(one.max(two)),
            (one, two) => one.or(two),
        };
        self.rows.extend(other.rows);
        self.ratios.extend(other.ratios);
        self.memory.extend(other.memory);
        self.peers.extend(other.peers);
        self.points.extend(other.points);
        self.tails.extend(other.tails);
        self.idle.extend(other.idle);
        Ok(())
    }
}

impl Row {
    fn of(samples: &[Sample], memory: &[Memory], revision: &str) -> Option<Self> {
        let setup = samples.first()?.setup.clone();
        let rounds: Vec<f64> = samples.iter().map(|sample| sample.ops_per_s).collect();
        let middle =
            |figure: fn(&Sample) -> u64| crate::spread::median(&samples.iter().map(figure).collect::<Vec<_>>());
        let mut buckets: BTreeMap<u64, u64> = BTreeMap::new();
        for &(upto, count) in samples.iter().filter_map(|sample| sample.buckets.as_ref()).flatten() {
            *buckets.entry(upto).or_default() += count;
        }
        let bytes = memory.iter().find(|bytes| {
            (&bytes.subject, &bytes.backend, bytes.shards, bytes.entries)
                == (&setup.subject, &setup.backend, setup.shards, setup.entries)
        });
        Some(Self {
            rounds: samples.len(),
            seconds: Spread::of(&samples.iter().map(|sample| sample.seconds).collect::<Vec<_>>())?.median,
            ops_per_s: Spread::of(&rounds)?.median,
            ops_per_s_rounds: rounds,
            p50_ns: middle(|sample| sample.p50_ns),
            p95_ns: middle(|sample| sample.p95_ns),
            p99_ns: middle(|sample| sample.p99_ns),
            p999_ns: middle(|sample| sample.p999_ns),
            max_ns: samples.iter().map(|sample| sample.max_ns).max()?,
            timed: samples.iter().map(|sample| sample.timed).sum(),
            bytes_per_entry: bytes.map(|bytes| bytes.bytes_per_entry),
            skew: samples[0].skew,
            buckets: (!buckets.is_empty()).then(|| buckets.into_iter().collect()),
            revision: revision.to_owned(),
            setup,
        })
    }
}

/// Ratios of the same thing, from several processes, become one: median of the medians, and the whole range.
fn combine(ratios: Vec<Ratio>) -> Vec<Ratio> {
    let mut combined: Vec<(Ratio, Vec<f64>)> = Vec::new();
    for ratio in ratios {
        let key = |ratio: &Ratio| {
            let Ratio { name, operation, backend, shards, threads, entries, .. } = ratio.clone();
            (name, operation, backend, shards, threads, entries)
        };
        match combined.iter_mut().find(|(other, _)| key(other) == key(&ratio)) {
            None => {
                let medians = vec![ratio.spread.median];
                combined.push((ratio, medians));
            }
            Some((first, medians)) => {
                medians.push(ratio.spread.median);
                first.rounds += ratio.rounds;
                // Those of parts are not those of the whole.
                (first.q1, first.q3) = (None, None);
                first.spread.min = first.spread.min.min(ratio.spread.min);
                first.spread.max = first.spread.max.max(ratio.spread.max);
            }
        }
    }
    for (ratio, medians) in &mut combined {
        ratio.spread.median = Spread::of(medians).map_or(ratio.spread.median, |spread| spread.median);
    }
    combined.into_iter().map(|(ratio, _)| ratio).collect()
}
