//! The cost of operations as entries, shards or live tasks grow.
//!
//! At each size the registry, the bare map and, if asked for, the immutable map are filled alike and run in turns, see
//! [`interleave`]; a figure is the median of the rounds in nanoseconds per operation and thread. A bend in all curves
//! is that of the memory hierarchy, and a bend in the curve of the registry alone is its own.
//!
//! Along tasks, the mailbox of every entry belongs to a live task, see [`crate::owners`]. Tasks are registered as
//! servers, for the tables of servers and transports are alike. Otherwise all entries share at most 1,024 mailboxes.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use clap::ValueEnum;

use crate::choose;
use crate::fixture::{Counts, Fixture};
use crate::interleave::{Extent, Side, interleave};
use crate::owners::{Owners, threads_beside};
use crate::record::Point;
use crate::registry::Layout;
use crate::spread::Spread;
use crate::timed_loop::{ABSENT_IDS, Operation};

/// The capacity of the mailbox of a live task.
const CAPACITY: usize = 64;

/// The quantity that grows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Along {
    /// Entries.
    Entries,
    /// Shards.
    Shards,
    /// Live tasks with a mailbox.
    Tasks,
}

impl Along {
    /// Returns the name in records.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Entries => "entries",
            Self::Shards => "shards",
            Self::Tasks => "tasks",
        }
    }
}

/// A request to measure one size.
#[derive(Clone, Debug)]
pub struct Request {
    /// The quantity that grows.
    pub along: Along,
    /// The name of the backend.
    pub backend: String,
    /// The number of shards.
    pub shards: usize,
    /// The number of entries or tasks.
    pub entries: usize,
    /// Whether the immutable map is measured too.
    pub limit: bool,
    /// The number of threads.
    pub threads: usize,
    /// The number of rounds.
    pub rounds: usize,
    /// The approximate time of a slice.
    pub slice: Duration,
    /// The seed of the ids and their order.
    pub seed: u64,
}

/// Measures all figures at one size.
///
/// # Errors
///
/// If the backend or the number of shards is not possible, or an operation failed.
pub fn measure(request: &Request) -> Result<Vec<Point>> {
    let Request { along, shards, entries, threads, .. } = *request;
    let absent_ids = if along == Along::Tasks { 0 } else { ABSENT_IDS * threads };
    let counts = Counts { servers: entries, absent_ids, claims: 0, transports: 0 };
    let (fixture, owners) = if along == Along::Tasks {
        let (fixture, flow, inboxes) = Fixture::with_owners(counts, request.seed, CAPACITY);
        (fixture, Some(Owners::of(inboxes, &flow, threads_beside(threads))?))
    } else {
        (Fixture::new(counts, request.seed), None)
    };
    let layout = Layout { shards, servers: entries, transports: 0 };
    let mut subjects = vec![("registry", shards, choose::registry(&request.backend, layout)?)];
    subjects.extend(choose::bare(&request.backend, layout).map(|bare| ("bare", 1, bare)));
    if request.limit {
        subjects.push(("limit", 1, choose::limit()));
    }
    subjects.iter().for_each(|(_, _, subject)| subject.fill(&fixture));
    let operations = match along {
        Along::Tasks => &[Operation::Lookup, Operation::Route][..],
        Along::Entries | Along::Shards => &[Operation::Lookup, Operation::Route, Operation::Register],
    };
    let at = match (along, &owners) {
        (Along::Tasks, Some(owners)) => owners.live(),
        (Along::Shards, _) => shards,
        _ => entries,
    };
    ensure!(along != Along::Tasks || at == entries, "{at} tasks are alive, not {entries}");
    let _awake = owners.as_ref().map(Owners::awake);
    let mut points = Vec::new();
    for &operation in operations {
        // The immutable map is only read.
        let those: Vec<_> =
            subjects.iter().filter(|(name, _, _)| operation == Operation::Lookup || *name != "limit").collect();
        let sides: Vec<Side<'_>> =
            those.iter().map(|(_, _, subject)| Side::new(&**subject, operation, threads, &fixture)).collect();
        let extent = Extent { keys: fixture.order.len(), rounds: request.rounds, slice: request.slice };
        let times = interleave(&sides, extent, &|| fixture.drain_all())
            .with_context(|| format!("{} of {at} {} on {}", operation.name(), along.name(), request.backend))?;
        for (n, &&(subject, shards, _)) in those.iter().enumerate() {
            let ns: Vec<f64> = times.rounds.iter().map(|round| round[n]).collect();
            points.push(Point {
                along: along.name().to_owned(),
                at,
                figure: operation.name().to_owned(),
                subject: subject.to_owned(),
                backend: request.backend.clone(),
                shards,
                threads,
                entries,
                rounds: request.rounds,
                seed: request.seed,
                spread: Spread::of(&ns).context("there must be at least one round")?,
            });
        }
    }
    Ok(points)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(along: Along, shards: usize, entries: usize, limit: bool) -> Request {
        Request {
            along,
            backend: "papaya".to_owned(),
            shards,
            entries,
            limit,
            threads: 1,
            rounds: 2,
            slice: Duration::from_micros(50),
            seed: 1,
        }
    }

    #[test]
    fn a_size_has_every_figure_on_every_subject() {
        let figures = |points: &[Point]| -> Vec<(String, String, usize)> {
            points.iter().map(|point| (point.figure.clone(), point.subject.clone(), point.at)).collect()
        };
        let expect = |list: &[(&str, &str)], at| -> Vec<(String, String, usize)> {
            list.iter().map(|(figure, subject)| (figure.to_string(), subject.to_string(), at)).collect()
        };
        let both = [
            ("lookup", "registry"),
            ("lookup", "bare"),
            ("route", "registry"),
            ("route", "bare"),
            ("register", "registry"),
            ("register", "bare"),
        ];
        let points = measure(&request(Along::Entries, 4, 200, true)).unwrap();
        let mut with_limit = both.to_vec();
        with_limit.insert(2, ("lookup", "limit"));
        assert_eq!(figures(&points), expect(&with_limit, 200));
        assert!(points.iter().all(|point| point.spread.min > 0.0 && point.rounds == 2), "{points:?}");
        let points = measure(&request(Along::Shards, 16, 200, false)).unwrap();
        assert_eq!(figures(&points), expect(&both, 16));
        assert_eq!((points[0].shards, points[1].shards), (16, 1), "a bare map has no shards");
        let points = measure(&request(Along::Tasks, 4, 300, false)).unwrap();
        assert_eq!(figures(&points), expect(&both[..4], 300));
    }
}
