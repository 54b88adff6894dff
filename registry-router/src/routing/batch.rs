//! Bulk operations: many lookups or messages in one call, so that their cache misses overlap.
//!
//! The input is processed in batches of at most [`MAX_BATCH`]: hash all ids, count all lookups, read all entries, and
//! only then use the results. A batch allocates nothing. User code (ids, messages and their destructors) runs between
//! batches, while no shard is held.

use registry_core::{
    AsId, Backend, Batch, Entry, EntryRef, Event, MAX_BATCH, Mailbox, MailboxFamily, Probe, RouteError, ServerId,
    TransportId,
};

use crate::binding::slot::BindingSlot;
use crate::endpoint::{Endpoint, MailboxOf, RecordOf, is_dead};
use crate::mailbox::is_large;
use crate::registry::{Inner, Registry, ServerMailbox, TransportMailbox};
use crate::routing::delivery::{ByValue, Carrier, PendingDelivery, message_error};
use crate::storage::{
    batch::{LocatedId, Mask16},
    table::Location,
};
use crate::types::Types;

impl<M, B, X, P> Registry<M, B, X, P>
where
    M: Send + 'static,
    B: Backend,
    X: MailboxFamily,
    P: Probe,
{
    /// Reads many servers in place: calls `read` for each id, in order, with its index and its entry, if there is one.
    ///
    /// Each id is looked up at its own instant during the call; the results together are not a snapshot. An id that is
    /// given twice is looked up twice. `read` is subject to the rules of [`with_server`](Self::with_server), except that
    /// it delays other callers in up to 16 shards.
    ///
    /// # Cost
    ///
    /// Faster than single lookups when the registrations do not fit into the processor's caches, because up to 16 cache
    /// misses overlap; slower when they do fit. Takes no lock of the registry's own, allocates nothing and touches no
    /// reference count.
    ///
    /// # Examples
    ///
    /// ```
    /// # use registry_router::{Registry, mailbox};
    /// let registry: Registry<&str> = Registry::builder().build()?;
    /// let (mailbox, _inbox) = mailbox(16);
    /// let _lease = registry.register_server("a", mailbox, ())?;
    ///
    /// let mut found = Vec::new();
    /// registry.with_many_servers(&["a", "b"], |index, entry| found.push((index, entry.is_some())));
    /// assert_eq!(found, [(0, true), (1, false)]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn with_many_servers(
        &self,
        ids: &[impl AsId<ServerId>],
        read: impl FnMut(usize, Option<EntryRef<'_, ServerId, ServerMailbox<M, X>>>),
    ) {
        self.inner.find_each::<ServerId>(ids, read);
        self.inner.settle();
    }

    /// Reads many transports in place; the counterpart of [`with_many_servers`](Self::with_many_servers).
    ///
    /// # Examples
    ///
    /// ```
    /// # use registry_router::{Registry, mailbox};
    /// let registry: Registry<&str> = Registry::builder().build()?;
    /// let (mailbox, _inbox) = mailbox(16);
    /// let _lease = registry.register_transport("conn-1", mailbox, ())?;
    ///
    /// let mut found = 0;
    /// registry.with_many_transports(&["conn-1", "conn-2"], |_, entry| found += usize::from(entry.is_some()));
    /// assert_eq!(found, 1);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn with_many_transports(
        &self,
        ids: &[impl AsId<TransportId>],
        read: impl FnMut(usize, Option<EntryRef<'_, TransportId, TransportMailbox<M, X>>>),
    ) {
        self.inner.find_each::<TransportId>(ids, read);
        self.inner.settle();
    }

    /// Returns owned handles to many servers, in the order of the ids; `None` for each id that is not registered.
    ///
    /// Like [`with_many_servers`](Self::with_many_servers), but clones mailboxes and metadata, which touches their
    /// reference counts, and allocates the list.
    ///
    /// # Examples
    ///
    /// ```
    /// # use registry_router::{Registry, mailbox};
    /// let registry: Registry<&str> = Registry::builder().build()?;
    /// let (mailbox, _inbox) = mailbox(16);
    /// let _lease = registry.register_server("a", mailbox, ())?;
    ///
    /// let found = registry.find_many_servers(&["a", "b"]);
    /// assert_eq!(found[0].as_ref().map(|entry| entry.id.as_ref()), Some("a"));
    /// assert!(found[1].is_none());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn find_many_servers(&self, ids: &[impl AsId<ServerId>]) -> Vec<Option<Entry<ServerId, ServerMailbox<M, X>>>> {
        self.inner.find_many(ids)
    }

    /// Returns owned handles to many transports; the counterpart of [`find_many_servers`](Self::find_many_servers).
    ///
    /// # Examples
    ///
    /// ```
    /// # use registry_router::{Registry, mailbox};
    /// let registry: Registry<&str> = Registry::builder().build()?;
    /// let (mailbox, _inbox) = mailbox(16);
    /// let _lease = registry.register_transport("conn-1", mailbox, ())?;
    ///
    /// let found = registry.find_many_transports(&["conn-1", "conn-2"]);
    /// assert!(found[0].is_some() && found[1].is_none());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn find_many_transports(
        &self,
        ids: &[impl AsId<TransportId>],
    ) -> Vec<Option<Entry<TransportId, TransportMailbox<M, X>>>> {
        self.inner.find_many(ids)
    }

    /// Sends many messages to servers without waiting. Each item is the receiver, the sender and the message.
    ///
    /// Returns the undelivered messages in order, each with its index in `messages` and the reason. An empty list means
    /// that every message is in its mailbox.
    ///
    /// Each message is delivered as by [`route_to_server`](Self::route_to_server), at its own instant. Messages to one
    /// server stay in order, and behind those that the same thread has sent there before. A server whose mailbox is
    /// found closed is removed from the registry once the batch of up to 16 messages has been tried; until then further
    /// messages to it are returned as closed too.
    ///
    /// # Cost
    ///
    /// `messages` is advanced while no shard is held. Allocates only the list, and only if it is not empty; and a box for
    /// each message of more than 1,024 bytes.
    ///
    /// # Examples
    ///
    /// ```
    /// # use registry_router::{Registry, RouteError, TransportId, mailbox};
    /// let registry: Registry<&str> = Registry::builder().build()?;
    /// let (mailbox, mut inbox) = mailbox(16);
    /// let _lease = registry.register_server("a", mailbox, ())?;
    ///
    /// let from = TransportId::new("conn-1")?;
    /// let undelivered = registry.route_many_to_servers([("a", &from, "one"), ("b", &from, "two")]);
    /// assert_eq!(undelivered, [(1, RouteError::NotFound("two"))]);
    /// assert_eq!(inbox.try_recv()?.message, "one");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn route_many_to_servers<'f, S: AsId<ServerId>>(
        &self,
        messages: impl IntoIterator<Item = (S, &'f TransportId, M)>,
    ) -> Vec<(usize, RouteError<M>)> {
        if const { is_large::<M>() } {
            self.inner.route_many::<ServerId, S, Box<_>>(messages)
        } else {
            self.inner.route_many::<ServerId, S, ByValue<_, _>>(messages)
        }
    }

    /// Sends many messages to transports without waiting; the counterpart of
    /// [`route_many_to_servers`](Self::route_many_to_servers).
    ///
    /// # Examples
    ///
    /// ```
    /// # use registry_router::{Registry, ServerId, mailbox};
    /// let registry: Registry<&str> = Registry::builder().build()?;
    /// let (mailbox, mut inbox) = mailbox(16);
    /// let _lease = registry.register_transport("conn-1", mailbox, ())?;
    ///
    /// let from = ServerId::new("a")?;
    /// let undelivered = registry.route_many_to_transports([("conn-1", &from, "one"), ("conn-1", &from, "two")]);
    /// assert!(undelivered.is_empty());
    /// assert_eq!([inbox.try_recv()?.message, inbox.try_recv()?.message], ["one", "two"]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn route_many_to_transports<'f, T: AsId<TransportId>>(
        &self,
        messages: impl IntoIterator<Item = (T, &'f ServerId, M)>,
    ) -> Vec<(usize, RouteError<M>)> {
        if const { is_large::<M>() } {
            self.inner.route_many::<TransportId, T, Box<_>>(messages)
        } else {
            self.inner.route_many::<TransportId, T, ByValue<_, _>>(messages)
        }
    }
}

/// An owned handle to one kind of registration.
type Found<I, T> = Entry<I, MailboxOf<I, T>>;

/// Returns the next message with its receiver.
// A function of its own, like `push_undelivered`: a message by value takes up the stack of every function that handles it.
fn load_next<'f, S, F, M, C>(messages: &mut impl Iterator<Item = (S, &'f F, M)>) -> Option<(S, C)>
where
    F: Clone + 'f,
    C: Carrier<F, M>,
{
    #[expect(clippy::manual_map, reason = "a closure would take a message by value too")]
    match messages.next() {
        Some((to, from, message)) => Some((to, C::load(from.clone(), message))),
        None => None,
    }
}

#[cold]
fn push_undelivered<F, M, C: Carrier<F, M>>(
    undelivered: &mut Vec<(usize, RouteError<M>)>,
    index: usize,
    error: RouteError<C>,
) {
    undelivered.push((index, message_error(error)));
}

/// Returns an empty batch of deliveries.
pub(crate) const fn no_deliveries<C>() -> [PendingDelivery<C>; MAX_BATCH] {
    [const { PendingDelivery::Delivered }; MAX_BATCH]
}

/// Prefetches the mailboxes of a batch, so that their cache misses overlap: a delivery executes locked instructions, which
/// wait for all earlier loads.
#[inline]
pub(crate) fn prefetch<I: Endpoint, T: Types>(batch: &Batch<'_, I, RecordOf<I, T>, BindingSlot>) {
    for (_, record, _) in batch.iter().flatten() {
        record.mailbox.prefetch();
    }
}

/// Returns which entries of a batch are not dead.
#[inline]
fn alive_in<I: Endpoint, T: Types>(batch: &Batch<'_, I, RecordOf<I, T>, BindingSlot>) -> Mask16 {
    let mut alive = Mask16::default();
    for (index, parts) in batch.iter().enumerate() {
        alive.add_if(parts.is_some_and(|(_, record, _)| !is_dead::<I, T>(record)), index);
    }
    alive
}

impl<T: Types> Inner<T> {
    /// Locates at most [`MAX_BATCH`] ids.
    #[inline]
    pub(crate) fn locate_batch<'a>(
        &self,
        ids: impl IntoIterator<Item = &'a [u8]>,
    ) -> ([LocatedId<'a>; MAX_BATCH], usize) {
        let mut located = [LocatedId { location: Location { hash: 0, shard: 0 }, id: &[] }; MAX_BATCH];
        let mut length = 0;
        for (located, id) in located.iter_mut().zip(ids) {
            *located = LocatedId { location: self.location(id), id };
            length += 1;
        }
        (located, length)
    }

    /// Looks up registrations that are not dead, and counts the lookups.
    fn find_each<I: Endpoint>(
        &self,
        ids: &[impl AsId<I>],
        mut read: impl FnMut(usize, Option<EntryRef<'_, I, MailboxOf<I, T>>>),
    ) {
        for (chunk, ids) in ids.chunks(MAX_BATCH).enumerate() {
            let (located, length) = self.locate_batch(ids.iter().map(AsId::as_id));
            I::table(self).read_each(self.instruments(), I::KIND, &located[..length], |first, batch| {
                // All closed flags are read before the first entry is passed on, because they are cache misses too.
                let alive = alive_in::<I, T>(batch);
                let mut missed = Mask16::default();
                for (index, parts) in batch.iter().enumerate() {
                    missed.add_if(!alive.has(index), index);
                    let entry = parts.filter(|_| alive.has(index)).map(|(id, record, _)| record.entry(id));
                    read(chunk * MAX_BATCH + first + index, entry);
                }
                missed
            });
        }
    }

    fn find_many<I: Endpoint>(&self, ids: &[impl AsId<I>]) -> Vec<Option<Found<I, T>>> {
        let mut found = Vec::with_capacity(ids.len());
        self.find_each::<I>(ids, |_, entry| found.push(entry.map(|entry| entry.to_entry())));
        found
    }

    fn route_many<'f, I: Endpoint, S: AsId<I>, C: Carrier<I::Peer, T::Message>>(
        &self,
        messages: impl IntoIterator<Item = (S, &'f I::Peer, T::Message)>,
    ) -> Vec<(usize, RouteError<T::Message>)> {
        let mut messages = messages.into_iter();
        let mut undelivered = Vec::new();
        for chunk in 0.. {
            let mut receivers = [const { None }; MAX_BATCH];
            let mut pending = no_deliveries();
            let mut length = 0;
            for (receiver, pending) in receivers.iter_mut().zip(&mut pending) {
                let Some((to, carrier)) = load_next(&mut messages) else { break };
                *receiver = Some(to);
                *pending = PendingDelivery::Untried(carrier);
                length += 1;
            }
            let (located, _) = self.locate_batch(receivers.iter().flatten().map(AsId::as_id));
            self.deliver_each::<I, C>(&located[..length], &mut pending);
            for ((index, pending), located) in (chunk * MAX_BATCH..).zip(pending).zip(&located[..length]) {
                match pending {
                    PendingDelivery::Delivered => self.probe.event(located.location.shard, Event::Routed),
                    PendingDelivery::Untried(carrier) => {
                        push_undelivered(&mut undelivered, index, RouteError::NotFound(carrier))
                    }
                    PendingDelivery::Returned(error, incarnation) => {
                        let error = self.on_undelivered::<I, C>(located.location, located.id, incarnation, error);
                        push_undelivered(&mut undelivered, index, error);
                    }
                }
            }
            if length < MAX_BATCH {
                break;
            }
        }
        undelivered
    }

    /// Delivers to each registered id, dead or not, and counts the lookups.
    fn deliver_each<I: Endpoint, C: Carrier<I::Peer, T::Message>>(
        &self,
        located: &[LocatedId<'_>],
        pending: &mut [PendingDelivery<C>],
    ) {
        I::table(self).read_each(self.instruments(), I::KIND, located, |first, batch| {
            prefetch::<I, T>(batch);
            let mut missed = Mask16::default();
            for (index, (parts, pending)) in batch.iter().zip(&mut pending[first..]).enumerate() {
                match parts {
                    None => missed.add_if(true, index),
                    Some((_, record, _)) => pending.deliver(record),
                }
            }
            missed
        });
    }
}
