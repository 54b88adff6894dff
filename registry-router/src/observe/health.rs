//! Health checks, by call or by a task, and the notification of watchers about changes.

use std::collections::VecDeque;
use std::error::Error;
use std::fmt;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock, PoisonError};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use registry_core::{AdmissionState, Backend, HealthChange, MailboxFamily, Probe, ShardStats};
use registry_monitor::{AlarmRule, Health, HealthSettings};
use tokio::sync::broadcast::error::TryRecvError;
use tokio::sync::futures::OwnedNotified;
use tokio::sync::{Notify, broadcast};
use tokio::time::MissedTickBehavior;

use crate::observe::events;
use crate::registry::{Inner, Registry};
use crate::sync::{Mutex, MutexGuard};

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
        let Changes { sender, changed } = self.inner.health_state.changes();
        HealthReceiver { changes: sender.subscribe(), changed: Arc::clone(&changed.0), pending: None }
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

/// A receiver of health changes, created by [`Registry::watch_health`].
///
/// With the feature `stream` it is a `Stream` of [`HealthEvent`]s, which ends when [`next`](Self::next) would return `None`.
#[derive(Debug)]
pub struct HealthReceiver {
    changes: broadcast::Receiver<HealthChange>,
    changed: Arc<Notify>,
    /// Waits for the next notification since a poll that returned `Poll::Pending`.
    pending: Option<Pin<Box<OwnedNotified>>>,
}

/// An item received from a [`HealthReceiver`].
#[derive(Clone, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize), serde(rename_all = "snake_case"))]
pub enum HealthEvent {
    /// A health change.
    Change(HealthChange),
    /// The receiver was slow, and lost this number of the changes that came next.
    Lagged(u64),
}

impl HealthReceiver {
    /// Receives the next change; `None` when the registry is gone and all changes have been received.
    ///
    /// # Cancel safety
    ///
    /// Cancel-safe: a future that is dropped before it completes has received no change.
    ///
    /// # Examples
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # use std::time::{Duration, Instant};
    /// # use registry_router::{HealthEvent, Limits, Registry, TryNextError, mailbox};
    /// let limits = Limits { servers: Some(1), ..Limits::default() };
    /// let registry: Registry<&str> = Registry::builder().limits(limits).build()?;
    /// let mut changes = registry.watch_health();
    /// let (mailbox, _inbox) = mailbox(1);
    /// let _lease = registry.register_server("one", mailbox.clone(), ())?;
    /// assert!(registry.register_server("two", mailbox, ()).is_err());
    /// registry.tick(Instant::now());
    ///
    /// assert!(matches!(changes.next().await, Some(HealthEvent::Change(_))));
    /// drop(registry);
    /// assert_eq!(changes.next().await, None);
    /// # Ok(())
    /// # }
    /// ```
    pub async fn next(&mut self) -> Option<HealthEvent> {
        std::future::poll_fn(|context| self.poll_event(context)).await
    }

    fn poll_event(&mut self, context: &mut Context<'_>) -> Poll<Option<HealthEvent>> {
        loop {
            // Receives every notification from its creation on, so none is missed between `try_next` and `poll`.
            let pending = self.pending.take();
            let mut pending = pending.unwrap_or_else(|| Box::pin(Arc::clone(&self.changed).notified_owned()));
            match self.try_next() {
                Ok(event) => return Poll::Ready(Some(event)),
                Err(TryNextError::Closed) => return Poll::Ready(None),
                Err(TryNextError::Empty) => {}
            }
            if pending.as_mut().poll(context).is_pending() {
                self.pending = Some(pending);
                return Poll::Pending;
            }
        }
    }

    /// Receives the next change if there is one now.
    ///
    /// # Errors
    ///
    /// Returns [`TryNextError::Empty`] if there is none now, and [`TryNextError::Closed`] if there will be no more: the
    /// registry is gone and all changes have been received.
    ///
    /// # Examples
    ///
    /// ```
    /// # use std::time::{Duration, Instant};
    /// # use registry_router::{HealthEvent, Limits, Registry, TryNextError, mailbox};
    /// let limits = Limits { servers: Some(1), ..Limits::default() };
    /// let registry: Registry<&str> = Registry::builder().limits(limits).build()?;
    /// let mut changes = registry.watch_health();
    /// let (mailbox, _inbox) = mailbox(1);
    /// let _lease = registry.register_server("one", mailbox.clone(), ())?;
    /// assert!(registry.register_server("two", mailbox, ()).is_err());
    /// registry.tick(Instant::now());
    ///
    /// assert!(matches!(changes.try_next(), Ok(HealthEvent::Change(_))));
    /// assert_eq!(changes.try_next(), Err(TryNextError::Empty));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn try_next(&mut self) -> Result<HealthEvent, TryNextError> {
        match self.changes.try_recv() {
            Ok(change) => Ok(HealthEvent::Change(change)),
            Err(TryRecvError::Lagged(lost)) => Ok(HealthEvent::Lagged(lost)),
            Err(TryRecvError::Empty) => Err(TryNextError::Empty),
            Err(TryRecvError::Closed) => Err(TryNextError::Closed),
        }
    }
}

#[cfg(feature = "stream")]
#[cfg_attr(docsrs, doc(cfg(feature = "stream")))]
impl futures_core::Stream for HealthReceiver {
    type Item = HealthEvent;

    fn poll_next(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<HealthEvent>> {
        self.get_mut().poll_event(context)
    }
}

/// The error returned by [`HealthReceiver::try_next`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TryNextError {
    /// There is no change to receive now.
    Empty,
    /// The registry is gone, and all changes have been received.
    Closed,
}

impl fmt::Display for TryNextError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Empty => "there is no health change to receive",
            Self::Closed => "the registry is gone",
        })
    }
}

impl Error for TryNextError {}

/// The health of a registry, and the notification of its watchers.
pub(crate) struct HealthState {
    /// Not locked while user code runs.
    state: Mutex<State>,
    /// Which shards were in alarm at the last check, readable without a lock.
    alarmed: Box<[AtomicBool]>,
    /// Created for the first watcher.
    changes: OnceLock<Changes>,
}

/// The channel of changes. Its fields are dropped in this order, so that a receiver which is woken finds the channel closed.
struct Changes {
    sender: broadcast::Sender<HealthChange>,
    changed: NotifyOnDrop,
}

/// Wakes all receivers after a change has been sent, and when it is dropped.
#[derive(Default)]
struct NotifyOnDrop(Arc<Notify>);

impl Drop for NotifyOnDrop {
    fn drop(&mut self) {
        self.0.notify_waiters();
    }
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
        self.changes.get_or_init(|| Changes {
            sender: broadcast::Sender::new(BACKLOG.max(2 * self.alarmed.len())),
            changed: NotifyOnDrop::default(),
        })
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

impl<M, B, X, P> Inner<M, B, X, P>
where
    M: Send + 'static,
    B: Backend,
    X: MailboxFamily,
    P: Probe,
{
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
                    if let Some(Changes { sender, changed }) = self.health_state.changes.get() {
                        // Fails if all watchers are gone.
                        let _ = sender.send(change.clone());
                        changed.0.notify_waiters();
                    }
                    events::changed(std::slice::from_ref(&change));
                }
            }
        }
    }
}
