//! The registry's verification suite: random sequences, linearizability of recorded histories, schedule
//! exploration, and failure storms.
//!
//! Each kind of check is a module whose `run` takes a backend, a seed and a time budget or scale, and returns a
//! [`CheckReport`] with what was checked and every violation found.

mod any_lease;
pub mod check_report;
pub mod history;
pub mod linear;
mod panic_message;
#[cfg(shuttle)]
pub mod schedule;
pub mod sequence;
pub mod spec;
pub mod storm;

pub use check_report::{Case, CheckReport, SeededBugs, StormReport};
