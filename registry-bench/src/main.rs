//! The program that `cargo xtask bench` calls: makes a plan, runs one of its steps, and makes the report.

#![allow(clippy::print_stdout, clippy::print_stderr, reason = "the output of a program")]

use std::io;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use clap::Parser;
use registry_bench::bulk;
use registry_bench::choose::{self, Runner};
use registry_bench::deliver::{Delivery, UsageError};
use registry_bench::driver::{Job, Slice};
use registry_bench::fixture::Fixture;
use registry_bench::plan::{self, PlanArgs, at_least_one};
use registry_bench::ratio::{self, Request};
use registry_bench::record::{Line, Ratio, Sample, Setup};
use registry_bench::registry::Layout;
use registry_bench::scale::{self, Along};
use registry_bench::spread::Spread;
use registry_bench::tails;
use registry_bench::workload::{self, Concurrency, WORKLOADS};

/// Runs workloads and comparisons; `cargo xtask bench` is the way to call it.
#[derive(Debug, Parser)]
#[command(name = "registry-bench", version)]
enum Command {
    /// Lists the workloads and the backends.
    List,
    /// Prints a plan as JSON.
    Plan(PlanArgs),
    /// Runs one workload on a registry and on the bare map, and prints JSON lines.
    Run(Run),
    /// Compares single operations with the bare map, and prints JSON lines.
    Ratio(Compare),
    /// Measures the cost of operations at one size, and prints JSON lines.
    Scale(Size),
    /// Measures latencies under open-loop load, and prints JSON lines.
    Tails(Load),
    /// Reads JSON lines from standard input, or a document, and prints a report.
    Report(Delivery),
}

#[derive(Debug, clap::Args)]
struct Run {
    #[arg(long)]
    workload: String,
    #[arg(long)]
    backend: String,
    #[arg(long)]
    shards: usize,
    #[arg(long, value_parser = at_least_one)]
    threads: usize,
    /// Instead of that of the workload.
    #[arg(long, value_parser = at_least_one)]
    entries: Option<usize>,
    /// Instead of that of the workload; no effect on workloads of threads.
    #[arg(long, value_parser = at_least_one)]
    tasks: Option<usize>,
    #[arg(long)]
    seconds: f64,
    #[arg(long)]
    seed: u64,
    /// Runs the bare map before the registry.
    #[arg(long)]
    bare_first: bool,
}

#[derive(Debug, clap::Args)]
struct Compare {
    #[arg(long)]
    backend: String,
    #[arg(long)]
    shards: usize,
    /// May be given several times.
    #[arg(long, required = true, value_parser = at_least_one)]
    threads: Vec<usize>,
    #[arg(long, value_parser = at_least_one)]
    entries: usize,
    #[arg(long, value_parser = at_least_one)]
    rounds: usize,
    /// The number of pairs of subjects, built one after the other.
    #[arg(long, default_value = "1", value_parser = at_least_one)]
    pairs: usize,
    #[arg(long)]
    slice_us: u64,
    #[arg(long)]
    seed: u64,
}

#[derive(Debug, clap::Args)]
struct Size {
    #[arg(long)]
    along: Along,
    #[arg(long)]
    backend: String,
    #[arg(long)]
    shards: usize,
    /// The number of entries, or of tasks along tasks.
    #[arg(long, value_parser = at_least_one)]
    entries: usize,
    /// Measures the immutable map too.
    #[arg(long)]
    limit: bool,
    #[arg(long, value_parser = at_least_one)]
    threads: usize,
    #[arg(long, value_parser = at_least_one)]
    rounds: usize,
    #[arg(long)]
    slice_us: u64,
    #[arg(long)]
    seed: u64,
}

#[derive(Debug, clap::Args)]
struct Load {
    #[arg(long)]
    backend: String,
    #[arg(long)]
    shards: usize,
    #[arg(long, value_parser = at_least_one)]
    tasks: usize,
    #[arg(long, value_parser = at_least_one)]
    threads: usize,
    /// The time of each scenario.
    #[arg(long)]
    seconds: f64,
    /// The operations offered per second, instead of half of the saturated rate.
    #[arg(long)]
    offered: Option<f64>,
    #[arg(long)]
    seed: u64,
}

/// The exit code for invalid options.
const USAGE: u8 = 2;

fn main() -> ExitCode {
    let command = Command::parse();
    let asked = matches!(command, Command::Plan(_) | Command::List);
    match execute(command) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::from(if asked || error.is::<UsageError>() { USAGE } else { 1 })
        }
    }
}

fn execute(command: Command) -> Result<()> {
    match command {
        Command::List => list(),
        Command::Plan(args) => println!("{}", serde_json::to_string(&plan::plan(&args)?)?),
        Command::Run(arguments) => print_lines(run(&arguments)?)?,
        Command::Ratio(arguments) => {
            let request = Request {
                backend: arguments.backend,
                shards: arguments.shards,
                entries: arguments.entries,
                threads: arguments.threads,
                rounds: arguments.rounds,
                pairs: arguments.pairs,
                slice: Duration::from_micros(arguments.slice_us),
                seed: arguments.seed,
            };
            let ratios = [ratio::measure(&request)?, bulk::measure(&request)?].concat();
            print_lines(ratios.into_iter().map(Line::Ratio).collect())?;
        }
        Command::Scale(arguments) => {
            let request = scale::Request {
                along: arguments.along,
                backend: arguments.backend,
                shards: arguments.shards,
                entries: arguments.entries,
                limit: arguments.limit,
                threads: arguments.threads,
                rounds: arguments.rounds,
                slice: Duration::from_micros(arguments.slice_us),
                seed: arguments.seed,
            };
            print_lines(scale::measure(&request)?.into_iter().map(Line::Point).collect())?;
        }
        Command::Tails(arguments) => {
            let request = tails::Request {
                backend: arguments.backend,
                shards: arguments.shards,
                tasks: arguments.tasks,
                threads: arguments.threads,
                duration: Duration::try_from_secs_f64(arguments.seconds).context("--seconds")?,
                offered_per_s: arguments.offered,
                seed: arguments.seed,
            };
            print_lines(tails::measure(&request)?.into_iter().map(Line::Tail).collect())?;
        }
        Command::Report(delivery) => print!("{}", delivery.deliver(io::stdin().lock())?),
    }
    Ok(())
}

fn list() {
    println!("Workloads:");
    for workload in &WORKLOADS {
        println!("  {:12} {}", workload.name, workload.description);
    }
    println!("Backends: {}", choose::backends().join(", "));
}

/// Runs both subjects one after the other in this process.
fn run(arguments: &Run) -> Result<Vec<Line>> {
    let mut workload = *workload::find(&arguments.workload).context("there is no such workload")?;
    workload.entries = arguments.entries.unwrap_or(workload.entries);
    workload.seed = arguments.seed;
    if let (Concurrency::Tasks(tasks), Some(wanted)) = (&mut workload.concurrency, arguments.tasks) {
        *tasks = wanted;
    }
    let duration = Duration::try_from_secs_f64(arguments.seconds).context("--seconds")?;
    let job = Job { workload, threads: arguments.threads, duration };
    let fixture = Arc::new(Fixture::new(job.counts(), workload.seed));
    let layout = Layout { shards: arguments.shards, servers: workload.entries, transports: workload.transports };

    let registry = choose::registry(&arguments.backend, layout)?;
    let bare = choose::bare(&arguments.backend, layout);
    registry.fill(&fixture);
    let skew = registry.skew();
    if let Some(bare) = &bare {
        bare.fill(&fixture);
    }
    let measure = |runner: &dyn Runner| runner.slice(&fixture, &job);
    let (on_registry, on_bare) = match &bare {
        Some(bare) if arguments.bare_first => {
            let on_bare = measure(&**bare)?;
            (measure(&*registry)?, Some(on_bare))
        }
        Some(bare) => (measure(&*registry)?, Some(measure(&**bare)?)),
        None => (measure(&*registry)?, None),
    };
    let setup = |subject: &str, shards| Setup {
        subject: subject.to_owned(),
        backend: arguments.backend.clone(),
        workload: workload.name.to_owned(),
        shards,
        threads: job.threads,
        tasks: match workload.concurrency {
            Concurrency::Tasks(tasks) => Some(tasks),
            Concurrency::Threads => None,
        },
        entries: workload.entries,
        seed: workload.seed,
        sample_every: workload.sample_every,
    };
    let on_registry = sample(setup("registry", arguments.shards), &on_registry, skew);
    let mut lines = Vec::new();
    if let Some(on_bare) = on_bare {
        let on_bare = sample(setup("bare", 1), &on_bare, None);
        let times = on_bare.ops_per_s / on_registry.ops_per_s;
        lines.push(Line::Ratio(Ratio {
            name: format!("{}_vs_bare", workload.name),
            operation: "workload".to_owned(),
            backend: arguments.backend.clone(),
            shards: arguments.shards,
            threads: job.threads,
            entries: workload.entries,
            spread: Spread { median: times, min: times, max: times },
            q1: None,
            q3: None,
            subject_ns: None,
            bare_ns: None,
            rounds: 1,
            operations: None,
            seed: workload.seed,
        }));
        lines.push(Line::Sample(Box::new(on_bare)));
    }
    lines.push(Line::Sample(Box::new(on_registry)));
    Ok(lines)
}

fn sample(setup: Setup, slice: &Slice, skew: Option<f64>) -> Sample {
    let latencies = &slice.latencies;
    let all_timed = setup.sample_every == 1;
    // Buckets double in width from 8 ns on.
    let buckets = || latencies.iter_log(8, 2.0).map(|to| (to.value_iterated_to(), to.count_since_last_iteration()));
    Sample {
        seconds: slice.elapsed.as_secs_f64(),
        ops_per_s: slice.operations as f64 / slice.elapsed.as_secs_f64(),
        p50_ns: latencies.value_at_quantile(0.5),
        p95_ns: latencies.value_at_quantile(0.95),
        p99_ns: latencies.value_at_quantile(0.99),
        p999_ns: latencies.value_at_quantile(0.999),
        max_ns: latencies.max(),
        timed: latencies.len(),
        skew,
        buckets: all_timed.then(|| buckets().filter(|&(_, count)| count > 0).collect()),
        setup,
    }
}

fn print_lines(lines: Vec<Line>) -> Result<()> {
    for line in lines {
        println!("{}", serde_json::to_string(&line)?);
    }
    Ok(())
}
