//! The result of checks on one backend.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// Counts and violations of one backend; the reports of several checks are merged.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct CheckReport {
    /// The backend's name.
    pub backend: String,
    /// Random sequences judged by the specification.
    pub sequences: u64,
    /// Operations in those sequences, each followed by reads of the whole observable state.
    pub steps: u64,
    /// Recorded concurrent histories checked for linearizability.
    pub histories: u64,
    /// Calls in those histories.
    pub operations: u64,
    /// Explored schedules of the router's protocols.
    pub schedules: u64,
    /// Deliberately seeded bugs, and how many of them the schedules found.
    pub seeded_bugs: SeededBugs,
    /// Storms that ran to their end.
    pub storms: Vec<StormReport>,
    /// The number of violations; zero if everything holds.
    pub violations: u64,
    /// The violations, minimized.
    pub cases: Vec<Case>,
}

/// Deliberately seeded bugs.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct SeededBugs {
    /// The number found.
    pub found: u64,
    /// The number seeded.
    pub of: u64,
    /// The names of those not found.
    pub missed: Vec<String>,
}

/// Measurements of one storm.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct StormReport {
    /// The storm's name.
    pub name: String,
    /// The number of owners that died.
    pub deaths: u64,
    /// The CPU time of the clean-up, in milliseconds on one thread.
    pub cleanup_ms: f64,
    /// The longest time between an owner's death and the removal of its registration, in milliseconds.
    pub lag_ms: f64,
    /// Registrations and bindings that remained and should not have.
    pub leftover: u64,
    /// Further measurements; each name ends with its unit.
    pub figures: BTreeMap<String, f64>,
}

/// One violation.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Case {
    /// The check that found it.
    pub check: String,
    /// The seed that reproduces it.
    pub seed: u64,
    /// The minimized counterexample.
    pub case: String,
}

impl CheckReport {
    /// Returns an empty report for `backend`.
    #[must_use]
    pub fn of(backend: &str) -> Self {
        Self { backend: backend.to_owned(), ..Self::default() }
    }

    /// Records a violation.
    pub fn violated(&mut self, check: &str, seed: u64, case: impl Into<String>) {
        self.violations += 1;
        self.cases.push(Case { check: check.to_owned(), seed, case: case.into() });
    }

    /// Merges another report of the same backend.
    pub fn add(&mut self, other: Self) {
        self.sequences += other.sequences;
        self.steps += other.steps;
        self.histories += other.histories;
        self.operations += other.operations;
        self.schedules += other.schedules;
        self.seeded_bugs.found += other.seeded_bugs.found;
        self.seeded_bugs.of += other.seeded_bugs.of;
        self.seeded_bugs.missed.extend(other.seeded_bugs.missed);
        self.storms.extend(other.storms);
        self.violations += other.violations;
        self.cases.extend(other.cases);
    }
}
