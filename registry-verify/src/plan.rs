//! The plan of a run: which steps, in which order, and for how long. The caller executes it.

use anyhow::{Result, bail, ensure};
use clap::Args;
use registry_core::Backend;
use registry_router::backends::{LeftRight, Reference, Visitor, for_each};
use registry_verify::storm;
use serde::{Deserialize, Serialize};

/// The arguments of a plan.
#[derive(Args, Clone, Debug, Default)]
pub(crate) struct PlanArgs {
    /// How many seconds to check, approximately. Default: 60.
    #[arg(long, value_name = "N")]
    pub(crate) seconds: Option<u64>,
    /// Runs everything in about half a minute, with storms at a fiftieth of their size.
    #[arg(long, conflicts_with = "seconds")]
    pub(crate) short: bool,
    /// Checks this backend only; may be repeated.
    #[arg(long)]
    pub(crate) backend: Vec<String>,
    /// The seed of every random choice.
    #[arg(long, default_value_t = 1)]
    pub(crate) seed: u64,
}

/// Steps to run one after another.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Plan {
    pub(crate) steps: Vec<Step>,
    /// The estimated total duration, in seconds.
    pub(crate) seconds: f64,
}

/// One child process.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(crate) struct Step {
    /// The name shown for the step.
    pub(crate) label: String,
    pub(crate) program: String,
    pub(crate) arguments: Vec<String>,
    /// The estimated duration, in seconds.
    pub(crate) seconds: f64,
}

/// The names of this program and of the one that explores schedules, which needs a build with `--cfg shuttle`.
pub(crate) const PROGRAM: &str = "registry-verify";
pub(crate) const SCHEDULES: &str = "registry-schedules";

/// The checks other than storms, with a description each.
pub(crate) const CHECKS: [(&str, &str); 3] = [
    ("sequences", "Random sequences of operations conform to the specification, on 1, 2 and 64 shards."),
    ("histories", "Recorded concurrent histories are linearizable."),
    ("schedules", "The router's protocols hold under explored thread schedules, and seeded bugs are found."),
];

const SECONDS: u64 = 60;
const SHORT_SECONDS: u64 = 30;

/// The approximate duration of a storm, at full and at short scale.
const STORM_SECONDS: f64 = 1.8;
const SHORT_STORM_SECONDS: f64 = 0.1;

/// The share of the time that may go to storms at full scale. As many backends as fit get them; the others get the
/// short scale.
const STORMS_FRACTION: f64 = 0.62;

/// The share of the time for schedules.
const SCHEDULES_FRACTION: f64 = 0.15;

/// The share of the remaining time for sequences; histories get the rest.
const SEQUENCES_FRACTION: f64 = 0.65;

/// The minimum share for sequences and histories: with a budget of a few seconds, short storms alone exceed it.
const MIN_FRACTION: f64 = 0.3;

/// The distance between the seeds of two backends, large enough that no two run the same sequence.
const SEED_STRIDE: u64 = 1_000_000_000;

/// Returns the names of all backends, in list order.
pub(crate) fn backends() -> Vec<&'static str> {
    struct Names(Vec<&'static str>);
    impl Visitor for Names {
        fn visit<B: Backend>(&mut self) {
            self.0.push(B::NAME);
        }
    }
    let mut names = Names(Vec::new());
    for_each(&mut names);
    names.0
}

/// Returns the names of all storms.
pub(crate) fn storms() -> Vec<&'static str> {
    storm::ALL.iter().map(|storm| storm.name).collect()
}

/// Makes a plan.
///
/// # Errors
///
/// Returns an error that lists the known backends if one is unknown, or if the budget is zero.
pub(crate) fn plan(args: &PlanArgs) -> Result<Plan> {
    let total = args.seconds.unwrap_or(if args.short { SHORT_SECONDS } else { SECONDS });
    ensure!(total > 0, "--seconds must be at least 1");
    let all = backends();
    if let Some(unknown) = args.backend.iter().find(|name| !all.contains(&name.as_str())) {
        bail!(unknown_backend(unknown));
    }
    let seed = |place: usize| args.seed.wrapping_add(place as u64 * SEED_STRIDE);
    let is_wanted = |name: &str| args.backend.is_empty() || args.backend.iter().any(|wanted| wanted == name);
    let backends = || all.iter().enumerate().filter(|(_, name)| is_wanted(name)).map(|(n, name)| (*name, seed(n)));

    let total = total as f64;
    let full = if args.short { 0 } else { full_storms(total, backends().count()) };
    let mut by_need: Vec<&str> = backends().map(|(name, _)| name).collect();
    // The reference is not for production and left-right resembles evmap, so these two come last.
    by_need.sort_by_key(|name| (*name == LeftRight::NAME, *name == Reference::NAME));
    let mut storms = Vec::new();
    for name in self::storms() {
        for (backend, seed) in backends() {
            let is_full = by_need[..full].contains(&backend);
            let (scale, seconds) = if is_full { ("full", STORM_SECONDS) } else { ("short", SHORT_STORM_SECONDS) };
            let more = ["--name", name, "--scale", scale];
            storms.push(step(&format!("storm {name} on {backend}"), "storm", backend, seed, seconds, &more));
        }
    }
    let each = in_milliseconds(total * SCHEDULES_FRACTION / backends().count() as f64);
    let schedules: Vec<Step> = backends().map(|(backend, seed)| schedules(backend, seed, each)).collect();
    let rest = total - storms.iter().chain(&schedules).map(|step| step.seconds).sum::<f64>();
    let rest = rest.max(total * MIN_FRACTION) / backends().count() as f64;

    let mut steps = Vec::new();
    for (check, part) in [("sequences", SEQUENCES_FRACTION), ("histories", 1.0 - SEQUENCES_FRACTION)] {
        let each = in_milliseconds(rest * part);
        let on = |(backend, seed)| step(&format!("{check} on {backend}"), check, backend, seed, each, &[]);
        steps.extend(backends().map(on));
    }
    steps.extend(schedules);
    steps.extend(storms);
    let seconds = in_milliseconds(steps.iter().map(|step| step.seconds).sum());
    Ok(Plan { steps, seconds })
}

/// Returns the error message for an unknown backend.
pub(crate) fn unknown_backend(name: &str) -> String {
    format!("unknown backend {name:?}; known backends: {}", backends().join(", "))
}

/// Returns for how many of `backends` the time suffices to run all storms at full scale.
fn full_storms(total: f64, backends: usize) -> usize {
    let names = storms().len() as f64;
    let cost = |full: usize| names * (STORM_SECONDS * full as f64 + SHORT_STORM_SECONDS * (backends - full) as f64);
    (0..=backends).rev().find(|full| cost(*full) <= total * STORMS_FRACTION).unwrap_or(0)
}

fn step(label: &str, check: &str, backend: &str, seed: u64, seconds: f64, more: &[&str]) -> Step {
    let mut arguments = vec![check.to_owned()];
    arguments.extend(["--backend".to_owned(), backend.to_owned(), "--seed".to_owned(), seed.to_string()]);
    if more.is_empty() {
        arguments.extend(["--seconds".to_owned(), seconds.to_string()]);
    }
    arguments.extend(more.iter().map(|&word| word.to_owned()));
    Step { label: label.to_owned(), program: PROGRAM.to_owned(), arguments, seconds }
}

/// Returns a step of the schedule explorer, which is a separate program.
fn schedules(backend: &str, seed: u64, seconds: f64) -> Step {
    let options = [("--backend", backend.to_owned()), ("--seed", seed.to_string())];
    let mut arguments: Vec<String> = options.into_iter().flat_map(|(name, value)| [name.to_owned(), value]).collect();
    arguments.extend(["--seconds".to_owned(), seconds.to_string()]);
    Step { label: format!("schedules on {backend}"), program: SCHEDULES.to_owned(), arguments, seconds }
}

/// Rounds to milliseconds, for readable numbers.
fn in_milliseconds(seconds: f64) -> f64 {
    (seconds * 1000.0).round() / 1000.0
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seconds(args: &PlanArgs) -> f64 {
        plan(args).expect("the arguments are valid").seconds
    }

    #[test]
    fn a_plan_takes_about_the_requested_time() {
        for asked in [10, 20, 60, 120, 600] {
            let planned = seconds(&PlanArgs { seconds: Some(asked), ..PlanArgs::default() });
            assert!((asked as f64 * 0.99..asked as f64 * 1.3).contains(&planned), "{asked} s: {planned} s");
        }
        let short = seconds(&PlanArgs { short: true, ..PlanArgs::default() });
        assert!((25.0..35.0).contains(&short), "{short} s");
    }

    #[test]
    fn every_backend_gets_every_check_and_a_distinct_seed() {
        let plan = plan(&PlanArgs { seed: 7, ..PlanArgs::default() }).unwrap();
        let mut seeds = Vec::new();
        for backend in backends() {
            let on = |step: &&Step| step.program == PROGRAM && step.arguments[2] == backend;
            let of: Vec<&Step> = plan.steps.iter().filter(on).collect();
            let checks: Vec<&str> = of.iter().map(|step| step.arguments[0].as_str()).collect();
            assert_eq!(checks[..2], ["sequences", "histories"]);
            assert_eq!(checks[2..], vec!["storm"; storms().len()]);
            assert!(plan.steps.iter().any(|step| step.program == SCHEDULES && step.arguments[1] == backend));
            assert!(of.iter().all(|step| step.arguments[4] == of[0].arguments[4]), "{of:?}");
            seeds.push(of[0].arguments[4].clone());
        }
        let distinct: std::collections::BTreeSet<&String> = seeds.iter().collect();
        assert_eq!((seeds[0].as_str(), distinct.len()), ("7", seeds.len()));
    }

    #[test]
    fn a_backend_keeps_its_seed_when_selected_alone() {
        let all = plan(&PlanArgs::default()).unwrap();
        let alone = plan(&PlanArgs { backend: vec!["dashmap".to_owned()], ..PlanArgs::default() }).unwrap();
        assert!(alone.steps.iter().all(|step| step.label.ends_with("on dashmap")), "{alone:?}");
        let seed = |plan: &Plan| {
            let step = plan.steps.iter().find(|step| step.label == "sequences on dashmap").unwrap();
            step.arguments[4].clone()
        };
        assert_eq!(seed(&all), seed(&alone));
    }

    #[test]
    fn storms_run_at_full_scale_where_time_permits() {
        let full = |args: PlanArgs| {
            let plan = plan(&args).unwrap();
            let is_full = |step: &Step| step.arguments.ends_with(&["--scale".to_owned(), "full".to_owned()]);
            let mut names: Vec<String> =
                plan.steps.into_iter().filter(is_full).map(|step| step.arguments[2].clone()).collect();
            names.dedup();
            names.truncate(backends().len());
            names.sort();
            names
        };
        let seconds = |seconds| PlanArgs { seconds: Some(seconds), ..PlanArgs::default() };
        let mut all = backends();
        all.sort_unstable();
        assert_eq!(full(seconds(600)), all);
        assert_eq!(full(seconds(60)), ["papaya"], "the default backend comes first");
        assert!(full(seconds(10)).is_empty() && full(PlanArgs { short: true, ..PlanArgs::default() }).is_empty());
        let alone = PlanArgs { backend: vec!["evmap".to_owned()], ..seconds(60) };
        assert_eq!(full(alone), ["evmap"]);
    }

    #[test]
    fn invalid_arguments_are_rejected() {
        let error = |args: &PlanArgs| plan(args).expect_err("the arguments are invalid").to_string();
        let text = error(&PlanArgs { backend: vec!["ets".to_owned()], ..PlanArgs::default() });
        assert!(backends().iter().all(|name| text.contains(name)) && text.contains("\"ets\""), "{text}");
        assert!(error(&PlanArgs { seconds: Some(0), ..PlanArgs::default() }).contains("--seconds"));
    }
}
