//! The table of backends of the README: figures of a document, and one handwritten column of advice.

use std::fmt::Write;

use crate::record::{Document, Memory, Row};
use crate::units;

/// Before the table, in the README.
pub const BEGIN: &str = "<!-- written by `cargo xtask bench --update-readme` -->";
/// After it.
pub const END: &str = "<!-- end of what is written -->";

/// The advice on each backend: the one column that is not measured, so it must not state figures.
const ADVICE: [(&str, &str); 5] = [
    ("papaya", "**The default.** Reads never wait and write nothing shared: many cores, hot ids, steady tails."),
    ("dashmap", "Few cores, much coming and going, little memory. Readers wait while half a shard is written."),
    (
        "left-right",
        "Far more reads than writes, without `unsafe`. Writes take two tables; a removed mailbox stays until the next \
         write.",
    ),
    ("evmap", "To compare with; `left-right` does the same in less memory."),
    ("reference", "Tests, and the line to beat: plainly correct, always compiled."),
];

/// The workloads whose throughput is shown, and the titles of their columns.
const SHOWN: [(&str, &str); 3] =
    [("lookup-100k", "lookups by 100,000 tasks"), ("hot", "one hot id"), ("sustained", "mixed 40/30/20/10")];

/// The ratios that are shown, on one thread.
const RATIOS: [(&str, &str); 3] =
    [("lookup_vs_bare", "lookup"), ("route_vs_bare", "message"), ("register_vs_bare", "registration")];

/// The sizes at which ratios are shown.
const SIZES: [usize; 2] = [10_000, 1_000_000];

/// The size at which memory is shown, and the number of shards.
const MEMORY_AT: usize = 100_000;
const SHARDS: usize = 64;

/// Returns the table, and the source of its figures.
///
/// # Errors
///
/// If the document lacks a figure of the table.
pub fn block(document: &Document) -> Result<String, String> {
    let host = &document.host;
    if host.revision.is_empty() || host.cpu.is_empty() {
        return Err("the document has no host or no revision".to_owned());
    }
    let mut text = String::from("| backend | when to pick it |");
    for (_, title) in RATIOS {
        let _ = write!(text, " {title}, × bare map at 10,000 · 1,000,000 |");
    }
    text.push_str(" bytes per entry, × bare map |");
    for (_, title) in SHOWN {
        let _ = write!(text, " {title} |");
    }
    let _ = writeln!(text, "\n|{}", "---|".repeat(3 + RATIOS.len() + SHOWN.len()));
    for (backend, advice) in ADVICE {
        let _ = write!(text, "| {backend} | {advice} |");
        for (name, _) in RATIOS {
            let [small, large] = SIZES.map(|entries| ratio(document, name, backend, entries));
            let _ = write!(text, " {} · {} |", small?, large?);
        }
        let _ = write!(text, " {} |", memory(document, backend)?);
        for (workload, _) in SHOWN {
            let _ = write!(text, " {} |", throughput(document, workload, backend)?);
        }
        text.push('\n');
    }
    let _ = writeln!(
        text,
        "\nMedians of one run of `cargo xtask bench` at revision `{}`, with {SHARDS} shards, on {} threads of {}, {}.\n\
         Bytes are the registry's alone, mailboxes apart, at {MEMORY_AT} entries.",
        host.revision, host.cores, host.cpu, host.date
    );
    Ok(text)
}

/// Replaces the text between the two markers.
///
/// # Errors
///
/// If a marker is missing or repeated, or the two are in the wrong order.
pub fn put(text: &str, block: &str) -> Result<String, String> {
    let place = |mark: &str| match text.match_indices(mark).collect::<Vec<_>>()[..] {
        [(place, _)] => Ok(place),
        [] => Err(format!("the marker {mark} is missing")),
        _ => Err(format!("there is more than once the marker {mark}")),
    };
    let (begin, end) = (place(BEGIN)? + BEGIN.len(), place(END)?);
    if begin > end {
        return Err("the markers are in the wrong order".to_owned());
    }
    Ok(format!("{}\n{block}{}", &text[..begin], &text[end..]))
}

fn ratio(document: &Document, name: &str, backend: &str, entries: usize) -> Result<String, String> {
    let found = document.ratios.iter().find(|ratio| {
        (ratio.name.as_str(), ratio.backend.as_str(), ratio.shards, ratio.threads, ratio.entries)
            == (name, backend, SHARDS, 1, entries)
    });
    let ratio = found.ok_or_else(|| format!("no {name} on {backend} with one thread and {entries} entries"))?;
    Ok(format!("{:.2}", ratio.spread.median))
}

fn memory(document: &Document, backend: &str) -> Result<String, String> {
    let of = |subject: &str, shards| -> Result<f64, String> {
        let is_it = |bytes: &&Memory| {
            (bytes.subject.as_str(), bytes.backend.as_str(), bytes.shards, bytes.entries)
                == (subject, backend, shards, MEMORY_AT)
        };
        let found = document.memory.iter().find(is_it).map(|bytes| bytes.bytes_per_entry);
        found.ok_or_else(|| format!("no memory of {subject} on {backend} with {MEMORY_AT} entries"))
    };
    let (registry, bare) = (of("registry", SHARDS)?, of("bare", 1)?);
    Ok(format!("{registry:.0}, {:.2}", registry / bare))
}

fn throughput(document: &Document, workload: &str, backend: &str) -> Result<String, String> {
    let is_it = |row: &&Row| {
        let setup = &row.setup;
        (setup.subject.as_str(), setup.backend.as_str(), setup.workload.as_str(), setup.shards)
            == ("registry", backend, workload, SHARDS)
    };
    let row = document.rows.iter().find(is_it).ok_or_else(|| format!("no workload {workload} on {backend}"))?;
    Ok(units::rate(row.ops_per_s))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn document() -> Document {
        serde_json::from_str(include_str!("page/tests/document.json")).unwrap()
    }

    /// Returns the current README.
    fn readme() -> String {
        std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../README.md")).unwrap()
    }

    #[test]
    fn the_table_has_every_backend_and_every_column() {
        let block = block(&document()).unwrap();
        let rows: Vec<&str> = block.lines().take_while(|line| line.starts_with('|')).collect();
        let cells = rows[0].matches('|').count();
        assert!(rows.iter().all(|row| row.matches('|').count() == cells), "{block}");
        for backend in crate::choose::backends() {
            assert!(rows.iter().any(|row| row.starts_with(&format!("| {backend} |"))), "no {backend} in\n{block}");
        }
        assert!(block.contains("`cargo xtask bench` at revision `0123456789ab`"), "{block}");
    }

    #[test]
    fn writing_the_table_twice_changes_nothing_else() {
        let (readme, block) = (readme(), block(&document()).unwrap());
        let once = put(&readme, &block).unwrap();
        assert!(once.contains(&block));
        assert_eq!(put(&once, &block).unwrap(), once, "a second time changes nothing");
        let outside =
            |text: &str| (text.split(BEGIN).next().map(str::to_owned), text.split(END).nth(1).map(str::to_owned));
        assert_eq!(outside(&once), outside(&readme), "nothing else is changed");
    }

    #[test]
    fn a_missing_figure_is_named() {
        let lacking = |change: &dyn Fn(&mut Document)| {
            let mut document = document();
            change(&mut document);
            block(&document).unwrap_err()
        };
        assert!(lacking(&|document| document.ratios.clear()).contains("no lookup_vs_bare on papaya"));
        assert!(lacking(&|document| document.memory.retain(|m| m.subject != "bare")).contains("no memory of bare on"));
        assert!(
            lacking(&|document| document.rows.retain(|row| row.setup.workload != "hot")).contains("no workload hot on")
        );
        assert!(lacking(&|document| document.host.revision.clear()).contains("revision"));
    }

    #[test]
    fn each_marker_must_occur_once_and_in_order() {
        assert!(put("nothing", "x").unwrap_err().contains("missing"));
        assert!(put(&format!("{BEGIN}{END}{BEGIN}"), "x").unwrap_err().contains("more than once"));
        assert!(put(&format!("{END}{BEGIN}"), "x").unwrap_err().contains("wrong order"));
        assert_eq!(put(&format!("a{BEGIN}b{END}c"), "x\n").unwrap(), format!("a{BEGIN}\nx\n{END}c"));
    }
}
