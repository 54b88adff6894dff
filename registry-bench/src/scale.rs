//! What operations cost as something grows: entries, shards, or live tasks with mailboxes.
//!
//! At each size the registry, the bare map and, where it is asked for, the immutable map are filled alike and run in
//! turns, as [`interleave`] says; a figure is the median of the rounds in nanoseconds per operation and thread.
//! What is bent in all of them alike is the machine's memory; what is bent in the registry alone is its own.
//!
//! Along tasks, every entry's mailbox belongs to a live task of its own that waits for messages, as [`crate::owners`]
//! says. They are registered as servers: the registry's two tables are of one kind, and so are a bare map's.
//! At other sizes at most 1,024 mailboxes are shared by all entries.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use clap::ValueEnum;

use crate::choose;
use crate::interleave::{Extent, Side, interleave};
use crate::owners::{Owners, threads_beside};
use crate::record::Point;
use crate::registry::Layout;
use crate::spread::Spread;
use crate::timed_loop::{Operation, STRANGERS};
use crate::world::{Counts, World};

/// For how many messages the mailbox of a live task has room.
const CAPACITY: usize = 64;

/// What grows.
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
    /// What it is called in records.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Entries => "entries",
            Self::Shards => "shards",
            Self::Tasks => "tasks",
        }
    }
}

/// One size to be measured.
#[derive(Clone, Debug)]
pub struct Request {
    /// Along what.
    pub along: Along,
    /// On which backend.
    pub backend: String,
    /// With how many shards.
    pub shards: usize,
    /// With how many entries, or tasks.
    pub entries: usize,
    /// Whether the immutable map is measured too.
    pub limit: bool,
    /// With how many threads.
    pub threads: usize,
    /// How many rounds.
    pub rounds: usize,
    /// How long a slice is, about.
    pub slice: Duration,
    /// What the ids and their order are drawn from.
    pub seed: u64,
}

/// Measures all figures at one size.
///
/// # Errors
///
/// If the backend or the number of shards is not possible, or an operation did not do what it should.
pub fn measure(request: &Request) -> Result<Vec<Point>> {
    let Request { along, shards, entries, threads, .. } = *request;
    let strangers = if along == Along::Tasks { 0 } else { STRANGERS * threads };
    let counts = Counts { servers: entries, strangers, claims: 0, transports: 0 };
    let (world, owners) = if along == Along::Tasks {
        let (world, flow, inboxes) = World::with_owners(counts, request.seed, CAPACITY);
        (world, Some(Owners::of(inboxes, &flow, threads_beside(threads))?))
    } else {
        (World::new(counts, request.seed), None)
    };
    let layout = Layout { shards, servers: entries, transports: 0 };
    let mut subjects = vec![("registry", shards, choose::registry(&request.backend, layout)?)];
    subjects.extend(choose::bare(&request.backend, layout).map(|bare| ("bare", 1, bare)));
    if request.limit {
        subjects.push(("limit", 1, choose::limit()));
    }
    subjects.iter().for_each(|(_, _, subject)| subject.fill(&world));
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
        // The immutable map is there to be read.
        let those: Vec<_> =
            subjects.iter().filter(|(name, _, _)| operation == Operation::Lookup || *name != "limit").collect();
        let sides: Vec<Side<'_>> =
            those.iter().map(|(_, _, subject)| Side::new(&**subject, operation, threads, &world)).collect();
        let extent = Extent { keys: world.order.len(), rounds: request.rounds, slice: request.slice };
        let times = interleave(&sides, extent, &|| world.drain_all())
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
        assert_eq!((points[0].shards, points[1].shards), (16, 1), "a bare map has no shards of ours");
        let points = measure(&request(Along::Tasks, 4, 300, false)).unwrap();
        assert_eq!(figures(&points), expect(&both[..4], 300));
    }
}
