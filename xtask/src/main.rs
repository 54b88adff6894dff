//! The tasks of this workspace: `cargo xtask bench`, `instructions`, `verify`, `test`, `ci`, `tidy`.

#![allow(clippy::print_stdout, clippy::print_stderr, reason = "it is a program; its output is what it is for")]

mod bench;
mod cargo;
mod ci;
mod host;
mod instructions;
mod rules;
mod seeded;
mod steps;
mod test;
mod tidy;
mod verify;

use std::process::ExitCode;

use clap::Parser;

/// The tasks of this workspace.
#[derive(Debug, Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask")]
enum Task {
    /// Measures all backends over all workloads, and says which suits which load.
    Bench(bench::Bench),
    /// Counts the instructions of the hot operations, and compares them with the recorded ones.
    Instructions(instructions::Instructions),
    /// Checks every promise on every backend, for a given time, and gives an account.
    Verify(verify::Verify),
    /// Runs all tests: with nextest if it is installed, else with cargo, and doc tests in any case.
    Test(test::Test),
    /// Runs the gates that a change has to pass, or only those that are named.
    Ci(ci::Ci),
    /// Checks what no other tool checks: file headers and lengths, arrows between crates, versions, licences.
    Tidy,
}

fn main() -> ExitCode {
    let outcome = match Task::parse() {
        Task::Bench(bench) => bench.run(),
        Task::Instructions(instructions) => instructions.run(),
        Task::Verify(verify) => verify.run(),
        Task::Test(test) => test.run(),
        Task::Ci(ci) => ci.run(),
        Task::Tidy => tidy::run(),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let usage = error.downcast_ref::<cargo::Usage>();
            // A child that was asked for something impossible has said so itself.
            if !usage.is_some_and(|usage| usage.0.is_empty()) {
                eprintln!("error: {error:#}");
            }
            ExitCode::from(if usage.is_some() { 2 } else { 1 })
        }
    }
}
