//! What was checked on one backend, and what came of it.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// Figures of one backend; those of several checks add up.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct CheckReport {
    /// The backend's name.
    pub backend: String,
    /// Random sequences that were compared with the model.
    pub sequences: u64,
    /// Steps of those, after each of which everything that can be seen was compared.
    pub steps: u64,
    /// Recorded histories of concurrent calls that were checked for linearizability.
    pub histories: u64,
    /// Calls in those.
    pub operations: u64,
    /// Schedules of the router's protocols that were run.
    pub schedules: u64,
    /// Bugs that were put in on purpose, and how many of them the schedules found.
    pub seeded_bugs: SeededBugs,
    /// Storms and faults that were survived.
    pub storms: Vec<StormReport>,
    /// How often something was wrong; nothing may be.
    pub violations: u64,
    /// What was wrong, as small as it could be made.
    pub cases: Vec<Case>,
}

/// Bugs that were put in on purpose.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct SeededBugs {
    /// How many were found.
    pub found: u64,
    /// How many there are.
    pub of: u64,
    /// Those that were not found, by name.
    pub missed: Vec<String>,
}

/// One storm or fault, and how it was survived.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct StormReport {
    /// Its name.
    pub name: String,
    /// How many owners died.
    pub deaths: u64,
    /// How much work it was to clean up after them, in milliseconds on one thread.
    pub cleanup_ms: f64,
    /// The longest that an owner was dead before it was gone, in milliseconds.
    pub lag_ms: f64,
    /// Registrations and bindings that are left and should not be.
    pub leftover: u64,
    /// What else was measured; each name ends with its unit.
    pub figures: BTreeMap<String, f64>,
}

/// Something that was wrong.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Case {
    /// Which check found it.
    pub check: String,
    /// What makes the check find it again.
    pub seed: u64,
    /// The smallest case that shows it.
    pub case: String,
}

impl CheckReport {
    /// Nothing checked yet.
    #[must_use]
    pub fn of(backend: &str) -> Self {
        Self { backend: backend.to_owned(), ..Self::default() }
    }

    /// Notes that something was wrong.
    pub fn violated(&mut self, check: &str, seed: u64, case: impl Into<String>) {
        self.violations += 1;
        self.cases.push(Case { check: check.to_owned(), seed, case: case.into() });
    }

    /// Adds the figures of another check of the same backend.
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
