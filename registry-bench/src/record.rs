//! The records of a bench: lines printed by child processes, and the document made of them.

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

/// A line printed by a child process.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Line {
    /// One run of a workload on one subject.
    Sample(Box<Sample>),
    /// An operation on the registry compared with the same on the bare map.
    Ratio(Ratio),
    /// Bytes of an entry.
    Memory(Memory),
    /// One operation on a peer.
    Peer(Peer),
    /// A point of a curve.
    Point(Point),
    /// Latencies under open-loop load.
    Tail(Tail),
    /// Bytes of an idle mailbox.
    Idle(Idle),
}

/// The setting of a row; samples of one setting are its rounds.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Setup {
    /// `registry`, or `bare` for the map of the backend alone.
    pub subject: String,
    /// The name of the backend.
    pub backend: String,
    /// The name of the workload.
    pub workload: String,
    /// The number of shards; 1 for a bare map.
    pub shards: usize,
    /// The number of threads.
    pub threads: usize,
    /// The number of live tasks on these threads; `None` if the workers are threads.
    pub tasks: Option<usize>,
    /// The number of servers registered beforehand.
    pub entries: usize,
    /// The seed of ids and their order.
    pub seed: u64,
    /// One operation in this many was timed.
    pub sample_every: u32,
}

/// One run of a workload on one subject.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Sample {
    /// The setting.
    #[serde(flatten)]
    pub setup: Setup,
    /// The time in seconds.
    pub seconds: f64,
    /// Operations per second.
    pub ops_per_s: f64,
    /// The 50th percentile of latency in nanoseconds.
    pub p50_ns: u64,
    /// The 95th percentile.
    pub p95_ns: u64,
    /// The 99th percentile.
    pub p99_ns: u64,
    /// The 99.9th percentile.
    pub p999_ns: u64,
    /// The longest latency.
    pub max_ns: u64,
    /// The number of timed operations.
    pub timed: u64,
    /// (Greatest − least number of entries of a shard) / mean, if there are shards.
    pub skew: Option<f64>,
    /// The histogram of latencies: upper ends of buckets in nanoseconds, and counts; only if all operations were timed.
    pub buckets: Option<Vec<(u64, u64)>>,
}

/// A comparison in one process.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Ratio {
    /// The comparison: `lookup_vs_bare` and others for single operations, `NAME_vs_bare` for whole workloads.
    pub name: String,
    /// The operation: `lookup`, `miss`, `route`, `register`; `workload` for a whole one, `memory` for bytes.
    #[serde(default)]
    pub operation: String,
    /// The name of the backend.
    pub backend: String,
    /// The number of shards.
    pub shards: usize,
    /// The number of threads.
    pub threads: usize,
    /// The number of servers registered beforehand.
    pub entries: usize,
    /// Time on the registry over time on the bare map.
    #[serde(flatten)]
    pub spread: Spread,
    /// The first quartile of the rounds of all pairs.
    #[serde(default)]
    pub q1: Option<f64>,
    /// The third quartile.
    #[serde(default)]
    pub q3: Option<f64>,
    /// The median on the registry in nanoseconds per operation.
    pub subject_ns: Option<f64>,
    /// The median on what it is compared with.
    pub bare_ns: Option<f64>,
    /// The number of pairs of slices.
    pub rounds: usize,
    /// The number of operations of a slice on each thread.
    pub operations: Option<usize>,
    /// The seed of ids and their order.
    pub seed: u64,
}

/// Bytes of an entry and of a binding.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Memory {
    /// `registry` or `bare`.
    pub subject: String,
    /// The name of the backend.
    pub backend: String,
    /// The number of shards; 1 for a bare map.
    pub shards: usize,
    /// The number of entries.
    pub entries: usize,
    /// Bytes asked of the allocator per entry, tables included, mailboxes excluded.
    pub bytes_per_entry: f64,
    /// Bytes per binding, with ten transports bound to each server.
    pub bytes_per_binding: Option<f64>,
}

/// A row of the document.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Row {
    /// The setting.
    #[serde(flatten)]
    pub setup: Setup,
    /// The number of rounds.
    pub rounds: usize,
    /// The time of a round in seconds.
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
    /// The longest latency of all rounds.
    pub max_ns: u64,
    /// The number of timed operations of all rounds.
    pub timed: u64,
    /// See [`Memory::bytes_per_entry`]; measured in a process of its own.
    pub bytes_per_entry: Option<f64>,
    /// See [`Sample::skew`].
    pub skew: Option<f64>,
    /// See [`Sample::buckets`]; the sum over the rounds.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub buckets: Option<Vec<(u64, u64)>>,
    /// The revision of the source.
    pub revision: String,
}

/// The machine and the revision, determined by the program.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Host {
    /// The name of the processor.
    pub cpu: String,
    /// The number of its hardware threads.
    pub cores: usize,
    /// The kernel and its version.
    pub kernel: String,
    /// The compiler.
    pub rustc: String,
    /// The commit, with `+dirty` if files differ from it.
    pub revision: String,
    /// The start of the run in UTC.
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
    /// Workloads, one row for each setting.
    pub rows: Vec<Row>,
    /// Comparisons.
    pub ratios: Vec<Ratio>,
    /// Memory, also in the rows of the same setting.
    pub memory: Vec<Memory>,
    /// Peers, one for each round.
    #[serde(default)]
    pub peers: Vec<Peer>,
    /// Curves.
    #[serde(default)]
    pub points: Vec<Point>,
    /// Tails under open-loop load.
    #[serde(default)]
    pub tails: Vec<Tail>,
    /// Idle mailboxes.
    #[serde(default)]
    pub idle: Vec<Idle>,
}

impl Document {
    /// Combines lines: the samples of one setting become a row.
    #[must_use]
    pub fn of(host: Host, lines: Vec<Line>) -> Self {
        let (mut samples, mut ratios, mut memory) = (Vec::new(), Vec::new(), Vec::new());
        let (mut peers, mut points, mut tails, mut idle) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        for line in lines {
            match line {
                Line::Sample(sample) => samples.push(*sample),
                Line::Ratio(ratio) => ratios.push(ratio),
                // A bare map is measured beside each number of shards.
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
    /// Adds the figures of another run on the same host and revision.
    ///
    /// # Errors
    ///
    /// If the hosts differ; nothing is added then.
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

/// Combines the ratios of one setting from several processes: the median of the medians, and the whole range.
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
                // The quartiles of the parts are not those of the whole.
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
