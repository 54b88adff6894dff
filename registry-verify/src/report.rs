//! The summary of a run: merges the reports of each backend, and renders them as text and JSON.

use std::fmt::Write;

use anyhow::{Context, Result, ensure};
use comfy_table::{CellAlignment, Table, presets};
use registry_verify::{Case, CheckReport, StormReport};
use serde::{Deserialize, Serialize};

use crate::plan::{self, SCHEDULES, Step};

/// The machine, toolchain and revision of a run, all detected.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Host {
    cpu: String,
    cores: usize,
    kernel: String,
    rustc: String,
    revision: String,
    date: String,
}

/// One line of input: a finished step with its output, or a single report.
#[derive(Clone, Debug, Deserialize)]
#[serde(untagged)]
pub(crate) enum Line {
    /// A finished step.
    Done {
        /// The step.
        step: Step,
        /// Its standard output: one report a line.
        output: String,
        /// Why it failed, if it did.
        failure: Option<String>,
    },
    /// A report from elsewhere.
    CheckReport(Box<CheckReport>),
}

/// The summary of one run of `cargo xtask verify`.
#[derive(Clone, Debug, Default, Serialize)]
pub(crate) struct Document {
    host: Host,
    seed: u64,
    seconds: f64,
    /// One report for each backend.
    backends: Vec<CheckReport>,
    /// The sum of all reports.
    total: CheckReport,
    /// Every counterexample with its backend and the command that reruns it.
    #[serde(skip)]
    rerun: Vec<(String, Case, Option<String>)>,
}

impl Document {
    /// Returns an empty summary.
    pub(crate) fn new(host: Host, seed: u64, seconds: f64) -> Self {
        Self { host, seed, seconds, total: CheckReport::of("all"), ..Self::default() }
    }

    /// Adds one line, as printed by `cargo xtask verify` or by a check.
    ///
    /// # Errors
    ///
    /// Returns an error if the line is neither a step nor a report.
    pub(crate) fn read(&mut self, line: &str) -> Result<()> {
        match serde_json::from_str(line).with_context(|| format!("neither a step nor a report: {line}"))? {
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

    /// Returns whether no violation was found and all seeded bugs were.
    ///
    /// # Errors
    ///
    /// Returns an error if nothing was checked.
    pub(crate) fn is_success(&self) -> Result<bool> {
        ensure!(!self.backends.is_empty(), "nothing was checked");
        let seeded = &self.total.seeded_bugs;
        Ok(self.total.violations == 0 && seeded.found == seeded.of && seeded.missed.is_empty())
    }

    /// Renders the summary as text.
    pub(crate) fn text(&self) -> String {
        let Host { cpu, cores, kernel, rustc, revision, date } = &self.host;
        let mut text = format!("{cpu} ({cores} cores), {kernel}\n{rustc}, revision {revision}, {date}\n");
        let _ = writeln!(text, "seed {}, {:.0} s\n\n{}\n", self.seed, self.seconds, self.check_table());
        if !self.total.storms.is_empty() {
            let _ = writeln!(text, "{}\n", self.storms());
        }
        for missed in &self.total.seeded_bugs.missed {
            let _ = writeln!(text, "seeded bug not found: {missed}");
        }
        for (number, (backend, case, rerun)) in self.rerun.iter().enumerate() {
            let Case { check, seed, case } = case;
            let _ = writeln!(text, "{}. {check} on {backend}, seed {seed}: {case}", number + 1);
            if let Some(rerun) = rerun {
                let _ = writeln!(text, "   rerun: {rerun}");
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

    /// Returns the storms grouped by name, to compare backends.
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

/// Joins words with commas, with a line break before the line gets too wide.
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

/// Parses the output of a step. Its failure counts as a violation unless a report already explains it.
fn parse_reports(step: &Step, output: &str, failure: Option<String>) -> Vec<CheckReport> {
    let mut reports = Vec::new();
    let mut errors = Vec::new();
    for line in output.lines() {
        match serde_json::from_str::<CheckReport>(line) {
            Ok(report) => reports.push(report),
            Err(error) => errors.push(format!("invalid report ({error}): {line}")),
        }
    }
    let is_reported = reports.iter().any(|report| report.violations > 0 || !report.seeded_bugs.missed.is_empty());
    match failure {
        Some(failure) if !is_reported => errors.push(failure),
        None if reports.is_empty() && errors.is_empty() => errors.push("no report printed".to_owned()),
        _ => {}
    }
    if !errors.is_empty() {
        let backend = option(step, "--backend").unwrap_or("unknown");
        let mut report = CheckReport::of(backend);
        // The summary prints the backend of a counterexample separately.
        let check = step.label.strip_suffix(&format!(" on {backend}")).unwrap_or(&step.label);
        let seed = option(step, "--seed").and_then(|seed| seed.parse().ok()).unwrap_or_default();
        for error in errors {
            report.violated(check, seed, error);
        }
        reports.push(report);
    }
    reports
}

/// Returns the command that reruns a step with the seed of a counterexample.
fn rerun_command(step: &Step, seed: u64) -> String {
    let mut arguments = step.arguments.clone();
    if let Some(place) = arguments.iter().position(|argument| argument == "--seed") {
        arguments[place + 1] = seed.to_string();
    }
    let (flags, target_dir) = if step.program == SCHEDULES {
        ("RUSTFLAGS=\"--cfg shuttle\" ", " --target-dir target/shuttle")
    } else {
        ("", "")
    };
    let package = plan::PROGRAM;
    let program = &step.program;
    let arguments = arguments.join(" ");
    format!("{flags}cargo run --release --package {package} --bin {program}{target_dir} -- {arguments}")
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

/// Right-aligns numeric columns.
fn align(mut table: Table, columns: std::ops::Range<usize>) -> Table {
    for column in table.column_iter_mut().take(columns.end).skip(columns.start) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    table
}

/// Formats with thousands separators.
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

/// Formats with the significant digits only.
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
