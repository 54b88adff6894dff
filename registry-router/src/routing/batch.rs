//! Work in bulk: many lookups and many messages in one call, so that their cache misses overlap.
//!
//! All goes by runs of at most [`MAX_BATCH`]: hash all, count all, read all, and only then do what is to be done with
//! what was found. Nothing is allocated for a run. The user's own code (ids, messages and their drop) runs between runs,
//! where nothing is held.

use registry_core::{
    AsId, Backend, Batch, Entry, EntryRef, Event, MAX_BATCH, Mailbox, MailboxFamily, Probe, RouteError, ServerId,
    TransportId,
};

use crate::binding::slot::BindingSlot;
use crate::endpoint::{Endpoint, MailboxOf, RecordOf, is_dead};
use crate::mailbox::is_large;
use crate::registry::{Inner, Registry, ServerMailbox, TransportMailbox};
use crate::routing::delivery::{ByValue, Carrier, PendingDelivery, unloaded};
use crate::storage::{
    batch::{LocatedId, Mask16},
    table::Location,
};

impl<M, B, X, P> Registry<M, B, X, P>
where
    M: Send + 'static,
    B: Backend,
    X: MailboxFamily,
    P: Probe,
{
    /// Reads many servers in place: `read` is called for each id, in the order given, with its place and what is found.
    ///
    /// Each is found, or not, at an instant of the call, its own; together they are no snapshot. An id that is given twice
    /// is looked up twice. The same holds for `read` as in [`with_server`](Self::with_server), but it holds up others in up
    /// to 16 shards.
    ///
    /// Faster than as many single lookups where there are more registrations than fit into the processor's caches, for
    /// it waits for up to 16 of them at a time; where they do fit there is nothing to wait for, and single ones are
    /// faster. Takes no lock of ours, allocates nothing and touches no reference count.
    pub fn with_many_servers(
        &self,
        ids: &[impl AsId<ServerId>],
        read: impl FnMut(usize, Option<EntryRef<'_, ServerId, ServerMailbox<M, X>>>),
    ) {
        self.inner.find_each::<ServerId>(ids, read);
        self.inner.settle();
    }

    /// Reads many transports in place, as [`with_many_servers`](Self::with_many_servers) does servers.
    pub fn with_many_transports(
        &self,
        ids: &[impl AsId<TransportId>],
        read: impl FnMut(usize, Option<EntryRef<'_, TransportId, TransportMailbox<M, X>>>),
    ) {
        self.inner.find_each::<TransportId>(ids, read);
        self.inner.settle();
    }

    /// Owned handles to many servers, in the order of the ids; `None` for each that there is not.
    ///
    /// As [`with_many_servers`](Self::with_many_servers), but clones mailboxes and metadata, so touches their reference
    /// counts, and allocates the list.
    pub fn find_many_servers(&self, ids: &[impl AsId<ServerId>]) -> Vec<Option<Entry<ServerId, ServerMailbox<M, X>>>> {
        self.inner.find_many(ids)
    }

    /// Owned handles to many transports, in the order of the ids; `None` for each that there is not.
    ///
    /// As [`find_many_servers`](Self::find_many_servers).
    pub fn find_many_transports(
        &self,
        ids: &[impl AsId<TransportId>],
    ) -> Vec<Option<Entry<TransportId, TransportMailbox<M, X>>>> {
        self.inner.find_many(ids)
    }

    /// Puts many messages into mailboxes of servers, each at once or not at all: for each message the server, who sends it,
    /// and the message.
    ///
    /// What is not delivered comes back, with its place in the order given and the reason, in that order; an empty list
    /// means that all are in their mailboxes.
    /// Each message is delivered, or not, as by [`route_to_server`](Self::route_to_server), at an instant of its own.
    /// Messages to one server stay in the order given, and behind those that the same thread sent there before.
    /// A server whose mailbox is found closed is taken out of the registry; until that is done, at latest when 16 messages
    /// have been tried, further messages to it come back as closed too.
    ///
    /// `messages` is asked for more while nothing is held. Allocates only the list, and only if there is something in it;
    /// and a box for each message of more than 1,024 bytes.
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

    /// Puts many messages into mailboxes of transports, each at once or not at all.
    ///
    /// As [`route_many_to_servers`](Self::route_many_to_servers), the other way round.
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
type Found<I, M, X> = Entry<I, MailboxOf<I, M, X>>;

/// Takes up the next message, with whom it is for.
// Apart, as is `unload_into`, because a message by value takes room on the stack of whatever handles it.
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
fn unload_into<F, M, C: Carrier<F, M>>(
    returned: &mut Vec<(usize, RouteError<M>)>,
    location: usize,
    error: RouteError<C>,
) {
    returned.push((location, unloaded(error)));
}

/// No parcels yet.
pub(crate) const fn no_deliveries<C>() -> [PendingDelivery<C>; MAX_BATCH] {
    [const { PendingDelivery::Delivered }; MAX_BATCH]
}

/// Loads what a delivery to each of a run will write to, so that the misses of all overlap: a delivery has locked
/// instructions, which wait for all loads before them.
#[inline]
pub(crate) fn prefetch<I: Endpoint, M: Send + 'static, X: MailboxFamily>(
    batch: &Batch<'_, I, RecordOf<I, M, X>, BindingSlot>,
) {
    for (_, record, _) in batch.iter().flatten() {
        record.mailbox.prefetch();
    }
}

/// Who of a run is not dead.
#[inline]
fn alive_in<I: Endpoint, M: Send + 'static, X: MailboxFamily>(
    batch: &Batch<'_, I, RecordOf<I, M, X>, BindingSlot>,
) -> Mask16 {
    let mut alive = Mask16::default();
    for (location, seen) in batch.iter().enumerate() {
        alive.add_if(seen.is_some_and(|(_, record, _)| !is_dead::<I, M, X>(record)), location);
    }
    alive
}

impl<M, B, X, P> Inner<M, B, X, P>
where
    M: Send + 'static,
    B: Backend,
    X: MailboxFamily,
    P: Probe,
{
    /// Says where each is, of at most [`MAX_BATCH`].
    #[inline]
    pub(crate) fn ask<'a>(&self, ids: impl IntoIterator<Item = &'a [u8]>) -> ([LocatedId<'a>; MAX_BATCH], usize) {
        let mut located = [LocatedId { location: Location { hash: 0, shard: 0 }, id: &[] }; MAX_BATCH];
        let mut length = 0;
        for (located, id) in located.iter_mut().zip(ids) {
            *located = LocatedId { location: self.location(id), id };
            length += 1;
        }
        (located, length)
    }

    /// Lookups of registrations that are not dead, counted.
    fn find_each<I: Endpoint>(
        &self,
        ids: &[impl AsId<I>],
        mut read: impl FnMut(usize, Option<EntryRef<'_, I, MailboxOf<I, M, X>>>),
    ) {
        for (number, ids) in ids.chunks(MAX_BATCH).enumerate() {
            let (located, length) = self.ask(ids.iter().map(AsId::as_id));
            I::table(self).read_each(self.instruments(), I::KIND, &located[..length], |first, batch| {
                // All are asked whether they live before one is shown, for the answers are cache misses too.
                let alive = alive_in::<I, M, X>(batch);
                let mut missed = Mask16::default();
                for (location, seen) in batch.iter().enumerate() {
                    missed.add_if(!alive.has(location), location);
                    let entry = seen.filter(|_| alive.has(location)).map(|(id, record, _)| record.entry(id));
                    read(number * MAX_BATCH + first + location, entry);
                }
                missed
            });
        }
    }

    fn find_many<I: Endpoint>(&self, ids: &[impl AsId<I>]) -> Vec<Option<Found<I, M, X>>> {
        let mut found = Vec::with_capacity(ids.len());
        self.find_each::<I>(ids, |_, entry| found.push(entry.map(|entry| entry.to_entry())));
        found
    }

    fn route_many<'f, I: Endpoint, S: AsId<I>, C: Carrier<I::Peer, M>>(
        &self,
        messages: impl IntoIterator<Item = (S, &'f I::Peer, M)>,
    ) -> Vec<(usize, RouteError<M>)> {
        let mut messages = messages.into_iter();
        let mut returned = Vec::new();
        for number in 0.. {
            let mut receivers = [const { None }; MAX_BATCH];
            let mut pending = no_deliveries();
            let mut length = 0;
            for (receiver, pending) in receivers.iter_mut().zip(&mut pending) {
                let Some((to, carrier)) = load_next(&mut messages) else { break };
                *receiver = Some(to);
                *pending = PendingDelivery::Waiting(carrier);
                length += 1;
            }
            let (located, _) = self.ask(receivers.iter().flatten().map(AsId::as_id));
            self.deliver_each::<I, C>(&located[..length], &mut pending);
            for ((location, pending), located) in (number * MAX_BATCH..).zip(pending).zip(&located[..length]) {
                match pending {
                    PendingDelivery::Delivered => self.probe.event(located.location.shard, Event::Routed),
                    PendingDelivery::Waiting(carrier) => {
                        unload_into(&mut returned, location, RouteError::NotFound(carrier))
                    }
                    PendingDelivery::Back(try_send_error, incarnation) => {
                        let error =
                            self.try_send_error::<I, C>(located.location, located.id, incarnation, try_send_error);
                        unload_into(&mut returned, location, error);
                    }
                }
            }
            if length < MAX_BATCH {
                break;
            }
        }
        returned
    }

    /// Delivers to each that is registered, dead or not; counted as lookups.
    fn deliver_each<I: Endpoint, C: Carrier<I::Peer, M>>(
        &self,
        located: &[LocatedId<'_>],
        pending: &mut [PendingDelivery<C>],
    ) {
        I::table(self).read_each(self.instruments(), I::KIND, located, |first, batch| {
            prefetch::<I, M, X>(batch);
            let mut missed = Mask16::default();
            for (location, (seen, pending)) in batch.iter().zip(&mut pending[first..]).enumerate() {
                match seen {
                    None => missed.add_if(true, location),
                    Some((_, record, _)) => pending.deliver(record),
                }
            }
            missed
        });
    }
}
