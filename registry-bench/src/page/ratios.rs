//! Single operations: the registry's time over the bare map's, with its spread.

use maud::{Markup, html};

use super::plots::{Dot, Dots, colour};
use super::table::{figure, perhaps, table, text};
use super::{absent, distinct, words};
use crate::record::{Document, Ratio};
use crate::target::{self, TARGETS};

pub(super) fn section(document: &Document) -> Markup {
    let ratios: Vec<&Ratio> = document.ratios.iter().filter(|ratio| ratio.subject_ns.is_some()).collect();
    if ratios.is_empty() {
        return absent("Ratios of single operations", "cargo xtask bench");
    }
    html! {
        p {
            "Time on the registry over time on what it is compared with, both in one process and in turns: a slice of "
            "one, a slice of the other. 1 is as fast; further right is slower. Each pair of slices gives a ratio; the "
            "dot is the median, the whisker goes from the least to the most, and the red line is the bound that the "
            "registry sets itself. A whisker that reaches the edge may go on; the table has its end."
        }
        @for name in distinct(ratios.iter().map(|ratio| target::called(ratio))) {
            @let named: Vec<&Ratio> = ratios.iter().filter(|ratio| target::called(ratio) == name).copied().collect();
            h3 { code { (name) } }
            p.note { (says(&name)) }
            div.plots { @for entries in distinct(named.iter().map(|ratio| ratio.entries)) { (plot(&name, entries, &named)) } }
        }
        details {
            summary { "All of them as a table" }
            (table(
                "",
                &["ratio", "backend", "entries", "threads", "median", "range", "registry", "against", "rounds"],
                ratios.iter().map(|ratio| vec![
                    text(target::called(ratio)),
                    text(ratio.backend.as_str()),
                    figure(words::count(ratio.entries)),
                    figure(ratio.threads.to_string()),
                    figure(words::times(ratio.spread.median)),
                    figure(words::range(&ratio.spread, words::times)),
                    perhaps(ratio.subject_ns.map(words::time)),
                    perhaps(ratio.bare_ns.map(words::time)),
                    figure(ratio.rounds.to_string()),
                ]),
            ))
        }
    }
}

/// What a ratio compares, from the target that is nearest to its name.
fn says(name: &str) -> &'static str {
    let target = TARGETS.iter().find(|target| name.starts_with(target.name));
    target.map_or("no target is set for this one", |target| target.says)
}

fn plot(name: &str, entries: usize, named: &[&Ratio]) -> Markup {
    let here: Vec<&&Ratio> = named.iter().filter(|ratio| ratio.entries == entries).collect();
    let several = distinct(here.iter().map(|ratio| ratio.shards)).len() > 1;
    let dot = |ratio: &&&Ratio| Dot {
        name: if several {
            format!("{}, {} sh, {} thr", ratio.backend, ratio.shards, ratio.threads)
        } else {
            format!("{}, {}", ratio.backend, words::threads(ratio.threads))
        },
        colour: colour(&ratio.backend),
        spread: ratio.spread,
    };
    let bound = here.iter().find_map(|ratio| target::of(name, &ratio.backend, entries)).map(|target| target.at_most);
    let among = words::count(entries);
    Dots {
        caption: html! {
            "among " (among) " servers" @if let Some(bound) = bound { "; bound " (words::times(bound)) }
        },
        label: format!("{name} among {among} servers: a median and its range for each backend; the table has them"),
        say: |ratio| format!("{}", (ratio * 100.0).round() / 100.0),
        bound,
        dots: here.iter().map(dot).collect(),
    }
    .draw()
}
