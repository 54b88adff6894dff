//! Memory of an entry, of a binding and of an idle mailbox.

use maud::{Markup, html};

use super::absent;
use super::plots::{Dot, Dots, colour};
use super::table::table;
use crate::record::{Document, Memory};
use crate::spread::Spread;
use crate::tables::{distinct, memory};
use crate::target::TARGETS;
use crate::units;

pub(super) fn section(document: &Document) -> Markup {
    html! {
        h3 { "An entry, without its mailbox" }
        @if let Some(all) = memory::entries(document) {
            (entries(document))
            (table(&all))
        } @else {
            (absent("Memory of entries", "cargo xtask bench"))
        }
        h3 { "An idle mailbox" }
        @if let Some(all) = memory::mailboxes(document) {
            p { "The mailbox is most of the memory of an idle connection." }
            (table(&all))
        } @else {
            (absent("Memory of idle mailboxes", "cargo xtask bench --mailboxes"))
        }
    }
}

fn entries(document: &Document) -> Markup {
    let ours = memory::of_registry(document);
    let bare = |bytes: &Memory| memory::of_bare(document, bytes);
    html! {
        p {
            "Bytes that were asked of the allocator, per entry: tables, records and one pointer to a mailbox. The bare "
            "map holds the same keys and the pointer. Tables double as they grow, so the figure depends on where the "
            "number of entries stands between two doublings. A binding's bytes come on top."
        }
        div.plots {
            // With few entries the empty table dominates; those are in the table only.
            @for entries in distinct(ours.iter().map(|bytes| bytes.entries).filter(|entries| *entries >= 1_000)) {
                (plot(entries, &ours, &bare))
            }
        }
    }
}

/// Plots bytes over those of the bare map, for the greatest number of shards.
fn plot(entries: usize, ours: &[&Memory], bare: &dyn Fn(&Memory) -> Option<f64>) -> Markup {
    let here: Vec<&&Memory> = ours.iter().filter(|bytes| bytes.entries == entries).collect();
    let most = here.iter().map(|bytes| bytes.shards).max();
    let dot = |bytes: &&&Memory| {
        let times = bytes.bytes_per_entry / bare(bytes)?;
        let spread = Spread { median: times, min: times, max: times };
        Some(Dot { name: bytes.backend.clone(), colour: colour(&bytes.backend), spread })
    };
    let dots: Vec<Dot> = here.iter().filter(|bytes| Some(bytes.shards) == most).filter_map(dot).collect();
    if dots.is_empty() {
        return html! {};
    }
    let bound = TARGETS.iter().find(|target| target.name == "memory_vs_bare").map(|target| target.at_most);
    Dots {
        caption: html! { "times the bare map's bytes, " (units::count(entries)) " entries" },
        label: format!("bytes of an entry over those of the bare map at {entries} entries; the table has them"),
        format_tick: units::compact,
        bound,
        dots,
    }
    .draw()
}
