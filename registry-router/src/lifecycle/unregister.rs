//! The end of a registration, whatever its cause.

use registry_core::{
    AsId, Backend, EndReason, Event, Incarnation, Mailbox, MailboxFamily, Metadata, Probe, ServerId, TransportId,
};

use crate::binding::slot::Lease;
use crate::endpoint::{Endpoint, MailboxOf};
use crate::registry::{Inner, Registry};
use crate::storage::table::Location;
use crate::types::Types;

impl<M, B, X, P> Registry<M, B, X, P>
where
    M: Send + 'static,
    B: Backend,
    X: MailboxFamily,
    P: Probe,
{
    /// Ends the registration of a server, regardless of its lease, and returns whether there was one.
    ///
    /// All of its bindings end with it, at one instant just before the id is free, however many there are.
    ///
    /// # Panics
    ///
    /// Panics inside a closure that reads the registry.
    ///
    /// # Examples
    ///
    /// ```
    /// use registry_router::{Registry, mailbox};
    ///
    /// let registry = Registry::<String>::builder().build()?;
    /// let (to_server, _inbox) = mailbox(16);
    /// let lease = registry.register_server("tools", to_server, ())?;
    ///
    /// assert!(registry.unregister_server("tools"));
    /// assert!(!registry.unregister_server("tools"));
    /// assert!(!lease.is_current());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn unregister_server(&self, id: impl AsId<ServerId>) -> bool {
        let id = id.as_id();
        self.inner.unregister_or_defer::<ServerId>(self.inner.location(id), id, None, EndReason::Unregistered)
    }

    /// Ends the registration of a transport, regardless of its lease, and returns whether there was one.
    ///
    /// Its binding ends with it, just before the id is free.
    ///
    /// # Panics
    ///
    /// Panics inside a closure that reads the registry.
    ///
    /// # Examples
    ///
    /// ```
    /// use registry_router::{Registry, mailbox};
    ///
    /// let registry = Registry::<String>::builder().build()?;
    /// let (to_transport, _inbox) = mailbox(16);
    /// registry.register_transport("conn-1", to_transport, ())?.detach();
    ///
    /// assert!(registry.unregister_transport("conn-1"));
    /// assert_eq!(registry.transport_count(), 0);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn unregister_transport(&self, id: impl AsId<TransportId>) -> bool {
        let id = id.as_id();
        self.inner.unregister_or_defer::<TransportId>(self.inner.location(id), id, None, EndReason::Unregistered)
    }
}

impl<T: Types> Inner<T> {
    /// Ends a registration, with the given incarnation or any if it is `None`, and returns whether there was one.
    ///
    /// If this thread is panicking inside a read, the end is deferred.
    pub(crate) fn unregister_or_defer<I: Endpoint>(
        &self,
        location: Location,
        id: &[u8],
        incarnation: Option<Incarnation>,
        reason: EndReason,
    ) -> bool {
        let deferred = self.defer_if_panicking::<I>(location, id, incarnation, reason);
        let ended = deferred.unwrap_or_else(|| self.unregister::<I>(location, id, incarnation, reason));
        self.run_deferred();
        ended
    }

    /// Ends a registration, with the given incarnation or any if it is `None`, and returns whether this call ended it.
    pub(crate) fn unregister<I: Endpoint>(
        &self,
        location: Location,
        id: &[u8],
        incarnation: Option<Incarnation>,
        reason: EndReason,
    ) -> bool {
        let metadata = self.remove::<I>(location, id, incarnation, reason);
        if let Some(metadata) = &metadata {
            self.admission.release(I::KIND, metadata);
        }
        metadata.is_some()
    }

    /// Ends a registration without releasing its place in admission, and returns its metadata if this call ended it. The
    /// caller must release the place, with that metadata, or give it to a following registration.
    ///
    /// The bindings end during the removal, so that the id is never free while they still hold. The probe, the
    /// waiters and the inbox are notified after the id is free.
    pub(crate) fn remove<I: Endpoint>(
        &self,
        location: Location,
        id: &[u8],
        incarnation: Option<Incarnation>,
        reason: EndReason,
    ) -> Option<Metadata> {
        let mut ended = None;
        let mut is_first = false;
        // There may be very many members, so they are dropped after the shard is unlocked.
        let mut members = None;
        let removed = I::table(self).remove_if(self.instruments(), location, id, |_, record, slot| {
            if incarnation.is_some_and(|incarnation| incarnation != record.incarnation) {
                return false;
            }
            let closed = I::end_bindings(slot, record.incarnation, |lease| {
                is_first = true;
                if lease == Lease::Held && reason != EndReason::Released {
                    self.ends.record(location.shard, record.incarnation, reason);
                }
            });
            if closed.is_some() {
                members = closed;
            }
            ended = Some((record.incarnation, record.metadata.clone(), record.mailbox.token()));
            true
        });
        if let Some(members) = members {
            self.deferred.free(members);
        }
        let (incarnation, metadata, mailbox) = ended.filter(|_| removed)?;
        if reason == EndReason::Released && !is_first {
            self.ends.forget(location.shard, incarnation);
        }
        self.probe.event(location.shard, Event::Removed);
        self.ends.notify(location.shard, incarnation);
        MailboxOf::<I, T>::registration_ended(mailbox);
        Some(metadata)
    }
}
