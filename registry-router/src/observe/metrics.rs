//! The export of a registry's statistics through the facade of the crate `metrics`.

use std::sync::Arc;
use std::time::{Duration, Instant};

use registry_core::{Backend, MailboxFamily, Probe};
use tokio::time::MissedTickBehavior;

use crate::registry::Registry;

pub(crate) use exports::Exports;

mod exports;
mod publish;
mod table;

/// Describes all metrics to the recorder, with their units. To be called once, after the recorder has been installed.
///
/// The recorder is that of the calling thread, or else the global one; without one, nothing happens.
/// Names, units and meanings are listed in `docs/operations.md`.
///
/// # Examples
///
/// ```
/// let recorder = metrics_exporter_prometheus::PrometheusBuilder::new().build_recorder();
/// metrics::with_local_recorder(&recorder, registry_router::describe_metrics);
/// ```
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
    /// Exports all statistics to the recorder: that of the calling thread, or else the global one. Without one, nothing is
    /// exported.
    ///
    /// Call it when metrics are about to be collected, or every few seconds as [`export_task`](Self::export_task) does.
    /// Nothing is exported in between, and health is not checked: alarms are those of the last [check](Self::tick).
    ///
    /// `now` ends the latency windows.
    ///
    /// No id is exported, because their number is unbounded and they may be confidential. [Watchers](Self::watch_health)
    /// receive hot ids.
    ///
    /// # Cost
    ///
    /// O(shards): eight series for each shard, and about forty others, whatever is registered.
    ///
    /// # Counters
    ///
    /// Counters count from the start of the registry, also across [`reset_stats`](Self::reset_stats): they never decrease
    /// and nothing is counted twice, also if other callers export the same registry. For that, a
    /// [custom probe](crate::Builder::probe) must implement [`stats_since_start`](Probe::stats_since_start).
    ///
    /// # Several registries
    ///
    /// [Name each registry](Self::export_metrics_as). If another registry that still exists was exported to the same
    /// recorder under the same name before, this one gets a label `registry` with a number: `2` without a name, `name-2`
    /// with the name `name`. The event `export_renamed` reports that. Recorders are distinguished by their address.
    ///
    /// # The end of a registry
    ///
    /// When the last handle of the registry is dropped, all gauges that it has exported are set to zero, except
    /// `registry_admission_open` and `registry_imbalance_probability`, which are set to one, so that no alert keeps firing.
    /// The same happens to a gauge that a registry no longer exports. Counters keep their values, and a later registry of
    /// the same name continues them: its own counts become visible once they exceed the old ones.
    ///
    /// # Examples
    ///
    /// ```
    /// # use std::time::Instant;
    /// # use registry_router::Registry;
    /// let registry: Registry<&str> = Registry::builder().shards(8).build()?;
    /// let recorder = metrics_exporter_prometheus::PrometheusBuilder::new().build_recorder();
    /// metrics::with_local_recorder(&recorder, || registry.export_metrics(Instant::now()));
    /// assert!(recorder.handle().render().contains("registry_shards 8"));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[cfg_attr(docsrs, doc(cfg(feature = "metrics")))]
    pub fn export_metrics(&self, now: Instant) {
        metrics::with_recorder(|recorder| self.inner.publish(recorder, None, now));
    }

    /// Exports like [`export_metrics`](Self::export_metrics), with the label `registry` set to `name` on all series.
    ///
    /// # Examples
    ///
    /// ```
    /// # use std::time::Instant;
    /// # use registry_router::Registry;
    /// let registry: Registry<&str> = Registry::builder().shards(8).build()?;
    /// let recorder = metrics_exporter_prometheus::PrometheusBuilder::new().build_recorder();
    /// metrics::with_local_recorder(&recorder, || registry.export_metrics_as("orders", Instant::now()));
    /// assert!(recorder.handle().render().contains(r#"registry_shards{registry="orders"} 8"#));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[cfg_attr(docsrs, doc(cfg(feature = "metrics")))]
    pub fn export_metrics_as(&self, name: &str, now: Instant) {
        metrics::with_recorder(|recorder| self.inner.publish(recorder, Some(name), now));
    }

    /// Returns a future that [describes](describe_metrics) the metrics and then exports them periodically: once per `every`,
    /// at most once per millisecond. Exporting as often as metrics are collected is enough.
    ///
    /// The future does not keep the registry alive: it completes at the first tick after the last handle is gone, when the
    /// exported gauges have been [reset](Self::export_metrics). It does not check the registry's health; see
    /// [`health_task`](Self::health_task).
    ///
    /// # Cancel safety
    ///
    /// The future can be dropped at any time.
    ///
    /// # Panics
    ///
    /// Panics if polled outside of a tokio runtime with its clock enabled.
    ///
    /// # Examples
    ///
    /// ```
    /// # use std::time::Duration;
    /// # use registry_router::Registry;
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let registry: Registry<&str> = Registry::builder().build()?;
    /// let task = tokio::spawn(registry.export_task(Duration::from_millis(1)));
    /// drop(registry);
    /// task.await?;
    /// # Ok(())
    /// # }
    /// ```
    #[cfg_attr(docsrs, doc(cfg(feature = "metrics")))]
    pub fn export_task(&self, every: Duration) -> impl Future<Output = ()> + Send + 'static {
        self.export_task_with_label(None, every)
    }

    /// Returns a future like [`export_task`](Self::export_task), with the label `registry` set to `name` on all series.
    ///
    /// # Examples
    ///
    /// ```
    /// # use std::time::Duration;
    /// # use registry_router::Registry;
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let registry: Registry<&str> = Registry::builder().build()?;
    /// let task = tokio::spawn(registry.export_task_as("orders", Duration::from_millis(1)));
    /// drop(registry);
    /// task.await?;
    /// # Ok(())
    /// # }
    /// ```
    #[cfg_attr(docsrs, doc(cfg(feature = "metrics")))]
    pub fn export_task_as(&self, name: &str, every: Duration) -> impl Future<Output = ()> + Send + 'static {
        self.export_task_with_label(Some(name.to_owned()), every)
    }

    fn export_task_with_label(
        &self,
        name: Option<String>,
        every: Duration,
    ) -> impl Future<Output = ()> + Send + 'static {
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
