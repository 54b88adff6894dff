//! Tests of merging, of the success criterion and of the rendered text.

use super::*;

fn document(lines: &[String]) -> Document {
    let mut document = Document::new(Host::default(), 7, 20.0);
    for line in lines {
        document.read(line).expect("the line is valid");
    }
    document
}

fn line(report: &CheckReport) -> String {
    serde_json::to_string(report).expect("a report can be serialized")
}

/// Returns a finished step of this backend with this output, as `cargo xtask verify` prints it.
fn done(backend: &str, output: &str, failure: Option<&str>) -> String {
    let step = serde_json::json!({
        "label": format!("sequences on {backend}"), "program": "registry-verify", "seconds": 1.5,
        "arguments": ["sequences", "--backend", backend, "--seed", "5", "--seconds", "1.5"],
    });
    serde_json::json!({"step": step, "output": output, "failure": failure}).to_string()
}

fn sequences(backend: &str, sequences: u64) -> CheckReport {
    CheckReport { sequences, steps: 10 * sequences, ..CheckReport::of(backend) }
}

#[test]
fn reports_are_merged_by_backend_and_in_total() {
    let storm = StormReport { name: "flood".to_owned(), deaths: 1_500, ..StormReport::default() };
    let stormy = CheckReport { storms: vec![storm], ..CheckReport::of("papaya") };
    let printed = format!("{}\n{}\n", line(&sequences("papaya", 2_000)), line(&stormy));
    let document =
        document(&[line(&sequences("dashmap", 3)), done("papaya", &printed, None), line(&sequences("papaya", 40))]);
    let names: Vec<&str> = document.backends.iter().map(|report| report.backend.as_str()).collect();
    assert_eq!(names, ["papaya", "dashmap"], "in list order");
    assert_eq!((document.backends[0].sequences, document.backends[0].storms.len()), (2_040, 1));
    assert_eq!((document.total.sequences, document.total.steps), (2_043, 20_430));
    assert!(document.is_success().unwrap());
    let text = document.text();
    assert!(text.contains("2,040") && text.contains("flood") && text.contains("0 violations"), "{text}");
    let json = serde_json::to_value(&document).unwrap();
    assert_eq!((&json["seed"], &json["total"]["sequences"]), (&7.into(), &2_043.into()));
    assert_eq!(json["backends"][0]["storms"][0]["deaths"], 1_500);
}

#[test]
fn a_violation_fails_the_run_and_prints_the_rerun_command() {
    let mut report = sequences("papaya", 1);
    report.violated("sequences", 99, "step 1: expected a, found b");
    let document = document(&[done("papaya", &line(&report), Some("exit status: 1"))]);
    assert_eq!(document.total.violations, 1, "the exit status is not counted again");
    assert!(!document.is_success().unwrap());
    let text = document.text();
    assert!(text.contains("sequences on papaya, seed 99: step 1: expected a, found b"), "{text}");
    assert!(text.contains("-- sequences --backend papaya --seed 99 --seconds 1.5"), "{text}");
}

#[test]
fn a_crashed_or_silent_step_is_a_violation() {
    let one = |output: &str, failure: Option<&str>| {
        let document = document(&[done("papaya", output, failure)]);
        assert!(!document.is_success().unwrap());
        assert_eq!((document.total.violations, document.total.cases.len()), (1, 1));
        let Case { check, seed, case } = document.total.cases[0].clone();
        assert_eq!((check.as_str(), seed), ("sequences", 5));
        case
    };
    assert_eq!(one("", Some("signal: 6")), "signal: 6");
    assert_eq!(one(&line(&sequences("papaya", 1)), Some("exit status: 101")), "exit status: 101");
    assert_eq!(one("", None), "no report printed");
    assert!(one("thread panicked\n", None).contains("invalid report"));
}

#[test]
fn a_missed_seeded_bug_fails_the_run() {
    let mut report = CheckReport::of("reference");
    report.seeded_bugs.of = 4;
    report.seeded_bugs.found = 4;
    assert!(document(&[line(&report)]).is_success().unwrap());
    report.seeded_bugs.found = 3;
    report.seeded_bugs.missed.push("BindJoinsEndedServer".to_owned());
    let document = document(&[line(&report)]);
    assert!(!document.is_success().unwrap());
    assert!(document.text().contains("not found: BindJoinsEndedServer"), "{}", document.text());
}

#[test]
fn an_empty_run_is_an_error() {
    assert!(document(&[]).is_success().is_err());
    assert!(Document::default().read("thread panicked").is_err());
}

#[test]
fn schedules_are_rerun_in_a_separate_build() {
    let step = Step {
        label: "schedules".to_owned(),
        program: SCHEDULES.to_owned(),
        arguments: ["--seed", "1", "--seconds", "2"].map(str::to_owned).to_vec(),
        seconds: 2.0,
    };
    let command = rerun_command(&step, 8);
    assert!(command.starts_with("RUSTFLAGS=\"--cfg shuttle\" cargo run"), "{command}");
    assert!(command.ends_with("--bin registry-schedules --target-dir target/shuttle -- --seed 8 --seconds 2"));
}

#[test]
fn numbers_are_formatted() {
    let texts = [0, 12, 999, 1_000, 1_234_567].map(number);
    assert_eq!(texts, ["0", "12", "999", "1,000", "1,234,567"]);
    assert_eq!(lines(&[]), "");
    let words = ["a".repeat(30), "b".repeat(26), "c".to_owned()];
    assert_eq!(lines(&words), format!("{}, {},\nc", words[0], words[1]));
    assert_eq!([0.0, 0.01234, 1.2345, 4_321.9, -200.0].map(short), ["0", "0.0123", "1.23", "4,322", "-200"]);
}
