//! Single operations of the registry against the same on the bare map, in one process, in turns.
//!
//! Both sides are filled with the same ids and the same mailboxes, and get the same keys in the same random order,
//! prepared before the clock is read. They run in short slices: A B, B A, A B, and so on; each pair of slices gives one
//! ratio of times, and what is reported is the median of these ratios and their range.
//!
//! - A look-up reads in place the pointer to the mailbox. What it points to the registry reads too, to see whether the
//!   owner is alive; the bare map does not know such a thing.
//! - A message goes into a tokio channel by `try_send`; all are emptied between the slices.
//!   There are at most 1,024 channels, so at more entries several servers share one.
//! - A registration is followed by its end: lease dropped against entry removed.
//! - What is done many at once is in [`bulk`].
//! - `monitor_overhead` is the registry against the same registry with nobody listening.

use std::hint::black_box;
use std::sync::Barrier;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use registry_router::ServerId;

use crate::bulk;
use crate::choose::{self, Runner};
use crate::record::Ratio;
use crate::registry::Layout;
use crate::spread::Spread;
use crate::subject::Session;
use crate::world::{Counts, World};

/// How many ids each thread registers in turn and looks up in vain.
const STRANGERS: usize = 8_192;

/// The most operations in a slice.
const MOST_OPERATIONS: usize = 1 << 17;

/// An operation that is timed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Act {
    /// Finding a server.
    Lookup,
    /// Not finding one.
    Miss,
    /// Sending a message to a server.
    Route,
    /// Registering a server, and ending that.
    Register,
}

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
    /// How many pairs of slices.
    pub rounds: usize,
    /// How long a slice is, about.
    pub slice: Duration,
    /// What the ids and their order are drawn from.
    pub seed: u64,
}

/// What one thread repeats.
pub trait Lap {
    /// Does so many operations, beginning at a place in the order of keys, and says how long they took and how many
    /// went wrong.
    fn run(&mut self, start: usize, operations: usize) -> (Duration, usize);
}

/// Measures all ratios.
///
/// # Errors
///
/// If the backend or the number of shards is not possible, or an operation did not do what it should.
pub fn measure(request: &Request) -> Result<Vec<Ratio>> {
    // Threads do not share those that they register: two that want the same id at the same time are another matter.
    let strangers = STRANGERS * request.threads.iter().max().context("how many threads?")?;
    let counts = Counts { servers: request.entries, strangers, claims: 0, transports: 0 };
    let world = World::new(counts, request.seed);
    let layout = Layout { shards: request.shards, servers: request.entries, transports: 0 };
    let heard = choose::registry(&request.backend, layout)?;
    heard.fill(&world);
    let mut ratios = Vec::new();
    if let Some(bare) = choose::bare(&request.backend, layout) {
        bare.fill(&world);
        let names = [
            ("lookup_vs_bare", Act::Lookup),
            ("lookup_miss_vs_bare", Act::Miss),
            ("route_vs_bare", Act::Route),
            ("register_vs_bare", Act::Register),
        ];
        for (name, act) in names {
            for &threads in &request.threads {
                ratios.push(compare(request, &world, (name, act), threads, [&*heard, &*bare])?);
            }
        }
    }
    let unheard = choose::unheard_registry(&request.backend, layout)?;
    unheard.fill(&world);
    for (name, act) in [("monitor_overhead_lookup", Act::Lookup), ("monitor_overhead_route", Act::Route)] {
        for &threads in &request.threads {
            ratios.push(compare(request, &world, (name, act), threads, [&*heard, &*unheard])?);
        }
    }
    ratios.extend(bulk::measure(request)?);
    Ok(ratios)
}

fn compare(
    request: &Request,
    world: &World,
    (name, act): (&str, Act),
    threads: usize,
    sides: [&dyn Runner; 2],
) -> Result<Ratio> {
    let operations = calibrate(request.slice, act, world, threads, sides);
    let barrier = Barrier::new(threads);
    let work = |thread: usize| {
        let mut laps = sides.map(|side| side.lap(act, world, thread));
        let offset = thread * world.order.len() / threads;
        let (mut nanoseconds, mut failures) = (Vec::new(), 0);
        // The first round is to warm up and does not count.
        for round in 0..=request.rounds {
            let mut times = [0.0; 2];
            for side in if round % 2 == 0 { [0, 1] } else { [1, 0] } {
                barrier.wait();
                let (took, failed) = laps[side].run(offset + round * operations, operations);
                times[side] = took.as_nanos() as f64 / operations as f64;
                failures += failed;
                barrier.wait();
                if act == Act::Route && thread == 0 {
                    world.drain_all();
                }
            }
            if round > 0 {
                nanoseconds.push(times);
            }
        }
        (nanoseconds, failures)
    };
    let outcomes = thread::scope(|scope| {
        let workers: Vec<_> = (0..threads).map(|n| scope.spawn(move || work(n))).collect();
        workers.into_iter().map(|worker| worker.join().ok().context("a worker panicked")).collect::<Result<Vec<_>>>()
    })?;
    let failures: usize = outcomes.iter().map(|(_, failures)| failures).sum();
    ensure!(failures == 0, "{name} on {}: {failures} operations did not do what they should", request.backend);
    // A round's time is the mean over its threads.
    let times: Vec<[f64; 2]> = (0..request.rounds)
        .map(|round| [0, 1].map(|side| outcomes.iter().map(|(times, _)| times[round][side]).sum::<f64>()))
        .map(|sums| sums.map(|sum| sum / threads as f64))
        .collect();
    let spread_of = |figure: &dyn Fn(&[f64; 2]) -> f64| {
        Spread::of(&times.iter().map(figure).collect::<Vec<_>>()).context("there must be at least one round")
    };
    Ok(Ratio {
        name: name.to_owned(),
        backend: request.backend.clone(),
        shards: request.shards,
        threads,
        entries: request.entries,
        spread: spread_of(&|[a, b]| a / b)?,
        subject_ns: Some(spread_of(&|[a, _]| *a)?.median),
        bare_ns: Some(spread_of(&|[_, b]| *b)?.median),
        rounds: request.rounds,
        operations: Some(operations),
        seed: request.seed,
    })
}

/// How many operations fill a slice on the slower side.
fn calibrate(slice: Duration, act: Act, world: &World, threads: usize, sides: [&dyn Runner; 2]) -> usize {
    let most = if act == Act::Route { (world.room() / threads).min(MOST_OPERATIONS) } else { MOST_OPERATIONS };
    let probe = most.min(1_000);
    let slowest = sides.map(|side| {
        let mut lap = side.lap(act, world, 0);
        lap.run(0, probe);
        world.drain_all();
        let (took, _) = lap.run(probe, probe);
        world.drain_all();
        took
    });
    let each = slowest[0].max(slowest[1]).as_secs_f64() / probe as f64;
    ((slice.as_secs_f64() / each.max(1e-9)) as usize).clamp(16.min(most), most)
}

/// The loop over an operation, for one type of subject.
pub(crate) struct Laps<'a, Se> {
    act: Act,
    session: Se,
    world: &'a World,
    strangers: &'a [ServerId],
}

impl<'a, Se: Session> Laps<'a, Se> {
    pub(crate) fn new(act: Act, session: Se, world: &'a World, thread: usize) -> Self {
        Self { act, session, world, strangers: &world.strangers[thread * STRANGERS..][..STRANGERS] }
    }
}

impl<Se: Session> Lap for Laps<'_, Se> {
    fn run(&mut self, start: usize, operations: usize) -> (Duration, usize) {
        let (session, world) = (&self.session, self.world);
        let (mailbox, sender) = (world.mailbox(0), &world.sender);
        match self.act {
            Act::Lookup => {
                let mut found = 0;
                let mut same = 0;
                let took = time(&world.order, start, operations, |id| {
                    let read = session.lookup(id, mailbox);
                    found += usize::from(read.is_some());
                    same += usize::from(read == Some(true));
                });
                black_box(same);
                (took, operations - found)
            }
            Act::Miss => {
                let mut found = 0;
                let took = time(self.strangers, start, operations, |id| {
                    found += usize::from(session.lookup(id, mailbox).is_some());
                });
                (took, found)
            }
            Act::Route => {
                let mut failed = 0;
                let took = time(&world.order, start, operations, |id| {
                    failed += usize::from(!session.route(id, sender, 1));
                });
                (took, failed)
            }
            Act::Register => {
                let mut failed = 0;
                let took = time(self.strangers, start, operations, |id| match session.register(id, mailbox) {
                    Some(lease) => session.release(id, lease),
                    None => failed += 1,
                });
                (took, failed)
            }
        }
    }
}

/// Times an operation on so many keys in a row, beginning again at the end of the row.
#[inline]
fn time<K>(keys: &[K], start: usize, operations: usize, mut operation: impl FnMut(&K)) -> Duration {
    let mut place = start % keys.len();
    let mut left = operations;
    let began = Instant::now();
    while left > 0 {
        let upto = (place + left).min(keys.len());
        for key in &keys[place..upto] {
            operation(black_box(key));
        }
        left -= upto - place;
        place = 0;
    }
    began.elapsed()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_taken_in_a_row_and_around_the_end() {
        let mut seen = Vec::new();
        time(&[0, 1, 2], 2, 5, |&key: &i32| seen.push(key));
        assert_eq!(seen, [2, 0, 1, 2, 0]);
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
                slice: Duration::from_micros(50),
                seed: 1,
            };
            let ratios = measure(&request).unwrap();
            assert_eq!(ratios.len(), 12 + 2 * bulk::ROWS, "{backend}");
            for ratio in ratios {
                assert!(ratio.spread.min > 0.0 && ratio.spread.median.is_finite(), "{ratio:?}");
            }
        }
    }
}
