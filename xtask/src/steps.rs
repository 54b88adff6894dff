//! Runs a plan of child processes step by step and passes their output to a program that makes a report; shared by
//! `bench` and `verify`.
//!
//! The steps are decided by the program that makes the plan.

use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use self::progress::Progress;
use crate::cargo::{self, Usage};

pub(crate) mod processor;
mod progress;

/// Steps to run one after the other, and their estimated time together.
#[derive(Debug, Deserialize)]
pub(crate) struct Plan {
    pub(crate) steps: Vec<Step>,
    pub(crate) seconds: f64,
}

/// One child process, and its estimated time.
#[derive(Debug, Deserialize, Serialize)]
pub(crate) struct Step {
    pub(crate) label: String,
    pub(crate) program: String,
    pub(crate) arguments: Vec<String>,
    pub(crate) seconds: f64,
}

impl Step {
    /// Returns the command line.
    pub(crate) fn shown(&self) -> String {
        format!("{} {}", self.program, self.arguments.join(" "))
    }
}

/// A step that has ended.
#[derive(Debug, Serialize)]
pub(crate) struct Done<'a> {
    pub(crate) step: &'a Step,
    /// Its standard output.
    pub(crate) output: String,
    /// Why it failed, if it did.
    pub(crate) failure: Option<String>,
}

/// The directories of the programs that steps name.
#[derive(Debug)]
pub(crate) struct Programs {
    usual: PathBuf,
    apart: Vec<(&'static str, PathBuf)>,
}

impl Programs {
    /// Finds all programs in one directory.
    pub(crate) fn lie_in(directory: PathBuf) -> Self {
        Self { usual: directory, apart: Vec::new() }
    }

    /// Finds `program` in another directory.
    pub(crate) fn but(mut self, program: &'static str, directory: PathBuf) -> Self {
        self.apart.push((program, directory));
        self
    }

    /// Returns a command that runs `program`.
    pub(crate) fn command(&self, program: &str) -> Command {
        let directory = self.apart.iter().find(|(apart, _)| *apart == program).map_or(&self.usual, |(_, path)| path);
        Command::new(directory.join(program))
    }
}

/// Returns the target directory of the workspace.
pub(crate) fn target() -> Result<PathBuf> {
    let output = cargo::output(cargo::cargo()?.args(["metadata", "--format-version", "1", "--no-deps"]))?;
    let metadata: serde_json::Value = serde_json::from_slice(&output.stdout).context("cargo metadata is JSON")?;
    let target = metadata["target_directory"].as_str().context("cargo knows its target directory")?;
    Ok(PathBuf::from(target))
}

/// Checks before a run that its report can be written to `file`.
///
/// # Errors
///
/// [`Usage`] if `file` is a directory or its directory does not exist.
pub(crate) fn ensure_writable(file: &Path) -> Result<()> {
    let directory = file.parent().filter(|directory| !directory.as_os_str().is_empty());
    let there = directory.is_none_or(Path::is_dir) && !file.is_dir();
    ensure!(there, Usage(format!("--json: cannot write {}", file.display())));
    Ok(())
}

/// Runs a program and parses its output as JSON.
///
/// # Errors
///
/// [`Usage`] without a message if the program failed, for it has printed why.
pub(crate) fn ask<T: DeserializeOwned>(command: &mut Command) -> Result<T> {
    let output = cargo::output(command)?;
    ensure!(output.status.success(), Usage(String::new()));
    serde_json::from_slice(&output.stdout)
        .with_context(|| format!("the output of {} is not JSON", cargo::shown(command)))
}

/// Runs the plan, and calls `done` after each step; an error of `done` ends the run.
///
/// # Errors
///
/// The error of `done`, or why a program could not be run.
pub(crate) fn carry_out(programs: &Programs, plan: &Plan, mut done: impl FnMut(Done<'_>) -> Result<()>) -> Result<()> {
    eprintln!("{} steps, about {} on an idle machine", plan.steps.len(), minutes(plan.seconds));
    let mut progress = Progress::start(plan.seconds)?;
    let mut planned = 0.0;
    for step in &plan.steps {
        progress.update(planned, &step.label);
        let mut command = programs.command(&step.program);
        command.args(&step.arguments);
        let (output, failure) = run(&mut command, limit(step), |elapsed| {
            progress.update(planned + elapsed.as_secs_f64().min(step.seconds), &step.label);
        })?;
        done(Done { step, output, failure })?;
        planned += step.seconds;
    }
    eprintln!("done in {}", minutes(progress.finish()));
    Ok(())
}

/// Runs a program that reads lines and prints a report, and returns its exit code.
pub(crate) fn report(command: &mut Command, lines: &[u8]) -> Result<Option<i32>> {
    let mut child = command.stdin(Stdio::piped()).spawn().with_context(|| cannot_run(command))?;
    let written = child.stdin.take().context("the child has a standard input")?.write_all(lines);
    let status = child.wait()?;
    // A program that fails early does not read all lines, and has printed why.
    if status.success() {
        written?;
    }
    Ok(status.code())
}

/// Formats a time in minutes and seconds.
pub(crate) fn minutes(seconds: f64) -> String {
    let seconds = seconds.ceil() as u64;
    if seconds < 60 { format!("{seconds} s") } else { format!("{} min {} s", seconds / 60, seconds % 60) }
}

/// Returns the time limit of a step, which only one that hangs reaches.
fn limit(step: &Step) -> Duration {
    Duration::from_secs(60) + Duration::try_from_secs_f64(10.0 * step.seconds).unwrap_or(Duration::ZERO)
}

/// Runs a program until it ends or the limit is reached; returns its output and the reason of a failure.
fn run(command: &mut Command, limit: Duration, mut tick: impl FnMut(Duration)) -> Result<(String, Option<String>)> {
    let began = Instant::now();
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().with_context(|| cannot_run(command))?;
    let printed = collect(child.stdout.take().context("the child has a standard output")?);
    let errors = collect(child.stderr.take().context("the child has a standard error")?);
    let mut in_time = true;
    let output = loop {
        match printed.recv_timeout(Duration::from_millis(100)) {
            Ok(output) => break output,
            Err(RecvTimeoutError::Disconnected) => break Vec::new(),
            Err(RecvTimeoutError::Timeout) if in_time && began.elapsed() > limit => {
                // Its output ends with it, so the next iteration receives what was printed.
                child.kill().with_context(|| format!("cannot end {}", cargo::shown(command)))?;
                in_time = false;
            }
            Err(RecvTimeoutError::Timeout) => tick(began.elapsed()),
        }
    };
    let status = child.wait()?;
    let failure = if !in_time {
        Some(format!("killed after {}", minutes(limit.as_secs_f64())))
    } else {
        (!status.success()).then(|| status.to_string())
    };
    if failure.is_some() {
        // Only now, for it would disturb the progress bar.
        std::io::stderr().write_all(&errors.recv().unwrap_or_default())?;
    }
    Ok((String::from_utf8_lossy(&output).into_owned(), failure))
}

/// Reads the output of a child on a thread, and sends it when the child has closed it.
fn collect(mut from: impl Read + Send + 'static) -> Receiver<Vec<u8>> {
    let (send, printed) = mpsc::channel();
    thread::spawn(move || {
        let mut output = Vec::new();
        // What was read before an error is kept; the status of the child is checked elsewhere.
        let _ = from.read_to_end(&mut output);
        let _ = send.send(output);
    });
    printed
}

fn cannot_run(command: &Command) -> String {
    format!("cannot run {}", cargo::shown(command))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Steps that run cargo, which is available in every test.
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
    fn a_failed_step_does_not_stop_the_run() {
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
    fn an_error_of_the_callback_ends_the_run() {
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
    fn a_program_that_hangs_is_killed() {
        let mut endless = Command::new("tail");
        endless.args(["-f", "/dev/null"]);
        let (output, failure) = run(&mut endless, Duration::ZERO, |_| ()).unwrap();
        assert_eq!((output.as_str(), failure.as_deref()), ("", Some("killed after 0 s")));
    }

    #[test]
    fn a_program_may_be_in_another_directory() {
        let programs = Programs::lie_in("here".into()).but("b", "there".into());
        let path = |name: &str| PathBuf::from(programs.command(name).get_program());
        assert_eq!((path("a"), path("b")), (Path::new("here").join("a"), Path::new("there").join("b")));
    }

    #[test]
    fn the_limit_exceeds_the_estimate() {
        let step = |seconds| Step { label: String::new(), program: String::new(), arguments: Vec::new(), seconds };
        assert_eq!([limit(&step(0.0)).as_secs(), limit(&step(2.5)).as_secs()], [60, 85]);
    }

    #[test]
    fn times_are_formatted_in_minutes() {
        assert_eq!([minutes(12.2), minutes(60.0), minutes(179.9)], ["13 s", "1 min 0 s", "3 min 0 s"]);
    }

    #[test]
    fn a_file_that_cannot_be_written_is_refused() {
        assert!(ensure_writable(Path::new("report.json")).is_ok());
        let error = ensure_writable(&Path::new("no-such-directory").join("report.json")).unwrap_err();
        assert!(error.downcast_ref::<Usage>().is_some(), "{error}");
    }
}
