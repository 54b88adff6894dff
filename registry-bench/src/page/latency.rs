//! Workloads: percentiles of latency, and the distribution where all operations were timed.

use maud::{Markup, html};

use super::absent;
use super::plots::{Axis, Chart, Mark, Series, colour};
use super::table::table;
use crate::record::{Document, Row};
use crate::spread::Spread;
use crate::tables::{distinct, workloads};
use crate::units;

pub(super) fn section(document: &Document) -> Markup {
    let rows = workloads::of_registry(document);
    if rows.is_empty() {
        return absent("Latencies", "cargo xtask bench");
    }
    let whole: Vec<&Row> = rows.iter().filter(|row| row.buckets.is_some()).copied().collect();
    html! {
        p {
            "Of one operation, from its beginning to its end, reading the clock included, which a user does not pay: "
            "for a lookup that is much of the figure. These workers begin the next operation when the last has ended, "
            "so a stall delays one figure and hides the others that it would have delayed; the next part is about "
            "those."
        }
        @for name in distinct(whole.iter().map(|row| row.setup.workload.as_str())) {
            (distribution(name, &whole.iter().filter(|row| row.setup.workload == name).copied().collect::<Vec<_>>()))
        }
        details {
            summary { "Percentiles of every workload" }
            @if let Some(all) = workloads::latencies(document) { (table(&all)) }
        }
    }
}

/// Plots the cumulative distribution of latencies.
fn distribution(name: &str, rows: &[&Row]) -> Markup {
    let most = rows.iter().map(|row| row.setup.shards).max();
    let series = |(place, row): (usize, &&Row)| {
        let buckets = row.buckets.as_deref().unwrap_or_default();
        let total: u64 = buckets.iter().map(|(_, count)| count).sum();
        let mut sum = 0;
        let points = buckets.iter().map(|(upto, count)| {
            sum += count;
            let percent = 100.0 * sum as f64 / total.max(1) as f64;
            (*upto as f64, Spread { median: percent, min: percent, max: percent })
        });
        Series {
            name: row.setup.backend.clone(),
            colour: colour(&row.setup.backend),
            mark: Mark::at(place),
            points: points.collect(),
        }
    };
    let series: Vec<Series> =
        rows.iter().filter(|row| Some(row.setup.shards) == most).enumerate().map(series).collect();
    let times: Vec<f64> = series.iter().flat_map(|line| line.points.iter().map(|(upto, _)| *upto)).collect();
    Chart {
        caption: html! { strong { (name) } ": how many per cent (↑) take at most so long (→); all were timed" },
        label: format!("{name}: distribution of latencies on each backend"),
        x: Axis::logarithmic(times, units::time),
        y: Axis::linear(0.0, 100.0, units::compact),
        series,
    }
    .draw()
}
