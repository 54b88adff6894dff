//! What is checked, in which order, and for how long: a plan is data, and whoever asked for it carries it out.

use anyhow::{Result, bail, ensure};
use clap::Args;
use registry_core::Backend;
use registry_router::backends::{LeftRight, Reference, Visitor, for_each};
use registry_verify::storm;
use serde::{Deserialize, Serialize};

/// What somebody wants to have checked.
#[derive(Args, Clone, Debug, Default)]
pub(crate) struct PlanArgs {
    /// How long to check, about. Default: 60.
    #[arg(long, value_name = "N")]
    pub(crate) seconds: Option<u64>,
    /// Everything in about half a minute, storms with a small part of their deaths.
    #[arg(long, conflicts_with = "seconds")]
    pub(crate) short: bool,
    /// This backend only; may be given several times.
    #[arg(long)]
    pub(crate) backend: Vec<String>,
    /// What everything random is drawn from.
    #[arg(long, default_value_t = 1)]
    pub(crate) seed: u64,
}

/// Steps, to be carried out one after the other.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Plan {
    pub(crate) steps: Vec<Step>,
    /// How long they take together, about.
    pub(crate) seconds: f64,
}

/// One child process.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(crate) struct Step {
    /// What to call it.
    pub(crate) label: String,
    pub(crate) program: String,
    pub(crate) arguments: Vec<String>,
    /// How long it takes, about.
    pub(crate) seconds: f64,
}

/// This program, and the one that explores schedules, which is built in another way.
pub(crate) const PROGRAM: &str = "registry-verify";
pub(crate) const SCHEDULES: &str = "registry-schedules";

/// What is checked beside the storms, with a sentence about each.
pub(crate) const CHECKS: [(&str, &str); 3] = [
    ("sequences", "Random sequences of operations do what the model says, on 1, 2 and 64 shards."),
    ("histories", "What several threads do at once can be explained one call after the other."),
    ("schedules", "The router's protocols hold however threads take turns, and bugs put in on purpose are found."),
];

const SECONDS: u64 = 60;
const SHORT_SECONDS: u64 = 30;

/// How long a storm takes, about, with all of its deaths and with a small part of them.
const STORM_SECONDS: f64 = 1.8;
const SHORT_STORM_SECONDS: f64 = 0.1;

/// The part of the time that storms may have to be run with all of their deaths. They are on as many backends as that
/// is enough for, and on the others with a small part.
const STORMS_FRACTION: f64 = 0.62;

/// The part of the time that schedules have.
const SCHEDULES_FRACTION: f64 = 0.15;

/// Of what is left, the part that sequences have; histories have the rest.
const SEQUENCES_FRACTION: f64 = 0.65;

/// What sequences and histories have at least: even short storms take longer than a few seconds in all.
const MIN_FRACTION: f64 = 0.3;

/// Seeds of backends lie so far apart that no two check the same sequence.
const SEED_STRIDE: u64 = 1_000_000_000;

/// The names of all backends, in the order of the list.
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

/// The names of all storms.
pub(crate) fn storms() -> Vec<&'static str> {
    storm::ALL.iter().map(|storm| storm.name).collect()
}

/// Makes a plan.
///
/// # Errors
///
/// If a name is wrong, with those that are right, or there is no time at all.
pub(crate) fn plan(args: &PlanArgs) -> Result<Plan> {
    let total = args.seconds.unwrap_or(if args.short { SHORT_SECONDS } else { SECONDS });
    ensure!(total > 0, "--seconds: there must be at least one");
    let all = backends();
    if let Some(wrong) = args.backend.iter().find(|name| !all.contains(&name.as_str())) {
        bail!(unknown_backend(wrong));
    }
    let seed = |place: usize| args.seed.wrapping_add(place as u64 * SEED_STRIDE);
    let is_wanted = |name: &str| args.backend.is_empty() || args.backend.iter().any(|wanted| wanted == name);
    let backends = || all.iter().enumerate().filter(|(_, name)| is_wanted(name)).map(|(n, name)| (*name, seed(n)));

    let total = total as f64;
    let full = if args.short { 0 } else { full_storms(total, backends().count()) };
    let mut by_need: Vec<&str> = backends().map(|(name, _)| name).collect();
    // Nobody relies on the reference, and left-right differs from evmap in little, so these come last.
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

/// What to say to somebody who wants a backend that there is not.
pub(crate) fn unknown_backend(name: &str) -> String {
    format!("there is no backend {name:?}; there are {}", backends().join(", "))
}

/// On how many of so many backends there is time for storms with all of their deaths.
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

/// Explored by a program of its own.
fn schedules(backend: &str, seed: u64, seconds: f64) -> Step {
    let options = [("--backend", backend.to_owned()), ("--seed", seed.to_string())];
    let mut arguments: Vec<String> = options.into_iter().flat_map(|(name, value)| [name.to_owned(), value]).collect();
    arguments.extend(["--seconds".to_owned(), seconds.to_string()]);
    Step { label: format!("schedules on {backend}"), program: SCHEDULES.to_owned(), arguments, seconds }
}

/// So that a time can be read.
fn in_milliseconds(seconds: f64) -> f64 {
    (seconds * 1000.0).round() / 1000.0
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seconds(args: &PlanArgs) -> f64 {
        plan(args).expect("the wish can be granted").seconds
    }

    #[test]
    fn a_plan_takes_about_as_long_as_asked_for() {
        for asked in [10, 20, 60, 120, 600] {
            let planned = seconds(&PlanArgs { seconds: Some(asked), ..PlanArgs::default() });
            assert!((asked as f64 * 0.99..asked as f64 * 1.3).contains(&planned), "{asked} s: {planned} s");
        }
        let short = seconds(&PlanArgs { short: true, ..PlanArgs::default() });
        assert!((25.0..35.0).contains(&short), "{short} s");
    }

    #[test]
    fn every_backend_gets_every_check_and_a_seed_of_its_own() {
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
    fn a_backend_keeps_its_seed_when_it_is_alone() {
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
    fn storms_have_all_of_their_deaths_where_there_is_time() {
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
        assert_eq!(full(seconds(60)), ["papaya"], "the usual backend comes first");
        assert!(full(seconds(10)).is_empty() && full(PlanArgs { short: true, ..PlanArgs::default() }).is_empty());
        let alone = PlanArgs { backend: vec!["evmap".to_owned()], ..seconds(60) };
        assert_eq!(full(alone), ["evmap"]);
    }

    #[test]
    fn impossible_wishes_are_refused() {
        let error = |args: &PlanArgs| plan(args).expect_err("the wish cannot be granted").to_string();
        let text = error(&PlanArgs { backend: vec!["ets".to_owned()], ..PlanArgs::default() });
        assert!(backends().iter().all(|name| text.contains(name)) && text.contains("\"ets\""), "{text}");
        assert!(error(&PlanArgs { seconds: Some(0), ..PlanArgs::default() }).contains("--seconds"));
    }
}
