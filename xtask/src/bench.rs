//! `cargo xtask bench`: builds once, runs a plan step by step, each step in a child process, and hands what they print
//! to the program that makes the report.
//!
//! What is measured, and how, is decided in `registry-bench`.

use std::process::Command;

use anyhow::{Result, bail};
use clap::Args;

pub(crate) use self::deliver::Delivery;
use crate::cargo::{self, Usage};
use crate::host::Host;
use crate::steps::{self, Programs};

/// Measures all backends over all workloads.
#[derive(Args, Debug, Default)]
pub(crate) struct Bench {
    /// All of it in less than 3 minutes after the build: short slices. The default.
    #[arg(long, conflicts_with_all = ["full", "smoke"])]
    pub(crate) quick: bool,
    /// Long slices, more rounds, all workloads at all shard counts, curves and tails. Hours.
    #[arg(long, conflicts_with = "smoke")]
    pub(crate) full: bool,
    /// As little as possible of everything, to see that it runs; its figures mean nothing.
    #[arg(long)]
    pub(crate) smoke: bool,
    /// Shows the workloads and the backends, and measures nothing.
    #[arg(long)]
    pub(crate) list: bool,
    /// Of all that could be measured, ratios of single operations; may be combined with the others below.
    #[arg(long)]
    pub(crate) ratios: bool,
    /// Bytes per entry and per binding.
    #[arg(long)]
    pub(crate) memory: bool,
    /// Curves along entries, shards and live tasks, those of memory too.
    #[arg(long)]
    pub(crate) scale: bool,
    /// Latencies under open-loop load.
    #[arg(long)]
    pub(crate) tails: bool,
    /// Bytes of idle mailboxes.
    #[arg(long)]
    pub(crate) mailboxes: bool,
    /// This backend only; may be given several times.
    #[arg(long)]
    pub(crate) backend: Vec<String>,
    /// This workload only, and no ratios of single operations; may be given several times.
    #[arg(long)]
    pub(crate) workload: Vec<String>,
    /// This number of shards only, for all workloads; may be given several times. Default: 64, and 1 and 16 for some.
    #[arg(long)]
    pub(crate) shards: Vec<usize>,
    /// So many threads, instead of one per core, and instead of 1 and 2 for the ratios.
    #[arg(long, value_parser = at_least_one)]
    pub(crate) threads: Option<usize>,
    /// So many servers, instead of what each workload has, and instead of 10,000 and 1,000,000 for the ratios; so many
    /// live tasks for the tails. Curves have sizes of their own.
    #[arg(long, value_parser = at_least_one)]
    pub(crate) entries: Option<usize>,
    /// What ids and order are drawn from, instead of what each workload has.
    #[arg(long)]
    pub(crate) seed: Option<u64>,
    /// Measures peers instead: ours beside the bare maps, other registries, and two on the BEAM if it is installed.
    #[arg(long, conflicts_with_all = ["backend", "workload", "shards"])]
    pub(crate) peers: bool,
    #[command(flatten)]
    pub(crate) delivery: Delivery,
}

mod deliver;

const PROGRAM: &str = "registry-bench";

/// What measures peers. It is built for that only, since it brings whole actor systems along.
const PEERS: &str = "registry-peers";

impl Bench {
    /// Does all of it.
    pub(crate) fn run(&self) -> Result<()> {
        self.delivery.check()?;
        // Apart, so that neither is built with what the other asks of a crate.
        let measuring = if self.peers { PEERS } else { PROGRAM };
        for program in [PROGRAM, PEERS].iter().take(if self.peers { 2 } else { 1 }) {
            eprintln!("building {program}");
            cargo::run(cargo::cargo()?.args(["build", "--release", "--package", program]))?;
        }
        let programs = Programs::lie_in(steps::target()?.join("release"));
        if self.list {
            return cargo::run(programs.command(measuring).arg("list"));
        }
        if !self.delivery.from.is_empty() {
            return self.deliver(programs.command(PROGRAM).arg("report"), "");
        }
        let plan = steps::ask(programs.command(measuring).arg("plan").args(self.wish()))?;
        // Asked before the measurement, so that the date is that of its beginning.
        let host = serde_json::to_string(&Host::here())?;
        let mut lines = String::new();
        steps::carry_out(&programs, &plan, |done| match done.failure {
            // A figure that is missing would make others look as if they were all.
            Some(failure) => bail!("{} failed: {failure}", done.step.shown()),
            None => {
                lines.push_str(&done.output);
                Ok(())
            }
        })?;
        self.deliver(programs.command(PROGRAM).args(["report", "--host", &host]), &lines)
    }

    /// Has a report made, in all the forms that were asked for.
    fn deliver(&self, report: &mut Command, lines: &str) -> Result<()> {
        self.delivery.pass_on(report)?;
        match steps::report(report, lines.as_bytes())? {
            Some(0) => self.delivery.tell(),
            // It has said why itself.
            Some(2) => bail!(Usage(String::new())),
            _ => bail!("the report failed"),
        }
        Ok(())
    }

    /// What was asked for, in the child's words, which are the same.
    fn wish(&self) -> Vec<String> {
        let mut words = Vec::new();
        let flags = [("--quick", self.quick), ("--full", self.full), ("--smoke", self.smoke)];
        let parts = [
            ("--ratios", self.ratios),
            ("--memory", self.memory),
            ("--scale", self.scale),
            ("--tails", self.tails),
            ("--mailboxes", self.mailboxes),
        ];
        let on = flags.iter().chain(&parts).filter(|(_, on)| *on);
        words.extend(on.map(|(flag, _)| (*flag).to_owned()));
        let mut option = |name: &str, value: String| words.extend([name.to_owned(), value]);
        self.backend.iter().for_each(|name| option("--backend", name.clone()));
        self.workload.iter().for_each(|name| option("--workload", name.clone()));
        self.shards.iter().for_each(|number| option("--shards", number.to_string()));
        self.threads.iter().for_each(|number| option("--threads", number.to_string()));
        self.entries.iter().for_each(|number| option("--entries", number.to_string()));
        self.seed.iter().for_each(|number| option("--seed", number.to_string()));
        words
    }
}

fn at_least_one(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(0) => Err("there must be at least one".to_owned()),
        Ok(number) => Ok(number),
        Err(_) => Err("not a whole number".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn zero_is_refused() {
        assert_eq!(at_least_one("0"), Err("there must be at least one".to_owned()));
        assert_eq!((at_least_one("2"), at_least_one("-1").is_err()), (Ok(2), true));
    }

    #[test]
    fn peers_have_no_backends_workloads_or_shards() {
        #[derive(Debug, clap::Parser)]
        struct Words {
            #[command(flatten)]
            bench: Bench,
        }
        let parse = |words: &[&str]| <Words as clap::Parser>::try_parse_from([&["bench"], words].concat());
        assert!(parse(&["--peers", "--full", "--threads", "2"]).is_ok_and(|words| words.bench.peers));
        for other in ["--backend", "--workload", "--shards"] {
            assert!(parse(&["--peers", other, "1"]).is_err(), "{other}");
        }
    }

    #[test]
    fn a_wish_is_passed_on() {
        let bench = Bench {
            quick: true,
            tails: true,
            backend: vec!["papaya".to_owned(), "dashmap".to_owned()],
            shards: vec![16],
            threads: Some(2),
            ..Bench::default()
        };
        let words =
            ["--quick", "--tails", "--backend", "papaya", "--backend", "dashmap", "--shards", "16", "--threads", "2"];
        assert_eq!(bench.wish(), words);
    }
}
