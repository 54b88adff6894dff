//! The contracts of a mailbox, of waiting for capacity in one, and of a family of mailbox types.

use std::fmt;
use std::future::Future;

use crate::id::{ServerId, TransportId};

/// A message as its receiver gets it, with the id of the sender.
///
/// `Debug` shows the sender and not the message, which may be a secret. The message is in the field.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Delivery<From, M> {
    /// The sender, as given by the sender itself.
    pub from: From,
    /// The message.
    pub message: M,
}

impl<From: fmt::Debug, M> fmt::Debug for Delivery<From, M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Delivery").field("from", &self.from).finish_non_exhaustive()
    }
}

/// The item type of a server's mailbox: a message from a transport.
pub type ToServer<M> = Delivery<TransportId, M>;

/// The item type of a transport's mailbox: a message from a server.
pub type ToTransport<M> = Delivery<ServerId, M>;

/// The sending half of a bounded queue.
///
/// Messages are sent inside the read of a shard. An implementation must therefore not block, must not wait for its
/// receiver, and must not write to the registry; a slow mailbox delays the other ids of its shard. Cloning a mailbox must
/// not write to the registry either, because that can happen inside a read. Dropping one may.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a mailbox for `{T}`",
    note = "a server's mailbox takes `ToServer<Message>`, a transport's takes `ToTransport<Message>`",
    note = "`registry_router::mailbox(capacity)` makes one for either; implement `Mailbox<T>` for a queue of your own"
)]
pub trait Mailbox<T>: Send + Sync + 'static {
    /// Sends `item` without waiting.
    ///
    /// If it returns `Ok`, the item must be in the queue, once, behind all items that the same thread has sent before.
    ///
    /// # Errors
    ///
    /// [`TrySendError::Full`] if the mailbox has no capacity, [`TrySendError::Closed`] if the mailbox is closed.
    /// Both return the item.
    fn try_send(&self, item: T) -> Result<(), TrySendError<T>>;

    /// Sends a boxed item without waiting.
    ///
    /// The registry calls this for large messages, to avoid copying them at every step. The default implementation
    /// unboxes the item; a queue of boxes or pointers can avoid that.
    ///
    /// # Errors
    ///
    /// As [`try_send`](Self::try_send), with the box returned.
    #[expect(clippy::boxed_local, reason = "the box is what implementations can make use of")]
    fn try_send_boxed(&self, item: Box<T>) -> Result<(), TrySendError<Box<T>>> {
        self.try_send(*item).map_err(|try_send_error| try_send_error.map(Box::new))
    }

    /// Returns whether the mailbox is closed: no item will ever be received from it again. Once `true`, it must stay
    /// `true`.
    ///
    /// Called by every lookup, inside the read of a shard, so it should cost no more than a load.
    fn is_closed(&self) -> bool;

    /// Prefetches the memory that a send would write to, and changes nothing. The default does nothing.
    ///
    /// Called for several mailboxes before the first of them is sent to: a send executes locked instructions, which
    /// wait for all preceding loads, so that without prefetching each send would wait for its own cache miss.
    fn prefetch(&self) {}

    /// Makes this handle weak: it does not keep the receiver waiting for items.
    ///
    /// A receiver ends when its queue is empty and there is neither a handle that is not weak nor a
    /// [registration](Self::registration_started). The registry makes the handles weak that it stores, because a backend
    /// may drop them some time after the registration has ended. A clone of a weak handle is not weak.
    ///
    /// The default does nothing; then the receiver ends when the last handle is dropped.
    fn make_weak(&mut self) {}

    /// Makes this handle weak, and keeps the receiver waiting in its place until the registration ends.
    ///
    /// Called once for each registration, with one of the handles that the registry stores for it.
    fn registration_started(&mut self) {}

    /// Returns a token that identifies the queue in [`registration_ended`](Self::registration_ended).
    fn token(&self) -> u64 {
        0
    }

    /// Called once for each registration that has [started](Self::registration_started), when it has ended and its id is
    /// free, and no shard is locked.
    fn registration_ended(token: u64)
    where
        Self: Sized,
    {
        let _ = token;
    }
}

/// A mailbox whose sender can wait for capacity.
pub trait ReserveMailbox<T>: Mailbox<T> {
    /// Reserved capacity for one item.
    type Permit<'a>: Permit<T> + Send
    where
        Self: 'a;

    /// Waits for capacity for one item and reserves it. Waiters must be served in the order in which they started to
    /// wait.
    ///
    /// # Cancel safety
    ///
    /// Must be cancel safe: a future that is dropped before it completes reserves no capacity. No item can be lost,
    /// because none is passed.
    ///
    /// # Errors
    ///
    /// [`Closed`] if the mailbox is closed.
    fn reserve(&self) -> impl Future<Output = Result<Self::Permit<'_>, Closed>> + Send;
}

/// Reserved capacity for one item. Dropping it unused releases the capacity.
pub trait Permit<T> {
    /// Sends `item` using the reserved capacity. This cannot fail; if the receiver is gone by now, the item is dropped.
    fn send(self, item: T);

    /// Sends a boxed item using the reserved capacity; see [`Mailbox::try_send_boxed`].
    #[expect(clippy::boxed_local, reason = "the box is what implementations can make use of")]
    fn send_boxed(self, item: Box<T>)
    where
        Self: Sized,
    {
        self.send(*item);
    }
}

/// A family of mailbox types: one kind of queue, for every item type.
///
/// A registry sends two types of items, [`ToServer`] and [`ToTransport`], and so uses two types of one family.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a family of mailboxes",
    note = "implement `MailboxFamily` for a unit type of your own, and name the queue in `type Mailbox<T>`"
)]
pub trait MailboxFamily: Send + Sync + 'static {
    /// The mailbox for items of type `T`. A clone sends to the same queue.
    type Mailbox<T: Send + 'static>: Mailbox<T> + Clone;
}

/// The error returned when an item cannot be sent. Returns the item.
///
/// Exhaustive, unlike the errors of a registry: implementations of [`Mailbox`] create it, and every sender must handle
/// both variants, because a full mailbox can be retried and a closed one cannot. A third outcome would be a change of
/// the contract of a mailbox.
///
/// # Examples
///
/// ```
/// use registry_core::TrySendError;
///
/// let error = TrySendError::Full("hello");
/// assert!(error.is_full() && !error.is_closed());
/// assert_eq!(error.into_inner(), "hello");
/// ```
#[derive(Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TrySendError<T> {
    /// The mailbox is full.
    #[error("the mailbox is full")]
    Full(T),
    /// The mailbox is closed.
    #[error("the mailbox is closed")]
    Closed(T),
}

impl<T> TrySendError<T> {
    /// Maps the item and keeps the reason.
    pub fn map<U>(self, f: impl FnOnce(T) -> U) -> TrySendError<U> {
        match self {
            Self::Full(item) => TrySendError::Full(f(item)),
            Self::Closed(item) => TrySendError::Closed(f(item)),
        }
    }

    /// Returns whether the mailbox is full.
    pub fn is_full(&self) -> bool {
        matches!(self, Self::Full(_))
    }

    /// Returns whether the mailbox is closed.
    pub fn is_closed(&self) -> bool {
        matches!(self, Self::Closed(_))
    }

    /// Returns the item.
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

/// The error returned when a mailbox is closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the mailbox is closed")]
pub struct Closed;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn accessors_agree_with_the_variant() {
        let (full, closed) = (TrySendError::Full(7), TrySendError::Closed(7));
        assert_eq!(
            [full.is_full(), full.is_closed(), closed.is_full(), closed.is_closed()],
            [true, false, false, true]
        );
        assert_eq!([full.into_inner(), closed.into_inner()], [7, 7]);
        assert_eq!(
            [full, closed].map(|error| error.map(|item| item + 1)),
            [TrySendError::Full(8), TrySendError::Closed(8)]
        );
        assert_eq!(format!("{full:?} {closed:?}"), "Full(..) Closed(..)");
    }
}
