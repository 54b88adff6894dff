//! `cargo xtask bench`: builds once, runs each step of a plan in a child process, and passes their output to the
//! program that makes the report.
//!
//! What is measured, and how, is decided in `registry-bench`.

use std::path::PathBuf;
use std::process::Command;

use anyhow::{Result, bail};
use clap::Args;

pub(crate) use self::deliver::Delivery;
use crate::cargo::{self, Usage};
use crate::host::Host;
use crate::steps::processor::{BUSY, BackgroundLoad, LoadMeter};
use crate::steps::{self, Programs};

/// Measures all backends under all workloads.
#[derive(Args, Debug, Default)]
pub(crate) struct Bench {
    /// Short slices: less than 3 minutes after the build on an idle machine. The default.
    #[arg(long, conflicts_with_all = ["full", "smoke"])]
    pub(crate) quick: bool,
    /// Long slices, more rounds, all workloads at all shard counts, curves and tails: hours.
    #[arg(long, conflicts_with = "smoke")]
    pub(crate) full: bool,
    /// As little as possible of everything, as a test; the figures mean nothing.
    #[arg(long)]
    pub(crate) smoke: bool,
    /// Lists the workloads and the backends, and measures nothing.
    #[arg(long)]
    pub(crate) list: bool,
    /// Only ratios of single operations; may be combined with the four options below.
    #[arg(long)]
    pub(crate) ratios: bool,
    /// Only bytes per entry and per binding.
    #[arg(long)]
    pub(crate) memory: bool,
    /// Only curves over entries, shards and live tasks, memory included.
    #[arg(long)]
    pub(crate) scale: bool,
    /// Only latencies under open-loop load.
    #[arg(long)]
    pub(crate) tails: bool,
    /// Only bytes of idle mailboxes.
    #[arg(long)]
    pub(crate) mailboxes: bool,
    /// Only this backend; may be given several times.
    #[arg(long)]
    pub(crate) backend: Vec<String>,
    /// Only this workload, and no ratios of single operations; may be given several times.
    #[arg(long)]
    pub(crate) workload: Vec<String>,
    /// Only this number of shards, for all workloads; may be given several times. Default: 64, and 1 and 16 for some.
    #[arg(long)]
    pub(crate) shards: Vec<usize>,
    /// The number of threads, instead of one per core, and instead of 1 and 2 for the ratios.
    #[arg(long, value_parser = at_least_one)]
    pub(crate) threads: Option<usize>,
    /// The number of servers, instead of that of each workload, and instead of 10,000 and 1,000,000 for the ratios; the
    /// number of live tasks for the tails. Curves have sizes of their own.
    #[arg(long, value_parser = at_least_one)]
    pub(crate) entries: Option<usize>,
    /// The seed of ids and their order, instead of that of each workload.
    #[arg(long)]
    pub(crate) seed: Option<u64>,
    /// Measures peers instead: this registry beside bare maps, other registries, and two on the BEAM if it is
    /// installed.
    #[arg(long, conflicts_with_all = ["backend", "workload", "shards"])]
    pub(crate) peers: bool,
    #[command(flatten)]
    pub(crate) delivery: Delivery,
    /// The directory of programs that are built already. Default: builds them with optimizations.
    #[arg(skip)]
    pub(crate) built: Option<PathBuf>,
}

mod deliver;

const PROGRAM: &str = "registry-bench";

/// The program that measures peers; built only when asked for, because its dependencies are whole actor systems.
const PEERS: &str = "registry-peers";

impl Bench {
    /// Builds, measures and reports.
    pub(crate) fn run(&self) -> Result<()> {
        self.delivery.check()?;
        let measuring = if self.peers { PEERS } else { PROGRAM };
        let programs = Programs::lie_in(match &self.built {
            Some(directory) => directory.clone(),
            None => self.build()?,
        });
        if self.list {
            return cargo::run(programs.command(measuring).arg("list"));
        }
        if !self.delivery.from.is_empty() {
            return self.deliver(programs.command(PROGRAM).arg("report"), "");
        }
        let plan = steps::ask(programs.command(measuring).arg("plan").args(self.arguments()))?;
        // Before the measurement, so that the date is that of its start.
        let host = serde_json::to_string(&Host::here())?;
        let mut lines = String::new();
        let meter = LoadMeter::start();
        if let Some(share) = meter.map(|meter| meter.before).filter(|&share| share > BUSY) {
            eprintln!(
                "warning: machine busy: {:.0} % of processor time goes to other programs; the run will take longer, and \
                 its figures will be unreliable",
                100.0 * share
            );
        }
        steps::carry_out(&programs, &plan, |done| match done.failure {
            // A report without some of the figures would look complete.
            Some(failure) => bail!("{} failed: {failure}", done.step.shown()),
            None => {
                lines.push_str(&done.output);
                Ok(())
            }
        })?;
        let mut report = programs.command(PROGRAM);
        report.args(["report", "--host", &host]);
        if let Some(load) = meter.and_then(LoadMeter::stop) {
            report.arg("--background-load").arg(serde_json::to_string::<BackgroundLoad>(&load)?);
        }
        self.deliver(&mut report, &lines)
    }

    /// Builds what measures and what makes the report, and returns their directory.
    fn build(&self) -> Result<PathBuf> {
        // Separately, so that neither is built with the features that only the other needs.
        for program in [PROGRAM, PEERS].iter().take(if self.peers { 2 } else { 1 }) {
            eprintln!("building {program}");
            cargo::run(cargo::cargo()?.args(["build", "--release", "--package", program]))?;
        }
        Ok(steps::target()?.join("release"))
    }

    /// Runs the program that makes the report, in all the forms that were asked for.
    fn deliver(&self, report: &mut Command, lines: &str) -> Result<()> {
        self.delivery.pass_on(report)?;
        match steps::report(report, lines.as_bytes())? {
            Some(0) => self.delivery.print(),
            // The program has printed why.
            Some(2) => bail!(Usage(String::new())),
            _ => bail!("the report failed"),
        }
        Ok(())
    }

    /// Returns the options of the program that makes the plan, which are the same.
    fn arguments(&self) -> Vec<String> {
        let mut arguments = Vec::new();
        let flags = [("--quick", self.quick), ("--full", self.full), ("--smoke", self.smoke)];
        let parts = [
            ("--ratios", self.ratios),
            ("--memory", self.memory),
            ("--scale", self.scale),
            ("--tails", self.tails),
            ("--mailboxes", self.mailboxes),
        ];
        let on = flags.iter().chain(&parts).filter(|(_, on)| *on);
        arguments.extend(on.map(|(flag, _)| (*flag).to_owned()));
        let mut option = |name: &str, value: String| arguments.extend([name.to_owned(), value]);
        self.backend.iter().for_each(|name| option("--backend", name.clone()));
        self.workload.iter().for_each(|name| option("--workload", name.clone()));
        self.shards.iter().for_each(|number| option("--shards", number.to_string()));
        self.threads.iter().for_each(|number| option("--threads", number.to_string()));
        self.entries.iter().for_each(|number| option("--entries", number.to_string()));
        self.seed.iter().for_each(|number| option("--seed", number.to_string()));
        arguments
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
    fn zero_is_rejected() {
        assert_eq!(at_least_one("0"), Err("there must be at least one".to_owned()));
        assert_eq!((at_least_one("2"), at_least_one("-1").is_err()), (Ok(2), true));
    }

    #[test]
    fn peers_conflict_with_backends_workloads_and_shards() {
        #[derive(Debug, clap::Parser)]
        struct Cli {
            #[command(flatten)]
            bench: Bench,
        }
        let parse = |arguments: &[&str]| <Cli as clap::Parser>::try_parse_from([&["bench"], arguments].concat());
        assert!(parse(&["--peers", "--full", "--threads", "2"]).is_ok_and(|cli| cli.bench.peers));
        for other in ["--backend", "--workload", "--shards"] {
            assert!(parse(&["--peers", other, "1"]).is_err(), "{other}");
        }
    }

    #[test]
    fn options_are_passed_to_the_planner() {
        let bench = Bench {
            quick: true,
            tails: true,
            backend: vec!["papaya".to_owned(), "dashmap".to_owned()],
            shards: vec![16],
            threads: Some(2),
            ..Bench::default()
        };
        let expected =
            ["--quick", "--tails", "--backend", "papaya", "--backend", "dashmap", "--shards", "16", "--threads", "2"];
        assert_eq!(bench.arguments(), expected);
    }
}
