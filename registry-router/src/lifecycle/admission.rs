//! Letting somebody in: a place is reserved before any work is done, and who is in the way is looked at first if a cap says
//! no.

use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use registry_core::{
    Admission, AdmissionError, Backend, BindError, DenyReason, Incarnation, Kind, MailboxFamily, Metadata, Probe,
    RegisterErrorKind, reentrancy,
};

use crate::endpoint::{Endpoint, is_dead};
use crate::registry::Inner;
use crate::storage::record::Record;
use crate::storage::table::Location;
use crate::sync::AtomicU64;

impl<M, B, X, P> Inner<M, B, X, P>
where
    M: Send + 'static,
    B: Backend,
    X: MailboxFamily,
    P: Probe,
{
    /// Reserves a place for a registration, and says when: the clock is dear to read, and one reading serves the insertion
    /// that follows too.
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

    /// Tries something that a cap may forbid. If one does, the dead are taken out, and it is tried again.
    ///
    /// First goes whoever holds the name and is dead, for nobody should be turned away by what he is about to replace;
    /// then all the dead, but not each time.
    pub(crate) fn with_eviction<I: Endpoint, T, E: ByCap>(
        &self,
        location: Location,
        id: &[u8],
        mut attempt: impl FnMut() -> Result<T, E>,
    ) -> Result<T, E> {
        let mut outcome = attempt();
        let ways: [&dyn Fn() -> bool; 2] = [&|| self.evict_dead::<I>(location, id), &|| self.sweep_for_room()];
        for make_room in ways {
            if outcome.as_ref().is_err_and(E::is_by_cap) && !reentrancy::is_active() && make_room() {
                outcome = attempt();
            }
        }
        outcome
    }

    /// Ends the registration that holds a name if its owner is dead, and says whether this call did.
    fn evict_dead<I: Endpoint>(&self, location: Location, id: &[u8]) -> bool {
        let dead = self.dead_holder::<I>(location, id);
        dead.is_some_and(|dead| self.end::<I>(location, id, Some(dead)))
    }

    fn dead_holder<I: Endpoint>(&self, location: Location, id: &[u8]) -> Option<Incarnation> {
        let dead = |_: &I, record: &Record<_>, _: &_| is_dead::<I, M, X>(record).then_some(record.incarnation);
        I::table(self).peek(location, id, dead).flatten()
    }

    /// Takes out all the dead if it is time for that, and says whether there were any.
    fn sweep_for_room(&self) -> bool {
        let now = self.time.now();
        self.sweep_throttle.is_due(now) && {
            (0..self.partition.shards()).fold(false, |any, shard| {
                let swept = self.sweep(shard, now);
                any || swept.servers + swept.transports > 0
            })
        }
    }
}

/// A refusal that the dead may be to blame for.
pub(crate) trait ByCap {
    /// Whether it is a cap that counts registrations or bindings which says no.
    fn is_by_cap(&self) -> bool;
}

impl ByCap for AdmissionError {
    fn is_by_cap(&self) -> bool {
        matches!(&self.reason, DenyReason::Limit(limit) if limit.counts_live_entries())
    }
}

impl ByCap for BindError {
    fn is_by_cap(&self) -> bool {
        matches!(self, Self::ServerFull { .. })
    }
}

impl ByCap for RegisterErrorKind {
    fn is_by_cap(&self) -> bool {
        matches!(self, Self::ServerFull { .. })
    }
}

/// When the dead may be looked for again because a cap was hit.
pub(crate) struct SweepThrottle {
    start: Instant,
    every: Duration,
    /// In nanoseconds since the start.
    next: AtomicU64,
}

impl SweepThrottle {
    pub(crate) fn new(start: Instant, every: Duration) -> Self {
        Self { start, every, next: AtomicU64::new(0) }
    }

    /// Whether it is time, which it is for one of several who ask at once.
    fn is_due(&self, now: Instant) -> bool {
        let ns = |time: Duration| u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
        let now = ns(now.saturating_duration_since(self.start));
        let next = self.next.load(Ordering::Relaxed);
        let then = now.saturating_add(ns(self.every));
        // It was due so late by a clock that was ahead; from here on, it is so by this one.
        if next > then {
            let _ = self.next.compare_exchange(next, then, Ordering::Relaxed, Ordering::Relaxed);
            return false;
        }
        now >= next && self.next.compare_exchange(next, then, Ordering::Relaxed, Ordering::Relaxed).is_ok()
    }
}

/// A place that admission has given; it goes back unless the registration comes about.
pub(crate) struct AdmissionPermit<'a> {
    admission: &'a dyn Admission,
    kind: Kind,
    /// `None` once it is kept.
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

    /// The place of a registration that has ended, for the one that follows it.
    pub(crate) fn inherit(admission: &'a dyn Admission, kind: Kind, metadata: &Metadata) -> Self {
        Self { admission, kind, metadata: Some(metadata.clone()) }
    }

    /// The registration holds the place from now on, and gives it back when it ends.
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
    fn relief_is_due_once_in_a_while() {
        let start = Instant::now();
        let second = Duration::from_secs(1);
        let sweep_throttle = SweepThrottle::new(start, second);
        let due = [0, 0, 1, 1, 1].map(|after| sweep_throttle.is_due(start + after * second));
        assert_eq!(due, [true, false, true, false, false]);
        // Asked by a clock that is an hour ahead, once.
        assert!(sweep_throttle.is_due(start + 3_600 * second));
        let due = [2, 3, 3, 4].map(|after| sweep_throttle.is_due(start + after * second));
        assert_eq!(due, [false, true, false, true]);
        let always = SweepThrottle::new(start, Duration::ZERO);
        assert!(always.is_due(start) && always.is_due(start));
    }
}
