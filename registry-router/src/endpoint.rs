//! Servers and transports: all that differs between the two, so that everything else is written once.

use registry_core::{Backend, Delivery, Incarnation, Key, Kind, Mailbox, MailboxFamily, ServerId, TransportId};

use crate::binding::group::Members;
use crate::binding::slot::BindingSlot;
use crate::registry::Inner;
use crate::storage::record::Record;
use crate::storage::table::Table;

/// A kind of registration, told by the type of its ids.
pub(crate) trait Endpoint: Key {
    /// The ids of those who send to it.
    type Peer: Clone + Send + Sync + 'static;

    /// Its name for admission.
    const KIND: Kind;

    /// Where its registrations are.
    fn table<M, B, X, P>(inner: &Inner<M, B, X, P>) -> &Table<Self, MailboxOf<Self, M, X>, B>
    where
        M: Send + 'static,
        B: Backend,
        X: MailboxFamily;

    /// Marks a registration as ended and undoes its bindings. Ending twice changes nothing.
    ///
    /// What is left of the bindings comes back, to be dropped when nothing is held.
    fn end(slot: &BindingSlot, incarnation: Incarnation) -> Option<Members>;
}

/// The mailbox of one kind of registration.
pub(crate) type MailboxOf<I, M, X> = <X as MailboxFamily>::Mailbox<DeliveryTo<I, M>>;

/// What one kind of registration is, to lookups.
pub(crate) type RecordOf<I, M, X> = Record<MailboxOf<I, M, X>>;

/// A message as that kind gets it.
pub(crate) type DeliveryTo<I, M> = Delivery<<I as Endpoint>::Peer, M>;

/// Whether nobody receives what is sent to a registration: its owner is dead, whoever still holds its lease.
#[inline]
pub(crate) fn is_dead<I: Endpoint, M: Send + 'static, X: MailboxFamily>(record: &RecordOf<I, M, X>) -> bool {
    Mailbox::<DeliveryTo<I, M>>::is_closed(&record.mailbox)
}

impl Endpoint for ServerId {
    type Peer = TransportId;

    const KIND: Kind = Kind::Server;

    #[inline]
    fn table<M, B, X, P>(inner: &Inner<M, B, X, P>) -> &Table<Self, MailboxOf<Self, M, X>, B>
    where
        M: Send + 'static,
        B: Backend,
        X: MailboxFamily,
    {
        &inner.servers
    }

    fn end(slot: &BindingSlot, _incarnation: Incarnation) -> Option<Members> {
        slot.end_server()
    }
}

impl Endpoint for TransportId {
    type Peer = ServerId;

    const KIND: Kind = Kind::Transport;

    #[inline]
    fn table<M, B, X, P>(inner: &Inner<M, B, X, P>) -> &Table<Self, MailboxOf<Self, M, X>, B>
    where
        M: Send + 'static,
        B: Backend,
        X: MailboxFamily,
    {
        &inner.transports
    }

    fn end(slot: &BindingSlot, incarnation: Incarnation) -> Option<Members> {
        slot.end_transport(incarnation);
        None
    }
}
