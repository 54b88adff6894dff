//! Sending to the server that a transport is bound to: with two lookups, or with none for one who remembers the way.

use std::fmt;
use std::sync::Arc;

use registry_core::{
    AsId, Backend, BoundRouteError, Event, Incarnation, MailboxFamily, Probe, RouteError, ServerId, TransportId,
};

use crate::binding::group::Group;
use crate::binding::token::BindingToken;
use crate::mailbox::{Tokio, is_large};
use crate::registry::{Inner, Registry, RegistryId, ServerMailbox};
use crate::routing::delivery::{ByValue, Carrier, PendingDelivery, give_back};
use crate::seeded::SeededBug;
use crate::storage::table::Location;

/// A transport's way to the server that it is bound to, remembered from message to message.
///
/// Made by [`Registry::bound_route`] for one registration of a transport, and taken by [`try_send`](Self::try_send).
/// It does not keep its registry alive. Once it has been taken, it keeps a clone of the server's mailbox, until it is
/// taken again or dropped; so a server that ends should close its inbox, and not wait for all senders to go.
pub struct BoundRoute<M: Send + 'static, X: MailboxFamily = Tokio> {
    transport: TransportId,
    location: Location,
    incarnation: Incarnation,
    registry: RegistryId,
    cached: Option<CachedRoute<M, X>>,
}

/// Where a binding leads, and how to see whether it still does.
struct CachedRoute<M: Send + 'static, X: MailboxFamily> {
    mailbox: ServerMailbox<M, X>,
    server: Location,
    group: Arc<Group>,
    /// Which member of the group the ticket is for.
    transport: Incarnation,
    token: Arc<BindingToken>,
}

impl<M, B, X, P> Registry<M, B, X, P>
where
    M: Send + 'static,
    B: Backend,
    X: MailboxFamily,
    P: Probe,
{
    /// A route from a transport to the server that it is bound to, now or at any later time; `None` if there is no such
    /// transport.
    ///
    /// It is for this registration of the transport: for whoever has the name after it, it leads nowhere.
    /// One lookup. The first message finds the way.
    pub fn bound_route(&self, transport: impl AsId<TransportId>) -> Option<BoundRoute<M, X>> {
        let location = self.inner.location(transport.as_id());
        let (transport, incarnation) =
            self.inner
                .find_at(location, transport.as_id(), |id: &TransportId, record, _| (id.clone(), record.incarnation))?;
        Some(BoundRoute { transport, location, incarnation, registry: self.inner.id, cached: None })
    }

    /// Puts a message into the mailbox of the server that a transport is bound to, at once or not at all, in the name of
    /// the transport.
    ///
    /// Two lookups and the transport's own lock, as [`server_for_transport`](Self::server_for_transport) and
    /// [`route_to_server`](Self::route_to_server), but the server cannot have left its name to another one in between.
    /// For more than one message, see [`bound_route`](Self::bound_route).
    ///
    /// # Errors
    ///
    /// [`BoundRouteError`] with the message. A server whose mailbox is found closed is taken out of the registry.
    pub fn route_to_bound_server(
        &self,
        transport: impl AsId<TransportId>,
        message: M,
    ) -> Result<(), BoundRouteError<M>> {
        if const { is_large::<M>() } {
            self.inner.route_to_bound::<Box<_>>(transport.as_id(), message)
        } else {
            self.inner.route_to_bound::<ByValue<_, _>>(transport.as_id(), message)
        }
    }
}

impl<M: Send + 'static, X: MailboxFamily> BoundRoute<M, X> {
    /// Puts a message into the mailbox of the server that the route's transport is bound to, at once or not at all.
    ///
    /// While the binding is the one of the message before, this is no lookup: two loads of what changes with bindings
    /// only, and one `try_send`. Otherwise the way is found anew, by two lookups, to whichever server the transport is
    /// bound to by then.
    /// A call that starts after unbinding, moving, or the end of either registration has returned does not deliver to the
    /// old server, and none ever delivers to a successor under its name.
    ///
    /// Counted as a message in the server's shard, and as lookups only if there are some.
    /// Else as [`Registry::route_to_server`], to which messages of one thread stay in order.
    ///
    /// # Errors
    ///
    /// [`BoundRouteError`] with the message. A server whose mailbox is found closed is taken out of the registry. A route
    /// of another registry is one of a transport that is not registered.
    #[inline]
    pub fn try_send<B: Backend, P: Probe>(
        &mut self,
        registry: &Registry<M, B, X, P>,
        message: M,
    ) -> Result<(), BoundRouteError<M>> {
        if const { is_large::<M>() } {
            registry.inner.route_bound::<Box<_>>(self, message)
        } else {
            registry.inner.route_bound::<ByValue<_, _>>(self, message)
        }
    }

    /// The transport.
    pub fn transport(&self) -> &TransportId {
        &self.transport
    }

    /// Which registration of the transport it is for.
    pub fn incarnation(&self) -> Incarnation {
        self.incarnation
    }

    /// Whether the next message needs no lookup, if nothing changes: there was one before, and its binding holds.
    pub fn is_known(&self) -> bool {
        self.cached.as_ref().is_some_and(CachedRoute::holds)
    }
}

impl<M: Send + 'static, X: MailboxFamily> fmt::Debug for BoundRoute<M, X> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BoundRoute")
            .field("transport", &self.transport)
            .field("incarnation", &self.incarnation)
            .field("is_known", &self.is_known())
            .finish_non_exhaustive()
    }
}

impl<M: Send + 'static, X: MailboxFamily> Drop for CachedRoute<M, X> {
    fn drop(&mut self) {
        self.group.return_token(self.transport, &self.token);
    }
}

impl<M: Send + 'static, X: MailboxFamily> CachedRoute<M, X> {
    /// Whether the binding is still there: its transport has not left the group, and the group is open.
    #[inline]
    fn holds(&self) -> bool {
        (self.token.holds() && self.group.is_open()) || SeededBug::RememberedRouteAsksNobody.is_on()
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
    fn route_bound<C: Carrier<TransportId, M>>(
        &self,
        route: &mut BoundRoute<M, X>,
        message: M,
    ) -> Result<(), BoundRouteError<M>> {
        let carrier = C::load(route.transport.clone(), message);
        let outcome = match &route.cached {
            Some(way) if way.holds() && route.registry == self.id => self.go(way, carrier),
            _ => self.find_cached_route(route, carrier),
        };
        match outcome {
            Ok(()) => Ok(()),
            Err(error) => give_back(error),
        }
    }

    /// Delivers a message to where a way leads.
    #[inline]
    fn go<C: Carrier<TransportId, M>>(&self, way: &CachedRoute<M, X>, carrier: C) -> Result<(), BoundRouteError<C>> {
        match carrier.try_send(&way.mailbox) {
            Ok(()) => {
                self.probe.event(way.server.shard, Event::Routed);
                Ok(())
            }
            Err(try_send_error) => {
                let (id, leader) = (way.group.server().as_bytes(), way.group.leader());
                Err(as_bound(self.try_send_error::<ServerId, C>(way.server, id, leader, try_send_error)))
            }
        }
    }

    /// Finds a route's way anew, and delivers a message there.
    #[cold]
    #[inline(never)]
    fn find_cached_route<C: Carrier<TransportId, M>>(
        &self,
        route: &mut BoundRoute<M, X>,
        carrier: C,
    ) -> Result<(), BoundRouteError<C>> {
        // A mailbox that is not needed any more is dropped here, with no shard held.
        route.cached = None;
        // Incarnations count in each registry from one.
        if route.registry != self.id {
            return Err(BoundRouteError::TransportNotFound(carrier));
        }
        loop {
            let incarnation = route.incarnation;
            let bound = self.registered(route.location, route.transport.as_bytes(), |_: &TransportId, record, slot| {
                (record.incarnation == incarnation).then(|| slot.group_with_token(incarnation))
            });
            let (group, token) = match bound.flatten() {
                None => return Err(BoundRouteError::TransportNotFound(carrier)),
                Some(None) => return Err(BoundRouteError::NotBound(carrier)),
                Some(Some(found)) => found,
            };
            let server = self.location(group.server().as_bytes());
            let mailbox = self.registered(server, group.server().as_bytes(), |_: &ServerId, record, _| {
                (record.incarnation == group.leader()).then(|| record.mailbox.clone())
            });
            // If there is none, the server has ended meanwhile, and the binding with it: see what there is now.
            if let Some(mailbox) = mailbox.flatten() {
                let way = route.cached.insert(CachedRoute { mailbox, server, group, transport: incarnation, token });
                return self.go(way, carrier);
            }
        }
    }

    fn route_to_bound<C: Carrier<TransportId, M>>(
        &self,
        transport: &[u8],
        message: M,
    ) -> Result<(), BoundRouteError<M>> {
        let location = self.location(transport);
        let bound_to = || self.registered(location, transport, |id: &TransportId, _, slot| (id.clone(), slot.group()));
        let Some((from, group)) = bound_to() else {
            return transport_not_found(message);
        };
        match self.deliver_to_bound(C::load(from, message), group, || bound_to().map(|(_, group)| group)) {
            Ok(()) => Ok(()),
            Err(error) => give_back(error),
        }
    }

    /// Delivers a message to the server of a group; if it ends meanwhile, to that of the group that its sender is in by
    /// then.
    fn deliver_to_bound<C: Carrier<TransportId, M>>(
        &self,
        mut carrier: C,
        mut group: Option<Arc<Group>>,
        bound_to: impl Fn() -> Option<Option<Arc<Group>>>,
    ) -> Result<(), BoundRouteError<C>> {
        loop {
            let Some(bound) = group else {
                return Err(BoundRouteError::NotBound(carrier));
            };
            let (id, leader) = (bound.server().as_bytes(), bound.leader());
            let server = self.location(id);
            let mut pending = PendingDelivery::Waiting(carrier);
            self.registered(server, id, |_: &ServerId, record, _| {
                if record.incarnation == leader {
                    pending.deliver(record);
                }
            });
            match pending {
                PendingDelivery::Delivered => {
                    self.probe.event(server.shard, Event::Routed);
                    return Ok(());
                }
                PendingDelivery::Back(try_send_error, _) => {
                    return Err(as_bound(self.try_send_error::<ServerId, C>(server, id, leader, try_send_error)));
                }
                // The server has ended meanwhile, and the binding with it: see what there is now.
                PendingDelivery::Waiting(try_send_error) => carrier = try_send_error,
            }
            group = match bound_to() {
                Some(group) => group,
                None => return Err(BoundRouteError::TransportNotFound(carrier)),
            };
        }
    }
}

// Apart, because a message by value takes room on the stack of whatever handles it.
#[cold]
fn transport_not_found<M>(message: M) -> Result<(), BoundRouteError<M>> {
    Err(BoundRouteError::TransportNotFound(message))
}

/// The same in other words, about a server that was found.
fn as_bound<M>(error: RouteError<M>) -> BoundRouteError<M> {
    match error {
        RouteError::Full(message) => BoundRouteError::Full(message),
        RouteError::Closed(message) => BoundRouteError::Closed(message),
        RouteError::NotFound(message) => BoundRouteError::NotBound(message),
    }
}
