//! Waiting for an id to be registered.

use std::collections::HashMap;
use std::collections::hash_map::Entry as MapEntry;
use std::sync::atomic::{Ordering, fence};
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use registry_core::{AwaitError, Backend, Entry, InvalidId, Mailbox, MailboxFamily, Probe, ServerId, TransportId};
use tokio::sync::Notify;

use crate::binding::slot::BindingSlot;
use crate::endpoint::{Endpoint, MailboxOf};
use crate::registry::{Inner, Registry, ServerMailbox, TransportMailbox};
use crate::routing::send::timeout;
use crate::storage::record::Record;
use crate::storage::table::Location;
use crate::sync::{AtomicU64, Mutex, MutexGuard};
use crate::types::Types;

/// The number of groups that the awaited ids of one kind are divided into, by hash. Only the registrations of a group
/// that has waiters look for them.
const GROUPS: usize = 256;

/// The tasks that wait for registrations of one kind.
///
/// A registration whose group has no waiters costs a fence and a load.
pub(crate) struct Arrivals<E>(Box<[AwaitedGroup<E>]>);

struct AwaitedGroup<E> {
    /// The number of waiters.
    count: AtomicU64,
    awaited: Mutex<HashMap<Box<[u8]>, Awaited<E>>>,
}

/// An id that is awaited.
struct Awaited<E> {
    waiters: usize,
    arrival: Arc<Arrival<E>>,
}

/// What all waiters for an id share: the registration looks up the entry once for all of them.
struct Arrival<E> {
    registered: Notify,
    latest: Mutex<Option<E>>,
}

/// Keeps an id among the awaited ones.
struct ArrivalWaiter<'a, E> {
    group: &'a AwaitedGroup<E>,
    id: &'a [u8],
    arrival: Arc<Arrival<E>>,
}

impl<E> Arrivals<E> {
    pub(crate) fn new() -> Self {
        let group = || AwaitedGroup { count: AtomicU64::new(0), awaited: Mutex::default() };
        Self((0..GROUPS).map(|_| group()).collect())
    }

    /// Starts waiting for an id.
    ///
    /// A registration that [`notify`](Self::notify) is called for after this wakes the waiter. The caller must look the id
    /// up after this call, because it may have been registered before.
    fn wait_for<'a>(&'a self, location: Location, id: &'a [u8]) -> ArrivalWaiter<'a, E> {
        let group = self.group(location);
        group.count.fetch_add(1, Ordering::SeqCst);
        let arrival = {
            let mut awaited = group.lock();
            let new = || Arc::new(Arrival { registered: Notify::new(), latest: Mutex::new(None) });
            let awaited = awaited.entry(id.into()).or_insert_with(|| Awaited { waiters: 0, arrival: new() });
            awaited.waiters += 1;
            Arc::clone(&awaited.arrival)
        };
        // Pairs with the fence in `notify`: either the caller's lookup finds the entry, or `notify` sees the count.
        fence(Ordering::SeqCst);
        ArrivalWaiter { group, id, arrival }
    }

    /// Wakes the waiters for an id, with what `find` returns. Must be called after the id can be found, with no shard
    /// locked.
    #[inline]
    pub(crate) fn notify(&self, location: Location, id: &[u8], find: impl FnOnce() -> Option<E>) {
        fence(Ordering::SeqCst);
        if self.group(location).count.load(Ordering::SeqCst) > 0 {
            self.notify_waiters(location, id, find);
        }
    }

    #[cold]
    fn notify_waiters(&self, location: Location, id: &[u8], find: impl FnOnce() -> Option<E>) {
        let arrival = self.group(location).lock().get(id).map(|awaited| Arc::clone(&awaited.arrival));
        let (Some(arrival), Some(found)) = (arrival, find()) else { return };
        // User code runs when an entry is dropped and when a task is woken, so no lock is held.
        let replaced = arrival.latest().replace(found);
        arrival.registered.notify_waiters();
        drop(replaced);
    }

    /// Returns the number of waiters.
    pub(crate) fn waiters(&self) -> usize {
        self.0.iter().map(|group| group.count.load(Ordering::Relaxed) as usize).sum()
    }

    fn group(&self, location: Location) -> &AwaitedGroup<E> {
        // Not the bits that choose the shard, so that the ids of a shard are in all groups.
        &self.0[location.hash as usize % GROUPS]
    }
}

impl<E> AwaitedGroup<E> {
    fn lock(&self) -> MutexGuard<'_, HashMap<Box<[u8]>, Awaited<E>>> {
        // Nothing under the lock can panic half-way, so a poisoned lock guards consistent data.
        self.awaited.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<E> Arrival<E> {
    fn latest(&self) -> MutexGuard<'_, Option<E>> {
        self.latest.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<E> Drop for ArrivalWaiter<'_, E> {
    fn drop(&mut self) {
        if let MapEntry::Occupied(mut awaited) = self.group.lock().entry(self.id.into()) {
            awaited.get_mut().waiters -= 1;
            if awaited.get().waiters == 0 {
                // This waiter holds the arrival too, so nothing else is dropped while the map is locked.
                awaited.remove();
            }
        }
        self.group.count.fetch_sub(1, Ordering::SeqCst);
    }
}

impl<M, B, X, P> Registry<M, B, X, P>
where
    M: Send + 'static,
    B: Backend,
    X: MailboxFamily,
    P: Probe,
{
    /// Waits until a server is registered under the id, and returns its entry. Returns it at once if it is registered.
    ///
    /// Completes for every registration that is live when its `register_server` or `renew_server` returns, also if it ends
    /// before this future is polled again: the entry is a handle to what was found, as that of
    /// [`find_server`](Self::find_server).
    ///
    /// # Errors
    ///
    /// - [`AwaitError::InvalidId`] if no server can have the id in this registry.
    /// - [`AwaitError::TimedOut`] if there is a `limit` and no server has been registered within it.
    ///
    /// # Cancel safety
    ///
    /// Cancel-safe: dropping the future has no effect but to stop waiting.
    ///
    /// # Cost
    ///
    /// A lookup if the server is registered. Otherwise the id is stored while the future exists; when it is registered,
    /// one lookup serves all waiters. Registrations of other ids do not pay for it, but for one in 256, which takes a lock
    /// that waiters share.
    ///
    /// # Panics
    ///
    /// Panics if there is a `limit` and the future is polled outside of a tokio runtime with time enabled.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::time::Duration;
    /// use registry_router::{AwaitError, Registry, mailbox};
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let registry = Registry::<String>::builder().build()?;
    /// let (to_server, _inbox) = mailbox(16);
    ///
    /// let (entry, lease) = tokio::join!(registry.await_server("tools", None), async {
    ///     registry.register_server("tools", to_server, ())
    /// });
    /// assert_eq!(entry?.incarnation, lease?.incarnation());
    ///
    /// let limit = Some(Duration::from_millis(1));
    /// assert_eq!(registry.await_server("absent", limit).await.unwrap_err(), AwaitError::TimedOut);
    /// # Ok(())
    /// # }
    /// ```
    pub async fn await_server<N>(
        &self,
        id: N,
        limit: Option<Duration>,
    ) -> Result<Entry<ServerId, ServerMailbox<M, X>>, AwaitError>
    where
        N: TryInto<ServerId>,
        N::Error: Into<InvalidId>,
    {
        self.inner.await_arrival(id.try_into().map_err(Into::into)?, limit).await
    }

    /// Waits until a transport is registered under the id, as [`await_server`](Self::await_server) does for a server.
    ///
    /// # Errors
    ///
    /// As [`await_server`](Self::await_server).
    ///
    /// # Panics
    ///
    /// As [`await_server`](Self::await_server).
    ///
    /// # Cancel safety
    ///
    /// Cancel-safe.
    ///
    /// # Examples
    ///
    /// ```
    /// use registry_router::{Registry, mailbox};
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let registry = Registry::<String>::builder().build()?;
    /// let (to_transport, _inbox) = mailbox(16);
    /// let lease = registry.register_transport("conn-1", to_transport, ())?;
    /// assert_eq!(registry.await_transport("conn-1", None).await?.incarnation, lease.incarnation());
    /// # Ok(())
    /// # }
    /// ```
    pub async fn await_transport<N>(
        &self,
        id: N,
        limit: Option<Duration>,
    ) -> Result<Entry<TransportId, TransportMailbox<M, X>>, AwaitError>
    where
        N: TryInto<TransportId>,
        N::Error: Into<InvalidId>,
    {
        self.inner.await_arrival(id.try_into().map_err(Into::into)?, limit).await
    }

    /// Returns the number of futures that wait in [`await_server`](Self::await_server) and
    /// [`await_transport`](Self::await_transport).
    ///
    /// # Examples
    ///
    /// ```
    /// use registry_router::Registry;
    ///
    /// let registry = Registry::<String>::builder().build()?;
    /// assert_eq!(registry.waiter_count(), 0);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn waiter_count(&self) -> usize {
        self.inner.servers.arrivals.waiters() + self.inner.transports.arrivals.waiters()
    }
}

impl<T: Types> Inner<T> {
    async fn await_arrival<I: Endpoint>(
        &self,
        id: I,
        limit: Option<Duration>,
    ) -> Result<Entry<I, MailboxOf<I, T>>, AwaitError> {
        self.rules.check_id(id.as_ref())?;
        let location = self.location(id.as_ref());
        let find = || self.find_at(location, id.as_ref(), |id: &I, record, _| record.entry(id).to_entry());
        if let Some(entry) = find() {
            return Ok(entry);
        }
        let waiter = I::table(self).arrivals.wait_for(location, id.as_ref());
        let arrival = async {
            loop {
                // Receives every notification from here on, also before it is first polled.
                let registered = waiter.arrival.registered.notified();
                if let Some(entry) = find() {
                    return entry;
                }
                registered.await;
                let latest = waiter.arrival.latest().clone();
                if let Some(entry) = latest {
                    return entry;
                }
            }
        };
        timeout(limit, arrival).await.ok_or(AwaitError::TimedOut)
    }

    /// Wakes the tasks that wait for an id, which has been registered.
    #[inline]
    pub(crate) fn notify_arrival<I: Endpoint>(&self, location: Location, id: &I) {
        I::table(self).arrivals.notify(location, id.as_ref(), || {
            let find = |id: &I, record: &Record<_>, _: &BindingSlot| record.entry(id).to_entry();
            let mut entry = I::table(self).peek(location, id.as_ref(), find)?;
            // It is kept until all waiters have taken it, which must not keep the inbox open.
            entry.mailbox.make_weak();
            Some(entry)
        });
    }
}
