//! Rows made up for the purpose: who is faster is said first, by how much, and with what doubt.

use super::*;
use crate::record::{Host, Line};
use crate::report::report;

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

/// Three rounds: a map that is faster than one of ours at lookups, an actor's registry that is not, and one that is
/// not installed.
fn document() -> Document {
    let mut lines = Vec::new();
    for (ours, other_ours, map, actors) in
        [(40.0, 20.0, 20.0, 90.0), (42.0, 20.0, 28.0, 80.0), (60.0, 20.0, 30.0, 85.0)]
    {
        lines.push(peer("ours a 1.0", "ours", "lookup", measured(ours)));
        lines.push(peer("ours b 1.0", "ours", "lookup", measured(other_ours)));
        lines.push(peer("a 2.1", "map", "lookup", measured(map)));
        lines.push(peer("actors 3.0", "registry", "lookup", measured(actors)));
        lines.push(peer("beam", "beam", "lookup", Outcome::Missing("apt-get install it".to_owned())));
        lines.push(peer("ours a 1.0", "ours", "mixed", measured(2_000.0)));
        lines.push(peer("actors 3.0", "registry", "mixed", Outcome::Cannot("it has no bindings".to_owned())));
    }
    Document::of(Host::default(), lines.into_iter().map(Line::Peer).collect())
}

#[test]
fn who_is_faster_is_said_first() {
    let text = peers(&document());
    assert!(text.starts_with("Where a peer is faster than ours"), "{text}");
    let lines: Vec<&str> = text.lines().skip(2).take_while(|line| !line.is_empty()).collect();
    assert_eq!(lines, ["  a 2.1, lookup, 2 threads, 100 entries: 2.00 x ours a 1.0 (1.50-2.00)"]);
    let place = |words: &str| text.find(words).unwrap_or_else(|| panic!("no {words:?} in\n{text}"));
    assert!(place("2.00 x ours") < place("lookup, 100 entries: ns per operation"));
}

#[test]
fn a_round_that_says_otherwise_is_a_doubt() {
    let mut document = document();
    document.peers[2].outcome = measured(80.0);
    let text = faster(&groups(&document.peers));
    assert_eq!(text, "  a 2.1, lookup, 2 threads, 100 entries: 1.50? x ours a 1.0 (0.50-2.00)\n");
    document.peers[2].outcome = Outcome::Failed("it hung".to_owned());
    let text = faster(&groups(&document.peers));
    assert_eq!(text, "  a 2.1, lookup, 2 threads, 100 entries: 1.75 x ours a 1.0 (1.50-2.00)\n", "rounds stay in step");
}

#[test]
fn nobody_is_faster_is_said_too() {
    let mut document = document();
    document.peers.retain(|peer| peer.kind != "map");
    assert!(peers(&document).contains("\n  nowhere in this run\n"));
    document.peers.clear();
    assert_eq!(peers(&document), "");
}

#[test]
fn what_a_peer_cannot_do_is_said_in_words() {
    let text = peers(&document());
    let row = |name: &str, after: &str| {
        let rest = &text[text.find(after).unwrap_or_else(|| panic!("no {after:?} in\n{text}"))..];
        rest.lines().find(|line| line.starts_with(&format!("| {name} "))).unwrap_or_default().to_owned()
    };
    assert!(row("beam", "lookup, 100").contains("missing"), "{text}");
    assert!(row("actors 3.0", "mixed, 100").contains("cannot"), "{text}");
    for note in ["missing: apt-get install it", "cannot: it has no bindings", "about a 2.1"] {
        assert_eq!(text.matches(&format!("] {note}\n")).count(), 1, "{note} in\n{text}");
    }
    let figures = row("ours a 1.0", "lookup, 100");
    for figure in ["42.0", "40.0-60.0", "47.62M"] {
        assert!(figures.contains(figure), "no {figure} in {figures}");
    }
    assert!(report(&document()).contains(&text), "it is part of the report");
}
