//! Servers and transports: all that differs between the two, so that everything else is written once.

use registry_core::{Backend, Delivery, Incarnation, Key, Kind, Mailbox, Mailboxes, ServerId, TransportId};

use crate::group::Members;
use crate::record::{Bond, Head};
use crate::registry::Inner;
use crate::table::Table;

/// A kind of registration, told by the type of its ids.
pub(crate) trait Side: Key {
    /// The ids of those who send to it.
    type Peer: Clone + Send + Sync + 'static;

    /// Its name for admission.
    const KIND: Kind;

    /// Where its registrations are.
    fn table<M, B, X, P>(inner: &Inner<M, B, X, P>) -> &Table<Self, MailboxOf<Self, M, X>, B>
    where
        M: Send + 'static,
        B: Backend,
        X: Mailboxes;

    /// Marks a registration as ended and undoes its bindings. Ending twice changes nothing.
    ///
    /// What is left of the bindings comes back, to be dropped when nothing is held.
    fn end(bond: &Bond, incarnation: Incarnation) -> Option<Members>;
}

/// The mailbox of one kind of registration.
pub(crate) type MailboxOf<I, M, X> = <X as Mailboxes>::Mailbox<DeliveryTo<I, M>>;

/// What one kind of registration is, to look-ups.
pub(crate) type HeadOf<I, M, X> = Head<MailboxOf<I, M, X>>;

/// A message as that kind gets it.
pub(crate) type DeliveryTo<I, M> = Delivery<<I as Side>::Peer, M>;

/// Whether nobody receives what is sent to a registration: its owner is dead, whoever still holds its lease.
#[inline]
pub(crate) fn is_dead<I: Side, M: Send + 'static, X: Mailboxes>(head: &HeadOf<I, M, X>) -> bool {
    Mailbox::<DeliveryTo<I, M>>::is_closed(&head.mailbox)
}

impl Side for ServerId {
    type Peer = TransportId;

    const KIND: Kind = Kind::Server;

    #[inline]
    fn table<M, B, X, P>(inner: &Inner<M, B, X, P>) -> &Table<Self, MailboxOf<Self, M, X>, B>
    where
        M: Send + 'static,
        B: Backend,
        X: Mailboxes,
    {
        &inner.servers
    }

    fn end(bond: &Bond, _incarnation: Incarnation) -> Option<Members> {
        bond.end_server()
    }
}

impl Side for TransportId {
    type Peer = ServerId;

    const KIND: Kind = Kind::Transport;

    #[inline]
    fn table<M, B, X, P>(inner: &Inner<M, B, X, P>) -> &Table<Self, MailboxOf<Self, M, X>, B>
    where
        M: Send + 'static,
        B: Backend,
        X: Mailboxes,
    {
        &inner.transports
    }

    fn end(bond: &Bond, incarnation: Incarnation) -> Option<Members> {
        bond.end_transport(incarnation);
        None
    }
}
