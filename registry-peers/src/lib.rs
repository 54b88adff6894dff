//! The same work for everybody: a registry on its backends, the bare maps, the registries of kameo and ractor, and two
//! on the BEAM.
//!
//! [`names`] draws ids and orders once, from a seed, for all of them; [`operation`] says what is timed, [`lap`] has the
//! loops, [`measure`] the threads and the clock. What a peer is lies in a file of its own; [`roster`] is the list of
//! them, with what a reader must know of each. [`child`] runs a measurement in a process that may fail or hang, and
//! [`plan`] says which ones are run in which order.
//! The program `registry-peers` is called by `cargo xtask bench --peers`, once per step of a plan.

pub mod beam;
pub mod child;
pub mod gate;
pub mod kameo;
pub mod lap;
pub mod measure;
pub mod names;
pub mod operation;
pub mod plan;
pub mod ractor;
pub mod roster;
pub mod scc;
pub mod session;
pub mod version;
