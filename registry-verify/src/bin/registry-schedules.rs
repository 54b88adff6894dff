//! Explores schedules of the router's protocols, and prints a report as one line of JSON.
//!
//! A separate program because it must be built with the scheduler's locks: `cargo xtask verify` does that.

#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a command-line program reports on standard output")]

use std::process::ExitCode;

#[cfg(not(shuttle))]
fn main() -> ExitCode {
    eprintln!("error: build this program with RUSTFLAGS=\"--cfg shuttle\", as `cargo xtask verify` does");
    ExitCode::from(2)
}

#[cfg(shuttle)]
fn main() -> ExitCode {
    explorer::main()
}

#[cfg(shuttle)]
mod explorer {
    //! The program, compiled only with `--cfg shuttle`.

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
        /// The backend.
        #[arg(long, default_value = Reference::NAME)]
        backend: String,
        /// How many seconds to explore; the search for seeded bugs always completes.
        #[arg(long, default_value_t = 10.0)]
        seconds: f64,
        /// The seed of the schedules.
        #[arg(long, default_value_t = 1)]
        seed: u64,
    }

    /// Explores the named backend.
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
            // The reference is built with the scheduler's lock, and papaya never blocks.
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
            eprintln!("error: --seconds: {} is not a valid duration", arguments.seconds);
            return ExitCode::from(2);
        };
        let mut explore = Explore { arguments: &arguments, budget, report: None, names: Vec::new() };
        for_each(&mut explore);
        let Some(report) = explore.report else {
            let names = explore.names.join(", ");
            eprintln!("error: --backend: unknown backend {:?}; known backends: {names}", arguments.backend);
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
