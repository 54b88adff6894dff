//! The same work for everybody: a registry on its backends, the bare maps, the registries of kameo and ractor, and two
//! on the BEAM.
//!
//! [`names`] draws ids and orders once, from a seed, for all of them; the operations and their loops are those of
//! [`registry_bench::timed_loop`], and [`measure`] runs them. Each [`peer`] is in a file of its own; [`roster`] is the list
//! of them, with what a reader must know of each. [`child`] runs a measurement in a process that may fail or hang, and
//! [`plan`] says which ones are run in which order.
//! The program `registry-peers` is called by `cargo xtask bench --peers`, once per step of a plan.

pub mod beam;
pub mod child;
pub mod gate;
pub mod kameo;
pub mod measure;
pub mod names;
pub mod peer;
pub mod plan;
pub mod ractor;
pub mod roster;
pub mod scc;
pub mod session;
pub mod version;
