//! The registry itself: what it holds, and how it is looked up.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64 as PlainAtomicU64, Ordering};

use crossbeam_utils::CachePadded;
use registry_core::{
    Admission, AsId, Backend, Entry, EntryInfo, EntryRef, Incarnation, MailboxFamily, Probe, Select, ServerId,
    ToServer, ToTransport, TransportId,
};
use registry_monitor::Monitor;

use crate::binding::counts::BindingCounts;
use crate::binding::slot::BindingSlot;
use crate::builder::{Builder, Settings};
use crate::clock::Time;
use crate::endpoint::{Endpoint, RecordOf, is_dead};
use crate::lifecycle::admission::SweepThrottle;
use crate::lifecycle::deferred::Deferred;
use crate::lifecycle::rules::Rules;
use crate::lifecycle::sweep::SweepTimes;
use crate::mailbox::Tokio;
use crate::observe::health::HealthState;
use crate::routing::waiters::Waiters;
use crate::shared::Shared;
use crate::storage::partition::Partition;
use crate::storage::room::Room;
use crate::storage::table::{Instruments, Location, Table};
use crate::sync::AtomicU64;

/// The mailbox of a server in a registry of messages `M` and mailboxes `X`.
pub type ServerMailbox<M, X = Tokio> = <X as MailboxFamily>::Mailbox<ToServer<M>>;

/// The mailbox of a transport in a registry of messages `M` and mailboxes `X`.
pub type TransportMailbox<M, X = Tokio> = <X as MailboxFamily>::Mailbox<ToTransport<M>>;

/// A sharded registry of servers and transports that routes messages `M` between them.
///
/// Cloning is cheap and gives another handle to the same registry, for any thread or task.
/// When the last handle is dropped all registrations end, and their leases do nothing any more. That frees all that they
/// hold, on the thread that drops it: O(registrations), so not for an asynchronous task where there are very many.
///
/// `B` is the map underneath, `X` the kind of mailbox, `P` what hears its statistics; the defaults suit most.
/// `B` has a default only with the feature `papaya`; without it, a registry names its backend.
///
/// # Names to look up
///
/// Lookups take anything that gives bytes: `"tools"`, `&string`, `&server_id`.
/// They compare and do not validate: what is no valid id is simply not found.
///
/// # The dead
///
/// An owner whose mailbox is closed is dead, whoever still holds its lease: no lookup finds it, its name can be
/// registered anew, and a message to it comes back as closed and takes its registration out.
/// One that nobody talks to is taken out by a [sweep](Self::sweep).
///
/// # Cost
///
/// A lookup hashes the id once, reads one shard in place, asks the mailbox whether it is closed, and takes no lock of
/// ours, allocates nothing and touches no reference count. Methods that cost more say so.
///
/// # Visibility
///
/// What a call changed is seen by every call, on every thread, that starts after it has returned.
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

/// Tells one registry of this process from another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct RegistryId(u64);

impl RegistryId {
    fn next() -> Self {
        static NEXT: PlainAtomicU64 = PlainAtomicU64::new(0);
        Self(NEXT.fetch_add(1, Ordering::Relaxed))
    }
}

/// What all handles of one registry share.
pub(crate) struct Inner<M: Send + 'static, B: Backend, X: MailboxFamily, P> {
    pub(crate) id: RegistryId,
    pub(crate) servers: Table<ServerId, ServerMailbox<M, X>, B>,
    pub(crate) transports: Table<TransportId, TransportMailbox<M, X>, B>,
    pub(crate) partition: Partition,
    pub(crate) probe: P,
    pub(crate) time: Time,
    pub(crate) admission: Arc<dyn Admission>,
    pub(crate) sweep_times: SweepTimes,
    pub(crate) sweep_throttle: SweepThrottle,
    pub(crate) rules: Rules,
    pub(crate) binding_counts: Arc<BindingCounts>,
    pub(crate) health_state: HealthState,
    pub(crate) waiters: Waiters,
    pub(crate) deferred: Deferred,
    pub(crate) room: Room,
    #[cfg(feature = "metrics")]
    pub(crate) exports: crate::observe::metrics::Exports,
    /// On a cache line of its own: every registration writes it, and every lookup reads what would lie beside it.
    /// A plain atomic, whatever schedules are explored: it is written inside a shard, where no turn may end.
    incarnations: CachePadded<PlainAtomicU64>,
    /// How often operations had met in each shard at the last reset.
    pub(crate) met_before: Box<[AtomicU64]>,
}

impl<M, B, X> Registry<M, B, X>
where
    M: Send + 'static,
    B: Backend,
    X: MailboxFamily,
{
    /// Settings to build a registry from.
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
    /// The settings must have been checked.
    pub(crate) fn new(settings: &Settings, backend: &B, admission: Arc<dyn Admission>, probe: P, time: Time) -> Self {
        let start = time.now();
        let limits = &settings.limits;
        let inner = Inner {
            id: RegistryId::next(),
            servers: Table::new(backend, settings.shards, settings.capacity),
            transports: Table::new(backend, settings.shards, settings.capacity),
            partition: Partition::new(settings.shards, settings.seed),
            probe,
            time,
            admission,
            sweep_times: SweepTimes::new(settings.shards, start),
            sweep_throttle: SweepThrottle::new(start, limits.sweep_every),
            rules: Rules::new(settings),
            binding_counts: Arc::new(BindingCounts::new(
                settings.shards,
                limits.transports_per_server,
                limits.retry_after,
            )),
            health_state: HealthState::new(settings.shards, settings.monitor.alarm.clone(), settings.health.clone()),
            deferred: Deferred::default(),
            room: Room::new(settings.shards, settings.capacity.div_ceil(settings.shards)),
            waiters: Waiters::new(settings.shards),
            incarnations: CachePadded::new(PlainAtomicU64::new(0)),
            #[cfg(feature = "metrics")]
            exports: crate::observe::metrics::Exports::default(),
            met_before: (0..settings.shards).map(|_| AtomicU64::new(0)).collect(),
        };
        Self { inner: Arc::new(Shared::from(inner)) }
    }

    /// Reads a server in place, and returns what `read` makes of it; `None` if there is no such server.
    ///
    /// `read` may look things up, send, bind and unbind. It holds up others in the same shard, so it should be short.
    ///
    /// # Panics
    ///
    /// When `read` registers, unregisters, sweeps or drops a lease, because that deadlocks on several backends.
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

    /// Reads a transport in place, and returns what `read` makes of it; `None` if there is no such transport.
    ///
    /// The same holds for `read` as in [`with_server`](Self::with_server).
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

    /// An owned handle to a server, to keep or to carry over an `.await`.
    ///
    /// Clones the mailbox and the metadata, so touches their reference counts; [`with_server`](Self::with_server) does
    /// not.
    pub fn find_server(&self, id: impl AsId<ServerId>) -> Option<Entry<ServerId, ServerMailbox<M, X>>> {
        self.with_server(id, |entry| entry.to_entry())
    }

    /// An owned handle to a transport, to keep or to carry over an `.await`.
    ///
    /// Clones the mailbox and the metadata, so touches their reference counts;
    /// [`with_transport`](Self::with_transport) does not.
    pub fn find_transport(&self, id: impl AsId<TransportId>) -> Option<Entry<TransportId, TransportMailbox<M, X>>> {
        self.with_transport(id, |entry| entry.to_entry())
    }

    /// All servers, in no order. O(servers).
    ///
    /// Weakly consistent: what is registered, and not dead, throughout the call is listed once; what comes or goes
    /// meanwhile may or may not be.
    pub fn list_servers(&self) -> Vec<EntryInfo<ServerId>> {
        self.select_servers(Select::all())
    }

    /// All transports, in no order. O(transports), and as consistent as [`list_servers`](Self::list_servers).
    pub fn list_transports(&self) -> Vec<EntryInfo<TransportId>> {
        self.select_transports(Select::all())
    }

    /// The servers that `select` takes, in no order.
    ///
    /// O(servers): it scans, and stops early only when it has a limit. As consistent as
    /// [`list_servers`](Self::list_servers).
    pub fn select_servers(&self, select: Select<'_>) -> Vec<EntryInfo<ServerId>> {
        self.inner.servers.select(&select, is_dead::<ServerId, M, X>)
    }

    /// The transports that `select` takes, in no order.
    ///
    /// O(transports): it scans, and stops early only when it has a limit. As consistent as
    /// [`list_servers`](Self::list_servers).
    pub fn select_transports(&self, select: Select<'_>) -> Vec<EntryInfo<TransportId>> {
        self.inner.transports.select(&select, is_dead::<TransportId, M, X>)
    }

    /// How many servers are registered, the dead included: exact when nobody writes. O(shards).
    pub fn server_count(&self) -> usize {
        self.inner.servers.len()
    }

    /// How many transports are registered, the dead included: exact when nobody writes. O(shards).
    pub fn transport_count(&self) -> usize {
        self.inner.transports.len()
    }
}

impl<M, B, X, P> Inner<M, B, X, P>
where
    M: Send + 'static,
    B: Backend,
    X: MailboxFamily,
    P: Probe,
{
    #[inline]
    pub(crate) fn location(&self, id: &[u8]) -> Location {
        let hash = self.partition.hash(id);
        self.location_of_hash(hash)
    }

    #[inline]
    pub(crate) fn location_of_hash(&self, hash: u64) -> Location {
        Location { hash, shard: self.partition.shard(hash) }
    }

    #[inline]
    pub(crate) fn instruments(&self) -> Instruments<'_, P> {
        Instruments { probe: &self.probe, time: &self.time }
    }

    /// A lookup of a registration that is not dead, counted.
    #[inline]
    pub(crate) fn find<I: Endpoint, R>(
        &self,
        id: &[u8],
        read: impl FnOnce(&I, &RecordOf<I, M, X>, &BindingSlot) -> R,
    ) -> Option<R> {
        self.find_at(self.location(id), id, read)
    }

    /// As [`find`](Self::find), for one who knows the place.
    #[inline]
    pub(crate) fn find_at<I: Endpoint, R>(
        &self,
        location: Location,
        id: &[u8],
        read: impl FnOnce(&I, &RecordOf<I, M, X>, &BindingSlot) -> R,
    ) -> Option<R> {
        I::table(self).read(self.instruments(), I::KIND, location, id, |id, record, slot| {
            if is_dead::<I, M, X>(record) { None } else { Some(read(id, record, slot)) }
        })
    }

    /// A lookup of a registration, dead or not, counted.
    #[inline]
    pub(crate) fn registered<I: Endpoint, R>(
        &self,
        location: Location,
        id: &[u8],
        read: impl FnOnce(&I, &RecordOf<I, M, X>, &BindingSlot) -> R,
    ) -> Option<R> {
        I::table(self).read(self.instruments(), I::KIND, location, id, |id, record, slot| Some(read(id, record, slot)))
    }

    pub(crate) fn next_incarnation(&self) -> Incarnation {
        Incarnation::from_u64(self.incarnations.fetch_add(1, Ordering::Relaxed) + 1)
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
