//! The share of processor time that other programs take, from `/proc/stat` and `/proc/self/stat`.

use std::fs;
use std::thread;
use std::time::Duration;

use serde::Serialize;

/// The share above which figures are not to be trusted.
pub(crate) const BUSY: f64 = 0.1;

/// How long the machine is observed before a run.
const OBSERVED: Duration = Duration::from_millis(500);

/// The shares of processor time that other programs took before and during a run, from 0 to 1.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub(crate) struct BackgroundLoad {
    pub(crate) before: f64,
    pub(crate) during: f64,
}

/// Measures the background load of a run, from [`start`](Self::start) to [`stop`](Self::stop).
#[derive(Clone, Copy, Debug)]
pub(crate) struct LoadMeter {
    pub(crate) before: f64,
    started: Ticks,
}

impl LoadMeter {
    /// Observes the machine for half a second, and starts measuring. `None` on a system without `/proc/stat`.
    pub(crate) fn start() -> Option<Self> {
        let first = Ticks::now()?;
        thread::sleep(OBSERVED);
        let started = Ticks::now()?;
        Some(Self { before: first.share_of_others(started)?, started })
    }

    /// Returns the load before and since the start. All children must have ended.
    pub(crate) fn stop(self) -> Option<BackgroundLoad> {
        Some(BackgroundLoad { before: self.before, during: self.started.share_of_others(Ticks::now()?)? })
    }
}

/// Processor time since boot in clock ticks, summed over all processors.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Ticks {
    /// Idle time included.
    total: u64,
    busy: u64,
    /// Of this process and of its children that have ended.
    own: u64,
}

impl Ticks {
    fn now() -> Option<Self> {
        Self::parse(&fs::read_to_string("/proc/stat").ok()?, &fs::read_to_string("/proc/self/stat").ok()?)
    }

    /// Parses `/proc/stat` and `/proc/self/stat`; see proc(5).
    fn parse(system: &str, own: &str) -> Option<Self> {
        // user, nice, system, idle, iowait, irq, softirq, steal; guest time is part of user time.
        let cpu = system.lines().find_map(|line| line.strip_prefix("cpu "))?;
        let all: Vec<u64> = cpu.split_whitespace().take(8).map(|ticks| ticks.parse().ok()).collect::<Option<_>>()?;
        let total = all.iter().sum();
        let idle: u64 = all.get(3..5)?.iter().sum();
        // utime, stime, cutime and cstime are fields 14 to 17; the second field is in parentheses and may have spaces.
        let (_, fields) = own.rsplit_once(')')?;
        let own = fields.split_whitespace().skip(11).take(4).map(str::parse::<u64>).sum::<Result<u64, _>>().ok()?;
        Some(Self { total, busy: total - idle, own })
    }

    /// Returns the share of the time until `later` that neither this program nor its children used.
    fn share_of_others(self, later: Self) -> Option<f64> {
        let total = later.total.checked_sub(self.total).filter(|&ticks| ticks > 0)?;
        let busy = later.busy.saturating_sub(self.busy);
        let own = later.own.saturating_sub(self.own);
        Some(busy.saturating_sub(own) as f64 / total as f64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SYSTEM: &str = "cpu  100 10 20 800 40 5 5 20 7 0\ncpu0 1 2 3 4 5 6 7 8 9 0\nintr 5\n";
    const OWN: &str = "25660 (a ) b) R 1 2 3 0 -1 4194304 99 0 0 0 11 12 13 14 20 0 1 0 1518790 3133440";

    #[test]
    fn ticks_are_parsed_from_proc() {
        assert_eq!(Ticks::parse(SYSTEM, OWN), Some(Ticks { total: 1_000, busy: 160, own: 50 }));
        assert_eq!(Ticks::parse("intr 5\n", OWN), None);
        assert_eq!(Ticks::parse("cpu  1 2\n", OWN), None);
        assert_eq!(Ticks::parse(SYSTEM, "no process"), None);
    }

    #[test]
    fn own_time_is_not_background_load() {
        let start = Ticks { total: 1_000, busy: 160, own: 50 };
        let later = Ticks { total: 1_200, busy: 260, own: 74 };
        assert_eq!(start.share_of_others(later), Some(0.38));
        assert_eq!(start.share_of_others(Ticks { own: 400, ..later }), Some(0.0));
        assert_eq!(start.share_of_others(start), None, "no time has passed");
    }

    #[test]
    fn a_meter_returns_shares() {
        let Some(load) = LoadMeter::start().and_then(LoadMeter::stop) else { return };
        assert!([load.before, load.during].iter().all(|share| (0.0..=1.0).contains(share)), "{load:?}");
    }
}
