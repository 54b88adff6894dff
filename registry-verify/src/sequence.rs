//! Model-based testing: random sequences of operations on a registry and on a sequential model.
//!
//! An [`Op`] is an operation as data, the [`Model`] defines its result, and [`RegistryUnderTest`] executes it.
//! [`compare`] runs a sequence on both and compares every result and, after each step, the whole observable state.
//! [`run`] does so for random sequences until its time budget ends.

mod model;
mod op;
mod outcome;
mod random;
mod under_test;

use std::fmt;

use registry_core::Backend;

pub use model::Model;
pub use op::{Many, Op, Side, sequences};
pub use outcome::{Outcome, View};
pub use random::{LENGTH, run};
pub use under_test::RegistryUnderTest;

/// Runs `ops` on the model and on a registry of `B` with `shards` shards, and compares them.
///
/// Returns the number of compared steps.
///
/// # Errors
///
/// Returns a [`Violation`] at the first step after which the two differ.
pub fn compare<B: Backend>(ops: &[Op], shards: usize) -> Result<usize, Violation> {
    let mut model = Model::default();
    let mut under_test = RegistryUnderTest::<B>::new(shards);
    for (step, op) in ops.iter().enumerate() {
        expect_equal(step, &format!("{op:?}"), model.apply(op), under_test.apply(op))?;
        expect_equal(step, &format!("state after {op:?}"), model.view(), under_test.view())?;
    }
    // With all leases dropped, detached entries unregistered and all inboxes read, nothing may remain.
    let end = ops.len();
    expect_equal(end, "contents of all inboxes", model.finish(), under_test.finish())?;
    expect_equal(end, "final state", View::default(), under_test.view())?;
    Ok(end + 1)
}

fn expect_equal<T: PartialEq + fmt::Debug>(step: usize, what: &str, expected: T, found: T) -> Result<(), Violation> {
    if expected == found {
        return Ok(());
    }
    let message = format!("step {step}, {what}: expected {expected:?}, found {found:?}");
    Err(Violation { message })
}

/// A difference between the registry and the model.
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
