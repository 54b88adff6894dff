//! The registry as a subject.

use std::time::Instant;

use registry_core::Backend;
use registry_router::{
    BuildError, Probe, Registry, ServerId, ServerLease, ServerMailbox, Tokio, TransportId, TransportMailbox,
};

use crate::subject::{Session, Subject};
use crate::world::Message;

/// A registry on some backend, heard by some probe.
#[derive(Debug)]
pub struct OverRegistry<B: Backend, P: Probe>(Registry<Message, B, Tokio, P>);

/// How a registry, or a bare map in its place, is laid out.
#[derive(Clone, Copy, Debug)]
pub struct Layout {
    /// How many shards; a bare map takes no notice.
    pub shards: usize,
    /// How many servers it is made for; zero to let it grow.
    pub servers: usize,
    /// How many transports a bare map is made for. A registry is made for as many as there are servers.
    pub transports: usize,
}

impl<B: Backend> OverRegistry<B, registry_router::Monitor> {
    /// A registry with default settings but for its layout: statistics on.
    ///
    /// # Errors
    ///
    /// What the registry says about its settings.
    pub fn new(layout: Layout) -> Result<Self, BuildError> {
        Registry::builder().shards(layout.shards).capacity(layout.servers).build().map(Self)
    }
}

impl<B: Backend> OverRegistry<B, ()> {
    /// The same registry, with nobody listening.
    ///
    /// # Errors
    ///
    /// What the registry says about its settings.
    pub fn unheard(layout: Layout) -> Result<Self, BuildError> {
        Registry::builder().shards(layout.shards).capacity(layout.servers).probe(|_| ()).build().map(Self)
    }
}

impl<B: Backend, P: Probe> Subject for OverRegistry<B, P> {
    type Session = RegistrySession<B, P>;

    fn session(&self) -> Self::Session {
        RegistrySession(self.0.clone())
    }

    fn skew(&self) -> Option<f64> {
        Some(self.0.contention_status().skew)
    }
}

/// A handle to the registry.
#[derive(Debug)]
pub struct RegistrySession<B: Backend, P: Probe>(Registry<Message, B, Tokio, P>);

impl<B: Backend, P: Probe> RegistrySession<B, P> {
    /// A session over a registry that somebody has built.
    #[must_use]
    pub fn over(registry: Registry<Message, B, Tokio, P>) -> Self {
        Self(registry)
    }
}

impl<B: Backend, P: Probe> Session for RegistrySession<B, P> {
    type Lease = ServerLease;

    #[inline]
    fn lookup(&self, id: &ServerId, mailbox: &ServerMailbox<Message>) -> Option<bool> {
        self.0.with_server(id, |entry| entry.mailbox.as_sender().same_channel(mailbox.as_sender()))
    }

    #[inline]
    fn route(&self, server: &ServerId, from: &TransportId, message: Message) -> bool {
        self.0.route_to_server(server, from, message).is_ok()
    }

    #[inline]
    fn register(&self, id: &ServerId, mailbox: &ServerMailbox<Message>) -> Option<ServerLease> {
        self.0.register_server(id, mailbox.clone(), ()).ok()
    }

    #[inline]
    fn release(&self, _id: &ServerId, lease: ServerLease) {
        drop(lease);
    }

    fn add_server(&self, id: &ServerId, mailbox: &ServerMailbox<Message>) {
        self.register(id, mailbox).expect("ids that are drawn are not drawn twice").detach();
    }

    fn add_transport(&self, id: &TransportId, mailbox: &TransportMailbox<Message>) {
        let lease = self.0.register_transport(id, mailbox.clone(), ());
        lease.expect("ids that are drawn are not drawn twice").detach();
    }

    #[inline]
    fn bind(&self, transport: &TransportId, server: &ServerId) -> bool {
        self.0.bind_transport_to_server(transport, server).is_ok()
    }

    fn sweep(&self, turn: usize) {
        self.0.sweep_shard(turn % self.0.shard_count(), Instant::now());
    }
}
