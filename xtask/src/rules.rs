//! The gate `rules`: the alerts of `docs`, and what is exported, as Prometheus' own tool sees them.

use std::io::Write;
use std::process::Stdio;

use anyhow::{Context, Result, bail, ensure};

use crate::cargo::{self, answer, cargo, command, root, shown};
use crate::steps;

const RULES: &str = "docs/alerts.rules.yml";
const TESTS: &str = "docs/alerts.test.yml";
const PAGE: &str = "docs/operations.md";

/// Checks the rules, runs their tests, and lints what the example `metrics` exports.
pub(crate) fn run() -> Result<()> {
    ensure!(
        answer("promtool", &["--version"]).is_some(),
        "there is no `promtool`; it comes with Prometheus: `apt-get install prometheus`, or https://prometheus.io/download"
    );
    cargo::run(command("promtool")?.args(["check", "rules", RULES]))?;
    cargo::run(command("promtool")?.args(["test", "rules", TESTS]))?;
    let [rules, tests, page] = [RULES, TESTS, PAGE].map(|file| -> Result<String> {
        std::fs::read_to_string(root()?.join(file)).with_context(|| format!("cannot read {file}"))
    });
    let complaints = about_alerts(&rules?, &tests?, &page?);
    ensure!(complaints.is_empty(), "{}", complaints.join("\n"));
    lint_what_is_exported()
}

/// Each alert is shown to fire and to keep quiet, and the page says what to do.
fn about_alerts(rules: &str, tests: &str, page: &str) -> Vec<String> {
    let alerts: Vec<&str> = rules.lines().filter_map(|line| line.trim_start().strip_prefix("- alert: ")).collect();
    let mut complaints = Vec::new();
    if alerts.is_empty() {
        complaints.push(format!("{RULES} has no alerts"));
    }
    // What follows the name of an alert, up to the next one, is what is expected of it.
    let expected: Vec<(&str, bool)> = tests
        .split("alertname: ")
        .skip(1)
        .filter_map(|case| Some((case.lines().next()?.trim(), !case.contains("exp_alerts: []"))))
        .collect();
    for alert in alerts {
        for (fires, words) in [(true, "fires"), (false, "keeps quiet")] {
            if !expected.contains(&(alert, fires)) {
                complaints.push(format!("{TESTS} does not show that {alert} {words}"));
            }
        }
        if !page.lines().any(|line| line == format!("### {alert}")) {
            complaints.push(format!("{PAGE} does not say what to do about {alert}"));
        }
        if !rules.contains(&format!("runbook: \"{PAGE}#{}\"", alert.to_lowercase())) {
            complaints.push(format!("{RULES} does not lead from {alert} to the page that says what to do"));
        }
    }
    complaints
}

/// Names and labels that Prometheus advises against are complaints too.
fn lint_what_is_exported() -> Result<()> {
    cargo::run(cargo()?.args(["build", "--workspace", "--all-features", "--example", "metrics"]))?;
    let mut example = command(steps::target()?.join("debug").join("examples").join("metrics"))?;
    let exported = cargo::output(&mut example)?;
    ensure!(exported.status.success(), "{} failed: {}", shown(&example), exported.status);
    let mut lint = command("promtool")?;
    lint.args(["check", "metrics"]).stdin(Stdio::piped());
    let mut child = lint.spawn().with_context(|| format!("cannot run {}", shown(&lint)))?;
    // Closed at the end of the statement, so that the other side sees the end.
    let written = child.stdin.take().context("it was asked for")?.write_all(&exported.stdout);
    let status = child.wait()?;
    written?;
    if !status.success() {
        bail!("{} complains about what the example exports: {status}", shown(&lint));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const RULES_OF_ONE: &str = "rules:\n  - alert: Bad\n    runbook: \"docs/operations.md#bad\"\n";
    const FIRES: &str = "- alertname: Bad\n  exp_alerts:\n    - exp_labels: {}\n";
    const QUIET: &str = "- alertname: Bad\n  exp_alerts: []\n";

    #[test]
    fn an_alert_is_shown_both_ways_and_explained() {
        let both = [FIRES, QUIET].concat();
        assert_eq!(about_alerts(RULES_OF_ONE, &both, "### Bad\n"), [""; 0]);
        for (tests, page, complaint) in
            [(FIRES, "### Bad\n", "keeps quiet"), (QUIET, "### Bad\n", "fires"), (&*both, "### Worse\n", "what to do")]
        {
            let complaints = about_alerts(RULES_OF_ONE, tests, page);
            assert!(complaints.len() == 1 && complaints[0].contains(complaint), "{complaints:?}");
        }
        assert_eq!(about_alerts("rules: []", &both, "").len(), 1);
        assert_eq!(about_alerts(&RULES_OF_ONE.replace("#bad", "#other"), &both, "### Bad\n").len(), 1);
    }

    #[test]
    fn the_alerts_of_this_repository_are() {
        let [rules, tests, page] =
            [RULES, TESTS, PAGE].map(|file| std::fs::read_to_string(root().unwrap().join(file)).unwrap());
        assert_eq!(about_alerts(&rules, &tests, &page), [""; 0]);
    }
}
