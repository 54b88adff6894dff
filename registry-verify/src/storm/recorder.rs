//! Records the measurements and failures of a storm.

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::time::Duration;

use super::{Context, Scale};
use crate::check_report::{CheckReport, StormReport};

/// The divisor of sizes at short scale.
const SHORT: usize = 50;

/// The parameters of a storm, and what it has recorded.
pub(super) struct Recorder {
    context: Context,
    storm: StormReport,
    failures: Vec<String>,
}

impl Recorder {
    pub(super) fn new(name: &str, context: Context) -> Self {
        Self { context, storm: StormReport { name: name.to_owned(), ..StormReport::default() }, failures: Vec::new() }
    }

    /// Scales a size given at full scale.
    pub(super) fn scaled(&self, full: usize) -> usize {
        match self.context.scale {
            Scale::Full => full,
            Scale::Short => full.div_ceil(SHORT),
        }
    }

    /// Scales a number of rounds: only the full scale needs several, for medians.
    pub(super) fn rounds(&self, full: usize) -> usize {
        match self.context.scale {
            Scale::Full => full,
            Scale::Short => 1,
        }
    }

    /// Returns a generator seeded with the storm's seed.
    pub(super) fn rng(&self) -> fastrand::Rng {
        fastrand::Rng::with_seed(self.context.seed)
    }

    /// Returns the number of currently allocated bytes; records a failure if the program does not count them.
    pub(super) fn live_bytes(&mut self) -> usize {
        match self.context.live_bytes {
            Some(live_bytes) => live_bytes(),
            None => {
                self.expect(false, || "this program does not count allocated bytes".to_owned());
                0
            }
        }
    }

    /// Records a measurement; its name ends with its unit.
    pub(super) fn figure(&mut self, name: &str, value: f64) {
        self.storm.figures.insert(name.to_owned(), value);
    }

    /// Records a duration in milliseconds.
    pub(super) fn time(&mut self, name: &str, time: Duration) {
        self.figure(name, ms(time));
    }

    /// Adds to the number of deaths.
    pub(super) fn add_deaths(&mut self, deaths: usize) {
        self.storm.deaths += deaths as u64;
    }

    /// Records the CPU time of the clean-up.
    pub(super) fn set_cleanup(&mut self, cpu_time: Duration) {
        self.storm.cleanup_ms = ms(cpu_time);
    }

    /// Records the time from a death to the removal of the entry; the longest one is kept.
    pub(super) fn record_lag(&mut self, lag: Duration) {
        self.storm.lag_ms = self.storm.lag_ms.max(ms(lag));
    }

    /// Records a failure unless `holds`.
    pub(super) fn expect(&mut self, holds: bool, otherwise: impl FnOnce() -> String) {
        if !holds {
            self.failures.push(otherwise());
        }
    }

    /// Records a failure unless `found` equals `must_be`.
    pub(super) fn expect_eq<T: PartialEq + Debug>(&mut self, what: &str, found: T, must_be: T) {
        self.expect(found == must_be, || format!("{what}: {found:?}, expected {must_be:?}"));
    }

    /// Records a failure unless all of `found` equal `must_be`: how many differ, and the first of them.
    pub(super) fn expect_each<T: PartialEq + Debug>(
        &mut self,
        what: &str,
        found: impl IntoIterator<Item = T>,
        must_be: &T,
    ) {
        let mut others = found.into_iter().filter(|found| found != must_be);
        if let Some(first) = others.next() {
            let all = 1 + others.count();
            self.failures.push(format!("{what}: {all} are not {must_be:?}, the first is {first:?}"));
        }
    }

    /// Records leftover entries and bindings, which are a failure unless there are none.
    pub(super) fn expect_empty(&mut self, when: &str, remaining: EntryCounts) {
        self.storm.leftover += remaining.all() as u64;
        self.expect_eq(&format!("leftover entries {when}"), remaining, EntryCounts::default());
    }

    /// Moves everything into a report.
    pub(super) fn finish(self, report: &mut CheckReport) {
        for failure in self.failures {
            report.violated(&self.storm.name, self.context.seed, failure);
        }
        report.storms.push(self.storm);
    }
}

/// The numbers of servers, transports and bindings.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct EntryCounts {
    pub(super) servers: usize,
    pub(super) transports: usize,
    pub(super) bindings: usize,
}

impl EntryCounts {
    pub(super) fn all(self) -> usize {
        self.servers + self.transports + self.bindings
    }
}

/// Converts a duration to milliseconds.
pub(super) fn ms(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}

/// Returns the median, the lower one of two, or zero if there are no values.
pub(super) fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len().saturating_sub(1) / 2).copied().unwrap_or_default()
}

/// Measurements repeated in each round, reported by their medians.
#[derive(Default)]
pub(super) struct RoundMetrics(BTreeMap<&'static str, Vec<f64>>);

impl RoundMetrics {
    pub(super) fn add(&mut self, name: &'static str, value: f64) {
        self.0.entry(name).or_default().push(value);
    }

    pub(super) fn record_medians(self, recorder: &mut Recorder) {
        for (name, values) in self.0 {
            recorder.figure(name, median(values));
        }
    }
}
