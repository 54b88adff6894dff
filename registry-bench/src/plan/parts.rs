//! The steps of memory, ratios, curves, tails and mailboxes.

use super::level::{Level, Ratios};
use super::{PlanArgs, SECONDS_PER_ENTRY, SECONDS_PER_PROCESS, Step, USUAL_SHARDS, arguments};
use crate::bulk;
use crate::health_checks::SETTLED;

/// The backends that targets are set for.
const WITH_TARGETS: [&str; 3] = ["dashmap", "evmap", "papaya"];

/// The backend that the immutable map is measured beside: the default one.
const BESIDE_THE_LIMIT: &str = "papaya";

/// The seed of ids and their order, unless an option sets it.
const SEED: u64 = 0x5eed;

/// The factor by which the warm-up and waiting for other threads lengthen a slice.
const BESIDE_A_SLICE: f64 = 1.4;

/// Returns the backends that are measured with so many entries.
fn with<'a>(args: &PlanArgs, level: &Level, backends: &[&'a str], entries: usize) -> Vec<&'a str> {
    let all = entries < level.many || !args.backend.is_empty();
    backends.iter().filter(|name| all || WITH_TARGETS.contains(*name)).copied().collect()
}

fn shards(args: &PlanArgs) -> Vec<usize> {
    if args.shards.is_empty() { vec![USUAL_SHARDS] } else { args.shards.clone() }
}

/// Returns the steps of memory: at the sizes of the workloads, and along a curve; each large size in its own process.
pub(super) fn memory(args: &PlanArgs, level: &Level, backends: &[&str], sizes: &[(usize, usize)]) -> Vec<Step> {
    let mut curve: Vec<(usize, usize)> = Vec::new();
    if args.workload.is_empty() {
        let entries = args.entries.map_or(level.memory_entries.to_vec(), |entries| vec![entries]);
        let of = |shards| entries.iter().map(move |&entries| (shards, entries));
        curve.extend(shards(args).into_iter().flat_map(of));
    }
    let (small, great): (Vec<_>, Vec<_>) = curve.iter().partition(|&&(_, entries)| entries < 1_000_000);
    let others: Vec<(usize, usize)> = sizes.iter().filter(|size| !curve.contains(size)).copied().collect();
    let mut groups = vec![(false, others), (true, small)];
    groups.extend(great.into_iter().map(|size| (true, vec![size])));
    let mut steps = Vec::new();
    for (curve, sizes) in groups.iter().filter(|(_, sizes)| !sizes.is_empty()) {
        let most = sizes.iter().map(|&(_, entries)| entries).max().unwrap_or_default();
        steps.extend(with(args, level, backends, most).into_iter().map(|backend| memory_of(backend, sizes, *curve)));
    }
    steps
}

fn memory_of(backend: &str, sizes: &[(usize, usize)], curve: bool) -> Step {
    let mut arguments = vec!["--backend".to_owned(), backend.to_owned()];
    for (shards, entries) in sizes {
        arguments.extend(["--size".to_owned(), format!("{shards}:{entries}")]);
    }
    if curve {
        arguments.push("--curve".to_owned());
    }
    let entries: usize = sizes.iter().map(|(_, entries)| entries).sum();
    Step {
        label: format!("memory of {backend}"),
        program: "registry-bench-memory",
        arguments,
        // Entries in two subjects, and bindings in one.
        seconds: SECONDS_PER_PROCESS + 2.0 * SECONDS_PER_ENTRY * entries as f64,
    }
}

/// Returns the steps of ratios.
pub(super) fn ratios(args: &PlanArgs, level: &Level, backends: &[&str]) -> Vec<Step> {
    let mut steps = Vec::new();
    for shards in shards(args) {
        for ratios in level.ratios {
            let entries = args.entries.unwrap_or(ratios.entries);
            let those = with(args, level, backends, entries);
            steps.extend(those.iter().map(|backend| ratio(args, ratios, backend, shards, entries)));
            if args.entries.is_some() {
                break;
            }
        }
    }
    steps
}

fn ratio(args: &PlanArgs, ratios: &Ratios, backend: &str, shards: usize, entries: usize) -> Step {
    let threads = args.threads.map_or(vec![1, 2], |threads| vec![threads]);
    let mut arguments = arguments(
        "ratio",
        &[
            ("backend", &backend),
            ("shards", &shards),
            ("entries", &entries),
            ("rounds", &ratios.rounds),
            ("pairs", &ratios.pairs),
            ("slice-us", &ratios.slice_us),
            ("seed", &args.seed.unwrap_or(SEED)),
        ],
    );
    for threads in &threads {
        arguments.extend(["--threads".to_owned(), threads.to_string()]);
    }
    // Seven for each number of threads, and the hot id on both subjects. Each pair has one more round, which does not
    // count.
    let comparisons = 7 * threads.len() + 2;
    let slices = 2 * (comparisons * (ratios.rounds + ratios.pairs) + bulk::ROWS * threads.len() * (ratios.rounds + 1));
    let seconds = SECONDS_PER_PROCESS
        + 3.0 * SECONDS_PER_ENTRY * (ratios.pairs * entries) as f64
        + ratios.pairs as f64 * SETTLED.as_secs_f64()
        + slices as f64 * ratios.slice_us as f64 * 1e-6 * BESIDE_A_SLICE;
    let label = format!("ratios on {backend}, {entries} entries, {shards} shards");
    Step { label, program: "registry-bench", arguments, seconds }
}

/// Returns the steps of curves, each size in its own process.
pub(super) fn curves(args: &PlanArgs, level: &Level, backends: &[&str]) -> Vec<Step> {
    let curves = &level.curves;
    let own_shards = shards(args)[0];
    let mut sizes: Vec<(&str, usize, usize)> = Vec::new();
    sizes.extend(curves.entries.iter().map(|&entries| ("entries", own_shards, entries)));
    sizes.extend(curves.shards.iter().map(|&shards| ("shards", shards, curves.shards_entries)));
    sizes.extend(curves.tasks.iter().map(|&tasks| ("tasks", own_shards, tasks)));
    let step = |(along, shards, entries), backend| size(args, level, along, backend, shards, entries);
    let of_size = |size: (_, _, usize)| {
        let those = with(args, level, backends, size.2);
        those.into_iter().map(|backend| step(size, backend)).collect::<Vec<_>>()
    };
    sizes.into_iter().flat_map(of_size).collect()
}

fn size(args: &PlanArgs, level: &Level, along: &str, backend: &str, shards: usize, entries: usize) -> Step {
    let Level { curves, .. } = level;
    let mut arguments = arguments(
        "scale",
        &[
            ("along", &along),
            ("backend", &backend),
            ("shards", &shards),
            ("entries", &entries),
            ("threads", &args.threads.unwrap_or(1)),
            ("rounds", &curves.rounds),
            ("slice-us", &curves.slice_us),
            ("seed", &args.seed.unwrap_or(SEED)),
        ],
    );
    if backend == BESIDE_THE_LIMIT {
        arguments.push("--limit".to_owned());
    }
    // Lookups on three subjects, messages and registrations on two.
    let slices = 7 * (curves.rounds + 1);
    let seconds = SECONDS_PER_PROCESS
        + 2.0 * SECONDS_PER_ENTRY * entries as f64
        + slices as f64 * curves.slice_us as f64 * 1e-6 * BESIDE_A_SLICE;
    let label = format!("curve along {along} on {backend}, {entries} entries, {shards} shards");
    Step { label, program: "registry-bench", arguments, seconds }
}

/// Returns the steps of open-loop load. With two processors, one thread offers it and the other serves the tasks.
pub(super) fn tails(args: &PlanArgs, level: &Level, backends: &[&str]) -> Vec<Step> {
    let half = std::thread::available_parallelism().map_or(1, |cores| (cores.get() / 2).max(1));
    let step = |backend: &&str| {
        let tasks = args.entries.unwrap_or(level.tail_tasks);
        let shards = shards(args)[0];
        let mut arguments = arguments(
            "tails",
            &[
                ("backend", &backend),
                ("shards", &shards),
                ("tasks", &tasks),
                ("threads", &args.threads.unwrap_or(half)),
                ("seconds", &level.tail_seconds),
                ("seed", &args.seed.unwrap_or(SEED)),
            ],
        );
        if let Some(offered) = level.tail_offered {
            arguments.extend(["--offered".to_owned(), offered.to_string()]);
        }
        // Three scenarios on two subjects, and two saturated rates, each a quarter as long.
        let seconds = SECONDS_PER_PROCESS + 4.0 * SECONDS_PER_ENTRY * tasks as f64 + 7.0 * level.tail_seconds;
        let label = format!("tails on {backend}, {tasks} tasks");
        Step { label, program: "registry-bench", arguments, seconds }
    };
    backends.iter().map(step).collect()
}

/// Returns the step of idle mailboxes, which do not depend on the backend.
pub(super) fn mailboxes(level: &Level) -> Step {
    let mut arguments = vec!["--mailboxes".to_owned(), level.mailboxes.to_string()];
    for capacity in level.mailbox_capacities {
        arguments.extend(["--capacity".to_owned(), capacity.to_string()]);
    }
    let all = crate::mailboxes::FAMILIES.len() * level.mailbox_capacities.len();
    Step {
        label: format!("{} idle mailboxes", level.mailboxes),
        program: "registry-bench-mailboxes",
        arguments,
        seconds: SECONDS_PER_PROCESS + 2e-6 * (level.mailboxes * all) as f64,
    }
}
