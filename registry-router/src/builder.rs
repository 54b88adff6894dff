//! The builder of a registry.

use std::fmt;
use std::marker::PhantomData;
use std::sync::Arc;
use std::time::Instant;

use registry_core::{Admission, Backend, BuildError, IdRule, MailboxFamily, Probe};
use registry_monitor::{AlarmRule, HealthSettings, Limiter, Limits, Monitor, MonitorSettings};

pub use self::settings::Settings;
use crate::clock::{Clock, Time};
use crate::registry::Registry;

mod settings;

/// A builder of a [`Registry`], returned by [`Registry::builder`].
///
/// Settings are validated by [`build`](Self::build).
///
/// # Examples
///
/// ```
/// use std::time::Duration;
///
/// use registry_router::{AlarmRule, Limits, Registry};
///
/// let registry = Registry::<String>::builder()
///     .shards(128)
///     .capacity(100_000)
///     .alarm(AlarmRule::default().with_threshold(Duration::from_millis(1)))
///     .limits(Limits::default().with_servers(50_000))
///     .build()?;
/// assert_eq!(registry.shard_count(), 128);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
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
    /// Sets the number of shards: a power of two from 1 to 4096. Default: 64.
    ///
    /// # Examples
    ///
    /// ```
    /// use registry_router::{BuildError, Registry};
    ///
    /// let registry = Registry::<String>::builder().shards(256).build()?;
    /// assert_eq!(registry.shard_count(), 256);
    ///
    /// let error = Registry::<String>::builder().shards(100).build().unwrap_err();
    /// assert_eq!(error, BuildError::Shards { given: 100 });
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn shards(mut self, shards: usize) -> Self {
        self.settings.shards = shards;
        self
    }

    /// Sets the number of servers, and of transports, to allocate room for. Default: 0.
    ///
    /// Tables grow as needed, and keep the room that they were built with.
    ///
    /// # Examples
    ///
    /// ```
    /// use registry_router::Registry;
    ///
    /// let registry = Registry::<String>::builder().capacity(100_000).build()?;
    /// assert_eq!(registry.server_count(), 0);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn capacity(mut self, capacity: usize) -> Self {
        self.settings.capacity = capacity;
        self
    }

    /// Sets the seed of the hash of ids. Set a secret one if ids come from untrusted sources.
    ///
    /// The same seed and number of shards place an id in the same shard, in every process.
    ///
    /// # Examples
    ///
    /// ```
    /// use registry_router::Registry;
    ///
    /// let seed = 0x5eed; // Read from the configuration.
    /// let one = Registry::<String>::builder().seed(seed).build()?;
    /// let two = Registry::<String>::builder().seed(seed).build()?;
    /// assert_eq!(one.shard_of("tools"), two.shard_of("tools"));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn seed(mut self, seed: u64) -> Self {
        self.settings.seed = seed;
        self
    }

    /// Sets what is counted and timed. Includes the [`alarm`](Self::alarm) rule.
    ///
    /// # Examples
    ///
    /// ```
    /// use registry_router::{MonitorSettings, Registry};
    ///
    /// let mut monitor = MonitorSettings::default();
    /// monitor.enabled = false;
    /// let registry = Registry::<String>::builder().monitor(monitor).build()?;
    /// # drop(registry);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn monitor(mut self, monitor: MonitorSettings) -> Self {
        self.settings.monitor = monitor;
        self
    }

    /// Sets when a shard raises its latency alarm. Part of the [`monitor`](Self::monitor) settings.
    ///
    /// # Examples
    ///
    /// ```
    /// use registry_router::{AlarmRule, Registry};
    ///
    /// let registry = Registry::<String>::builder().alarm(AlarmRule::mean_of_last_writes()).build()?;
    /// # drop(registry);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn alarm(mut self, alarm: AlarmRule) -> Self {
        self.settings.monitor.alarm = alarm;
        self
    }

    /// Sets when imbalance, hot ids and alarms are reported, and when new registrations are refused because of alarms.
    ///
    /// # Examples
    ///
    /// ```
    /// use registry_router::{HealthSettings, Registry};
    ///
    /// let mut health = HealthSettings::default();
    /// health.close_above = 0.5; // Refuse new registrations while more than half of the shards are in alarm.
    /// let registry = Registry::<String>::builder().health(health).build()?;
    /// # drop(registry);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn health(mut self, health: HealthSettings) -> Self {
        self.settings.health = health;
        self
    }

    /// Sets the characters that are accepted in the ids of registrations. Default: all that an id may contain.
    ///
    /// Lookups and routing need no such check: an id that cannot be registered is not found.
    ///
    /// # Examples
    ///
    /// ```
    /// use registry_router::{IdRule, Registry, mailbox};
    ///
    /// let registry = Registry::<String>::builder().ids(IdRule::Visible).build()?;
    /// let (to_server, _inbox) = mailbox(16);
    /// assert!(registry.register_server("to\u{200b}ols", to_server, ()).is_err());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn ids(mut self, ids: IdRule) -> Self {
        self.settings.ids = ids;
        self
    }

    /// Sets the limits on registrations. By default only the size of metadata is limited.
    ///
    /// # Examples
    ///
    /// ```
    /// use registry_router::{Limits, Registry, mailbox};
    ///
    /// let limits = Limits::default().with_servers(1);
    /// let registry = Registry::<String>::builder().limits(limits).build()?;
    /// let (to_server, _inbox) = mailbox(16);
    /// let _one = registry.register_server("one", to_server.clone(), ())?;
    /// assert!(registry.register_server("two", to_server, ()).is_err());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn limits(mut self, limits: Limits) -> Self {
        self.settings.limits = limits;
        self
    }

    /// Sets all settings at once, for example those read from a file.
    ///
    /// # Examples
    ///
    /// ```
    /// # #[cfg(feature = "serde")]
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use registry_router::{Registry, Settings};
    ///
    /// let settings: Settings = serde_json::from_str(r#"{ "shards": 16, "limits": { "servers": 10000 } }"#)?;
    /// let registry = Registry::<String>::builder().settings(settings).build()?;
    /// assert_eq!(registry.shard_count(), 16);
    /// # Ok(())
    /// # }
    /// # #[cfg(not(feature = "serde"))]
    /// # fn main() {}
    /// ```
    pub fn settings(mut self, settings: Settings) -> Self {
        self.settings = settings;
        self
    }

    /// Sets the backend, for one whose default settings do not fit.
    ///
    /// # Examples
    ///
    /// ```
    /// use registry_router::{Registry, backends::Papaya};
    ///
    /// let registry = Registry::<String, Papaya>::builder().backend(Papaya::default()).build()?;
    /// # drop(registry);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn backend(mut self, backend: B) -> Self {
        self.backend = backend;
        self
    }

    /// Sets the policy that admits or refuses new registrations. Default: a [`Limiter`] that enforces the
    /// [`limits`](Self::limits).
    ///
    /// [`AdmitAll`](crate::AdmitAll) refuses nothing, whatever the health of the registry.
    ///
    /// # Examples
    ///
    /// ```
    /// use registry_router::{AdmitAll, Registry};
    ///
    /// let registry = Registry::<String>::builder().admission(AdmitAll).build()?;
    /// # drop(registry);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn admission(mut self, admission: impl Admission) -> Self {
        self.admission = Some(Arc::new(admission));
        self
    }

    /// Sets the clock. Default: the system clock, [`Instant::now`].
    ///
    /// # Examples
    ///
    /// In a test on a paused tokio clock; see [`TokioClock`](crate::TokioClock):
    ///
    /// ```
    /// use registry_router::{Registry, TokioClock};
    ///
    /// let registry = Registry::<String>::builder().clock(TokioClock).build()?;
    /// # drop(registry);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn clock(mut self, clock: impl Clock) -> Self {
        self.time = Time::from_clock(clock);
        self
    }

    /// Replaces the default probe, the [`Monitor`]. `probe` is called with the number of shards; pass `|_| ()` to
    /// disable statistics at no cost.
    ///
    /// # Examples
    ///
    /// ```
    /// use registry_router::{Registry, Tokio, backends::Papaya};
    ///
    /// let registry: Registry<String, Papaya, Tokio, ()> = Registry::builder().probe(|_| ()).build()?;
    /// # drop(registry);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
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
    /// Validates the settings and builds the registry.
    ///
    /// # Errors
    ///
    /// Returns a [`BuildError`] that names the invalid setting.
    ///
    /// # Examples
    ///
    /// ```
    /// use registry_router::Registry;
    ///
    /// let registry = Registry::<String>::builder().build()?;
    /// assert_eq!(registry.shard_count(), 64);
    ///
    /// let error = Registry::<String>::builder().shards(3).build().unwrap_err();
    /// assert_eq!(error.to_string(), "the number of shards must be a power of two from 1 to 4096, not 3");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
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
