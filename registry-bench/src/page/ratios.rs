//! Single operations: time on the registry over time on the bare map.

use maud::{Markup, html};

use super::absent;
use super::plots::{Dot, Dots, colour};
use super::table::table;
use crate::record::{Document, Ratio};
use crate::tables::{distinct, ratios};
use crate::target::{self, TARGETS};
use crate::units;

pub(super) fn section(document: &Document) -> Markup {
    let all = ratios::of_operations(document);
    if all.is_empty() {
        return absent("Ratios of single operations", "cargo xtask bench");
    }
    html! {
        p {
            "Time on the registry over time on what it is compared with, both in one process and in turns: a slice of "
            "one, a slice of the other. 1 is as fast; further right is slower. Each pair of slices gives a ratio; the "
            "dot is the median, the whisker goes from the least to the most, and the red line is the bound that the "
            "registry sets itself. A whisker that reaches the edge may go on; the table has its end."
        }
        @for name in distinct(all.iter().map(|ratio| target::display_name(ratio))) {
            @let named: Vec<&Ratio> = all.iter().filter(|ratio| target::display_name(ratio) == name).copied().collect();
            h3 { code { (name) } }
            p.note { (description(&name)) }
            div.plots { @for entries in distinct(named.iter().map(|ratio| ratio.entries)) { (plot(&name, entries, &named)) } }
        }
        details {
            summary { "All of them as a table" }
            @if let Some(all) = ratios::table(document) { (table(&all)) }
        }
    }
}

/// Returns what a ratio compares, from the target of its name.
fn description(name: &str) -> &'static str {
    let target = TARGETS.iter().find(|target| name.starts_with(target.name));
    target.map_or("no target is set for this one", |target| target.description)
}

fn plot(name: &str, entries: usize, named: &[&Ratio]) -> Markup {
    let here: Vec<&&Ratio> = named.iter().filter(|ratio| ratio.entries == entries).collect();
    let several = distinct(here.iter().map(|ratio| ratio.shards)).len() > 1;
    let dot = |ratio: &&&Ratio| Dot {
        name: if several {
            format!("{}, {} sh, {} thr", ratio.backend, ratio.shards, ratio.threads)
        } else {
            format!("{}, {}", ratio.backend, units::threads(ratio.threads))
        },
        colour: colour(&ratio.backend),
        spread: ratio.spread,
    };
    let bound = here.iter().find_map(|ratio| target::of(name, &ratio.backend, entries)).map(|target| target.at_most);
    let among = units::count(entries);
    Dots {
        caption: html! {
            "among " (among) " servers" @if let Some(bound) = bound { "; bound " (units::ratio(bound)) }
        },
        label: format!("{name} among {among} servers: a median and its range for each backend; the table has them"),
        format_tick: |ratio| format!("{}", (ratio * 100.0).round() / 100.0),
        bound,
        dots: here.iter().map(dot).collect(),
    }
    .draw()
}
