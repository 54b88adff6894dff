//! Sends to the server that a transport is bound to: with two lookups, or with none along a cached route.

use std::fmt;
use std::sync::Arc;

use registry_core::{
    AsId, Backend, BoundRouteError, Event, Incarnation, Mailbox, MailboxFamily, Probe, ServerId, TransportId,
};

use crate::binding::group::Group;
use crate::binding::token::BindingToken;
use crate::mailbox::{Tokio, is_large};
use crate::registry::{Inner, Registry, RegistryId, ServerMailbox};
use crate::routing::delivery::{ByValue, Carrier, PendingDelivery, fail};
use crate::storage::table::Location;
use crate::types::Types;

/// A route from a transport to the server that it is bound to, cached between messages.
///
/// Created by [`Registry::bound_route`] for one registration of a transport, and used with
/// [`try_send`](Self::try_send).
///
/// A route does not keep its registry alive. After the first message it holds a clone of the server's mailbox, until it
/// finds another server or is dropped. So a server that shuts down should close its inbox, and not wait until all sending
/// ends are gone.
pub struct BoundRoute<M: Send + 'static, X: MailboxFamily = Tokio> {
    transport: TransportId,
    location: Location,
    incarnation: Incarnation,
    registry: RegistryId,
    cached: Option<CachedRoute<M, X>>,
}

/// The server of a binding, and how to tell whether the binding still holds.
struct CachedRoute<M: Send + 'static, X: MailboxFamily> {
    mailbox: ServerMailbox<M, X>,
    server: Location,
    group: Arc<Group>,
    /// The member of the group that the token belongs to.
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
    /// Returns a route from a transport to the server that it is bound to, now or later; `None` if the transport is not
    /// registered.
    ///
    /// The route belongs to this registration of the transport: it never routes for a later registration of the same id.
    ///
    /// # Cost
    ///
    /// One lookup. The server is looked up by the first message.
    ///
    /// # Examples
    ///
    /// ```
    /// # use registry_router::{Registry, mailbox};
    /// let registry: Registry<&str> = Registry::builder().build()?;
    /// let (to_server, mut inbox) = mailbox(16);
    /// let _server = registry.register_server("echo", to_server, ())?;
    /// let (to_transport, _replies) = mailbox(16);
    /// let _transport = registry.register_transport_bound_to("conn-1", to_transport, (), "echo")?;
    ///
    /// let mut route = registry.bound_route("conn-1").ok_or("not registered")?;
    /// route.try_send(&registry, "hello")?;
    /// assert_eq!(inbox.try_recv()?.message, "hello");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn bound_route(&self, transport: impl AsId<TransportId>) -> Option<BoundRoute<M, X>> {
        let location = self.inner.location(transport.as_id());
        let (transport, incarnation) =
            self.inner
                .find_at(location, transport.as_id(), |id: &TransportId, record, _| (id.clone(), record.incarnation))?;
        Some(BoundRoute { transport, location, incarnation, registry: self.inner.id, cached: None })
    }

    /// Sends a message to the server that a transport is bound to, without waiting. The transport is the sender.
    ///
    /// Unlike [`server_for_transport`](Self::server_for_transport) followed by
    /// [`route_to_server`](Self::route_to_server), this never delivers to a later registration of the server's id.
    /// To send more than one message, use [`bound_route`](Self::bound_route).
    ///
    /// # Errors
    ///
    /// Returns a [`BoundRouteError`] with the message. A server whose mailbox is found closed is removed from the registry.
    ///
    /// # Cost
    ///
    /// Two lookups and the transport's own lock.
    ///
    /// # Examples
    ///
    /// ```
    /// # use registry_router::{BoundRouteError, Registry, mailbox};
    /// let registry: Registry<&str> = Registry::builder().build()?;
    /// let (to_server, mut inbox) = mailbox(16);
    /// let _server = registry.register_server("echo", to_server, ())?;
    /// let (to_transport, _replies) = mailbox(16);
    /// let _transport = registry.register_transport_bound_to("conn-1", to_transport, (), "echo")?;
    ///
    /// registry.route_to_bound_server("conn-1", "hello")?;
    /// assert_eq!(inbox.try_recv()?.message, "hello");
    /// registry.unbind_transport("conn-1");
    /// assert_eq!(registry.route_to_bound_server("conn-1", "again"), Err(BoundRouteError::NotBound("again")));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
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
    /// Sends a message to the server that the route's transport is bound to, without waiting.
    ///
    /// A call that starts after unbinding, moving, or the end of either registration has returned does not deliver to the
    /// former server, and no call ever delivers to a later registration of that server's id.
    /// Messages of one thread stay in order, also with those sent by [`Registry::route_to_server`].
    /// The message is counted in the server's shard; lookups are counted only if there are any.
    ///
    /// # Errors
    ///
    /// Returns a [`BoundRouteError`] with the message. A server whose mailbox is found closed is removed from the registry.
    /// If the route belongs to another registry, the error is [`BoundRouteError::TransportNotFound`].
    ///
    /// # Cost
    ///
    /// While the binding is the same as for the previous message: no lookup, two loads of words that only change with
    /// bindings, and one `try_send`. Otherwise two lookups, which find the server that the transport is bound to by then.
    ///
    /// # Examples
    ///
    /// ```
    /// # use registry_router::{Registry, mailbox};
    /// # let registry: Registry<&str> = Registry::builder().build()?;
    /// # let (to_server, mut inbox) = mailbox(16);
    /// # let _server = registry.register_server("echo", to_server, ())?;
    /// # let (to_transport, _replies) = mailbox(16);
    /// let _transport = registry.register_transport_bound_to("conn-1", to_transport, (), "echo")?;
    /// let mut route = registry.bound_route("conn-1").ok_or("not registered")?;
    /// for message in ["one", "two"] {
    ///     route.try_send(&registry, message)?;
    /// }
    /// assert_eq!([inbox.try_recv()?.message, inbox.try_recv()?.message], ["one", "two"]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
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

    /// Returns the id of the transport.
    ///
    /// # Examples
    ///
    /// ```
    /// # use registry_router::{Registry, mailbox};
    /// # let registry: Registry<&str> = Registry::builder().build()?;
    /// # let (to_transport, _replies) = mailbox(16);
    /// let _transport = registry.register_transport("conn-1", to_transport, ())?;
    /// let route = registry.bound_route("conn-1").ok_or("not registered")?;
    /// assert_eq!(route.transport(), "conn-1");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn transport(&self) -> &TransportId {
        &self.transport
    }

    /// Returns the incarnation of the transport's registration that the route belongs to.
    ///
    /// # Examples
    ///
    /// ```
    /// # use registry_router::{Registry, mailbox};
    /// # let registry: Registry<&str> = Registry::builder().build()?;
    /// # let (to_transport, _replies) = mailbox(16);
    /// let transport = registry.register_transport("conn-1", to_transport, ())?;
    /// let route = registry.bound_route("conn-1").ok_or("not registered")?;
    /// assert_eq!(route.incarnation(), transport.incarnation());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn incarnation(&self) -> Incarnation {
        self.incarnation
    }

    /// Returns whether the next message needs no lookup, if nothing changes: an earlier message has cached the server, and
    /// the binding still holds.
    ///
    /// # Examples
    ///
    /// ```
    /// # use registry_router::{Registry, mailbox};
    /// # let registry: Registry<&str> = Registry::builder().build()?;
    /// # let (to_server, _inbox) = mailbox(16);
    /// # let _server = registry.register_server("echo", to_server, ())?;
    /// # let (to_transport, _replies) = mailbox(16);
    /// let _transport = registry.register_transport_bound_to("conn-1", to_transport, (), "echo")?;
    /// let mut route = registry.bound_route("conn-1").ok_or("not registered")?;
    /// assert!(!route.is_known());
    /// route.try_send(&registry, "hello")?;
    /// assert!(route.is_known());
    /// registry.unbind_transport("conn-1");
    /// assert!(!route.is_known());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
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
    /// Returns whether the binding still holds: its transport has not left the group, and the group is open.
    #[inline]
    fn holds(&self) -> bool {
        self.token.holds() && self.group.is_open()
    }
}

impl<T: Types> Inner<T> {
    #[inline]
    fn route_bound<C: Carrier<TransportId, T::Message>>(
        &self,
        route: &mut BoundRoute<T::Message, T::Mailboxes>,
        message: T::Message,
    ) -> Result<(), BoundRouteError<T::Message>> {
        let carrier = C::load(route.transport.clone(), message);
        let outcome = match &route.cached {
            Some(cached) if cached.holds() && route.registry == self.id => self.deliver_cached(cached, carrier),
            _ => self.find_cached_route(route, carrier),
        };
        match outcome {
            Ok(()) => Ok(()),
            Err(error) => fail(error),
        }
    }

    /// Delivers a message to the server of a cached route.
    #[inline]
    fn deliver_cached<C: Carrier<TransportId, T::Message>>(
        &self,
        cached: &CachedRoute<T::Message, T::Mailboxes>,
        carrier: C,
    ) -> Result<(), BoundRouteError<C>> {
        match carrier.try_send(&cached.mailbox) {
            Ok(()) => {
                self.probe.event(cached.server.shard, Event::Routed);
                Ok(())
            }
            Err(error) => {
                let (id, leader) = (cached.group.server().as_bytes(), cached.group.leader());
                Err(BoundRouteError::from(self.on_undelivered::<ServerId, C>(cached.server, id, leader, error)))
            }
        }
    }

    /// Looks up the server of a route, caches it, and delivers a message to it.
    #[cold]
    #[inline(never)]
    fn find_cached_route<C: Carrier<TransportId, T::Message>>(
        &self,
        route: &mut BoundRoute<T::Message, T::Mailboxes>,
        carrier: C,
    ) -> Result<(), BoundRouteError<C>> {
        // Drops the former mailbox while no shard is held.
        route.cached = None;
        // Each registry counts its incarnations from one, so they do not tell registries apart.
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
            // If there is none, the server and with it the binding have ended meanwhile: look the binding up again.
            if let Some(mut mailbox) = mailbox.flatten() {
                mailbox.make_weak();
                let cached = route.cached.insert(CachedRoute { mailbox, server, group, transport: incarnation, token });
                return self.deliver_cached(cached, carrier);
            }
        }
    }

    fn route_to_bound<C: Carrier<TransportId, T::Message>>(
        &self,
        transport: &[u8],
        message: T::Message,
    ) -> Result<(), BoundRouteError<T::Message>> {
        let location = self.location(transport);
        let bound_to = || self.registered(location, transport, |id: &TransportId, _, slot| (id.clone(), slot.group()));
        let Some((from, group)) = bound_to() else {
            return transport_not_found(message);
        };
        match self.deliver_to_bound(C::load(from, message), group, || bound_to().map(|(_, group)| group)) {
            Ok(()) => Ok(()),
            Err(error) => fail(error),
        }
    }

    /// Delivers a message to the server of a group. If that server ends meanwhile, continues with the group that the
    /// transport is in by then.
    fn deliver_to_bound<C: Carrier<TransportId, T::Message>>(
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
            let mut pending = PendingDelivery::Untried(carrier);
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
                PendingDelivery::Returned(error, _) => {
                    return Err(BoundRouteError::from(self.on_undelivered::<ServerId, C>(server, id, leader, error)));
                }
                // The server and with it the binding have ended meanwhile: look the binding up again.
                PendingDelivery::Untried(untried) => carrier = untried,
            }
            group = match bound_to() {
                Some(group) => group,
                None => return Err(BoundRouteError::TransportNotFound(carrier)),
            };
        }
    }
}

// A function of its own: a message by value takes up the stack of every function that handles it.
#[cold]
fn transport_not_found<M>(message: M) -> Result<(), BoundRouteError<M>> {
    Err(BoundRouteError::TransportNotFound(message))
}
