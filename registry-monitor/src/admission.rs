//! [`Limiter`], the default admission policy: limits, a maximum rate, and load shedding while too many shards are in alarm.
//!
//! Capacity is reserved before a registration does any work, and released if it fails, so that a limit is never exceeded,
//! not even for an instant, and can be used in full.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use registry_core::{
    Admission, AdmissionError, AdmissionState, DenyReason, Kind, Limit, LimitHits, LimitUsage, Metadata,
};

use labels::LabelLimiter;
use rate_limiter::RateLimiter;
pub use settings::{LabelLimit, Limits, MetadataLimit, RateLimit};
use usage::UsageCounter;

mod labels;
mod rate_limiter;
mod settings;
mod usage;

/// Enforces [`Limits`], and rejects all registrations while too many shards are in alarm.
///
/// Without limits, and while the registry is healthy, it admits everything at the cost of two reads of memory that is
/// rarely written.
///
/// # Order
///
/// Checks first whether admission is closed, then the limit on the kind, the limit on the label, and last the rate. A
/// rejection releases what the earlier checks have reserved. A token of the rate is spent even if the registration fails.
pub struct Limiter {
    limits: Limits,
    servers: Option<UsageCounter>,
    transports: Option<UsageCounter>,
    labels: Option<LabelLimiter>,
    rate: Option<RateLimiter>,
    /// Zero while admission is open, else the retry delay in nanoseconds.
    closed_for_ns: AtomicU64,
}

impl Limiter {
    /// Creates a limiter whose rate is measured from `start` on.
    ///
    /// Does not validate the limits; see [`Limits::check`].
    #[must_use]
    pub fn new(limits: Limits, start: Instant) -> Self {
        let usage = |max: Option<usize>| max.map(UsageCounter::new);
        Self {
            servers: usage(limits.servers),
            transports: usage(limits.transports),
            labels: limits.label.clone().map(LabelLimiter::new),
            rate: limits.rate.as_ref().map(|rate| RateLimiter::new(rate, start)),
            closed_for_ns: AtomicU64::new(0),
            limits,
        }
    }

    /// Returns the limits of this limiter.
    #[must_use]
    pub fn limits(&self) -> &Limits {
        &self.limits
    }

    fn usage(&self, kind: Kind) -> Option<&UsageCounter> {
        match kind {
            Kind::Server => self.servers.as_ref(),
            Kind::Transport => self.transports.as_ref(),
        }
    }

    fn limit_reached(&self, limit: Limit, max: usize) -> AdmissionError {
        let message = format!("the limit of {max} {limit} is reached");
        AdmissionError::new(DenyReason::Limit(limit), message).with_retry_after(self.limits.retry_after)
    }

    /// Reserves capacity under the limits on the kind and on the label.
    fn reserve(&self, kind: Kind, metadata: &Metadata) -> Result<(), AdmissionError> {
        if let Some(usage) = self.usage(kind).filter(|usage| !usage.try_acquire()) {
            return Err(self.limit_reached(limit_on(kind), usage.max()));
        }
        match self.labels.as_ref().map_or(Ok(()), |labels| labels.try_acquire(kind, metadata)) {
            Ok(()) => Ok(()),
            Err((limit, max)) => {
                self.usage(kind).into_iter().for_each(UsageCounter::release);
                Err(self.limit_reached(limit, max))
            }
        }
    }
}

impl Admission for Limiter {
    fn admit(&self, kind: Kind, metadata: &Metadata, now: Instant) -> Result<(), AdmissionError> {
        let closed_for_ns = self.closed_for_ns.load(Ordering::Relaxed);
        if closed_for_ns > 0 {
            let error = AdmissionError::new(DenyReason::Closed, "too many shards are in alarm");
            return Err(error.with_retry_after(Duration::from_nanos(closed_for_ns)));
        }
        self.reserve(kind, metadata)?;
        let Some(Err(wait)) = self.rate.as_ref().map(|rate| rate.try_acquire(now)) else { return Ok(()) };
        self.release(kind, metadata);
        let message = "the rate limit of registrations is reached";
        Err(AdmissionError::new(DenyReason::Limit(Limit::Rate), message).with_retry_after(wait))
    }

    fn renew(&self, kind: Kind, old: &Metadata, new: &Metadata) -> Result<(), AdmissionError> {
        if self.labels.as_ref().is_none_or(|labels| labels.have_same_value(kind, old, new)) {
            return Ok(());
        }
        let message = "a renewal must not change the value of the limited label";
        Err(AdmissionError::new(DenyReason::Policy, message))
    }

    fn release(&self, kind: Kind, metadata: &Metadata) {
        if let Some(labels) = &self.labels {
            labels.release(kind, metadata);
        }
        self.usage(kind).into_iter().for_each(UsageCounter::release);
    }

    fn state(&self) -> AdmissionState {
        match self.closed_for_ns.load(Ordering::Relaxed) {
            0 => AdmissionState::Open,
            _ => AdmissionState::Closed,
        }
    }

    fn health(&self, state: AdmissionState, retry_after: Duration) {
        let closed_for_ns = match state {
            AdmissionState::Open => 0,
            AdmissionState::Closed => u64::try_from(retry_after.as_nanos()).unwrap_or(u64::MAX).max(1),
        };
        self.closed_for_ns.store(closed_for_ns, Ordering::Relaxed);
    }

    fn limit_usage(&self) -> Vec<LimitUsage> {
        let counted = [Kind::Server, Kind::Transport].into_iter().filter_map(|kind| {
            self.usage(kind).map(|usage| {
                let (used, hits) = (usage.used() as u64, usage.hits());
                LimitUsage::new(limit_on(kind), usage.max() as u64).with_used(used).with_hits(hits)
            })
        });
        let rated = self.rate.iter().map(RateLimiter::usage);
        counted.chain(rated).collect()
    }

    fn take_limit_hits(&self) -> LimitHits {
        self.labels.as_ref().map(LabelLimiter::take_limit_hits).unwrap_or_default()
    }
}

fn limit_on(kind: Kind) -> Limit {
    match kind {
        Kind::Server => Limit::Servers,
        Kind::Transport => Limit::Transports,
    }
}

impl fmt::Debug for Limiter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Limiter").field("limits", &self.limits).field("state", &self.state()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
