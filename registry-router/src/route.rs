//! Delivering a message to one, or to all transports of a server; what is not delivered comes back.

use std::sync::Arc;

use registry_core::{
    AT_ONCE, Backend, BroadcastReport, Delivery, Event, Incarnation, Mailbox, Mailboxes, Probe, RouteError, ServerId,
    TransportId, Undelivered,
};

use crate::bulk::{approach, no_parcels};
use crate::carrier::{ByValue, Carrier, Parcel, give_back};
use crate::group::Group;
use crate::mailbox::is_large;
use crate::registry::{Inner, Registry};
use crate::side::Side;
use crate::table::{Asked, Place};

impl<M, B, X, P> Registry<M, B, X, P>
where
    M: Send + 'static,
    B: Backend,
    X: Mailboxes,
    P: Probe,
{
    /// Puts a message into the mailbox of a server, at once or not at all.
    ///
    /// `Ok` means that the message is in the mailbox, once, behind those that the same thread sent there before.
    /// `from` is what the server is told; that it is registered or bound is not checked.
    /// One look-up and one `try_deliver`, in place.
    ///
    /// # Errors
    ///
    /// [`RouteError`] with the message. A server whose mailbox is found closed is taken out of the registry.
    #[inline]
    pub fn route_to_server(
        &self,
        server: impl AsRef<[u8]>,
        from: &TransportId,
        message: M,
    ) -> Result<(), RouteError<M>> {
        self.inner.route::<ServerId>(server.as_ref(), from, message)
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
        transport: impl AsRef<[u8]>,
        from: &ServerId,
        message: M,
    ) -> Result<(), RouteError<M>> {
        self.inner.route::<TransportId>(transport.as_ref(), from, message)
    }

    /// Puts a copy of a message into the mailbox of every transport that is bound to `server`, and reports.
    ///
    /// O(transports of the server). Each is tried once, at once: a full mailbox delays nobody and is reported.
    /// A transport that is bound throughout the call is tried, one that is not bound when its turn comes is not; so when
    /// unbinding or moving a transport has returned, no broadcast of its old server reaches it any more.
    /// Transports whose mailbox is found closed are taken out of the registry.
    pub fn broadcast(&self, server: impl AsRef<[u8]>, message: M) -> BroadcastReport
    where
        M: Clone,
    {
        if const { is_large::<M>() } {
            self.inner.broadcast::<Box<_>>(server.as_ref(), message)
        } else {
            self.inner.broadcast::<ByValue<_, _>>(server.as_ref(), message)
        }
    }
}

impl<M, B, X, P> Inner<M, B, X, P>
where
    M: Send + 'static,
    B: Backend,
    X: Mailboxes,
    P: Probe,
{
    fn broadcast<C: Carrier<ServerId, M>>(&self, server: &[u8], message: M) -> BroadcastReport
    where
        M: Clone,
    {
        let mut report = BroadcastReport::default();
        let found = self.find(server, |id: &ServerId, _, bond| (id.clone(), bond.group()));
        let Some((server, group)) = found else {
            return report;
        };
        report.server = Some(server.clone());
        let Some(group) = group else {
            return report;
        };
        for piece in group.members() {
            for members in piece.chunks(AT_ONCE) {
                self.broadcast_to::<C>(&server, &group, members, &message, &mut report);
            }
        }
        report
    }

    /// Broadcasts to at most [`AT_ONCE`] members of a group.
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
        let mut parcels = no_parcels();
        for parcel in &mut parcels[..members.len()] {
            *parcel = Parcel::Waiting(C::load(server.clone(), message.clone()));
        }
        let (asked, length) = self.ask(members.iter().map(|(_, id)| id.as_bytes()));
        self.transports.peek_each(&asked[..length], |first, run| {
            approach::<TransportId, M, X>(run);
            for ((seen, parcel), (incarnation, _)) in run.iter().zip(&mut parcels[first..]).zip(&members[first..]) {
                if let Some((_, head, bond)) = seen
                    && head.incarnation == *incarnation
                {
                    bond.while_in(group, || parcel.deliver(head));
                }
            }
        });
        for ((parcel, (_, id)), Asked { place, .. }) in parcels.into_iter().zip(members).zip(asked) {
            match parcel {
                Parcel::Waiting(_) => {}
                Parcel::Delivered => {
                    self.probe.event(place.shard, Event::Routed);
                    report.delivered += 1;
                }
                Parcel::Back(Undelivered::Full(_), _) => {
                    self.probe.event(place.shard, Event::Full);
                    report.full.push(id.clone());
                }
                Parcel::Back(Undelivered::Closed(_), incarnation) => {
                    self.probe.event(place.shard, Event::Closed);
                    self.evict::<TransportId>(place, id.as_bytes(), incarnation);
                    report.closed.push(id.clone());
                }
            }
        }
    }

    #[inline]
    fn route<I: Side>(&self, id: &[u8], from: &I::Peer, message: M) -> Result<(), RouteError<M>> {
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
    fn route_by_value<I: Side>(&self, id: &[u8], from: &I::Peer, message: M) -> Result<(), RouteError<M>> {
        let place = self.place(id);
        let mut parcel = Some(message);
        let outcome = self.registered(place, id, |_: &I, head, _| {
            // The parcel is full: a look-up runs its closure at most once.
            let delivery = parcel.take().map(|message| Delivery { from: from.clone(), message });
            (delivery.map(|delivery| head.mailbox.try_deliver(delivery)), head.incarnation)
        });
        let (undelivered, incarnation) = match (outcome, parcel) {
            (Some((Some(Ok(())), _)), _) => {
                self.probe.event(place.shard, Event::Routed);
                return Ok(());
            }
            (Some((Some(Err(undelivered)), incarnation)), _) => (undelivered, incarnation),
            (None, Some(message)) => return Err(RouteError::NotFound(message)),
            (None | Some((None, _)), _) => unreachable!("a message leaves its parcel once, for the receiver's mailbox"),
        };
        let undelivered = undelivered.map(|delivery| delivery.message);
        Err(self.undelivered::<I, M>(place, id, incarnation, undelivered))
    }

    /// Delivers a message in place, counts what became of it, and takes out the dead.
    fn deliver<I: Side, C: Carrier<I::Peer, M>>(&self, id: &[u8], carrier: C) -> Result<(), RouteError<C>> {
        let place = self.place(id);
        let mut parcel = Parcel::Waiting(carrier);
        self.registered(place, id, |_: &I, head, _| parcel.deliver(head));
        match parcel {
            Parcel::Delivered => {
                self.probe.event(place.shard, Event::Routed);
                Ok(())
            }
            Parcel::Waiting(carrier) => Err(RouteError::NotFound(carrier)),
            Parcel::Back(undelivered, incarnation) => {
                Err(self.undelivered::<I, C>(place, id, incarnation, undelivered))
            }
        }
    }

    /// Counts a message that could not be delivered, and takes its receiver out if it is dead.
    #[cold]
    pub(crate) fn undelivered<I: Side, C>(
        &self,
        place: Place,
        id: &[u8],
        incarnation: Incarnation,
        undelivered: Undelivered<C>,
    ) -> RouteError<C> {
        match undelivered {
            Undelivered::Full(carrier) => {
                self.probe.event(place.shard, Event::Full);
                RouteError::Full(carrier)
            }
            Undelivered::Closed(carrier) => {
                self.probe.event(place.shard, Event::Closed);
                self.evict::<I>(place, id, incarnation);
                RouteError::Closed(carrier)
            }
        }
    }
}
