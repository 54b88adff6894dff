//! Made-up figures within, beyond and across the bounds.

use super::*;
use crate::record::{Host, Percentiles, Ratio, Tail};

fn empty() -> Document {
    Document::of(Host::default(), Vec::new())
}

fn ratio(name: &str, backend: &str, entries: usize, (min, median, max): (f64, f64, f64)) -> Ratio {
    serde_json::from_value(serde_json::json!({
        "name": name, "backend": backend, "shards": 64, "threads": 1, "entries": entries,
        "median": median, "min": min, "max": max, "rounds": 3, "seed": 1,
    }))
    .unwrap()
}

fn only(document: &Document, name: &str) -> Evaluation {
    evaluate(document).into_iter().find(|evaluation| evaluation.target.name == name).unwrap()
}

#[test]
fn a_range_across_the_bound_is_undecided() {
    let mut document = empty();
    document.ratios = vec![
        ratio("lookup_vs_bare", "papaya", 10_000, (1.0, 1.1, 1.15)),
        ratio("lookup_vs_bare", "dashmap", 10_000, (1.0, 1.1, 1.2)),
        ratio("lookup_vs_bare", "evmap", 10_000, (1.1, 1.265, 1.4)),
        ratio("lookup_vs_bare", "evmap", 1_000_000, (1.2, 1.38, 1.4)),
    ];
    let evaluation = only(&document, "lookup_vs_bare");
    let verdict_text: Vec<String> = evaluation.findings.iter().map(|finding| finding.verdict_text(1.15)).collect();
    assert_eq!(verdict_text, ["holds", "undecided", "undecided", "misses by 20 %"]);
    assert_eq!(evaluation.verdict(), Some(Verdict::Misses));
}

#[test]
fn settings_without_a_target_are_not_evaluated() {
    let mut document = empty();
    document.ratios = vec![
        ratio("lookup_vs_bare", "left-right", 10_000, (9.0, 9.0, 9.0)),
        ratio("lookup_vs_bare", "papaya", 1_000, (9.0, 9.0, 9.0)),
        ratio("lookup_vs_limit", "papaya", 1_000_000, (9.0, 9.0, 9.0)),
        ratio("hot_two_threads", "dashmap", 10_000, (9.0, 9.0, 9.0)),
    ];
    for evaluation in evaluate(&document) {
        assert_eq!((evaluation.findings.len(), evaluation.verdict()), (0, None), "{}", evaluation.target.name);
    }
    assert!(of("lookup_vs_bare", "papaya", 10_000).is_some() && of("lookup_vs_bare", "papaya", 10).is_none());
}

#[test]
fn a_ratio_belongs_to_the_target_whose_name_it_begins_with() {
    let mut document = empty();
    document.ratios = vec![
        ratio("monitor_overhead_lookup", "papaya", 5, (1.0, 1.0, 1.01)),
        ratio("monitor_overhead_route", "papaya", 5, (1.0, 1.0, 1.05)),
        ratio("monitor_overheads", "papaya", 5, (9.0, 9.0, 9.0)),
    ];
    let names: Vec<String> =
        only(&document, "monitor_overhead").findings.into_iter().map(|finding| finding.name).collect();
    assert_eq!(names, ["monitor_overhead_lookup", "monitor_overhead_route"]);
}

#[test]
fn memory_is_judged_at_the_most_shards_beside_the_bare_map() {
    let bytes = |subject: &str, shards, bytes_per_entry, bytes_per_binding| Memory {
        subject: subject.to_owned(),
        backend: "papaya".to_owned(),
        shards,
        entries: 10_000,
        bytes_per_entry,
        bytes_per_binding,
    };
    let mut document = empty();
    document.memory = vec![
        bytes("registry", 1, 900.0, Some(900.0)),
        bytes("registry", 64, 160.0, Some(80.0)),
        bytes("bare", 1, 100.0, None),
    ];
    let of = |name| only(&document, name).findings.iter().map(|finding| finding.spread.median).collect::<Vec<_>>();
    assert_eq!((of("memory_vs_bare"), of("bytes_per_binding")), (vec![1.6], vec![80.0]));
}

#[test]
fn service_times_of_several_runs_become_one_finding() {
    let tail = |scenario: &str, operation: &str, p99_ns| Tail {
        scenario: scenario.to_owned(),
        operation: operation.to_owned(),
        subject: "registry".to_owned(),
        backend: "papaya".to_owned(),
        shards: 64,
        threads: 2,
        tasks: 100,
        entries: 100,
        saturated_per_s: 2.0,
        offered_per_s: 1.0,
        achieved_per_s: 1.0,
        seconds: 1.0,
        timed: 1,
        service: Percentiles { p99_ns, ..Percentiles::default() },
        response: Percentiles::default(),
        seed: 1,
    };
    let mut document = empty();
    document.tails = vec![
        tail("mixed", "all", 1_500),
        tail("mixed", "lookup", 9_000),
        tail("lookups-alone", "all", 9_000),
        tail("mixed", "all", 2_500),
    ];
    let evaluation = only(&document, "service_p99");
    let [finding] = &evaluation.findings[..] else { panic!("{evaluation:?}") };
    assert_eq!((finding.spread.min, finding.spread.max, finding.verdict), (1.5, 2.5, Verdict::Undecided));
}
