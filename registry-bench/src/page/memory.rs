//! Memory: what an entry, a binding and an idle mailbox take.

use maud::{Markup, html};

use super::plots::{Dot, Dots, colour};
use super::table::{figure, perhaps, table, text};
use super::{absent, distinct, words};
use crate::record::{Document, Idle, Memory};
use crate::spread::Spread;
use crate::target::TARGETS;

pub(super) fn section(document: &Document) -> Markup {
    html! {
        h3 { "An entry, without its mailbox" }
        @if document.memory.is_empty() {
            (absent("Memory of entries", "cargo xtask bench"))
        } @else {
            (entries(document))
        }
        h3 { "A mailbox that nobody writes to" }
        @if document.idle.is_empty() {
            (absent("Memory of idle mailboxes", "cargo xtask bench --mailboxes"))
        } @else {
            (mailboxes(&document.idle))
        }
    }
}

fn entries(document: &Document) -> Markup {
    let ours: Vec<&Memory> = document.memory.iter().filter(|bytes| bytes.subject == "registry").collect();
    let bare = |bytes: &Memory| {
        let same = |other: &&Memory| (&other.backend, other.entries) == (&bytes.backend, bytes.entries);
        document.memory.iter().filter(|other| other.subject == "bare").find(same).map(|other| other.bytes_per_entry)
    };
    html! {
        p {
            "Bytes that were asked of the allocator, per entry: tables, records and one pointer to a mailbox. The bare "
            "map holds the same keys and the pointer. Tables double as they grow, so the figure depends on where the "
            "number of entries stands between two doublings. A binding's bytes come on top."
        }
        div.plots {
            // Among few entries the empty table is most of it; that is in the table below.
            @for entries in distinct(ours.iter().map(|bytes| bytes.entries).filter(|entries| *entries >= 1_000)) {
                (plot(entries, &ours, &bare))
            }
        }
        (table(
            "",
            &["backend", "entries", "shards", "registry", "bare map", "× bare", "a binding more"],
            ours.iter().map(|bytes| vec![
                text(bytes.backend.as_str()),
                figure(words::count(bytes.entries)),
                figure(bytes.shards.to_string()),
                figure(words::bytes(bytes.bytes_per_entry)),
                perhaps(bare(bytes).map(words::bytes)),
                perhaps(bare(bytes).map(|bare| words::times(bytes.bytes_per_entry / bare))),
                perhaps(bytes.bytes_per_binding.map(words::bytes)),
            ]),
        ))
    }
}

/// Times the bare map, for the registry with the most shards.
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
        caption: html! { "times the bare map's bytes, " (words::count(entries)) " entries" },
        label: format!("bytes of an entry over those of the bare map at {entries} entries; the table has them"),
        say: words::rough,
        bound,
        dots,
    }
    .draw()
}

fn mailboxes(idle: &[Idle]) -> Markup {
    html! {
        p {
            "For a connection that is idle, the mailbox is most of what it takes. " em { "Empty" } " has never had a "
            "message; " em { "used" } " has had one, which went through; " em { "waiting" } " has had one too, and its "
            "receiver waits for the next."
        }
        (table(
            "",
            &["mailbox", "room for", "bytes a message", "how many at once", "empty", "used", "waiting", "to put one in and take it out"],
            idle.iter().map(|row| vec![
                text(row.mailbox.as_str()),
                figure(words::count(row.capacity)),
                figure(words::count(row.message_bytes)),
                figure(words::count(row.mailboxes)),
                figure(words::bytes(row.empty_bytes)),
                figure(words::bytes(row.used_bytes)),
                perhaps(row.waiting_bytes.map(words::bytes)),
                perhaps(row.send_ns.map(words::time)),
            ]),
        ))
    }
}
