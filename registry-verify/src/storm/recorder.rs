//! What a storm writes down: figures, how many died, and what was wrong.

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::time::Duration;

use super::{Context, Scale};
use crate::check_report::{CheckReport, StormReport};

/// How much smaller a storm is in a test.
const SHORT: usize = 50;

/// What a storm is told, and what it has to tell.
pub(super) struct Recorder {
    context: Context,
    storm: StormReport,
    wrong: Vec<String>,
}

impl Recorder {
    pub(super) fn new(name: &str, context: Context) -> Self {
        Self { context, storm: StormReport { name: name.to_owned(), ..StormReport::default() }, wrong: Vec::new() }
    }

    /// So many of something, given how many there are in full.
    pub(super) fn scaled(&self, full: usize) -> usize {
        match self.context.scale {
            Scale::Full => full,
            Scale::Short => full.div_ceil(SHORT),
        }
    }

    /// So many rounds, of which only the full size needs several, for its medians.
    pub(super) fn rounds(&self, full: usize) -> usize {
        match self.context.scale {
            Scale::Full => full,
            Scale::Short => 1,
        }
    }

    /// Random numbers that are the same for the same seed.
    pub(super) fn rng(&self) -> fastrand::Rng {
        fastrand::Rng::with_seed(self.context.seed)
    }

    /// How many bytes are allocated at present.
    pub(super) fn live_bytes(&mut self) -> usize {
        match self.context.live_bytes {
            Some(live_bytes) => live_bytes(),
            None => {
                self.expect(false, || "this program does not count bytes, so they were not checked".to_owned());
                0
            }
        }
    }

    /// Notes a figure; its name ends with its unit.
    pub(super) fn figure(&mut self, name: &str, value: f64) {
        self.storm.figures.insert(name.to_owned(), value);
    }

    /// Notes a time as a figure in milliseconds.
    pub(super) fn time(&mut self, name: &str, time: Duration) {
        self.figure(name, ms(time));
    }

    /// Notes how many owners died.
    pub(super) fn add_deaths(&mut self, deaths: usize) {
        self.storm.deaths += deaths as u64;
    }

    /// Notes how much work it was to clean up after them.
    pub(super) fn set_cleanup(&mut self, cpu_timer: Duration) {
        self.storm.cleanup_ms = ms(cpu_timer);
    }

    /// Notes how long an owner was dead before it was gone; the longest counts.
    pub(super) fn record_lag(&mut self, lag: Duration) {
        self.storm.lag_ms = self.storm.lag_ms.max(ms(lag));
    }

    /// Notes something that is wrong, unless it `holds`.
    pub(super) fn expect(&mut self, holds: bool, otherwise: impl FnOnce() -> String) {
        if !holds {
            self.wrong.push(otherwise());
        }
    }

    /// Notes that it is wrong, unless what was found is what must be.
    pub(super) fn expect_eq<T: PartialEq + Debug>(&mut self, what: &str, found: T, must_be: T) {
        self.expect(found == must_be, || format!("{what}: {found:?}, and not {must_be:?}"));
    }

    /// Notes that it is wrong, unless each of what was found is what must be: how many are not, and the first of those.
    pub(super) fn expect_each<T: PartialEq + Debug>(
        &mut self,
        what: &str,
        found: impl IntoIterator<Item = T>,
        must_be: &T,
    ) {
        let mut others = found.into_iter().filter(|found| found != must_be);
        if let Some(first) = others.next() {
            let all = 1 + others.count();
            self.wrong.push(format!("{what}: {all} are not {must_be:?}, and the first is {first:?}"));
        }
    }

    /// Notes what is left of the dead: registrations and bindings.
    pub(super) fn expect_empty(&mut self, when: &str, remaining: EntryCounts) {
        self.storm.leftover += remaining.all() as u64;
        self.expect_eq(&format!("what is left {when}"), remaining, EntryCounts::default());
    }

    /// Puts everything into an account.
    pub(super) fn close(self, report: &mut CheckReport) {
        for wrong in self.wrong {
            report.violated(&self.storm.name, self.context.seed, wrong);
        }
        report.storms.push(self.storm);
    }
}

/// How many registrations and bindings there are.
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

/// A time in milliseconds.
pub(super) fn ms(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}

/// The middle one; the lower of two. Zero of none.
pub(super) fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len().saturating_sub(1) / 2).copied().unwrap_or_default()
}

/// Figures that are noted once for each round, and become one by their median.
#[derive(Default)]
pub(super) struct RoundMetrics(BTreeMap<&'static str, Vec<f64>>);

impl RoundMetrics {
    pub(super) fn add(&mut self, name: &'static str, value: f64) {
        self.0.entry(name).or_default().push(value);
    }

    pub(super) fn note(self, recorder: &mut Recorder) {
        for (name, values) in self.0 {
            recorder.figure(name, median(values));
        }
    }
}
