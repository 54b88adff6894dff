//! The differences between servers and transports; all other code is generic over the two.

use registry_core::{Backend, Delivery, Incarnation, Key, Kind, Mailbox, MailboxFamily, ServerId, TransportId};

use crate::binding::members::Members;
use crate::binding::slot::BindingSlot;
use crate::registry::Inner;
use crate::storage::record::Record;
use crate::storage::table::Table;

/// A kind of registration, identified by the type of its ids.
pub(crate) trait Endpoint: Key {
    /// The ids of the senders of its messages.
    type Peer: Clone + Send + Sync + 'static;

    /// The kind as a value.
    const KIND: Kind;

    /// Returns the table of this kind.
    fn table<M, B, X, P>(inner: &Inner<M, B, X, P>) -> &Table<Self, MailboxOf<Self, M, X>, B>
    where
        M: Send + 'static,
        B: Backend,
        X: MailboxFamily;

    /// Marks the slot of a registration as ended and removes its bindings. Idempotent.
    ///
    /// Returns the members of the closed group, if any, for the caller to drop when it holds no lock.
    fn end_bindings(slot: &BindingSlot, incarnation: Incarnation) -> Option<Members>;
}

/// The mailbox of one kind of registration.
pub(crate) type MailboxOf<I, M, X> = <X as MailboxFamily>::Mailbox<DeliveryTo<I, M>>;

/// The record of one kind of registration.
pub(crate) type RecordOf<I, M, X> = Record<MailboxOf<I, M, X>>;

/// A message as it is delivered to one kind of registration.
pub(crate) type DeliveryTo<I, M> = Delivery<<I as Endpoint>::Peer, M>;

/// Returns whether a registration is dead: its mailbox is closed, so that nothing sent to it would be received.
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

    fn end_bindings(slot: &BindingSlot, _incarnation: Incarnation) -> Option<Members> {
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

    fn end_bindings(slot: &BindingSlot, incarnation: Incarnation) -> Option<Members> {
        slot.end_transport(incarnation);
        None
    }
}
