//! Finding the dead whom nobody talks to: registrations whose mailbox is closed and whose owner did not say goodbye.

use std::sync::{Arc, PoisonError};
use std::time::{Duration, Instant};

use registry_core::{Backend, Event, MailboxFamily, Operation, Probe, ServerId, TransportId, reentrancy};
use tokio::time::MissedTickBehavior;

use crate::endpoint::{Endpoint, is_dead};
use crate::observe::events;
use crate::registry::{Inner, Registry};
use crate::seeded::SeededBug;
use crate::sync::Mutex;

/// What a sweep took out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub struct SweepReport {
    /// So many servers.
    pub servers: usize,
    /// So many transports.
    pub transports: usize,
    /// The longest that any of them can have been dead: the time since their shard was swept before. Zero if there were
    /// none.
    pub lag: Duration,
}

impl<M, B, X, P> Registry<M, B, X, P>
where
    M: Send + 'static,
    B: Backend,
    X: MailboxFamily,
    P: Probe,
{
    /// Ends the registrations of all whose mailbox is closed, and says how many there were.
    ///
    /// Whoever was dead before the call is gone when it returns. Only registrations that were found dead are ended, and
    /// no successor under the same name.
    ///
    /// A shard that has been mostly empty at all sweeps of ten seconds gives back the room of its table.
    ///
    /// O(registrations), one shard after the other; each shard is read in one go, and its dead are ended after that.
    ///
    /// # Panics
    ///
    /// Inside a closure that reads the registry.
    pub fn sweep(&self) -> SweepReport {
        reentrancy::check_write("sweep");
        let mut all = SweepReport::default();
        for shard in 0..self.shard_count() {
            let swept = self.inner.sweep(shard, self.inner.time.now());
            all.servers += swept.servers;
            all.transports += swept.transports;
            all.lag = all.lag.max(swept.lag);
        }
        all
    }

    /// Sweeps one shard, as [`sweep`](Self::sweep) does all of them. A shard that there is not has nobody in it.
    ///
    /// `now` is what the lag is told by.
    ///
    /// # Panics
    ///
    /// Inside a closure that reads the registry.
    pub fn sweep_shard(&self, shard: usize, now: Instant) -> SweepReport {
        reentrancy::check_write("sweep");
        if shard < self.shard_count() { self.inner.sweep(shard, now) } else { SweepReport::default() }
    }

    /// A task that sweeps for ever, to be spawned by whoever wants it: each shard once in `every`, one at a time.
    ///
    /// It takes one shard per tick, so that the work is spread evenly, at most one in a millisecond: with `every` below
    /// that many milliseconds a round takes longer. A dead registration nobody talks to is gone within about one round.
    /// It does not keep the registry alive, and ends at the next tick when the last handle is gone; it can be dropped
    /// at any time.
    ///
    /// # Panics
    ///
    /// When polled outside of a tokio runtime whose clock is enabled.
    pub fn sweep_task(&self, every: Duration) -> impl Future<Output = ()> + Send + 'static {
        let shards = self.shard_count();
        let pause = (every / u32::try_from(shards).unwrap_or(u32::MAX)).max(Duration::from_millis(1));
        let inner = Arc::downgrade(&self.inner);
        async move {
            let mut ticks = tokio::time::interval(pause);
            ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
            for shard in (0..shards).cycle() {
                let now = ticks.tick().await;
                let Some(inner) = inner.upgrade() else { return };
                inner.sweep(shard, now.into_std());
            }
        }
    }
}

impl<M, B, X, P> Inner<M, B, X, P>
where
    M: Send + 'static,
    B: Backend,
    X: MailboxFamily,
    P: Probe,
{
    pub(crate) fn sweep(&self, shard: usize, now: Instant) -> SweepReport {
        let _span = events::sweeping(shard);
        let before = self.sweep_times.visit(shard, now);
        let servers = self.sweep_side::<ServerId>(shard, before, now);
        let transports = self.sweep_side::<TransportId>(shard, before, now);
        let lag = if servers + transports > 0 { now.saturating_duration_since(before) } else { Duration::ZERO };
        let swept = SweepReport { servers, transports, lag };
        events::swept(shard, &swept);
        self.give_back_room::<ServerId>(shard, now);
        self.give_back_room::<TransportId>(shard, now);
        self.tidy_up();
        swept
    }

    fn sweep_side<I: Endpoint>(&self, shard: usize, before: Instant, now: Instant) -> usize {
        let mut dead = Vec::new();
        I::table(self).for_each_of(shard, |id, record, _| {
            if is_dead::<I, M, X>(record) {
                dead.push((id.clone(), record.incarnation));
            }
        });
        let mut ended = 0;
        for (id, incarnation) in dead {
            let which = Some(incarnation).filter(|_| !SeededBug::SweepRemovesByName.is_on());
            // A message may have found it meanwhile.
            if self.end::<I>(self.location(id.as_ref()), id.as_ref(), which) {
                self.probe.event(shard, Event::Swept);
                self.probe.record_latency(shard, Operation::CleanUp, before, now);
                ended += 1;
            }
        }
        ended
    }
}

/// When each shard was last swept, and when it was before that.
pub(crate) struct SweepTimes(Box<[Mutex<[Instant; 2]>]>);

impl SweepTimes {
    pub(crate) fn new(shards: usize, now: Instant) -> Self {
        Self((0..shards).map(|_| Mutex::new([now; 2])).collect())
    }

    /// Notes a visit, and says when the one before it was.
    ///
    /// If that was by a clock that was ahead, it is not known when; then the one before is told, which is longer ago.
    fn visit(&self, shard: usize, now: Instant) -> Instant {
        let mut sweep_times = self.0[shard].lock().unwrap_or_else(PoisonError::into_inner);
        let before = sweep_times.iter().copied().find(|visit| *visit <= now).unwrap_or(now);
        *sweep_times = [now, before];
        before
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_visit_by_a_clock_that_was_ahead_hides_no_lag() {
        let (start, second) = (Instant::now(), Duration::from_secs(1));
        let sweep_times = SweepTimes::new(1, start);
        let visit = |after: u32| sweep_times.visit(0, start + after * second) - start;
        assert_eq!([1, 2, 3_602].map(visit), [0, 1, 2].map(|before| before * second));
        assert_eq!([4, 5, 6].map(visit), [2, 4, 5].map(|before| before * second), "no later than it was");
        // Set back for good, to before the start.
        let early = |before: u32| start - before * second;
        assert_eq!([9, 8].map(|before| sweep_times.visit(0, early(before))), [9, 9].map(early));
    }
}
