//! Settings of a registry, checked once, before anything is built.

use std::fmt;
use std::marker::PhantomData;
use std::sync::Arc;
use std::time::{Duration, Instant};

use registry_core::{Admission, Backend, BuildError, IdRule, MailboxFamily, Probe};
use registry_monitor::{AlarmRule, HealthSettings, Limiter, Limits, Monitor, MonitorSettings};

use crate::clock::{Clock, Time};
use crate::registry::Registry;
use crate::storage::partition::{DEFAULT_SEED, MAX_SHARDS};

/// The greatest number of entries that a table can be laid out for in advance; it can grow beyond.
const MAX_CAPACITY: usize = 1 << 28;

/// A mean of more is one of the window.
const MAX_LAST_WRITES: usize = 1_000;

const MAX_WINDOW: Duration = Duration::from_secs(24 * 60 * 60);

/// What a registry is built from, as plain data.
///
/// Where it is deserialised, what is not given is default, and an unknown key is an error that names it, at any depth.
#[derive(Clone, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize), serde(default, deny_unknown_fields))]
#[non_exhaustive]
pub struct Settings {
    /// How many shards: a power of two from 1 to 4096. Default 64.
    pub shards: usize,
    /// How many servers, and how many transports, each table is laid out for before it grows. Default 0.
    pub capacity: usize,
    /// What the hash of ids starts from. Fixed by default, so that an id is in the same shard in every process.
    ///
    /// Where strangers choose ids, give a secret one: whoever knows the seed can aim ids at one shard.
    pub seed: u64,
    /// What is counted and timed.
    pub monitor: MonitorSettings,
    /// When what is counted and timed is a reason to worry.
    pub health: HealthSettings,
    /// What is limited about registrations. A policy of your own replaces all of it but `transports_per_server`,
    /// `metadata` and `sweep_every`.
    pub limits: Limits,
    /// Which characters are taken in ids. Default: all that an id may have.
    pub ids: IdRule,
}

impl Settings {
    fn check(&self) -> Result<(), BuildError> {
        if !self.shards.is_power_of_two() || self.shards > MAX_SHARDS {
            return Err(BuildError::Shards { given: self.shards });
        }
        if self.capacity > MAX_CAPACITY {
            return Err(BuildError::Capacity { given: self.capacity, max: MAX_CAPACITY });
        }
        if self.monitor.sample_every == 0 {
            return Err(BuildError::SampleEvery);
        }
        let window = self.monitor.window;
        if window < Duration::from_millis(1) || window > MAX_WINDOW {
            return Err(BuildError::Window { given: window });
        }
        if self.monitor.recent_writes == 0 || self.monitor.recent_writes > MAX_LAST_WRITES {
            return Err(BuildError::Setting { name: "monitor.last_writes", must: "from 1 to 1000" });
        }
        self.monitor.alarm.check()?;
        self.health.check()?;
        self.limits.check()
    }
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            shards: 64,
            capacity: 0,
            seed: DEFAULT_SEED,
            monitor: MonitorSettings::default(),
            health: HealthSettings::default(),
            limits: Limits::default(),
            ids: IdRule::default(),
        }
    }
}

impl fmt::Debug for Settings {
    /// Keeps the seed to itself, for it may be secret.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Settings")
            .field("shards", &self.shards)
            .field("capacity", &self.capacity)
            .field("monitor", &self.monitor)
            .field("health", &self.health)
            .field("limits", &self.limits)
            .field("ids", &self.ids)
            .finish_non_exhaustive()
    }
}

/// Builds a [`Registry`]; see [`Registry::builder`].
#[must_use = "a builder does nothing until `build` is called"]
pub struct Builder<M, B, X, P = Monitor> {
    settings: Settings,
    backend: B,
    admission: Option<Arc<dyn Admission>>,
    probe: ProbeMaker<P>,
    time: Time,
    registry: PhantomData<fn() -> (M, X)>,
}

type ProbeMaker<P> = Box<dyn FnOnce(&Settings, Instant) -> P>;

impl<M, B: Backend, X> Builder<M, B, X> {
    pub(crate) fn new() -> Self {
        Self {
            settings: Settings::default(),
            backend: B::default(),
            admission: None,
            probe: Box::new(|settings, start| Monitor::new(settings.shards, settings.monitor.clone(), start)),
            time: Time::default(),
            registry: PhantomData,
        }
    }
}

impl<M, B, X, P> Builder<M, B, X, P> {
    /// How many shards: a power of two from 1 to 4096. Default 64.
    pub fn shards(mut self, shards: usize) -> Self {
        self.settings.shards = shards;
        self
    }

    /// How many servers, and how many transports, to lay the tables out for. Default 0: they grow as needed.
    pub fn capacity(mut self, capacity: usize) -> Self {
        self.settings.capacity = capacity;
        self
    }

    /// What the hash of ids starts from; give a secret one where strangers choose ids.
    pub fn seed(mut self, seed: u64) -> Self {
        self.settings.seed = seed;
        self
    }

    /// What is counted and timed.
    pub fn monitor(mut self, monitor: MonitorSettings) -> Self {
        self.settings.monitor = monitor;
        self
    }

    /// When a shard is slow enough to raise its alarm; it is part of [`monitor`](Self::monitor).
    pub fn alarm(mut self, alarm: AlarmRule) -> Self {
        self.settings.monitor.alarm = alarm;
        self
    }

    /// When uneven entries, hot ids and many alarms are a reason to worry, and when new registrations are refused.
    pub fn health(mut self, health: HealthSettings) -> Self {
        self.settings.health = health;
        self
    }

    /// Sets which characters are taken in the ids of registrations. Default: all that an id may have.
    ///
    /// What is looked up or routed to needs no check: an id that cannot be registered is not found.
    pub fn ids(mut self, ids: IdRule) -> Self {
        self.settings.ids = ids;
        self
    }

    /// What is limited about registrations. Default: nothing but the size of metadata.
    pub fn limits(mut self, limits: Limits) -> Self {
        self.settings.limits = limits;
        self
    }

    /// All settings at once, for those who read them from a file.
    pub fn settings(mut self, settings: Settings) -> Self {
        self.settings = settings;
        self
    }

    /// The backend, where its default settings do not suit.
    pub fn backend(mut self, backend: B) -> Self {
        self.backend = backend;
        self
    }

    /// A policy of your own that decides about new registrations, instead of the [`Limiter`](crate::Limiter) that keeps
    /// the [`limits`](Self::limits). `AdmitAll` refuses nobody, however bad the registry's health is.
    pub fn admission(mut self, admission: impl Admission) -> Self {
        self.admission = Some(Arc::new(admission));
        self
    }

    /// A clock to read instead of the machine's; for tests that turn the hands themselves.
    pub fn clock(mut self, clock: impl Clock) -> Self {
        self.time = Time::by(clock);
        self
    }

    /// Another ear than the [`Monitor`], made for the number of shards; `|_| ()` hears nothing and costs nothing.
    pub fn probe<Q: Probe>(self, probe: impl FnOnce(usize) -> Q + 'static) -> Builder<M, B, X, Q> {
        Builder {
            settings: self.settings,
            backend: self.backend,
            admission: self.admission,
            probe: Box::new(|settings, _| probe(settings.shards)),
            time: self.time,
            registry: PhantomData,
        }
    }
}

impl<M, B, X, P> Builder<M, B, X, P>
where
    M: Send + 'static,
    B: Backend,
    X: MailboxFamily,
    P: Probe,
{
    /// Builds the registry.
    ///
    /// # Errors
    ///
    /// [`BuildError`], naming the setting and what was given.
    pub fn build(self) -> Result<Registry<M, B, X, P>, BuildError> {
        self.settings.check()?;
        let start = self.time.now();
        let limiter = || Arc::new(Limiter::new(self.settings.limits.clone(), start)) as Arc<dyn Admission>;
        let admission = self.admission.unwrap_or_else(limiter);
        let probe = (self.probe)(&self.settings, start);
        Ok(Registry::new(&self.settings, &self.backend, admission, probe, self.time))
    }
}

impl<M, B: fmt::Debug, X, P> fmt::Debug for Builder<M, B, X, P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Builder")
            .field("settings", &self.settings)
            .field("backend", &self.backend)
            .field("admission", &self.admission)
            .finish_non_exhaustive()
    }
}
