//! Renewal: the owner of a lease replaces its registration without asking admission for a new place.

use std::ptr;

use registry_core::{
    Backend, EndReason, Event, MailboxFamily, Metadata, Probe, RegisterError, RegisterErrorKind, ServerId, TransportId,
    reentrancy,
};

use crate::binding::slot::BindingSlot;
use crate::endpoint::{Endpoint, MailboxOf};
use crate::lifecycle::admission::AdmissionPermit;
use crate::lifecycle::lease::{Lease, ServerLease, TransportLease};
use crate::observe::events;
use crate::registry::{Inner, Registry, ServerMailbox, TransportMailbox};
use crate::storage::record::Record;
use crate::types::Types;

impl<M, B, X, P> Registry<M, B, X, P>
where
    M: Send + 'static,
    B: Backend,
    X: MailboxFamily,
    P: Probe,
{
    /// Replaces the registration of a lease by a new one of the same server, with another mailbox and other metadata.
    ///
    /// For an owner that returns, such as a client that reconnects. It keeps the place that admission gave to the old
    /// registration, so it is refused neither when admission is closed nor by a limit or a rate. But a policy that counts
    /// by metadata, such as a limit for each value of a label, refuses metadata that would be counted elsewhere.
    ///
    /// The new registration has a new incarnation and no bindings. The old one ends first, and the id is free for a
    /// moment in between.
    ///
    /// # Errors
    ///
    /// Returns a [`RegisterError`] with the reason, the mailbox and the metadata:
    ///
    /// - [`Refused`](RegisterErrorKind::Refused) or [`MetadataTooLarge`](RegisterErrorKind::MetadataTooLarge): the old
    ///   registration is kept.
    /// - [`LeaseExpired`](RegisterErrorKind::LeaseExpired): the old registration had ended before, or the lease is one of
    ///   another registry.
    /// - [`Taken`](RegisterErrorKind::Taken): the id was registered by another caller while it was free. The old
    ///   registration has ended.
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
    /// let (to_server, inbox) = mailbox(16);
    /// let mut lease = registry.register_server("tools", to_server, ())?;
    /// drop(inbox); // The registration is dead.
    ///
    /// let (to_server, _inbox) = mailbox(16);
    /// registry.renew_server(&mut lease, to_server, [("version", "2")])?;
    /// assert!(lease.is_current() && registry.find_server("tools").is_some());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn renew_server(
        &self,
        lease: &mut ServerLease,
        mailbox: ServerMailbox<M, X>,
        metadata: impl Into<Metadata>,
    ) -> Result<(), RegisterError<ServerMailbox<M, X>>> {
        self.inner.renew::<ServerId>(lease, mailbox, metadata.into())
    }

    /// Replaces the registration of a lease by a new one of the same transport, with another mailbox and other metadata.
    ///
    /// Like [`renew_server`](Self::renew_server). The new registration is not bound.
    ///
    /// # Errors
    ///
    /// Returns the errors of [`renew_server`](Self::renew_server).
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
    /// let mut lease = registry.register_transport("conn-1", to_transport, ())?;
    /// let before = lease.incarnation();
    ///
    /// let (to_transport, _inbox) = mailbox(16);
    /// registry.renew_transport(&mut lease, to_transport, ())?;
    /// assert!(lease.incarnation() > before);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn renew_transport(
        &self,
        lease: &mut TransportLease,
        mailbox: TransportMailbox<M, X>,
        metadata: impl Into<Metadata>,
    ) -> Result<(), RegisterError<TransportMailbox<M, X>>> {
        self.inner.renew::<TransportId>(lease, mailbox, metadata.into())
    }
}

impl<T: Types> Inner<T> {
    fn renew<I: Endpoint>(
        &self,
        lease: &mut Lease<I>,
        mailbox: MailboxOf<I, T>,
        metadata: Metadata,
    ) -> Result<(), RegisterError<MailboxOf<I, T>>> {
        reentrancy::check_write("renew");
        self.run_deferred();
        let location = self.location_of_hash(lease.hash());
        if let Err(kind) = self.check_renewal(lease, &metadata) {
            self.probe.event(location.shard, Event::Rejected);
            if kind.is_refused() {
                self.probe.event(location.shard, Event::Refused);
                events::refused(I::KIND, lease.id().as_ref(), &kind);
            }
            return Err(RegisterError::new(kind, mailbox, metadata));
        }
        // The place is neither released nor reserved anew. From here on it is accounted to the new metadata.
        let (id, incarnation) = (lease.id().as_ref(), lease.incarnation());
        if self.remove::<I>(location, id, Some(incarnation), EndReason::Released).is_none() {
            self.probe.event(location.shard, Event::Rejected);
            return Err(RegisterError::new(RegisterErrorKind::LeaseExpired, mailbox, metadata));
        }
        let permit = AdmissionPermit::inherit(&*self.admission, I::KIND, &metadata);
        let record = Record::new(mailbox, metadata);
        let incarnation = match self.insert(location, lease.id(), record, None, self.time.now()) {
            Ok(incarnation) => incarnation,
            Err((Record { mailbox, metadata, .. }, kind)) => {
                drop(permit);
                self.probe.event(location.shard, Event::Rejected);
                return Err(RegisterError::new(kind, mailbox, metadata));
            }
        };
        permit.keep();
        self.probe.event(location.shard, Event::Registered);
        lease.renewed(incarnation);
        Ok(())
    }

    /// Checks that the registration of a lease has not ended, and that admission permits the new metadata.
    fn check_renewal<I: Endpoint>(&self, lease: &Lease<I>, metadata: &Metadata) -> Result<(), RegisterErrorKind> {
        self.rules.check_metadata(metadata)?;
        let (location, incarnation) = (self.location_of_hash(lease.hash()), lease.incarnation());
        let metadata_if_current = |_: &I, record: &Record<_>, _: &BindingSlot| {
            (record.incarnation == incarnation).then(|| record.metadata.clone())
        };
        let is_ours = ptr::addr_eq(lease.owner(), ptr::from_ref(self));
        let old = if is_ours {
            I::table(self).peek(location, lease.id().as_ref(), metadata_if_current).flatten()
        } else {
            None
        };
        self.admission.renew(I::KIND, &old.ok_or(RegisterErrorKind::LeaseExpired)?, metadata)?;
        Ok(())
    }
}
