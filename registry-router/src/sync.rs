//! The locks and atomics of the registry: `std`'s, or shuttle's in a build that explores schedules.
//!
//! Such a build sets `--cfg shuttle`, which only `cargo xtask verify` does. It is not a feature, because cargo unifies
//! features: one crate that enabled it would replace the locks of all others in the same build.

#[cfg(shuttle)]
pub(crate) use shuttle::sync::atomic::{AtomicBool, AtomicU64};
#[cfg(shuttle)]
pub(crate) use shuttle::sync::{Mutex, MutexGuard};
#[cfg(not(shuttle))]
pub(crate) use std::sync::atomic::{AtomicBool, AtomicU64};
#[cfg(not(shuttle))]
pub(crate) use std::sync::{Mutex, MutexGuard};
