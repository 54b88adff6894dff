//! Documents made up for the purpose: the arithmetic of rows, the lines for a person, and the way to JSON and back.

use super::*;
use crate::record::{Host, Line, Memory, Sample, Setup};

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
fn rounds_become_rows() {
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
fn ratios_of_several_processes_become_one() {
    let document = document();
    let [ratio] = &document.ratios[..] else { panic!("{:?}", document.ratios) };
    assert_eq!((ratio.spread.median, ratio.rounds), (1.3, 3));
    assert!((ratio.spread.min - 1.0).abs() < 1e-9 && (ratio.spread.max - 1.6).abs() < 1e-9);
}

#[test]
fn the_best_backend_is_told_with_a_margin_or_with_a_doubt() {
    let suits = suits(&document());
    let lines: Vec<&str> = suits.lines().map(str::trim).collect();
    assert_eq!(lines[0], "lookups: b, 2.60M ops/s; 1.14 x a (1.04-1.25)");
    assert_eq!(lines[1], "one hot id: a, 3.50M ops/s; 3.32 x b (3.00-3.64)");
    assert_eq!(lines.len(), 2);

    let mut document = document();
    document.rows[2].ops_per_s_rounds[0] = 2.55e6;
    let suits = super::suits(&document);
    assert!(suits.starts_with("  lookups: b, 2.60M ops/s; 1.01? x a (0.98-1.04)\n"), "a round says otherwise: {suits}");
}

#[test]
fn the_report_has_what_a_person_looks_for() {
    let report = report(&document());
    for text in ["made up", "hot", "3.50M", "1.50 us", "123", "1.30", "Which backend suits which load"] {
        assert!(report.contains(text), "no {text:?} in\n{report}");
    }
}

#[test]
fn json_comes_back_as_it_went() {
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

#[test]
fn units_fit_the_size() {
    assert_eq!([999, 1_500, 2_000_000, 3_000_000_000].map(time), ["999 ns", "1.50 us", "2.00 ms", "3.00 s"]);
    assert_eq!([12.0, 1_200.0, 2e6].map(rate), ["12", "1.2K", "2.00M"]);
}
