//! How a message is moved through the registry: by value, or in a box if it is large.
//!
//! Each function that takes a message by value may copy it, and needs stack space for it. So every step between a public
//! method and the mailbox is generic over a [`Carrier`] of the message, and the public method chooses the carrier by the
//! size of the message type, at compile time.

use std::mem;

use registry_core::{BoundRouteError, Delivery, Incarnation, Mailbox, RouteError, SendError, TrySendError};

use crate::storage::record::Record;

/// A delivery in transit to a mailbox, from a sender with an id of type `F`.
pub(crate) trait Carrier<F, M>: Sized {
    /// Wraps a message.
    fn load(from: F, message: M) -> Self;

    /// Puts the delivery into a mailbox, or returns it with the reason.
    fn try_send(self, mailbox: &impl Mailbox<Delivery<F, M>>) -> Result<(), TrySendError<Self>>;

    /// Returns the message.
    fn into_message(self) -> M;
}

/// A delivery that is moved by value.
pub(crate) struct ByValue<F, M>(Delivery<F, M>);

impl<F, M> Carrier<F, M> for ByValue<F, M> {
    #[inline]
    fn load(from: F, message: M) -> Self {
        Self(Delivery { from, message })
    }

    #[inline]
    fn try_send(self, mailbox: &impl Mailbox<Delivery<F, M>>) -> Result<(), TrySendError<Self>> {
        mailbox.try_send(self.0).map_err(|error| error.map(Self))
    }

    #[inline]
    fn into_message(self) -> M {
        self.0.message
    }
}

impl<F, M> Carrier<F, M> for Box<Delivery<F, M>> {
    fn load(from: F, message: M) -> Self {
        Self::new(Delivery { from, message })
    }

    fn try_send(self, mailbox: &impl Mailbox<Delivery<F, M>>) -> Result<(), TrySendError<Self>> {
        mailbox.try_send_boxed(self)
    }

    fn into_message(self) -> M {
        self.message
    }
}

/// An error that contains an undelivered message or its carrier.
pub(crate) trait ReturnsMessage<T> {
    /// The same error with other contents.
    type With<U>;

    /// Maps the contents and keeps the reason.
    fn map_contents<U>(self, f: impl FnOnce(T) -> U) -> Self::With<U>;
}

macro_rules! returns_message {
    ($($Error:ident),+) => {$(
        impl<T> ReturnsMessage<T> for $Error<T> {
            type With<U> = $Error<U>;

            #[inline]
            fn map_contents<U>(self, f: impl FnOnce(T) -> U) -> $Error<U> {
                self.map(f)
            }
        }
    )+};
}

returns_message!(RouteError, BoundRouteError, SendError);

/// Returns the error with the message that the caller passed in place of its carrier.
///
/// The error is built once, where it is returned: every intermediate form on the stack would be a copy of the message.
#[cold]
pub(crate) fn fail<F, M, C, E>(error: E) -> Result<(), E::With<M>>
where
    C: Carrier<F, M>,
    E: ReturnsMessage<C>,
{
    Err(message_error(error))
}

/// Replaces the carrier in an error by its message.
pub(crate) fn message_error<F, M, C, E>(error: E) -> E::With<M>
where
    C: Carrier<F, M>,
    E: ReturnsMessage<C>,
{
    error.map_contents(Carrier::into_message)
}

/// The state of one delivery.
pub(crate) enum PendingDelivery<C> {
    /// The message is in the mailbox, or there was none.
    Delivered,
    /// Delivery has not been tried.
    Untried(C),
    /// The receiver, of this incarnation, did not accept it.
    Returned(TrySendError<C>, Incarnation),
}

impl<C> PendingDelivery<C> {
    /// Tries to deliver an untried message.
    #[inline]
    pub(crate) fn deliver<F, M, Mb>(&mut self, record: &Record<Mb>)
    where
        C: Carrier<F, M>,
        Mb: Mailbox<Delivery<F, M>>,
    {
        if let Self::Untried(carrier) = mem::replace(self, Self::Delivered)
            && let Err(error) = carrier.try_send(&record.mailbox)
        {
            *self = Self::Returned(error, record.incarnation);
        }
    }
}
