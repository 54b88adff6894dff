//! What `bench` and `verify` share: building programs, carrying out a plan step by step, each step in a child process,
//! and handing what they printed to a program that makes a report.
//!
//! What the steps are is decided by the program that makes the plan.

use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use indicatif::{ProgressBar, ProgressStyle};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::cargo::{self, Usage};

/// Steps, to be carried out one after the other.
#[derive(Debug, Deserialize)]
pub(crate) struct Plan {
    pub(crate) steps: Vec<Step>,
    pub(crate) seconds: f64,
}

/// One child process.
#[derive(Debug, Deserialize, Serialize)]
pub(crate) struct Step {
    pub(crate) label: String,
    pub(crate) program: String,
    pub(crate) arguments: Vec<String>,
    pub(crate) seconds: f64,
}

impl Step {
    /// As one would type it.
    pub(crate) fn shown(&self) -> String {
        format!("{} {}", self.program, self.arguments.join(" "))
    }
}

/// A step that has come to its end, one way or the other.
#[derive(Debug, Serialize)]
pub(crate) struct Done<'a> {
    pub(crate) step: &'a Step,
    /// What it printed.
    pub(crate) output: String,
    /// Why it failed, if it did.
    pub(crate) failure: Option<String>,
}

/// Where the programs are that steps name.
#[derive(Debug)]
pub(crate) struct Programs {
    usual: PathBuf,
    apart: Vec<(&'static str, PathBuf)>,
}

impl Programs {
    /// All in one directory.
    pub(crate) fn lie_in(directory: PathBuf) -> Self {
        Self { usual: directory, apart: Vec::new() }
    }

    /// But this one is in another.
    pub(crate) fn but(mut self, program: &'static str, directory: PathBuf) -> Self {
        self.apart.push((program, directory));
        self
    }

    /// That program, to be run.
    pub(crate) fn command(&self, program: &str) -> Command {
        let directory = self.apart.iter().find(|(apart, _)| *apart == program).map_or(&self.usual, |(_, path)| path);
        Command::new(directory.join(program))
    }
}

/// Where cargo puts what it builds.
pub(crate) fn target() -> Result<PathBuf> {
    let output = cargo::output(cargo::cargo()?.args(["metadata", "--format-version", "1", "--no-deps"]))?;
    let metadata: serde_json::Value = serde_json::from_slice(&output.stdout).context("cargo metadata is JSON")?;
    let target = metadata["target_directory"].as_str().context("cargo knows its target directory")?;
    Ok(PathBuf::from(target))
}

/// Whether a report can be written to that file; better asked before the work than after it.
pub(crate) fn ensure_writable(file: &Path) -> Result<()> {
    let directory = file.parent().filter(|directory| !directory.as_os_str().is_empty());
    let there = directory.is_none_or(Path::is_dir) && !file.is_dir();
    ensure!(there, Usage(format!("--json: cannot write {}", file.display())));
    Ok(())
}

/// What a program answers in JSON to somebody's wish. If the wish is wrong, the program has said so.
pub(crate) fn ask<T: DeserializeOwned>(command: &mut Command) -> Result<T> {
    let output = cargo::output(command)?;
    ensure!(output.status.success(), Usage(String::new()));
    serde_json::from_slice(&output.stdout).with_context(|| format!("{} answers in JSON", cargo::shown(command)))
}

/// Carries the plan out, and hands each step to `done` when it has ended; an error of `done` ends it all.
pub(crate) fn carry_out(programs: &Programs, plan: &Plan, mut done: impl FnMut(Done<'_>) -> Result<()>) -> Result<()> {
    eprintln!("{} steps, about {}", plan.steps.len(), minutes(plan.seconds));
    let bar = ProgressBar::new(milliseconds(plan.seconds));
    let style = "[{elapsed_precise}] {bar:30} {percent:>3} %  {msg}";
    bar.set_style(ProgressStyle::with_template(style).context("the style is well-formed")?);
    let began = Instant::now();
    let mut told = Instant::now();
    let mut planned = 0.0;
    for (number, step) in plan.steps.iter().enumerate() {
        bar.set_message(step.label.clone());
        // Where there is no terminal, a line now and then.
        if bar.is_hidden() && (number == 0 || told.elapsed() > Duration::from_secs(10)) {
            eprintln!("[{:>4} s] {} of {}: {}", began.elapsed().as_secs(), number + 1, plan.steps.len(), step.label);
            told = Instant::now();
        }
        let mut command = programs.command(&step.program);
        command.args(&step.arguments);
        let (output, failure) = run(&mut command, limit(step), |elapsed| {
            bar.set_position(milliseconds(planned + elapsed.as_secs_f64().min(step.seconds)));
        })?;
        done(Done { step, output, failure })?;
        planned += step.seconds;
    }
    bar.finish_and_clear();
    eprintln!("done in {}", minutes(began.elapsed().as_secs_f64()));
    Ok(())
}

/// Runs a program that reads lines and prints a report, and returns its status: zero if it was content.
pub(crate) fn report(command: &mut Command, lines: &[u8]) -> Result<Option<i32>> {
    let mut child = command.stdin(Stdio::piped()).spawn().with_context(|| cannot_run(command))?;
    let written = child.stdin.take().context("the child has a standard input")?.write_all(lines);
    let status = child.wait()?;
    // One that ends before it has read all has said why.
    if status.success() {
        written?;
    }
    Ok(status.code())
}

/// A time in words.
pub(crate) fn minutes(seconds: f64) -> String {
    let seconds = seconds.ceil() as u64;
    if seconds < 60 { format!("{seconds} s") } else { format!("{} min {} s", seconds / 60, seconds % 60) }
}

/// How long a step may take: so much longer than planned that only one that hangs gets there.
fn limit(step: &Step) -> Duration {
    Duration::from_secs(60) + Duration::try_from_secs_f64(10.0 * step.seconds).unwrap_or(Duration::ZERO)
}

/// Runs a program until it ends or the time is up; returns what it printed, and why it failed if it did.
fn run(command: &mut Command, limit: Duration, tick: impl Fn(Duration)) -> Result<(String, Option<String>)> {
    let began = Instant::now();
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().with_context(|| cannot_run(command))?;
    let printed = collect(child.stdout.take().context("the child has a standard output")?);
    let complaints = collect(child.stderr.take().context("the child has a standard error")?);
    let mut in_time = true;
    let output = loop {
        match printed.recv_timeout(Duration::from_millis(100)) {
            Ok(output) => break output,
            Err(RecvTimeoutError::Disconnected) => break Vec::new(),
            Err(RecvTimeoutError::Timeout) if in_time && began.elapsed() > limit => {
                // Its output ends with it, so the next turn gets what there is.
                child.kill().with_context(|| format!("cannot end {}", cargo::shown(command)))?;
                in_time = false;
            }
            Err(RecvTimeoutError::Timeout) => tick(began.elapsed()),
        }
    };
    let status = child.wait()?;
    let failure = if !in_time {
        Some(format!("not done after {}, so it was ended", minutes(limit.as_secs_f64())))
    } else {
        (!status.success()).then(|| status.to_string())
    };
    if failure.is_some() {
        // What it says when all goes well would come in the middle of the progress.
        let complaints = complaints.recv().unwrap_or_default();
        std::io::stderr().write_all(&complaints)?;
    }
    Ok((String::from_utf8_lossy(&output).into_owned(), failure))
}

/// Reads what a child prints, on a thread of its own, and sends it when the child has closed its output.
fn collect(mut from: impl Read + Send + 'static) -> Receiver<Vec<u8>> {
    let (send, printed) = mpsc::channel();
    thread::spawn(move || {
        let mut output = Vec::new();
        // What was read before an error counts, and the child's status tells of its end.
        let _ = from.read_to_end(&mut output);
        let _ = send.send(output);
    });
    printed
}

fn cannot_run(command: &Command) -> String {
    format!("cannot run {}", cargo::shown(command))
}

fn milliseconds(seconds: f64) -> u64 {
    (seconds * 1000.0) as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Steps of cargo, which is there wherever this is tested.
    fn cargo_steps(arguments: &[&[&str]]) -> (Programs, Plan) {
        let cargo = PathBuf::from(cargo::cargo().unwrap().get_program());
        let step = |arguments: &&[&str]| Step {
            label: arguments.join(" "),
            program: "cargo".to_owned(),
            arguments: arguments.iter().map(|&argument| argument.to_owned()).collect(),
            seconds: 0.1,
        };
        let steps: Vec<Step> = arguments.iter().map(step).collect();
        let directory = cargo.parent().unwrap().to_owned();
        (Programs::lie_in(directory), Plan { seconds: 0.1 * steps.len() as f64, steps })
    }

    #[test]
    fn a_step_that_fails_does_not_stop_the_rest() {
        let (programs, plan) = cargo_steps(&[&["--version"], &["--no-such-flag"], &["--version"]]);
        let mut failures = Vec::new();
        let mut outputs = Vec::new();
        carry_out(&programs, &plan, |done| {
            outputs.push(done.output.starts_with("cargo "));
            failures.push(done.failure);
            Ok(())
        })
        .unwrap();
        assert_eq!(outputs, [true, false, true]);
        assert!(failures[0].is_none() && failures[2].is_none(), "{failures:?}");
        assert!(failures[1].as_ref().is_some_and(|failure| failure.contains("exit")), "{failures:?}");
    }

    #[test]
    fn an_error_about_a_step_ends_it_all() {
        let (programs, plan) = cargo_steps(&[&["--version"], &["--version"]]);
        let mut steps = 0;
        let outcome = carry_out(&programs, &plan, |done| {
            steps += 1;
            ensure!(done.failure.is_some(), "as it should be");
            Ok(())
        });
        assert_eq!((outcome.unwrap_err().to_string(), steps), ("as it should be".to_owned(), 1));
    }

    #[test]
    #[cfg(unix)]
    fn a_program_that_does_not_end_is_ended() {
        let mut endless = Command::new("tail");
        endless.args(["-f", "/dev/null"]);
        let (output, failure) = run(&mut endless, Duration::ZERO, |_| ()).unwrap();
        assert_eq!((output.as_str(), failure.as_deref()), ("", Some("not done after 0 s, so it was ended")));
    }

    #[test]
    fn a_program_may_lie_apart() {
        let programs = Programs::lie_in("here".into()).but("b", "there".into());
        let path = |name: &str| PathBuf::from(programs.command(name).get_program());
        assert_eq!((path("a"), path("b")), (Path::new("here").join("a"), Path::new("there").join("b")));
    }

    #[test]
    fn the_limit_leaves_time() {
        let step = |seconds| Step { label: String::new(), program: String::new(), arguments: Vec::new(), seconds };
        assert_eq!([limit(&step(0.0)).as_secs(), limit(&step(2.5)).as_secs()], [60, 85]);
    }

    #[test]
    fn time_is_told_in_minutes() {
        assert_eq!([minutes(12.2), minutes(60.0), minutes(179.9)], ["13 s", "1 min 0 s", "3 min 0 s"]);
    }

    #[test]
    fn a_file_that_cannot_be_written_is_refused() {
        assert!(ensure_writable(Path::new("report.json")).is_ok());
        let error = ensure_writable(&Path::new("no-such-directory").join("report.json")).unwrap_err();
        assert!(error.downcast_ref::<Usage>().is_some(), "{error}");
    }
}
