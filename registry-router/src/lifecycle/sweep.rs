//! Sweeps: removing dead registrations that receive no messages.

use std::sync::{Arc, PoisonError};
use std::time::{Duration, Instant};

use registry_core::{Backend, EndReason, Event, MailboxFamily, Operation, Probe, ServerId, TransportId, reentrancy};
use tokio::time::MissedTickBehavior;

use crate::endpoint::{Endpoint, is_dead};
use crate::observe::events;
use crate::registry::{Inner, Registry};
use crate::sync::Mutex;
use crate::types::Types;

/// The number of registrations that a sweep removed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub struct SweepReport {
    /// The number of servers.
    pub servers: usize,
    /// The number of transports.
    pub transports: usize,
    /// The longest time that any of them can have been dead: the time since the previous sweep of its shard. Zero if
    /// none was removed.
    pub lag: Duration,
}

impl<M, B, X, P> Registry<M, B, X, P>
where
    M: Send + 'static,
    B: Backend,
    X: MailboxFamily,
    P: Probe,
{
    /// Removes all dead registrations: those whose mailbox is closed.
    ///
    /// A registration that was dead before the call is removed when it returns. Only registrations that were found dead
    /// are removed; a later registration of the same id is not.
    ///
    /// A table of a shard that was mostly empty at every sweep for ten seconds is shrunk.
    ///
    /// # Cost
    ///
    /// O(registrations), one shard after the other. Each shard is scanned in one read, and its dead registrations are
    /// removed after that.
    ///
    /// # Panics
    ///
    /// Panics inside a closure that reads the registry.
    ///
    /// # Examples
    ///
    /// ```
    /// use registry_router::{Registry, mailbox};
    ///
    /// let registry = Registry::<String>::builder().build()?;
    /// let (to_server, inbox) = mailbox(16);
    /// let _lease = registry.register_server("tools", to_server, ())?;
    /// drop(inbox);
    ///
    /// let report = registry.sweep();
    /// assert_eq!((report.servers, report.transports), (1, 0));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn sweep(&self) -> SweepReport {
        reentrancy::check_write("sweep");
        let mut total = SweepReport::default();
        for shard in 0..self.shard_count() {
            let swept = self.inner.sweep(shard, self.inner.time.now());
            total.servers += swept.servers;
            total.transports += swept.transports;
            total.lag = total.lag.max(swept.lag);
        }
        total
    }

    /// Sweeps one shard, like [`sweep`](Self::sweep). Returns an empty report if `shard` is out of range.
    ///
    /// `now` dates the sweep; the lag in the report is the time from the previous sweep of the shard to `now`.
    ///
    /// # Panics
    ///
    /// Panics inside a closure that reads the registry.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::time::Instant;
    ///
    /// use registry_router::{Registry, mailbox};
    ///
    /// let registry = Registry::<String>::builder().build()?;
    /// let (to_server, inbox) = mailbox(16);
    /// let _lease = registry.register_server("tools", to_server, ())?;
    /// drop(inbox);
    ///
    /// let report = registry.sweep_shard(registry.shard_of("tools"), Instant::now());
    /// assert_eq!(report.servers, 1);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn sweep_shard(&self, shard: usize, now: Instant) -> SweepReport {
        reentrancy::check_write("sweep");
        if shard < self.shard_count() { self.inner.sweep(shard, now) } else { SweepReport::default() }
    }

    /// Returns a task that sweeps each shard once in `every`, to be spawned on a tokio runtime.
    ///
    /// The task sweeps one shard per tick, so that the work is spread evenly. Ticks are at least one millisecond apart:
    /// a round takes at least as many milliseconds as there are shards. A dead registration that receives no messages is
    /// removed within about one round.
    /// The task does not keep the registry alive, and completes at the first tick after the last handle is dropped.
    ///
    /// # Cancel safety
    ///
    /// The task can be dropped or aborted at any time.
    ///
    /// # Panics
    ///
    /// Panics when polled outside a tokio runtime with time enabled.
    ///
    /// # Examples
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread", start_paused = true)]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use std::time::Duration;
    ///
    /// use registry_router::{Registry, mailbox};
    ///
    /// let registry = Registry::<String>::builder().build()?;
    /// let sweeps = tokio::spawn(registry.sweep_task(Duration::from_secs(10)));
    /// let (to_server, inbox) = mailbox(16);
    /// let _lease = registry.register_server("tools", to_server, ())?;
    /// drop(inbox);
    ///
    /// tokio::time::sleep(Duration::from_secs(11)).await;
    /// assert_eq!(registry.server_count(), 0);
    ///
    /// drop(registry);
    /// sweeps.await?; // Completes, because the last handle has been dropped.
    /// # Ok(())
    /// # }
    /// ```
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

impl<T: Types> Inner<T> {
    pub(crate) fn sweep(&self, shard: usize, now: Instant) -> SweepReport {
        let _span = events::sweeping(shard);
        let before = self.sweep_times.record(shard, now);
        let servers = self.sweep_kind::<ServerId>(shard, before, now);
        let transports = self.sweep_kind::<TransportId>(shard, before, now);
        let lag = if servers + transports > 0 { now.saturating_duration_since(before) } else { Duration::ZERO };
        let swept = SweepReport { servers, transports, lag };
        events::swept(shard, &swept);
        self.shrink_if_sparse::<ServerId>(shard, now);
        self.shrink_if_sparse::<TransportId>(shard, now);
        self.run_deferred_in_background();
        swept
    }

    fn sweep_kind<I: Endpoint>(&self, shard: usize, before: Instant, now: Instant) -> usize {
        let mut dead = Vec::new();
        I::table(self).for_each_of(shard, |id, record, _| {
            if is_dead::<I, T>(record) {
                dead.push((id.clone(), record.incarnation));
            }
        });
        let mut ended = 0;
        for (id, incarnation) in dead {
            // A sender may have removed it meanwhile.
            if self.unregister::<I>(
                self.location(id.as_ref()),
                id.as_ref(),
                Some(incarnation),
                EndReason::MailboxClosed,
            ) {
                self.probe.event(shard, Event::Swept);
                self.probe.record_latency(shard, Operation::CleanUp, before, now);
                ended += 1;
            }
        }
        ended
    }
}

/// The times of the last two sweeps of each shard.
pub(crate) struct SweepTimes(Box<[Mutex<[Instant; 2]>]>);

impl SweepTimes {
    pub(crate) fn new(shards: usize, now: Instant) -> Self {
        Self((0..shards).map(|_| Mutex::new([now; 2])).collect())
    }

    /// Records a sweep, and returns the time of the previous one.
    ///
    /// If the recorded time of the previous sweep is in the future, it was wrong; then the time of the one before it is
    /// returned, so that the lag is too long rather than too short.
    fn record(&self, shard: usize, now: Instant) -> Instant {
        let mut times = self.0[shard].lock().unwrap_or_else(PoisonError::into_inner);
        let before = times.iter().copied().find(|time| *time <= now).unwrap_or(now);
        *times = [now, before];
        before
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sweep_dated_in_the_future_hides_no_lag() {
        let (start, second) = (Instant::now(), Duration::from_secs(1));
        let sweep_times = SweepTimes::new(1, start);
        let record = |after: u32| sweep_times.record(0, start + after * second) - start;
        assert_eq!([1, 2, 3_602].map(record), [0, 1, 2].map(|before| before * second));
        assert_eq!(
            [4, 5, 6].map(record),
            [2, 4, 5].map(|before| before * second),
            "never later than the previous sweep"
        );
        // The clock is set back permanently, to before the start.
        let early = |before: u32| start - before * second;
        assert_eq!([9, 8].map(|before| sweep_times.record(0, early(before))), [9, 9].map(early));
    }
}
