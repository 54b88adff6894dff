//! Peers against the registry, operation by operation: rounds put together, and who is faster.

use super::distinct;
use super::head::DEFAULT;
use crate::record::{Document, Outcome, Peer};
use crate::spread::Spread;

/// One operation in one setting, with all who were asked for it.
#[derive(Debug)]
pub(super) struct Contest<'a> {
    pub(super) operation: &'a str,
    pub(super) threads: usize,
    pub(super) entries: usize,
    pub(super) entrants: Vec<Entrant<'a>>,
}

/// One of them.
#[derive(Debug)]
pub(super) struct Entrant<'a> {
    pub(super) name: &'a str,
    pub(super) kind: &'a str,
    pub(super) remark: Option<&'a str>,
    pub(super) result: Result<Figures, Why<'a>>,
}

/// What was measured.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Figures {
    /// Nanoseconds per operation and thread.
    pub(super) ns: Spread,
    /// Operations per second of all threads together.
    pub(super) rate: Spread,
}

/// Why there is no figure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Why<'a> {
    Cannot(&'a str),
    Missing(&'a str),
    Failed(&'a str),
}

/// A peer that is faster than the registry on its default backend.
#[derive(Debug)]
pub(super) struct Faster<'a> {
    pub(super) peer: &'a Entrant<'a>,
    pub(super) ours: &'a Entrant<'a>,
    /// The registry's median time over the peer's.
    pub(super) times: f64,
    /// Whether the ranges have a point in common, so that it may be chance.
    pub(super) doubtful: bool,
}

/// Every peer that is faster at something, with all that it is faster at: other registries before bare maps, which do
/// less.
pub(super) fn rivals<'a>(contests: &'a [Contest<'a>]) -> Vec<(&'a Entrant<'a>, Vec<(&'a Contest<'a>, Faster<'a>)>)> {
    let mut rivals: Vec<(&Entrant<'_>, Vec<(&Contest<'_>, Faster<'_>)>)> = Vec::new();
    for contest in contests {
        for faster in contest.faster() {
            match rivals.iter_mut().find(|(peer, _)| peer.name == faster.peer.name) {
                Some((_, wins)) => wins.push((contest, faster)),
                None => rivals.push((faster.peer, vec![(contest, faster)])),
            }
        }
    }
    rivals.sort_by_key(|(peer, wins)| (peer.kind == "map", std::cmp::Reverse(wins.len())));
    rivals
}

/// All contests, in the order of the document.
pub(super) fn contests(document: &Document) -> Vec<Contest<'_>> {
    let setting = |peer: &'_ Peer| (peer.operation.clone(), peer.threads, peer.entries);
    let mut contests: Vec<Contest<'_>> = Vec::new();
    for first in &document.peers {
        let known = contests.iter().any(|contest| {
            (contest.operation, contest.threads, contest.entries)
                == (first.operation.as_str(), first.threads, first.entries)
        });
        if known {
            continue;
        }
        let rows: Vec<&Peer> = document.peers.iter().filter(|peer| setting(peer) == setting(first)).collect();
        let names = distinct(rows.iter().map(|peer| peer.peer.as_str()));
        let mut entrants: Vec<Entrant<'_>> = names.into_iter().filter_map(|name| Entrant::of(name, &rows)).collect();
        entrants.sort_by(|one, other| one.place().total_cmp(&other.place()));
        let (threads, entries) = (first.threads, first.entries);
        contests.push(Contest { operation: &first.operation, threads, entries, entrants });
    }
    contests
}

impl<'a> Entrant<'a> {
    fn of(name: &'a str, rows: &[&'a Peer]) -> Option<Self> {
        let mine: Vec<&&'a Peer> = rows.iter().filter(|peer| peer.peer == name).collect();
        let (mut ns, mut rates) = (Vec::new(), Vec::new());
        let mut why = None;
        for row in &mine {
            match &row.outcome {
                Outcome::Measured { ns: each, ops_per_s } => {
                    ns.push(*each);
                    rates.push(*ops_per_s);
                }
                Outcome::Cannot(text) => why = Some(Why::Cannot(text)),
                Outcome::Missing(text) => why = Some(Why::Missing(text)),
                Outcome::Failed(text) => why = Some(Why::Failed(text)),
            }
        }
        let figures = Spread::of(&ns).zip(Spread::of(&rates)).map(|(ns, rate)| Figures { ns, rate });
        // A round that failed makes the others suspect.
        let result = match (why, figures) {
            (Some(why), _) => Err(why),
            (None, figures) => Ok(figures?),
        };
        let first = mine.first()?;
        Some(Self { name, kind: &first.kind, remark: first.remark.as_deref(), result })
    }

    pub(super) fn ns(&self) -> Option<f64> {
        self.result.ok().map(|figures| figures.ns.median)
    }

    /// The fastest first, and those without a figure last.
    fn place(&self) -> f64 {
        self.ns().unwrap_or(f64::INFINITY)
    }
}

impl Contest<'_> {
    /// The registry on its default backend, or on another if that one was not measured.
    pub(super) fn ours(&self) -> Option<&Entrant<'_>> {
        let ours = || self.entrants.iter().filter(|entrant| entrant.kind == "ours");
        ours().find(|entrant| entrant.name.contains(DEFAULT)).or_else(|| ours().next())
    }

    /// Who is faster, the fastest first.
    pub(super) fn faster(&self) -> Vec<Faster<'_>> {
        let Some((ours, Ok(figures))) = self.ours().map(|ours| (ours, ours.result)) else { return Vec::new() };
        let faster = |peer: &'_ Entrant<'_>| {
            let theirs = peer.result.ok()?;
            (peer.kind != "ours" && theirs.ns.median < figures.ns.median)
                .then(|| (figures.ns.median / theirs.ns.median, theirs.ns.overlaps(&figures.ns)))
        };
        self.entrants
            .iter()
            .filter_map(|peer| faster(peer).map(|(times, doubtful)| Faster { peer, ours, times, doubtful }))
            .collect()
    }
}

impl Why<'_> {
    /// As a sentence, in place of a figure.
    pub(super) fn said(self) -> String {
        match self {
            Self::Cannot(why) => format!("cannot: {why}"),
            Self::Missing(how) => format!("not here: {how}"),
            Self::Failed(how) => format!("failed: {how}"),
        }
    }
}
