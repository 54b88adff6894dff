//! What a registry is checked against: a sequential model, recorded histories, explored schedules, storms and faults.
//!
//! Each kind of check is a module with a `run`, which takes a backend, a seed and as long as it is given, and returns
//! an [`CheckReport`]: what was checked, and what was found to be wrong.

pub mod check_report;
pub mod history;
pub mod linear;
mod panic_message;
#[cfg(shuttle)]
pub mod schedule;
pub mod sequence;
pub mod storm;

pub use check_report::{Case, CheckReport, SeededBugs, StormReport};
