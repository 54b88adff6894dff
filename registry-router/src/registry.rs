//! The registry: its type, its handles, and lookups.

use std::fmt;
use std::sync::Arc;

use registry_core::{
    Admission, AsId, Backend, Entry, EntryInfo, EntryRef, MailboxFamily, Probe, Select, ServerId, ToServer,
    ToTransport, TransportId,
};
use registry_monitor::Monitor;

pub(crate) use self::inner::{Inner, RegistryId};
use crate::builder::{Builder, Settings};
use crate::clock::Time;
use crate::endpoint::is_dead;
use crate::mailbox::Tokio;
use crate::shared::Shared;
use crate::types::TypesOf;

mod inner;

/// The mailbox of a server in a registry with messages `M` and mailbox family `X`.
pub type ServerMailbox<M, X = Tokio> = <X as MailboxFamily>::Mailbox<ToServer<M>>;

/// The mailbox of a transport in a registry with messages `M` and mailbox family `X`.
pub type TransportMailbox<M, X = Tokio> = <X as MailboxFamily>::Mailbox<ToTransport<M>>;

/// A sharded registry of servers and transports that routes messages `M` between them.
///
/// Servers and transports register under an id, with a mailbox and [metadata](crate::Metadata).
/// A registration lasts until its [`Lease`](crate::Lease) is dropped. A transport can be bound to one server.
///
/// # Cloning and dropping
///
/// A `Registry` is a handle. Cloning it is cheap and returns another handle to the same registry; handles can be sent
/// to any thread or task.
///
/// Dropping the last handle ends all registrations; their leases then have no effect. Everything that the registry
/// holds is freed on the thread that drops it, in O(registrations): avoid that in an asynchronous task if there are
/// very many.
///
/// # Type parameters
///
/// - `M`: the type of the messages.
/// - `B`: the [`Backend`], which is the map that each shard is built on; see [`backends`](crate::backends). The default
///   is `Papaya` with the feature `papaya`; without that feature there is no default.
/// - `X`: the [`MailboxFamily`], which is the kind of mailbox. The default is [`Tokio`].
/// - `P`: the [`Probe`], which records statistics. The default is [`Monitor`].
///
/// # Ids in lookups
///
/// Lookups take any [`AsId`]: `"tools"`, `&string`, `&server_id`. Text is compared with the registered ids and is not
/// validated: text that is not a valid id is not found.
///
/// # Dead registrations
///
/// A registration is *dead* when its mailbox is closed, even if its lease is still held. Lookups do not find it, its id
/// can be registered again, and a message sent to it is returned as closed and removes it.
/// A dead registration that receives no messages is removed by a [sweep](Self::sweep).
///
/// # Visibility
///
/// The effect of a call is visible to every call, on any thread, that starts after it has returned.
///
/// # Cost
///
/// A lookup hashes the id once, reads one shard in place and checks whether the mailbox is closed. It takes no lock of
/// this crate, does not allocate, and does not touch a reference count. Methods that cost more document it.
///
/// # Examples
///
/// ```
/// use registry_router::{Registry, mailbox};
///
/// let registry = Registry::<String>::builder().build()?;
/// let (to_server, mut inbox) = mailbox(16);
/// let (to_transport, _replies) = mailbox(16);
/// let _server = registry.register_server("echo", to_server, ())?;
/// let transport = registry.register_transport("conn-1", to_transport, ())?;
///
/// registry.route_to_server("echo", transport.id(), "hello".into())?;
/// assert_eq!(inbox.try_recv()?.message, "hello");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Registry<
    M,
    #[cfg(feature = "papaya")] B = registry_backends::Papaya,
    #[cfg(not(feature = "papaya"))] B,
    X = Tokio,
    P = Monitor,
> where
    M: Send + 'static,
    B: Backend,
    X: MailboxFamily,
    P: Probe,
{
    pub(crate) inner: Arc<Shared<M, B, X, P>>,
}

impl<M, B, X> Registry<M, B, X>
where
    M: Send + 'static,
    B: Backend,
    X: MailboxFamily,
{
    /// Returns a [`Builder`] with the default settings.
    ///
    /// The type of the messages cannot be inferred from `builder` alone. Name it in the path or in the type of the
    /// variable; a bare `Registry::builder().build()?` is error E0283 (type annotations needed).
    ///
    /// # Examples
    ///
    /// ```
    /// use registry_router::Registry;
    /// # #[derive(Debug)]
    /// # struct Msg;
    ///
    /// let registry = Registry::<Msg>::builder().shards(16).build()?;
    /// assert_eq!(registry.shard_count(), 16);
    ///
    /// let registry: Registry<Msg> = Registry::builder().build()?;
    /// assert_eq!(registry.shard_count(), 64);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// Another backend:
    ///
    /// ```
    /// # #[cfg(feature = "dashmap")]
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use registry_router::{Registry, backends::Dashmap};
    ///
    /// let registry = Registry::<String, Dashmap>::builder().build()?;
    /// # drop(registry);
    /// # Ok(())
    /// # }
    /// # #[cfg(not(feature = "dashmap"))]
    /// # fn main() {}
    /// ```
    pub fn builder() -> Builder<M, B, X> {
        Builder::new()
    }
}

impl<M, B, X, P> Registry<M, B, X, P>
where
    M: Send + 'static,
    B: Backend,
    X: MailboxFamily,
    P: Probe,
{
    /// `settings` must be valid.
    pub(crate) fn new(settings: &Settings, backend: &B, admission: Arc<dyn Admission>, probe: P, time: Time) -> Self {
        Self { inner: Arc::new(Shared::from(Inner::new(settings, backend, admission, probe, time))) }
    }

    /// Reads a server in place and returns the result of `read`, or `None` if the server is not found.
    ///
    /// `read` may look up, send, bind and unbind. It can block other operations on the same shard, so it should be
    /// short.
    ///
    /// # Panics
    ///
    /// Panics if `read` registers, renews, unregisters, sweeps or drops a lease, because that deadlocks on several
    /// backends.
    ///
    /// # Examples
    ///
    /// ```
    /// use registry_router::{Registry, mailbox};
    ///
    /// let registry = Registry::<String>::builder().build()?;
    /// let (to_server, _inbox) = mailbox(16);
    /// let _server = registry.register_server("tools", to_server, [("region", "eu")])?;
    ///
    /// let in_eu = registry.with_server("tools", |entry| entry.metadata.get("region") == Some("eu"));
    /// assert_eq!(in_eu, Some(true));
    /// assert_eq!(registry.with_server("absent", |_| ()), None);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[inline]
    pub fn with_server<R>(
        &self,
        id: impl AsId<ServerId>,
        read: impl FnOnce(EntryRef<'_, ServerId, ServerMailbox<M, X>>) -> R,
    ) -> Option<R> {
        let result = self.inner.find(id.as_id(), |id: &ServerId, record, _| read(record.entry(id)));
        self.inner.settle();
        result
    }

    /// Reads a transport in place and returns the result of `read`, or `None` if the transport is not found.
    ///
    /// `read` is subject to the same rules as in [`with_server`](Self::with_server).
    ///
    /// # Panics
    ///
    /// Panics where [`with_server`](Self::with_server) does.
    ///
    /// # Examples
    ///
    /// ```
    /// use registry_router::{Registry, mailbox};
    ///
    /// let registry = Registry::<String>::builder().build()?;
    /// let (to_transport, _inbox) = mailbox(16);
    /// let lease = registry.register_transport("conn-1", to_transport, ())?;
    ///
    /// let incarnation = registry.with_transport("conn-1", |entry| entry.incarnation);
    /// assert_eq!(incarnation, Some(lease.incarnation()));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[inline]
    pub fn with_transport<R>(
        &self,
        id: impl AsId<TransportId>,
        read: impl FnOnce(EntryRef<'_, TransportId, TransportMailbox<M, X>>) -> R,
    ) -> Option<R> {
        let result = self.inner.find(id.as_id(), |id: &TransportId, record, _| read(record.entry(id)));
        self.inner.settle();
        result
    }

    /// Returns an owned copy of a server's entry, which can be kept or held across an `.await`.
    ///
    /// Clones the mailbox and the metadata, which touches their reference counts; [`with_server`](Self::with_server)
    /// does not.
    ///
    /// # Examples
    ///
    /// ```
    /// use registry_router::{Mailbox, Registry, mailbox};
    ///
    /// let registry = Registry::<String>::builder().build()?;
    /// let (to_server, inbox) = mailbox(16);
    /// let _server = registry.register_server("tools", to_server, ())?;
    ///
    /// let entry = registry.find_server("tools").ok_or("not found")?;
    /// drop(inbox);
    /// assert!(entry.mailbox.is_closed());
    /// assert!(registry.find_server("tools").is_none()); // The registration is dead.
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn find_server(&self, id: impl AsId<ServerId>) -> Option<Entry<ServerId, ServerMailbox<M, X>>> {
        self.with_server(id, |entry| entry.to_entry())
    }

    /// Returns an owned copy of a transport's entry, which can be kept or held across an `.await`.
    ///
    /// Clones the mailbox and the metadata, which touches their reference counts;
    /// [`with_transport`](Self::with_transport) does not.
    ///
    /// # Examples
    ///
    /// ```
    /// use registry_router::{Registry, mailbox};
    ///
    /// let registry = Registry::<String>::builder().build()?;
    /// let (to_transport, _inbox) = mailbox(16);
    /// let _transport = registry.register_transport("conn-1", to_transport, [("peer", "10.0.0.7")])?;
    ///
    /// let entry = registry.find_transport("conn-1").ok_or("not found")?;
    /// assert_eq!(entry.metadata.get("peer"), Some("10.0.0.7"));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn find_transport(&self, id: impl AsId<TransportId>) -> Option<Entry<TransportId, TransportMailbox<M, X>>> {
        self.with_transport(id, |entry| entry.to_entry())
    }

    /// Returns all servers, in no particular order. O(servers).
    ///
    /// Weakly consistent: a server that is registered and not dead throughout the call is listed once; a server that is
    /// registered or removed during the call may or may not be listed.
    ///
    /// # Examples
    ///
    /// ```
    /// use registry_router::{Registry, mailbox};
    ///
    /// let registry = Registry::<String>::builder().build()?;
    /// let (to_server, _inbox) = mailbox(16);
    /// let _one = registry.register_server("one", to_server.clone(), ())?;
    /// let _two = registry.register_server("two", to_server, ())?;
    ///
    /// let mut ids: Vec<_> = registry.list_servers().into_iter().map(|info| info.id).collect();
    /// ids.sort();
    /// assert_eq!(ids, ["one", "two"]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn list_servers(&self) -> Vec<EntryInfo<ServerId>> {
        self.select_servers(Select::all())
    }

    /// Returns all transports, in no particular order. O(transports).
    ///
    /// As consistent as [`list_servers`](Self::list_servers).
    ///
    /// # Examples
    ///
    /// ```
    /// use registry_router::{Registry, mailbox};
    ///
    /// let registry = Registry::<String>::builder().build()?;
    /// let (to_transport, _inbox) = mailbox(16);
    /// let transport = registry.register_transport("conn-1", to_transport, ())?;
    ///
    /// let all = registry.list_transports();
    /// assert_eq!((all.len(), &all[0].id), (1, transport.id()));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn list_transports(&self) -> Vec<EntryInfo<TransportId>> {
        self.select_transports(Select::all())
    }

    /// Returns the servers that match `select`, in no particular order.
    ///
    /// O(servers): scans the registry, and stops early only if `select` has a limit. As consistent as
    /// [`list_servers`](Self::list_servers).
    ///
    /// # Examples
    ///
    /// ```
    /// use registry_router::{Registry, Select, mailbox};
    ///
    /// let registry = Registry::<String>::builder().build()?;
    /// let (to_server, _inbox) = mailbox(16);
    /// let _eu = registry.register_server("tools/eu", to_server.clone(), [("region", "eu")])?;
    /// let _us = registry.register_server("tools/us", to_server, [("region", "us")])?;
    ///
    /// let in_eu = Select::prefix("tools/").filter(|metadata| metadata.get("region") == Some("eu"));
    /// assert_eq!(registry.select_servers(in_eu).len(), 1);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn select_servers(&self, select: Select<'_>) -> Vec<EntryInfo<ServerId>> {
        self.inner.servers.select(&select, is_dead::<ServerId, TypesOf<M, B, X, P>>)
    }

    /// Returns the transports that match `select`, in no particular order.
    ///
    /// O(transports): scans the registry, and stops early only if `select` has a limit. As consistent as
    /// [`list_servers`](Self::list_servers).
    ///
    /// # Examples
    ///
    /// ```
    /// use registry_router::{Registry, Select, mailbox};
    ///
    /// let registry = Registry::<String>::builder().build()?;
    /// let (to_transport, _inbox) = mailbox(16);
    /// for n in 0..5 {
    ///     registry.register_transport(format!("conn-{n}"), to_transport.clone(), ())?.detach();
    /// }
    /// assert_eq!(registry.select_transports(Select::prefix("conn-").limit(3)).len(), 3);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn select_transports(&self, select: Select<'_>) -> Vec<EntryInfo<TransportId>> {
        self.inner.transports.select(&select, is_dead::<TransportId, TypesOf<M, B, X, P>>)
    }

    /// Returns the number of registered servers, including dead ones. O(shards).
    ///
    /// Exact if no write runs at the same time.
    ///
    /// # Examples
    ///
    /// ```
    /// use registry_router::{Registry, mailbox};
    ///
    /// let registry = Registry::<String>::builder().build()?;
    /// let (to_server, inbox) = mailbox(16);
    /// let _server = registry.register_server("tools", to_server, ())?;
    /// assert_eq!(registry.server_count(), 1);
    ///
    /// drop(inbox); // The registration is dead, and is removed by a sweep.
    /// assert_eq!((registry.server_count(), registry.sweep().servers, registry.server_count()), (1, 1, 0));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn server_count(&self) -> usize {
        self.inner.servers.len()
    }

    /// Returns the number of registered transports, including dead ones. O(shards).
    ///
    /// Exact if no write runs at the same time.
    ///
    /// # Examples
    ///
    /// ```
    /// use registry_router::{Registry, mailbox};
    ///
    /// let registry = Registry::<String>::builder().build()?;
    /// let (to_transport, _inbox) = mailbox(16);
    /// let _transport = registry.register_transport("conn-1", to_transport, ())?;
    /// assert_eq!(registry.transport_count(), 1);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn transport_count(&self) -> usize {
        self.inner.transports.len()
    }
}

impl<M, B, X, P> Clone for Registry<M, B, X, P>
where
    M: Send + 'static,
    B: Backend,
    X: MailboxFamily,
    P: Probe,
{
    fn clone(&self) -> Self {
        Self { inner: Arc::clone(&self.inner) }
    }
}

impl<M, B, X, P> fmt::Debug for Registry<M, B, X, P>
where
    M: Send + 'static,
    B: Backend,
    X: MailboxFamily,
    P: Probe,
{
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Registry")
            .field("backend", &B::NAME)
            .field("shards", &self.inner.partition.shards())
            .field("servers", &self.server_count())
            .field("transports", &self.transport_count())
            .finish_non_exhaustive()
    }
}
