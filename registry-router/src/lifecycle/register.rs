//! Claiming a name and giving it up: admission, then insertion, then a lease; and the end of a registration, whatever
//! its cause.

use std::sync::{Arc, Weak};
use std::time::Instant;

use registry_core::{
    AsId, Backend, BindError, Event, Incarnation, InvalidId, MailboxFamily, Metadata, NotInserted, Probe,
    RegisterError, RegisterErrorKind, ServerId, TransportId, reentrancy,
};

use crate::binding::group::Group;
use crate::binding::slot::BindingSlot;
use crate::endpoint::{Endpoint, MailboxOf, RecordOf, is_dead};
use crate::lifecycle::lease::{Lease, LeaseOwner, ServerLease, TransportLease};
use crate::observe::events;
use crate::registry::{Inner, Registry, ServerMailbox, TransportMailbox};
use crate::seeded::SeededBug;
use crate::storage::record::Record;
use crate::storage::table::Location;

impl<M, B, X, P> Registry<M, B, X, P>
where
    M: Send + 'static,
    B: Backend,
    X: MailboxFamily,
    P: Probe,
{
    /// Registers a server. Of several concurrent calls for one id exactly one succeeds.
    ///
    /// The registration ends when the lease is dropped. A name whose owner is dead is free: the dead one's registration
    /// is ended first.
    /// `metadata` may be `()`.
    ///
    /// # Errors
    ///
    /// [`RegisterError`] with the reason, the mailbox and the metadata.
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
        self.claim(id, Claim { mailbox, metadata: metadata.into() }, |_: &ServerId| Ok(None))
    }

    /// Registers a transport. Of several concurrent calls for one id exactly one succeeds.
    ///
    /// The registration ends when the lease is dropped. A name whose owner is dead is free: the dead one's registration
    /// is ended first.
    /// `metadata` may be `()`.
    ///
    /// # Errors
    ///
    /// [`RegisterError`] with the reason, the mailbox and the metadata.
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
        self.claim(id, Claim { mailbox, metadata: metadata.into() }, |_: &TransportId| Ok(None))
    }

    /// Registers a transport that is bound to `server` from the first instant at which it can be found.
    ///
    /// # Errors
    ///
    /// [`RegisterError`] with the reason, the mailbox and the metadata. When the server is not registered, or may not have
    /// more transports, nothing is.
    /// When it ends while this runs, either nothing is registered, or the transport is and its binding has ended.
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
        self.claim(id, Claim { mailbox, metadata: metadata.into() }, |id: &TransportId| {
            let group = self.inner.group_led_by(server).ok_or(RegisterErrorKind::ServerNotFound)?;
            Ok(Some(JoinGuard::new(id.clone(), group)))
        })
    }

    /// Ends a server's registration, whoever owns it, and says whether there was one.
    ///
    /// All of its bindings end with it, at one instant and just before its name is free, however many there are.
    pub fn unregister_server(&self, id: impl AsId<ServerId>) -> bool {
        self.inner.end_by_name::<ServerId>(id.as_id())
    }

    /// Ends a transport's registration, whoever owns it, and says whether there was one.
    ///
    /// Its binding ends with it, just before its name is free.
    pub fn unregister_transport(&self, id: impl AsId<TransportId>) -> bool {
        self.inner.end_by_name::<TransportId>(id.as_id())
    }
}

/// What wants to be registered under an id.
struct Claim<Mb> {
    mailbox: Mb,
    metadata: Metadata,
}

impl<Mb> Claim<Mb> {
    fn turned_down(self, reason: impl Into<RegisterErrorKind>) -> RegisterError<Mb> {
        RegisterError { kind: reason.into(), mailbox: self.mailbox, metadata: self.metadata }
    }
}

/// A transport that is to join a group when it has won its name, and before it is in its table: see `Group` for why.
///
/// It leaves the group again unless the registration comes about, whatever prevents it: a panic too.
pub(crate) struct JoinGuard {
    transport: TransportId,
    group: Arc<Group>,
    /// `None` until it has joined, and once it has come about.
    joined: Option<Incarnation>,
}

impl JoinGuard {
    fn new(transport: TransportId, group: Arc<Group>) -> Self {
        Self { transport, group, joined: None }
    }

    /// Takes the group's lock, and calls no shard.
    fn join(&mut self, incarnation: Incarnation) -> Result<(), BindError> {
        self.leave();
        self.group.add(incarnation, self.transport.clone())?;
        self.joined = Some(incarnation);
        Ok(())
    }

    /// It is in its table.
    fn commit(mut self) {
        self.joined = None;
    }

    fn leave(&mut self) {
        if let Some(incarnation) = self.joined.take() {
            self.group.remove(incarnation);
        }
    }
}

impl Drop for JoinGuard {
    fn drop(&mut self) {
        self.leave();
    }
}

impl<M, B, X, P> Registry<M, B, X, P>
where
    M: Send + 'static,
    B: Backend,
    X: MailboxFamily,
    P: Probe,
{
    /// Registers a server or a transport: validate, admit, insert, into a group too if it is to be born in one, lease.
    fn claim<I, T>(
        &self,
        id: T,
        claim: Claim<MailboxOf<I, M, X>>,
        bear: impl Fn(&I) -> Result<Option<JoinGuard>, RegisterErrorKind>,
    ) -> Result<Lease<I>, RegisterError<MailboxOf<I, M, X>>>
    where
        I: Endpoint,
        T: TryInto<I>,
        T::Error: Into<InvalidId>,
    {
        reentrancy::check_write("register");
        let inner = &self.inner;
        inner.tidy();
        let id = match id.try_into() {
            Ok(id) => id,
            Err(invalid) => {
                let invalid: InvalidId = invalid.into();
                return Err(claim.turned_down(invalid));
            }
        };
        let location = inner.location(id.as_ref());
        if let Err(kind) = inner.check_claim(location, &id, &claim.metadata) {
            return Err(claim.turned_down(kind));
        }
        let (permit, now) = match inner.admit::<I>(location, id.as_ref(), &claim.metadata) {
            Ok(admitted) => admitted,
            Err(refusal) => {
                inner.probe.event(location.shard, Event::Rejected);
                inner.probe.event(location.shard, Event::Refused);
                let kind = RegisterErrorKind::from(refusal);
                events::refused(I::KIND, id.as_ref(), &kind);
                return Err(claim.turned_down(kind));
            }
        };
        let Claim { mailbox, metadata } = claim;
        let mut record = Some(Record::new(mailbox, metadata));
        let registered = inner.with_eviction::<I, _, _>(location, id.as_ref(), || {
            let mut join = bear(&id)?;
            // Looking the server up is no part of the insertion, nor is making room for another attempt.
            let began = if join.is_some() { inner.time.now() } else { now };
            let unplaced = record.take().expect("a head that was not inserted has come back");
            let incarnation =
                inner.insert(location, &id, unplaced, join.as_mut(), began).map_err(|(refused, reason)| {
                    record = Some(refused);
                    reason
                })?;
            Ok((incarnation, join.map(JoinGuard::commit).is_some()))
        });
        let (incarnation, bound) = match registered {
            Ok(registered) => registered,
            Err(kind) => {
                inner.probe.event(location.shard, Event::Rejected);
                if matches!(kind, RegisterErrorKind::ServerFull { .. }) {
                    inner.probe.event(location.shard, Event::Refused);
                    events::refused(I::KIND, id.as_ref(), &kind);
                }
                let Record { mailbox, metadata, .. } = record.expect("a head that was not inserted has come back");
                return Err(RegisterError { kind, mailbox, metadata });
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

impl<M, B, X, P> Inner<M, B, X, P>
where
    M: Send + 'static,
    B: Backend,
    X: MailboxFamily,
    P: Probe,
{
    /// Inserts an entry, into a group too if it is to be born in one, and returns the incarnation that it won its name
    /// with; or gives the head back with the reason.
    ///
    /// The incarnation is drawn inside the shard when the name is won, so that of two owners of a name the later has the
    /// greater one.
    pub(crate) fn insert<I: Endpoint>(
        &self,
        location: Location,
        id: &I,
        mut record: RecordOf<I, M, X>,
        mut join: Option<&mut JoinGuard>,
        mut now: Instant,
    ) -> Result<Incarnation, (RecordOf<I, M, X>, RegisterErrorKind)> {
        let table = I::table(self);
        let mut slot = BindingSlot::new(join.as_ref().map(|join| Arc::clone(&join.group)));
        loop {
            let mut won = record.incarnation;
            let complete = |records: &mut [RecordOf<I, M, X>]| {
                won = self.next_incarnation();
                if let Some(join) = &mut join {
                    join.join(won)?;
                }
                records.iter_mut().for_each(|record| record.incarnation = won);
                Ok::<_, BindError>(())
            };
            match table.insert_new_with(self.instruments(), now, location, id.clone(), (record, slot), complete) {
                Ok(()) => return Ok(won),
                Err(NotInserted::Declined(record, _, why)) => return Err((record, why.into())),
                Err(NotInserted::Occupied(refused, unused)) => (record, slot) = (refused, unused),
            }
            let holder = |_: &I, record: &Record<_>, _: &BindingSlot| (record.incarnation, is_dead::<I, M, X>(record));
            match table.peek(location, id.as_ref(), holder) {
                Some((by, false)) => {
                    if let Some(join) = join.filter(|_| SeededBug::FailedBirthStaysBound.is_on()) {
                        let _ = join.group.add(self.next_incarnation(), join.transport.clone());
                    }
                    return Err((record, RegisterErrorKind::Taken { by }));
                }
                Some((dead, true)) => {
                    self.end::<I>(location, id.as_ref(), Some(dead));
                }
                // Whoever had the name left before it could be asked who it is; the name is free for another try.
                None => {}
            }
            now = self.time.now();
        }
    }

    /// Ends whichever registration there is under a name, and says whether this call did.
    fn end_by_name<I: Endpoint>(&self, id: &[u8]) -> bool {
        let location = self.location(id);
        let ended = self.put_off::<I>(location, id, None).unwrap_or_else(|| self.end::<I>(location, id, None));
        self.tidy();
        ended
    }

    /// Ends a registration, the given one or whichever there is, and says whether this call did.
    pub(crate) fn end<I: Endpoint>(&self, location: Location, id: &[u8], which: Option<Incarnation>) -> bool {
        let metadata = self.remove::<I>(location, id, which);
        if let Some(metadata) = &metadata {
            self.admission.release(I::KIND, metadata);
        }
        metadata.is_some()
    }

    /// Ends a registration, and gives its metadata if this call did: they stand for the place that admission gave it,
    /// which is the caller's to give back.
    ///
    /// The bindings end inside the removal, so that nobody finds the name free and the bindings still there. All who
    /// hear of the end hear of it when the name is free.
    pub(crate) fn remove<I: Endpoint>(
        &self,
        location: Location,
        id: &[u8],
        which: Option<Incarnation>,
    ) -> Option<Metadata> {
        let which = which.filter(|_| !SeededBug::RemovalIgnoresIncarnation.is_on());
        if SeededBug::DeathToldTooEarly.is_on() {
            self.probe.event(location.shard, Event::Removed);
        }
        let mut ended = None;
        // What was bound is dropped when the shard has been let go: there may be very many of them.
        let mut detached = Vec::new();
        let removed = I::table(self).remove_if(self.instruments(), location, id, |_, record, slot| {
            if which.is_some_and(|incarnation| incarnation != record.incarnation) {
                return false;
            }
            detached.extend(I::end(slot, record.incarnation));
            ended = Some((record.incarnation, record.metadata.clone()));
            true
        });
        detached.into_iter().for_each(|members| self.deferred.leave(members));
        let (incarnation, metadata) = ended.filter(|_| removed)?;
        self.probe.event(location.shard, Event::Removed);
        self.waiters.tell(location.shard, incarnation);
        Some(metadata)
    }
}
