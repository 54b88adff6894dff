//! The top of the page: an introduction, the host, and the run in a few sentences.

use maud::{Markup, html};

use super::Section;
use crate::record::Document;
use crate::tables::comparison::{DEFAULT_BACKEND, comparisons};
use crate::tables::targets;
use crate::units;

pub(super) fn head(document: &Document, sections: &[Section]) -> Markup {
    let host = &document.host;
    html! {
        header {
            h1 { "Registry, measured" }
            p.lead {
                "Registry is a service registry and message router inside a Rust program: names are registered, looked "
                "up and sent messages, from any thread. This page is what one run of its benchmark found, on one "
                "machine: what an operation costs beside the bare concurrent map that is underneath, beside other "
                "registries, and as the load grows."
            }
            dl.host {
                dt { "Processor" } dd { (host.cpu) ", " (host.cores) " threads" }
                dt { "System" } dd { (host.kernel) }
                dt { "Compiler" } dd { (host.rustc) }
                dt { "Revision" } dd { (host.revision) }
                dt { "Begun" } dd { (host.date) }
                @if let Some(load) = document.background_load { dt { "Load" } dd { (load.sentence()) } }
            }
            div.short {
                h2 { "In short" }
                ul { @for sentence in sentences(document) { li { (sentence) } } }
            }
        }
        nav aria-label="Parts of this page" {
            p { "Read first: " @for (n, part) in sections.iter().filter(|part| part.first).enumerate() {
                @if n > 0 { "; " } a href=(format!("#{}", part.anchor)) { (part.title) }
            } "." }
            details {
                summary { "All parts" }
                ol { @for part in sections { li { a href=(format!("#{}", part.anchor)) { (part.title) } } } }
            }
        }
        p.note {
            "A " em { "backend" } " is the map underneath: papaya, dashmap, evmap, left-right, or the reference, a "
            "plain "
            code { "RwLock<HashMap>" } ". " em { "Bare" } " is the same crate's map alone: no leases, no "
            "statistics, no check whether an owner is alive. Figures are medians, with the least and the most of "
            "the rounds."
        }
    }
}

/// Returns the run in a few sentences.
fn sentences(document: &Document) -> Vec<String> {
    let mut sentences = lookups(document);
    sentences.push(targets::sentence(document));
    let comparisons = comparisons(document);
    sentences.push(if comparisons.is_empty() {
        "Peers were not measured in this run.".to_owned()
    } else {
        let with_faster = comparisons.iter().filter(|comparison| !comparison.faster().is_empty()).count();
        format!(
            "Of {} comparisons with peers, in {with_faster} some peer is faster than the registry; they are named \
             below, first.",
            comparisons.len()
        )
    });
    sentences
}

/// Returns the cost of a lookup on the default backend with one thread, at each size.
fn lookups(document: &Document) -> Vec<String> {
    let of_default = document.ratios.iter().filter(|ratio| {
        (ratio.name.as_str(), ratio.backend.as_str(), ratio.threads) == ("lookup_vs_bare", DEFAULT_BACKEND, 1)
    });
    let sentence = |ratio: &crate::record::Ratio| {
        let taken = ratio.subject_ns.map_or_else(String::new, |ns| format!("{}, ", units::time(ns)));
        format!(
            "A lookup among {} servers, on the default backend: {taken}{} times the bare map's ({}).",
            units::count(ratio.entries),
            units::ratio(ratio.spread.median),
            units::range(&ratio.spread, units::ratio)
        )
    };
    of_default.map(sentence).collect()
}
