//! What a person reads: tables, a histogram, and which backend suits which load. All computed from the document.

use std::fmt::Write;

use comfy_table::{CellAlignment, Table, presets};

use crate::record::{Document, Ratio, Row};
use crate::spread::Spread;
use crate::workload::{self, WORKLOADS};

mod curves;
mod mailboxes;
pub mod peers;
mod tails;

/// The whole report.
#[must_use]
pub fn report(document: &Document) -> String {
    let host = &document.host;
    let mut text = format!(
        "{} ({} cores), {}\n{}, revision {}, {}\n\n",
        host.cpu, host.cores, host.kernel, host.rustc, host.revision, host.date
    );
    if let Some(load) = document.background_load {
        let _ = writeln!(text, "{}\n", load.sentence());
    }
    text.push_str(&targets::targets(document));
    let suits = suits(document);
    if !suits.is_empty() {
        let _ = writeln!(
            text,
            "Which backend suits which load, and how many times the operations of the others it does in the same time\n\
             (median and range of the rounds; a question mark where some round says otherwise):\n{suits}"
        );
    }
    text.push_str(&peers::peers(document));
    if !document.rows.is_empty() {
        let _ = writeln!(text, "{}", workloads(document));
        text.push_str(
            "Latencies are of the operation alone, reading the clock included; max is of the timed operations.\n\
             Bytes are the registry's own, mailboxes apart. The last column is time on the registry over time on the bare\n\
             map, measured in turns in the same processes.\n\n",
        );
    }
    for row in document.rows.iter().filter(|row| row.setup.subject == "registry") {
        if let Some(histogram) = histogram(row) {
            let _ = writeln!(text, "{histogram}");
        }
    }
    let single = |ratio: &&Ratio| ratio.operation != "workload";
    if document.ratios.iter().any(|ratio| single(&ratio)) {
        let _ = writeln!(text, "{}", ratios(document.ratios.iter().filter(single)));
        text.push_str(
            "Time on the registry over time on the bare map; limit: over an immutable map; overhead: over the same registry\n\
             unheard; two threads: per lookup and thread, over the same with one thread; memory: bytes over bytes.\n\n",
        );
    }
    text.push_str(&curves::curves(document));
    text.push_str(&tails::tails(document));
    text.push_str(&mailboxes::mailboxes(document));
    text
}

fn workloads(document: &Document) -> Table {
    let mut table = table(&[
        "workload", "backend", "shards", "workers", "entries", "ops/s", "min-max", "p50", "p95", "p99", "p99.9", "max",
        "B/entry", "x bare",
    ]);
    for row in document.rows.iter().filter(|row| row.setup.subject == "registry") {
        let setup = &row.setup;
        let spread = Spread::of(&row.ops_per_s_rounds).unwrap_or(Spread { median: 0.0, min: 0.0, max: 0.0 });
        let against = document.ratios.iter().find(|ratio| {
            ratio.name == format!("{}_vs_bare", setup.workload)
                && (&ratio.backend, ratio.shards, ratio.threads, ratio.entries)
                    == (&setup.backend, setup.shards, setup.threads, setup.entries)
        });
        table.add_row(vec![
            setup.workload.clone(),
            setup.backend.clone(),
            setup.shards.to_string(),
            setup.tasks.map_or_else(|| format!("{} threads", setup.threads), |tasks| format!("{tasks} tasks")),
            setup.entries.to_string(),
            rate(row.ops_per_s),
            format!("{}-{}", rate(spread.min), rate(spread.max)),
            time(row.p50_ns),
            time(row.p95_ns),
            time(row.p99_ns),
            time(row.p999_ns),
            time(row.max_ns),
            row.bytes_per_entry.map_or_else(String::new, |bytes| format!("{bytes:.0}")),
            against.map_or_else(String::new, |ratio| format!("{:.2}", ratio.spread.median)),
        ]);
    }
    align(table, 2)
}

fn ratios<'a>(ratios: impl Iterator<Item = &'a Ratio>) -> Table {
    let mut table =
        table(&["ratio", "of", "backend", "entries", "threads", "median", "min-max", "q1-q3", "ns", "against ns"]);
    for ratio in ratios {
        let Spread { median, min, max } = ratio.spread;
        table.add_row(vec![
            ratio.name.clone(),
            ratio.operation.clone(),
            ratio.backend.clone(),
            ratio.entries.to_string(),
            ratio.threads.to_string(),
            format!("{median:.2}"),
            format!("{min:.2}-{max:.2}"),
            ratio.q1.zip(ratio.q3).map_or_else(String::new, |(q1, q3)| format!("{q1:.2}-{q3:.2}")),
            ratio.subject_ns.map_or_else(String::new, |ns| format!("{ns:.1}")),
            ratio.bare_ns.map_or_else(String::new, |ns| format!("{ns:.1}")),
        ]);
    }
    align(table, 3)
}

/// One line per load: the fastest backend, how much faster than the others, and whether that may be chance.
///
/// A load's figure is the geometric mean over its workloads, with the most shards that were measured.
/// Backends are compared round by round, since those of one round ran next to each other; where the other one is ahead
/// in some round, the difference may be chance.
#[must_use]
pub fn suits(document: &Document) -> String {
    let mut text = String::new();
    let mut loads: Vec<&str> = Vec::new();
    for workload in &WORKLOADS {
        if !loads.contains(&workload.load) {
            loads.push(workload.load);
        }
    }
    for load in loads {
        let figures = figures(document, load);
        let Some((best, rounds)) = figures.iter().max_by_key(|(_, rounds)| wins(rounds, &figures)) else { continue };
        let mut others: Vec<(&str, Spread)> = figures
            .iter()
            .filter(|(other, _)| other != best)
            .filter_map(|(other, others_rounds)| Some((*other, factors(rounds, others_rounds)?)))
            .collect();
        if others.is_empty() {
            continue;
        }
        others.sort_by(|(_, a), (_, b)| a.median.total_cmp(&b.median));
        let _ =
            write!(text, "  {load}: {best}, {} ops/s", rate(Spread::of(rounds).map_or(0.0, |spread| spread.median)));
        for (n, (other, Spread { median, min, max })) in others.into_iter().enumerate() {
            let separator = if n == 0 { "; " } else { ", " };
            let doubt = if min > 1.0 { "" } else { "?" };
            let _ = write!(text, "{separator}{median:.2}{doubt} x {other} ({min:.2}-{max:.2})");
        }
        text.push('\n');
    }
    text
}

/// For each backend, what it did of a load in each round.
fn figures<'a>(document: &'a Document, load: &str) -> Vec<(&'a str, Vec<f64>)> {
    let rows = || document.rows.iter().filter(|row| row.setup.subject == "registry" && load_of(row) == Some(load));
    let Some(shards) = rows().map(|row| row.setup.shards).max() else { return Vec::new() };
    let mut figures: Vec<(&str, Vec<f64>)> = Vec::new();
    let mut workloads: Vec<&str> = Vec::new();
    for row in rows().filter(|row| row.setup.shards == shards) {
        if !workloads.contains(&row.setup.workload.as_str()) {
            workloads.push(&row.setup.workload);
        }
        let rounds = &row.ops_per_s_rounds;
        match figures.iter_mut().find(|(backend, _)| *backend == row.setup.backend) {
            None => figures.push((&row.setup.backend, rounds.clone())),
            Some((_, product)) => product.iter_mut().zip(rounds).for_each(|(product, figure)| *product *= figure),
        }
    }
    let root = 1.0 / workloads.len().max(1) as f64;
    figures.iter_mut().flat_map(|(_, rounds)| rounds).for_each(|figure| *figure = figure.powf(root));
    figures
}

fn load_of(row: &Row) -> Option<&'static str> {
    workload::find(&row.setup.workload).map(|workload| workload.load)
}

/// How many times as much was done, round by round.
fn factors(rounds: &[f64], others_rounds: &[f64]) -> Option<Spread> {
    Spread::of(&rounds.iter().zip(others_rounds).map(|(ours, theirs)| ours / theirs).collect::<Vec<_>>())
}

/// How many of the backends are slower in the middle one of the rounds.
fn wins(rounds: &[f64], figures: &[(&str, Vec<f64>)]) -> usize {
    let ahead = |others_rounds: &[f64]| factors(rounds, others_rounds).is_some_and(|factors| factors.median > 1.0);
    figures.iter().filter(|(_, others_rounds)| ahead(others_rounds)).count()
}

/// The shape of a row's latencies, where all operations were timed.
fn histogram(row: &Row) -> Option<String> {
    const WIDTH: u64 = 50;
    let buckets = row.buckets.as_ref()?;
    let most = buckets.iter().map(|&(_, count)| count).max()?;
    let mut text = format!("Latency of {} on {}, all operations timed:\n", row.setup.workload, row.setup.backend);
    for &(upto, count) in buckets {
        let bar = "#".repeat((count * WIDTH).div_ceil(most.max(1)) as usize);
        let _ = writeln!(text, "  up to {:>8}  {count:>10}  {bar}", time(upto));
    }
    Some(text)
}

fn table(header: &[&str]) -> Table {
    let mut table = Table::new();
    table.load_style(presets::ASCII_MARKDOWN).set_header(header.iter().copied());
    table
}

/// Numbers stand to the right, from that column on.
fn align(mut table: Table, from: usize) -> Table {
    for column in table.column_iter_mut().skip(from) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    table
}

pub(crate) fn rate(per_second: f64) -> String {
    match per_second {
        rate if rate >= 1e6 => format!("{:.2}M", rate / 1e6),
        rate if rate >= 1e3 => format!("{:.1}K", rate / 1e3),
        rate => format!("{rate:.0}"),
    }
}

fn time(ns: u64) -> String {
    match ns as f64 {
        ns if ns >= 1e9 => format!("{:.2} s", ns / 1e9),
        ns if ns >= 1e6 => format!("{:.2} ms", ns / 1e6),
        ns if ns >= 1e3 => format!("{:.2} us", ns / 1e3),
        ns => format!("{ns} ns"),
    }
}

mod targets;

#[cfg(test)]
mod tests;
