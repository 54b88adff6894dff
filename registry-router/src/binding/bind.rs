//! Binding transports to servers, and reading the bindings from both ends.

use std::sync::Arc;

use registry_core::{AsId, Backend, BindError, Event, Incarnation, MailboxFamily, Probe, ServerId, TransportId};

use crate::binding::group::Group;
use crate::binding::slot::Joined;
use crate::endpoint::is_dead;
use crate::registry::{Inner, Registry};
use crate::storage::table::Location;
use crate::types::{Types, TypesOf};

impl<M, B, X, P> Registry<M, B, X, P>
where
    M: Send + 'static,
    B: Backend,
    X: MailboxFamily,
    P: Probe,
{
    /// Binds a transport to a server.
    ///
    /// A transport that is bound to another server is moved: from one instant to the next it is bound to the new one.
    /// Binding it again to the same server has no effect.
    /// The binding ends when the transport is unbound or moved, or when either registration ends. A later registration
    /// of the same id does not inherit it.
    ///
    /// If the server has reached its limit of transports, dead registrations are removed first, except inside a closure
    /// that reads the registry.
    ///
    /// # Errors
    ///
    /// Returns a [`BindError`] if one of the two is not registered, or if the server has reached its limit of
    /// transports. The previous binding of the transport is kept.
    ///
    /// # Examples
    ///
    /// ```
    /// use registry_router::{Registry, mailbox};
    ///
    /// let registry = Registry::<String>::builder().build()?;
    /// let (to_server, _inbox) = mailbox(16);
    /// let (to_transport, _replies) = mailbox(16);
    /// let _server = registry.register_server("tools", to_server, ())?;
    /// let _transport = registry.register_transport("conn-1", to_transport, ())?;
    ///
    /// registry.bind_transport_to_server("conn-1", "tools")?;
    /// assert_eq!(registry.server_for_transport("conn-1").as_deref(), Some("tools"));
    /// assert!(registry.bind_transport_to_server("conn-1", "absent").is_err());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn bind_transport_to_server(
        &self,
        transport: impl AsId<TransportId>,
        server: impl AsId<ServerId>,
    ) -> Result<(), BindError> {
        let (transport, server) = (transport.as_id(), server.as_id());
        let location = self.inner.location(transport);
        let bind = || self.bind(location, transport, server);
        self.inner.with_eviction::<TransportId, _, _>(location, transport, bind)
    }

    /// Unbinds a transport, and returns whether it was bound.
    ///
    /// # Examples
    ///
    /// ```
    /// use registry_router::{Registry, mailbox};
    ///
    /// let registry = Registry::<String>::builder().build()?;
    /// let (to_server, _inbox) = mailbox(16);
    /// let (to_transport, _replies) = mailbox(16);
    /// let _server = registry.register_server("tools", to_server, ())?;
    /// let _transport = registry.register_transport("conn-1", to_transport, ())?;
    ///
    /// registry.bind_transport_to_server("conn-1", "tools")?;
    /// assert!(registry.unbind_transport("conn-1"));
    /// assert!(!registry.unbind_transport("conn-1"));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn unbind_transport(&self, transport: impl AsId<TransportId>) -> bool {
        let transport = transport.as_id();
        let location = self.inner.location(transport);
        let unbound = self
            .inner
            .registered(location, transport, |_: &TransportId, record, slot| slot.leave(record.incarnation))
            .unwrap_or(false);
        if unbound {
            self.inner.probe.event(location.shard, Event::Unbound);
        }
        unbound
    }

    /// Returns the server that a transport is bound to, or `None` if it is not bound or not registered.
    ///
    /// A binding lasts as long as both registrations, so the returned server may be dead; sending a message to it tells.
    ///
    /// # Cost
    ///
    /// One lookup and the transport's own lock, which is shared only with binding and unbinding of that transport.
    ///
    /// # Examples
    ///
    /// ```
    /// use registry_router::{Registry, mailbox};
    ///
    /// let registry = Registry::<String>::builder().build()?;
    /// let (to_server, _inbox) = mailbox(16);
    /// let (to_transport, _replies) = mailbox(16);
    /// let _server = registry.register_server("tools", to_server, ())?;
    /// let _transport = registry.register_transport("conn-1", to_transport, ())?;
    ///
    /// assert_eq!(registry.server_for_transport("conn-1"), None);
    /// registry.bind_transport_to_server("conn-1", "tools")?;
    /// assert_eq!(registry.server_for_transport("conn-1").as_deref(), Some("tools"));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn server_for_transport(&self, transport: impl AsId<TransportId>) -> Option<ServerId> {
        let group = self.inner.find(transport.as_id(), |_: &TransportId, _, slot| slot.group()).flatten()?;
        Some(group.server().clone())
    }

    /// Returns the transports that are bound to a server, in no particular order. Empty if the server is not found.
    ///
    /// A transport that is bound throughout the call is listed; one that is not bound at any time during it is not.
    ///
    /// # Cost
    ///
    /// O(transports of the server), with one lookup for each.
    ///
    /// # Examples
    ///
    /// ```
    /// use registry_router::{Registry, mailbox};
    ///
    /// let registry = Registry::<String>::builder().build()?;
    /// let (to_server, _inbox) = mailbox(16);
    /// let (to_transport, _replies) = mailbox(16);
    /// let _server = registry.register_server("tools", to_server, ())?;
    /// let _transport = registry.register_transport("conn-1", to_transport, ())?;
    ///
    /// registry.bind_transport_to_server("conn-1", "tools")?;
    /// let bound = registry.transports_of("tools");
    /// assert_eq!((bound.len(), bound[0].as_str()), (1, "conn-1"));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn transports_of(&self, server: impl AsId<ServerId>) -> Vec<TransportId> {
        let Some(group) = self.inner.find(server.as_id(), |_: &ServerId, _, slot| slot.group()).flatten() else {
            return Vec::new();
        };
        let bound = |(incarnation, id): &(Incarnation, TransportId)| {
            let location = self.inner.location(id.as_bytes());
            let bound = self.inner.transports.peek(location, id.as_bytes(), |_, record, slot| {
                record.incarnation == *incarnation
                    && slot.is_in(&group)
                    && !is_dead::<TransportId, TypesOf<M, B, X, P>>(record)
            });
            bound.unwrap_or(false)
        };
        group.members().flatten().filter(bound).map(|(_, id)| id).collect()
    }

    /// Returns the number of transports that are bound to a server, including dead ones. One lookup, whatever the number.
    ///
    /// Zero if the server is not found.
    ///
    /// # Examples
    ///
    /// ```
    /// use registry_router::{Registry, mailbox};
    ///
    /// let registry = Registry::<String>::builder().build()?;
    /// let (to_server, _inbox) = mailbox(16);
    /// let (to_transport, _replies) = mailbox(16);
    /// let _server = registry.register_server("tools", to_server, ())?;
    /// let _transport = registry.register_transport_bound_to("conn-1", to_transport, (), "tools")?;
    ///
    /// assert_eq!(registry.transport_count_of("tools"), 1);
    /// assert_eq!(registry.transport_count_of("absent"), 0);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn transport_count_of(&self, server: impl AsId<ServerId>) -> usize {
        let group = self.inner.find(server.as_id(), |_: &ServerId, _, slot| slot.group()).flatten();
        group.map_or(0, |group| group.len())
    }

    /// Returns the number of bindings, including those of dead registrations. O(shards).
    ///
    /// Exact if no write runs at the same time.
    ///
    /// # Examples
    ///
    /// ```
    /// use registry_router::{Registry, mailbox};
    ///
    /// let registry = Registry::<String>::builder().build()?;
    /// let (to_server, _inbox) = mailbox(16);
    /// let (to_transport, _replies) = mailbox(16);
    /// let _server = registry.register_server("tools", to_server, ())?;
    /// let _transport = registry.register_transport("conn-1", to_transport, ())?;
    ///
    /// registry.bind_transport_to_server("conn-1", "tools")?;
    /// assert_eq!(registry.binding_count(), 1);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn binding_count(&self) -> usize {
        self.inner.binding_counts.len()
    }

    fn bind(&self, location: Location, transport: &[u8], server: &[u8]) -> Result<(), BindError> {
        let group = self.inner.group_of_server(server).ok_or(BindError::ServerNotFound)?;
        let joined = self
            .inner
            .find(transport, |id: &TransportId, record, slot| slot.join(id, record.incarnation, &group))
            .unwrap_or(Err(BindError::TransportNotFound))?;
        if joined == Joined::Now {
            self.inner.probe.event(location.shard, Event::Bound);
        }
        Ok(())
    }
}

impl<T: Types> Inner<T> {
    /// Returns the group of a server, created if this is its first transport, or `None` if the server is not found.
    pub(crate) fn group_of_server(&self, server: &[u8]) -> Option<Arc<Group>> {
        let location = self.location(server);
        self.find_at(location, server, |id: &ServerId, record, slot| {
            slot.lead(id, record.incarnation, &self.binding_counts, location.shard)
        })
        .flatten()
    }
}
