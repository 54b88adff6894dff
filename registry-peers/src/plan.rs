//! Which peers are measured in which order: rounds outermost and peers innermost, so that those who are compared run
//! next to each other.

use std::time::Duration;

use clap::Args;
use registry_bench::plan::{Plan, Step, at_least_one};
use registry_bench::timed_loop::Operation;

use crate::child::Job;
use crate::names::Size;
use crate::roster::{Make, ROSTER};

/// What somebody wants to have measured.
#[derive(Args, Clone, Debug, Default)]
pub struct Wish {
    /// All of it in less than 3 minutes: short slices, 10,000 entries. The default.
    #[arg(long, conflicts_with_all = ["full", "smoke"])]
    pub quick: bool,
    /// Long slices, more rounds, 10,000 and 100,000 entries.
    #[arg(long, conflicts_with = "smoke")]
    pub full: bool,
    /// As little as possible of everything, to see that it runs; its figures mean nothing.
    #[arg(long)]
    pub smoke: bool,
    /// So many threads, or schedulers, instead of 1 and 2.
    #[arg(long, value_parser = at_least_one)]
    pub threads: Option<usize>,
    /// So many entries instead.
    #[arg(long, value_parser = at_least_one)]
    pub entries: Option<usize>,
    /// What ids and order are drawn from.
    #[arg(long)]
    pub seed: Option<u64>,
}

/// How much of everything.
struct Scale {
    rounds: usize,
    slice_ms: u64,
    entries: &'static [usize],
}

const QUICK: Scale = Scale { rounds: 3, slice_ms: 80, entries: &[10_000] };
const FULL: Scale = Scale { rounds: 5, slice_ms: 500, entries: &[10_000, 100_000] };
const SMOKE: Scale = Scale { rounds: 1, slice_ms: 1, entries: &[200] };

/// What ids and order are drawn from, as in the workloads.
const SEED: u64 = 0x5eed;

/// Makes a plan.
#[must_use]
pub fn plan(wish: &Wish) -> Plan {
    let scale = if wish.full {
        &FULL
    } else if wish.smoke {
        &SMOKE
    } else {
        &QUICK
    };
    let all_entries = wish.entries.map_or_else(|| scale.entries.to_vec(), |entries| vec![entries]);
    let all_threads = wish.threads.map_or_else(|| vec![1, 2], |threads| vec![threads]);
    let mut steps = Vec::new();
    for round in 1..=scale.rounds {
        for &entries in &all_entries {
            for &threads in &all_threads {
                for entry in &ROSTER {
                    let size = Size { entries, threads };
                    let slice = Duration::from_millis(scale.slice_ms);
                    let job = Job { entry, size, slice, seed: wish.seed.unwrap_or(SEED) };
                    let mut arguments = vec!["run".to_owned(), "--peer".to_owned(), entry.key.to_owned()];
                    arguments.extend(job.arguments());
                    let label = format!("round {round}: {}, {entries} entries, {threads} threads", entry.key);
                    steps.push(Step { label, program: "registry-peers", arguments, seconds: seconds(&job) });
                }
            }
        }
    }
    let seconds = steps.iter().map(|step| step.seconds).sum();
    Plan { steps, seconds }
}

/// How long a peer may take until it is taken for one that hangs; less than whoever carries out the plan waits.
#[must_use]
pub fn limit(job: &Job) -> Duration {
    Duration::from_secs(30) + Duration::from_secs_f64(8.0 * seconds(job))
}

/// How long a peer takes, about: slices with their warm-up, mailboxes emptied in between, and what it takes to start.
/// Only the estimate depends on these.
fn seconds(job: &Job) -> f64 {
    const WITH_WARM_UP: f64 = 1.5;
    let (start, per_entry) = match job.entry.make {
        Make::Here(_) if job.entry.kind != "registry" => (0.15, 1.5e-5),
        // Live actors and processes, which are held and let go on around each lap.
        Make::Here(_) => (0.15, 8e-5),
        Make::There(_) => (0.9, 1.5e-4),
    };
    let slices = Operation::ALL.len() as f64 * job.slice.as_secs_f64() * WITH_WARM_UP;
    start + per_entry * job.size.entries as f64 + slices
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quick_run_has_everybody_three_times_and_takes_less_than_three_minutes() {
        let plan = plan(&Wish::default());
        for entry in &ROSTER {
            for threads in ["1", "2"] {
                let of = |step: &&Step| {
                    let has = |name: &str, value: &str| {
                        step.arguments.windows(2).any(|pair| pair == [name.to_owned(), value.to_owned()])
                    };
                    has("--peer", entry.key) && has("--threads", threads)
                };
                assert_eq!(plan.steps.iter().filter(of).count(), 3, "{} on {threads}", entry.key);
            }
        }
        assert!(plan.seconds < 180.0, "{} s", plan.seconds);
    }

    #[test]
    fn peers_of_a_round_are_neighbours() {
        let plan = plan(&Wish { smoke: true, threads: Some(2), ..Wish::default() });
        let peers: Vec<&str> = plan.steps.iter().map(|step| step.arguments[2].as_str()).collect();
        assert_eq!(peers, ROSTER.map(|entry| entry.key));
    }

    #[test]
    fn who_hangs_is_ended_before_the_step_is() {
        let entry = &ROSTER[0];
        let size = Size { entries: 100_000, threads: 2 };
        let job = Job { entry, size, slice: Duration::from_millis(500), seed: 1 };
        assert!(limit(&job).as_secs_f64() < 60.0 + 10.0 * seconds(&job));
    }
}
