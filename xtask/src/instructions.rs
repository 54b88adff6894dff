//! `cargo xtask instructions`: how many instructions the hot operations take, compared with what is recorded.
//!
//! Times shake with the machine; instructions hardly do, so a small tolerance can be kept by machines that check.
//! A program repeats one operation under valgrind's cachegrind, which counts; what the same program takes without the
//! operation is subtracted. What an instruction costs is another matter: a cache miss counts like an addition.

use std::fmt::Write;
use std::process::{Command, Stdio};
use std::sync::Mutex;

use anyhow::{Context, Result, bail, ensure};
use clap::Args;
use serde::Deserialize;

use self::record::{Counts, Difference, Machine, Recorded};
use crate::cargo;
use crate::steps::{self, Programs};

mod record;

/// Counts the instructions of the hot operations, and compares them with the recorded ones.
#[derive(Args, Debug, Default)]
pub(crate) struct Instructions {
    /// Records what is counted, instead of comparing it; a change that costs more has to do so in the same commit.
    #[arg(long)]
    record: bool,
}

const PACKAGE: &str = "registry-bench";
const PROGRAM: &str = "registry-bench-instructions";

/// What there is to be counted.
#[derive(Debug, Deserialize)]
struct Plan {
    servers: usize,
    shards: usize,
    operations: usize,
    backends: Vec<String>,
    acts: Vec<String>,
}

impl Instructions {
    /// Counts, and compares or records.
    pub(crate) fn run(&self) -> Result<()> {
        let machine = Machine::here()?;
        let file = cargo::root()?.join(PACKAGE).join("instructions.json");
        let recorded = if self.record { None } else { Some(Recorded::read(&file)?) };
        if let Some(recorded) = &recorded {
            if recorded.machine.host != machine.host {
                println!("skipped: recorded on {}, and this is {}", recorded.machine.host, machine.host);
                return Ok(());
            }
            let (theirs, ours) = (&recorded.machine.rustc, &machine.rustc);
            ensure!(theirs == ours, "recorded with {theirs}, and this is {ours}: {RECORD}");
        }
        eprintln!("building {PROGRAM}");
        // In one piece: how a program is cut into pieces sways what is inlined, and any line of it sways the cuts.
        let build = ["rustc", "--release", "--package", PACKAGE, "--bin", PROGRAM, "--", "-C", "codegen-units=1"];
        cargo::run(cargo::cargo()?.args(build))?;
        let programs = Programs::lie_in(steps::target()?.join("release"));
        let plan: Plan = steps::ask(programs.command(PROGRAM).arg("plan"))?;
        let measured = Recorded {
            servers: plan.servers,
            shards: plan.shards,
            operations: plan.operations,
            counts: count_all(&programs, &plan)?,
            machine,
        };
        let Some(recorded) = recorded else {
            print!("{}", table(&measured.counts, &[]));
            return measured.write(&file);
        };
        let differences = recorded.differences(&measured);
        print!("{}", table(&measured.counts, &differences));
        if differences.is_empty() {
            return Ok(());
        }
        let (theirs, ours) = (&recorded.machine, &measured.machine);
        let hint = if theirs == ours {
            String::new()
        } else {
            format!(
                "\nrecorded with {} and {}; here are {} and {}",
                theirs.valgrind, theirs.libc, ours.valgrind, ours.libc
            )
        };
        let lines: Vec<String> = differences.iter().map(ToString::to_string).collect();
        bail!("{}{hint}\nif that is meant to be so, {RECORD}", lines.join("\n"))
    }
}

const RECORD: &str = "record the figures in the same commit: cargo xtask instructions --record";

/// Counts each operation on each backend, on as many cores as there are: they do not disturb each other's counts.
fn count_all(programs: &Programs, plan: &Plan) -> Result<Counts> {
    // Without any operation, then with each of them.
    let mut waiting: Vec<(&str, Option<&str>)> = Vec::new();
    for backend in &plan.backends {
        waiting.push((backend, None));
        waiting.extend(plan.acts.iter().map(|act| (backend.as_str(), Some(act.as_str()))));
    }
    let any = plan.acts.first().context("there is no operation to count")?;
    let all = waiting.clone();
    let waiting = Mutex::new(waiting);
    let done = Mutex::new(Vec::new());
    let work = || -> Result<()> {
        loop {
            let Some((backend, act)) = waiting.lock().ok().and_then(|mut waiting| waiting.pop()) else { return Ok(()) };
            let operations = if act.is_some() { plan.operations } else { 0 };
            let count = count(programs, backend, act.unwrap_or(any), operations)?;
            done.lock().ok().context("a worker panicked")?.push(((backend, act), count));
        }
    };
    let workers = std::thread::available_parallelism().map_or(1, usize::from);
    eprintln!("{} runs under cachegrind, {workers} at a time", all.len());
    std::thread::scope(|scope| {
        let workers: Vec<_> = (0..workers).map(|_| scope.spawn(work)).collect();
        workers.into_iter().try_for_each(|worker| worker.join().ok().context("a worker panicked")?)
    })?;
    let done = done.into_inner().ok().context("a worker panicked")?;
    let of = |case: (&str, Option<&str>)| {
        done.iter().find(|(other, _)| *other == case).map(|(_, count)| *count).context("a run is missing")
    };
    let mut counts = Counts::new();
    for (backend, act) in all {
        let Some(act) = act else { continue };
        let more = of((backend, Some(act)))?.saturating_sub(of((backend, None))?);
        let each = (more as f64 / plan.operations as f64 * 10.0).round() / 10.0;
        counts.entry(backend.to_owned()).or_default().insert(act.to_owned(), each);
    }
    Ok(counts)
}

/// How many instructions one run takes.
fn count(programs: &Programs, backend: &str, act: &str, operations: usize) -> Result<u64> {
    let program = programs.command(PROGRAM);
    let mut command = Command::new("valgrind");
    // Of the environment nothing but where programs are: what a process is started with lies in its memory.
    command.env_clear().envs(std::env::var_os("PATH").map(|path| ("PATH", path)));
    command.args(["--tool=cachegrind", "--cache-sim=no", "--cachegrind-out-file=/dev/null"]);
    command.arg(program.get_program()).args(["run", "--backend", backend, "--operation", act]);
    command.arg("--operations").arg(operations.to_string()).stdin(Stdio::null());
    let output = command.output().with_context(|| format!("cannot run {}", cargo::shown(&command)))?;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{} failed: {said}", cargo::shown(&command));
    instructions(&said).with_context(|| format!("valgrind did not say how many instructions it saw: {said}"))
}

/// The figure in cachegrind's summary, as in `==7== I   refs:      1,234`.
fn instructions(said: &str) -> Option<u64> {
    let figure = |line: &str| {
        let (before, figure) = line.split_once("refs:")?;
        let counted = before.split_whitespace().next_back() == Some("I");
        counted.then(|| figure.trim().replace(',', "").parse().ok())?
    };
    said.lines().find_map(figure)
}

/// All counts as text, with a mark where they differ from the recorded ones.
fn table(counts: &Counts, differences: &[Difference]) -> String {
    let mut text = String::from("instructions per operation, one thread, statistics on\n");
    let acts: Vec<&String> = counts.values().next().map(|acts| acts.keys().collect()).unwrap_or_default();
    let _ = write!(text, "{:12}", "backend");
    acts.iter().for_each(|act| text.push_str(&format!(" {act:>12}")));
    for (backend, figures) in counts {
        let _ = write!(text, "\n{backend:12}");
        for act in &acts {
            let differs = differences.iter().any(|difference| difference.is_of(backend, act));
            let mark = if differs { "*" } else { "" };
            let cell = figures.get(*act).map_or_else(|| "-".to_owned(), |figure| format!("{mark}{figure:.1}"));
            let _ = write!(text, " {cell:>12}");
        }
    }
    text.push('\n');
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_figure_is_found_in_what_valgrind_says() {
        let old = "==7== Cachegrind\n==7== \n==7== I   refs:      98,160,594\n";
        let with_caches = "==7== I   refs:      5\n==7== I1  misses:  7\n==7== D   refs:   9\n";
        assert_eq!([instructions(old), instructions(with_caches)], [Some(98_160_594), Some(5)]);
        assert_eq!([instructions(""), instructions("==7== D   refs:   9"), instructions("I refs: many")], [None; 3]);
    }

    #[test]
    fn the_table_marks_what_differs() {
        let counts = |lookup| Counts::from([("papaya".to_owned(), [("lookup".to_owned(), lookup)].into())]);
        let difference = Difference::between(&counts(100.0), &counts(103.0));
        let text = table(&counts(103.0), &difference);
        assert!(text.contains("papaya") && text.contains("*103.0"), "{text}");
        assert!(!table(&counts(103.0), &[]).contains('*'));
    }
}
