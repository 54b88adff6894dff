//! The part of the report about peers: first where one of them is faster than ours, then everybody, operation by
//! operation, with what a peer cannot do in words and what a reader must know in notes.

use std::fmt::Write;

use comfy_table::Table;

use super::{align, rate, table};
use crate::record::{Document, Outcome, Peer};
use crate::spread::Spread;

/// What ours are called among the kinds.
const OURS: &str = "ours";

/// The part about peers; empty if none was measured.
#[must_use]
pub fn peers(document: &Document) -> String {
    let groups = groups(&document.peers);
    if groups.is_empty() {
        return String::new();
    }
    let mut text = String::from("Where a peer is faster than ours, and how many times (median and range of the rounds");
    text.push_str(";\na question mark where some round says otherwise):\n");
    let faster = faster(&groups);
    text.push_str(if faster.is_empty() { "  nowhere in this run\n" } else { &faster });
    text.push('\n');
    text.push_str(
        "All have the same ids and do the same operations in the same order. Nobody reads a mailbox while an\n\
         operation is timed; mailboxes are emptied in between.\n\n",
    );
    let mut notes = Notes::default();
    for (operation, entries) in tables(&groups) {
        let _ = writeln!(text, "{operation}, {entries} entries: ns per operation on each thread, of all rounds");
        let _ = writeln!(text, "{}\n", rows(&groups, operation, entries, &mut notes));
    }
    for (number, note) in notes.0.iter().enumerate() {
        let _ = writeln!(text, "[{}] {note}", number + 1);
    }
    text
}

/// All rounds of one operation on one peer.
#[derive(Clone, Debug)]
pub struct Group<'a> {
    /// Who, and what; the outcome is that of the first round.
    pub first: &'a Peer,
    /// Nanoseconds per operation in each round, where they were measured.
    pub rounds: Vec<Option<f64>>,
    /// Operations per second of all threads, in the rounds where they were measured.
    pub rates: Vec<f64>,
    /// What else came of it: the outcomes that are not figures.
    pub otherwise: Vec<&'a Outcome>,
}

/// Puts the rounds of each operation on each peer together, in the order in which they first come.
#[must_use]
pub fn groups(peers: &[Peer]) -> Vec<Group<'_>> {
    let mut groups: Vec<Group<'_>> = Vec::new();
    for peer in peers {
        let same = |group: &&mut Group<'_>| {
            let key = |peer: &Peer| (peer.peer.clone(), peer.operation.clone(), peer.threads, peer.entries);
            key(group.first) == key(peer)
        };
        let (ns, per_second, otherwise) = match &peer.outcome {
            Outcome::Measured { ns, ops_per_s } => (Some(*ns), Some(*ops_per_s), None),
            other => (None, None, Some(other)),
        };
        match groups.iter_mut().find(same) {
            Some(group) => {
                group.rounds.push(ns);
                group.rates.extend(per_second);
                group.otherwise.extend(otherwise);
            }
            None => groups.push(Group {
                first: peer,
                rounds: vec![ns],
                rates: per_second.into_iter().collect(),
                otherwise: otherwise.into_iter().collect(),
            }),
        }
    }
    groups
}

/// One line for each operation and setting in which a peer is faster than one of ours: how many times as fast as each
/// of ours that it is faster than. In the order of the tables.
#[must_use]
pub fn faster(groups: &[Group<'_>]) -> String {
    let mut text = String::new();
    let order = tables(groups);
    let place = |of: &Peer| order.iter().position(|&table| table == (of.operation.as_str(), of.entries));
    let mut all_of_theirs: Vec<&Group<'_>> = groups.iter().filter(|group| group.first.kind != OURS).collect();
    all_of_theirs.sort_by_key(|group| (place(group.first), group.first.threads));
    for theirs in all_of_theirs {
        let mut separator = ": ";
        for ours in groups.iter().filter(|ours| ours.first.kind == OURS && same_setting(ours.first, theirs.first)) {
            let Some(times) = times_as_fast(theirs, ours).filter(|times| times.median > 1.0) else { continue };
            if separator == ": " {
                let Peer { peer, operation, threads, entries, .. } = theirs.first;
                let _ = write!(text, "  {peer}, {operation}, {}, {entries} entries", counted(*threads));
            }
            let doubt = if times.min > 1.0 { "" } else { "?" };
            let Spread { median, min, max } = times;
            let _ = write!(text, "{separator}{median:.2}{doubt} x {} ({min:.2}-{max:.2})", ours.first.peer);
            separator = ", ";
        }
        if separator != ": " {
            text.push('\n');
        }
    }
    text
}

/// How many times as fast a peer is as one of ours, round by round, since those of one round ran next to each other.
fn times_as_fast(theirs: &Group<'_>, ours: &Group<'_>) -> Option<Spread> {
    let rounds = theirs.rounds.iter().zip(&ours.rounds);
    let factors: Vec<f64> = rounds.filter_map(|(theirs, ours)| Some((*ours)? / (*theirs)?)).collect();
    Spread::of(&factors)
}

fn same_setting(one: &Peer, other: &Peer) -> bool {
    (&one.operation, one.threads, one.entries) == (&other.operation, other.threads, other.entries)
}

/// Which tables there are: operations and numbers of entries, in the order in which they first come.
fn tables<'a>(groups: &[Group<'a>]) -> Vec<(&'a str, usize)> {
    let mut tables = Vec::new();
    for group in groups {
        let table = (group.first.operation.as_str(), group.first.entries);
        if !tables.contains(&table) {
            tables.push(table);
        }
    }
    // All operations at one size, then at the next.
    tables.sort_by_key(|&(_, entries)| entries);
    tables
}

/// Everybody at one operation: a row for each, and three columns for each number of threads.
fn rows(groups: &[Group<'_>], operation: &str, entries: usize, notes: &mut Notes) -> Table {
    let here: Vec<&Group<'_>> =
        groups.iter().filter(|group| group.first.operation == operation && group.first.entries == entries).collect();
    let mut threads: Vec<usize> = here.iter().map(|group| group.first.threads).collect();
    threads.sort_unstable();
    threads.dedup();
    let mut header = vec!["peer".to_owned(), "kind".to_owned()];
    for &threads in &threads {
        header.extend([counted(threads), "min-max".to_owned(), "ops/s".to_owned()]);
    }
    header.push("note".to_owned());
    let mut table = table(&header.iter().map(String::as_str).collect::<Vec<_>>());
    let mut peers: Vec<&str> = Vec::new();
    for group in &here {
        if !peers.contains(&group.first.peer.as_str()) {
            peers.push(&group.first.peer);
        }
    }
    for peer in peers {
        let of =
            |threads: usize| here.iter().find(|group| (&*group.first.peer, group.first.threads) == (peer, threads));
        let Some(any) = threads.iter().find_map(|&threads| of(threads)) else { continue };
        let mut cells = vec![peer.to_owned(), any.first.kind.clone()];
        let mut marks: Vec<String> = Vec::new();
        let mut mark = |text: &str| {
            let mark = notes.mark(text);
            if !marks.contains(&mark) {
                marks.push(mark);
            }
        };
        for &threads in &threads {
            cells
                .extend(of(threads).map_or_else(|| [(); 3].map(|()| String::new()), |group| figures(group, &mut mark)));
        }
        any.first.remark.iter().for_each(|remark| mark(remark));
        cells.push(marks.join(" "));
        table.add_row(cells);
    }
    align(table, 2)
}

/// The cells of a peer at one number of threads; where there is no figure, a word, and the reason as a note.
fn figures(group: &Group<'_>, mark: &mut impl FnMut(&str)) -> [String; 3] {
    let word = |outcome: &Outcome| match outcome {
        Outcome::Measured { .. } => "measured",
        Outcome::Cannot(_) => "cannot",
        Outcome::Missing(_) => "missing",
        Outcome::Failed(_) => "failed",
    };
    for outcome in &group.otherwise {
        if let Outcome::Cannot(why) | Outcome::Missing(why) | Outcome::Failed(why) = outcome {
            mark(&format!("{}: {why}", word(outcome)));
        }
    }
    let measured: Vec<f64> = group.rounds.iter().flatten().copied().collect();
    match (Spread::of(&measured), Spread::of(&group.rates)) {
        (Some(Spread { median, min, max }), Some(rates)) => {
            [nanoseconds(median), format!("{}-{}", nanoseconds(min), nanoseconds(max)), rate(rates.median)]
        }
        _ => {
            let words = group.otherwise.first().map_or("", |outcome| word(outcome));
            [words.to_owned(), String::new(), String::new()]
        }
    }
}

fn nanoseconds(ns: f64) -> String {
    if ns < 1_000.0 { format!("{ns:.1}") } else { format!("{ns:.0}") }
}

fn counted(threads: usize) -> String {
    if threads == 1 { "1 thread".to_owned() } else { format!("{threads} threads") }
}

/// Texts that rows refer to by number.
#[derive(Debug, Default)]
struct Notes(Vec<String>);

impl Notes {
    fn mark(&mut self, text: &str) -> String {
        let place = self.0.iter().position(|note| note == text).unwrap_or_else(|| {
            self.0.push(text.to_owned());
            self.0.len() - 1
        });
        format!("[{}]", place + 1)
    }
}

#[cfg(test)]
mod tests;
