//! Where a routed message is put: the contract of a mailbox, of waiting for room in one, and of a family of them.

use std::fmt;
use std::future::Future;

use crate::id::{ServerId, TransportId};

/// A message as its receiver gets it: with the name of who sent it.
///
/// `Debug` shows the sender and not the message, which may be a secret; the field has it.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Delivery<From, M> {
    /// Who sent it, as given by the sender.
    pub from: From,
    /// What was sent.
    pub message: M,
}

impl<From: fmt::Debug, M> fmt::Debug for Delivery<From, M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Delivery").field("from", &self.from).finish_non_exhaustive()
    }
}

/// What a server receives: a message from a transport.
pub type ToServer<M> = Delivery<TransportId, M>;

/// What a transport receives: a message from a server.
pub type ToTransport<M> = Delivery<ServerId, M>;

/// The sending end of a bounded queue.
///
/// Delivering happens inside the read of a shard.
/// So an implementation must not block, must not wait for its receiver, and must not call back into the registry;
/// a mailbox that does delays the other ids of its shard.
/// Nor may cloning or dropping one call the registry: that can happen inside a write.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a mailbox for `{T}`",
    note = "a server's mailbox takes `ToServer<Message>`, a transport's takes `ToTransport<Message>`",
    note = "`registry_router::mailbox(capacity)` makes one for either; implement `Mailbox<T>` for a queue of your own"
)]
pub trait Mailbox<T>: Send + Sync + 'static {
    /// Puts `item` into the mailbox at once, or gives it back.
    ///
    /// When it returns `Ok` the item must be in the queue, once, behind all items that the same thread put there before.
    ///
    /// # Errors
    ///
    /// [`TrySendError::Full`] when there is no room now, [`TrySendError::Closed`] when nobody will ever receive it.
    fn try_send(&self, item: T) -> Result<(), TrySendError<T>>;

    /// Puts a boxed item into the mailbox at once, or gives the box back.
    ///
    /// The registry calls this for large messages, so that they are not copied at every step. The default takes the item
    /// out of its box; a queue of boxes, or of pointers, can do without.
    ///
    /// # Errors
    ///
    /// As [`try_send`](Self::try_send).
    #[expect(clippy::boxed_local, reason = "the box is what implementations can make use of")]
    fn try_send_boxed(&self, item: Box<T>) -> Result<(), TrySendError<Box<T>>> {
        self.try_send(*item).map_err(|try_send_error| try_send_error.map(Box::new))
    }

    /// Whether nobody will ever receive from this mailbox again. Once true it must stay true.
    ///
    /// Every lookup asks, inside the read of a shard, so it should cost no more than a load.
    fn is_closed(&self) -> bool;

    /// Loads what a delivery would write to, and changes nothing.
    ///
    /// Called for several mailboxes before the first delivery to one of them: a delivery has locked instructions, which
    /// wait for all loads before them, so that without this each would wait for its own cache miss. Need not do anything.
    fn prefetch(&self) {}
}

/// A mailbox in which a sender can wait for room.
pub trait ReserveMailbox<T>: Mailbox<T> {
    /// Room for one item.
    type Permit<'a>: Permit<T> + Send
    where
        Self: 'a;

    /// Waits for room and reserves it.
    ///
    /// Must be cancel-safe: a future that is dropped before it completes takes no room, and loses no item, for it has
    /// none. Waiters must be served in the order in which they began to wait.
    ///
    /// # Errors
    ///
    /// [`Closed`] when nobody will ever receive from this mailbox.
    fn reserve(&self) -> impl Future<Output = Result<Self::Permit<'_>, Closed>> + Send;
}

/// Reserved room for one item; dropped unused, it gives the room back.
pub trait Permit<T> {
    /// Puts `item` into the reserved room. This cannot fail; if the receiver has gone meanwhile, the item goes with it.
    fn send(self, item: T);

    /// Puts a boxed item into the reserved room; see [`Mailbox::try_send_boxed`].
    #[expect(clippy::boxed_local, reason = "the box is what implementations can make use of")]
    fn send_boxed(self, item: Box<T>)
    where
        Self: Sized,
    {
        self.send(*item);
    }
}

/// A family of mailboxes: the same kind of queue for whatever is delivered.
///
/// A registry holds two kinds of messages, [`ToServer`] and [`ToTransport`], and so two types of one family.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a family of mailboxes",
    note = "implement `MailboxFamily` for a unit type of your own, and name the queue in `type Mailbox<T>`"
)]
pub trait MailboxFamily: Send + Sync + 'static {
    /// The mailbox for items of type `T`; cloning it makes another sending end of the same queue.
    type Mailbox<T: Send + 'static>: Mailbox<T> + Clone;
}

/// The item was not delivered, and why.
#[derive(Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TrySendError<T> {
    /// No room now.
    #[error("the mailbox is full")]
    Full(T),
    /// Nobody will ever receive it.
    #[error("the mailbox is closed")]
    Closed(T),
}

impl<T> TrySendError<T> {
    /// Returns the same reason, with what `change` makes of the item.
    pub fn map<U>(self, change: impl FnOnce(T) -> U) -> TrySendError<U> {
        match self {
            Self::Full(item) => TrySendError::Full(change(item)),
            Self::Closed(item) => TrySendError::Closed(change(item)),
        }
    }

    /// The item.
    pub fn into_inner(self) -> T {
        match self {
            Self::Full(item) | Self::Closed(item) => item,
        }
    }
}

impl<T> fmt::Debug for TrySendError<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Full(_) => "Full(..)",
            Self::Closed(_) => "Closed(..)",
        })
    }
}

/// Nobody will ever receive from this mailbox.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the mailbox is closed")]
pub struct Closed;
