//! Limits the rate of registrations, with `governor` on a clock that is advanced by the instants of the callers.

use std::num::NonZeroU32;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use governor::Quota;
use governor::clock::Clock;
use governor::middleware::NoOpMiddleware;
use governor::nanos::Nanos;
use governor::state::{InMemoryState, NotKeyed};
use registry_core::{Limit, LimitUsage};

use super::settings::RateLimit;
use crate::latency::timeline::Timeline;

/// The tolerance and the patience of the [`Timeline`].
const PATIENCE: Duration = Duration::from_millis(500);

/// A token bucket: it refills at a constant rate and holds one burst.
#[derive(Debug)]
pub(super) struct RateLimiter {
    timeline: Timeline,
    clock: SuppliedClock,
    limiter: governor::RateLimiter<NotKeyed, InMemoryState, SuppliedClock, NoOpMiddleware<Nanos>>,
    per_second: u32,
    hits: AtomicU64,
}

impl RateLimiter {
    pub(super) fn new(limit: &RateLimit, start: Instant) -> Self {
        let at_least_one = |number: u32| NonZeroU32::new(number).unwrap_or(NonZeroU32::MIN);
        let quota = Quota::per_second(at_least_one(limit.per_second)).allow_burst(at_least_one(limit.burst));
        let clock = SuppliedClock::default();
        Self {
            timeline: Timeline::new(start, PATIENCE, PATIENCE),
            limiter: governor::RateLimiter::direct_with_clock(quota, clock.clone()),
            clock,
            per_second: limit.per_second,
            hits: AtomicU64::new(0),
        }
    }

    /// Takes a token, or returns the time until one is available.
    pub(super) fn try_acquire(&self, now: Instant) -> Result<(), Duration> {
        self.clock.advance_to(self.timeline.advance(now));
        self.limiter.check().map_err(|not_yet| {
            self.hits.fetch_add(1, Ordering::Relaxed);
            // Never zero, so that callers do not retry in a busy loop.
            not_yet.wait_time_from(self.clock.now()).max(Duration::from_nanos(1))
        })
    }

    pub(super) fn usage(&self) -> LimitUsage {
        let hits = self.hits.load(Ordering::Relaxed);
        LimitUsage::new(Limit::Rate, self.per_second.into()).with_hits(hits)
    }
}

/// A clock that shows the latest time given to [`advance_to`](Self::advance_to).
#[derive(Clone, Debug, Default)]
struct SuppliedClock(Arc<AtomicU64>);

impl SuppliedClock {
    fn advance_to(&self, timeline: u64) {
        self.0.fetch_max(timeline, Ordering::Relaxed);
    }
}

impl Clock for SuppliedClock {
    type Instant = Nanos;

    fn now(&self) -> Nanos {
        self.0.load(Ordering::Relaxed).into()
    }
}
