//! Claiming a name and giving it up: admission, then insertion, then a lease; and the end of a registration, whatever
//! its cause.

use std::sync::{Arc, Weak};

use registry_core::{
    Admission, Backend, Event, Incarnation, InvalidId, Key, Kind, Mailboxes, Metadata, Occupied, Probe, Refusal,
    RegisterError, RegisterReason, ServerId, TransportId,
};

use crate::group::{Group, Members};
use crate::lease::{Home, Lease, ServerLease, TransportLease};
use crate::record::{Bond, Head};
use crate::registry::{Inner, Registry, ServerMailbox, TransportMailbox};
use crate::table::{Place, Queue, Table};

impl<M, B, X, P> Registry<M, B, X, P>
where
    M: Send + 'static,
    B: Backend,
    X: Mailboxes,
    P: Probe,
{
    /// Registers a server. Of several concurrent calls for one id exactly one succeeds.
    ///
    /// The registration ends when the lease is dropped.
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
        let home = Arc::downgrade(&self.inner) as Weak<dyn Home<ServerId>>;
        let claim = Claim { kind: Kind::Server, mailbox, metadata: metadata.into() };
        self.inner.claim(&self.inner.servers, home, id, claim, |_, _| Ok(None))
    }

    /// Registers a transport. Of several concurrent calls for one id exactly one succeeds.
    ///
    /// The registration ends when the lease is dropped.
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
        let home = Arc::downgrade(&self.inner) as Weak<dyn Home<TransportId>>;
        let claim = Claim { kind: Kind::Transport, mailbox, metadata: metadata.into() };
        self.inner.claim(&self.inner.transports, home, id, claim, |_, _| Ok(None))
    }

    /// Registers a transport that is bound to `server` from the first instant at which it can be found.
    ///
    /// # Errors
    ///
    /// [`RegisterError`] with the reason, the mailbox and the metadata. When the server is not registered, nothing is.
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
        let home = Arc::downgrade(&self.inner) as Weak<dyn Home<TransportId>>;
        let claim = Claim { kind: Kind::Transport, mailbox, metadata: metadata.into() };
        self.inner.claim(&self.inner.transports, home, id, claim, |id, incarnation| {
            // In the group before it is in the table: see `Group` for why.
            let group = self.inner.server(server.as_ref(), |server, _, bond| bond.lead(server)).flatten();
            let joined = group.filter(|group| group.add(incarnation, id.clone()));
            joined.map(Some).ok_or(RegisterReason::ServerNotFound)
        })
    }

    /// Ends a server's registration, whoever owns it, and says whether there was one.
    ///
    /// All of its bindings end with it, at one instant and just before its name is free, however many there are.
    pub fn unregister_server(&self, id: impl AsRef<[u8]>) -> bool {
        let id = id.as_ref();
        self.inner.end_server(self.inner.place(id), id, None)
    }

    /// Ends a transport's registration, whoever owns it, and says whether there was one.
    ///
    /// Its binding ends with it, just before its name is free.
    pub fn unregister_transport(&self, id: impl AsRef<[u8]>) -> bool {
        let id = id.as_ref();
        self.inner.end_transport(self.inner.place(id), id, None)
    }
}

/// What wants to be registered under an id.
struct Claim<Mb> {
    kind: Kind,
    mailbox: Mb,
    metadata: Metadata,
}

impl<Mb> Claim<Mb> {
    fn turned_down(self, reason: impl Into<RegisterReason>) -> RegisterError<Mb> {
        RegisterError { reason: reason.into(), mailbox: self.mailbox, metadata: self.metadata }
    }
}

impl<M, B, X, P> Inner<M, B, X, P>
where
    M: Send + 'static,
    B: Backend,
    X: Mailboxes,
    P: Probe,
{
    /// Registers a server or a transport: validate, admit, join a group if it is to be born in one, insert, lease.
    fn claim<I, T, Mb>(
        &self,
        table: &Table<I, Mb, B>,
        home: Weak<dyn Home<I>>,
        id: T,
        claim: Claim<Mb>,
        join: impl FnOnce(&I, Incarnation) -> Result<Option<Arc<Group>>, RegisterReason>,
    ) -> Result<Lease<I>, RegisterError<Mb>>
    where
        I: Key,
        T: TryInto<I>,
        T::Error: Into<InvalidId>,
        Mb: Queue,
    {
        let id = match id.try_into() {
            Ok(id) => id,
            Err(invalid) => {
                let invalid: InvalidId = invalid.into();
                return Err(claim.turned_down(invalid));
            }
        };
        let place = self.place(id.as_ref());
        let permit = match Permit::obtain(&*self.admission, claim.kind, &claim.metadata) {
            Ok(permit) => permit,
            Err(refusal) => {
                self.probe.event(place.shard, Event::Rejected);
                return Err(claim.turned_down(refusal));
            }
        };
        let incarnation = self.next_incarnation();
        let group = match join(&id, incarnation) {
            Ok(group) => group,
            Err(reason) => {
                self.probe.event(place.shard, Event::Rejected);
                return Err(claim.turned_down(reason));
            }
        };
        let Claim { mailbox, metadata, .. } = claim;
        let head = Head { incarnation, mailbox, metadata };
        if let Err((head, by)) = self.insert(table, place, &id, head, Bond::new(group.clone())) {
            if let Some(group) = group {
                group.remove(incarnation);
            }
            self.probe.event(place.shard, Event::Rejected);
            let Head { mailbox, metadata, .. } = head;
            return Err(RegisterError { reason: RegisterReason::Taken { by }, mailbox, metadata });
        }
        permit.keep();
        self.probe.event(place.shard, Event::Registered);
        if group.is_some() {
            self.probe.event(place.shard, Event::Bound);
        }
        Ok(Lease::new(home, place.hash, id, incarnation))
    }

    /// Inserts an entry, or gives its head back with the incarnation that is there instead.
    fn insert<I: Key, Mb: Queue>(
        &self,
        table: &Table<I, Mb, B>,
        place: Place,
        id: &I,
        mut head: Head<Mb>,
        mut bond: Bond,
    ) -> Result<(), (Head<Mb>, Incarnation)> {
        loop {
            match table.insert_new(&self.probe, place, id.clone(), head, bond) {
                Ok(()) => return Ok(()),
                Err(Occupied(refused, unused)) => (head, bond) = (refused, unused),
            }
            // Whoever has the name may leave before it can be asked who it is; then the name is free for another try.
            if let Some(by) = table.peek(place, id.as_ref(), |_, holder, _| holder.incarnation) {
                return Err((head, by));
            }
        }
    }

    /// Ends a server's registration: the given one, or whichever there is.
    pub(crate) fn end_server(&self, place: Place, id: &[u8], which: Option<Incarnation>) -> bool {
        self.end(&self.servers, Kind::Server, place, id, which, |_, bond| bond.end_server())
    }

    /// Ends a transport's registration: the given one, or whichever there is.
    pub(crate) fn end_transport(&self, place: Place, id: &[u8], which: Option<Incarnation>) -> bool {
        self.end(&self.transports, Kind::Transport, place, id, which, |head, bond| {
            bond.end_transport(head.incarnation);
            None
        })
    }

    /// The bindings end inside the removal, so that nobody finds the name free and the bindings still there.
    fn end<I: Key, Mb: Queue>(
        &self,
        table: &Table<I, Mb, B>,
        kind: Kind,
        place: Place,
        id: &[u8],
        which: Option<Incarnation>,
        undo: impl Fn(&Head<Mb>, &Bond) -> Option<Members>,
    ) -> bool {
        let mut metadata = Metadata::new();
        // What was bound is dropped when the shard has been let go: there may be very many of them.
        let mut debris = Vec::new();
        let removed = table.remove_if(&self.probe, place, id, |_, head, bond| {
            if which.is_some_and(|incarnation| incarnation != head.incarnation) {
                return false;
            }
            debris.extend(undo(head, bond));
            metadata = head.metadata.clone();
            true
        });
        if removed {
            self.probe.event(place.shard, Event::Removed);
            self.admission.release(kind, &metadata);
        }
        removed
    }
}

impl<M, B, X, P> Home<ServerId> for Inner<M, B, X, P>
where
    M: Send + 'static,
    B: Backend,
    X: Mailboxes,
    P: Probe,
{
    fn end(&self, hash: u64, id: &ServerId, incarnation: Incarnation) -> bool {
        self.end_server(self.place_of_hash(hash), id.as_bytes(), Some(incarnation))
    }

    fn is_current(&self, hash: u64, id: &ServerId, incarnation: Incarnation) -> bool {
        self.servers.holds(self.place_of_hash(hash), id.as_bytes(), incarnation)
    }
}

impl<M, B, X, P> Home<TransportId> for Inner<M, B, X, P>
where
    M: Send + 'static,
    B: Backend,
    X: Mailboxes,
    P: Probe,
{
    fn end(&self, hash: u64, id: &TransportId, incarnation: Incarnation) -> bool {
        self.end_transport(self.place_of_hash(hash), id.as_bytes(), Some(incarnation))
    }

    fn is_current(&self, hash: u64, id: &TransportId, incarnation: Incarnation) -> bool {
        self.transports.holds(self.place_of_hash(hash), id.as_bytes(), incarnation)
    }
}

/// A place that admission has given; it goes back unless the registration comes about.
struct Permit<'a> {
    admission: &'a dyn Admission,
    kind: Kind,
    /// `None` once it is kept.
    metadata: Option<Metadata>,
}

impl<'a> Permit<'a> {
    fn obtain(admission: &'a dyn Admission, kind: Kind, metadata: &Metadata) -> Result<Self, Refusal> {
        admission.admit(kind, metadata)?;
        Ok(Self { admission, kind, metadata: Some(metadata.clone()) })
    }

    /// The registration holds the place from now on, and gives it back when it ends.
    fn keep(mut self) {
        self.metadata = None;
    }
}

impl Drop for Permit<'_> {
    fn drop(&mut self) {
        if let Some(metadata) = &self.metadata {
            self.admission.release(self.kind, metadata);
        }
    }
}
