//! Checking the health of a registry: by hand or by a task, with whoever watches being told what has changed.

use std::collections::VecDeque;
use std::error::Error;
use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{OnceLock, PoisonError};
use std::time::{Duration, Instant};

use registry_core::{AdmissionState, Backend, HealthChange, MailboxFamily, Probe, ShardStats};
use registry_monitor::{AlarmRule, Health, HealthSettings};
use tokio::sync::broadcast;
use tokio::sync::broadcast::error::{RecvError, TryRecvError};
use tokio::time::MissedTickBehavior;

use crate::observe::events;
use crate::registry::{Inner, Registry};
use crate::sync::{Mutex, MutexGuard};

/// How many changes are kept for a watcher who is slow, in a registry of few shards.
const BACKLOG: usize = 256;

impl<M, B, X, P> Registry<M, B, X, P>
where
    M: Send + 'static,
    B: Backend,
    X: MailboxFamily,
    P: Probe,
{
    /// Checks the registry's health, and says what has changed since the check before.
    ///
    /// This is what raises and clears alarms, and closes and reopens admission; nothing does so in between. To be called
    /// about once a second, or left to [`health_task`](Self::health_task). Of several who call at once, each gets what
    /// changed in his own check, and [watchers](Self::watch_health), the admission policy and events get it all, in order.
    /// One of the callers tells them; the others may return before they were told.
    ///
    /// A policy, a probe or a subscriber that is told may call this again: what that call finds is told next.
    ///
    /// At most 64 caps by label are told by name; those beyond are told by their number.
    ///
    /// `now` is what windows end at and what is held for a time is held by. O(shards × threads that have counted + caps
    /// that were hit and not yet relieved), and copies the figures of the shards.
    pub fn tick(&self, now: Instant) -> Vec<HealthChange> {
        self.inner.tick(now)
    }

    /// Watches the registry's health: a receiver of all changes that are found from now on.
    ///
    /// A watcher costs nobody anything while nothing changes, and never holds up a check: one that is slow loses the
    /// oldest changes, and is told how many. At least the last 256 are kept, and at least two for each shard.
    /// It does not keep the registry alive.
    pub fn watch_health(&self) -> HealthReceiver {
        HealthReceiver { changes: self.inner.health_state.changes().subscribe() }
    }

    /// A task that checks the registry's health for ever, to be spawned by whoever wants it: once in `every`, at most once
    /// in a millisecond. A second is what the settings are made for.
    ///
    /// It does not keep the registry alive, and ends at the next tick when the last handle is gone; it can be dropped at
    /// any time. A check that comes late does not make the next one come early.
    ///
    /// A token of the crate `tokio-util` stops it with everything else that ends by that token:
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
    /// assert_eq!(task.await?, None, "it was stopped, and had not ended by itself");
    /// # Ok(())
    /// # })
    /// # }
    /// # #[cfg(not(feature = "papaya"))]
    /// # fn main() {}
    /// ```
    ///
    /// # Panics
    ///
    /// When polled outside of a tokio runtime whose clock is enabled.
    pub fn health_task(&self, every: Duration) -> impl Future<Output = ()> + Send + 'static {
        let inner = std::sync::Arc::downgrade(&self.inner);
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

/// A receiver of changes of a registry's health; see [`Registry::watch_health`].
#[derive(Debug)]
pub struct HealthReceiver {
    changes: broadcast::Receiver<HealthChange>,
}

/// What a watcher is told.
#[derive(Clone, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize), serde(rename_all = "snake_case"))]
pub enum HealthEvent {
    /// Something has changed.
    Change(HealthChange),
    /// The watcher was slow, and so many changes that came next are lost to it.
    Lagged(u64),
}

impl HealthReceiver {
    /// Waits for the next change; `None` when the registry is gone and everything has been told.
    ///
    /// A call that is dropped before it completes has lost nothing.
    pub async fn next(&mut self) -> Option<HealthEvent> {
        match self.changes.recv().await {
            Ok(change) => Some(HealthEvent::Change(change)),
            Err(RecvError::Lagged(lost)) => Some(HealthEvent::Lagged(lost)),
            Err(RecvError::Closed) => None,
        }
    }

    /// Returns the next change, if there is one already.
    ///
    /// # Errors
    ///
    /// [`TryNextError::Empty`] when there is none yet, and [`TryNextError::Closed`] when there will never be another:
    /// the registry is gone and everything has been told.
    pub fn try_next(&mut self) -> Result<HealthEvent, TryNextError> {
        match self.changes.try_recv() {
            Ok(change) => Ok(HealthEvent::Change(change)),
            Err(TryRecvError::Lagged(lost)) => Ok(HealthEvent::Lagged(lost)),
            Err(TryRecvError::Empty) => Err(TryNextError::Empty),
            Err(TryRecvError::Closed) => Err(TryNextError::Closed),
        }
    }
}

/// Why [`HealthReceiver::try_next`] returned no change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TryNextError {
    /// Nothing has changed that was not told.
    Empty,
    /// The registry is gone, and everything has been told.
    Closed,
}

impl fmt::Display for TryNextError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Empty => "nothing has changed yet",
            Self::Closed => "the registry is gone",
        })
    }
}

impl Error for TryNextError {}

/// What a registry knows of its health, and who is told.
pub(crate) struct HealthState {
    /// Not held while anything is called that is the user's.
    state: Mutex<State>,
    /// What was found by the last check, to be read without a lock.
    alarmed: Box<[AtomicBool]>,
    /// Made for the first watcher.
    changes: OnceLock<broadcast::Sender<HealthChange>>,
}

impl HealthState {
    pub(crate) fn new(shards: usize, alarm: AlarmRule, settings: HealthSettings) -> Self {
        Self {
            state: Mutex::new(State {
                health: Health::new(shards, alarm, settings),
                news: VecDeque::new(),
                is_telling: false,
            }),
            alarmed: std::iter::repeat_with(AtomicBool::default).take(shards).collect(),
            changes: OnceLock::new(),
        }
    }

    /// Whether a shard was in alarm at the last check.
    pub(crate) fn is_alarmed(&self, shard: usize) -> bool {
        self.alarmed[shard].load(Ordering::Relaxed)
    }

    fn changes(&self) -> &broadcast::Sender<HealthChange> {
        self.changes.get_or_init(|| broadcast::Sender::new(BACKLOG.max(2 * self.alarmed.len())))
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

struct State {
    health: Health,
    /// What was found and is not yet told, the oldest first.
    news: VecDeque<News>,
    /// Whether a thread is telling the news, which then tells all.
    is_telling: bool,
}

/// One thing to tell.
enum News {
    Admission(AdmissionState, Duration),
    Change(HealthChange),
}

/// The right to tell news, which one thread has at a time; `None` when it has ended.
struct Teller<'a>(Option<&'a HealthState>);

impl<'a> Teller<'a> {
    /// Returns `None` if another call is telling; it will come to whatever there is now.
    fn appoint(health_state: &'a HealthState) -> Option<Self> {
        let mut state = health_state.lock();
        let is_free = !std::mem::replace(&mut state.is_telling, true);
        is_free.then(|| Self(Some(health_state)))
    }

    /// Returns the next one to tell. After the last one there is no teller any more: who brings news then must appoint one.
    fn next(&mut self) -> Option<News> {
        let mut state = self.0?.lock();
        let news = state.news.pop_front();
        if news.is_none() {
            state.is_telling = false;
            self.0 = None;
        }
        news
    }
}

/// If one of those who are told panics, the next call goes on.
impl Drop for Teller<'_> {
    fn drop(&mut self) {
        if let Some(health_state) = self.0 {
            health_state.lock().is_telling = false;
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
        self.tell();
        changes
    }

    /// Finds what has changed, and leaves it to be told in the order in which it was found.
    fn check(&self, now: Instant) -> Vec<HealthChange> {
        // All of this may be the user's code, so nothing is locked.
        let stats: Vec<ShardStats> = (0..self.partition.shards()).map(|shard| self.stats_at(shard, now)).collect();
        let hot = self.probe.hot_ids(now);
        let mut limits = self.admission.limit_usage();
        limits.extend(self.binding_counts.usage());
        let hits = self.admission.take_limit_hits();
        let mut state = self.health_state.lock();
        let State { health, news, .. } = &mut *state;
        let before = health.admission();
        let changes = health.check(&stats, &hot, &limits, &hits, now);
        for (shard, alarmed) in self.health_state.alarmed.iter().enumerate() {
            alarmed.store(health.is_alarmed(shard), Ordering::Relaxed);
        }
        let admission = health.admission();
        if admission != before {
            news.push_back(News::Admission(admission, health.settings().reopen_after));
        }
        news.extend(changes.iter().cloned().map(News::Change));
        changes
    }

    /// Tells all news, unless another call is at it, on this thread or another one.
    fn tell(&self) {
        let Some(mut teller) = Teller::appoint(&self.health_state) else { return };
        while let Some(news) = teller.next() {
            match news {
                News::Admission(state, retry_after) => self.admission.health(state, retry_after),
                News::Change(change) => {
                    if let Some(sender) = self.health_state.changes.get() {
                        // Nobody listens any more, perhaps.
                        let _ = sender.send(change.clone());
                    }
                    events::changed(std::slice::from_ref(&change));
                }
            }
        }
    }
}
