//! The shared state as a type that is `Send` and `Sync` whenever the messages are `Send`.
//!
//! A message may contain a handle to the registry that it is sent through. Then `M: Send` requires
//! `Registry<M>: Send`, which requires `Inner<M>: Sync`, which requires `M: Send`. The compiler accepts such a cycle if
//! it consists of auto traits only, but the fields of [`Inner`] are projections
//! (`<X as MailboxFamily>::Mailbox<ToServer<M>>`) whose own bounds require `M: Send`, and a cycle through those is an
//! error. Therefore the two auto traits are implemented by hand here, for all `M: Send`, and the compiler verifies them
//! in a function where `M` is a parameter and there is no cycle.

use std::ops::Deref;

use registry_core::{Backend, EndReason, Incarnation, MailboxFamily, Probe};

use crate::endpoint::Endpoint;
use crate::lifecycle::ends::EndWaiter;
use crate::lifecycle::lease::LeaseOwner;
use crate::registry::Inner;
use crate::types::{Types, TypesOf};

/// An [`Inner`] that is `Send` and `Sync` whenever its messages are `Send`.
#[repr(transparent)]
pub(crate) struct Shared<M: Send + 'static, B: Backend, X: MailboxFamily, P: Probe>(Inner<TypesOf<M, B, X, P>>);

// SAFETY: The only field of `Shared` is an `Inner`, and `assert_send_sync` compiles only if that is `Send` for all
// parameters that this implementation covers.
#[expect(unsafe_code, reason = "the compiler rejects the cycle that is described above")]
unsafe impl<M: Send + 'static, B: Backend, X: MailboxFamily, P: Probe> Send for Shared<M, B, X, P> {}

// SAFETY: As above, for `Sync`.
#[expect(unsafe_code, reason = "the compiler rejects the cycle that is described above")]
unsafe impl<M: Send + 'static, B: Backend, X: MailboxFamily, P: Probe> Sync for Shared<M, B, X, P> {}

/// Returns its argument, and compiles only while [`Inner`] is `Send` and `Sync` for all parameters.
const fn assert_send_sync<T: Types>(inner: Inner<T>) -> Inner<T> {
    const fn require<T: Send + Sync>(_: &T) {}
    require(&inner);
    inner
}

impl<M, B, X, P> From<Inner<TypesOf<M, B, X, P>>> for Shared<M, B, X, P>
where
    M: Send + 'static,
    B: Backend,
    X: MailboxFamily,
    P: Probe,
{
    fn from(inner: Inner<TypesOf<M, B, X, P>>) -> Self {
        Self(assert_send_sync(inner))
    }
}

impl<M: Send + 'static, B: Backend, X: MailboxFamily, P: Probe> Deref for Shared<M, B, X, P> {
    type Target = Inner<TypesOf<M, B, X, P>>;

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
        let ended = self.unregister_or_defer::<I>(location, id, Some(incarnation), EndReason::Released);
        if !ended {
            self.ends.forget(location.shard, incarnation);
        }
        ended
    }

    fn detach_lease(&self, hash: u64, id: &I, incarnation: Incarnation) {
        let location = self.location_of_hash(hash);
        let detached = I::table(self)
            .peek(location, id.as_ref(), |_, record, slot| record.incarnation == incarnation && slot.detach_lease());
        if detached != Some(true) {
            self.ends.forget(location.shard, incarnation);
        }
    }

    fn lease_end_reason(&self, hash: u64, id: &I, incarnation: Incarnation) -> Option<EndReason> {
        let location = self.location_of_hash(hash);
        let is_current = I::table(self).holds(location, id.as_ref(), incarnation);
        // Only a renewal that failed half-way leaves a lease whose registration it has ended itself.
        (!is_current).then(|| self.ends.reason(location.shard, incarnation).unwrap_or(EndReason::Released))
    }

    fn lease_end_waiter(&self, hash: u64, incarnation: Incarnation) -> EndWaiter {
        self.ends.wait_for(self.location_of_hash(hash).shard, incarnation)
    }

    fn lease_is_current(&self, hash: u64, id: &I, incarnation: Incarnation) -> bool {
        I::table(self).holds(self.location_of_hash(hash), id.as_ref(), incarnation)
    }
}
