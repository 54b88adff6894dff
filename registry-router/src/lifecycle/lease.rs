//! Ownership of one registration: while the lease lives the name is taken, and dropping it frees exactly that name.

use std::fmt;
use std::sync::Weak;

use registry_core::api::Ownership;
use registry_core::{Incarnation, ServerId, TransportId};

/// A lease on a server's name.
pub type ServerLease = Lease<ServerId>;

/// A lease on a transport's name.
pub type TransportLease = Lease<TransportId>;

/// Ownership of one registration of an id.
///
/// Dropping it ends that registration and no other: if the id has been unregistered and taken again since, nothing
/// happens.
/// That holds in a panic too, and when the registry itself has been dropped.
/// A lease does not keep its registry alive.
///
/// A lease must not be dropped inside a closure that reads the registry: that panics, unless the thread is panicking
/// already; then the registration ends when the read has.
#[must_use = "dropping a lease ends its registration at once"]
pub struct Lease<I> {
    /// `None` once the lease has let go of its registration.
    owner: Option<Weak<dyn LeaseOwner<I>>>,
    id: I,
    hash: u64,
    incarnation: Incarnation,
}

/// What a lease needs of its registry, whatever the registry's own type parameters.
pub(crate) trait LeaseOwner<I>: Send + Sync {
    /// Ends that registration, and says whether it was there.
    fn end_lease(&self, hash: u64, id: &I, incarnation: Incarnation) -> bool;

    /// Whether that registration is there.
    fn lease_is_current(&self, hash: u64, id: &I, incarnation: Incarnation) -> bool;
}

impl<I> Lease<I> {
    pub(crate) fn new(owner: Weak<dyn LeaseOwner<I>>, hash: u64, id: I, incarnation: Incarnation) -> Self {
        Self { owner: Some(owner), id, hash, incarnation }
    }

    pub(crate) fn hash(&self) -> u64 {
        self.hash
    }

    /// Where its registry is, or was; null for one that has let go.
    pub(crate) fn owner(&self) -> *const () {
        self.owner.as_ref().map_or(std::ptr::null(), |owner| owner.as_ptr().cast())
    }

    /// From now on it owns this registration of its id.
    pub(crate) fn renewed(&mut self, incarnation: Incarnation) {
        self.incarnation = incarnation;
    }

    /// The id that is registered.
    pub fn id(&self) -> &I {
        &self.id
    }

    /// Which registration of that id this lease owns.
    pub fn incarnation(&self) -> Incarnation {
        self.incarnation
    }

    /// Whether that registration is still there. One lookup, which no statistics count.
    pub fn is_current(&self) -> bool {
        let owner = self.owner.as_ref().and_then(Weak::upgrade);
        owner.is_some_and(|owner| owner.lease_is_current(self.hash, &self.id, self.incarnation))
    }

    /// Ends the registration now, and says whether it was still there.
    pub fn release(mut self) -> bool {
        self.end()
    }

    /// Leaves the registration in place.
    ///
    /// From now on it ends when it is unregistered by name, or when a message finds its mailbox closed.
    pub fn detach(mut self) {
        self.owner = None;
    }

    fn end(&mut self) -> bool {
        let owner = self.owner.take().and_then(|owner| owner.upgrade());
        owner.is_some_and(|owner| owner.end_lease(self.hash, &self.id, self.incarnation))
    }
}

impl<I> Drop for Lease<I> {
    fn drop(&mut self) {
        self.end();
    }
}

impl<I> Ownership for Lease<I> {
    type Id = I;

    fn id(&self) -> &I {
        self.id()
    }

    fn incarnation(&self) -> Incarnation {
        self.incarnation()
    }

    fn is_current(&self) -> bool {
        self.is_current()
    }

    fn release(self) -> bool {
        self.release()
    }

    fn detach(self) {
        self.detach();
    }
}

impl<I: fmt::Debug> fmt::Debug for Lease<I> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Lease").field("id", &self.id).field("incarnation", &self.incarnation).finish_non_exhaustive()
    }
}
