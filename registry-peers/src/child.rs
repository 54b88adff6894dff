//! Measures a peer in a child process, and makes rows of its output, even if it fails, hangs, or is not installed.
//!
//! A child prints a line for its version, if that is not known here, and one for each operation: its name, then
//! `measured` with nanoseconds and operations per second, or `failed` with the reason.

use std::io::{self, Read};
use std::process::{Command, Stdio};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use registry_bench::record::{Outcome, Peer};
use registry_bench::timed_loop::Operation;

use crate::measure::Figure;
use crate::names::Size;
use crate::peers::{PeerSpec, Setup};

/// A peer to measure.
#[derive(Clone, Copy, Debug)]
pub struct Job {
    /// The peer.
    pub spec: &'static PeerSpec,
    /// The numbers of entries and threads.
    pub size: Size,
    /// The time of each operation.
    pub slice: Duration,
    /// The seed of ids and their order.
    pub seed: u64,
}

/// Returns the line that a child prints about an operation.
#[must_use]
pub fn line(operation: Operation, outcome: &Result<Figure>) -> String {
    match outcome {
        Ok(Figure { ns, ops_per_s }) => format!("{operation} measured {ns:.3} {ops_per_s:.1}"),
        Err(error) => format!("{operation} failed {}", format!("{error:#}").replace('\n', " ")),
    }
}

impl Job {
    /// Runs it in a child that is killed after `limit`, and makes a row for each operation in any case.
    ///
    /// # Errors
    ///
    /// If the files of the child cannot be written, or its output is invalid.
    pub fn run(&self, limit: Duration) -> Result<Vec<Peer>> {
        match self.spec.make {
            Setup::InProcess(_) => {
                let mut command = Command::new(std::env::current_exe().context("the path of this program is unknown")?);
                command.args(["measure", "--peer", self.spec.key]).args(self.arguments());
                self.rows(run(&mut command, limit), "this program has been moved")
            }
            Setup::Script(script) => {
                let prepared = script.prepare(self.size, self.slice, self.seed)?;
                self.rows(run(&mut prepared.command(), limit), script.install)
            }
        }
    }

    /// Returns the options of the child.
    #[must_use]
    pub fn arguments(&self) -> Vec<String> {
        let Size { entries, threads } = self.size;
        let words = [
            ("--entries", entries.to_string()),
            ("--threads", threads.to_string()),
            ("--slice-us", self.slice.as_micros().to_string()),
            ("--seed", self.seed.to_string()),
        ];
        words.into_iter().flat_map(|(name, value)| [name.to_owned(), value]).collect()
    }

    fn rows(&self, end: End, install: &str) -> Result<Vec<Peer>> {
        let (parsed, default_outcome) = match end {
            End::Missing => (ChildOutput::default(), Outcome::Missing(install.to_owned())),
            End::Ended { output, failure } => {
                let failure = failure.unwrap_or_else(|| "it ended without a result".to_owned());
                (parse(&output)?, Outcome::Failed(failure))
            }
        };
        let name = match &parsed.version {
            Some(version) => self.spec.with_version(Some(version)),
            None => self.spec.named(),
        };
        let row = |operation: Operation| {
            let outcome = parsed.outcomes.iter().find(|(of, _)| *of == operation);
            Peer {
                peer: name.clone(),
                kind: self.spec.kind.to_owned(),
                operation: operation.name().to_owned(),
                threads: self.size.threads,
                entries: self.size.entries,
                seed: self.seed,
                outcome: outcome.map_or_else(|| default_outcome.clone(), |(_, outcome)| outcome.clone()),
                remark: self.spec.remark(operation),
            }
        };
        Ok(Operation::ALL.into_iter().map(row).collect())
    }
}

/// The parsed output of a child.
#[derive(Debug, Default, PartialEq)]
struct ChildOutput {
    version: Option<String>,
    outcomes: Vec<(Operation, Outcome)>,
}

fn parse(output: &str) -> Result<ChildOutput> {
    let mut parsed = ChildOutput::default();
    for line in output.lines() {
        let wrong = || format!("invalid line of a peer: {line}");
        let (first, rest) = line.split_once(' ').with_context(wrong)?;
        if first == "version" {
            parsed.version = Some(rest.to_owned());
            continue;
        }
        let operation = Operation::from_name(first).with_context(wrong)?;
        let outcome = match rest.split_once(' ').with_context(wrong)? {
            ("measured", figures) => {
                let (ns, ops_per_s) = figures.split_once(' ').with_context(wrong)?;
                let figure = |text: &str| text.parse::<f64>().ok().filter(|figure| *figure > 0.0).with_context(wrong);
                Outcome::Measured { ns: figure(ns)?, ops_per_s: figure(ops_per_s)? }
            }
            ("cannot", why) => Outcome::Cannot(why.to_owned()),
            ("failed", why) => Outcome::Failed(why.to_owned()),
            _ => bail!(wrong()),
        };
        parsed.outcomes.push((operation, outcome));
    }
    Ok(parsed)
}

/// The end of a child.
#[derive(Debug, PartialEq)]
enum End {
    /// It ran.
    Ended { output: String, failure: Option<String> },
    /// There is no such program.
    Missing,
}

/// The exit code of a shell if a program is not found; `elixir` is a script that calls another.
const NOT_FOUND: i32 = 127;

/// Runs a program until it ends or the limit is reached.
fn run(command: &mut Command, limit: Duration) -> End {
    let failed = |error: &io::Error| End::Ended { output: String::new(), failure: Some(error.to_string()) };
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = match command.spawn() {
        Ok(child) => child,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return End::Missing,
        Err(error) => return failed(&error),
    };
    let (send, ended) = mpsc::channel();
    for (number, pipe) in [child.stdout.take().map(boxed), child.stderr.take().map(boxed)].into_iter().enumerate() {
        let send = send.clone();
        thread::spawn(move || {
            let mut bytes = Vec::new();
            if let Some(mut pipe) = pipe {
                // What was read before an error is kept.
                let _ = pipe.read_to_end(&mut bytes);
            }
            let _ = send.send((number, String::from_utf8_lossy(&bytes).into_owned()));
        });
    }
    drop(send);
    let mut texts = [String::new(), String::new()];
    let mut in_time = true;
    let mut left = texts.len();
    while left > 0 {
        match ended.recv_timeout(limit) {
            Ok((number, text)) => {
                texts[number] = text;
                left -= 1;
            }
            Err(RecvTimeoutError::Timeout) if in_time => {
                // Its output ends with it, so the next iteration receives what was printed.
                in_time = false;
                if let Err(error) = child.kill() {
                    return failed(&error);
                }
            }
            Err(_) => break,
        }
    }
    let [output, errors] = texts;
    let failure = match child.wait() {
        _ if !in_time => Some(format!("killed after {} s", limit.as_secs())),
        Ok(status) if status.code() == Some(NOT_FOUND) => return End::Missing,
        Ok(status) if status.success() => None,
        Ok(status) => {
            let last = errors.lines().rfind(|line| !line.trim().is_empty()).unwrap_or_default();
            Some(format!("{status}: {}", last.trim()))
        }
        Err(error) => Some(error.to_string()),
    };
    End::Ended { output, failure }
}

fn boxed(pipe: impl Read + Send + 'static) -> Box<dyn Read + Send> {
    Box::new(pipe)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::peers;

    fn job(key: &str) -> Job {
        let size = Size { entries: 100, threads: 2 };
        Job { spec: peers::find(key).unwrap(), size, slice: Duration::from_micros(10), seed: 1 }
    }

    fn ended(output: &str, failure: Option<&str>) -> End {
        End::Ended { output: output.to_owned(), failure: failure.map(str::to_owned) }
    }

    #[test]
    fn lines_become_rows_with_version_and_remark() {
        let output = "version Erlang/OTP 25\nlookup measured 356.356 2806182.0\nbind cannot nothing to bind\n";
        let error = job("ets").rows(ended(output, None), "").unwrap_err().to_string();
        assert_eq!(error, "invalid line of a peer: bind cannot nothing to bind");
        let output =
            output.replace("bind cannot", "mixed cannot") + "route failed 3 operations did not do what they should\n";
        let rows = job("ets").rows(ended(&output, None), "").unwrap();
        assert_eq!(rows.len(), 6);
        assert!(rows.iter().all(|row| row.peer == "64 ETS tables Erlang/OTP 25" && row.kind == "beam"));
        assert_eq!(rows[0].outcome, Outcome::Measured { ns: 356.356, ops_per_s: 2_806_182.0 });
        assert!(rows[0].remark.as_ref().is_some_and(|remark| remark.contains("phash2")));
        let failed = |why: &str| Outcome::Failed(why.to_owned());
        assert_eq!(rows[1].outcome, failed("it ended without a result"));
        assert_eq!(rows[3].outcome, failed("3 operations did not do what they should"));
        assert_eq!(rows[5].outcome, Outcome::Cannot("nothing to bind".to_owned()));
    }

    #[test]
    fn invalid_figures_are_rejected() {
        for line in [
            "lookup measured 1.0",
            "lookup measured x 2.0",
            "lookup measured 0.0 2.0",
            "lookup measured NaN 1",
            "lookup",
        ] {
            assert!(parse(line).is_err(), "{line}");
        }
    }

    #[test]
    fn printed_lines_are_parsed() {
        let printed = line(Operation::Hot, &Ok(Figure { ns: 12.5, ops_per_s: 8e7 }));
        assert_eq!(
            parse(&printed).unwrap().outcomes,
            [(Operation::Hot, Outcome::Measured { ns: 12.5, ops_per_s: 8e7 })]
        );
        let printed = line(Operation::Miss, &Err(anyhow::anyhow!("two\nlines")));
        assert_eq!(parse(&printed).unwrap().outcomes, [(Operation::Miss, Outcome::Failed("two lines".to_owned()))]);
    }

    #[test]
    fn a_program_that_is_not_installed_is_missing_with_instructions() {
        let end = run(&mut Command::new("no-such-program-anywhere"), Duration::from_secs(60));
        assert_eq!(end, End::Missing);
        let rows = job("elixir").rows(end, "apt-get install elixir").unwrap();
        assert!(rows.iter().all(|row| row.outcome == Outcome::Missing("apt-get install elixir".to_owned())));
        assert_eq!(rows[0].peer, "Elixir Registry");
    }

    #[test]
    #[cfg(unix)]
    fn a_child_that_hangs_is_killed_and_its_output_is_kept() {
        let mut hangs = Command::new("sh");
        hangs.args(["-c", "echo lookup measured 5.0 7.0; exec tail -f /dev/null"]);
        // Long enough to print a line on a busy machine.
        let end = run(&mut hangs, Duration::from_secs(4));
        let rows = job("scc").rows(end, "").unwrap();
        assert_eq!(rows[0].outcome, Outcome::Measured { ns: 5.0, ops_per_s: 7.0 });
        assert_eq!(rows[1].outcome, Outcome::Failed("killed after 4 s".to_owned()));
    }

    #[test]
    #[cfg(unix)]
    fn a_failed_child_reports_its_last_error_line() {
        let mut fails = Command::new("sh");
        fails.args(["-c", "echo oh dear >&2; exit 3"]);
        let limit = Duration::from_secs(60);
        assert_eq!(run(&mut fails, limit), ended("", Some("exit status: 3: oh dear")));
        let mut not_found = Command::new("sh");
        not_found.args(["-c", "exit 127"]);
        assert_eq!(run(&mut not_found, limit), End::Missing);
    }
}
