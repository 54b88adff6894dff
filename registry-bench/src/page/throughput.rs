//! Workloads: operations per second on each backend, beside its bare map.

use maud::{Markup, html};

use super::plots::{Dot, Dots, colour};
use super::table::{Cell, figure, perhaps, table, text};
use super::{absent, distinct, words};
use crate::record::{Document, Row};
use crate::spread::Spread;
use crate::{report, workload};

pub(super) fn section(document: &Document) -> Markup {
    let rows: Vec<&Row> = document.rows.iter().filter(|row| row.setup.subject == "registry").collect();
    if rows.is_empty() {
        return absent("Workloads", "cargo xtask bench");
    }
    let suits = report::suits(document);
    html! {
        p {
            "What all workers together do in a second; here right is better. Tasks live on as many threads as the "
            "machine runs at once. The dot is the median of the rounds, the whisker goes from the slowest to the "
            "fastest."
        }
        @if !suits.is_empty() {
            h3 { "Which backend suits which load" }
            p.note {
                "The fastest of each load, and how many times the operations of the others it does in the same time: "
                "median and range of the rounds. A question mark stands where some round says otherwise."
            }
            ul { @for line in suits.lines() { li { (line.trim()) } } }
        }
        h3 { "Each workload" }
        div.plots {
            @for name in distinct(rows.iter().map(|row| row.setup.workload.as_str())) {
                (plot(name, &rows.iter().filter(|row| row.setup.workload == name).copied().collect::<Vec<_>>()))
            }
        }
        details {
            summary { "All of them as a table" }
            (table(
                "",
                &[
                    "workload", "backend", "shards", "workers", "entries", "per second", "range", "bare map",
                    "time, × bare", "skew",
                ],
                rows.iter().map(|row| cells(document, row)),
            ))
        }
    }
}

fn plot(name: &str, rows: &[&Row]) -> Markup {
    let most = rows.iter().map(|row| row.setup.shards).max();
    let dot = |row: &&Row| {
        let spread = Spread::of(&row.ops_per_s_rounds)?;
        Some(Dot { name: row.setup.backend.clone(), colour: colour(&row.setup.backend), spread })
    };
    let what = workload::find(name).map_or("", |workload| workload.description);
    Dots {
        caption: html! { strong { (name) } ": " (what) },
        label: format!("{name}: operations per second on each backend; the table has them"),
        say: words::rate,
        bound: None,
        dots: rows.iter().filter(|row| Some(row.setup.shards) == most).filter_map(dot).collect(),
    }
    .draw()
}

fn cells(document: &Document, row: &Row) -> Vec<Cell> {
    let setup = &row.setup;
    let bare = document.rows.iter().find(|other| {
        let of = |setup: &crate::record::Setup| {
            (setup.workload.clone(), setup.backend.clone(), setup.threads, setup.entries)
        };
        other.setup.subject == "bare" && of(&other.setup) == of(setup)
    });
    let against = document.ratios.iter().find(|ratio| {
        ratio.name == format!("{}_vs_bare", setup.workload)
            && (&ratio.backend, ratio.shards, ratio.threads, ratio.entries)
                == (&setup.backend, setup.shards, setup.threads, setup.entries)
    });
    vec![
        text(setup.workload.as_str()),
        text(setup.backend.as_str()),
        figure(setup.shards.to_string()),
        figure(workers(row)),
        figure(words::count(setup.entries)),
        figure(words::rate(row.ops_per_s)),
        perhaps(Spread::of(&row.ops_per_s_rounds).map(|spread| words::range(&spread, words::rate))),
        perhaps(bare.map(|bare| words::rate(bare.ops_per_s))),
        perhaps(against.map(|ratio| words::times(ratio.spread.median))),
        perhaps(row.skew.map(words::times)),
    ]
}

/// Who works: tasks, or threads.
pub(super) fn workers(row: &Row) -> String {
    let threads = || words::threads(row.setup.threads);
    row.setup.tasks.map_or_else(threads, |tasks| format!("{} tasks", words::count(tasks)))
}
