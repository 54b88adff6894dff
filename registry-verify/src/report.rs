//! What came of all checks: adds up the accounts of each backend, and says so to a person and in a document.

use std::fmt::Write;

use anyhow::{Context, Result, ensure};
use comfy_table::{CellAlignment, Table, presets};
use registry_verify::{Case, CheckReport, StormReport};
use serde::{Deserialize, Serialize};

use crate::plan::{self, SCHEDULES, Step};

/// Where it was checked. Nothing in it is typed by hand.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Host {
    cpu: String,
    cores: usize,
    kernel: String,
    rustc: String,
    revision: String,
    date: String,
}

/// One line of what is to be reported: a step with all that it printed, or only an account.
#[derive(Clone, Debug, Deserialize)]
#[serde(untagged)]
pub(crate) enum Line {
    /// A step that has come to its end.
    Done {
        /// What was to be done.
        step: Step,
        /// What it printed: an account on each line.
        output: String,
        /// Why it failed, if it did.
        failure: Option<String>,
    },
    /// What somebody else has checked.
    CheckReport(Box<CheckReport>),
}

/// Everything about one run of `cargo xtask verify`.
#[derive(Clone, Debug, Default, Serialize)]
pub(crate) struct Document {
    host: Host,
    seed: u64,
    seconds: f64,
    /// One for each backend.
    backends: Vec<CheckReport>,
    /// All of them together.
    total: CheckReport,
    /// How to run again what has found something, in the order of the cases.
    #[serde(skip)]
    rerun: Vec<(String, Case, Option<String>)>,
}

impl Document {
    /// With nothing in it yet.
    pub(crate) fn new(host: Host, seed: u64, seconds: f64) -> Self {
        Self { host, seed, seconds, total: CheckReport::of("all"), ..Self::default() }
    }

    /// Adds what is in a line, as `cargo xtask verify` or a check prints it.
    ///
    /// # Errors
    ///
    /// If it is nothing that either of them prints.
    pub(crate) fn read(&mut self, line: &str) -> Result<()> {
        match serde_json::from_str(line).with_context(|| format!("not a line about a check: {line}"))? {
            Line::CheckReport(report) => self.add(*report, None),
            Line::Done { step, output, failure } => {
                for report in parse_reports(&step, &output, failure) {
                    self.add(report, Some(&step));
                }
            }
        }
        Ok(())
    }

    fn add(&mut self, report: CheckReport, step: Option<&Step>) {
        for case in &report.cases {
            let rerun = step.map(|step| rerun_command(step, case.seed));
            self.rerun.push((report.backend.clone(), case.clone(), rerun));
        }
        self.total.add(report.clone());
        match self.backends.iter_mut().find(|sum| sum.backend == report.backend) {
            Some(sum) => sum.add(report),
            None => {
                self.backends.push(report);
                let order = plan::backends();
                self.backends.sort_by_key(|sum| order.iter().position(|name| *name == sum.backend));
            }
        }
    }

    /// Whether everything is as it must be.
    ///
    /// # Errors
    ///
    /// If nothing was checked at all, about which nothing good can be said.
    pub(crate) fn is_success(&self) -> Result<bool> {
        ensure!(!self.backends.is_empty(), "nothing was checked");
        let seeded = &self.total.seeded_bugs;
        Ok(self.total.violations == 0 && seeded.found == seeded.of && seeded.missed.is_empty())
    }

    /// What a person reads.
    pub(crate) fn text(&self) -> String {
        let Host { cpu, cores, kernel, rustc, revision, date } = &self.host;
        let mut text = format!("{cpu} ({cores} cores), {kernel}\n{rustc}, revision {revision}, {date}\n");
        let _ = writeln!(text, "seed {}, {:.0} s\n\n{}\n", self.seed, self.seconds, self.check_table());
        if !self.total.storms.is_empty() {
            let _ = writeln!(text, "{}\n", self.storms());
        }
        for missed in &self.total.seeded_bugs.missed {
            let _ = writeln!(text, "a bug that was put in on purpose was not found: {missed}");
        }
        for (number, (backend, case, rerun)) in self.rerun.iter().enumerate() {
            let Case { check, seed, case } = case;
            let _ = writeln!(text, "{}. {check} on {backend}, seed {seed}: {case}", number + 1);
            if let Some(rerun) = rerun {
                let _ = writeln!(text, "   again: {rerun}");
            }
            text.push('\n');
        }
        let _ = writeln!(text, "{} violations", number(self.total.violations));
        text
    }

    fn check_table(&self) -> Table {
        let mut table = table(&[
            "backend",
            "sequences",
            "steps",
            "histories",
            "operations",
            "schedules",
            "seeded bugs",
            "storms",
            "violations",
        ]);
        for report in self.backends.iter().chain([&self.total]) {
            let seeded = &report.seeded_bugs;
            table.add_row(vec![
                report.backend.clone(),
                number(report.sequences),
                number(report.steps),
                number(report.histories),
                number(report.operations),
                number(report.schedules),
                if seeded.of == 0 { String::new() } else { format!("{} of {}", seeded.found, seeded.of) },
                number(report.storms.len() as u64),
                number(report.violations),
            ]);
        }
        align(table, 1..9)
    }

    /// Storm by storm, so that backends can be compared.
    fn storms(&self) -> Table {
        let mut table = table(&["storm", "backend", "deaths", "clean-up ms", "lag ms", "leftover", "figures"]);
        let mut names: Vec<&str> = Vec::new();
        for storm in &self.total.storms {
            if !names.contains(&storm.name.as_str()) {
                names.push(&storm.name);
            }
        }
        for name in names {
            for report in &self.backends {
                for storm in report.storms.iter().filter(|storm| storm.name == name) {
                    table.add_row(row(&report.backend, storm));
                }
            }
        }
        align(table, 2..6)
    }
}

fn row(backend: &str, storm: &StormReport) -> Vec<String> {
    let figures: Vec<String> =
        storm.figures.iter().map(|(name, figure)| format!("{name} {}", short(*figure))).collect();
    vec![
        storm.name.clone(),
        backend.to_owned(),
        number(storm.deaths),
        format!("{:.2}", storm.cleanup_ms),
        format!("{:.2}", storm.lag_ms),
        number(storm.leftover),
        lines(&figures),
    ]
}

/// As many in a line as can be read.
fn lines(words: &[String]) -> String {
    const WIDTH: usize = 60;
    let mut text = String::new();
    let mut width = 0;
    for (number, word) in words.iter().enumerate() {
        let fits = width + word.len() + 2 <= WIDTH;
        text.push_str(match number {
            0 => "",
            _ if fits => ", ",
            _ => ",\n",
        });
        width = if fits { width + word.len() + 2 } else { word.len() };
        text.push_str(word);
    }
    text
}

/// What a step printed; its failure is a violation like any other, unless it is what the step has to say itself.
fn parse_reports(step: &Step, output: &str, failure: Option<String>) -> Vec<CheckReport> {
    let mut check_table = Vec::new();
    let mut wrong = Vec::new();
    for line in output.lines() {
        match serde_json::from_str::<CheckReport>(line) {
            Ok(report) => check_table.push(report),
            Err(error) => wrong.push(format!("it printed what is no account ({error}): {line}")),
        }
    }
    let has_said_so = check_table.iter().any(|report| report.violations > 0 || !report.seeded_bugs.missed.is_empty());
    match failure {
        Some(failure) if !has_said_so => wrong.push(failure),
        None if check_table.is_empty() && wrong.is_empty() => wrong.push("it printed no account".to_owned()),
        _ => {}
    }
    if !wrong.is_empty() {
        let backend = option(step, "--backend").unwrap_or("unknown");
        let mut report = CheckReport::of(backend);
        // A case says by itself on which backend.
        let check = step.label.strip_suffix(&format!(" on {backend}")).unwrap_or(&step.label);
        let seed = option(step, "--seed").and_then(|seed| seed.parse().ok()).unwrap_or_default();
        for wrong in wrong {
            report.violated(check, seed, wrong);
        }
        check_table.push(report);
    }
    check_table
}

/// The command that does a step again, with the seed of what it found.
fn rerun_command(step: &Step, seed: u64) -> String {
    let mut arguments = step.arguments.clone();
    if let Some(place) = arguments.iter().position(|argument| argument == "--seed") {
        arguments[place + 1] = seed.to_string();
    }
    let (flags, apart) = if step.program == SCHEDULES {
        ("RUSTFLAGS=\"--cfg shuttle\" ", " --target-dir target/shuttle")
    } else {
        ("", "")
    };
    let package = plan::PROGRAM;
    let program = &step.program;
    let arguments = arguments.join(" ");
    format!("{flags}cargo run --release --package {package} --bin {program}{apart} -- {arguments}")
}

fn option<'a>(step: &'a Step, name: &str) -> Option<&'a str> {
    let place = step.arguments.iter().position(|argument| argument == name)?;
    step.arguments.get(place + 1).map(String::as_str)
}

fn table(header: &[&str]) -> Table {
    let mut table = Table::new();
    table.load_style(presets::ASCII_MARKDOWN).set_header(header.iter().copied());
    table
}

/// Numbers stand to the right.
fn align(mut table: Table, columns: std::ops::Range<usize>) -> Table {
    for column in table.column_iter_mut().take(columns.end).skip(columns.start) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    table
}

/// With a comma between thousands.
fn number(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// As many digits as say something.
fn short(figure: f64) -> String {
    match figure.abs() {
        size if size >= 100.0 => number_of(figure),
        size if size >= 1.0 => format!("{figure:.2}"),
        _ if figure == 0.0 => "0".to_owned(),
        _ => format!("{figure:.4}"),
    }
}

fn number_of(figure: f64) -> String {
    let sign = if figure < 0.0 { "-" } else { "" };
    format!("{sign}{}", number(figure.abs().round() as u64))
}

#[cfg(test)]
mod tests;
