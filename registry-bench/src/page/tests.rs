//! The page of a made-up document, and of documents without some parts.

use super::page;
use crate::record::{Document, Host};

fn document() -> Document {
    serde_json::from_str(include_str!("tests/document.json")).unwrap()
}

/// Returns the text of a part, without its tags.
fn visible_text(page: &str, anchor: &str) -> String {
    let (_, from) = page.split_once(&format!("<section id=\"{anchor}\">")).expect(anchor);
    let (part, _) = from.split_once("</section>").expect(anchor);
    let mut text = String::new();
    let mut inside = true;
    for letter in part.chars() {
        match letter {
            '<' => inside = false,
            '>' => inside = true,
            letter if inside => text.push(letter),
            _ => {}
        }
    }
    text
}

const ANCHORS: [&str; 11] =
    ["faster", "targets", "ratios", "throughput", "latency", "tails", "curves", "memory", "peers", "method", "not"];

#[test]
fn faster_peers_precede_all_other_parts() {
    let page = page(&document());
    let places: Vec<usize> =
        ANCHORS.iter().map(|anchor| page.find(&format!("<section id=\"{anchor}\">")).expect(anchor)).collect();
    assert!(places.is_sorted(), "{places:?}");
    assert!(!page.contains("not measured in this run. "), "the document has all parts");
    assert!(!page.contains("could not be drawn"));
}

#[test]
fn the_page_needs_no_network() {
    let page = page(&document());
    for wrong in ["src=", "url(", "@import", "<script", "<link", "<iframe", "https://"] {
        assert!(!page.contains(wrong), "{wrong}");
    }
    // The only address is the name of a format.
    assert_eq!(page.matches("http://").count(), page.matches("xmlns=\"http://www.w3.org/2000/svg\"").count());
    assert!(page.contains("width=device-width") && page.contains("prefers-color-scheme: dark"));
}

#[test]
fn missing_parts_name_the_command_that_measures_them() {
    let page = page(&Document::of(Host { revision: "abc".to_owned(), ..Host::default() }, Vec::new()));
    assert!(visible_text(&page, "peers").contains("not measured in this run. cargo xtask bench --peers measures it"));
    for anchor in ["faster", "ratios", "throughput", "latency", "tails", "curves", "memory", "peers"] {
        assert!(visible_text(&page, anchor).contains("not measured in this run. cargo xtask bench"), "{anchor}");
    }
    assert!(page.contains("Peers were not measured in this run."));
    assert!(page.contains("and 10 were not measured"));
}

#[test]
fn figures_are_those_of_the_document() {
    let mut document = document();
    document.host.cpu = "<script>alert(1)</script>".to_owned();
    document
        .ratios
        .retain(|ratio| ratio.name == "lookup_vs_bare" && ratio.backend == "papaya" && ratio.entries == 10_000);
    document.ratios.truncate(1);
    document.ratios[0].spread = crate::spread::Spread { median: 1.234, min: 1.2, max: 1.45 };
    document.ratios[0].subject_ns = Some(43.21);
    let page = page(&document);
    assert!(!page.contains("<script>") && page.contains("&lt;script&gt;"));
    assert!(page.contains("on the default backend: 43.2 ns, 1.23 times the bare map's (1.20 – 1.45)"), "{page}");
    assert!(visible_text(&page, "targets").contains("misses by 7 %"));
}

#[test]
fn a_faster_peer_is_named_with_its_factor() {
    let mut document = document();
    document.peers.retain(|peer| peer.operation == "lookup" && peer.threads == 1);
    for peer in &mut document.peers {
        let ns = match peer.peer.as_str() {
            "Registry on papaya 0.1.0" => 40.0,
            "Registry on dashmap 0.1.0" => 10.0,
            "ractor 0.15.9" => 20.0,
            _ => 80.0,
        };
        if let crate::record::Outcome::Measured { ns: each, .. } = &mut peer.outcome {
            *each = ns;
        }
    }
    let text = visible_text(&page(&document), "faster");
    assert!(text.contains("Other registries that are faster at something: ractor 0.15.9."), "{text}");
    assert!(text.contains("ractor 0.15.9 (registry) in 1 of 1, most at lookup"), "{text}");
    assert!(
        text.contains("2.00 times as fast") && text.contains("ractor 0.15.9Registry on papaya 0.1.0lookup"),
        "{text}"
    );
    assert!(!text.contains("kameo") && !text.contains("Registry on dashmap"), "{text}");

    document.peers.retain(|peer| peer.peer != "ractor 0.15.9");
    assert!(visible_text(&page(&document), "faster").contains("that could be measured, none is faster"));
}

#[test]
fn a_missing_figure_is_replaced_by_the_reason() {
    let text = visible_text(&page(&document()), "peers");
    for words in
        ["cannot: a map has no bindings", "missing: on Debian: apt-get install elixir", "failed: it was not done"]
    {
        assert!(text.contains(words), "no {words:?}");
    }
    assert!(text.contains("keeps no leases &amp; &lt;no&gt; statistics"));
}

#[test]
fn every_table_scrolls_by_itself() {
    let page = page(&document());
    assert_eq!(page.matches("<table>").count(), page.matches("<div class=\"scroll\" tabindex=\"0\"><table>").count());
}
