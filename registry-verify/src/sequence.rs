//! A plain sequential model of the registry, and random sequences of operations on both.
//!
//! [`Op`] is an operation as data, [`Model`] says what it must do, [`RegistryUnderTest`] does it to a registry, and [`compare`] runs
//! a sequence on both and compares every result and, after each step, everything that can be seen. [`run`] does so with
//! one random sequence after the other.

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

/// Runs `ops` on the model and on a registry of `B` with that many shards, and compares.
///
/// Returns the number of steps that were compared.
///
/// # Errors
///
/// [`Violation`] at the first step after which the two differ.
pub fn compare<B: Backend>(ops: &[Op], shards: usize) -> Result<usize, Violation> {
    let mut model = Model::default();
    let mut under_test = RegistryUnderTest::<B>::new(shards);
    for (step, op) in ops.iter().enumerate() {
        expect_equal(step, &format!("{op:?}"), model.apply(op), under_test.apply(op))?;
        expect_equal(step, &format!("what is seen after {op:?}"), model.view(), under_test.view())?;
    }
    // Nothing left: with all leases gone, what was detached taken out, and all inboxes read, nothing remains.
    let remove = ops.len();
    expect_equal(remove, "what all inboxes held", model.finish(), under_test.finish())?;
    expect_equal(remove, "what is seen at the end", View::default(), under_test.view())?;
    Ok(remove + 1)
}

fn expect_equal<T: PartialEq + fmt::Debug>(step: usize, what: &str, expected: T, found: T) -> Result<(), Violation> {
    if expected == found {
        return Ok(());
    }
    let message = format!("step {step}, {what}: expected {expected:?}, found {found:?}");
    Err(Violation { message })
}

/// The registry did something else than the model.
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
