//! The registry itself: what it holds, and how it is looked up.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64 as PlainAtomicU64, Ordering};

use crossbeam_utils::CachePadded;
use registry_core::{
    Admission, Backend, Entry, EntryRef, Incarnation, Listing, Mailboxes, Probe, Select, ServerId, ToServer,
    ToTransport, TransportId,
};
use registry_monitor::Monitor;

use crate::admit::Relief;
use crate::builder::{Builder, Settings};
use crate::clock::Time;
use crate::deferred::Deferred;
use crate::health::Watchdog;
use crate::mailbox::Tokio;
use crate::partition::Partition;
use crate::record::Bond;
use crate::roll::Roll;
use crate::room::Room;
use crate::rules::Rules;
use crate::shared::Shared;
use crate::side::{HeadOf, Side, is_dead};
use crate::sweep::Visits;
use crate::sync::AtomicU64;
use crate::table::{Ear, Place, Table};
use crate::waiters::Waiters;

/// The mailbox of a server in a registry of messages `M` and mailboxes `X`.
pub type ServerMailbox<M, X = Tokio> = <X as Mailboxes>::Mailbox<ToServer<M>>;

/// The mailbox of a transport in a registry of messages `M` and mailboxes `X`.
pub type TransportMailbox<M, X = Tokio> = <X as Mailboxes>::Mailbox<ToTransport<M>>;

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
/// Look-ups take anything that gives bytes: `"tools"`, `&string`, `&server_id`.
/// They compare and do not validate: what is no valid id is simply not found.
///
/// # The dead
///
/// An owner whose mailbox is closed is dead, whoever still holds its lease: no look-up finds it, its name can be
/// registered anew, and a message to it comes back as closed and takes its registration out.
/// One that nobody talks to is taken out by a [sweep](Self::sweep).
///
/// # Cost
///
/// A look-up hashes the id once, reads one shard in place, asks the mailbox whether it is closed, and takes no lock of
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
    X: Mailboxes,
    P: Probe,
{
    pub(crate) inner: Arc<Shared<M, B, X, P>>,
}

/// What all handles of one registry share.
pub(crate) struct Inner<M: Send + 'static, B: Backend, X: Mailboxes, P> {
    pub(crate) servers: Table<ServerId, ServerMailbox<M, X>, B>,
    pub(crate) transports: Table<TransportId, TransportMailbox<M, X>, B>,
    pub(crate) partition: Partition,
    pub(crate) probe: P,
    pub(crate) time: Time,
    pub(crate) admission: Arc<dyn Admission>,
    pub(crate) visits: Visits,
    pub(crate) relief: Relief,
    pub(crate) rules: Rules,
    pub(crate) roll: Arc<Roll>,
    pub(crate) watchdog: Watchdog,
    pub(crate) waiters: Waiters,
    pub(crate) deferred: Deferred,
    pub(crate) room: Room,
    #[cfg(feature = "metrics")]
    pub(crate) exports: crate::export::Exports,
    /// On a cache line of its own: every registration writes it, and every look-up reads what would lie beside it.
    /// A plain atomic, whatever schedules are explored: it is written inside a shard, where no turn may end.
    incarnations: CachePadded<PlainAtomicU64>,
    /// How often operations had met in each shard at the last reset.
    pub(crate) met_before: Box<[AtomicU64]>,
}

impl<M, B, X> Registry<M, B, X>
where
    M: Send + 'static,
    B: Backend,
    X: Mailboxes,
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
    X: Mailboxes,
    P: Probe,
{
    /// The settings must have been checked.
    pub(crate) fn new(settings: &Settings, backend: &B, admission: Arc<dyn Admission>, probe: P, time: Time) -> Self {
        let start = time.now();
        let limits = &settings.limits;
        let inner = Inner {
            servers: Table::new(backend, settings.shards, settings.capacity),
            transports: Table::new(backend, settings.shards, settings.capacity),
            partition: Partition::new(settings.shards, settings.seed),
            probe,
            time,
            admission,
            visits: Visits::new(settings.shards, start),
            relief: Relief::new(start, limits.sweep_every),
            rules: Rules::new(settings),
            roll: Arc::new(Roll::new(settings.shards, limits.transports_per_server, limits.retry_after)),
            watchdog: Watchdog::new(settings.shards, settings.monitor.alarm.clone(), settings.health.clone()),
            deferred: Deferred::default(),
            room: Room::new(settings.shards, settings.capacity.div_ceil(settings.shards)),
            waiters: Waiters::new(settings.shards),
            incarnations: CachePadded::new(PlainAtomicU64::new(0)),
            #[cfg(feature = "metrics")]
            exports: crate::export::Exports::default(),
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
        id: impl AsRef<[u8]>,
        read: impl FnOnce(EntryRef<'_, ServerId, ServerMailbox<M, X>>) -> R,
    ) -> Option<R> {
        let result = self.inner.find(id.as_ref(), |id: &ServerId, head, _| read(head.entry(id)));
        self.inner.settle();
        result
    }

    /// Reads a transport in place, and returns what `read` makes of it; `None` if there is no such transport.
    ///
    /// The same holds for `read` as in [`with_server`](Self::with_server).
    #[inline]
    pub fn with_transport<R>(
        &self,
        id: impl AsRef<[u8]>,
        read: impl FnOnce(EntryRef<'_, TransportId, TransportMailbox<M, X>>) -> R,
    ) -> Option<R> {
        let result = self.inner.find(id.as_ref(), |id: &TransportId, head, _| read(head.entry(id)));
        self.inner.settle();
        result
    }

    /// An owned handle to a server, to keep or to carry over an `.await`.
    ///
    /// Clones the mailbox and the metadata, so touches their reference counts; [`with_server`](Self::with_server) does
    /// not.
    pub fn find_server(&self, id: impl AsRef<[u8]>) -> Option<Entry<ServerId, ServerMailbox<M, X>>> {
        self.with_server(id, |entry| entry.to_entry())
    }

    /// An owned handle to a transport, to keep or to carry over an `.await`.
    ///
    /// Clones the mailbox and the metadata, so touches their reference counts;
    /// [`with_transport`](Self::with_transport) does not.
    pub fn find_transport(&self, id: impl AsRef<[u8]>) -> Option<Entry<TransportId, TransportMailbox<M, X>>> {
        self.with_transport(id, |entry| entry.to_entry())
    }

    /// All servers, in no order. O(servers).
    ///
    /// Weakly consistent: what is registered, and not dead, throughout the call is listed once; what comes or goes
    /// meanwhile may or may not be.
    pub fn list_servers(&self) -> Vec<Listing<ServerId>> {
        self.select_servers(Select::all())
    }

    /// All transports, in no order. O(transports), and as consistent as [`list_servers`](Self::list_servers).
    pub fn list_transports(&self) -> Vec<Listing<TransportId>> {
        self.select_transports(Select::all())
    }

    /// The servers that `select` takes, in no order.
    ///
    /// O(servers): it scans, and stops early only when it has a limit. As consistent as
    /// [`list_servers`](Self::list_servers).
    pub fn select_servers(&self, select: Select<'_>) -> Vec<Listing<ServerId>> {
        self.inner.servers.select(&select, is_dead::<ServerId, M, X>)
    }

    /// The transports that `select` takes, in no order.
    ///
    /// O(transports): it scans, and stops early only when it has a limit. As consistent as
    /// [`list_servers`](Self::list_servers).
    pub fn select_transports(&self, select: Select<'_>) -> Vec<Listing<TransportId>> {
        self.inner.transports.select(&select, is_dead::<TransportId, M, X>)
    }

    /// How many servers are registered, the dead included: exact when nobody writes. O(shards).
    pub fn len_servers(&self) -> usize {
        self.inner.servers.len()
    }

    /// How many transports are registered, the dead included: exact when nobody writes. O(shards).
    pub fn len_transports(&self) -> usize {
        self.inner.transports.len()
    }
}

impl<M, B, X, P> Inner<M, B, X, P>
where
    M: Send + 'static,
    B: Backend,
    X: Mailboxes,
    P: Probe,
{
    #[inline]
    pub(crate) fn place(&self, id: &[u8]) -> Place {
        let hash = self.partition.hash(id);
        self.place_of_hash(hash)
    }

    #[inline]
    pub(crate) fn place_of_hash(&self, hash: u64) -> Place {
        Place { hash, shard: self.partition.shard(hash) }
    }

    #[inline]
    pub(crate) fn ear(&self) -> Ear<'_, P> {
        Ear { probe: &self.probe, time: &self.time }
    }

    /// A look-up of a registration that is not dead, counted.
    #[inline]
    pub(crate) fn find<I: Side, R>(&self, id: &[u8], read: impl FnOnce(&I, &HeadOf<I, M, X>, &Bond) -> R) -> Option<R> {
        self.find_at(self.place(id), id, read)
    }

    /// As [`find`](Self::find), for one who knows the place.
    #[inline]
    pub(crate) fn find_at<I: Side, R>(
        &self,
        place: Place,
        id: &[u8],
        read: impl FnOnce(&I, &HeadOf<I, M, X>, &Bond) -> R,
    ) -> Option<R> {
        I::table(self).read(self.ear(), I::KIND, place, id, |id, head, bond| {
            if is_dead::<I, M, X>(head) { None } else { Some(read(id, head, bond)) }
        })
    }

    /// A look-up of a registration, dead or not, counted.
    #[inline]
    pub(crate) fn registered<I: Side, R>(
        &self,
        place: Place,
        id: &[u8],
        read: impl FnOnce(&I, &HeadOf<I, M, X>, &Bond) -> R,
    ) -> Option<R> {
        I::table(self).read(self.ear(), I::KIND, place, id, |id, head, bond| Some(read(id, head, bond)))
    }

    pub(crate) fn next_incarnation(&self) -> Incarnation {
        Incarnation::from_u64(self.incarnations.fetch_add(1, Ordering::Relaxed) + 1)
    }
}

impl<M, B, X, P> Clone for Registry<M, B, X, P>
where
    M: Send + 'static,
    B: Backend,
    X: Mailboxes,
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
    X: Mailboxes,
    P: Probe,
{
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Registry")
            .field("backend", &B::NAME)
            .field("shards", &self.inner.partition.shards())
            .field("servers", &self.len_servers())
            .field("transports", &self.len_transports())
            .finish_non_exhaustive()
    }
}
