//! Made-up documents: the arithmetic of rows, the text of the report, and JSON written and read back.

use super::*;
use crate::record::{BackgroundLoad, Host, Line, Memory, Ratio, Sample, Setup};
use crate::spread::Spread;
use crate::tables::{Cell, figure, text};

fn sample(backend: &str, workload: &str, ops_per_s: f64) -> Line {
    Line::Sample(Box::new(Sample {
        setup: Setup {
            subject: "registry".to_owned(),
            backend: backend.to_owned(),
            workload: workload.to_owned(),
            shards: 64,
            threads: 2,
            tasks: None,
            entries: 100,
            seed: 1,
            sample_every: 16,
        },
        seconds: 0.1,
        ops_per_s,
        p50_ns: 40,
        p95_ns: 60,
        p99_ns: 80,
        p999_ns: 1_500,
        max_ns: ops_per_s as u64,
        timed: 10,
        skew: Some(0.5),
        buckets: None,
    }))
}

fn ratio(median: f64) -> Line {
    Line::Ratio(Ratio {
        name: "hot_vs_bare".to_owned(),
        operation: "workload".to_owned(),
        backend: "a".to_owned(),
        shards: 64,
        threads: 2,
        entries: 100,
        spread: Spread { median, min: median - 0.1, max: median + 0.1 },
        q1: None,
        q3: None,
        subject_ns: None,
        bare_ns: None,
        rounds: 1,
        operations: None,
        seed: 1,
    })
}

fn document() -> Document {
    let bytes_per_entry = 123.0;
    let memory = |subject: &str| Memory {
        subject: subject.to_owned(),
        backend: "a".to_owned(),
        shards: 64,
        entries: 100,
        bytes_per_entry,
        bytes_per_binding: None,
    };
    let lines = vec![
        sample("a", "hot", 3e6),
        sample("b", "hot", 1e6),
        sample("a", "zipf", 2e6),
        sample("b", "zipf", 2.5e6),
        sample("a", "hot", 4e6),
        sample("b", "hot", 1.1e6),
        sample("a", "zipf", 2.6e6),
        sample("b", "zipf", 2.7e6),
        sample("a", "hot", 3.5e6),
        ratio(1.5),
        ratio(1.1),
        ratio(1.3),
        Line::Memory(memory("registry")),
        Line::Memory(memory("bare")),
    ];
    Document::of(Host { cpu: "made up".to_owned(), ..Host::default() }, lines)
}

#[test]
fn rounds_are_combined_into_a_row() {
    let document = document();
    assert_eq!(document.rows.len(), 4);
    let row = &document.rows[0];
    assert_eq!((row.setup.workload.as_str(), row.setup.backend.as_str()), ("hot", "a"));
    assert_eq!((row.ops_per_s, row.rounds, row.max_ns, row.timed), (3.5e6, 3, 4_000_000, 30));
    assert_eq!(row.ops_per_s_rounds, [3e6, 4e6, 3.5e6]);
    assert_eq!(row.bytes_per_entry, Some(123.0));
    assert_eq!(document.rows[1].bytes_per_entry, None);
}

#[test]
fn ratios_of_several_processes_are_combined() {
    let document = document();
    let [ratio] = &document.ratios[..] else { panic!("{:?}", document.ratios) };
    assert_eq!((ratio.spread.median, ratio.rounds), (1.3, 3));
    assert!((ratio.spread.min - 1.0).abs() < 1e-9 && (ratio.spread.max - 1.6).abs() < 1e-9);
}

#[test]
fn the_best_backend_has_a_margin_or_a_question_mark() {
    let row = |load, best, ops, others: &str| vec![text(load), text(best), figure(ops), Cell::Prose(others.to_owned())];
    let rows = best_backend::table(&document()).unwrap().rows;
    let lookups = row("lookups", "b", "2.6M", "1.14 a (1.04 – 1.25)");
    assert_eq!(rows, [lookups, row("one hot id", "a", "3.5M", "3.32 b (3.00 – 3.64)")]);

    let mut document = document();
    document.rows[2].ops_per_s_rounds[0] = 2.55e6;
    let rows = best_backend::table(&document).unwrap().rows;
    assert_eq!(rows[0], row("lookups", "b", "2.6M", "1.01? a (0.98 – 1.04)"), "a round says otherwise");
}

#[test]
fn the_report_has_every_figure() {
    let report = report(&document());
    for part in ["made up", "hot", "3.5M", "1.5 µs", "123 B", "1.30", "Which backend suits which load"] {
        assert!(report.contains(part), "no {part:?} in\n{report}");
    }
}

/// The document of the page's tests, which has all parts.
fn full() -> Document {
    let mut document: Document = serde_json::from_str(include_str!("../page/tests/document.json")).unwrap();
    document.background_load = Some(BackgroundLoad { before: 0.1, during: 0.38 });
    document
}

#[test]
fn the_verdict_is_first_and_every_line_fits_the_width() {
    let report = report(&full());
    let place = |part: &str| report.find(part).unwrap_or_else(|| panic!("no {part:?} in\n{report}"));
    let order =
        ["machine busy: 38 %", "Of 10 targets", "Targets: ", "Where a peer is faster", "Which backend", "Every place"];
    assert!(order.map(place).is_sorted(), "{report}");
    assert!(report[..place("Every place")].lines().count() < 60, "{report}");
    for line in report.lines() {
        assert!(line.chars().count() <= table::WIDTH, "{} characters: {line}", line.chars().count());
    }
}

#[test]
fn every_target_has_a_row_or_is_reported_as_not_measured() {
    let mut document = full();
    document.tails.clear();
    let text = report(&document);
    for target in &crate::target::TARGETS {
        assert!(text.contains(target.name), "no {} in\n{text}", target.name);
    }
    assert!(text.contains("misses by") && text.contains("undecided") && text.contains("holds"), "{text}");
    let row = text.lines().find(|line| line.contains("service_p99")).unwrap();
    assert!(row.contains("not measured"), "{row}");
    document.ratios.clear();
    document.memory.clear();
    assert!(!report(&document).contains("target"));
}

#[test]
fn service_and_response_times_are_rows_side_by_side() {
    let row = |time, figures: [&str; 4]| {
        let names = ["mixed", "all", "papaya", "registry", time].map(text);
        [&names[..], &figures.map(figure)].concat()
    };
    let [loads, latencies] = &tails::tables(&full())[..] else { panic!() };
    assert_eq!(loads.rows[0][5..], ["2.4M/s", "1.2M/s", "1.2M/s"].map(figure));
    assert_eq!(
        latencies.rows[..2],
        [
            row("service", ["159 ns", "1.3 µs", "9.76 µs", "1.98 ms"]),
            row("response", ["428 ns", "3.76 µs", "24.5 µs", "5.9 ms"]),
        ]
    );
    assert!(tails::tables(&document()).is_empty());
}

#[test]
fn a_document_survives_json() {
    let document = document();
    let text = serde_json::to_string(&document).unwrap();
    assert_eq!(serde_json::from_str::<Document>(&text).unwrap(), document);
    let value: serde_json::Value = serde_json::from_str(&text).unwrap();
    let row = value["rows"][0].as_object().unwrap();
    for field in [
        "subject",
        "backend",
        "workload",
        "shards",
        "threads",
        "entries",
        "ops_per_s",
        "ops_per_s_rounds",
        "p50_ns",
        "p95_ns",
        "p99_ns",
        "p999_ns",
        "max_ns",
        "bytes_per_entry",
        "seed",
        "rounds",
        "revision",
        "seconds",
    ] {
        assert!(row.contains_key(field), "{field}");
    }
    let ratio = value["ratios"][0].as_object().unwrap();
    assert!(["name", "backend", "threads", "entries", "median", "min", "max"].iter().all(|f| ratio.contains_key(*f)));
    let host = value["host"].as_object().unwrap();
    assert!(["cpu", "cores", "kernel", "rustc", "revision", "date"].iter().all(|field| host.contains_key(*field)));
}

mod peers;
