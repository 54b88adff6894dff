//! Delivering a message to one, or to all transports of a server; what is not delivered comes back.

use std::sync::Arc;

use registry_core::{
    AsId, Backend, BroadcastReport, Delivery, Event, Incarnation, MAX_BATCH, Mailbox, MailboxFamily, Probe, RouteError,
    ServerId, TransportId, TrySendError,
};

use crate::binding::group::Group;
use crate::endpoint::Endpoint;
use crate::mailbox::is_large;
use crate::registry::{Inner, Registry};
use crate::routing::batch::{no_deliveries, prefetch};
use crate::routing::delivery::{ByValue, Carrier, PendingDelivery, give_back};
use crate::storage::{batch::LocatedId, table::Location};

impl<M, B, X, P> Registry<M, B, X, P>
where
    M: Send + 'static,
    B: Backend,
    X: MailboxFamily,
    P: Probe,
{
    /// Puts a message into the mailbox of a server, at once or not at all.
    ///
    /// `Ok` means that the message is in the mailbox, once, behind those that the same thread sent there before.
    /// `from` is what the server is told; that it is registered or bound is not checked.
    /// One lookup and one `try_send`, in place.
    ///
    /// # Errors
    ///
    /// [`RouteError`] with the message. A server whose mailbox is found closed is taken out of the registry.
    #[inline]
    pub fn route_to_server(
        &self,
        server: impl AsId<ServerId>,
        from: &TransportId,
        message: M,
    ) -> Result<(), RouteError<M>> {
        self.inner.route::<ServerId>(server.as_id(), from, message)
    }

    /// Puts a message into the mailbox of a transport, at once or not at all.
    ///
    /// As [`route_to_server`](Self::route_to_server), the other way round.
    ///
    /// # Errors
    ///
    /// [`RouteError`] with the message. A transport whose mailbox is found closed is taken out of the registry.
    #[inline]
    pub fn route_to_transport(
        &self,
        transport: impl AsId<TransportId>,
        from: &ServerId,
        message: M,
    ) -> Result<(), RouteError<M>> {
        self.inner.route::<TransportId>(transport.as_id(), from, message)
    }

    /// Puts a copy of a message into the mailbox of every transport that is bound to `server`, and reports.
    ///
    /// O(transports of the server). Each is tried once, at once: a full mailbox delays nobody and is reported.
    /// A transport that is bound throughout the call is tried, one that is not bound when its turn comes is not; so when
    /// unbinding or moving a transport has returned, no broadcast of its old server reaches it any more.
    /// Transports whose mailbox is found closed are taken out of the registry.
    pub fn broadcast(&self, server: impl AsId<ServerId>, message: M) -> BroadcastReport
    where
        M: Clone,
    {
        if const { is_large::<M>() } {
            self.inner.broadcast::<Box<_>>(server.as_id(), message)
        } else {
            self.inner.broadcast::<ByValue<_, _>>(server.as_id(), message)
        }
    }
}

impl<M, B, X, P> Inner<M, B, X, P>
where
    M: Send + 'static,
    B: Backend,
    X: MailboxFamily,
    P: Probe,
{
    fn broadcast<C: Carrier<ServerId, M>>(&self, server: &[u8], message: M) -> BroadcastReport
    where
        M: Clone,
    {
        let mut report = BroadcastReport::default();
        let found = self.find(server, |id: &ServerId, _, slot| (id.clone(), slot.group()));
        let Some((server, group)) = found else {
            return report;
        };
        report.server = Some(server.clone());
        let Some(group) = group else {
            return report;
        };
        for piece in group.members() {
            for members in piece.chunks(MAX_BATCH) {
                self.broadcast_to::<C>(&server, &group, members, &message, &mut report);
            }
        }
        report
    }

    /// Broadcasts to at most [`MAX_BATCH`] members of a group.
    fn broadcast_to<C: Carrier<ServerId, M>>(
        &self,
        server: &ServerId,
        group: &Arc<Group>,
        members: &[(Incarnation, TransportId)],
        message: &M,
        report: &mut BroadcastReport,
    ) where
        M: Clone,
    {
        // Copied, and dropped if it is not needed, where nothing is held: that is the user's own code.
        let mut pending = no_deliveries();
        for pending in &mut pending[..members.len()] {
            *pending = PendingDelivery::Waiting(C::load(server.clone(), message.clone()));
        }
        let (located, length) = self.ask(members.iter().map(|(_, id)| id.as_bytes()));
        self.transports.peek_each(&located[..length], |first, batch| {
            prefetch::<TransportId, M, X>(batch);
            for ((seen, pending), (incarnation, _)) in batch.iter().zip(&mut pending[first..]).zip(&members[first..]) {
                if let Some((_, record, slot)) = seen
                    && record.incarnation == *incarnation
                {
                    slot.while_in(group, || pending.deliver(record));
                }
            }
        });
        for ((pending, (_, id)), LocatedId { location, .. }) in pending.into_iter().zip(members).zip(located) {
            match pending {
                PendingDelivery::Waiting(_) => {}
                PendingDelivery::Delivered => {
                    self.probe.event(location.shard, Event::Routed);
                    report.delivered += 1;
                }
                PendingDelivery::Back(TrySendError::Full(_), _) => {
                    self.probe.event(location.shard, Event::Full);
                    report.full.push(id.clone());
                }
                PendingDelivery::Back(TrySendError::Closed(_), incarnation) => {
                    self.probe.event(location.shard, Event::Closed);
                    self.evict::<TransportId>(location, id.as_bytes(), incarnation);
                    report.closed.push(id.clone());
                }
            }
        }
    }

    #[inline]
    fn route<I: Endpoint>(&self, id: &[u8], from: &I::Peer, message: M) -> Result<(), RouteError<M>> {
        if const { is_large::<M>() } {
            match self.deliver::<I, Box<_>>(id, Carrier::load(from.clone(), message)) {
                Ok(()) => Ok(()),
                Err(error) => give_back(error),
            }
        } else {
            self.route_by_value::<I>(id, from, message)
        }
    }

    /// As [`deliver`](Self::deliver), for small messages: the delivery is made where it is taken, and moved once.
    #[inline]
    fn route_by_value<I: Endpoint>(&self, id: &[u8], from: &I::Peer, message: M) -> Result<(), RouteError<M>> {
        let location = self.location(id);
        let mut pending = Some(message);
        let outcome = self.registered(location, id, |_: &I, record, _| {
            // The parcel is full: a lookup runs its closure at most once.
            let delivery = pending.take().map(|message| Delivery { from: from.clone(), message });
            (delivery.map(|delivery| record.mailbox.try_send(delivery)), record.incarnation)
        });
        let (try_send_error, incarnation) = match (outcome, pending) {
            (Some((Some(Ok(())), _)), _) => {
                self.probe.event(location.shard, Event::Routed);
                return Ok(());
            }
            (Some((Some(Err(try_send_error)), incarnation)), _) => (try_send_error, incarnation),
            (None, Some(message)) => return Err(RouteError::NotFound(message)),
            (None | Some((None, _)), _) => unreachable!("a message leaves its parcel once, for the receiver's mailbox"),
        };
        let try_send_error = try_send_error.map(|delivery| delivery.message);
        Err(self.try_send_error::<I, M>(location, id, incarnation, try_send_error))
    }

    /// Delivers a message in place, counts what became of it, and takes out the dead.
    fn deliver<I: Endpoint, C: Carrier<I::Peer, M>>(&self, id: &[u8], carrier: C) -> Result<(), RouteError<C>> {
        let location = self.location(id);
        let mut pending = PendingDelivery::Waiting(carrier);
        self.registered(location, id, |_: &I, record, _| pending.deliver(record));
        match pending {
            PendingDelivery::Delivered => {
                self.probe.event(location.shard, Event::Routed);
                Ok(())
            }
            PendingDelivery::Waiting(carrier) => Err(RouteError::NotFound(carrier)),
            PendingDelivery::Back(try_send_error, incarnation) => {
                Err(self.try_send_error::<I, C>(location, id, incarnation, try_send_error))
            }
        }
    }

    /// Counts a message that could not be delivered, and takes its receiver out if it is dead.
    #[cold]
    pub(crate) fn try_send_error<I: Endpoint, C>(
        &self,
        location: Location,
        id: &[u8],
        incarnation: Incarnation,
        try_send_error: TrySendError<C>,
    ) -> RouteError<C> {
        match try_send_error {
            TrySendError::Full(carrier) => {
                self.probe.event(location.shard, Event::Full);
                RouteError::Full(carrier)
            }
            TrySendError::Closed(carrier) => {
                self.probe.event(location.shard, Event::Closed);
                self.evict::<I>(location, id, incarnation);
                RouteError::Closed(carrier)
            }
        }
    }
}
