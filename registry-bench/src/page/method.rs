//! How each figure was measured, and how not to read it.

use maud::{Markup, html};

use crate::record::Document;
use crate::tables::distinct;

pub(super) fn section(document: &Document) -> Markup {
    let numbers = |mut numbers: Vec<usize>| {
        numbers.sort_unstable();
        distinct(numbers).iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
    };
    let every = document.rows.iter().map(|row| row.setup.sample_every as usize).filter(|every| *every > 1);
    let every = numbers(every.collect());
    let single = document.ratios.iter().filter(|ratio| ratio.subject_ns.is_some());
    let pairs = numbers(single.map(|ratio| ratio.rounds).collect());
    let seeds =
        distinct(document.rows.iter().map(|row| row.setup.seed).chain(document.ratios.iter().map(|ratio| ratio.seed)));
    let seeds: Vec<String> = seeds.iter().map(|seed| format!("{seed:#x}")).collect();
    html! {
        dl {
            dt { strong { "Workloads" } }
            dd { p {
                "Each round of each workload is a process of its own; rounds go outermost and backends innermost, so "
                "that backends which are compared run next to each other. In this run: "
                (or_none(&numbers(document.rows.iter().map(|row| row.rounds).collect()))) " rounds, "
                (or_none(&numbers(document.rows.iter().map(|row| row.setup.threads).collect()))) " threads. The "
                "bare map runs in the same process, before the registry in every other round. One operation in so many "
                "is timed, in most workloads one in "
                (or_none(&every))
                "; the others are only counted."
            } }
            dt { strong { "Ratios" } }
            dd { p {
                "Both sides stand in one process with the same ids and mailboxes, and get the same keys in the same "
                "order, prepared before the clock is read. They run in short slices in turn, A B, B A; each pair gives "
                "one ratio. In this run: "
                (or_none(&pairs))
                " pairs. The first does not count."
            } }
            dt { strong { "Memory" } }
            dd { p {
                "A counting allocator in a program of its own; ids and mailboxes are made before the first look at it. "
                "What is counted is what was asked for, which an allocator rounds up."
            } }
            dt { strong { "Tails" } }
            dd { p {
                "Operations are due at times that were fixed beforehand, at a part of the rate that was reached "
                "without pauses; nothing is omitted because something else was slow."
            } }
            dt { strong { "Peers" } }
            dd { p {
                "Each does the same operations on the same keys, through the API that its own documentation shows. "
                "Those on the BEAM run in a program of their own. What a peer does beyond or short of the others "
                "stands beside its figure."
            } }
            dt { strong { "Seeds" } }
            dd { p { "Ids and orders are drawn from " (or_none(&seeds.join(", "))) "; the same seed makes the same "
                "keys in the same order." } }
        }
        p { "The repository's " code { "docs/benchmarks.md" } " has it in full." }
    }
}

/// Returns the text, or "no" if it is empty.
fn or_none(text: &str) -> &str {
    if text.is_empty() { "no" } else { text }
}

/// Renders how not to read the figures.
pub(super) fn warnings() -> Markup {
    html! {
        ul {
            li { "Compare figures of this page with each other, not with those of another page: another machine, or "
                "the same "
                "one an hour later, is another measure. A ratio travels further than a time, and still not far." }
            li { "Where ranges overlap, nothing is ranked. A machine with two threads says nothing about one with "
                "sixty-four." }
            li { "The least of a range is not what it could be, and the most is not what it usually is: they are "
                "one round each, "
                "and the machine's other work is in them." }
            li { "Nanoseconds of a lookup in a tight loop are those of a processor that guesses right and whose "
                "caches are warm. In a program that does something else in between, the first lookup costs a cache "
                "miss more, on the bare map "
                "too." }
            li { "A peer's figure is of what it was asked here. It may be made for something else: what it does "
                "beside is said, "
                "and not measured." }
            li { "A longest latency is mostly the operating system's. On a shared machine the tail beyond 99.9 % is "
                "that of its "
                "neighbours." }
        }
    }
}
