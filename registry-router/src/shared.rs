//! What the handles of a registry share, as a type whose thread safety depends on the messages alone.
//!
//! A message may hold a handle of the registry that it is sent through. Then `M: Send` needs `Registry<M>: Send`, which
//! needs `Inner<M>: Sync`. The compiler accepts such a circle where it consists of auto traits, but the fields of
//! [`Inner`] are projections (`<X as MailboxFamily>::Mailbox<ToServer<M>>`) whose own bounds ask for `M: Send`, and a circle
//! through those is an error. So the two auto traits are promised here, for all `M: Send`, and the compiler checks the
//! promise where `M` is a parameter and no circle exists.

use std::ops::Deref;

use registry_core::{Backend, Incarnation, MailboxFamily, Probe};

use crate::endpoint::Endpoint;
use crate::lifecycle::lease::LeaseOwner;
use crate::registry::Inner;

/// An [`Inner`] that is `Send` and `Sync` whenever its messages are `Send`.
#[repr(transparent)]
pub(crate) struct Shared<M: Send + 'static, B: Backend, X: MailboxFamily, P>(Inner<M, B, X, P>);

// SAFETY: `Shared` has one field, an `Inner`, and `checked` compiles only if that is `Send` for all parameters that this
// implementation covers.
#[expect(unsafe_code, reason = "the compiler rejects the circle that is described above")]
unsafe impl<M: Send + 'static, B: Backend, X: MailboxFamily, P: Probe> Send for Shared<M, B, X, P> {}

// SAFETY: As above, for `Sync`.
#[expect(unsafe_code, reason = "the compiler rejects the circle that is described above")]
unsafe impl<M: Send + 'static, B: Backend, X: MailboxFamily, P: Probe> Sync for Shared<M, B, X, P> {}

/// Returns its argument, and compiles only while [`Inner`] is `Send` and `Sync` for all parameters.
const fn checked<M, B, X, P>(inner: Inner<M, B, X, P>) -> Inner<M, B, X, P>
where
    M: Send + 'static,
    B: Backend,
    X: MailboxFamily,
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
    X: MailboxFamily,
    P: Probe,
{
    fn from(inner: Inner<M, B, X, P>) -> Self {
        Self(checked(inner))
    }
}

impl<M: Send + 'static, B: Backend, X: MailboxFamily, P> Deref for Shared<M, B, X, P> {
    type Target = Inner<M, B, X, P>;

    #[inline]
    fn deref(&self) -> &Self::Target {
        &self.0
    }
}

impl<I, M, B, X, P> LeaseOwner<I> for Shared<M, B, X, P>
where
    I: Endpoint,
    M: Send + 'static,
    B: Backend,
    X: MailboxFamily,
    P: Probe,
{
    fn end_lease(&self, hash: u64, id: &I, incarnation: Incarnation) -> bool {
        let (location, id) = (self.location_of_hash(hash), id.as_ref());
        let put_off = self.put_off::<I>(location, id, Some(incarnation));
        let ended = put_off.unwrap_or_else(|| self.0.end::<I>(location, id, Some(incarnation)));
        self.tidy();
        ended
    }

    fn lease_is_current(&self, hash: u64, id: &I, incarnation: Incarnation) -> bool {
        I::table(self).holds(self.location_of_hash(hash), id.as_ref(), incarnation)
    }
}
