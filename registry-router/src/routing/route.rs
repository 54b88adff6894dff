//! Sends without waiting: to one server or transport, and to all transports of a server.

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
use crate::routing::delivery::{ByValue, Carrier, PendingDelivery, fail};
use crate::storage::{batch::LocatedId, table::Location};
use crate::types::Types;

impl<M, B, X, P> Registry<M, B, X, P>
where
    M: Send + 'static,
    B: Backend,
    X: MailboxFamily,
    P: Probe,
{
    /// Sends a message to a server without waiting.
    ///
    /// `Ok` means that the message is in the server's mailbox, once, behind those that the same thread has sent there
    /// before. The server receives `from` as the sender; it is not checked whether `from` is registered or bound.
    ///
    /// # Errors
    ///
    /// Returns a [`RouteError`] with the message. A server whose mailbox is found closed is removed from the registry.
    ///
    /// # Cost
    ///
    /// One lookup and one `try_send`, in place.
    ///
    /// # Examples
    ///
    /// ```
    /// # use registry_router::{Registry, RouteError, TransportId, mailbox};
    /// let registry: Registry<&str> = Registry::builder().build()?;
    /// let (mailbox, mut inbox) = mailbox(1);
    /// let _lease = registry.register_server("echo", mailbox, ())?;
    ///
    /// let from = TransportId::new("conn-1")?;
    /// registry.route_to_server("echo", &from, "hello")?;
    /// assert_eq!(registry.route_to_server("echo", &from, "again"), Err(RouteError::Full("again")));
    /// assert_eq!(inbox.try_recv()?.message, "hello");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[inline]
    pub fn route_to_server(
        &self,
        server: impl AsId<ServerId>,
        from: &TransportId,
        message: M,
    ) -> Result<(), RouteError<M>> {
        self.inner.route::<ServerId>(server.as_id(), from, message)
    }

    /// Sends a message to a transport without waiting; the counterpart of [`route_to_server`](Self::route_to_server).
    ///
    /// # Errors
    ///
    /// Returns a [`RouteError`] with the message. A transport whose mailbox is found closed is removed from the registry.
    ///
    /// # Examples
    ///
    /// ```
    /// # use registry_router::{Registry, ServerId, mailbox};
    /// let registry: Registry<&str> = Registry::builder().build()?;
    /// let (mailbox, mut inbox) = mailbox(1);
    /// let _lease = registry.register_transport("conn-1", mailbox, ())?;
    ///
    /// registry.route_to_transport("conn-1", &ServerId::new("echo")?, "reply")?;
    /// assert_eq!(inbox.try_recv()?.message, "reply");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[inline]
    pub fn route_to_transport(
        &self,
        transport: impl AsId<TransportId>,
        from: &ServerId,
        message: M,
    ) -> Result<(), RouteError<M>> {
        self.inner.route::<TransportId>(transport.as_id(), from, message)
    }

    /// Sends a clone of a message to every transport that is bound to `server`, without waiting.
    ///
    /// Each transport is tried once; a full mailbox delays no other transport and is reported.
    /// A transport that is bound for the whole call is tried, one that is not bound when its turn comes is not. So once
    /// unbinding or moving a transport has returned, no broadcast of its former server reaches it.
    /// Transports whose mailbox is found closed are removed from the registry.
    ///
    /// # Cost
    ///
    /// O(transports of the server).
    ///
    /// # Examples
    ///
    /// ```
    /// # use registry_router::{Registry, mailbox};
    /// let registry: Registry<&str> = Registry::builder().build()?;
    /// let (to_server, _inbox) = mailbox(16);
    /// let _server = registry.register_server("news", to_server, ())?;
    /// let (to_transport, mut replies) = mailbox(16);
    /// let _transport = registry.register_transport_bound_to("conn-1", to_transport, (), "news")?;
    ///
    /// let report = registry.broadcast("news", "hello");
    /// assert_eq!(report.delivered, 1);
    /// assert_eq!(replies.try_recv()?.message, "hello");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn broadcast(&self, server: impl AsId<ServerId>, message: M) -> BroadcastReport
    where
        M: Clone,
    {
        self.broadcast_if(server, message, |_| true)
    }

    /// Sends a clone of a message to every transport that is bound to `server` and that `filter` returns `true` for,
    /// without waiting.
    ///
    /// For all others as [`broadcast`](Self::broadcast): those that the filter rejects are not in the report. The filter is
    /// called once for each transport, with nothing locked, so it may use the registry.
    ///
    /// # Cost
    ///
    /// O(transports of the server).
    ///
    /// # Examples
    ///
    /// To all but the sender:
    ///
    /// ```
    /// # use registry_router::{Registry, mailbox};
    /// let registry: Registry<&str> = Registry::builder().build()?;
    /// let (to_server, _inbox) = mailbox(16);
    /// let _room = registry.register_server("room", to_server, ())?;
    /// let (to_anna, mut anna) = mailbox(16);
    /// let (to_bert, mut bert) = mailbox(16);
    /// let _anna = registry.register_transport_bound_to("anna", to_anna, (), "room")?;
    /// let _bert = registry.register_transport_bound_to("bert", to_bert, (), "room")?;
    ///
    /// let report = registry.broadcast_if("room", "hello", |transport| transport != "anna");
    /// assert_eq!(report.attempted(), 1);
    /// assert!(anna.try_recv().is_err());
    /// assert_eq!(bert.try_recv()?.message, "hello");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn broadcast_if(
        &self,
        server: impl AsId<ServerId>,
        message: M,
        filter: impl FnMut(&TransportId) -> bool,
    ) -> BroadcastReport
    where
        M: Clone,
    {
        if const { is_large::<M>() } {
            self.inner.broadcast::<Box<_>>(server.as_id(), message, filter)
        } else {
            self.inner.broadcast::<ByValue<_, _>>(server.as_id(), message, filter)
        }
    }
}

impl<T: Types> Inner<T> {
    fn broadcast<C: Carrier<ServerId, T::Message>>(
        &self,
        server: &[u8],
        message: T::Message,
        mut filter: impl FnMut(&TransportId) -> bool,
    ) -> BroadcastReport
    where
        T::Message: Clone,
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
        for mut segment in group.members() {
            segment.retain(|(_, transport)| filter(transport));
            for members in segment.chunks(MAX_BATCH) {
                self.broadcast_to::<C>(&server, &group, members, &message, &mut report);
            }
        }
        report
    }

    /// Broadcasts to at most [`MAX_BATCH`] members of a group.
    fn broadcast_to<C: Carrier<ServerId, T::Message>>(
        &self,
        server: &ServerId,
        group: &Arc<Group>,
        members: &[(Incarnation, TransportId)],
        message: &T::Message,
        report: &mut BroadcastReport,
    ) where
        T::Message: Clone,
    {
        // Cloned, and dropped if not needed, while no shard is held: both run user code.
        let mut pending = no_deliveries();
        for pending in &mut pending[..members.len()] {
            *pending = PendingDelivery::Untried(C::load(server.clone(), message.clone()));
        }
        let (located, length) = self.locate_batch(members.iter().map(|(_, id)| id.as_bytes()));
        self.transports.peek_each(&located[..length], |first, batch| {
            prefetch::<TransportId, T>(batch);
            for ((parts, pending), (incarnation, _)) in batch.iter().zip(&mut pending[first..]).zip(&members[first..]) {
                if let Some((_, record, slot)) = parts
                    && record.incarnation == *incarnation
                {
                    slot.while_in(group, || pending.deliver(record));
                }
            }
        });
        for ((pending, (_, id)), LocatedId { location, .. }) in pending.into_iter().zip(members).zip(located) {
            match pending {
                PendingDelivery::Untried(_) => {}
                PendingDelivery::Delivered => {
                    self.probe.event(location.shard, Event::Routed);
                    report.delivered += 1;
                }
                PendingDelivery::Returned(TrySendError::Full(_), _) => {
                    self.probe.event(location.shard, Event::Full);
                    report.full.push(id.clone());
                }
                PendingDelivery::Returned(TrySendError::Closed(_), incarnation) => {
                    self.probe.event(location.shard, Event::Closed);
                    self.evict::<TransportId>(location, id.as_bytes(), incarnation);
                    report.closed.push(id.clone());
                }
            }
        }
    }

    #[inline]
    pub(crate) fn route<I: Endpoint>(
        &self,
        id: &[u8],
        from: &I::Peer,
        message: T::Message,
    ) -> Result<(), RouteError<T::Message>> {
        if const { is_large::<T::Message>() } {
            match self.deliver::<I, Box<_>>(id, Carrier::load(from.clone(), message)) {
                Ok(()) => Ok(()),
                Err(error) => fail(error),
            }
        } else {
            self.route_by_value::<I>(id, from, message)
        }
    }

    /// Like [`deliver`](Self::deliver), for small messages: builds the delivery at the mailbox, so that it is moved once.
    #[inline]
    fn route_by_value<I: Endpoint>(
        &self,
        id: &[u8],
        from: &I::Peer,
        message: T::Message,
    ) -> Result<(), RouteError<T::Message>> {
        let location = self.location(id);
        let mut pending = Some(message);
        let outcome = self.registered(location, id, |_: &I, record, _| {
            // Always `Some`: a lookup calls its closure at most once.
            let delivery = pending.take().map(|message| Delivery { from: from.clone(), message });
            (delivery.map(|delivery| record.mailbox.try_send(delivery)), record.incarnation)
        });
        let (error, incarnation) = match (outcome, pending) {
            (Some((Some(Ok(())), _)), _) => {
                self.probe.event(location.shard, Event::Routed);
                return Ok(());
            }
            (Some((Some(Err(error)), incarnation)), _) => (error, incarnation),
            (None, Some(message)) => return Err(RouteError::NotFound(message)),
            (None | Some((None, _)), _) => unreachable!("the message is taken once, by the lookup's closure"),
        };
        let error = error.map(|delivery| delivery.message);
        Err(self.on_undelivered::<I, T::Message>(location, id, incarnation, error))
    }

    /// Delivers a message in place, counts the outcome, and removes the receiver if it is dead.
    pub(crate) fn deliver<I: Endpoint, C: Carrier<I::Peer, T::Message>>(
        &self,
        id: &[u8],
        carrier: C,
    ) -> Result<(), RouteError<C>> {
        let location = self.location(id);
        let mut pending = PendingDelivery::Untried(carrier);
        self.registered(location, id, |_: &I, record, _| pending.deliver(record));
        match pending {
            PendingDelivery::Delivered => {
                self.probe.event(location.shard, Event::Routed);
                Ok(())
            }
            PendingDelivery::Untried(carrier) => Err(RouteError::NotFound(carrier)),
            PendingDelivery::Returned(error, incarnation) => {
                Err(self.on_undelivered::<I, C>(location, id, incarnation, error))
            }
        }
    }

    /// Counts an undelivered message, and removes its receiver if it is dead.
    #[cold]
    pub(crate) fn on_undelivered<I: Endpoint, C>(
        &self,
        location: Location,
        id: &[u8],
        incarnation: Incarnation,
        error: TrySendError<C>,
    ) -> RouteError<C> {
        match error {
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
