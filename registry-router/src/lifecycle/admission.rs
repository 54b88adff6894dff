//! Admission: reserves capacity before a registration, and evicts dead registrations when a limit is reached.

use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use registry_core::{
    Admission, AdmissionError, BindError, DenyReason, EndReason, Kind, Metadata, RegisterErrorKind, reentrancy,
};

use crate::endpoint::{Endpoint, is_dead};
use crate::registry::Inner;
use crate::storage::record::Record;
use crate::storage::table::Location;
use crate::sync::AtomicU64;
use crate::types::Types;

impl<T: Types> Inner<T> {
    /// Reserves a place for a registration. Returns the time of the reservation too, so that the insertion that follows
    /// need not read the clock again.
    pub(crate) fn admit<I: Endpoint>(
        &self,
        location: Location,
        id: &[u8],
        metadata: &Metadata,
    ) -> Result<(AdmissionPermit<'_>, Instant), AdmissionError> {
        self.with_eviction::<I, _, _>(location, id, || {
            let now = self.time.now();
            Ok((AdmissionPermit::obtain(&*self.admission, I::KIND, metadata, now)?, now))
        })
    }

    /// Calls `attempt`. If a limit is reached, removes dead registrations and calls it again.
    ///
    /// First, the registration of the same id is removed if it is dead, because a registration must not be refused for the
    /// one that it replaces. If that does not help, all dead registrations are removed, at a limited rate.
    pub(crate) fn with_eviction<I: Endpoint, R, E: LimitReached>(
        &self,
        location: Location,
        id: &[u8],
        mut attempt: impl FnMut() -> Result<R, E>,
    ) -> Result<R, E> {
        let mut outcome = attempt();
        let evictions: [&dyn Fn() -> bool; 2] = [&|| self.evict_dead::<I>(location, id), &|| self.evict_all_dead()];
        for evict in evictions {
            if outcome.as_ref().is_err_and(E::is_limit_reached) && !reentrancy::is_active() && evict() {
                outcome = attempt();
            }
        }
        outcome
    }

    /// Ends the registration of an id if it is dead, and returns whether this call ended it.
    fn evict_dead<I: Endpoint>(&self, location: Location, id: &[u8]) -> bool {
        let if_dead = |_: &I, record: &Record<_>, _: &_| is_dead::<I, T>(record).then_some(record.incarnation);
        let dead = I::table(self).peek(location, id, if_dead).flatten();
        dead.is_some_and(|dead| self.unregister::<I>(location, id, Some(dead), EndReason::MailboxClosed))
    }

    /// Sweeps all shards unless the throttle forbids it, and returns whether any registration was removed.
    fn evict_all_dead(&self) -> bool {
        let now = self.time.now();
        self.sweep_throttle.is_due(now) && {
            (0..self.partition.shards()).fold(false, |any, shard| {
                let swept = self.sweep(shard, now);
                any || swept.servers + swept.transports > 0
            })
        }
    }
}

/// An error that may be due to dead registrations.
pub(crate) trait LimitReached {
    /// Returns whether a limit on the number of registrations or bindings was reached.
    fn is_limit_reached(&self) -> bool;
}

impl LimitReached for AdmissionError {
    fn is_limit_reached(&self) -> bool {
        matches!(&self.reason, DenyReason::Limit(limit) if limit.counts_live_entries())
    }
}

impl LimitReached for BindError {
    fn is_limit_reached(&self) -> bool {
        matches!(self, Self::ServerFull { .. })
    }
}

impl LimitReached for RegisterErrorKind {
    fn is_limit_reached(&self) -> bool {
        matches!(self, Self::ServerFull { .. })
    }
}

/// Limits how often all shards are swept because a limit was reached.
pub(crate) struct SweepThrottle {
    start: Instant,
    every: Duration,
    /// The earliest time of the next sweep, in nanoseconds since the start.
    next: AtomicU64,
}

impl SweepThrottle {
    pub(crate) fn new(start: Instant, every: Duration) -> Self {
        Self { start, every, next: AtomicU64::new(0) }
    }

    /// Returns whether a sweep is due, for one of several concurrent callers.
    fn is_due(&self, now: Instant) -> bool {
        let ns = |time: Duration| u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
        let now = ns(now.saturating_duration_since(self.start));
        let next = self.next.load(Ordering::Relaxed);
        let following = now.saturating_add(ns(self.every));
        // `next` was set by an instant in the future; it is set anew by this one.
        if next > following {
            let _ = self.next.compare_exchange(next, following, Ordering::Relaxed, Ordering::Relaxed);
            return false;
        }
        now >= next && self.next.compare_exchange(next, following, Ordering::Relaxed, Ordering::Relaxed).is_ok()
    }
}

/// A place reserved in admission. Released when dropped, unless it is [kept](Self::keep).
pub(crate) struct AdmissionPermit<'a> {
    admission: &'a dyn Admission,
    kind: Kind,
    /// `None` when the permit has been kept.
    metadata: Option<Metadata>,
}

impl<'a> AdmissionPermit<'a> {
    fn obtain(
        admission: &'a dyn Admission,
        kind: Kind,
        metadata: &Metadata,
        now: Instant,
    ) -> Result<Self, AdmissionError> {
        admission.admit(kind, metadata, now)?;
        Ok(Self { admission, kind, metadata: Some(metadata.clone()) })
    }

    /// Takes over the place of a registration that has ended, for the one that replaces it.
    pub(crate) fn inherit(admission: &'a dyn Admission, kind: Kind, metadata: &Metadata) -> Self {
        Self { admission, kind, metadata: Some(metadata.clone()) }
    }

    /// Passes the place to the registration, whose end releases it.
    pub(crate) fn keep(mut self) {
        self.metadata = None;
    }
}

impl Drop for AdmissionPermit<'_> {
    fn drop(&mut self) {
        if let Some(metadata) = &self.metadata {
            self.admission.release(self.kind, metadata);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn evictions_of_all_dead_are_throttled() {
        let start = Instant::now();
        let second = Duration::from_secs(1);
        let throttle = SweepThrottle::new(start, second);
        let due = [0, 0, 1, 1, 1].map(|after| throttle.is_due(start + after * second));
        assert_eq!(due, [true, false, true, false, false]);
        // One instant is an hour in the future.
        assert!(throttle.is_due(start + 3_600 * second));
        let due = [2, 3, 3, 4].map(|after| throttle.is_due(start + after * second));
        assert_eq!(due, [false, true, false, true]);
        let always = SweepThrottle::new(start, Duration::ZERO);
        assert!(always.is_due(start) && always.is_due(start));
    }
}
