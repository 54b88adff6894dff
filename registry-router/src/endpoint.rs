//! The differences between servers and transports; all other code is generic over the two.

use registry_core::{Delivery, Incarnation, Key, Kind, Mailbox, MailboxFamily, ServerId, TransportId};

use crate::binding::members::Members;
use crate::binding::slot::{BindingSlot, Lease};
use crate::registry::Inner;
use crate::storage::record::Record;
use crate::storage::table::Table;
use crate::types::Types;

/// A kind of registration, identified by the type of its ids.
pub(crate) trait Endpoint: Key {
    /// The ids of the senders of its messages.
    type Peer: Clone + Send + Sync + 'static;

    /// The kind as a value.
    const KIND: Kind;

    /// Returns the table of this kind.
    fn table<T: Types>(inner: &Inner<T>) -> &TableOf<Self, T>;

    /// Marks the slot of a registration as ended and removes its bindings. Idempotent; only the first call calls `on_end`.
    ///
    /// Returns the members of the closed group, if any, for the caller to drop when it holds no lock.
    fn end_bindings(slot: &BindingSlot, incarnation: Incarnation, on_end: impl FnOnce(Lease)) -> Option<Members>;
}

/// The mailbox of one kind of registration.
pub(crate) type MailboxOf<I, T> =
    <<T as Types>::Mailboxes as MailboxFamily>::Mailbox<DeliveryTo<I, <T as Types>::Message>>;

/// The record of one kind of registration.
pub(crate) type RecordOf<I, T> = Record<MailboxOf<I, T>>;

/// The table of one kind of registration.
pub(crate) type TableOf<I, T> = Table<I, MailboxOf<I, T>, <T as Types>::Backend>;

/// A message as it is delivered to one kind of registration.
pub(crate) type DeliveryTo<I, M> = Delivery<<I as Endpoint>::Peer, M>;

/// Returns whether a registration is dead: its mailbox is closed, so that nothing sent to it would be received.
#[inline]
pub(crate) fn is_dead<I: Endpoint, T: Types>(record: &RecordOf<I, T>) -> bool {
    Mailbox::<DeliveryTo<I, T::Message>>::is_closed(&record.mailbox)
}

impl Endpoint for ServerId {
    type Peer = TransportId;

    const KIND: Kind = Kind::Server;

    #[inline]
    fn table<T: Types>(inner: &Inner<T>) -> &TableOf<Self, T> {
        &inner.servers
    }

    fn end_bindings(slot: &BindingSlot, _incarnation: Incarnation, on_end: impl FnOnce(Lease)) -> Option<Members> {
        slot.end_server(on_end)
    }
}

impl Endpoint for TransportId {
    type Peer = ServerId;

    const KIND: Kind = Kind::Transport;

    #[inline]
    fn table<T: Types>(inner: &Inner<T>) -> &TableOf<Self, T> {
        &inner.transports
    }

    fn end_bindings(slot: &BindingSlot, incarnation: Incarnation, on_end: impl FnOnce(Lease)) -> Option<Members> {
        slot.end_transport(incarnation, on_end);
        None
    }
}
