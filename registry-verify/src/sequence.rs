//! Specification-based testing: random sequences of operations on a registry, each judged by the specification.
//!
//! An [`Op`] is an operation as data, and [`RegistryUnderTest`] executes it. [`check`] runs a sequence and judges every
//! call with its outcome by the [specification](crate::spec) in its strict mode, which allows exactly one outcome; after
//! each operation it reads and judges the whole observable state. [`run`] does so for random sequences until its time
//! budget ends.

mod any_inbox;
mod ids;
mod op;
mod random;
mod under_test;

use std::fmt;

use registry_core::Backend;

use crate::spec::{Completed, RegistrySpec, State};

pub use op::{Many, Op, sequences};
pub use random::{LENGTH, run};
pub use under_test::RegistryUnderTest;

/// Runs `ops` on a registry of `B` with `shards` shards, and judges every call.
///
/// Returns the number of operations, the final reads counted as one.
///
/// # Errors
///
/// Returns a [`Violation`] at the first outcome that the specification does not allow.
pub fn check<B: Backend>(ops: &[Op], shards: usize) -> Result<usize, Violation> {
    let mut under_test = RegistryUnderTest::<B>::new(shards);
    let mut judge = Judge::default();
    for (step, op) in ops.iter().enumerate() {
        judge.judge(step, under_test.apply(op))?;
        judge.judge(step, under_test.observe())?;
    }
    // With all leases dropped, detached entries unregistered and all inboxes read, nothing may remain.
    let end = ops.len();
    judge.judge(end, under_test.finish())?;
    judge.judge(end, under_test.observe())?;
    Ok(end + 1)
}

/// The specification, and the state that the calls so far have led to.
struct Judge {
    spec: RegistrySpec,
    state: State,
}

impl Default for Judge {
    fn default() -> Self {
        let spec = RegistrySpec::strict();
        Self { spec, state: spec.initial() }
    }
}

impl Judge {
    fn judge(&mut self, step: usize, calls: Vec<Completed>) -> Result<(), Violation> {
        for completed in calls {
            match self.spec.apply(&self.state, &completed) {
                Some(next) => self.state = next,
                None => {
                    let message = format!("step {step}, not allowed: {completed}\n  in this state: {}", self.state);
                    return Err(Violation { message });
                }
            }
        }
        Ok(())
    }
}

/// An outcome that the specification does not allow.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    message: String,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Violation {}
