//! The report for a terminal, computed from a document: the verdict first, then the tables that it is made of.

use std::fmt::Write;

use crate::record::{Document, Row};
use crate::tables::{Table, best_backend, comparison, curves, memory, peers, ratios, tails, targets, workloads};
use crate::units;

use self::table::{Notes, render, wrap};

mod table;

/// Returns the whole report.
#[must_use]
pub fn report(document: &Document) -> String {
    let host = &document.host;
    let mut text = wrap(&format!("{} ({} cores), {}", host.cpu, host.cores, host.kernel));
    text.push_str(&wrap(&format!("{}, revision {}, {}", host.rustc, host.revision, host.date)));
    text.extend(document.background_load.map(|load| wrap(&load.sentence())));
    text.push('\n');
    text.push_str(&summary(document));
    text.push_str(&details(document));
    text
}

/// Returns the verdict: which targets hold, where a peer is faster, and which backend suits which load.
fn summary(document: &Document) -> String {
    let mut text = String::new();
    let places = targets::places(document);
    if places.is_some() {
        text.push_str(&wrap(&targets::sentence(document)));
        text.push_str(&wrap(
            "A target holds where every round is within its bound, is missed where every round is beyond it, and is \
             undecided where the range of the rounds crosses it.",
        ));
        text.push('\n');
    }
    let mut tables: Vec<Table> = Vec::new();
    tables.extend(places.is_some().then(|| targets::summary(document)));
    if !document.peers.is_empty() {
        match peers::summary(&comparison::comparisons(document)) {
            Some(table) => tables.push(table),
            None => text.push_str("No peer is faster at anything in this run.\n\n"),
        }
    }
    tables.extend(best_backend::table(document));
    text.extend(tables.iter().map(|table| render(table, &mut Notes::default())));
    text
}

fn details(document: &Document) -> String {
    let mut tables: Vec<Table> = Vec::new();
    tables.extend(targets::places(document));
    tables.extend(workloads::throughput(document));
    tables.extend(workloads::latencies(document));
    tables.extend(ratios::table(document));
    tables.extend(curves::tables(document));
    tables.extend(tails::tables(document));
    tables.extend(memory::entries(document));
    tables.extend(memory::mailboxes(document));
    let comparisons = comparison::comparisons(document);
    tables.extend(peers::faster(&comparisons));
    tables.extend(comparisons.iter().map(peers::comparison));
    let mut notes = Notes::default();
    let mut text: String = tables.iter().map(|table| render(table, &mut notes)).collect();
    text.push_str(&notes.render());
    text.extend(workloads::of_registry(document).into_iter().filter_map(histogram));
    text
}

/// Draws the distribution of the latencies of a row, where all operations were timed.
fn histogram(row: &Row) -> Option<String> {
    const BAR: u64 = 50;
    let buckets = row.buckets.as_ref()?;
    let greatest = buckets.iter().map(|&(_, count)| count).max()?;
    let mut text = format!("Latency of {} on {}, all operations timed:\n", row.setup.workload, row.setup.backend);
    for &(end, count) in buckets {
        let bar = "#".repeat((count * BAR).div_ceil(greatest.max(1)) as usize);
        let _ = writeln!(text, "  up to {:>8}  {count:>10}  {bar}", units::time(end as f64));
    }
    text.push('\n');
    Some(text)
}

#[cfg(test)]
mod tests;
