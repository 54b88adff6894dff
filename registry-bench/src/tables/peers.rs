//! Peers: where one is faster than the registry, and every peer at every operation.

use super::comparison::{Comparison, Faster, PeerResult, wins};
use super::{Cell, Table, figure, text};
use crate::record::Outcome;
use crate::units;

/// Returns each peer that is faster than the registry on its default backend at something; `None` if there is none.
pub(crate) fn summary(comparisons: &[Comparison<'_>]) -> Option<Table> {
    let wins = wins(comparisons);
    let row = |(peer, wins): &(&PeerResult<'_>, Vec<(&Comparison<'_>, Faster<'_>)>)| {
        let most = wins.iter().max_by(|(_, one), (_, other)| one.factor.median.total_cmp(&other.factor.median));
        let (place, times) = most.map_or_else(Default::default, |(comparison, faster)| {
            (heading(comparison), units::uncertain(&faster.factor))
        });
        let share = format!("{} of {}", wins.len(), comparisons.len());
        vec![text(peer.name), text(kind(peer.kind)), figure(share), text(place), figure(times)]
    };
    (!wins.is_empty()).then(|| {
        Table::new(
            "Where a peer is faster than the registry on its default backend, and how many times where it is most (a \
             question mark where a round says otherwise)",
            &["peer", "kind", "faster in", "most at", "times"],
            wins.iter().map(row),
        )
    })
}

/// Returns every place where a peer is faster than a registry of ours; `None` if there is none.
pub(crate) fn faster(comparisons: &[Comparison<'_>]) -> Option<Table> {
    let rows: Vec<Vec<Cell>> = comparisons
        .iter()
        .flat_map(|comparison| comparison.faster_than_any().into_iter().map(|faster| faster_row(comparison, &faster)))
        .collect();
    (!rows.is_empty()).then(|| {
        Table::new(
            "Every place where a peer is faster than the registry on some backend, and how many times (median and range of \
             the rounds; a question mark where a round says otherwise)",
            &["peer", "than", "operation", "threads", "entries", "times", "range"],
            rows,
        )
    })
}

fn faster_row(comparison: &Comparison<'_>, faster: &Faster<'_>) -> Vec<Cell> {
    vec![
        text(faster.peer.name),
        text(faster.ours.name),
        text(operation(comparison.operation)),
        figure(comparison.threads.to_string()),
        figure(units::count(comparison.entries)),
        figure(units::uncertain(&faster.factor)),
        figure(units::range(&faster.factor, units::ratio)),
    ]
}

/// Returns every peer at one operation.
pub(crate) fn comparison(comparison: &Comparison<'_>) -> Table {
    Table::new(
        heading(comparison),
        &["peer", "kind", "time", "range", "ops/s", "notes"],
        comparison.results.iter().map(result_row),
    )
}

fn result_row(result: &PeerResult<'_>) -> Vec<Cell> {
    let failure = || result.failures.first().map_or("", |outcome| word(outcome)).to_owned();
    let mut notes: Vec<String> = Vec::new();
    for outcome in &result.failures {
        if let Outcome::Cannot(why) | Outcome::Missing(why) | Outcome::Failed(why) = outcome {
            notes.push(format!("{}: {why}", word(outcome)));
        }
    }
    notes.dedup();
    notes.extend(result.remark.map(str::to_owned));
    vec![
        text(result.name),
        text(kind(result.kind)),
        figure(result.ns().map_or_else(failure, units::time)),
        figure(result.figures.map_or_else(String::new, |figures| units::range(&figures.ns, units::time))),
        figure(result.figures.map_or_else(String::new, |figures| units::compact(figures.rate.median))),
        Cell::Notes(notes),
    ]
}

fn word(outcome: &Outcome) -> &'static str {
    match outcome {
        Outcome::Measured { .. } => "measured",
        Outcome::Cannot(_) => "cannot",
        Outcome::Missing(_) => "missing",
        Outcome::Failed(_) => "failed",
    }
}

/// Returns the operation and the setting of a comparison.
pub(crate) fn heading(comparison: &Comparison<'_>) -> String {
    format!("{}, {}", operation(comparison.operation), setting(comparison))
}

/// Returns the numbers of entries and threads.
pub(crate) fn setting(comparison: &Comparison<'_>) -> String {
    format!("{} entries, {}", units::count(comparison.entries), units::threads(comparison.threads))
}

/// Returns what an operation is called for a reader.
pub(crate) fn operation(name: &str) -> &str {
    match name {
        "miss" => "lookup of a missing name",
        "hot" => "lookup of one hot name",
        "register" => "registration and its end",
        "route" => "message by name",
        "mixed" => "mix 40/30/20/10",
        other => other,
    }
}

/// Returns what a kind is called for a reader.
pub(crate) fn kind(kind: &str) -> &str {
    match kind {
        "ours" => "this registry",
        "map" => "bare map",
        "beam" => "on the BEAM",
        other => other,
    }
}
