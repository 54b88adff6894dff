//! A monitor that can be switched off, so that its cost is measured on one and the same table.
//!
//! Two tables with the same content differ by several percent, depending on the placement of their memory, and by tens
//! of percent when they exceed the caches. The cost of a monitor is less than that.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use registry_router::{Event, Kind, Monitor, Operation, Probe, ShardStats};

/// A monitor and whether it is on; either way the check is one well-predicted branch.
#[derive(Debug)]
pub struct Switch {
    on: AtomicBool,
    monitor: Monitor,
}

impl Switch {
    /// Returns a monitor that is on.
    pub(crate) fn new(monitor: Monitor) -> Self {
        Self { on: AtomicBool::new(true), monitor }
    }

    /// Switches the monitor on or off. No operation may be running.
    pub(crate) fn set(&self, on: bool) {
        self.on.store(on, Ordering::Relaxed);
    }

    #[inline(always)]
    fn is_on(&self) -> bool {
        self.on.load(Ordering::Relaxed)
    }
}

impl Probe for Switch {
    #[inline(always)]
    fn lookup(&self, shard: usize) -> bool {
        self.is_on() && self.monitor.lookup(shard)
    }

    fn on_sample(&self, shard: usize, kind: Kind, id: &[u8]) {
        self.monitor.on_sample(shard, kind, id);
    }

    #[inline(always)]
    fn event(&self, shard: usize, event: Event) {
        if self.is_on() {
            self.monitor.event(shard, event);
        }
    }

    #[inline]
    fn times_writes(&self) -> bool {
        self.is_on()
    }

    fn record_latency(&self, shard: usize, operation: Operation, began: Instant, ended: Instant) {
        self.monitor.record_latency(shard, operation, began, ended);
    }

    fn stats(&self, shard: usize, now: Instant) -> ShardStats {
        self.monitor.stats(shard, now)
    }

    fn on_health_check(&self, now: Instant) {
        self.monitor.on_health_check(now);
    }

    fn reset(&self) {
        self.monitor.reset();
    }
}

#[cfg(test)]
mod tests {
    use registry_router::MonitorSettings;

    use super::*;

    #[test]
    fn operations_are_counted_while_the_monitor_is_on() {
        let start = Instant::now();
        let settings = MonitorSettings::default().with_sample_every(1);
        let switch = Switch::new(Monitor::new(1, settings, start));
        assert!(switch.lookup(0) && switch.times_writes());
        switch.set(false);
        assert!(!switch.lookup(0) && !switch.times_writes());
        switch.event(0, Event::Routed);
        switch.set(true);
        switch.event(0, Event::Miss);
        let stats = switch.stats(0, start);
        assert_eq!((stats.lookups, stats.misses, stats.routes), (1, 1, 0));
    }
}
