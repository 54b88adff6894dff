//! Made-up rows of peers: which are faster, by how much, and with what doubt.

use crate::record::{Document, Host, Line, Outcome, Peer};
use crate::report::report;
use crate::tables::comparison::comparisons;
use crate::tables::{Cell, figure, peers, text};

fn peer(name: &str, kind: &str, operation: &str, outcome: Outcome) -> Peer {
    Peer {
        peer: name.to_owned(),
        kind: kind.to_owned(),
        operation: operation.to_owned(),
        threads: 2,
        entries: 100,
        seed: 1,
        outcome,
        remark: Some(format!("about {name}")),
    }
}

fn measured(ns: f64) -> Outcome {
    Outcome::Measured { ns, ops_per_s: 2e9 / ns }
}

/// Three rounds: a map that is faster than one of ours at lookups, a registry of actors that is not, and a peer that is
/// not installed.
fn document() -> Document {
    let mut lines = Vec::new();
    for (ours, other_ours, map, actors) in
        [(40.0, 20.0, 20.0, 90.0), (42.0, 20.0, 28.0, 80.0), (60.0, 20.0, 30.0, 85.0)]
    {
        lines.push(peer("ours papaya 1.0", "ours", "lookup", measured(ours)));
        lines.push(peer("ours b 1.0", "ours", "lookup", measured(other_ours)));
        lines.push(peer("a 2.1", "map", "lookup", measured(map)));
        lines.push(peer("actors 3.0", "registry", "lookup", measured(actors)));
        lines.push(peer("beam", "beam", "lookup", Outcome::Missing("apt-get install it".to_owned())));
        lines.push(peer("ours papaya 1.0", "ours", "mixed", measured(2_000.0)));
        lines.push(peer("actors 3.0", "registry", "mixed", Outcome::Cannot("it has no bindings".to_owned())));
    }
    Document::of(Host::default(), lines.into_iter().map(Line::Peer).collect())
}

fn faster(document: &Document) -> Vec<Vec<Cell>> {
    peers::faster(&comparisons(document)).map(|table| table.rows).unwrap_or_default()
}

fn row(times: &str, range: &str) -> Vec<Cell> {
    let figures = ["2", "100", times, range].map(figure);
    [&["a 2.1", "ours papaya 1.0", "lookup"].map(text)[..], &figures].concat()
}

#[test]
fn faster_peers_precede_all_figures() {
    let document = document();
    assert_eq!(faster(&document), [row("2.00", "1.50 – 2.00")]);
    let report = report(&document);
    let place = |part: &str| report.find(part).unwrap_or_else(|| panic!("no {part:?} in\n{report}"));
    assert!(place("Where a peer is faster") < place("lookup, 100 entries, 2 threads"));
}

#[test]
fn a_round_that_says_otherwise_adds_a_question_mark() {
    let mut document = document();
    document.peers[2].outcome = measured(80.0);
    assert_eq!(faster(&document), [row("1.50?", "0.50 – 2.00")]);
    document.peers[2].outcome = Outcome::Failed("it hung".to_owned());
    assert_eq!(faster(&document), [row("1.75", "1.50 – 2.00")], "rounds stay paired");
}

#[test]
fn the_report_says_if_no_peer_is_faster() {
    let mut document = document();
    document.peers.retain(|peer| peer.kind != "map");
    assert!(report(&document).contains("\nNo peer is faster at anything in this run.\n"));
    document.peers.clear();
    assert!(!report(&document).contains("peer"));
}

#[test]
fn a_missing_figure_is_replaced_by_the_reason() {
    let text = report(&document());
    let row = |name: &str, after: &str| {
        let rest = &text[text.find(after).unwrap_or_else(|| panic!("no {after:?} in\n{text}"))..];
        rest.lines().find(|line| line.starts_with(&format!("| {name} "))).unwrap_or_default().to_owned()
    };
    assert!(row("beam", "lookup, 100").contains("missing"), "{text}");
    assert!(row("actors 3.0", "mix 40/30/20/10, 100").contains("cannot"), "{text}");
    for note in ["missing: apt-get install it", "cannot: it has no bindings", "about a 2.1"] {
        assert_eq!(text.matches(&format!("] {note}\n")).count(), 1, "{note} in\n{text}");
    }
    let figures = row("ours papaya 1.0", "lookup, 100");
    for figure in ["42 ns", "40 ns – 60 ns", "47.6M"] {
        assert!(figures.contains(figure), "no {figure} in {figures}");
    }
}
