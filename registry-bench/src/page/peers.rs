//! The peers: first where one is faster, then everybody at every operation.

use maud::{Markup, html};

use super::contest::{Contest, Entrant, Faster, contests, rivals};
use super::plots::{Dot, Dots, colour};
use super::table::{Cell, figure, table, text};
use super::{absent, words};
use crate::record::Document;

const COMMAND: &str = "cargo xtask bench --peers";

/// Where a peer is faster, in sentences.
pub(super) fn faster(document: &Document) -> Markup {
    let contests = contests(document);
    if contests.is_empty() {
        return absent("Other registries and maps", COMMAND);
    }
    let rivals = rivals(&contests);
    let registries: Vec<&str> =
        rivals.iter().filter(|(peer, _)| peer.kind != "map").map(|(peer, _)| peer.name).collect();
    html! {
        p {
            "Beside the registry on its default backend, in " (contests.len()) " comparisons: an operation, a "
            "number of entries, a number of threads."
        }
        p {
            @if registries.is_empty() {
                "Of other registries none that could be measured is faster at anything here. "
            } @else {
                strong { "Other registries that are faster at something: " (registries.join(", ")) ". " }
            }
            "A bare map has no leases, no statistics and nobody to ask whether an owner is alive, so it should be "
            "faster; by how much is what those cost."
        }
        @if !rivals.is_empty() {
            ul { @for (peer, wins) in &rivals { (rival(peer, wins, contests.len())) } }
            details {
                summary { "Everything that somebody is faster at" }
                p.note { "With a question mark where the ranges of the rounds overlap, so that it may be chance." }
                (table(
                    "",
                    &["who", "times as fast", "at", "threads", "entries", "they take", "the registry takes"],
                    rivals.iter().flat_map(|(_, wins)| wins).map(|(contest, faster)| vec![
                        text(short(faster.peer.name)),
                        figure(format!("{}{}", words::times(faster.times), if faster.doubtful { "?" } else { "" })),
                        text(operation(contest.operation)),
                        figure(contest.threads.to_string()),
                        figure(words::count(contest.entries)),
                        figure(taken(faster.peer)),
                        figure(taken(faster.ours)),
                    ]),
                ))
            }
        }
    }
}

/// A peer, and what it is faster at by how much at most.
fn rival(peer: &Entrant<'_>, wins: &[(&Contest<'_>, Faster<'_>)], of: usize) -> Markup {
    let most = wins.iter().max_by(|(_, one), (_, other)| one.times.total_cmp(&other.times));
    html! {
        li {
            strong { (peer.name) } " (" (kind(peer.kind)) ") in " (wins.len()) " of " (of)
            @if let Some((contest, faster)) = most {
                ", most at " (operation(contest.operation)) ", " (setting(contest)) ": " (words::times(faster.times))
                " times as fast" @if faster.doubtful { ", which may be chance" }
            }
            "."
            @if let Some(remark) = most.and_then(|(_, faster)| faster.peer.remark) {
                " " span.note { "There: " (remark) "." }
            }
        }
    }
}

/// Everybody at every operation.
pub(super) fn section(document: &Document) -> Markup {
    let contests = contests(document);
    if contests.is_empty() {
        return absent("Other registries and maps", COMMAND);
    }
    html! {
        p {
            "The same keys in the same order, the same mix, the same counting, rounds in turn. Time is of one "
            "operation on one thread. The red line is the registry on its default backend: left of it is faster. What "
            "a peer cannot do is said in words and not counted as a zero."
        }
        @for contest in &contests {
            h3 { (operation(contest.operation)) ", " (setting(contest)) }
            (plot(contest))
            (table(
                "",
                &["who", "time", "range", "per second", "what", "what to know"],
                contest.entrants.iter().filter_map(row),
            ))
            @if contest.entrants.iter().any(|entrant| entrant.result.is_err()) {
                ul { @for entrant in &contest.entrants {
                    @if let Err(why) = entrant.result { li { strong { (entrant.name) } " " (why.said()) "." } }
                } }
            }
        }
    }
}

fn plot(contest: &Contest<'_>) -> Markup {
    let dots = contest.entrants.iter().filter_map(|entrant| {
        let ns = entrant.result.ok()?.ns;
        Some(Dot { name: short(entrant.name), colour: shade(entrant.kind), spread: ns })
    });
    let dots: Vec<Dot> = dots.collect();
    if dots.is_empty() {
        return html! {};
    }
    Dots {
        caption: html! { "time per operation and thread" },
        label: format!("{}, {}: time of each peer; the table has them", operation(contest.operation), setting(contest)),
        say: words::time,
        bound: contest.ours().and_then(Entrant::ns),
        dots,
    }
    .draw()
}

/// Nothing for one without a figure, of whom it is said why.
fn row(entrant: &Entrant<'_>) -> Option<Vec<Cell>> {
    let figures = entrant.result.ok()?;
    Some(vec![
        text(entrant.name),
        figure(words::time(figures.ns.median)),
        figure(words::range(&figures.ns, words::time)),
        figure(words::rate(figures.rate.median)),
        text(kind(entrant.kind)),
        Cell::Words(entrant.remark.unwrap_or_default().to_owned()),
    ])
}

fn taken(entrant: &Entrant<'_>) -> String {
    entrant.ns().map(words::time).unwrap_or_default()
}

fn setting(contest: &Contest<'_>) -> String {
    format!("{} entries, {}", words::count(contest.entries), words::threads(contest.threads))
}

fn operation(name: &str) -> &str {
    match name {
        "lookup" => "looking a name up",
        "miss" => "looking up what is not there",
        "hot" => "looking up one and the same name",
        "register" => "registering and leaving",
        "route" => "sending a message by name",
        "mixed" => "the mix 40/30/20/10",
        other => other,
    }
}

fn kind(kind: &str) -> &str {
    match kind {
        "ours" => "this registry",
        "map" => "bare map",
        "registry" => "registry",
        "beam" => "on the BEAM",
        other => other,
    }
}

fn shade(kind: &str) -> plotters::style::RGBColor {
    colour(match kind {
        "ours" => "registry",
        "map" => "bare",
        "beam" => "evmap",
        _ => "lookup",
    })
}

/// What of a name has room beside a plot: without its version, and as many words as fit.
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
