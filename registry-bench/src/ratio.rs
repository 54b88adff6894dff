//! Single operations of the registry compared with the same on something else, in one process, in turns.
//!
//! Both sides are filled with the same ids and the same mailboxes, have room for all entries from the start, and get
//! the same keys in the same random order. They run in short slices with an untimed warm-up, see [`interleave`]; each
//! pair of slices gives one ratio of times.
//!
//! Only the two that are compared exist, so that no third takes part of the caches. Two maps with the same content
//! differ by several percent depending on the placement of their memory, which no number of rounds evens out. So
//! several pairs are built one after the other, in alternating order and with other memory allocated in between: a
//! ratio is the median of the medians of the pairs, its range and quartiles are of all rounds of all pairs.
//!
//! - `lookup_vs_bare`, `lookup_miss_vs_bare`: a lookup reads the pointer to the mailbox in place. The registry also
//!   reads a bit that tells whether the owner is alive; a bare map has none.
//!   The bare map is one map, and the registry has one for each shard, as each is used.
//! - `lookup_vs_limit`: against a standard map that is never written, with the hasher of the bare maps.
//! - `route_vs_bare`: a message goes into a tokio channel by `try_send`; all are emptied between the slices.
//!   There are at most 1,024 channels, so at more entries several servers share one.
//! - `register_vs_bare`: a registration is followed by its end: lease dropped against entry removed.
//! - `hot_two_threads`: all threads look up one id; the time per lookup and thread with two threads over that with one.
//!   `bare_hot_two_threads` is the same on the bare map.
//! - Bulk operations are in [`bulk`](crate::bulk).
//! - `monitor_overhead`: the registry against itself, the same table, while its monitor is [switched](crate::switch)
//!   off. The difference is small, so there are four times as many rounds of slices a quarter as long.

use std::time::{Duration, Instant};

use anyhow::{Context, Result};

use crate::choose::{self, Runner};
use crate::fixture::{Counts, Fixture};
use crate::health_checks::SETTLED;
use crate::interleave::{Extent, Side, interleave};
use crate::record::Ratio;
use crate::registry::Layout;
use crate::spread::{Spread, quartiles};
use crate::timed_loop::{ABSENT_IDS, Operation};

/// A request to measure the ratios of one backend.
#[derive(Clone, Debug)]
pub struct Request {
    /// The name of the backend.
    pub backend: String,
    /// The number of shards.
    pub shards: usize,
    /// The number of entries.
    pub entries: usize,
    /// The numbers of threads, measured one after the other.
    pub threads: Vec<usize>,
    /// The least number of pairs of slices; all pairs of subjects have equally many.
    pub rounds: usize,
    /// The number of pairs of subjects.
    pub pairs: usize,
    /// The approximate time of a slice.
    pub slice: Duration,
    /// The seed of the ids and their order.
    pub seed: u64,
}

/// One ratio.
#[derive(Clone, Copy, Debug)]
struct Comparison {
    name: &'static str,
    operation: Operation,
    /// The number of threads on each side.
    threads: [usize; 2],
    /// The index of the subject on each side.
    subjects: [usize; 2],
    /// The factor by which rounds are more and slices are shorter.
    finer: usize,
}

impl Comparison {
    /// Returns the operation as it is recorded: the ratio's name says that the id is hot.
    fn recorded(&self) -> &'static str {
        if self.operation == Operation::Hot { Operation::Lookup.name() } else { self.operation.name() }
    }
}

/// The result of a comparison on one pair of subjects.
#[derive(Clone, Debug)]
struct Pair {
    /// The times of both sides in each round.
    rounds: Vec<[f64; 2]>,
    /// The number of operations of a slice.
    operations: usize,
}

/// Makes a subject.
type Make<'a> = &'a dyn Fn() -> Result<Box<dyn Runner>>;

/// Makes and fills the n-th pair of subjects.
type MakePair<'a> = &'a dyn Fn(usize) -> Result<[Box<dyn Runner>; 2]>;

/// Measures all ratios.
///
/// # Errors
///
/// If the backend or the number of shards is not possible, or an operation failed.
pub fn measure(request: &Request) -> Result<Vec<Ratio>> {
    // Threads register separate ids, for contention on one id is another measurement.
    let absent_ids = ABSENT_IDS * request.threads.iter().max().context("the number of threads is missing")?;
    let fixture = Fixture::new(Counts { servers: request.entries, absent_ids, claims: 0, transports: 0 }, request.seed);
    let layout = Layout { shards: request.shards, servers: request.entries, transports: 0 };
    let monitored = || choose::registry(&request.backend, layout);
    let bare = || choose::bare(&request.backend, layout).context("there is no bare map");
    let limit = || Ok(choose::limit());

    let each = |names: &[(&'static str, Operation)], finer| -> Vec<Comparison> {
        let of = |&(name, operation)| {
            let comparison = move |&n: &usize| Comparison { name, operation, threads: [n; 2], subjects: [0, 1], finer };
            request.threads.iter().map(comparison).collect::<Vec<_>>()
        };
        names.iter().flat_map(of).collect()
    };
    let mut ratios = Vec::new();
    if choose::bare(&request.backend, layout).is_some() {
        let mut comparisons = each(
            &[
                ("lookup_vs_bare", Operation::Lookup),
                ("lookup_miss_vs_bare", Operation::Miss),
                ("route_vs_bare", Operation::Route),
                ("register_vs_bare", Operation::Register),
            ],
            1,
        );
        let hot = |name, subject| Comparison {
            name,
            operation: Operation::Hot,
            threads: [2, 1],
            subjects: [subject; 2],
            finer: 1,
        };
        comparisons.extend([hot("hot_two_threads", 0), hot("bare_hot_two_threads", 1)]);
        ratios.extend(over_pairs(
            request,
            &fixture,
            &|pair| in_turn(&fixture, [&monitored, &bare], pair),
            &comparisons,
        )?);
    }
    let to_limit = each(&[("lookup_vs_limit", Operation::Lookup)], 1);
    ratios.extend(over_pairs(request, &fixture, &|pair| in_turn(&fixture, [&monitored, &limit], pair), &to_limit)?);
    let overhead = each(&[("monitor_overhead", Operation::Lookup), ("monitor_overhead", Operation::Route)], 4);
    let switched = |_| {
        let both = choose::monitored_and_unmonitored(&request.backend, layout)?;
        both[0].fill(&fixture);
        settle(&*both[0], &fixture);
        Ok(both)
    };
    ratios.extend(over_pairs(request, &fixture, &switched, &overhead)?);
    Ok(ratios)
}

/// Looks up until the rate at which the subject times lookups has settled.
fn settle(subject: &dyn Runner, fixture: &Fixture) {
    let mut timed = subject.timed_loop(Operation::Lookup, fixture, 0);
    let began = Instant::now();
    while began.elapsed() < SETTLED {
        timed.run(0, fixture.order.len());
    }
}

/// Makes two subjects in an order that alternates from pair to pair, and fills them in the same order.
fn in_turn(fixture: &Fixture, make: [Make<'_>; 2], pair: usize) -> Result<[Box<dyn Runner>; 2]> {
    let first = pair % 2;
    let mut built = [make[first]()?, make[1 - first]()?];
    built.iter().for_each(|subject| subject.fill(fixture));
    if first == 1 {
        built.reverse();
    }
    Ok(built)
}

/// Builds pairs of subjects, one pair after the other, and makes all comparisons on each.
fn over_pairs(
    request: &Request,
    fixture: &Fixture,
    make: MakePair<'_>,
    comparisons: &[Comparison],
) -> Result<Vec<Ratio>> {
    let mut rng = fastrand::Rng::with_seed(request.seed);
    let mut of_comparisons: Vec<Vec<Pair>> = vec![Vec::new(); comparisons.len()];
    // Held while later pairs are built, so that those are placed elsewhere in memory.
    let mut in_between: Vec<Vec<u8>> = Vec::new();
    for pair in 0..request.pairs {
        in_between.extend((0..256).map(|_| Vec::with_capacity(rng.usize(16..16_384))));
        let subjects = make(pair)?;
        for (comparison, all) in comparisons.iter().zip(&mut of_comparisons) {
            let side = |n: usize| {
                let subject = &*subjects[comparison.subjects[n]];
                Side::new(subject, comparison.operation, comparison.threads[n], fixture)
            };
            let rounds = (request.rounds * comparison.finer).div_ceil(request.pairs);
            let slice = request.slice / comparison.finer as u32;
            let extent = Extent { keys: fixture.order.len(), rounds, slice };
            let times = interleave(&[side(0), side(1)], extent, &|| fixture.drain_all())
                .with_context(|| format!("{} on {}", comparison.name, request.backend))?;
            let rounds = times.rounds.iter().map(|round| [round[0], round[1]]).collect();
            all.push(Pair { rounds, operations: times.operations });
        }
    }
    let ratio = |(comparison, pairs): (&Comparison, &Vec<Pair>)| {
        let summary = summary(pairs).context("there must be a pair and a round")?;
        Ok(Ratio {
            name: comparison.name.to_owned(),
            operation: comparison.recorded().to_owned(),
            backend: request.backend.clone(),
            shards: request.shards,
            threads: comparison.threads[0],
            entries: request.entries,
            spread: summary.spread,
            q1: Some(summary.quartiles.0),
            q3: Some(summary.quartiles.1),
            subject_ns: Some(summary.ns[0]),
            bare_ns: Some(summary.ns[1]),
            rounds: pairs.iter().map(|pair| pair.rounds.len()).sum(),
            operations: pairs.iter().map(|pair| pair.operations).max(),
            seed: request.seed,
        })
    };
    comparisons.iter().zip(&of_comparisons).map(ratio).collect()
}

/// The summary of all rounds of all pairs.
#[derive(Debug, PartialEq)]
struct Summary {
    spread: Spread,
    quartiles: (f64, f64),
    ns: [f64; 2],
}

fn summary(pairs: &[Pair]) -> Option<Summary> {
    let ratios_of = |pair: &Pair| pair.rounds.iter().map(|[a, b]| a / b).collect::<Vec<f64>>();
    let medians: Vec<f64> = pairs.iter().filter_map(|pair| Some(Spread::of(&ratios_of(pair))?.median)).collect();
    let all: Vec<f64> = pairs.iter().flat_map(ratios_of).collect();
    let side =
        |n: usize| Spread::of(&pairs.iter().flat_map(|pair| &pair.rounds).map(|times| times[n]).collect::<Vec<_>>());
    Some(Summary {
        spread: Spread { median: Spread::of(&medians)?.median, ..Spread::of(&all)? },
        quartiles: quartiles(&all)?,
        ns: [side(0)?.median, side(1)?.median],
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_slow_pair_does_not_outweigh_the_others() {
        let pair = |subject: f64, rounds| Pair { rounds: vec![[subject, 10.0]; rounds], operations: 1 };
        let summary = summary(&[pair(11.0, 2), pair(20.0, 9), pair(12.0, 2)]).unwrap();
        assert!((summary.spread.median - 1.2).abs() < 1e-9, "the middle pair's, however many rounds the worst has");
        assert!((summary.spread.min - 1.1).abs() < 1e-9 && (summary.spread.max - 2.0).abs() < 1e-9);
        assert_eq!((summary.quartiles, summary.ns), ((1.2, 2.0), [20.0, 10.0]));
        assert_eq!(super::summary(&[]), None);
    }

    #[test]
    fn every_ratio_is_measured_on_every_backend() {
        for backend in choose::backends() {
            let request = Request {
                backend: backend.to_owned(),
                shards: 4,
                entries: 100,
                threads: vec![1, 2],
                rounds: 2,
                pairs: 2,
                slice: Duration::from_micros(50),
                seed: 1,
            };
            let ratios = measure(&request).unwrap();
            let count = |name: &str| ratios.iter().filter(|ratio| ratio.name == name).count();
            for name in ["lookup_vs_bare", "lookup_miss_vs_bare", "route_vs_bare", "register_vs_bare"] {
                assert_eq!(count(name), 2, "{name} on {backend}");
            }
            let counts = ["lookup_vs_limit", "hot_two_threads", "bare_hot_two_threads", "monitor_overhead"].map(count);
            assert_eq!((counts, ratios.len()), ([2, 1, 1, 4], 16), "{backend}");
            for ratio in ratios {
                assert!(ratio.spread.min > 0.0 && ratio.spread.median.is_finite(), "{ratio:?}");
                assert!(ratio.q1 <= ratio.q3 && ratio.rounds >= 2, "{ratio:?}");
            }
        }
    }
}
