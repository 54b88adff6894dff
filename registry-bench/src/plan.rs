//! What is run, in which order, and how long that takes: a plan is data, and whoever asked for it carries it out.
//!
//! Rounds go outermost and backends innermost, so that backends which are compared run next to each other, and a
//! machine that gets slower meanwhile does so for all of them.

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

/// What somebody wants to have measured.
#[derive(Args, Clone, Debug, Default)]
pub struct Wish {
    /// All of it in less than 3 minutes: short slices. The default.
    #[arg(long, conflicts_with_all = ["full", "smoke"])]
    pub quick: bool,
    /// Long slices, more rounds, all workloads at all shard counts.
    #[arg(long, conflicts_with = "smoke")]
    pub full: bool,
    /// As little as possible of everything, to see that it runs; its figures mean nothing.
    #[arg(long)]
    pub smoke: bool,
    /// Of all that could be measured, ratios of single operations; may be combined with the others below.
    #[arg(long)]
    pub ratios: bool,
    /// Bytes per entry and per binding.
    #[arg(long)]
    pub memory: bool,
    /// Curves along entries, shards and live tasks, those of memory too.
    #[arg(long)]
    pub scale: bool,
    /// Latencies under open-loop load.
    #[arg(long)]
    pub tails: bool,
    /// Bytes of idle mailboxes.
    #[arg(long)]
    pub mailboxes: bool,
    /// This backend only; may be given several times.
    #[arg(long)]
    pub backend: Vec<String>,
    /// This workload only, and no ratios of single operations; may be given several times.
    #[arg(long)]
    pub workload: Vec<String>,
    /// This number of shards only, for all workloads; may be given several times.
    #[arg(long)]
    pub shards: Vec<usize>,
    /// So many threads instead of one per core, and instead of 1 and 2 for the ratios.
    #[arg(long, value_parser = at_least_one)]
    pub threads: Option<usize>,
    /// So many servers instead of what each workload has, and instead of 10,000 and 1,000,000 for the ratios; so many
    /// live tasks for the tails. Curves have sizes of their own.
    #[arg(long, value_parser = at_least_one)]
    pub entries: Option<usize>,
    /// What ids and order are drawn from, instead of what each workload has.
    #[arg(long)]
    pub seed: Option<u64>,
}

/// Steps, to be carried out one after the other.
#[derive(Clone, Debug, Serialize)]
pub struct Plan {
    /// The steps.
    pub steps: Vec<Step>,
    /// How long they take together, about.
    pub seconds: f64,
}

/// One child process.
#[derive(Clone, Debug, Serialize)]
pub struct Step {
    /// What to call it.
    pub label: String,
    /// The program.
    pub program: &'static str,
    /// Its arguments.
    pub arguments: Vec<String>,
    /// How long it takes, about.
    pub seconds: f64,
}

/// The shard counts that are compared.
const SHARDS: [usize; 3] = [1, 16, 64];

/// The shard count of the workloads that run with one only.
const USUAL_SHARDS: usize = 64;

/// The workloads that run with all shard counts in a quick run too: those where shards matter most.
const AT_ALL_SHARDS: [&str; 2] = ["lookup-10k", "contention"];

/// What a child process costs beside its slices, per entry that it fills two subjects with, and per task that it
/// starts twice. Only the estimate depends on these.
const SECONDS_PER_PROCESS: f64 = 0.02;
const SECONDS_PER_ENTRY: f64 = 3.0e-6;
const SECONDS_PER_TASK: f64 = 1.5e-6;

/// Makes a plan.
///
/// # Errors
///
/// If a name is wrong or a setting impossible, with what would be right.
pub fn plan(wish: &Wish) -> Result<Plan> {
    let scale = level(wish);
    let backends = chosen("backend", &wish.backend, &choose::backends())?;
    let names: Vec<&str> = WORKLOADS.iter().map(|workload| workload.name).collect();
    let workloads = chosen("workload", &wish.workload, &names)?;
    ensure!(wish.threads != Some(0), "--threads: there must be at least one");
    ensure!(wish.entries != Some(0), "--entries: there must be at least one");
    for &shards in &wish.shards {
        // The registry itself knows best.
        choose::unchecked_registry(backends[0], Layout { shards, servers: 0, transports: 0 })?;
    }
    let threads = wish.threads.unwrap_or_else(|| thread::available_parallelism().map_or(1, usize::from));

    let parts = Parts::of(wish);
    let mut steps = Vec::new();
    let mut sizes = Vec::new();
    for round in 0..if parts.workloads { scale.rounds } else { 0 } {
        for workload in WORKLOADS.iter().filter(|workload| workloads.contains(&workload.name)) {
            for &shards in &shards_of(wish, scale, workload) {
                let entries = wish.entries.unwrap_or(workload.entries.min(scale.most));
                if !sizes.contains(&(shards, entries)) {
                    sizes.push((shards, entries));
                }
                for backend in &backends {
                    steps.push(run(wish, scale, workload, backend, (shards, threads, entries, round)));
                }
            }
        }
    }
    if parts.memory {
        steps.extend(parts::memory(wish, scale, &backends, &sizes));
    }
    if parts.ratios {
        steps.extend(parts::ratios(wish, scale, &backends));
    }
    if parts.scale {
        steps.extend(parts::curves(wish, scale, &backends));
    }
    if parts.tails {
        steps.extend(parts::tails(wish, scale, &backends));
    }
    if parts.mailboxes {
        steps.push(parts::mailboxes(scale));
    }
    let seconds = steps.iter().map(|step| step.seconds).sum();
    Ok(Plan { steps, seconds })
}

fn level(wish: &Wish) -> &'static Level {
    if wish.full {
        &FULL
    } else if wish.smoke {
        &SMOKE
    } else {
        &QUICK
    }
}

/// What is measured.
struct Parts {
    workloads: bool,
    ratios: bool,
    memory: bool,
    scale: bool,
    tails: bool,
    mailboxes: bool,
}

impl Parts {
    /// What is named, or all that the level has.
    fn of(wish: &Wish) -> Self {
        let named = wish.ratios || wish.memory || wish.scale || wish.tails || wish.mailboxes;
        let narrowed = !wish.workload.is_empty();
        let all = !named && !narrowed;
        let more = all && level(wish).curves_and_tails;
        Self {
            workloads: narrowed || !named,
            ratios: wish.ratios || all,
            memory: wish.memory || wish.scale || !named,
            scale: wish.scale || more,
            tails: wish.tails || more,
            mailboxes: wish.mailboxes || all,
        }
    }
}

fn shards_of(wish: &Wish, scale: &Level, workload: &Workload) -> Vec<usize> {
    if !wish.shards.is_empty() {
        wish.shards.clone()
    } else if scale.all_shards || AT_ALL_SHARDS.contains(&workload.name) {
        SHARDS.to_vec()
    } else {
        vec![USUAL_SHARDS]
    }
}

fn run(
    wish: &Wish,
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
            ("seed", &wish.seed.unwrap_or(workload.seed)),
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

/// The wanted names, or all if none is named.
fn chosen<'a>(what: &str, wanted: &[String], all: &[&'a str]) -> Result<Vec<&'a str>> {
    if let Some(wrong) = wanted.iter().find(|name| !all.contains(&name.as_str())) {
        bail!("there is no {what} {wrong:?}; there are {}", all.join(", "));
    }
    let is_wanted = |name: &&&str| wanted.is_empty() || wanted.iter().any(|wanted| wanted == *name);
    Ok(all.iter().filter(is_wanted).copied().collect())
}

/// A number that is not zero, from the command line.
///
/// # Errors
///
/// If it is none.
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

    fn error(wish: &Wish) -> String {
        plan(wish).expect_err("the wish cannot be granted").to_string()
    }

    #[test]
    fn a_quick_run_has_every_workload_on_every_backend_and_takes_less_than_three_minutes() {
        let plan = plan(&Wish { threads: Some(2), ..Wish::default() }).unwrap();
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
        for wish in [Wish { full: true, ..Wish::default() }, Wish { smoke: true, ..Wish::default() }] {
            let steps = plan(&wish).unwrap().steps;
            let commands: Vec<&str> = steps.iter().map(|step| step.arguments[0].as_str()).collect();
            assert!(["run", "ratio", "scale", "tails"].iter().all(|command| commands.contains(command)));
            let programs = ["registry-bench-memory", "registry-bench-mailboxes"];
            assert!(programs.iter().all(|program| steps.iter().any(|step| step.program == *program)));
        }
    }

    #[test]
    fn parts_that_are_named_are_all_there_is() {
        let programs = |wish: &Wish| -> Vec<String> {
            let steps = plan(wish).unwrap().steps.into_iter();
            let mut all: Vec<String> = steps
                .map(|step| match step.arguments[0].strip_prefix("--") {
                    Some(_) => step.program.to_owned(),
                    None => step.arguments[0].clone(),
                })
                .collect();
            all.dedup();
            all
        };
        assert_eq!(programs(&Wish { scale: true, ..Wish::default() }), ["registry-bench-memory", "scale"]);
        assert_eq!(
            programs(&Wish { tails: true, memory: true, ..Wish::default() }),
            ["registry-bench-memory", "tails"]
        );
        let wish = Wish { mailboxes: true, ratios: true, full: true, ..Wish::default() };
        assert_eq!(programs(&wish), ["ratio", "registry-bench-mailboxes"]);
    }

    #[test]
    fn the_curves_of_a_full_run_reach_ten_million_entries_and_a_million_tasks() {
        let plan = plan(&Wish { full: true, scale: true, memory: true, ..Wish::default() }).unwrap();
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
    fn wrong_names_list_the_right_ones() {
        let text = error(&Wish { workload: vec!["nope".to_owned()], ..Wish::default() });
        assert!(text.contains("\"nope\"") && text.contains("lookup-100k") && text.contains("zipf"), "{text}");
        let text = error(&Wish { backend: vec!["ets".to_owned()], ..Wish::default() });
        assert!(text.contains("\"ets\"") && text.contains("papaya"), "{text}");
    }

    #[test]
    fn impossible_settings_are_refused() {
        assert!(error(&Wish { shards: vec![3], ..Wish::default() }).contains("power of two"));
        assert!(error(&Wish { threads: Some(0), ..Wish::default() }).contains("--threads"));
        assert!(error(&Wish { entries: Some(0), ..Wish::default() }).contains("--entries"));
        assert_eq!(at_least_one("0"), Err("there must be at least one".to_owned()));
        assert_eq!((at_least_one("7"), at_least_one("x").is_err()), (Ok(7), true));
    }

    #[test]
    fn a_wish_narrows_the_plan() {
        let wish = Wish {
            backend: vec!["papaya".to_owned()],
            workload: vec!["zipf".to_owned()],
            shards: vec![8],
            smoke: true,
            ..Wish::default()
        };
        let plan = plan(&wish).unwrap();
        let programs: Vec<_> = plan.steps.iter().map(|step| step.program).collect();
        assert_eq!(programs, ["registry-bench", "registry-bench-memory"]);
        assert!(plan.steps[0].arguments.join(" ").contains("--shards 8"));
    }
}
