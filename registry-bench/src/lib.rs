//! Benchmarks of the registry on every backend, beside the bare maps.
//!
//! Subjects that are compared run in turns in one process, and a figure is a ratio with its median and its range.
//! [`workload`] has the workloads as data, and [`driver`] runs one. [`timed_loop`] has the loops over single
//! operations, and [`interleave`] runs them in turns; [`ratio`] compares single operations, [`bulk`] bulk operations,
//! [`scale`] measures growth, [`tails`] latency under open-loop load, [`memory`] bytes of entries, and [`mailboxes`]
//! those of idle mailboxes. [`plan`] decides what is run and in which order, [`record`] is the JSON document, and
//! [`target`] has the bounds on the cost. The tables of figures are described once, and [`report`] renders them for the
//! terminal, [`page`] as HTML with plots; [`readme`] writes the table of the README, and [`deliver`] writes all of
//! them. The programs `registry-bench`, `registry-bench-memory` and `registry-bench-mailboxes` are called by
//! `cargo xtask bench`, once per step of a plan.

pub mod bare;
pub mod bulk;
pub mod choose;
pub mod deliver;
pub mod driver;
pub mod failures;
pub mod fixture;
pub mod health_checks;
pub mod interleave;
pub mod mailboxes;
pub mod memory;
pub mod owners;
pub mod page;
pub mod plan;
pub mod ratio;
pub mod readme;
pub mod record;
pub mod registry;
pub mod report;
pub mod scale;
pub mod spread;
pub mod subject;
pub mod switch;
mod tables;
pub mod tails;
pub mod target;
pub mod timed_loop;
mod units;
pub mod workload;
