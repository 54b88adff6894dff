//! Counts operations that failed in a measured loop, and keeps the reason of the first.

use std::fmt;

use anyhow::{Result, ensure};

/// Failed operations: their number, and which was the first and why.
///
/// A failure means that the figure measures something else, so a run that has any reports an error instead.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Failures {
    count: usize,
    first: Option<String>,
}

impl Failures {
    /// Records a failed operation: the number of its id in the row that the loop goes through, and the reason.
    #[cold]
    pub fn note(&mut self, number: usize, reason: impl fmt::Display) {
        self.count += 1;
        self.first.get_or_insert_with(|| format!("id {number}: {reason}"));
    }

    /// Adds the failures of another loop; the reason that was there first stays.
    pub fn add(&mut self, other: Self) {
        self.count += other.count;
        self.first = self.first.take().or(other.first);
    }

    /// Returns how many operations failed.
    #[must_use]
    pub fn count(&self) -> usize {
        self.count
    }

    /// Returns `Ok` if nothing failed.
    ///
    /// # Errors
    ///
    /// The number of failures, and the first reason.
    pub fn check(&self) -> Result<()> {
        ensure!(self.count == 0, "{self}");
        Ok(())
    }
}

impl fmt::Display for Failures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} operations did not do what they should", self.count)?;
        self.first.iter().try_for_each(|first| write!(f, "; the first, {first}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_reason_is_kept_and_all_are_counted() {
        let mut failures = Failures::default();
        assert!(failures.check().is_ok());
        failures.note(7, "the id is taken");
        failures.note(8, "the mailbox is full");
        let mut all = Failures::default();
        all.add(Failures::default());
        all.add(failures.clone());
        all.add(failures);
        assert_eq!(all.count(), 4);
        let text = all.check().expect_err("four have failed").to_string();
        assert_eq!(text, "4 operations did not do what they should; the first, id 7: the id is taken");
    }
}
