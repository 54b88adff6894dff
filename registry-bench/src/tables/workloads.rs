//! Workloads: throughput beside the bare map, and percentiles of latency.

use super::{Cell, Table, figure, optional, text};
use crate::record::{Document, Row, Setup};
use crate::spread::Spread;
use crate::units;

/// Returns the rows of the registry.
pub(crate) fn of_registry(document: &Document) -> Vec<&Row> {
    document.rows.iter().filter(|row| row.setup.subject == "registry").collect()
}

/// Returns operations per second of each workload; `None` if no workload was measured.
pub(crate) fn throughput(document: &Document) -> Option<Table> {
    const COLUMNS: [&str; 10] =
        ["workload", "backend", "shards", "workers", "entries", "ops/s", "range", "bare map", "time, × bare", "skew"];
    let rows = of_registry(document);
    (!rows.is_empty()).then(|| {
        Table::new(
            "Operations per second of all workers: median and range of the rounds",
            &COLUMNS,
            rows.into_iter().map(|row| throughput_row(document, row)),
        )
    })
}

fn throughput_row(document: &Document, row: &Row) -> Vec<Cell> {
    let setup = &row.setup;
    let key = |setup: &Setup| (setup.workload.clone(), setup.backend.clone(), setup.threads, setup.entries);
    let bare = document.rows.iter().find(|other| other.setup.subject == "bare" && key(&other.setup) == key(setup));
    let ratio = document.ratios.iter().find(|ratio| {
        ratio.name == format!("{}_vs_bare", setup.workload)
            && (&ratio.backend, ratio.shards, ratio.threads, ratio.entries)
                == (&setup.backend, setup.shards, setup.threads, setup.entries)
    });
    vec![
        text(setup.workload.as_str()),
        text(setup.backend.as_str()),
        figure(setup.shards.to_string()),
        figure(workers(row)),
        figure(units::count(setup.entries)),
        figure(units::compact(row.ops_per_s)),
        optional(Spread::of(&row.ops_per_s_rounds).map(|spread| units::range(&spread, units::compact))),
        optional(bare.map(|bare| units::compact(bare.ops_per_s))),
        optional(ratio.map(|ratio| units::ratio(ratio.spread.median))),
        optional(row.skew.map(units::ratio)),
    ]
}

/// Returns percentiles of the latency of each workload; `None` if no workload was measured.
pub(crate) fn latencies(document: &Document) -> Option<Table> {
    const COLUMNS: [&str; 9] = ["workload", "backend", "shards", "50 %", "95 %", "99 %", "99.9 %", "longest", "timed"];
    let rows = of_registry(document);
    let row = |row: &Row| {
        let mut cells = vec![
            text(row.setup.workload.as_str()),
            text(row.setup.backend.as_str()),
            figure(row.setup.shards.to_string()),
        ];
        let times = [row.p50_ns, row.p95_ns, row.p99_ns, row.p999_ns, row.max_ns];
        cells.extend(times.map(|ns| figure(units::time(ns as f64))));
        cells.push(figure(units::count(row.timed as usize)));
        cells
    };
    (!rows.is_empty()).then(|| {
        Table::new(
            "Latency of a timed operation, reading the clock included: medians of the rounds, and the longest of all",
            &COLUMNS,
            rows.into_iter().map(row),
        )
    })
}

/// Returns the number of tasks or threads of a row.
fn workers(row: &Row) -> String {
    let threads = || units::threads(row.setup.threads);
    row.setup.tasks.map_or_else(threads, |tasks| format!("{} tasks", units::count(tasks)))
}
