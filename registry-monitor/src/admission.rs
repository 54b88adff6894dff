//! Who may register: caps, a rate, and a door that closes when the registry is in trouble.
//!
//! Every place is reserved before a registration does any work, and given back if it comes to nothing, so that a cap is
//! never exceeded, not even for an instant, and every place under it can be used.

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

/// The policy that keeps [`Limits`], and sheds load when it hears that too many shards are in alarm.
///
/// Without any limit set, it refuses nobody while the registry is well, at the cost of two reads of memory that is rarely
/// written.
///
/// # Order
///
/// The door is asked first, then the cap on the kind, the one on the label, and last the rate; who is refused by one has
/// given back what the others gave. Only what the rate has given is spent, whatever becomes of the registration.
pub struct Limiter {
    limits: Limits,
    servers: Option<UsageCounter>,
    transports: Option<UsageCounter>,
    labels: Option<LabelLimiter>,
    rate: Option<RateLimiter>,
    /// Zero while the door is open; else for how many nanoseconds to stay away.
    closed_for_ns: AtomicU64,
}

impl Limiter {
    /// A policy that keeps these limits, and measures its rate from `start` on.
    ///
    /// Limits are taken as they are; [`Limits::check`] says whether they make sense.
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

    /// The limits that it was made with.
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
        let reason = format!("the cap of {max} {limit} is reached").into();
        AdmissionError { reason: DenyReason::Limit(limit), message: reason, retry_after: Some(self.limits.retry_after) }
    }

    /// Reserves what is counted; the rate is not.
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
            let reason = "too many shards are in alarm".into();
            let retry_after = Some(Duration::from_nanos(closed_for_ns));
            return Err(AdmissionError { reason: DenyReason::Closed, message: reason, retry_after });
        }
        self.reserve(kind, metadata)?;
        let Some(Err(wait)) = self.rate.as_ref().map(|rate| rate.try_acquire(now)) else { return Ok(()) };
        self.release(kind, metadata);
        let reason = "registrations come faster than the limit".into();
        Err(AdmissionError { reason: DenyReason::Limit(Limit::Rate), message: reason, retry_after: Some(wait) })
    }

    fn renew(&self, kind: Kind, old: &Metadata, new: &Metadata) -> Result<(), AdmissionError> {
        if self.labels.as_ref().is_none_or(|labels| labels.have_same_value(kind, old, new)) {
            return Ok(());
        }
        let reason = "a renewal must keep the label that is limited".into();
        Err(AdmissionError { reason: DenyReason::Policy, message: reason, retry_after: None })
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
            self.usage(kind).map(|usage| LimitUsage {
                limit: limit_on(kind),
                max: usage.max() as u64,
                used: usage.used() as u64,
                hits: usage.hits(),
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
