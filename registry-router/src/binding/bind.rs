//! Which server a transport is bound to, and which transports a server has.

use std::sync::Arc;

use registry_core::{AsId, Backend, BindError, Event, Incarnation, MailboxFamily, Probe, ServerId, TransportId};

use crate::binding::group::Group;
use crate::binding::slot::Joined;
use crate::endpoint::is_dead;
use crate::registry::{Inner, Registry};
use crate::seeded::SeededBug;
use crate::storage::table::Location;

impl<M, B, X, P> Registry<M, B, X, P>
where
    M: Send + 'static,
    B: Backend,
    X: MailboxFamily,
    P: Probe,
{
    /// Binds a transport to a server.
    ///
    /// A transport that is bound to another server is moved: from one instant to the next it belongs to the new one.
    /// Binding it again to the server that it is bound to changes nothing.
    /// The binding ends when it is undone or moved, or when either side's registration ends; a later registration
    /// under the same name does not inherit it.
    ///
    /// Where the transports of a server are limited, and this one has as many as it may have, the dead are taken out
    /// first, but not inside a closure that reads the registry.
    ///
    /// # Errors
    ///
    /// [`BindError`], telling which side is not registered, or that the server may not have more transports; what the
    /// transport was bound to stays.
    pub fn bind_transport_to_server(
        &self,
        transport: impl AsId<TransportId>,
        server: impl AsId<ServerId>,
    ) -> Result<(), BindError> {
        let (transport, server) = (transport.as_id(), server.as_id());
        let location = self.inner.location(transport);
        // The dead may be in the way, if the server has all the transports that it may have.
        let bind = || self.bind(location, transport, server);
        self.inner.with_eviction::<TransportId, _, _>(location, transport, bind)
    }

    fn bind(&self, location: Location, transport: &[u8], server: &[u8]) -> Result<(), BindError> {
        let group = self.inner.group_led_by(server).ok_or(BindError::ServerNotFound)?;
        if SeededBug::BindChecksThenWrites.is_on() {
            let checked = self.inner.find(transport, |id: &TransportId, record, _| (record.incarnation, id.clone()));
            checked.map(|(incarnation, id)| group.add(incarnation, id).is_ok());
        }
        let joined = self
            .inner
            .find(transport, |id: &TransportId, record, slot| slot.join(id, record.incarnation, &group))
            .unwrap_or(Err(BindError::TransportNotFound))?;
        if joined == Joined::Now {
            self.inner.probe.event(location.shard, Event::Bound);
        }
        Ok(())
    }

    /// Undoes the binding of a transport, and says whether there was one.
    pub fn unbind_transport(&self, transport: impl AsId<TransportId>) -> bool {
        let transport = transport.as_id();
        let location = self.inner.location(transport);
        let parted = self
            .inner
            .registered(location, transport, |_: &TransportId, record, slot| slot.part(record.incarnation))
            .unwrap_or(false);
        if parted {
            self.inner.probe.event(location.shard, Event::Unbound);
        }
        parted
    }

    /// The server that a transport is bound to; `None` if it is bound to none or not registered.
    ///
    /// A binding lasts as long as both registrations do. Whether the server is dead, a message to it will tell.
    /// Costs a lookup and the transport's own lock, which only its binding and unbinding share.
    pub fn server_for_transport(&self, transport: impl AsId<TransportId>) -> Option<ServerId> {
        let group = self.inner.find(transport.as_id(), |_: &TransportId, _, slot| slot.group()).flatten()?;
        Some(group.server().clone())
    }

    /// The transports that are bound to a server, in no order; none if the server is not registered.
    ///
    /// O(transports of the server), with a lookup for each. A transport that is bound throughout the call is listed,
    /// one that is not bound at any time during it is not.
    pub fn transports_of(&self, server: impl AsId<ServerId>) -> Vec<TransportId> {
        let Some(group) = self.inner.find(server.as_id(), |_: &ServerId, _, slot| slot.group()).flatten() else {
            return Vec::new();
        };
        let bound = |(incarnation, id): &(Incarnation, TransportId)| {
            let location = self.inner.location(id.as_bytes());
            let bound = self.inner.transports.peek(location, id.as_bytes(), |_, record, slot| {
                record.incarnation == *incarnation && slot.is_in(&group) && !is_dead::<TransportId, M, X>(record)
            });
            bound.unwrap_or(false)
        };
        group.members().flatten().filter(bound).map(|(_, id)| id).collect()
    }

    /// How many bindings there are, those of the dead included: exact when nobody writes. O(shards).
    pub fn binding_count(&self) -> usize {
        self.inner.binding_counts.len()
    }
}

impl<M, B, X, P> Inner<M, B, X, P>
where
    M: Send + 'static,
    B: Backend,
    X: MailboxFamily,
    P: Probe,
{
    /// The group of a server, made if this is its first transport; `None` if there is no such server.
    pub(crate) fn group_led_by(&self, server: &[u8]) -> Option<Arc<Group>> {
        let location = self.location(server);
        self.find_at(location, server, |id: &ServerId, record, slot| {
            slot.lead(id, record.incarnation, &self.binding_counts, location.shard)
        })
        .flatten()
    }
}
