//! The state of a monitor that is on: latencies, hot ids, and the sampling rate.

use std::sync::Mutex;
use std::time::{Duration, Instant};

use registry_core::{LatencyStats, ShardStats, SlowOps};

use crate::hot_keys::HotKeys;
use crate::latency::histogram::{LatencyHistogram, LifetimeHistogram};
use crate::latency::slow_ops::{SLICES, SlowThresholds};
use crate::latency::timeline::Timeline;
use crate::latency::window::{Slices, TotalsSince, Window};
use crate::latency::{OperationLatencies, ShardLatencies};
use crate::sampling::Sampling;
use crate::sampling::controller::SampleRateController;
use crate::settings::MonitorSettings;

use super::lock;

/// The least time to recover from a wrong clock, however short the window is.
const MIN_RECOVERY: Duration = Duration::from_secs(1);

/// The state of a monitor that is on, apart from its counters.
pub(super) struct Active {
    pub(super) timeline: Timeline,
    pub(super) window_slices: Slices,
    pub(super) slow_ops_slices: Slices,
    pub(super) thresholds: SlowThresholds,
    pub(super) recent_writes: usize,
    pub(super) shards: Box<[ShardLatencies]>,
    pub(super) hot_keys: HotKeys,
    pub(super) sample_rate: Mutex<SampleRateController>,
    /// The counts of each shard up to the last reset; empty before the first one.
    pub(super) before_reset: Mutex<Vec<ShardStats>>,
}

impl Active {
    pub(super) fn new(shards: usize, settings: &MonitorSettings, start: Instant) -> Self {
        // Together they are one window. An instant that is late by half a window is still in it.
        let recovery = settings.window.max(MIN_RECOVERY) / 2;
        let window_slices = Slices::new(settings.window);
        // Whole windows before the start, for instants that are late when the start was ahead.
        let window = u64::try_from(window_slices.window_length().as_nanos()).unwrap_or(u64::MAX);
        let windows = (2 * recovery.as_nanos()).div_ceil(u128::from(window));
        let origin = window.saturating_mul(u64::try_from(windows).unwrap_or(u64::MAX));
        Self {
            timeline: Timeline::new(start, recovery, recovery).with_origin(origin),
            window_slices,
            // `Slices` halves the duration that it is given.
            slow_ops_slices: Slices::new(settings.window / (SLICES as u32 / 2)),
            thresholds: settings.alarm.thresholds(),
            recent_writes: settings.recent_writes,
            shards: std::iter::repeat_with(ShardLatencies::default).take(shards).collect(),
            hot_keys: HotKeys::new(window_slices.number_at(origin)),
            sample_rate: Mutex::new(SampleRateController::new(
                Sampling::new(settings.sample_every),
                settings.samples_per_second,
                start,
            )),
            before_reset: Mutex::default(),
        }
    }

    /// Returns the number of the slice that contains an instant.
    pub(super) fn slice_at(&self, now: Instant) -> u64 {
        self.window_slices.number_at(self.timeline.peek(now))
    }

    /// Returns the latencies in the window and those that have left it.
    pub(super) fn read(
        &self,
        window: &Window,
        since: TotalsSince,
        now: Instant,
    ) -> (LatencyHistogram, LifetimeHistogram) {
        let slice = self.slice_at(now);
        (window.read(slice), window.read_retired(slice, since))
    }

    /// Summarizes the latencies in the window, and the total.
    pub(super) fn summaries(
        &self,
        (window, mut total): (LatencyHistogram, LifetimeHistogram),
    ) -> (LatencyStats, LatencyStats) {
        total.add_slice(&window);
        (window.summary(self.window_slices.window_length()), total.summary(Duration::ZERO))
    }

    pub(super) fn operation_stats(
        &self,
        operation: &Mutex<OperationLatencies>,
        since: TotalsSince,
        now: Instant,
        read_more: impl FnOnce(&OperationLatencies),
    ) -> (LatencyStats, LatencyStats, SlowOps) {
        let operation = lock(operation);
        let latencies = self.read(&operation.window, since, now);
        let slow_ops = operation.slow_ops.read(
            self.slow_ops_slices.number_at(self.timeline.peek(now)),
            self.slow_ops_slices.window_length() / 2,
            &self.thresholds,
        );
        read_more(&operation);
        // Unlocked before the summaries: recording threads should not wait for percentiles.
        drop(operation);
        let (window, total) = self.summaries(latencies);
        (window, total, slow_ops)
    }
}
