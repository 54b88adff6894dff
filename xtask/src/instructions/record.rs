//! What is recorded of instructions, where it was counted, and when another count differs from it.

use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};

use crate::cargo::answer;

/// Instructions per operation: by backend, then by operation.
pub(crate) type Counts = BTreeMap<String, BTreeMap<String, f64>>;

/// How much a count may differ from the recorded one, as a part of it.
const TOLERANCE: f64 = 0.02;

/// What the file says.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Recorded {
    #[serde(flatten)]
    pub(crate) machine: Machine,
    /// How many servers are registered beforehand.
    pub(crate) servers: usize,
    /// In how many shards.
    pub(crate) shards: usize,
    /// Over how many operations the counts are means.
    pub(crate) operations: usize,
    /// Instructions per operation.
    pub(crate) counts: Counts,
}

/// What a count depends on beside the source.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Machine {
    /// What the compiler compiles for; counts for another are not comparable.
    pub(crate) host: String,
    /// The compiler; another one may count otherwise.
    pub(crate) rustc: String,
    /// What counted.
    pub(crate) valgrind: String,
    /// The C library, for memory is asked of it and compared by it.
    pub(crate) libc: String,
}

/// A count that is not what was recorded.
#[derive(Debug, PartialEq)]
pub(crate) struct Difference {
    backend: String,
    act: String,
    recorded: Option<f64>,
    counted: Option<f64>,
}

impl Machine {
    /// This one.
    pub(crate) fn here() -> Result<Self> {
        let rustc = answer("rustc", &["--version", "--verbose"]).context("there is no rustc")?;
        let host = rustc.lines().find_map(|line| line.strip_prefix("host: ")).context("rustc does not say its host")?;
        Ok(Self {
            host: host.to_owned(),
            rustc: rustc.lines().next().unwrap_or_default().to_owned(),
            valgrind: answer("valgrind", &["--version"])
                .context("there is no valgrind, which counts; on Debian: apt-get install valgrind")?,
            libc: answer("getconf", &["GNU_LIBC_VERSION"]).unwrap_or_else(|| "unknown".to_owned()),
        })
    }
}

impl Recorded {
    /// What is recorded in that file.
    pub(crate) fn read(file: &Path) -> Result<Self> {
        let text = std::fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))?;
        serde_json::from_str(&text).with_context(|| format!("{} is not as it was written", file.display()))
    }

    /// Writes it to that file.
    pub(crate) fn write(&self, file: &Path) -> Result<()> {
        let text = serde_json::to_string_pretty(self)? + "\n";
        std::fs::write(file, text).with_context(|| format!("cannot write {}", file.display()))
    }

    /// Where another count is not the same, but for the tolerance.
    pub(crate) fn differences(&self, counted: &Self) -> Vec<Difference> {
        Difference::between(&self.counts, &counted.counts)
    }
}

impl Difference {
    /// All of them, in order.
    pub(crate) fn between(recorded: &Counts, counted: &Counts) -> Vec<Self> {
        let mut differences = Vec::new();
        let mut cases: Vec<(&String, &String)> = [recorded, counted]
            .into_iter()
            .flat_map(|counts| counts.iter().flat_map(|(backend, acts)| acts.keys().map(move |act| (backend, act))))
            .collect();
        cases.sort();
        cases.dedup();
        for (backend, act) in cases {
            let of = |counts: &Counts| counts.get(backend).and_then(|acts| acts.get(act)).copied();
            let (recorded, counted) = (of(recorded), of(counted));
            let same = recorded.zip(counted).is_some_and(|(then, now)| (now - then).abs() <= then * TOLERANCE);
            if !same {
                differences.push(Self { backend: backend.clone(), act: act.clone(), recorded, counted });
            }
        }
        differences
    }

    /// Whether it is of that operation on that backend.
    pub(crate) fn is_of(&self, backend: &str, act: &str) -> bool {
        self.backend == backend && self.act == act
    }
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { backend, act, .. } = self;
        match (self.recorded, self.counted) {
            (Some(then), Some(now)) => {
                let percent = (now / then - 1.0) * 100.0;
                let what = if now > then { "costs more" } else { "costs less, which should not be lost again" };
                write!(f, "{act} on {backend} {what}: {now:.1} instructions, {then:.1} recorded ({percent:+.1} %)")
            }
            (None, Some(now)) => write!(f, "{act} on {backend} is not recorded: {now:.1} instructions"),
            (_, None) => write!(f, "{act} on {backend} is recorded, and was not counted"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counts(figures: &[(&str, &str, f64)]) -> Counts {
        let mut counts = Counts::new();
        for &(backend, act, figure) in figures {
            counts.entry(backend.to_owned()).or_default().insert(act.to_owned(), figure);
        }
        counts
    }

    fn said(recorded: &[(&str, &str, f64)], counted: &[(&str, &str, f64)]) -> Vec<String> {
        Difference::between(&counts(recorded), &counts(counted)).iter().map(ToString::to_string).collect()
    }

    #[test]
    fn a_little_more_is_let_through_and_more_is_not() {
        let recorded = [("papaya", "lookup", 100.0)];
        assert_eq!(said(&recorded, &[("papaya", "lookup", 101.9)]), [""; 0]);
        assert_eq!(
            said(&recorded, &[("papaya", "lookup", 102.5)]),
            ["lookup on papaya costs more: 102.5 instructions, 100.0 recorded (+2.5 %)"]
        );
    }

    #[test]
    fn what_got_better_is_to_be_recorded() {
        let said = said(&[("papaya", "lookup", 100.0)], &[("papaya", "lookup", 90.0)]);
        assert!(said[0].contains("costs less") && said[0].contains("-10.0 %"), "{said:?}");
    }

    #[test]
    fn what_is_new_and_what_is_gone_are_told() {
        let said = said(&[("a", "route", 1.0)], &[("b", "route", 2.0)]);
        assert_eq!(
            said,
            ["route on a is recorded, and was not counted", "route on b is not recorded: 2.0 instructions"]
        );
    }

    #[test]
    fn the_file_comes_back_as_it_went() {
        let recorded = Recorded {
            machine: Machine {
                host: "here".to_owned(),
                rustc: "rustc".to_owned(),
                valgrind: "valgrind".to_owned(),
                libc: "glibc".to_owned(),
            },
            servers: 1,
            shards: 2,
            operations: 3,
            counts: counts(&[("papaya", "lookup", 100.5)]),
        };
        let text = serde_json::to_string(&recorded).unwrap();
        assert_eq!(serde_json::from_str::<Recorded>(&text).unwrap(), recorded);
        assert!(text.contains(r#""host":"here""#), "{text}");
    }
}
