//! The peers: first where one is faster, then every peer at every operation.

use maud::{Markup, html};

use super::absent;
use super::plots::{Dot, Dots, colour};
use super::table::table;
use crate::record::Document;
use crate::tables::comparison::{Comparison, PeerResult, Wins, comparisons, wins};
use crate::tables::peers::{self, heading, kind, operation, setting};
use crate::units;

const COMMAND: &str = "cargo xtask bench --peers";

/// Renders where a peer is faster.
pub(super) fn faster(document: &Document) -> Markup {
    let comparisons = comparisons(document);
    if comparisons.is_empty() {
        return absent("Other registries and maps", COMMAND);
    }
    let wins = wins(&comparisons);
    let registries: Vec<&str> = wins.iter().filter(|(peer, _)| peer.kind != "map").map(|(peer, _)| peer.name).collect();
    html! {
        p {
            "Beside the registry on its default backend, in " (comparisons.len()) " comparisons: an operation, a number of "
            "entries, a number of threads."
        }
        p {
            @if registries.is_empty() {
                "Of the other registries that could be measured, none is faster at anything here. "
            } @else {
                strong { "Other registries that are faster at something: " (registries.join(", ")) ". " }
            }
            "A bare map has no leases, no statistics and no check whether an owner is alive, so it should be faster; by "
            "how much is the cost of those."
        }
        @if !wins.is_empty() { ul { @for peer in &wins { (peer_wins(peer, comparisons.len())) } } }
        @if let Some(all) = peers::faster(&comparisons) {
            details {
                summary { "Every place where a peer is faster than the registry on some backend" }
                (table(&all))
            }
        }
    }
}

/// Renders how often a peer is faster, and by how much at most.
fn peer_wins((peer, wins): &Wins<'_>, all: usize) -> Markup {
    let most = wins.iter().max_by(|(_, one), (_, other)| one.factor.median.total_cmp(&other.factor.median));
    html! {
        li {
            strong { (peer.name) } " (" (kind(peer.kind)) ") in " (wins.len()) " of " (all)
            @if let Some((comparison, faster)) = most {
                ", most at " (operation(comparison.operation)) ", " (setting(comparison)) ": "
                (units::ratio(faster.factor.median)) " times as fast"
                @if faster.factor.min <= 1.0 { ", though not in every round" }
            }
            "."
            @if let Some(remark) = most.and_then(|(_, faster)| faster.peer.remark) {
                " " span.note { "There: " (remark) "." }
            }
        }
    }
}

/// Renders every peer at every operation.
pub(super) fn section(document: &Document) -> Markup {
    let comparisons = comparisons(document);
    if comparisons.is_empty() {
        return absent("Other registries and maps", COMMAND);
    }
    html! {
        p {
            "The same keys in the same order, the same mix, the same counting, rounds in turn. Time is of one operation on "
            "one thread. The red line is the registry on its default backend: left of it is faster. What a peer cannot do "
            "is stated in words and not counted as a zero."
        }
        @for comparison in &comparisons {
            h3 { (heading(comparison)) }
            (plot(comparison))
            (table(&peers::comparison(comparison)))
        }
    }
}

fn plot(comparison: &Comparison<'_>) -> Markup {
    let dot = |result: &PeerResult<'_>| {
        Some(Dot { name: short(result.name), colour: shade(result.kind), spread: result.figures?.ns })
    };
    let dots: Vec<Dot> = comparison.results.iter().filter_map(dot).collect();
    if dots.is_empty() {
        return html! {};
    }
    Dots {
        caption: html! { "time per operation and thread" },
        label: format!("{}: time of each peer, as in the table", heading(comparison)),
        format_tick: units::time,
        bound: comparison.ours().and_then(PeerResult::ns),
        dots,
    }
    .draw()
}

fn shade(kind: &str) -> plotters::style::RGBColor {
    colour(match kind {
        "ours" => "registry",
        "map" => "bare",
        "beam" => "evmap",
        _ => "lookup",
    })
}

/// Shortens a name to what fits beside a plot: without its version, and as many words as fit.
fn short(name: &str) -> String {
    let mut short = String::new();
    for word in name.split(' ') {
        let version = word.starts_with(|first: char| first.is_ascii_digit()) && word.contains('.');
        if version || short.len() + word.len() > 18 {
            break;
        }
        short = [short.as_str(), word].join(" ").trim().to_owned();
    }
    short
}
