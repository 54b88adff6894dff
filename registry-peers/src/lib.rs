//! The same work on the registry, on bare maps, on the registries of kameo and ractor, and on two on the BEAM.
//!
//! [`names`] draws ids and orders once, from a seed, for all of them; the operations and their loops are those of
//! [`registry_bench::timed_loop`], and [`measure`] runs them. Each [`peer`] is in a file of its own; [`peers`] is the
//! list of them, with how each differs. [`child`] runs a measurement in a process that may fail or hang, and
//! [`plan`] says which ones are run in which order.
//! The program `registry-peers` is called by `cargo xtask bench --peers`, once per step of a plan.

pub mod beam;
pub mod child;
pub mod gate;
pub mod kameo;
pub mod measure;
pub mod names;
pub mod peer;
pub mod peers;
pub mod plan;
pub mod ractor;
pub mod scc;
pub mod session;
pub mod version;
