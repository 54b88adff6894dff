//! The plan of a bench of peers: rounds are outermost and peers innermost, so that the runs of compared peers are
//! neighbours.

use std::time::Duration;

use clap::Args;
use registry_bench::plan::{Plan, Step, at_least_one};
use registry_bench::timed_loop::Operation;

use crate::child::Job;
use crate::names::Size;
use crate::peers::{PEERS, Setup};

/// The options of a bench of peers.
#[derive(Args, Clone, Debug, Default)]
pub struct PlanArgs {
    /// Short slices and 10,000 entries: less than 3 minutes on an idle machine. The default.
    #[arg(long, conflicts_with_all = ["full", "smoke"])]
    pub quick: bool,
    /// Long slices, more rounds, 10,000 and 100,000 entries.
    #[arg(long, conflicts_with = "smoke")]
    pub full: bool,
    /// As little as possible of everything, as a test; the figures mean nothing.
    #[arg(long)]
    pub smoke: bool,
    /// The number of threads or schedulers, instead of 1 and 2.
    #[arg(long, value_parser = at_least_one)]
    pub threads: Option<usize>,
    /// The number of entries, instead of those above.
    #[arg(long, value_parser = at_least_one)]
    pub entries: Option<usize>,
    /// The seed of ids and their order.
    #[arg(long)]
    pub seed: Option<u64>,
}

/// The extent of a run.
struct Scale {
    rounds: usize,
    slice_ms: u64,
    entries: &'static [usize],
}

const QUICK: Scale = Scale { rounds: 3, slice_ms: 80, entries: &[10_000] };
const FULL: Scale = Scale { rounds: 5, slice_ms: 500, entries: &[10_000, 100_000] };
const SMOKE: Scale = Scale { rounds: 1, slice_ms: 1, entries: &[200] };

/// The seed of ids and their order, as of the workloads.
const SEED: u64 = 0x5eed;

/// Makes a plan.
#[must_use]
pub fn plan(args: &PlanArgs) -> Plan {
    let scale = if args.full {
        &FULL
    } else if args.smoke {
        &SMOKE
    } else {
        &QUICK
    };
    let all_entries = args.entries.map_or_else(|| scale.entries.to_vec(), |entries| vec![entries]);
    let all_threads = args.threads.map_or_else(|| vec![1, 2], |threads| vec![threads]);
    let mut steps = Vec::new();
    for round in 1..=scale.rounds {
        for &entries in &all_entries {
            for &threads in &all_threads {
                for spec in &PEERS {
                    let size = Size { entries, threads };
                    let slice = Duration::from_millis(scale.slice_ms);
                    let job = Job { spec, size, slice, seed: args.seed.unwrap_or(SEED) };
                    let mut arguments = vec!["run".to_owned(), "--peer".to_owned(), spec.key.to_owned()];
                    arguments.extend(job.arguments());
                    let label = format!("round {round}: {}, {entries} entries, {threads} threads", spec.key);
                    steps.push(Step { label, program: "registry-peers", arguments, seconds: seconds(&job) });
                }
            }
        }
    }
    let seconds = steps.iter().map(|step| step.seconds).sum();
    Plan { steps, seconds }
}

/// Returns the time limit of a peer, which is less than that of its step.
#[must_use]
pub fn limit(job: &Job) -> Duration {
    Duration::from_secs(30) + Duration::from_secs_f64(8.0 * seconds(job))
}

/// Returns the estimated time of a peer: its start, and slices with their warm-up and draining.
fn seconds(job: &Job) -> f64 {
    const WITH_WARM_UP: f64 = 1.5;
    let (start, per_entry) = match job.spec.make {
        Setup::InProcess(_) if job.spec.kind != "registry" => (0.15, 1.5e-5),
        // Live actors and processes, which are paused and resumed around each slice.
        Setup::InProcess(_) => (0.15, 8e-5),
        Setup::Script(_) => (0.9, 1.5e-4),
    };
    let slices = Operation::ALL.len() as f64 * job.slice.as_secs_f64() * WITH_WARM_UP;
    start + per_entry * job.size.entries as f64 + slices
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quick_run_has_every_peer_three_times_within_three_minutes() {
        let plan = plan(&PlanArgs::default());
        for spec in &PEERS {
            for threads in ["1", "2"] {
                let of = |step: &&Step| {
                    let has = |name: &str, value: &str| {
                        step.arguments.windows(2).any(|pair| pair == [name.to_owned(), value.to_owned()])
                    };
                    has("--peer", spec.key) && has("--threads", threads)
                };
                assert_eq!(plan.steps.iter().filter(of).count(), 3, "{} on {threads}", spec.key);
            }
        }
        assert!(plan.seconds < 180.0, "{} s", plan.seconds);
    }

    #[test]
    fn peers_of_a_round_are_neighbours() {
        let plan = plan(&PlanArgs { smoke: true, threads: Some(2), ..PlanArgs::default() });
        let peers: Vec<&str> = plan.steps.iter().map(|step| step.arguments[2].as_str()).collect();
        assert_eq!(peers, PEERS.map(|spec| spec.key));
    }

    #[test]
    fn a_peer_that_hangs_is_killed_before_its_step() {
        let spec = &PEERS[0];
        let size = Size { entries: 100_000, threads: 2 };
        let job = Job { spec, size, slice: Duration::from_millis(500), seed: 1 };
        assert!(limit(&job).as_secs_f64() < 60.0 + 10.0 * seconds(&job));
    }
}
