//! Registering anew what one holds: the way back in for an owner, whatever admission says to those who are new.

use std::ptr;

use registry_core::{
    Backend, Event, MailboxFamily, Metadata, Probe, RegisterError, RegisterErrorKind, ServerId, TransportId, reentrancy,
};

use crate::binding::slot::BindingSlot;
use crate::endpoint::{Endpoint, MailboxOf};
use crate::lifecycle::admission::AdmissionPermit;
use crate::lifecycle::lease::{Lease, ServerLease, TransportLease};
use crate::observe::events;
use crate::registry::{Inner, Registry, ServerMailbox, TransportMailbox};
use crate::storage::record::Record;

impl<M, B, X, P> Registry<M, B, X, P>
where
    M: Send + 'static,
    B: Backend,
    X: MailboxFamily,
    P: Probe,
{
    /// Registers a server anew under the name that a lease owns, with another mailbox and other metadata.
    ///
    /// For an owner who comes back, such as a client that connects again. He has the place that admission gave him and
    /// keeps it, so no closed door, no cap and no rate refuses him; but a policy that counts by metadata, such as a cap
    /// on a label, refuses metadata that would be counted elsewhere.
    ///
    /// It is a new registration: it has another incarnation, and no binding. The old one ends first, and between the two
    /// the name is free for a moment.
    ///
    /// # Errors
    ///
    /// [`RegisterError`] with the reason, the mailbox and the metadata. When it is
    /// [`Refused`](RegisterErrorKind::Refused) or [`MetadataTooLarge`](RegisterErrorKind::MetadataTooLarge), the old registration stands. When it is
    /// [`Ended`](RegisterErrorKind::LeaseExpired), the lease's registration had ended before, or is one of another registry. When it
    /// is [`Taken`](RegisterErrorKind::Taken), somebody took the name in the moment when it was free.
    pub fn renew_server(
        &self,
        lease: &mut ServerLease,
        mailbox: ServerMailbox<M, X>,
        metadata: impl Into<Metadata>,
    ) -> Result<(), RegisterError<ServerMailbox<M, X>>> {
        self.inner.renew::<ServerId>(lease, mailbox, metadata.into())
    }

    /// Registers a transport anew under the name that a lease owns, with another mailbox and other metadata.
    ///
    /// As [`renew_server`](Self::renew_server). The new registration is bound to no server.
    ///
    /// # Errors
    ///
    /// As [`renew_server`](Self::renew_server).
    pub fn renew_transport(
        &self,
        lease: &mut TransportLease,
        mailbox: TransportMailbox<M, X>,
        metadata: impl Into<Metadata>,
    ) -> Result<(), RegisterError<TransportMailbox<M, X>>> {
        self.inner.renew::<TransportId>(lease, mailbox, metadata.into())
    }
}

impl<M, B, X, P> Inner<M, B, X, P>
where
    M: Send + 'static,
    B: Backend,
    X: MailboxFamily,
    P: Probe,
{
    fn renew<I: Endpoint>(
        &self,
        lease: &mut Lease<I>,
        mailbox: MailboxOf<I, M, X>,
        metadata: Metadata,
    ) -> Result<(), RegisterError<MailboxOf<I, M, X>>> {
        reentrancy::check_write("renew");
        self.tidy();
        let location = self.location_of_hash(lease.hash());
        if let Err(kind) = self.may_renew(lease, &metadata) {
            self.probe.event(location.shard, Event::Rejected);
            if matches!(kind, RegisterErrorKind::Refused(_)) {
                self.probe.event(location.shard, Event::Refused);
                events::refused(I::KIND, lease.id().as_ref(), &kind);
            }
            return Err(RegisterError { kind, mailbox, metadata });
        }
        // The place is neither given back nor asked for; from here on it goes with the new metadata.
        if self.remove::<I>(location, lease.id().as_ref(), Some(lease.incarnation())).is_none() {
            self.probe.event(location.shard, Event::Rejected);
            return Err(RegisterError { kind: RegisterErrorKind::LeaseExpired, mailbox, metadata });
        }
        let permit = AdmissionPermit::inherit(&*self.admission, I::KIND, &metadata);
        let record = Record::new(mailbox, metadata);
        let incarnation = match self.insert(location, lease.id(), record, None, self.time.now()) {
            Ok(incarnation) => incarnation,
            Err((Record { mailbox, metadata, .. }, kind)) => {
                drop(permit);
                self.probe.event(location.shard, Event::Rejected);
                return Err(RegisterError { kind, mailbox, metadata });
            }
        };
        permit.keep();
        self.probe.event(location.shard, Event::Registered);
        lease.renewed(incarnation);
        Ok(())
    }

    /// Whether the registration that a lease owns stands, and admission lets it be another one with these metadata.
    fn may_renew<I: Endpoint>(&self, lease: &Lease<I>, metadata: &Metadata) -> Result<(), RegisterErrorKind> {
        self.rules.check_metadata(metadata)?;
        let (location, incarnation) = (self.location_of_hash(lease.hash()), lease.incarnation());
        let held = |_: &I, record: &Record<_>, _: &BindingSlot| {
            (record.incarnation == incarnation).then(|| record.metadata.clone())
        };
        let is_ours = ptr::addr_eq(lease.owner(), ptr::from_ref(self));
        let old = if is_ours { I::table(self).peek(location, lease.id().as_ref(), held).flatten() } else { None };
        self.admission.renew(I::KIND, &old.ok_or(RegisterErrorKind::LeaseExpired)?, metadata)?;
        Ok(())
    }
}
