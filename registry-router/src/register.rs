//! Claiming a name and giving it up: admission, then insertion, then a lease; and the end of a registration, whatever
//! its cause.

use std::sync::{Arc, Weak};
use std::time::Instant;

use registry_core::{
    Backend, Event, Incarnation, InvalidId, Mailboxes, Metadata, Occupied, Probe, RegisterError, RegisterReason,
    ServerId, TransportId,
};

use crate::events;
use crate::group::Group;
use crate::lease::{Home, Lease, ServerLease, TransportLease};
use crate::record::{Bond, Head};
use crate::registry::{Inner, Registry, ServerMailbox, TransportMailbox};
use crate::seeded::SeededBug;
use crate::side::{HeadOf, MailboxOf, Side, is_dead};
use crate::table::Place;

impl<M, B, X, P> Registry<M, B, X, P>
where
    M: Send + 'static,
    B: Backend,
    X: Mailboxes,
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
        self.claim(id, Claim { mailbox, metadata: metadata.into() }, |_: &ServerId, _| Ok(None))
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
        self.claim(id, Claim { mailbox, metadata: metadata.into() }, |_: &TransportId, _| Ok(None))
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
        server: impl AsRef<[u8]>,
    ) -> Result<TransportLease, RegisterError<TransportMailbox<M, X>>>
    where
        I: TryInto<TransportId>,
        I::Error: Into<InvalidId>,
    {
        let server = server.as_ref();
        self.claim(id, Claim { mailbox, metadata: metadata.into() }, |id: &TransportId, incarnation| {
            // In the group before it is in the table: see `Group` for why.
            let group = self.inner.group_led_by(server).ok_or(RegisterReason::ServerNotFound)?;
            group.add(incarnation, id.clone())?;
            Ok(Some(group))
        })
    }

    /// Ends a server's registration, whoever owns it, and says whether there was one.
    ///
    /// All of its bindings end with it, at one instant and just before its name is free, however many there are.
    pub fn unregister_server(&self, id: impl AsRef<[u8]>) -> bool {
        let id = id.as_ref();
        self.inner.end::<ServerId>(self.inner.place(id), id, None)
    }

    /// Ends a transport's registration, whoever owns it, and says whether there was one.
    ///
    /// Its binding ends with it, just before its name is free.
    pub fn unregister_transport(&self, id: impl AsRef<[u8]>) -> bool {
        let id = id.as_ref();
        self.inner.end::<TransportId>(self.inner.place(id), id, None)
    }
}

/// What wants to be registered under an id.
struct Claim<Mb> {
    mailbox: Mb,
    metadata: Metadata,
}

impl<Mb> Claim<Mb> {
    fn turned_down(self, reason: impl Into<RegisterReason>) -> RegisterError<Mb> {
        RegisterError { reason: reason.into(), mailbox: self.mailbox, metadata: self.metadata }
    }
}

/// A registration that is in its group before it is in its table; it leaves the group unless it comes about, whatever
/// prevents it: a panic too.
struct Birth {
    /// `None` if it is to be in none, and once it has come about.
    group: Option<Arc<Group>>,
    incarnation: Incarnation,
}

impl Birth {
    /// It is in its table; says whether it was born into a group.
    fn comes_about(mut self) -> bool {
        self.group.take().is_some()
    }
}

impl Drop for Birth {
    fn drop(&mut self) {
        if let Some(group) = self.group.take().filter(|_| !SeededBug::FailedBirthStaysBound.is_on()) {
            group.remove(self.incarnation);
        }
    }
}

impl<M, B, X, P> Registry<M, B, X, P>
where
    M: Send + 'static,
    B: Backend,
    X: Mailboxes,
    P: Probe,
{
    /// Registers a server or a transport: validate, admit, join a group if it is to be born in one, insert, lease.
    fn claim<I, T>(
        &self,
        id: T,
        claim: Claim<MailboxOf<I, M, X>>,
        join: impl Fn(&I, Incarnation) -> Result<Option<Arc<Group>>, RegisterReason>,
    ) -> Result<Lease<I>, RegisterError<MailboxOf<I, M, X>>>
    where
        I: Side,
        T: TryInto<I>,
        T::Error: Into<InvalidId>,
    {
        let inner = &self.inner;
        let id = match id.try_into() {
            Ok(id) => id,
            Err(invalid) => {
                let invalid: InvalidId = invalid.into();
                return Err(claim.turned_down(invalid));
            }
        };
        let place = inner.place(id.as_ref());
        let (permit, mut now) = match inner.admit::<I>(place, id.as_ref(), &claim.metadata) {
            Ok(admitted) => admitted,
            Err(refusal) => {
                inner.probe.event(place.shard, Event::Rejected);
                inner.probe.event(place.shard, Event::Refused);
                let reason = RegisterReason::from(refusal);
                events::refused(I::KIND, id.as_ref(), &reason);
                return Err(claim.turned_down(reason));
            }
        };
        let incarnation = inner.next_incarnation();
        let group = match inner.making_room::<I, _, _>(place, id.as_ref(), || join(&id, incarnation)) {
            Ok(group) => group,
            Err(reason) => {
                inner.probe.event(place.shard, Event::Rejected);
                if matches!(reason, RegisterReason::ServerFull { .. }) {
                    inner.probe.event(place.shard, Event::Refused);
                    events::refused(I::KIND, id.as_ref(), &reason);
                }
                return Err(claim.turned_down(reason));
            }
        };
        if group.is_some() {
            // Joining looks up a server, and may have made room first; neither is part of the insertion.
            now = inner.time.now();
        }
        let Claim { mailbox, metadata } = claim;
        let head = Head { incarnation, mailbox, metadata };
        let bond = Bond::new(group.clone());
        let birth = Birth { group, incarnation };
        if let Err((head, by)) = inner.insert(place, &id, head, bond, now) {
            drop(birth);
            inner.probe.event(place.shard, Event::Rejected);
            let Head { mailbox, metadata, .. } = head;
            return Err(RegisterError { reason: RegisterReason::Taken { by }, mailbox, metadata });
        }
        permit.keep();
        inner.probe.event(place.shard, Event::Registered);
        if birth.comes_about() {
            inner.probe.event(place.shard, Event::Bound);
        }
        let home = Arc::downgrade(inner) as Weak<dyn Home<I>>;
        Ok(Lease::new(home, place.hash, id, incarnation))
    }
}

impl<M, B, X, P> Inner<M, B, X, P>
where
    M: Send + 'static,
    B: Backend,
    X: Mailboxes,
    P: Probe,
{
    /// Inserts an entry, or gives its head back with the incarnation of the living one that is there instead.
    pub(crate) fn insert<I: Side>(
        &self,
        place: Place,
        id: &I,
        mut head: HeadOf<I, M, X>,
        mut bond: Bond,
        mut now: Instant,
    ) -> Result<(), (HeadOf<I, M, X>, Incarnation)> {
        let table = I::table(self);
        loop {
            match table.insert_new(self.ear(), now, place, id.clone(), head, bond) {
                Ok(()) => return Ok(()),
                Err(Occupied(refused, unused)) => (head, bond) = (refused, unused),
            }
            let holder = |_: &I, head: &Head<_>, _: &Bond| (head.incarnation, is_dead::<I, M, X>(head));
            match table.peek(place, id.as_ref(), holder) {
                Some((by, false)) => return Err((head, by)),
                Some((dead, true)) => {
                    self.end::<I>(place, id.as_ref(), Some(dead));
                }
                // Whoever had the name left before it could be asked who it is; the name is free for another try.
                None => {}
            }
            now = self.time.now();
        }
    }

    /// Ends a registration, the given one or whichever there is, and says whether this call did.
    pub(crate) fn end<I: Side>(&self, place: Place, id: &[u8], which: Option<Incarnation>) -> bool {
        let metadata = self.take_out::<I>(place, id, which);
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
    pub(crate) fn take_out<I: Side>(&self, place: Place, id: &[u8], which: Option<Incarnation>) -> Option<Metadata> {
        let which = which.filter(|_| !SeededBug::RemovalIgnoresIncarnation.is_on());
        if SeededBug::DeathToldTooEarly.is_on() {
            self.probe.event(place.shard, Event::Removed);
        }
        let mut ended = None;
        // What was bound is dropped when the shard has been let go: there may be very many of them.
        let mut debris = Vec::new();
        let removed = I::table(self).remove_if(self.ear(), place, id, |_, head, bond| {
            if which.is_some_and(|incarnation| incarnation != head.incarnation) {
                return false;
            }
            debris.extend(I::end(bond, head.incarnation));
            ended = Some((head.incarnation, head.metadata.clone()));
            true
        });
        let (incarnation, metadata) = ended.filter(|_| removed)?;
        self.probe.event(place.shard, Event::Removed);
        self.waiters.tell(place.shard, incarnation);
        Some(metadata)
    }
}
