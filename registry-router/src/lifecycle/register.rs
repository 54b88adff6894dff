//! Registration: validation, admission, insertion, and a lease.

use std::sync::{Arc, Weak};
use std::time::Instant;

use registry_core::{
    AsId, Backend, BindError, EndReason, Event, Incarnation, InvalidId, Mailbox, MailboxFamily, Metadata, NotInserted,
    Probe, RegisterError, RegisterErrorKind, ServerId, TransportId, reentrancy,
};

use crate::binding::slot::BindingSlot;
use crate::endpoint::{Endpoint, MailboxOf, RecordOf, is_dead};
use crate::lifecycle::join_guard::JoinGuard;
use crate::lifecycle::lease::{Lease, LeaseOwner, ServerLease, TransportLease};
use crate::observe::events;
use crate::registry::{Inner, Registry, ServerMailbox, TransportMailbox};
use crate::storage::record::Record;
use crate::storage::table::Location;
use crate::types::{Types, TypesOf};

impl<M, B, X, P> Registry<M, B, X, P>
where
    M: Send + 'static,
    B: Backend,
    X: MailboxFamily,
    P: Probe,
{
    /// Registers a server. Of several concurrent calls with one id, exactly one succeeds.
    ///
    /// The registration ends when the returned lease is dropped. An id whose registration is dead can be registered: the
    /// dead registration is ended first.
    ///
    /// `metadata` is anything that converts into [`Metadata`], such as `()`, an array of pairs, or a map.
    ///
    /// # Errors
    ///
    /// Returns a [`RegisterError`] with the reason, the mailbox and the metadata.
    ///
    /// # Panics
    ///
    /// Panics inside a closure that reads the registry.
    ///
    /// # Examples
    ///
    /// ```
    /// use registry_router::{RegisterErrorKind, Registry, mailbox};
    ///
    /// let registry = Registry::<String>::builder().build()?;
    /// let (to_server, _inbox) = mailbox(16);
    /// let lease = registry.register_server("tools", to_server.clone(), [("region", "eu")])?;
    ///
    /// let error = registry.register_server("tools", to_server, ()).unwrap_err();
    /// assert_eq!(error.kind(), &RegisterErrorKind::Taken { by: lease.incarnation() });
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn register_server<I>(
        &self,
        id: I,
        mailbox: ServerMailbox<M, X>,
        metadata: impl Into<Metadata>,
    ) -> Result<ServerLease, RegisterError<ServerMailbox<M, X>>>
    where
        I: TryInto<ServerId>,
        I::Error: Into<InvalidId>,
    {
        self.register(id, Candidate { mailbox, metadata: metadata.into() }, |_: &ServerId| Ok(None))
    }

    /// Registers a transport. Of several concurrent calls with one id, exactly one succeeds.
    ///
    /// The registration ends when the returned lease is dropped. An id whose registration is dead can be registered: the
    /// dead registration is ended first.
    ///
    /// `metadata` is anything that converts into [`Metadata`], such as `()`, an array of pairs, or a map.
    ///
    /// # Errors
    ///
    /// Returns a [`RegisterError`] with the reason, the mailbox and the metadata.
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
    /// let lease = registry.register_transport("conn-1", to_transport, ())?;
    /// assert!(registry.find_transport(lease.id()).is_some());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn register_transport<I>(
        &self,
        id: I,
        mailbox: TransportMailbox<M, X>,
        metadata: impl Into<Metadata>,
    ) -> Result<TransportLease, RegisterError<TransportMailbox<M, X>>>
    where
        I: TryInto<TransportId>,
        I::Error: Into<InvalidId>,
    {
        self.register(id, Candidate { mailbox, metadata: metadata.into() }, |_: &TransportId| Ok(None))
    }

    /// Registers a transport that is bound to `server` from the first instant at which it can be found.
    ///
    /// # Errors
    ///
    /// Returns a [`RegisterError`] with the reason, the mailbox and the metadata. If the server is not registered, or has
    /// reached its limit of transports, the transport is not registered.
    /// If the server's registration ends during the call, either the transport is not registered, or it is registered
    /// and its binding has ended.
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
    /// let (to_transport, _replies) = mailbox(16);
    /// let _server = registry.register_server("tools", to_server, ())?;
    /// let transport = registry.register_transport_bound_to("conn-1", to_transport, (), "tools")?;
    /// assert_eq!(registry.transports_of("tools"), [transport.id().clone()]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn register_transport_bound_to<I>(
        &self,
        id: I,
        mailbox: TransportMailbox<M, X>,
        metadata: impl Into<Metadata>,
        server: impl AsId<ServerId>,
    ) -> Result<TransportLease, RegisterError<TransportMailbox<M, X>>>
    where
        I: TryInto<TransportId>,
        I::Error: Into<InvalidId>,
    {
        let server = server.as_id();
        self.register(id, Candidate { mailbox, metadata: metadata.into() }, |id: &TransportId| {
            let group = self.inner.group_of_server(server).ok_or(RegisterErrorKind::ServerNotFound)?;
            Ok(Some(JoinGuard::new(id.clone(), group)))
        })
    }

    /// Registers a server or a transport. `binding` returns the group that it is to join, if any.
    fn register<I, N>(
        &self,
        id: N,
        candidate: Candidate<MailboxOf<I, TypesOf<M, B, X, P>>>,
        binding: impl Fn(&I) -> Result<Option<JoinGuard>, RegisterErrorKind>,
    ) -> Registered<I, TypesOf<M, B, X, P>>
    where
        I: Endpoint,
        N: TryInto<I>,
        N::Error: Into<InvalidId>,
    {
        reentrancy::check_write("register");
        let inner = &self.inner;
        inner.run_deferred();
        let id = match id.try_into() {
            Ok(id) => id,
            Err(invalid) => {
                let invalid: InvalidId = invalid.into();
                return Err(candidate.rejected(invalid));
            }
        };
        let location = inner.location(id.as_ref());
        if let Err(kind) = inner.check_rules(location, &id, &candidate.metadata) {
            return Err(candidate.rejected(kind));
        }
        let (permit, now) = match inner.admit::<I>(location, id.as_ref(), &candidate.metadata) {
            Ok(admitted) => admitted,
            Err(error) => {
                inner.probe.event(location.shard, Event::Rejected);
                inner.probe.event(location.shard, Event::Refused);
                let kind = RegisterErrorKind::from(error);
                events::refused(I::KIND, id.as_ref(), &kind);
                return Err(candidate.rejected(kind));
            }
        };
        let Candidate { mailbox, metadata } = candidate;
        let mut record = Some(Record::new(mailbox, metadata));
        let registered = inner.with_eviction::<I, _, RegisterErrorKind>(location, id.as_ref(), || {
            let mut guard = binding(&id)?;
            // The latency of the insertion does not include the lookup of the server, nor an eviction before it.
            let began = if guard.is_some() { inner.time.now() } else { now };
            let uninserted = record.take().expect("a record that was not inserted was returned");
            let incarnation =
                inner.insert(location, &id, uninserted, guard.as_mut(), began).map_err(|(returned, kind)| {
                    record = Some(returned);
                    kind
                })?;
            Ok((incarnation, guard.map(JoinGuard::commit).is_some()))
        });
        let (incarnation, bound) = match registered {
            Ok(registered) => registered,
            Err(kind) => {
                inner.probe.event(location.shard, Event::Rejected);
                if kind.is_refused() {
                    inner.probe.event(location.shard, Event::Refused);
                    events::refused(I::KIND, id.as_ref(), &kind);
                }
                let Record { mailbox, metadata, .. } = record.expect("a record that was not inserted was returned");
                return Err(RegisterError::new(kind, mailbox, metadata));
            }
        };
        permit.keep();
        inner.probe.event(location.shard, Event::Registered);
        if bound {
            inner.probe.event(location.shard, Event::Bound);
        }
        let owner = Arc::downgrade(inner) as Weak<dyn LeaseOwner<I>>;
        Ok(Lease::new(owner, location.hash, id, incarnation))
    }
}

/// The outcome of a registration.
type Registered<I, T> = Result<Lease<I>, RegisterError<MailboxOf<I, T>>>;

/// The mailbox and the metadata of a registration that has not been admitted.
struct Candidate<Mb> {
    mailbox: Mb,
    metadata: Metadata,
}

impl<Mb> Candidate<Mb> {
    fn rejected(self, kind: impl Into<RegisterErrorKind>) -> RegisterError<Mb> {
        RegisterError::new(kind.into(), self.mailbox, self.metadata)
    }
}

impl<T: Types> Inner<T> {
    /// Inserts an entry and returns its incarnation, or returns the record with the reason. With a guard, the transport
    /// joins its group first.
    ///
    /// The incarnation is assigned while the shard is locked and the id is known to be free, so that of two registrations
    /// of an id the later has the greater one.
    pub(crate) fn insert<I: Endpoint>(
        &self,
        location: Location,
        id: &I,
        mut record: RecordOf<I, T>,
        mut guard: Option<&mut JoinGuard>,
        mut began: Instant,
    ) -> Result<Incarnation, (RecordOf<I, T>, RegisterErrorKind)> {
        let table = I::table(self);
        let mut slot = BindingSlot::new(guard.as_ref().map(|guard| Arc::clone(&guard.group)));
        loop {
            let mut incarnation = record.incarnation;
            let complete = |records: &mut [RecordOf<I, T>]| {
                incarnation = self.next_incarnation();
                if let Some(guard) = &mut guard {
                    guard.join(incarnation)?;
                }
                records.iter_mut().for_each(|record| record.incarnation = incarnation);
                if let [first, copies @ ..] = records {
                    first.mailbox.registration_started();
                    copies.iter_mut().for_each(|copy| copy.mailbox.make_weak());
                }
                Ok::<_, BindError>(())
            };
            match table.insert_new_with(self.instruments(), began, location, id.clone(), (record, slot), complete) {
                Ok(()) => {
                    self.notify_arrival(location, id);
                    return Ok(incarnation);
                }
                Err(NotInserted::Declined(returned, _, error)) => return Err((returned, error.into())),
                Err(NotInserted::Occupied(returned, unused)) => (record, slot) = (returned, unused),
            }
            let holder = |_: &I, record: &Record<_>, _: &BindingSlot| (record.incarnation, is_dead::<I, T>(record));
            match table.peek(location, id.as_ref(), holder) {
                Some((by, false)) => {
                    return Err((record, RegisterErrorKind::Taken { by }));
                }
                Some((dead, true)) => {
                    self.unregister::<I>(location, id.as_ref(), Some(dead), EndReason::MailboxClosed);
                }
                // The registration ended before it could be read: the id may be free now.
                None => {}
            }
            began = self.time.now();
        }
    }
}
