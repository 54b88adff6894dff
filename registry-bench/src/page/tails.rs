//! Latencies under open-loop load.

use maud::{Markup, html};

use super::absent;
use super::plots::{Axis, Chart, Mark, Series, colour};
use super::table::table;
use crate::record::{Document, Percentiles, Tail};
use crate::spread::Spread;
use crate::tables::{distinct, tails};
use crate::units;

pub(super) fn section(document: &Document) -> Markup {
    if document.tails.is_empty() {
        return absent("Tails under open-loop load", "cargo xtask bench --tails");
    }
    let places = distinct(document.tails.iter().map(place));
    html! {
        p {
            em { "Service" } " is from when an operation begins to its end. " em { "Response" } " is from when it "
            "was due: if one is slow, those behind it are late, and their lateness counts. That is what a caller of a "
            "busy system sees; leaving it out is called coordinated omission. The load is a part of what was done "
            "without pauses."
        }
        div.plots {
            @for (scenario, backend, subject) in places {
                @let here: Vec<&Tail> =
                    document.tails.iter().filter(|tail| place(tail) == (scenario, backend, subject)).collect();
                (plot(scenario, backend, subject, &here))
            }
        }
        details {
            summary { "All of them as tables" }
            @for one in &tails::tables(document) { (table(one)) }
        }
    }
}

fn place(tail: &Tail) -> (&str, &str, &str) {
    (&tail.scenario, &tail.backend, &tail.subject)
}

/// Plots the service time of each operation, and the response time of all together.
fn plot(scenario: &str, backend: &str, subject: &str, here: &[&Tail]) -> Markup {
    let operations = distinct(here.iter().map(|tail| tail.operation.as_str()));
    let whole = if operations.contains(&"all") { "all" } else { operations.first().copied().unwrap_or_default() };
    let of = |operation: &str| here.iter().filter(|tail| tail.operation == operation).copied().collect::<Vec<_>>();
    let mut series: Vec<Series> = operations
        .iter()
        .enumerate()
        .map(|(place, operation)| {
            line(format!("{operation}, service"), operation, place, &of(operation), |tail| tail.service)
        })
        .collect();
    series.push(line(format!("{whole}, response"), "registry", operations.len(), &of(whole), |tail| tail.response));
    let ends = series.iter().flat_map(|line| line.points.iter().flat_map(|(_, spread)| [spread.min, spread.max]));
    let ends: Vec<f64> = ends.collect();
    Chart {
        caption: html! {
            strong { (scenario) } ", " (subject) " on " (backend)
            @if let Some(tail) = here.first() {
                ": " (units::rate(tail.offered_per_s)) " due, " (units::rate(tail.saturated_per_s)) " without pauses, "
                (units::count(tail.tasks)) " live tasks"
            }
        },
        label: format!("{scenario}, {subject} on {backend}: percentiles of latency"),
        x: Axis::named(&["50 %", "95 %", "99 %", "99.9 %", "max"]),
        y: Axis::logarithmic(ends, units::time),
        series,
    }
    .draw()
}

fn line(name: String, shade: &str, place: usize, tails: &[&Tail], of: fn(&Tail) -> Percentiles) -> Series {
    let figures: [fn(&Percentiles) -> u64; 5] = [|p| p.p50_ns, |p| p.p95_ns, |p| p.p99_ns, |p| p.p999_ns, |p| p.max_ns];
    let spread = |figure: &fn(&Percentiles) -> u64| {
        Spread::of(&tails.iter().map(|tail| figure(&of(tail)) as f64).collect::<Vec<_>>())
    };
    let points = figures.iter().enumerate().filter_map(|(n, figure)| Some((n as f64, spread(figure)?)));
    Series { name, colour: colour(shade), mark: Mark::at(place), points: points.collect() }
}
