//! Peers compared with the registry, operation by operation: the rounds of each, and which peers are faster.

use super::distinct;
use crate::record::{Document, Outcome, Peer};
use crate::spread::Spread;

/// The kind of the registry itself.
const OURS: &str = "ours";

/// The backend that a registry has by default.
pub(crate) const DEFAULT_BACKEND: &str = "papaya";

/// One operation with one number of threads and of entries, and its result on every peer, fastest first.
#[derive(Debug)]
pub(crate) struct Comparison<'a> {
    pub(crate) operation: &'a str,
    pub(crate) threads: usize,
    pub(crate) entries: usize,
    pub(crate) results: Vec<PeerResult<'a>>,
}

/// The result of one peer.
#[derive(Debug)]
pub(crate) struct PeerResult<'a> {
    pub(crate) name: &'a str,
    pub(crate) kind: &'a str,
    pub(crate) remark: Option<&'a str>,
    /// The rounds that were measured; `None` if there are none.
    pub(crate) figures: Option<Figures>,
    /// Why other rounds have no figures.
    pub(crate) failures: Vec<&'a Outcome>,
    /// Nanoseconds per operation and thread in each round, where they were measured.
    rounds: Vec<Option<f64>>,
}

/// What was measured.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Figures {
    /// Nanoseconds per operation and thread.
    pub(crate) ns: Spread,
    /// Operations per second of all threads together.
    pub(crate) rate: Spread,
}

/// A peer that is faster than a registry of ours.
#[derive(Debug)]
pub(crate) struct Faster<'a> {
    pub(crate) peer: &'a PeerResult<'a>,
    pub(crate) ours: &'a PeerResult<'a>,
    /// Our time over that of the peer, round by round, since the runs of one round are neighbours.
    pub(crate) factor: Spread,
}

/// Returns all comparisons: by the number of entries, then in the order of the document.
pub(crate) fn comparisons(document: &Document) -> Vec<Comparison<'_>> {
    let key = |peer: &'_ Peer| (peer.entries, peer.operation.clone(), peer.threads);
    let mut comparisons: Vec<Comparison<'_>> = Vec::new();
    for first in &document.peers {
        let is_known = |known: &Comparison<'_>| {
            (known.operation, known.threads, known.entries) == (first.operation.as_str(), first.threads, first.entries)
        };
        if comparisons.iter().any(is_known) {
            continue;
        }
        let rows: Vec<&Peer> = document.peers.iter().filter(|peer| key(peer) == key(first)).collect();
        let names = distinct(rows.iter().map(|peer| peer.peer.as_str()));
        let mut results: Vec<PeerResult<'_>> =
            names.into_iter().filter_map(|name| PeerResult::new(name, &rows)).collect();
        results.sort_by(|one, other| one.order().total_cmp(&other.order()));
        let (threads, entries) = (first.threads, first.entries);
        comparisons.push(Comparison { operation: &first.operation, threads, entries, results });
    }
    comparisons.sort_by_key(|comparison| comparison.entries);
    comparisons
}

impl<'a> PeerResult<'a> {
    fn new(name: &'a str, rows: &[&'a Peer]) -> Option<Self> {
        let rows: Vec<&&'a Peer> = rows.iter().filter(|peer| peer.peer == name).collect();
        let first = rows.first()?;
        let (mut rounds, mut rates, mut failures) = (Vec::new(), Vec::new(), Vec::new());
        for row in &rows {
            if let Outcome::Measured { ns, ops_per_s } = &row.outcome {
                rounds.push(Some(*ns));
                rates.push(*ops_per_s);
            } else {
                rounds.push(None);
                failures.push(&row.outcome);
            }
        }
        let measured: Vec<f64> = rounds.iter().flatten().copied().collect();
        let figures = Spread::of(&measured).zip(Spread::of(&rates)).map(|(ns, rate)| Figures { ns, rate });
        Some(Self { name, kind: &first.kind, remark: first.remark.as_deref(), figures, failures, rounds })
    }

    /// Returns the median of nanoseconds per operation and thread.
    pub(crate) fn ns(&self) -> Option<f64> {
        self.figures.map(|figures| figures.ns.median)
    }

    /// Sorts the fastest first, and those without a figure last.
    fn order(&self) -> f64 {
        self.ns().unwrap_or(f64::INFINITY)
    }
}

impl Comparison<'_> {
    /// Returns the registry on its default backend, or on another if that one was not measured.
    pub(crate) fn ours(&self) -> Option<&PeerResult<'_>> {
        let ours = || self.results.iter().filter(|result| result.kind == OURS);
        ours().find(|result| result.name.contains(DEFAULT_BACKEND)).or_else(|| ours().next())
    }

    /// Returns the peers that are faster than the registry on its default backend, fastest first.
    pub(crate) fn faster(&self) -> Vec<Faster<'_>> {
        self.ours().map(|ours| self.faster_than(ours)).unwrap_or_default()
    }

    /// Returns the peers that are faster than the registry on each backend.
    pub(crate) fn faster_than_any(&self) -> Vec<Faster<'_>> {
        self.results.iter().filter(|result| result.kind == OURS).flat_map(|ours| self.faster_than(ours)).collect()
    }

    fn faster_than<'a>(&'a self, ours: &'a PeerResult<'a>) -> Vec<Faster<'a>> {
        let factor = |peer: &PeerResult<'_>| {
            let rounds = peer.rounds.iter().zip(&ours.rounds);
            let factors: Vec<f64> = rounds.filter_map(|(theirs, ours)| Some((*ours)? / (*theirs)?)).collect();
            Spread::of(&factors).filter(|factor| factor.median > 1.0)
        };
        let peers = self.results.iter().filter(|result| result.kind != OURS);
        peers.filter_map(|peer| Some(Faster { peer, ours, factor: factor(peer)? })).collect()
    }
}

/// A peer with the comparisons in which it is faster.
pub(crate) type Wins<'a> = (&'a PeerResult<'a>, Vec<(&'a Comparison<'a>, Faster<'a>)>);

/// Returns every peer that is faster than the registry on its default backend at something: other registries before
/// bare maps, which do less.
pub(crate) fn wins<'a>(comparisons: &'a [Comparison<'a>]) -> Vec<Wins<'a>> {
    let mut peers: Vec<Wins<'a>> = Vec::new();
    for comparison in comparisons {
        for faster in comparison.faster() {
            match peers.iter_mut().find(|(peer, _)| peer.name == faster.peer.name) {
                Some((_, wins)) => wins.push((comparison, faster)),
                None => peers.push((faster.peer, vec![(comparison, faster)])),
            }
        }
    }
    peers.sort_by_key(|(peer, wins)| (peer.kind == "map", std::cmp::Reverse(wins.len())));
    peers
}
