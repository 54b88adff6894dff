//! Progress of a plan, by time: a bar on a terminal, a line every ten seconds elsewhere.

use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use indicatif::{ProgressBar, ProgressStyle};

use super::minutes;

/// The interval between two lines where there is no terminal.
const INTERVAL: Duration = Duration::from_secs(10);

/// The share of the plan after which the pace of the run replaces that of the plan.
const SETTLED: f64 = 0.05;

/// Shows how much of the planned time is done, and how much is left at the pace so far.
#[derive(Debug)]
pub(super) struct Progress {
    bar: ProgressBar,
    planned: f64,
    began: Instant,
    printed: Option<Instant>,
}

impl Progress {
    /// Starts at zero of `planned` seconds.
    pub(super) fn start(planned: f64) -> Result<Self> {
        let bar = ProgressBar::new(milliseconds(planned));
        let style = "[{elapsed_precise}] {bar:30} {percent:>3} %  {msg}";
        bar.set_style(ProgressStyle::with_template(style).context("the style is well-formed")?);
        Ok(Self { bar, planned, began: Instant::now(), printed: None })
    }

    /// Shows that `done` of the planned seconds are done.
    pub(super) fn update(&mut self, done: f64, label: &str) {
        let elapsed = self.elapsed();
        let left = left(self.planned, done, elapsed);
        self.bar.set_position(milliseconds(done));
        self.bar.set_message(format!("{} left: {label}", minutes(left)));
        if self.bar.is_hidden() && self.printed.is_none_or(|printed| printed.elapsed() >= INTERVAL) {
            let percent = 100.0 * done / self.planned.max(f64::MIN_POSITIVE);
            eprintln!("[{}] {percent:>3.0} %, about {} left: {label}", minutes(elapsed), minutes(left));
            self.printed = Some(Instant::now());
        }
    }

    /// Removes the bar, and returns the time that it took in seconds.
    pub(super) fn finish(self) -> f64 {
        self.bar.finish_and_clear();
        self.elapsed()
    }

    fn elapsed(&self) -> f64 {
        self.began.elapsed().as_secs_f64()
    }
}

/// Returns the seconds left of a plan of `planned` seconds of which `done` took `elapsed` seconds: at the planned pace
/// at first, then at that of the run.
fn left(planned: f64, done: f64, elapsed: f64) -> f64 {
    let pace = if done > 0.0 && done >= SETTLED * planned { elapsed / done } else { 1.0 };
    (planned - done).max(0.0) * pace
}

fn milliseconds(seconds: f64) -> u64 {
    (seconds * 1000.0) as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_estimate_follows_the_pace_of_the_run() {
        assert_eq!(left(100.0, 0.0, 3.0), 100.0);
        assert_eq!(left(100.0, 4.0, 20.0), 96.0, "too early to tell");
        assert_eq!(left(100.0, 50.0, 150.0), 150.0);
        assert_eq!(left(100.0, 50.0, 25.0), 25.0);
        assert_eq!(left(100.0, 100.0, 90.0), 0.0);
        assert_eq!(left(0.0, 0.0, 0.0), 0.0);
    }
}
