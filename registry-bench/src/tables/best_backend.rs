//! Which backend suits which load: the fastest of each, and how much faster it is than the others.

use super::{Cell, Table, distinct, figure, text};
use crate::record::{Document, Row};
use crate::spread::Spread;
use crate::units;
use crate::workload::{self, WORKLOADS};

/// Returns a row for each load; `None` if no two backends were measured under one load.
///
/// The figure of a load is the geometric mean over its workloads, with the greatest number of shards that was measured.
/// Backends are compared round by round, since the runs of one round are neighbours.
pub(crate) fn table(document: &Document) -> Option<Table> {
    let loads = distinct(WORKLOADS.iter().map(|workload| workload.load));
    let rows: Vec<Vec<Cell>> = loads.into_iter().filter_map(|load| row(document, load)).collect();
    (!rows.is_empty()).then(|| {
        Table::new(
            "Which backend suits which load: the fastest, and how many times the operations of the others it does in the \
             same time (median and range of the rounds; a question mark where a round says otherwise)",
            &["load", "backend", "ops/s", "times the operations of the others"],
            rows,
        )
    })
}

fn row(document: &Document, load: &str) -> Option<Vec<Cell>> {
    let figures = figures(document, load);
    let (best, rounds) = figures.iter().max_by_key(|(_, rounds)| wins(rounds, &figures))?;
    let mut others: Vec<(&str, Spread)> = figures
        .iter()
        .filter(|(other, _)| other != best)
        .filter_map(|(other, others_rounds)| Some((*other, factors(rounds, others_rounds)?)))
        .collect();
    others.sort_by(|(_, a), (_, b)| a.median.total_cmp(&b.median));
    let other = |(name, factor): &(&str, Spread)| {
        format!("{} {name} ({})", units::uncertain(factor), units::range(factor, units::ratio))
    };
    let others: Vec<String> = others.iter().map(other).collect();
    (!others.is_empty()).then(|| {
        let median = Spread::of(rounds).map_or(0.0, |spread| spread.median);
        vec![text(load), text(*best), figure(units::compact(median)), Cell::Prose(others.join(", "))]
    })
}

/// Returns the operations per second of each backend under a load, round by round.
fn figures<'a>(document: &'a Document, load: &str) -> Vec<(&'a str, Vec<f64>)> {
    let is_of_load = |row: &&Row| workload::find(&row.setup.workload).is_some_and(|workload| workload.load == load);
    let rows = || document.rows.iter().filter(|row| row.setup.subject == "registry").filter(is_of_load);
    let Some(shards) = rows().map(|row| row.setup.shards).max() else { return Vec::new() };
    let mut figures: Vec<(&str, Vec<f64>)> = Vec::new();
    for row in rows().filter(|row| row.setup.shards == shards) {
        let rounds = &row.ops_per_s_rounds;
        match figures.iter_mut().find(|(backend, _)| *backend == row.setup.backend) {
            None => figures.push((&row.setup.backend, rounds.clone())),
            Some((_, product)) => product.iter_mut().zip(rounds).for_each(|(product, figure)| *product *= figure),
        }
    }
    let workloads = distinct(rows().filter(|row| row.setup.shards == shards).map(|row| &row.setup.workload)).len();
    let exponent = 1.0 / workloads.max(1) as f64;
    figures.iter_mut().flat_map(|(_, rounds)| rounds).for_each(|figure| *figure = figure.powf(exponent));
    figures
}

fn factors(rounds: &[f64], others_rounds: &[f64]) -> Option<Spread> {
    Spread::of(&rounds.iter().zip(others_rounds).map(|(ours, theirs)| ours / theirs).collect::<Vec<_>>())
}

/// Returns how many backends are slower in the median round.
fn wins(rounds: &[f64], figures: &[(&str, Vec<f64>)]) -> usize {
    let is_ahead = |others_rounds: &[f64]| factors(rounds, others_rounds).is_some_and(|factors| factors.median > 1.0);
    figures.iter().filter(|(_, others_rounds)| is_ahead(others_rounds)).count()
}
