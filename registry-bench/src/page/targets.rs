//! The targets: which hold in this run, which do not, and by how much.

use maud::{Markup, html};

use super::table::{Cell, figure, table, text};
use super::words;
use crate::record::Document;
use crate::target::{self, Finding, Judgement, Verdict};

pub(super) fn section(document: &Document) -> Markup {
    let judgements = target::judge(document);
    html! {
        p {
            "The registry sets itself bounds, each on the median of rounds. A bound holds where every round stays "
            "within it, is missed where every round is beyond it, and is undecided where the range of the rounds "
            "crosses it. A target counts as what it is at its worst place."
        }
        (table("", &["target", "in this run", "worst", "at most", "what it compares"], judgements.iter().map(summary)))
        details {
            summary { "Every place where a target was measured" }
            (table(
                "",
                &["target", "backend", "entries", "threads", "at most", "median", "range", "in this run"],
                judgements.iter().flat_map(|judgement| judgement.findings.iter().map(|finding| row(judgement, finding))),
            ))
        }
    }
}

fn summary(judgement: &Judgement) -> Vec<Cell> {
    let target = judgement.target;
    let worst = judgement.findings.iter().max_by(|one, other| {
        (one.verdict, one.spread.median)
            .partial_cmp(&(other.verdict, other.spread.median))
            .unwrap_or(std::cmp::Ordering::Equal)
    });
    let (class, said) = match worst {
        None => ("note", "not measured".to_owned()),
        Some(worst) if worst.verdict == Verdict::Undecided => (class(worst.verdict), "undecided".to_owned()),
        Some(worst) => (class(worst.verdict), worst.said(target.at_most)),
    };
    vec![
        text(target.name),
        Cell::Verdict(class, said),
        figure(worst.map_or_else(|| "–".to_owned(), |worst| amount(worst.spread.median, target.unit))),
        figure(amount(target.at_most, target.unit)),
        Cell::Words(target.says.to_owned()),
    ]
}

fn row(judgement: &Judgement, finding: &Finding) -> Vec<Cell> {
    let say = |figure| amount(figure, judgement.target.unit);
    vec![
        text(finding.name.as_str()),
        text(finding.backend.as_str()),
        figure(words::count(finding.entries)),
        figure(finding.threads.map_or_else(|| "–".to_owned(), |threads| threads.to_string())),
        figure(say(judgement.target.at_most)),
        figure(say(finding.spread.median)),
        figure(words::range(&finding.spread, say)),
        Cell::Verdict(class(finding.verdict), finding.said(judgement.target.at_most)),
    ]
}

fn class(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Holds => "holds",
        Verdict::Undecided => "undecided",
        Verdict::Misses => "misses",
    }
}

fn amount(figure: f64, unit: &str) -> String {
    match unit {
        "" => words::times(figure),
        "bytes" => words::bytes(figure),
        unit => format!("{figure:.2} {unit}"),
    }
}
