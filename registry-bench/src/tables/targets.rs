//! Targets: whether each holds in this run, and where it was measured.

use super::{Cell, Table, figure, text};
use crate::record::Document;
use crate::target::{self, Evaluation, Finding, Verdict};
use crate::units;

/// Returns a row for each target, judged where it is furthest from holding.
pub(crate) fn summary(document: &Document) -> Table {
    let evaluations = target::evaluate(document);
    Table::new(
        "Targets: whether each holds, where it is worst",
        &["target", "in this run", "worst", "at most", "what it compares"],
        evaluations.iter().map(summary_row),
    )
}

fn summary_row(evaluation: &Evaluation) -> Vec<Cell> {
    let target = evaluation.target;
    let worst = evaluation.findings.iter().max_by(|one, other| {
        let order = one.verdict.cmp(&other.verdict);
        order.then(one.spread.median.total_cmp(&other.spread.median))
    });
    let verdict_text = match worst {
        None => "not measured".to_owned(),
        Some(worst) => worst.verdict_text(target.at_most),
    };
    vec![
        text(target.name),
        Cell::Verdict(worst.map(|worst| worst.verdict), verdict_text),
        figure(worst.map_or_else(|| "–".to_owned(), |worst| amount(worst.spread.median, target.unit))),
        figure(amount(target.at_most, target.unit)),
        Cell::Prose(target.description.to_owned()),
    ]
}

/// Returns a row for each place where a target was measured; `None` if there is none.
pub(crate) fn places(document: &Document) -> Option<Table> {
    const COLUMNS: [&str; 8] = ["target", "backend", "entries", "threads", "at most", "median", "range", "in this run"];
    let evaluations = target::evaluate(document);
    let rows: Vec<Vec<Cell>> = evaluations
        .iter()
        .flat_map(|evaluation| evaluation.findings.iter().map(|finding| place_row(evaluation, finding)))
        .collect();
    (!rows.is_empty()).then(|| Table::new("Every place where a target was measured", &COLUMNS, rows))
}

fn place_row(evaluation: &Evaluation, finding: &Finding) -> Vec<Cell> {
    let amount = |figure| amount(figure, evaluation.target.unit);
    vec![
        text(finding.name.as_str()),
        text(finding.backend.as_str()),
        figure(units::count(finding.entries)),
        figure(finding.threads.map_or_else(|| "–".to_owned(), |threads| threads.to_string())),
        figure(amount(evaluation.target.at_most)),
        figure(amount(finding.spread.median)),
        figure(units::range(&finding.spread, amount)),
        Cell::Verdict(Some(finding.verdict), finding.verdict_text(evaluation.target.at_most)),
    ]
}

/// Returns a sentence with the number of targets of each verdict.
pub(crate) fn sentence(document: &Document) -> String {
    let evaluations = target::evaluate(document);
    let count = |verdict| evaluations.iter().filter(|evaluation| evaluation.verdict() == verdict).count();
    format!(
        "Of {} targets, {} hold wherever they were measured, {} are missed somewhere, {} cannot be decided by this run, \
         and {} were not measured.",
        evaluations.len(),
        count(Some(Verdict::Holds)),
        count(Some(Verdict::Misses)),
        count(Some(Verdict::Undecided)),
        count(None)
    )
}

fn amount(figure: f64, unit: &str) -> String {
    match unit {
        "" => units::ratio(figure),
        "bytes" => units::bytes(figure),
        unit => format!("{figure:.2} {unit}"),
    }
}
