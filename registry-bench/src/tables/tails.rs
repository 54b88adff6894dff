//! Latencies under open-loop load, and the load of each scenario.

use super::{Cell, Table, distinct, figure, text};
use crate::record::{Document, Tail};
use crate::units;

/// Returns the table of loads and the table of latencies; empty if none was measured.
pub(crate) fn tables(document: &Document) -> Vec<Table> {
    let tails = &document.tails;
    if tails.is_empty() {
        return Vec::new();
    }
    let loads = distinct(tails.iter().map(load));
    let latencies = tails.iter().flat_map(|tail| {
        [("service", tail.service), ("response", tail.response)].map(|(kind, times)| {
            let mut cells = vec![
                text(tail.scenario.as_str()),
                text(tail.operation.as_str()),
                text(tail.backend.as_str()),
                text(tail.subject.as_str()),
                text(kind),
            ];
            let times = [times.p50_ns, times.p99_ns, times.p999_ns, times.max_ns];
            cells.extend(times.map(|ns| figure(units::time(ns as f64))));
            cells
        })
    });
    vec![
        Table::new(
            "Open-loop load: the rate without pauses, the rate offered and the rate done",
            &["scenario", "backend", "subject", "threads", "tasks", "saturated", "offered", "done"],
            loads,
        ),
        Table::new(
            "Latency under open-loop load: service is from the start of an operation, response from when it was due, both \
             to its end; reading the clock twice is included",
            &["scenario", "operation", "backend", "subject", "time", "50 %", "99 %", "99.9 %", "longest"],
            latencies,
        ),
    ]
}

fn load(tail: &Tail) -> Vec<Cell> {
    vec![
        text(tail.scenario.as_str()),
        text(tail.backend.as_str()),
        text(tail.subject.as_str()),
        figure(tail.threads.to_string()),
        figure(units::count(tail.tasks)),
        figure(units::rate(tail.saturated_per_s)),
        figure(units::rate(tail.offered_per_s)),
        figure(units::rate(tail.achieved_per_s)),
    ]
}
