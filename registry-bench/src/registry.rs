//! The registry as a subject.

use std::sync::Arc;
use std::time::Instant;

use registry_core::Backend;
use registry_router::{
    BindError, BuildError, Builder, HealthSettings, Monitor, MonitorSettings, Probe, RegisterError, RegisterErrorKind,
    Registry, RouteError, ServerId, ServerLease, ServerMailbox, Tokio, TransportId, TransportMailbox,
};

use crate::fixture::Message;
use crate::health_checks::HealthChecks;
use crate::subject::{Session, Subject};
use crate::switch::Switch;

/// A registry with a probe.
#[derive(Debug)]
pub struct OverRegistry<B: Backend, P: Probe> {
    session: RegistrySession<B, P>,
    _health_checks: Option<Arc<HealthChecks>>,
}

/// The layout of a registry, or of a bare map in its place.
#[derive(Clone, Copy, Debug)]
pub struct Layout {
    /// The number of shards; ignored by a bare map.
    pub shards: usize,
    /// The capacity in servers; zero to let it grow.
    pub servers: usize,
    /// The capacity in transports of a bare map; that of a registry is the capacity in servers.
    pub transports: usize,
}

/// Returns the builder of a registry that is measured: the default settings, but no number of alarms closes admission.
///
/// On a busy machine all shards may be slow. The registry would then refuse registrations, as it should, and the figure
/// would be that of refusals. The default admission policy stays, for it is part of the cost of a registration.
fn builder<B: Backend>(layout: Layout) -> Builder<Message, B, Tokio> {
    let health = HealthSettings::default().with_close_above(1.0);
    Registry::builder().shards(layout.shards).capacity(layout.servers).health(health)
}

impl<B: Backend> OverRegistry<B, Monitor> {
    /// Makes a registry with default settings but for its layout: statistics on, and no health checks.
    ///
    /// # Errors
    ///
    /// If the settings are invalid.
    pub fn new(layout: Layout) -> Result<Self, BuildError> {
        let registry = builder(layout).build()?;
        Ok(Self { session: RegistrySession::over(registry), _health_checks: None })
    }

    /// Makes the same, with health checks in the background.
    ///
    /// # Errors
    ///
    /// If the settings are invalid.
    pub fn checked(layout: Layout) -> Result<Self, BuildError> {
        let unchecked = Self::new(layout)?;
        let health_checks = HealthChecks::of(unchecked.session.registry.clone());
        Ok(Self { _health_checks: Some(Arc::new(health_checks)), ..unchecked })
    }
}

impl<B: Backend> OverRegistry<B, Switch> {
    /// Makes one registry as two subjects, with statistics on and off, and with health checks in the background.
    ///
    /// # Errors
    ///
    /// If the settings are invalid.
    pub fn monitored_and_unmonitored(layout: Layout) -> Result<[Self; 2], BuildError> {
        let monitor = |shards| Switch::new(Monitor::new(shards, MonitorSettings::default(), Instant::now()));
        let registry = builder(layout).probe(monitor).build()?;
        let health_checks = Arc::new(HealthChecks::of(registry.clone()));
        let half = |prepare| {
            let session = RegistrySession { registry: registry.clone(), prepare };
            Self { session, _health_checks: Some(Arc::clone(&health_checks)) }
        };
        Ok([half(|switch| switch.set(true)), half(|switch| switch.set(false))])
    }
}

impl<B: Backend, P: Probe> Subject for OverRegistry<B, P> {
    type Session = RegistrySession<B, P>;

    fn session(&self) -> Self::Session {
        RegistrySession { registry: self.session.registry.clone(), prepare: self.session.prepare }
    }

    fn skew(&self) -> Option<f64> {
        Some(self.session.registry.contention_status().skew)
    }
}

/// A handle to the registry.
#[derive(Debug)]
pub struct RegistrySession<B: Backend, P: Probe> {
    registry: Registry<Message, B, Tokio, P>,
    /// Called before operations are timed.
    prepare: fn(&P),
}

impl<B: Backend, P: Probe> RegistrySession<B, P> {
    /// Returns a session over an existing registry.
    #[must_use]
    pub fn over(registry: Registry<Message, B, Tokio, P>) -> Self {
        Self { registry, prepare: |_| () }
    }
}

impl<B: Backend, P: Probe> Session for RegistrySession<B, P> {
    type Lease = ServerLease;

    fn prepare(&self) {
        (self.prepare)(self.registry.probe());
    }

    #[inline]
    fn lookup(&self, id: &ServerId, mailbox: &ServerMailbox<Message>) -> Option<bool> {
        self.registry.with_server(id, |entry| entry.mailbox.same_channel(mailbox))
    }

    #[inline]
    fn route(&self, server: &ServerId, from: &TransportId, message: Message) -> Result<(), RouteError<Message>> {
        self.registry.route_to_server(server, from, message)
    }

    #[inline]
    fn register(&self, id: &ServerId, mailbox: &ServerMailbox<Message>) -> Result<ServerLease, RegisterErrorKind> {
        self.registry.register_server(id, mailbox.clone(), ()).map_err(RegisterError::into_kind)
    }

    #[inline]
    fn release(&self, _id: &ServerId, lease: ServerLease) {
        drop(lease);
    }

    fn add_server(&self, id: &ServerId, mailbox: &ServerMailbox<Message>) {
        self.register(id, mailbox).expect("the id is free, and nothing is refused").detach();
    }

    fn add_transport(&self, id: &TransportId, mailbox: &TransportMailbox<Message>) {
        let lease = self.registry.register_transport(id, mailbox.clone(), ());
        lease.expect("the id is free, and nothing is refused").detach();
    }

    #[inline]
    fn bind(&self, transport: &TransportId, server: &ServerId) -> Result<(), BindError> {
        self.registry.bind_transport_to_server(transport, server)
    }

    fn sweep(&self, turn: usize) {
        self.registry.sweep_shard(turn % self.registry.shard_count(), Instant::now());
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use registry_router::backends::Reference;
    use registry_router::{HealthChange, Operation};

    use super::*;
    use crate::fixture::{Counts, Fixture};

    const LAYOUT: Layout = Layout { shards: 4, servers: 4, transports: 0 };

    /// Raises the alarm of every shard, as a busy machine may, and registers a server.
    fn register_with_all_alarms<P: Probe>(session: &RegistrySession<Reference, P>) -> Result<(), RegisterErrorKind> {
        let fixture = Fixture::new(Counts { servers: 1, absent_ids: 0, claims: 0, transports: 0 }, 1);
        let began = Instant::now();
        let slow = began + Duration::from_millis(10);
        for shard in 0..LAYOUT.shards {
            (0..100).for_each(|_| session.registry.probe().record_latency(shard, Operation::Write, began, slow));
        }
        let changes = session.registry.tick(slow);
        let raised = changes.iter().filter(|change| matches!(change, HealthChange::AlarmRaised(_))).count();
        assert_eq!(raised, LAYOUT.shards, "{changes:?}");
        session.register(&fixture.servers[0], fixture.mailbox(0)).map(ServerLease::detach)
    }

    #[test]
    fn a_measured_registry_admits_on_a_slow_machine() {
        let unchecked = OverRegistry::<Reference, _>::new(LAYOUT).unwrap();
        assert_eq!(register_with_all_alarms(&unchecked.session), Ok(()));
        let checked = OverRegistry::<Reference, _>::checked(LAYOUT).unwrap();
        assert_eq!(register_with_all_alarms(&checked.session), Ok(()));
        let [monitored, _] = OverRegistry::<Reference, _>::monitored_and_unmonitored(LAYOUT).unwrap();
        assert_eq!(register_with_all_alarms(&monitored.session), Ok(()));
    }
}
