//! What is run, in which order, and how long that takes: a plan is data, and whoever asked for it carries it out.
//!
//! Rounds go outermost and backends innermost, so that backends which are compared run next to each other, and a
//! machine that gets slower meanwhile does so for all of them.

use std::thread;

use anyhow::{Result, bail, ensure};
use clap::Args;
use serde::Serialize;

use crate::bulk;
use crate::choose;
use crate::registry::Layout;
use crate::workload::{Concurrency, WORKLOADS, Workload};

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
    /// So many servers instead of what each workload has, and instead of 10,000 and 1,000,000 for the ratios.
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

/// How much of everything.
struct Scale {
    rounds: usize,
    /// How long a slice of a workload is, in seconds; `None` for as long as the workload says.
    seconds: Option<f64>,
    ratio_rounds: usize,
    ratio_slice_us: u64,
    ratio_entries: &'static [usize],
    all_shards: bool,
    /// At most so many entries and tasks.
    most: usize,
}

const QUICK: Scale = Scale {
    rounds: 3,
    seconds: Some(0.06),
    ratio_rounds: 31,
    ratio_slice_us: 2_000,
    ratio_entries: &[10_000, 1_000_000],
    all_shards: false,
    most: usize::MAX,
};

const FULL: Scale = Scale {
    rounds: 5,
    seconds: None,
    ratio_rounds: 101,
    ratio_slice_us: 20_000,
    ratio_entries: &[10_000, 1_000_000],
    all_shards: true,
    most: usize::MAX,
};

const SMOKE: Scale = Scale {
    rounds: 1,
    seconds: Some(0.005),
    ratio_rounds: 3,
    ratio_slice_us: 100,
    ratio_entries: &[1_000],
    all_shards: false,
    most: 500,
};

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
    let scale = if wish.full {
        &FULL
    } else if wish.smoke {
        &SMOKE
    } else {
        &QUICK
    };
    let backends = chosen("backend", &wish.backend, &choose::backends())?;
    let names: Vec<&str> = WORKLOADS.iter().map(|workload| workload.name).collect();
    let workloads = chosen("workload", &wish.workload, &names)?;
    ensure!(wish.threads != Some(0), "--threads: there must be at least one");
    ensure!(wish.entries != Some(0), "--entries: there must be at least one");
    for &shards in &wish.shards {
        // The registry itself knows best.
        choose::registry(backends[0], Layout { shards, servers: 0, transports: 0 })?;
    }
    let threads = wish.threads.unwrap_or_else(|| thread::available_parallelism().map_or(1, usize::from));

    let mut steps = Vec::new();
    let mut sizes = Vec::new();
    for round in 0..scale.rounds {
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
    steps.extend(backends.iter().map(|backend| memory(backend, &sizes)));
    if wish.workload.is_empty() {
        let all_entries = wish.entries.map_or(scale.ratio_entries.to_vec(), |entries| vec![entries]);
        for &shards in if wish.shards.is_empty() { &[USUAL_SHARDS][..] } else { &wish.shards } {
            for &entries in &all_entries {
                steps.extend(backends.iter().map(|backend| ratio(wish, scale, backend, shards, entries)));
            }
        }
    }
    let seconds = steps.iter().map(|step| step.seconds).sum();
    Ok(Plan { steps, seconds })
}

fn shards_of(wish: &Wish, scale: &Scale, workload: &Workload) -> Vec<usize> {
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
    scale: &Scale,
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

fn memory(backend: &str, sizes: &[(usize, usize)]) -> Step {
    let mut arguments = vec!["--backend".to_owned(), backend.to_owned()];
    for (shards, entries) in sizes {
        arguments.extend(["--size".to_owned(), format!("{shards}:{entries}")]);
    }
    let entries: usize = sizes.iter().map(|(_, entries)| entries).sum();
    Step {
        label: format!("memory of {backend}"),
        program: "registry-bench-memory",
        arguments,
        seconds: SECONDS_PER_PROCESS + SECONDS_PER_ENTRY * entries as f64,
    }
}

fn ratio(wish: &Wish, scale: &Scale, backend: &str, shards: usize, entries: usize) -> Step {
    let threads = wish.threads.map_or(vec![1, 2], |threads| vec![threads]);
    let mut arguments = arguments(
        "ratio",
        &[
            ("backend", &backend),
            ("shards", &shards),
            ("entries", &entries),
            ("rounds", &scale.ratio_rounds),
            ("slice-us", &scale.ratio_slice_us),
            ("seed", &wish.seed.unwrap_or(0x5eed)),
        ],
    );
    for threads in &threads {
        arguments.extend(["--threads".to_owned(), threads.to_string()]);
    }
    let slices = (6 + bulk::ROWS) * threads.len() * (scale.ratio_rounds + 1) * 2;
    let seconds = SECONDS_PER_PROCESS
        + 3.0 * SECONDS_PER_ENTRY * entries as f64
        + slices as f64 * scale.ratio_slice_us as f64 * 1.2e-6;
    let label = format!("ratios on {backend}, {entries} entries, {shards} shards");
    Step { label, program: "registry-bench", arguments, seconds }
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
