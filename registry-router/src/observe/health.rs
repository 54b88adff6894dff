//! Health checks, by call or by a task, and the notification of watchers about changes.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use registry_core::{AdmissionState, Backend, HealthChange, MailboxFamily, Probe, ShardStats};
use registry_monitor::{AlarmRule, Health, HealthSettings};
use tokio::time::MissedTickBehavior;

use self::receiver::Changes;
use crate::observe::events;
use crate::registry::{Inner, Registry};
use crate::sync::{Mutex, MutexGuard};
use crate::types::Types;

pub use self::receiver::{HealthEvent, HealthReceiver, TryNextError};

mod receiver;

/// The number of changes that are kept for slow watchers, in a registry of few shards.
const BACKLOG: usize = 256;

impl<M, B, X, P> Registry<M, B, X, P>
where
    M: Send + 'static,
    B: Backend,
    X: MailboxFamily,
    P: Probe,
{
    /// Checks the registry's health, and returns what has changed since the previous check.
    ///
    /// Only this call raises and clears alarms, and closes and reopens admission. Call it about once a second, or use
    /// [`health_task`](Self::health_task). If several callers check concurrently, each gets the changes of its own check,
    /// while [watchers](Self::watch_health), the admission policy and events get all changes in order. One of the callers
    /// notifies them; the others may return before that.
    ///
    /// A policy, probe or subscriber that is being notified may call this again; the changes of that call are delivered
    /// afterwards.
    ///
    /// At most 64 limits by label are reported individually; further ones are reported as a number.
    ///
    /// `now` ends the latency windows and drives the hysteresis timers.
    ///
    /// # Cost
    ///
    /// O(shards × threads that have recorded operations + limits that were hit and not yet cleared), and copies the
    /// statistics of the shards.
    ///
    /// # Examples
    ///
    /// ```
    /// # use std::time::Instant;
    /// # use registry_router::Registry;
    /// let registry: Registry<&str> = Registry::builder().build()?;
    /// for change in registry.tick(Instant::now()) {
    ///     println!("{change}");
    /// }
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn tick(&self, now: Instant) -> Vec<HealthChange> {
        self.inner.tick(now)
    }

    /// Returns a receiver of all health changes that are found from now on.
    ///
    /// A watcher costs nothing while nothing changes, and never delays a check: a slow watcher loses the oldest changes, and
    /// receives their number as [`HealthEvent::Lagged`]. At least the last 256 changes are kept, and at least two for each
    /// shard. A watcher does not keep the registry alive.
    ///
    /// # Examples
    ///
    /// ```
    /// # use registry_router::{Registry, TryNextError};
    /// let registry: Registry<&str> = Registry::builder().build()?;
    /// let mut changes = registry.watch_health();
    /// assert_eq!(changes.try_next(), Err(TryNextError::Empty));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn watch_health(&self) -> HealthReceiver {
        self.inner.health_state.changes().subscribe()
    }

    /// Returns a future that checks the registry's health periodically: once per `every`, at most once per millisecond. The
    /// default settings are made for one second.
    ///
    /// The future does not keep the registry alive: it completes at the first tick after the last handle is gone. A late
    /// check does not make the next one early.
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
    /// With a cancellation token of the crate `tokio-util`, the task stops together with others:
    ///
    /// ```
    /// # #[cfg(feature = "papaya")]
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # tokio::runtime::Builder::new_current_thread().enable_time().build()?.block_on(async {
    /// use std::time::Duration;
    ///
    /// use registry_router::Registry;
    /// use tokio_util::sync::CancellationToken;
    ///
    /// let registry: Registry<String> = Registry::builder().build()?;
    /// let shutdown = CancellationToken::new();
    /// let checks = registry.health_task(Duration::from_secs(1));
    /// let task = tokio::spawn(shutdown.clone().run_until_cancelled_owned(checks));
    ///
    /// shutdown.cancel();
    /// assert_eq!(task.await?, None, "the task was cancelled");
    /// # Ok(())
    /// # })
    /// # }
    /// # #[cfg(not(feature = "papaya"))]
    /// # fn main() {}
    /// ```
    pub fn health_task(&self, every: Duration) -> impl Future<Output = ()> + Send + 'static {
        let inner = Arc::downgrade(&self.inner);
        async move {
            let mut ticks = tokio::time::interval(every.max(Duration::from_millis(1)));
            ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
            loop {
                let now = ticks.tick().await;
                let Some(inner) = inner.upgrade() else { return };
                inner.tick(now.into_std());
            }
        }
    }
}

/// The health of a registry, and the notification of its watchers.
pub(crate) struct HealthState {
    /// Not locked while user code runs.
    state: Mutex<State>,
    /// Which shards were in alarm at the last check, readable without a lock.
    alarmed: Box<[AtomicBool]>,
    /// Created for the first watcher.
    changes: OnceLock<Changes>,
}

impl HealthState {
    pub(crate) fn new(shards: usize, alarm: AlarmRule, settings: HealthSettings) -> Self {
        Self {
            state: Mutex::new(State {
                health: Health::new(shards, alarm, settings),
                notifications: VecDeque::new(),
                is_notifying: false,
            }),
            alarmed: std::iter::repeat_with(AtomicBool::default).take(shards).collect(),
            changes: OnceLock::new(),
        }
    }

    /// Returns whether a shard was in alarm at the last check.
    pub(crate) fn is_alarmed(&self, shard: usize) -> bool {
        self.alarmed[shard].load(Ordering::Relaxed)
    }

    fn changes(&self) -> &Changes {
        self.changes.get_or_init(|| Changes::new(BACKLOG.max(2 * self.alarmed.len())))
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

struct State {
    health: Health,
    /// What was found and has not been delivered, oldest first.
    notifications: VecDeque<Notification>,
    /// Whether a thread is delivering notifications; that thread delivers all of them.
    is_notifying: bool,
}

enum Notification {
    Admission(AdmissionState, Duration),
    Change(HealthChange),
}

/// The exclusive right to deliver notifications; `None` once it has been given up.
struct Notifier<'a>(Option<&'a HealthState>);

impl<'a> Notifier<'a> {
    /// Returns `None` if another call is delivering; it will deliver everything that is queued now.
    fn acquire(health_state: &'a HealthState) -> Option<Self> {
        let mut state = health_state.lock();
        let is_free = !std::mem::replace(&mut state.is_notifying, true);
        is_free.then(|| Self(Some(health_state)))
    }

    /// Returns the next notification. After the last one the right is given up, under the same lock: a notification that
    /// is queued later needs a new notifier.
    fn next(&mut self) -> Option<Notification> {
        let mut state = self.0?.lock();
        let notification = state.notifications.pop_front();
        if notification.is_none() {
            state.is_notifying = false;
            self.0 = None;
        }
        notification
    }
}

/// If a notified party panics, the next call continues.
impl Drop for Notifier<'_> {
    fn drop(&mut self) {
        if let Some(health_state) = self.0 {
            health_state.lock().is_notifying = false;
        }
    }
}

impl<T: Types> Inner<T> {
    fn tick(&self, now: Instant) -> Vec<HealthChange> {
        let _span = events::checking(self.partition.shards());
        self.run_deferred_in_background();
        let changes = self.check(now);
        self.probe.on_health_check(now);
        self.notify();
        changes
    }

    /// Finds what has changed, and queues it for notification in the order in which it was found.
    fn check(&self, now: Instant) -> Vec<HealthChange> {
        // Probe and policy may be user code, so nothing is locked.
        let stats: Vec<ShardStats> = (0..self.partition.shards()).map(|shard| self.stats_at(shard, now)).collect();
        let hot = self.probe.hot_ids(now);
        let mut limits = self.admission.limit_usage();
        limits.extend(self.binding_counts.usage());
        let hits = self.admission.take_limit_hits();
        let mut state = self.health_state.lock();
        let State { health, notifications, .. } = &mut *state;
        let before = health.admission();
        let changes = health.check(&stats, &hot, &limits, &hits, now);
        for (shard, alarmed) in self.health_state.alarmed.iter().enumerate() {
            alarmed.store(health.is_alarmed(shard), Ordering::Relaxed);
        }
        let admission = health.admission();
        if admission != before {
            notifications.push_back(Notification::Admission(admission, health.settings().reopen_after));
        }
        notifications.extend(changes.iter().cloned().map(Notification::Change));
        changes
    }

    /// Delivers all notifications, unless another call is doing so, on this thread or another one.
    fn notify(&self) {
        let Some(mut notifier) = Notifier::acquire(&self.health_state) else { return };
        while let Some(notification) = notifier.next() {
            match notification {
                Notification::Admission(state, retry_after) => self.admission.health(state, retry_after),
                Notification::Change(change) => {
                    if let Some(changes) = self.health_state.changes.get() {
                        changes.send(change.clone());
                    }
                    events::changed(std::slice::from_ref(&change));
                }
            }
        }
    }
}
