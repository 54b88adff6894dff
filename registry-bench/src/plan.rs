//! The plan of a bench as data: the steps, their order, and the estimated time of each.
//!
//! Rounds are outermost and backends innermost, so that the runs of compared backends are neighbours, and a change of
//! the machine's speed affects all of them.

use std::thread;

use anyhow::{Result, bail, ensure};
use clap::Args;
use serde::Serialize;

use crate::choose;
use crate::registry::Layout;
use crate::workload::{Concurrency, WORKLOADS, Workload};

use self::level::{FULL, Level, QUICK, SMOKE};

mod level;
mod parts;

/// The options of a bench.
#[derive(Args, Clone, Debug, Default)]
pub struct PlanArgs {
    /// Short slices: less than 3 minutes on an idle machine. The default.
    #[arg(long, conflicts_with_all = ["full", "smoke"])]
    pub quick: bool,
    /// Long slices, more rounds, all workloads at all shard counts.
    #[arg(long, conflicts_with = "smoke")]
    pub full: bool,
    /// As little as possible of everything, as a test; the figures mean nothing.
    #[arg(long)]
    pub smoke: bool,
    /// Only ratios of single operations; may be combined with the four options below.
    #[arg(long)]
    pub ratios: bool,
    /// Only bytes per entry and per binding.
    #[arg(long)]
    pub memory: bool,
    /// Only curves over entries, shards and live tasks, memory included.
    #[arg(long)]
    pub scale: bool,
    /// Only latencies under open-loop load.
    #[arg(long)]
    pub tails: bool,
    /// Only bytes of idle mailboxes.
    #[arg(long)]
    pub mailboxes: bool,
    /// Only this backend; may be given several times.
    #[arg(long)]
    pub backend: Vec<String>,
    /// Only this workload, and no ratios of single operations; may be given several times.
    #[arg(long)]
    pub workload: Vec<String>,
    /// Only this number of shards, for all workloads; may be given several times.
    #[arg(long)]
    pub shards: Vec<usize>,
    /// The number of threads, instead of one per core, and instead of 1 and 2 for the ratios.
    #[arg(long, value_parser = at_least_one)]
    pub threads: Option<usize>,
    /// The number of servers, instead of that of each workload, and instead of 10,000 and 1,000,000 for the ratios; the
    /// number of live tasks for the tails. Curves have sizes of their own.
    #[arg(long, value_parser = at_least_one)]
    pub entries: Option<usize>,
    /// The seed of ids and their order, instead of that of each workload.
    #[arg(long)]
    pub seed: Option<u64>,
}

/// Steps to run one after the other.
#[derive(Clone, Debug, Serialize)]
pub struct Plan {
    /// The steps.
    pub steps: Vec<Step>,
    /// The estimated time of all steps in seconds.
    pub seconds: f64,
}

/// One child process.
#[derive(Clone, Debug, Serialize)]
pub struct Step {
    /// What is shown while it runs.
    pub label: String,
    /// The program.
    pub program: &'static str,
    /// Its arguments.
    pub arguments: Vec<String>,
    /// The estimated time in seconds.
    pub seconds: f64,
}

/// The shard counts that are compared.
const SHARDS: [usize; 3] = [1, 16, 64];

/// The shard count of the workloads that run with one only.
const USUAL_SHARDS: usize = 64;

/// The workloads that run with all shard counts in a quick run too: those where shards matter most.
const AT_ALL_SHARDS: [&str; 2] = ["lookup-10k", "contention"];

/// The time of a child process beside its slices, per entry that it fills two subjects with, and per task that it
/// starts twice. Only the estimate depends on these.
const SECONDS_PER_PROCESS: f64 = 0.02;
const SECONDS_PER_ENTRY: f64 = 3.0e-6;
const SECONDS_PER_TASK: f64 = 1.5e-6;

/// Makes a plan.
///
/// # Errors
///
/// If a name is unknown or a setting invalid; the message says what is valid.
pub fn plan(args: &PlanArgs) -> Result<Plan> {
    let scale = level(args);
    let backends = chosen("backend", &args.backend, &choose::backends())?;
    let names: Vec<&str> = WORKLOADS.iter().map(|workload| workload.name).collect();
    let workloads = chosen("workload", &args.workload, &names)?;
    ensure!(args.threads != Some(0), "--threads: there must be at least one");
    ensure!(args.entries != Some(0), "--entries: there must be at least one");
    for &shards in &args.shards {
        // Validated by the registry.
        choose::unchecked_registry(backends[0], Layout { shards, servers: 0, transports: 0 })?;
    }
    let threads = args.threads.unwrap_or_else(|| thread::available_parallelism().map_or(1, usize::from));

    let parts = Parts::of(args);
    let mut steps = Vec::new();
    let mut sizes = Vec::new();
    for round in 0..if parts.workloads { scale.rounds } else { 0 } {
        for workload in WORKLOADS.iter().filter(|workload| workloads.contains(&workload.name)) {
            for &shards in &shards_of(args, scale, workload) {
                let entries = args.entries.unwrap_or(workload.entries.min(scale.most));
                if !sizes.contains(&(shards, entries)) {
                    sizes.push((shards, entries));
                }
                for backend in &backends {
                    steps.push(run(args, scale, workload, backend, (shards, threads, entries, round)));
                }
            }
        }
    }
    if parts.memory {
        steps.extend(parts::memory(args, scale, &backends, &sizes));
    }
    if parts.ratios {
        steps.extend(parts::ratios(args, scale, &backends));
    }
    if parts.scale {
        steps.extend(parts::curves(args, scale, &backends));
    }
    if parts.tails {
        steps.extend(parts::tails(args, scale, &backends));
    }
    if parts.mailboxes {
        steps.push(parts::mailboxes(scale));
    }
    let seconds = steps.iter().map(|step| step.seconds).sum();
    Ok(Plan { steps, seconds })
}

fn level(args: &PlanArgs) -> &'static Level {
    if args.full {
        &FULL
    } else if args.smoke {
        &SMOKE
    } else {
        &QUICK
    }
}

/// The parts that are measured.
struct Parts {
    workloads: bool,
    ratios: bool,
    memory: bool,
    scale: bool,
    tails: bool,
    mailboxes: bool,
}

impl Parts {
    /// Returns the parts that are named, or all of the level.
    fn of(args: &PlanArgs) -> Self {
        let named = args.ratios || args.memory || args.scale || args.tails || args.mailboxes;
        let narrowed = !args.workload.is_empty();
        let all = !named && !narrowed;
        let more = all && level(args).curves_and_tails;
        Self {
            workloads: narrowed || !named,
            ratios: args.ratios || all,
            memory: args.memory || args.scale || !named,
            scale: args.scale || more,
            tails: args.tails || more,
            mailboxes: args.mailboxes || all,
        }
    }
}

fn shards_of(args: &PlanArgs, scale: &Level, workload: &Workload) -> Vec<usize> {
    if !args.shards.is_empty() {
        args.shards.clone()
    } else if scale.all_shards || AT_ALL_SHARDS.contains(&workload.name) {
        SHARDS.to_vec()
    } else {
        vec![USUAL_SHARDS]
    }
}

fn run(
    args: &PlanArgs,
    scale: &Level,
    workload: &Workload,
    backend: &str,
    (shards, threads, entries, round): (usize, usize, usize, usize),
) -> Step {
    let slice = scale.seconds.unwrap_or(workload.full_seconds);
    let mut arguments = arguments(
        "run",
        &[
            ("workload", &workload.name),
            ("backend", &backend),
            ("shards", &shards),
            ("threads", &threads),
            ("entries", &entries),
            ("seconds", &slice),
            ("seed", &args.seed.unwrap_or(workload.seed)),
        ],
    );
    let mut tasks = 0;
    if let Concurrency::Tasks(n) = workload.concurrency {
        tasks = n.min(scale.most);
        arguments.extend(["--tasks".to_owned(), tasks.to_string()]);
    }
    if round % 2 == 1 {
        arguments.push("--bare-first".to_owned());
    }
    let label = format!("round {}: {} on {backend}, {shards} shards", round + 1, workload.name);
    let filling = SECONDS_PER_ENTRY * entries as f64 + 2.0 * SECONDS_PER_TASK * tasks as f64;
    Step { label, program: "registry-bench", arguments, seconds: SECONDS_PER_PROCESS + 2.0 * slice + filling }
}

fn arguments(command: &str, options: &[(&str, &dyn std::fmt::Display)]) -> Vec<String> {
    let options = options.iter().flat_map(|(name, value)| [format!("--{name}"), value.to_string()]);
    std::iter::once(command.to_owned()).chain(options).collect()
}

/// Returns the wanted names, or all if none is wanted.
fn chosen<'a>(what: &str, wanted: &[String], all: &[&'a str]) -> Result<Vec<&'a str>> {
    if let Some(wrong) = wanted.iter().find(|name| !all.contains(&name.as_str())) {
        bail!("there is no {what} {wrong:?}; there are {}", all.join(", "));
    }
    let is_wanted = |name: &&&str| wanted.is_empty() || wanted.iter().any(|wanted| wanted == *name);
    Ok(all.iter().filter(is_wanted).copied().collect())
}

/// Parses a positive number.
///
/// # Errors
///
/// If it is zero or not a number.
pub fn at_least_one(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(0) => Err("there must be at least one".to_owned()),
        Ok(number) => Ok(number),
        Err(_) => Err("not a whole number".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(args: &PlanArgs) -> String {
        plan(args).expect_err("the options are invalid").to_string()
    }

    #[test]
    fn a_quick_run_has_every_workload_on_every_backend_within_three_minutes() {
        let plan = plan(&PlanArgs { threads: Some(2), ..PlanArgs::default() }).unwrap();
        for workload in WORKLOADS {
            for backend in choose::backends() {
                let runs = |step: &&Step| {
                    step.arguments.contains(&workload.name.to_owned()) && step.arguments.contains(&backend.to_owned())
                };
                assert!(plan.steps.iter().filter(runs).count() >= 3, "{} on {backend}", workload.name);
            }
        }
        assert!(plan.seconds < 180.0, "{} s", plan.seconds);
    }

    #[test]
    fn a_full_run_and_a_smoke_run_have_every_part() {
        for args in [PlanArgs { full: true, ..PlanArgs::default() }, PlanArgs { smoke: true, ..PlanArgs::default() }] {
            let steps = plan(&args).unwrap().steps;
            let commands: Vec<&str> = steps.iter().map(|step| step.arguments[0].as_str()).collect();
            assert!(["run", "ratio", "scale", "tails"].iter().all(|command| commands.contains(command)));
            let programs = ["registry-bench-memory", "registry-bench-mailboxes"];
            assert!(programs.iter().all(|program| steps.iter().any(|step| step.program == *program)));
        }
    }

    #[test]
    fn only_named_parts_are_planned() {
        let programs = |args: &PlanArgs| -> Vec<String> {
            let steps = plan(args).unwrap().steps.into_iter();
            let mut all: Vec<String> = steps
                .map(|step| match step.arguments[0].strip_prefix("--") {
                    Some(_) => step.program.to_owned(),
                    None => step.arguments[0].clone(),
                })
                .collect();
            all.dedup();
            all
        };
        assert_eq!(programs(&PlanArgs { scale: true, ..PlanArgs::default() }), ["registry-bench-memory", "scale"]);
        assert_eq!(
            programs(&PlanArgs { tails: true, memory: true, ..PlanArgs::default() }),
            ["registry-bench-memory", "tails"]
        );
        let args = PlanArgs { mailboxes: true, ratios: true, full: true, ..PlanArgs::default() };
        assert_eq!(programs(&args), ["ratio", "registry-bench-mailboxes"]);
    }

    #[test]
    fn the_curves_of_a_full_run_reach_ten_million_entries_and_a_million_tasks() {
        let plan = plan(&PlanArgs { full: true, scale: true, memory: true, ..PlanArgs::default() }).unwrap();
        for backend in choose::backends() {
            let has = |words: &str| {
                plan.steps.iter().any(|step| {
                    let text = step.arguments.join(" ");
                    text.contains(&format!("--backend {backend}")) && text.contains(words)
                })
            };
            assert!(has("--along entries") && has("--entries 10000000"), "{backend}");
            assert!(has("--along tasks") && has("--entries 1000000 "), "{backend}");
            assert!(has("--size 64:10000000") && has("--shards 256"), "{backend}");
        }
    }

    #[test]
    fn unknown_names_list_the_known_ones() {
        let text = error(&PlanArgs { workload: vec!["nope".to_owned()], ..PlanArgs::default() });
        assert!(text.contains("\"nope\"") && text.contains("lookup-100k") && text.contains("zipf"), "{text}");
        let text = error(&PlanArgs { backend: vec!["ets".to_owned()], ..PlanArgs::default() });
        assert!(text.contains("\"ets\"") && text.contains("papaya"), "{text}");
    }

    #[test]
    fn invalid_settings_are_rejected() {
        assert!(error(&PlanArgs { shards: vec![3], ..PlanArgs::default() }).contains("power of two"));
        assert!(error(&PlanArgs { threads: Some(0), ..PlanArgs::default() }).contains("--threads"));
        assert!(error(&PlanArgs { entries: Some(0), ..PlanArgs::default() }).contains("--entries"));
        assert_eq!(at_least_one("0"), Err("there must be at least one".to_owned()));
        assert_eq!((at_least_one("7"), at_least_one("x").is_err()), (Ok(7), true));
    }

    #[test]
    fn options_narrow_the_plan() {
        let args = PlanArgs {
            backend: vec!["papaya".to_owned()],
            workload: vec!["zipf".to_owned()],
            shards: vec![8],
            smoke: true,
            ..PlanArgs::default()
        };
        let plan = plan(&args).unwrap();
        let programs: Vec<_> = plan.steps.iter().map(|step| step.program).collect();
        assert_eq!(programs, ["registry-bench", "registry-bench-memory"]);
        assert!(plan.steps[0].arguments.join(" ").contains("--shards 8"));
    }
}
