//! Single operations of the registry against the same on something else, in one process, in turns.
//!
//! Both sides are filled with the same ids and the same mailboxes, have room for all entries from the start, and get the
//! same keys in the same random order, prepared before the clock is read. They run in short slices, each warmed up
//! untimed, as [`interleave`] says; each pair of slices gives one ratio of times.
//!
//! Only the two that are compared are alive, so that no third one takes part of the caches. And two maps with the same
//! content differ by several percent from where their memory happens to lie, which no number of rounds evens out. So
//! several pairs are built, one after the other, first the one and then the other in turn, with other memory taken in
//! between: a ratio is the median of the pairs' medians, its range and quartiles are of all rounds of all pairs.
//!
//! - `lookup_vs_bare`, `lookup_miss_vs_bare`: a lookup reads in place the pointer to the mailbox. The registry reads a
//!   bit too, to see whether the owner is alive; the bare map does not know such a thing.
//!   The bare map is one map, the registry has as many as it has shards: that is how each is used.
//! - `lookup_vs_limit`: against a standard map that is never written, with the bare maps' hasher.
//! - `route_vs_bare`: a message goes into a tokio channel by `try_send`; all are emptied between the slices.
//!   There are at most 1,024 channels, so at more entries several servers share one.
//! - `register_vs_bare`: a registration is followed by its end: lease dropped against entry removed.
//! - `hot_two_threads`: everybody looks up one id; the time per lookup and thread with two threads over that with one.
//!   `bare_hot_two_threads` is the same on the bare map: what the machine itself makes of it.
//! - What is done many at once is in [`bulk`](crate::bulk).
//! - `monitor_overhead`: the registry against itself, the same table, while its monitor is [switched](crate::switch) off.
//!   As what is to be seen is small, it has four times as many rounds of slices a quarter as long.

use std::time::{Duration, Instant};

use anyhow::{Context, Result};

use crate::checks::SETTLED;
use crate::choose::{self, Runner};
use crate::interleave::{Extent, Side, interleave};
use crate::record::Ratio;
use crate::registry::Layout;
use crate::spread::{Spread, quartiles};
use crate::timed_loop::{Operation, STRANGERS};
use crate::world::{Counts, World};

/// How much is measured.
#[derive(Clone, Debug)]
pub struct Request {
    /// On which backend.
    pub backend: String,
    /// With how many shards.
    pub shards: usize,
    /// With how many entries.
    pub entries: usize,
    /// With how many threads, one after the other.
    pub threads: Vec<usize>,
    /// How many pairs of slices, at least; each pair of subjects has as many as any other.
    pub rounds: usize,
    /// How many pairs of subjects are built.
    pub pairs: usize,
    /// How long a slice is, about.
    pub slice: Duration,
    /// What the ids and their order are drawn from.
    pub seed: u64,
}

/// One ratio.
#[derive(Clone, Copy, Debug)]
struct Comparison {
    name: &'static str,
    operation: Operation,
    /// How many threads are at work on each side.
    threads: [usize; 2],
    /// Which of the two subjects is on each side.
    subjects: [usize; 2],
    /// So many times the rounds, of slices so many times as short.
    finer: usize,
}

impl Comparison {
    /// Returns the operation as it is recorded: the ratio's name says that the id is hot.
    fn recorded(&self) -> &'static str {
        if self.operation == Operation::Hot { Operation::Lookup.name() } else { self.operation.name() }
    }
}

/// What one comparison came to on one pair of subjects.
#[derive(Clone, Debug)]
struct Pair {
    /// The times on both sides.
    rounds: Vec<[f64; 2]>,
    /// How many operations a slice had.
    operations: usize,
}

/// How one subject is made.
type Make<'a> = &'a dyn Fn() -> Result<Box<dyn Runner>>;

/// How two subjects are made and filled, for the n-th pair.
type MakePair<'a> = &'a dyn Fn(usize) -> Result<[Box<dyn Runner>; 2]>;

/// Measures all ratios.
///
/// # Errors
///
/// If the backend or the number of shards is not possible, or an operation did not do what it should.
pub fn measure(request: &Request) -> Result<Vec<Ratio>> {
    // Threads do not share those that they register: two that want the same id at the same time are another matter.
    let strangers = STRANGERS * request.threads.iter().max().context("how many threads?")?;
    let world = World::new(Counts { servers: request.entries, strangers, claims: 0, transports: 0 }, request.seed);
    let layout = Layout { shards: request.shards, servers: request.entries, transports: 0 };
    let heard = || choose::registry(&request.backend, layout);
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
        ratios.extend(over_pairs(request, &world, &|pair| in_turn(&world, [&heard, &bare], pair), &comparisons)?);
    }
    let to_limit = each(&[("lookup_vs_limit", Operation::Lookup)], 1);
    ratios.extend(over_pairs(request, &world, &|pair| in_turn(&world, [&heard, &limit], pair), &to_limit)?);
    let overhead = each(&[("monitor_overhead", Operation::Lookup), ("monitor_overhead", Operation::Route)], 4);
    let switched = |_| {
        let both = choose::heard_and_unheard(&request.backend, layout)?;
        both[0].fill(&world);
        settle(&*both[0], &world);
        Ok(both)
    };
    ratios.extend(over_pairs(request, &world, &switched, &overhead)?);
    Ok(ratios)
}

/// Looks up until the subject has found the rate at which it times lookups.
fn settle(subject: &dyn Runner, world: &World) {
    let mut timed = subject.timed_loop(Operation::Lookup, world, 0);
    let began = Instant::now();
    while began.elapsed() < SETTLED {
        timed.run(0, world.order.len());
    }
}

/// Makes two subjects, first the one in one pair and the other in the next, and fills them in the order in which they
/// were made.
fn in_turn(world: &World, make: [Make<'_>; 2], pair: usize) -> Result<[Box<dyn Runner>; 2]> {
    let first = pair % 2;
    let mut built = [make[first]()?, make[1 - first]()?];
    built.iter().for_each(|subject| subject.fill(world));
    if first == 1 {
        built.reverse();
    }
    Ok(built)
}

/// Builds pairs of subjects, one pair after the other, and makes all comparisons on each.
fn over_pairs(request: &Request, world: &World, make: MakePair<'_>, comparisons: &[Comparison]) -> Result<Vec<Ratio>> {
    let mut rng = fastrand::Rng::with_seed(request.seed);
    let mut of_comparisons: Vec<Vec<Pair>> = vec![Vec::new(); comparisons.len()];
    // Held while the later pairs are built, so that those cannot lie where the earlier ones did.
    let mut in_between: Vec<Vec<u8>> = Vec::new();
    for pair in 0..request.pairs {
        in_between.extend((0..256).map(|_| Vec::with_capacity(rng.usize(16..16_384))));
        let subjects = make(pair)?;
        for (comparison, all) in comparisons.iter().zip(&mut of_comparisons) {
            let side = |n: usize| {
                let subject = &*subjects[comparison.subjects[n]];
                Side::new(subject, comparison.operation, comparison.threads[n], world)
            };
            let rounds = (request.rounds * comparison.finer).div_ceil(request.pairs);
            let slice = request.slice / comparison.finer as u32;
            let extent = Extent { keys: world.order.len(), rounds, slice };
            let times = interleave(&[side(0), side(1)], extent, &|| world.drain_all())
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

/// What is made of the times of all rounds of all pairs.
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
    fn a_pair_that_lies_badly_does_not_outweigh_the_others() {
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
