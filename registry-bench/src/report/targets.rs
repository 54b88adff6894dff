//! The targets in the text report: which hold in this run, and by how much the others do not.

use super::{align, table};
use crate::record::Document;
use crate::target::{self, Judgement};

/// A table with a row for each place where a target was measured, and a line about those that were not.
pub(super) fn targets(document: &Document) -> String {
    let (measured, others): (Vec<Judgement>, Vec<Judgement>) =
        target::judge(document).into_iter().partition(|judgement| !judgement.findings.is_empty());
    if measured.is_empty() {
        return String::new();
    }
    let mut rows = table(&["target", "backend", "entries", "threads", "at most", "median", "min-max", "in this run"]);
    for judgement in &measured {
        let target = judgement.target;
        for finding in &judgement.findings {
            let spread = finding.spread;
            rows.add_row(vec![
                finding.name.clone(),
                finding.backend.clone(),
                finding.entries.to_string(),
                finding.threads.map_or_else(String::new, |threads| threads.to_string()),
                format!("{:.2} {}", target.at_most, target.unit).trim_end().to_owned(),
                format!("{:.2}", spread.median),
                format!("{:.2}-{:.2}", spread.min, spread.max),
                finding.said(target.at_most),
            ]);
        }
    }
    let mut text = format!("{}\n", align(rows, 2));
    text.push_str(
        "A target holds where all rounds are within its bound, and is undecided where the range crosses it.\n",
    );
    if !others.is_empty() {
        let names: Vec<&str> = others.iter().map(|judgement| judgement.target.name).collect();
        text.push_str(&format!("Not measured in this run: {}.\n", names.join(", ")));
    }
    text.push('\n');
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_target_is_told_of_or_said_to_be_missing() {
        let mut document: Document = serde_json::from_str(include_str!("../page/tests/document.json")).unwrap();
        document.tails.clear();
        let text = targets(&document);
        for target in &target::TARGETS {
            assert!(text.contains(target.name), "no {} in\n{text}", target.name);
        }
        assert!(text.contains("misses by") && text.contains("undecided") && text.contains("holds"), "{text}");
        assert!(text.contains("Not measured in this run: service_p99."), "{text}");
        document.ratios.clear();
        document.memory.clear();
        assert_eq!(targets(&document), "");
    }
}
