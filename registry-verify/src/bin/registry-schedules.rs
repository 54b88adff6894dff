//! Explores schedules of the router's protocols, and prints an account of it as one line of JSON.
//!
//! A program of its own, because it has to be built with the scheduler's locks: `cargo xtask verify` does that.

#![allow(clippy::print_stdout, clippy::print_stderr, reason = "it is a program; its output is what it is for")]

use std::process::ExitCode;

#[cfg(not(shuttle))]
fn main() -> ExitCode {
    eprintln!("error: this program must be built with RUSTFLAGS=\"--cfg shuttle\"; `cargo xtask verify` does that");
    ExitCode::from(2)
}

#[cfg(shuttle)]
fn main() -> ExitCode {
    shuttled::main()
}

#[cfg(shuttle)]
mod shuttled {
    //! The program, where it can be one.

    use std::process::ExitCode;
    use std::time::Duration;

    use clap::Parser;
    use registry_core::Backend;
    use registry_router::backends::{Papaya, Reference, Visitor, for_each};
    use registry_verify::schedule::{self, SchedulerLocked};
    use registry_verify::{CheckReport, SeededBugs};

    /// Explores schedules of the router's protocols.
    #[derive(Debug, Parser)]
    #[command(name = "registry-schedules")]
    struct Arguments {
        /// On which backend.
        #[arg(long, default_value = Reference::NAME)]
        backend: String,
        /// For so long, at least until the seeded bugs were looked for.
        #[arg(long, default_value_t = 10.0)]
        seconds: f64,
        /// What the schedules are drawn from.
        #[arg(long, default_value_t = 1)]
        seed: u64,
    }

    /// Explores the backend that was named.
    struct Explore<'a> {
        arguments: &'a Arguments,
        budget: Duration,
        report: Option<CheckReport>,
        names: Vec<&'static str>,
    }

    impl Visitor for Explore<'_> {
        fn visit<B: Backend>(&mut self) {
            self.names.push(B::NAME);
            if self.arguments.backend != B::NAME {
                return;
            }
            let (seed, budget) = (self.arguments.seed, self.budget);
            // The reference is built with the scheduler's lock, and papaya waits for nothing.
            let report = if B::NAME == Reference::NAME || B::NAME == Papaya::NAME {
                schedule::run::<B>(seed, budget)
            } else {
                schedule::run::<SchedulerLocked<B>>(seed, budget)
            };
            self.report = Some(report);
        }
    }

    pub(crate) fn main() -> ExitCode {
        let arguments = Arguments::parse();
        let Ok(budget) = Duration::try_from_secs_f64(arguments.seconds) else {
            eprintln!("error: --seconds: {} is no time", arguments.seconds);
            return ExitCode::from(2);
        };
        let mut explore = Explore { arguments: &arguments, budget, report: None, names: Vec::new() };
        for_each(&mut explore);
        let Some(report) = explore.report else {
            let names = explore.names.join(", ");
            eprintln!("error: --backend: there is no {:?}; there are {names}", arguments.backend);
            return ExitCode::from(2);
        };
        match serde_json::to_string(&report) {
            Ok(line) => {
                println!("{line}");
                let SeededBugs { found, of, .. } = report.seeded_bugs;
                if report.violations == 0 && found == of { ExitCode::SUCCESS } else { ExitCode::FAILURE }
            }
            Err(error) => {
                eprintln!("error: {error}");
                ExitCode::FAILURE
            }
        }
    }
}
