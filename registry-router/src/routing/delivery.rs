//! How a message travels through the registry: by value, or in a box if it is large.
//!
//! Each step that takes a message by value may copy it, and needs room for it on the stack. So all steps between a public
//! method and the mailbox are written once, for a carrier of the message, and the public method chooses the carrier by
//! the size of the message, which the compiler knows.

use std::mem;

use registry_core::{BoundRouteError, Delivery, Incarnation, Mailbox, RouteError, SendError, TrySendError};

use crate::storage::record::Record;

/// A delivery on its way to a mailbox, from a sender named by an `F`.
pub(crate) trait Carrier<F, M>: Sized {
    /// Takes a message up.
    fn load(from: F, message: M) -> Self;

    /// Puts the delivery into a mailbox, or gives itself back.
    fn try_send(self, mailbox: &impl Mailbox<Delivery<F, M>>) -> Result<(), TrySendError<Self>>;

    /// Returns the message.
    fn into_message(self) -> M;
}

/// A delivery that is moved as it is.
pub(crate) struct ByValue<F, M>(Delivery<F, M>);

impl<F, M> Carrier<F, M> for ByValue<F, M> {
    #[inline]
    fn load(from: F, message: M) -> Self {
        Self(Delivery { from, message })
    }

    #[inline]
    fn try_send(self, mailbox: &impl Mailbox<Delivery<F, M>>) -> Result<(), TrySendError<Self>> {
        mailbox.try_send(self.0).map_err(|try_send_error| try_send_error.map(Self))
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

/// An error that gives back what it is about, and may do so in another form.
pub(crate) trait GivesBack<T> {
    /// The same error about something else.
    type Of<U>;

    /// Returns how to say the same of something else, and what it is about.
    fn take<U>(self) -> Taken<Self, T, U>;
}

/// An error of another form, as a function of what it is about, and what it was about.
type Taken<E, T, U> = (fn(U) -> <E as GivesBack<T>>::Of<U>, T);

/// Unloads what could not be delivered, so that the caller gets the message that it gave.
///
/// The error is made once, where it is returned: each form of it on the stack would be a copy of the message.
#[cold]
pub(crate) fn give_back<F, M, C, E>(error: E) -> Result<(), E::Of<M>>
where
    C: Carrier<F, M>,
    E: GivesBack<C>,
{
    Err(unloaded(error))
}

/// Returns the error about the message that could not be delivered.
pub(crate) fn unloaded<F, M, C, E>(error: E) -> E::Of<M>
where
    C: Carrier<F, M>,
    E: GivesBack<C>,
{
    let (error, carrier) = error.take();
    error(carrier.into_message())
}

/// Implements [`GivesBack`] for an enum whose variants hold one thing each.
macro_rules! gives_back {
    ($Error:ident { $($variant:ident),+ }) => {
        impl<T> GivesBack<T> for $Error<T> {
            type Of<U> = $Error<U>;

            fn take<U>(self) -> Taken<Self, T, U> {
                match self {
                    $(Self::$variant(carrier) => ($Error::$variant, carrier),)+
                }
            }
        }
    };
}

gives_back!(RouteError { NotFound, Full, Closed });
gives_back!(BoundRouteError { TransportNotFound, NotBound, Full, Closed });
gives_back!(SendError { NotFound, TimedOut, Closed });

/// One of the messages that a call delivers.
pub(crate) enum PendingDelivery<C> {
    /// There is none, or none any more: it is in the mailbox.
    Delivered,
    /// It has not been tried yet.
    Waiting(C),
    /// The receiver, which is this registration, did not take it.
    Back(TrySendError<C>, Incarnation),
}

impl<C> PendingDelivery<C> {
    /// Tries to deliver it, once.
    #[inline]
    pub(crate) fn deliver<F, M, Mb>(&mut self, record: &Record<Mb>)
    where
        C: Carrier<F, M>,
        Mb: Mailbox<Delivery<F, M>>,
    {
        if let Self::Waiting(carrier) = mem::replace(self, Self::Delivered)
            && let Err(try_send_error) = carrier.try_send(&record.mailbox)
        {
            *self = Self::Back(try_send_error, record.incarnation);
        }
    }
}
