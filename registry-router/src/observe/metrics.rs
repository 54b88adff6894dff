//! Telling a registry's figures to whatever collects metrics in the process, through the facade of the crate `metrics`.

use std::sync::Arc;
use std::time::{Duration, Instant};

use registry_core::{Backend, MailboxFamily, Probe};
use tokio::time::MissedTickBehavior;

use crate::registry::Registry;

pub(crate) use exports::Exports;

mod exports;
mod publish;
mod table;

/// Tells the recorder of metrics what each of the metrics means, and its unit. Once, when the recorder is there.
///
/// The recorder is the one that the program has installed, or the calling thread's own; without one nothing happens.
/// Names, units and meanings are listed in `docs/operations.md`.
pub fn describe_metrics() {
    metrics::with_recorder(|recorder| table::ALL.iter().for_each(|metric| metric.describe(recorder)));
}

impl<M, B, X, P> Registry<M, B, X, P>
where
    M: Send + 'static,
    B: Backend,
    X: MailboxFamily,
    P: Probe,
{
    /// Publishes all figures to the recorder of metrics: that of the calling thread, else the one that the program has
    /// installed. Without one nothing is published.
    ///
    /// To be called when somebody is about to collect, or every few seconds; [`export_task`](Self::export_task) does the
    /// latter. Nothing is exported in between, and nothing is judged: alarms are those of the last
    /// [check](Self::tick).
    ///
    /// `now` is what windows end at. O(shards): seven series for each shard, and about forty besides, whatever is
    /// registered. No id is exported, for there is no end of ids, and they may be nobody's business; a hot one is named
    /// to those who [watch](Self::watch_health).
    ///
    /// # Counters
    ///
    /// They count from the start of the registry, also across [`reset_stats`](Self::reset_stats): what a collector sees
    /// never falls and is never counted twice, whoever else exports the same registry. A
    /// [probe of your own](crate::Builder::probe) must know [`stats_since_start`](Probe::stats_since_start) for that.
    ///
    /// # Several registries
    ///
    /// [Give each its name](Self::export_metrics_as). One that is exported as another registry is, which lives and was
    /// exported to the same recorder before, gets a label `registry` with a number: `2` beside one without a name, and
    /// `name-2` beside `name`. The event `export_renamed` tells.
    /// Recorders are told apart by their address.
    ///
    /// # The end
    ///
    /// When the last handle of the registry is gone, all gauges that it has published are set to zero, but for
    /// `registry_admission_open` and `registry_imbalance_probability`, which are set to one: so no alert goes on firing.
    /// The same happens to a gauge that a registry does not publish any more. Counters stay where they were, and a later
    /// registry of the same name goes on with them: its own count shows when it has come up with the old one.
    pub fn export_metrics(&self, now: Instant) {
        metrics::with_recorder(|recorder| self.inner.publish(recorder, None, now));
    }

    /// As [`export_metrics`](Self::export_metrics), with a label `registry` of this value on all series.
    pub fn export_metrics_as(&self, name: &str, now: Instant) {
        metrics::with_recorder(|recorder| self.inner.publish(recorder, Some(name), now));
    }

    /// A task that [describes](describe_metrics) the metrics and then exports them for ever, to be spawned by whoever
    /// wants it: once in `every`, at most once in a millisecond. As often as somebody collects is enough.
    ///
    /// It does not keep the registry alive, and ends at the next tick when the last handle is gone, whose end has
    /// [put back](Self::export_metrics) what was published; it can be dropped at any time. It does not check the registry's health, which is what [`health_task`](Self::health_task) is for.
    ///
    /// # Panics
    ///
    /// When polled outside of a tokio runtime whose clock is enabled.
    pub fn export_task(&self, every: Duration) -> impl Future<Output = ()> + Send + 'static {
        self.task(None, every)
    }

    /// As [`export_task`](Self::export_task), with a label `registry` of this value on all series.
    pub fn export_task_as(&self, name: &str, every: Duration) -> impl Future<Output = ()> + Send + 'static {
        self.task(Some(name.to_owned()), every)
    }

    fn task(&self, name: Option<String>, every: Duration) -> impl Future<Output = ()> + Send + 'static {
        let inner = Arc::downgrade(&self.inner);
        async move {
            describe_metrics();
            let mut ticks = tokio::time::interval(every.max(Duration::from_millis(1)));
            ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
            loop {
                let now = ticks.tick().await;
                let Some(inner) = inner.upgrade() else { return };
                metrics::with_recorder(|recorder| inner.publish(recorder, name.as_deref(), now.into_std()));
            }
        }
    }
}
