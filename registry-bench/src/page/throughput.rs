//! Workloads: operations per second on each backend, beside its bare map.

use maud::{Markup, html};

use super::absent;
use super::plots::{Dot, Dots, colour};
use super::table::table;
use crate::record::{Document, Row};
use crate::spread::Spread;
use crate::tables::{best_backend, distinct, workloads};
use crate::{units, workload};

pub(super) fn section(document: &Document) -> Markup {
    let rows = workloads::of_registry(document);
    if rows.is_empty() {
        return absent("Workloads", "cargo xtask bench");
    }
    html! {
        p {
            "What all workers together do in a second; here right is better. Tasks live on as many threads as the "
            "machine runs at once. The dot is the median of the rounds, the whisker goes from the slowest to the "
            "fastest."
        }
        @if let Some(best) = best_backend::table(document) {
            h3 { "Which backend suits which load" }
            (table(&best))
        }
        h3 { "Each workload" }
        div.plots {
            @for name in distinct(rows.iter().map(|row| row.setup.workload.as_str())) {
                (plot(name, &rows.iter().filter(|row| row.setup.workload == name).copied().collect::<Vec<_>>()))
            }
        }
        details {
            summary { "All of them as a table" }
            @if let Some(all) = workloads::throughput(document) { (table(&all)) }
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
        format_tick: units::rate,
        bound: None,
        dots: rows.iter().filter(|row| Some(row.setup.shards) == most).filter_map(dot).collect(),
    }
    .draw()
}
