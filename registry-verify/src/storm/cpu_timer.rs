//! How much work something is: the time for which its thread had a processor, where the system tells, so that others
//! who want one too do not count.

use std::fs;
use std::thread;
use std::time::{Duration, Instant};

/// A clock for the work of one thread.
pub(super) struct CpuTimer {
    cpu_time: Option<Duration>,
    began: Instant,
}

impl CpuTimer {
    pub(super) fn begin() -> Self {
        Self { cpu_time: cpu_time(), began: Instant::now() }
    }

    /// The work since then, of the thread that began it; the time on the wall where the system does not tell.
    pub(super) fn end(self) -> Duration {
        let on_the_wall = self.began.elapsed();
        let used = self.cpu_time.zip(cpu_time()).map(|(before, after)| after.saturating_sub(before));
        used.filter(|used| !used.is_zero()).unwrap_or(on_the_wall)
    }
}

/// For how long this thread has had a processor; Linux tells.
fn cpu_time() -> Option<Duration> {
    // It is booked when the thread lets go of the processor.
    thread::sleep(Duration::from_nanos(1));
    let figures = fs::read_to_string("/proc/thread-self/schedstat").ok()?;
    let ns = figures.split_whitespace().next()?.parse().ok()?;
    Some(Duration::from_nanos(ns))
}
