//! The last few latencies, however long ago they were: what the original design takes its mean of.

use std::collections::VecDeque;
use std::time::Duration;

use registry_core::RecentWrites;

use crate::latency::histogram::nanoseconds;

/// The newest latencies, up to a number that the caller gives.
#[derive(Debug, Default)]
pub(crate) struct RecentWritesWindow {
    /// The oldest first.
    latencies_ns: VecDeque<u64>,
    sum_ns: u128,
}

impl RecentWritesWindow {
    /// Adds a latency, and forgets the oldest if there are more than `capacity`.
    pub(crate) fn record(&mut self, latency: Duration, capacity: usize) {
        let ns = nanoseconds(latency);
        self.latencies_ns.push_back(ns);
        self.sum_ns += u128::from(ns);
        while self.latencies_ns.len() > capacity {
            self.sum_ns -= self.latencies_ns.pop_front().map_or(0, u128::from);
        }
    }

    /// How many there are, and their mean.
    pub(crate) fn read(&self) -> RecentWrites {
        let mut recent = RecentWrites::default();
        recent.count = self.latencies_ns.len() as u64;
        if recent.count > 0 {
            recent.mean_ns = self.sum_ns as f64 / recent.count as f64;
        }
        recent
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_the_mean_of_the_newest() {
        let mut recent = RecentWritesWindow::default();
        assert_eq!(recent.read(), RecentWrites::default());
        for ns in [1_000_000, 10, 20, 30] {
            recent.record(Duration::from_nanos(ns), 3);
        }
        assert_eq!((recent.read().count, recent.read().mean_ns), (3, 20.0));
    }

    #[test]
    fn none_and_the_absurdly_long_do_no_harm() {
        let mut recent = RecentWritesWindow::default();
        recent.record(Duration::MAX, 0);
        assert_eq!(recent.read().count, 0);
        (0..5).for_each(|_| recent.record(Duration::MAX, 3));
        assert_eq!((recent.read().count, recent.read().mean_ns), (3, u64::MAX as f64));
    }
}
