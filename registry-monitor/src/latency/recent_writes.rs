//! The mean of the last few writes, regardless of their age.

use std::collections::VecDeque;
use std::time::Duration;

use registry_core::RecentWrites;

use crate::latency::histogram::nanoseconds;

/// The newest latencies, up to a capacity.
#[derive(Debug, Default)]
pub(crate) struct RecentWritesWindow {
    /// Oldest first.
    latencies_ns: VecDeque<u64>,
    sum_ns: u128,
}

impl RecentWritesWindow {
    /// Adds a latency, and removes the oldest ones in excess of `capacity`.
    pub(crate) fn record(&mut self, latency: Duration, capacity: usize) {
        let ns = nanoseconds(latency);
        self.latencies_ns.push_back(ns);
        self.sum_ns += u128::from(ns);
        while self.latencies_ns.len() > capacity {
            self.sum_ns -= self.latencies_ns.pop_front().map_or(0, u128::from);
        }
    }

    /// Returns the number of latencies and their mean.
    pub(crate) fn read(&self) -> RecentWrites {
        let mut stats = RecentWrites::default();
        stats.count = self.latencies_ns.len() as u64;
        if stats.count > 0 {
            stats.mean_ns = self.sum_ns as f64 / stats.count as f64;
        }
        stats
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn returns_the_mean_of_the_newest() {
        let mut recent = RecentWritesWindow::default();
        assert_eq!(recent.read(), RecentWrites::default());
        for ns in [1_000_000, 10, 20, 30] {
            recent.record(Duration::from_nanos(ns), 3);
        }
        assert_eq!((recent.read().count, recent.read().mean_ns), (3, 20.0));
    }

    #[test]
    fn capacity_zero_and_saturating_latencies_work() {
        let mut recent = RecentWritesWindow::default();
        recent.record(Duration::MAX, 0);
        assert_eq!(recent.read().count, 0);
        (0..5).for_each(|_| recent.record(Duration::MAX, 3));
        assert_eq!((recent.read().count, recent.read().mean_ns), (3, u64::MAX as f64));
    }
}
