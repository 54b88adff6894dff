//! The page about one run, for a reader new to the project.
//!
//! One file that needs no network: style and plots are embedded. Every figure is computed from the document, and a
//! missing part is named with the command that measures it.

use maud::{DOCTYPE, Markup, PreEscaped, html};

use crate::record::Document;

mod curves;
mod head;
mod latency;
mod memory;
mod method;
mod peers;
mod plots;
mod ratios;
mod table;
mod tails;
mod targets;
mod throughput;

/// A part of the page.
struct Section {
    /// Its id within the page.
    anchor: &'static str,
    title: &'static str,
    /// Whether a new reader should read it first.
    first: bool,
    body: Markup,
}

/// Returns the whole page as HTML.
#[must_use]
pub fn page(document: &Document) -> String {
    let section = |anchor, title, first, body| Section { anchor, title, first, body };
    let sections = [
        section("faster", "Where a peer is faster", true, peers::faster(document)),
        section("targets", "Targets: bounds on the cost, and whether they hold", true, targets::section(document)),
        section("ratios", "Single operations beside the bare map", true, ratios::section(document)),
        section("throughput", "Workloads: throughput", false, throughput::section(document)),
        section("latency", "Workloads: latency", false, latency::section(document)),
        section("tails", "Latency under open-loop load", false, tails::section(document)),
        section("curves", "How the cost grows", false, curves::section(document)),
        section("memory", "Memory", false, memory::section(document)),
        section("peers", "Peers, operation by operation", false, peers::section(document)),
        section("method", "How each was measured", false, method::section(document)),
        section("not", "How not to read it", true, method::warnings()),
    ];
    let body = html! {
        (head::head(document, &sections))
        @for part in &sections {
            section id=(part.anchor) {
                h2 { (part.title) }
                (part.body)
            }
        }
        footer { p { "Written by " code { "cargo xtask bench --report DIR" } " from the figures of one run." } }
    };
    let whole = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                title { "Registry, measured at " (document.host.revision) }
                style { (PreEscaped(include_str!("page/style.css"))) }
            }
            body { main { (body) } }
        }
    };
    whole.into_string()
}

/// Renders that a part was not measured, and the command that measures it.
fn absent(what: &str, command: &str) -> Markup {
    html! { p.absent { (what) ": not measured in this run. " code { (command) } " measures it." } }
}

#[cfg(test)]
mod tests;
