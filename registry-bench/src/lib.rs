//! Workloads as data, and what runs them: over a registry on every backend, and over the bare maps beside it.
//!
//! What is compared runs interleaved in one process, and a figure is a ratio with its median and its range.
//! [`workload`] has the workloads, [`driver`] runs one of them, [`ratio`] compares single operations, [`bulk`] those that
//! are done many at once, [`scale`] shows how they grow, [`tails`] how late they are under a load that does not wait,
//! [`memory`] counts bytes, [`mailboxes`] those of connections that nobody talks to, [`plan`] says what is run and in which
//! order, [`record`] is what is written down, [`report`] is what a person reads, [`page`] the same as a page with plots;
//! [`target`] is what it is all meant to cost, and [`deliver`] writes it all.
//! The programs `registry-bench`, `registry-bench-memory` and `registry-bench-mailboxes` are called by
//! `cargo xtask bench`, once per step of a plan.

pub mod bare;
pub mod bulk;
pub mod checks;
pub mod choose;
pub mod deliver;
pub mod driver;
pub mod failures;
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
pub mod world;
