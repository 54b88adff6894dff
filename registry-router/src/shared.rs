//! What the handles of a registry share, as a type whose thread safety depends on the messages alone.
//!
//! A message may hold a handle of the registry that it is sent through. Then `M: Send` needs `Registry<M>: Send`, which
//! needs `Inner<M>: Sync`. The compiler accepts such a circle where it consists of auto traits, but the fields of
//! [`Inner`] are projections (`<X as Mailboxes>::Mailbox<ToServer<M>>`) whose own bounds ask for `M: Send`, and a circle
//! through those is an error. So the two auto traits are promised here, for all `M: Send`, and the compiler checks the
//! promise where `M` is a parameter and no circle exists.

use std::ops::Deref;

use registry_core::{Backend, Incarnation, Mailboxes, Probe};

use crate::lease::Home;
use crate::registry::Inner;
use crate::side::Side;

/// An [`Inner`] that is `Send` and `Sync` whenever its messages are `Send`.
#[repr(transparent)]
pub(crate) struct Shared<M: Send + 'static, B: Backend, X: Mailboxes, P>(Inner<M, B, X, P>);

// SAFETY: `Shared` has one field, an `Inner`, and `checked` compiles only if that is `Send` for all parameters that this
// implementation covers.
#[expect(unsafe_code, reason = "the compiler rejects the circle that is described above")]
unsafe impl<M: Send + 'static, B: Backend, X: Mailboxes, P: Probe> Send for Shared<M, B, X, P> {}

// SAFETY: As above, for `Sync`.
#[expect(unsafe_code, reason = "the compiler rejects the circle that is described above")]
unsafe impl<M: Send + 'static, B: Backend, X: Mailboxes, P: Probe> Sync for Shared<M, B, X, P> {}

/// Returns its argument, and compiles only while [`Inner`] is `Send` and `Sync` for all parameters.
const fn checked<M, B, X, P>(inner: Inner<M, B, X, P>) -> Inner<M, B, X, P>
where
    M: Send + 'static,
    B: Backend,
    X: Mailboxes,
    P: Probe,
{
    const fn is_send_and_sync<T: Send + Sync>(_: &T) {}
    is_send_and_sync(&inner);
    inner
}

impl<M, B, X, P> From<Inner<M, B, X, P>> for Shared<M, B, X, P>
where
    M: Send + 'static,
    B: Backend,
    X: Mailboxes,
    P: Probe,
{
    fn from(inner: Inner<M, B, X, P>) -> Self {
        Self(checked(inner))
    }
}

impl<M: Send + 'static, B: Backend, X: Mailboxes, P> Deref for Shared<M, B, X, P> {
    type Target = Inner<M, B, X, P>;

    #[inline]
    fn deref(&self) -> &Self::Target {
        &self.0
    }
}

impl<I, M, B, X, P> Home<I> for Shared<M, B, X, P>
where
    I: Side,
    M: Send + 'static,
    B: Backend,
    X: Mailboxes,
    P: Probe,
{
    fn end_lease(&self, hash: u64, id: &I, incarnation: Incarnation) -> bool {
        let (place, id) = (self.place_of_hash(hash), id.as_ref());
        let put_off = self.put_off::<I>(place, id, Some(incarnation));
        let ended = put_off.unwrap_or_else(|| self.0.end::<I>(place, id, Some(incarnation)));
        self.tidy();
        ended
    }

    fn lease_is_current(&self, hash: u64, id: &I, incarnation: Incarnation) -> bool {
        I::table(self).holds(self.place_of_hash(hash), id.as_ref(), incarnation)
    }
}
