//! Measures the CPU time of a thread where the system reports it, so that contention for processors does not count.

use std::fs;
use std::thread;
use std::time::{Duration, Instant};

/// A timer of one thread's CPU time.
pub(super) struct CpuTimer {
    cpu_time: Option<Duration>,
    began: Instant,
}

impl CpuTimer {
    pub(super) fn begin() -> Self {
        Self { cpu_time: cpu_time(), began: Instant::now() }
    }

    /// Returns the CPU time since the start, on the thread that started it; the wall-clock time if the system reports
    /// none.
    pub(super) fn end(self) -> Duration {
        let wall_clock = self.began.elapsed();
        let used = self.cpu_time.zip(cpu_time()).map(|(before, after)| after.saturating_sub(before));
        used.filter(|used| !used.is_zero()).unwrap_or(wall_clock)
    }
}

/// Returns the CPU time of this thread; Linux only.
fn cpu_time() -> Option<Duration> {
    // The kernel updates it when the thread is descheduled.
    thread::sleep(Duration::from_nanos(1));
    let figures = fs::read_to_string("/proc/thread-self/schedstat").ok()?;
    let ns = figures.split_whitespace().next()?.parse().ok()?;
    Some(Duration::from_nanos(ns))
}
