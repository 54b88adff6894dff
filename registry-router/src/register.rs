//! Claiming a name and giving it up: admission, then insertion, then a lease; and the end of a registration, whatever
//! its cause.

use std::sync::{Arc, Weak};
use std::time::Instant;

use registry_core::{
    Backend, BindError, Event, Incarnation, InvalidId, Mailboxes, Metadata, NotInserted, Probe, RegisterError,
    RegisterReason, ServerId, TransportId, trap,
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
        server: impl AsRef<[u8]>,
    ) -> Result<TransportLease, RegisterError<TransportMailbox<M, X>>>
    where
        I: TryInto<TransportId>,
        I::Error: Into<InvalidId>,
    {
        let server = server.as_ref();
        self.claim(id, Claim { mailbox, metadata: metadata.into() }, |id: &TransportId| {
            let group = self.inner.group_led_by(server).ok_or(RegisterReason::ServerNotFound)?;
            Ok(Some(Birth::new(id.clone(), group)))
        })
    }

    /// Ends a server's registration, whoever owns it, and says whether there was one.
    ///
    /// All of its bindings end with it, at one instant and just before its name is free, however many there are.
    pub fn unregister_server(&self, id: impl AsRef<[u8]>) -> bool {
        self.inner.end_by_name::<ServerId>(id.as_ref())
    }

    /// Ends a transport's registration, whoever owns it, and says whether there was one.
    ///
    /// Its binding ends with it, just before its name is free.
    pub fn unregister_transport(&self, id: impl AsRef<[u8]>) -> bool {
        self.inner.end_by_name::<TransportId>(id.as_ref())
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

/// A transport that is to join a group when it has won its name, and before it is in its table: see `Group` for why.
///
/// It leaves the group again unless the registration comes about, whatever prevents it: a panic too.
pub(crate) struct Birth {
    transport: TransportId,
    group: Arc<Group>,
    /// `None` until it has joined, and once it has come about.
    joined: Option<Incarnation>,
}

impl Birth {
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
    fn comes_about(mut self) {
        self.joined = None;
    }

    fn leave(&mut self) {
        if let Some(incarnation) = self.joined.take() {
            self.group.remove(incarnation);
        }
    }
}

impl Drop for Birth {
    fn drop(&mut self) {
        self.leave();
    }
}

impl<M, B, X, P> Registry<M, B, X, P>
where
    M: Send + 'static,
    B: Backend,
    X: Mailboxes,
    P: Probe,
{
    /// Registers a server or a transport: validate, admit, insert, into a group too if it is to be born in one, lease.
    fn claim<I, T>(
        &self,
        id: T,
        claim: Claim<MailboxOf<I, M, X>>,
        bear: impl Fn(&I) -> Result<Option<Birth>, RegisterReason>,
    ) -> Result<Lease<I>, RegisterError<MailboxOf<I, M, X>>>
    where
        I: Side,
        T: TryInto<I>,
        T::Error: Into<InvalidId>,
    {
        trap::writing("register");
        let inner = &self.inner;
        inner.tidy();
        let id = match id.try_into() {
            Ok(id) => id,
            Err(invalid) => {
                let invalid: InvalidId = invalid.into();
                return Err(claim.turned_down(invalid));
            }
        };
        let place = inner.place(id.as_ref());
        if let Err(reason) = inner.check_claim(place, &id, &claim.metadata) {
            return Err(claim.turned_down(reason));
        }
        let (permit, now) = match inner.admit::<I>(place, id.as_ref(), &claim.metadata) {
            Ok(admitted) => admitted,
            Err(refusal) => {
                inner.probe.event(place.shard, Event::Rejected);
                inner.probe.event(place.shard, Event::Refused);
                let reason = RegisterReason::from(refusal);
                events::refused(I::KIND, id.as_ref(), &reason);
                return Err(claim.turned_down(reason));
            }
        };
        let Claim { mailbox, metadata } = claim;
        let mut head = Some(Head::new(mailbox, metadata));
        let registered = inner.making_room::<I, _, _>(place, id.as_ref(), || {
            let mut birth = bear(&id)?;
            // Looking the server up is no part of the insertion, nor is making room for another attempt.
            let began = if birth.is_some() { inner.time.now() } else { now };
            let unplaced = head.take().expect("a head that was not inserted has come back");
            let incarnation =
                inner.insert(place, &id, unplaced, birth.as_mut(), began).map_err(|(refused, reason)| {
                    head = Some(refused);
                    reason
                })?;
            Ok((incarnation, birth.map(Birth::comes_about).is_some()))
        });
        let (incarnation, bound) = match registered {
            Ok(registered) => registered,
            Err(reason) => {
                inner.probe.event(place.shard, Event::Rejected);
                if matches!(reason, RegisterReason::ServerFull { .. }) {
                    inner.probe.event(place.shard, Event::Refused);
                    events::refused(I::KIND, id.as_ref(), &reason);
                }
                let Head { mailbox, metadata, .. } = head.expect("a head that was not inserted has come back");
                return Err(RegisterError { reason, mailbox, metadata });
            }
        };
        permit.keep();
        inner.probe.event(place.shard, Event::Registered);
        if bound {
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
    /// Inserts an entry, into a group too if it is to be born in one, and returns the incarnation that it won its name
    /// with; or gives the head back with the reason.
    ///
    /// The incarnation is drawn inside the shard when the name is won, so that of two owners of a name the later has the
    /// greater one.
    pub(crate) fn insert<I: Side>(
        &self,
        place: Place,
        id: &I,
        mut head: HeadOf<I, M, X>,
        mut birth: Option<&mut Birth>,
        mut now: Instant,
    ) -> Result<Incarnation, (HeadOf<I, M, X>, RegisterReason)> {
        let table = I::table(self);
        let mut bond = Bond::new(birth.as_ref().map(|birth| Arc::clone(&birth.group)));
        loop {
            let mut won = head.incarnation;
            let complete = |heads: &mut [HeadOf<I, M, X>]| {
                won = self.next_incarnation();
                if let Some(birth) = &mut birth {
                    birth.join(won)?;
                }
                heads.iter_mut().for_each(|head| head.incarnation = won);
                Ok::<_, BindError>(())
            };
            match table.insert_new_with(self.ear(), now, place, id.clone(), (head, bond), complete) {
                Ok(()) => return Ok(won),
                Err(NotInserted::Declined(head, _, why)) => return Err((head, why.into())),
                Err(NotInserted::Occupied(refused, unused)) => (head, bond) = (refused, unused),
            }
            let holder = |_: &I, head: &Head<_>, _: &Bond| (head.incarnation, is_dead::<I, M, X>(head));
            match table.peek(place, id.as_ref(), holder) {
                Some((by, false)) => {
                    if let Some(birth) = birth.filter(|_| SeededBug::FailedBirthStaysBound.is_on()) {
                        let _ = birth.group.add(self.next_incarnation(), birth.transport.clone());
                    }
                    return Err((head, RegisterReason::Taken { by }));
                }
                Some((dead, true)) => {
                    self.end::<I>(place, id.as_ref(), Some(dead));
                }
                // Whoever had the name left before it could be asked who it is; the name is free for another try.
                None => {}
            }
            now = self.time.now();
        }
    }

    /// Ends whichever registration there is under a name, and says whether this call did.
    fn end_by_name<I: Side>(&self, id: &[u8]) -> bool {
        let place = self.place(id);
        let ended = self.put_off::<I>(place, id, None).unwrap_or_else(|| self.end::<I>(place, id, None));
        self.tidy();
        ended
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
        debris.into_iter().for_each(|members| self.deferred.leave(members));
        let (incarnation, metadata) = ended.filter(|_| removed)?;
        self.probe.event(place.shard, Event::Removed);
        self.waiters.tell(place.shard, incarnation);
        Some(metadata)
    }
}
