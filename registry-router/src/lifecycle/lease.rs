//! Leases: RAII ownership of one registration, which ends when the lease is dropped.

use std::fmt;
use std::sync::Weak;

use registry_core::api::Ownership;
use registry_core::{EndReason, Incarnation, ServerId, TransportId};

use super::ends::EndWaiter;

/// The lease of a server's registration.
pub type ServerLease = Lease<ServerId>;

/// The lease of a transport's registration.
pub type TransportLease = Lease<TransportId>;

/// Ownership of one registration, which ends when the lease is dropped.
///
/// Returned by [`Registry::register_server`](crate::Registry::register_server) and
/// [`Registry::register_transport`](crate::Registry::register_transport).
///
/// Dropping a lease ends its own registration and no other: it has no effect if the id has been unregistered and
/// registered again since. This also holds during a panic, and after the registry has been dropped.
/// A lease does not keep its registry alive.
///
/// Bind a lease to a named variable. `let _ = registry.register_server(…)?` drops it at once, which ends the registration.
///
/// # Panics
///
/// Dropping a lease inside a closure that reads the registry panics. If the thread is panicking already, the
/// registration ends after the read instead.
///
/// # Examples
///
/// ```
/// use registry_router::{Registry, mailbox};
///
/// let registry = Registry::<String>::builder().build()?;
/// let (to_server, _inbox) = mailbox(16);
/// let lease = registry.register_server("tools", to_server, ())?;
/// assert_eq!(registry.server_count(), 1);
///
/// drop(lease);
/// assert_eq!(registry.server_count(), 0);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[must_use = "the registration ends when its lease is dropped, with `let _ = …` at once: bind it to a named variable"]
pub struct Lease<I> {
    /// `None` after the lease has been released or detached.
    owner: Option<Weak<dyn LeaseOwner<I>>>,
    id: I,
    hash: u64,
    incarnation: Incarnation,
}

impl<I> Lease<I> {
    /// Returns the id that is registered.
    ///
    /// # Examples
    ///
    /// ```
    /// use registry_router::{Registry, mailbox};
    ///
    /// let registry = Registry::<String>::builder().build()?;
    /// let (to_server, _inbox) = mailbox(16);
    /// let lease = registry.register_server("tools", to_server, ())?;
    /// assert_eq!(lease.id(), &"tools");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn id(&self) -> &I {
        &self.id
    }

    /// Returns the incarnation of the registration, which no other registration of the registry has.
    ///
    /// # Examples
    ///
    /// ```
    /// use registry_router::{Registry, mailbox};
    ///
    /// let registry = Registry::<String>::builder().build()?;
    /// let (to_server, _inbox) = mailbox(16);
    /// let lease = registry.register_server("tools", to_server, ())?;
    /// let found = registry.find_server("tools").ok_or("not found")?;
    /// assert_eq!(found.incarnation, lease.incarnation());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn incarnation(&self) -> Incarnation {
        self.incarnation
    }

    /// Returns whether the registration has not ended. One lookup, which is not counted in the statistics.
    ///
    /// # Examples
    ///
    /// ```
    /// use registry_router::{Registry, mailbox};
    ///
    /// let registry = Registry::<String>::builder().build()?;
    /// let (to_server, _inbox) = mailbox(16);
    /// let lease = registry.register_server("tools", to_server, ())?;
    /// assert!(lease.is_current());
    /// registry.unregister_server("tools");
    /// assert!(!lease.is_current());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn is_current(&self) -> bool {
        let owner = self.owner.as_ref().and_then(Weak::upgrade);
        owner.is_some_and(|owner| owner.lease_is_current(self.hash, &self.id, self.incarnation))
    }

    /// Ends the registration, and returns whether it had not ended before.
    ///
    /// # Examples
    ///
    /// ```
    /// use registry_router::{Registry, mailbox};
    ///
    /// let registry = Registry::<String>::builder().build()?;
    /// let (to_server, _inbox) = mailbox(16);
    /// let lease = registry.register_server("tools", to_server, ())?;
    /// assert!(lease.release());
    /// assert_eq!(registry.server_count(), 0);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn release(mut self) -> bool {
        self.release_once()
    }

    /// Drops the lease without ending the registration.
    ///
    /// The registration then ends when it is unregistered by its id, or when it is removed because its mailbox is
    /// closed.
    ///
    /// # Examples
    ///
    /// ```
    /// use registry_router::{Registry, mailbox};
    ///
    /// let registry = Registry::<String>::builder().build()?;
    /// let (to_server, _inbox) = mailbox(16);
    /// let lease = registry.register_server("tools", to_server, ())?;
    /// lease.detach();
    /// assert_eq!(registry.server_count(), 1);
    /// assert!(registry.unregister_server("tools"));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn detach(mut self) {
        if let Some(owner) = self.owner.take().and_then(|owner| owner.upgrade()) {
            owner.detach_lease(self.hash, &self.id, self.incarnation);
        }
    }

    /// Returns why the registration has ended, or `None` if it has not ended. One lookup, which is not counted in the
    /// statistics.
    ///
    /// # Examples
    ///
    /// ```
    /// use registry_router::{EndReason, Registry, mailbox};
    ///
    /// let registry = Registry::<String>::builder().build()?;
    /// let (to_server, _inbox) = mailbox(16);
    /// let lease = registry.register_server("tools", to_server, ())?;
    /// assert_eq!(lease.end_reason(), None);
    /// registry.unregister_server("tools");
    /// assert_eq!(lease.end_reason(), Some(EndReason::Unregistered));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn end_reason(&self) -> Option<EndReason> {
        match self.owner.as_ref()?.upgrade() {
            Some(owner) => owner.lease_end_reason(self.hash, &self.id, self.incarnation),
            None => Some(EndReason::RegistryDropped),
        }
    }

    /// Waits until the registration has ended, and returns the reason.
    ///
    /// Completes at once if it has ended before. By then the id is free. The inbox ends at the same moment if the
    /// registration held the last sending end of the mailbox, so an owner that only loops over its inbox does not need
    /// this. Does not keep the registry alive.
    ///
    /// # Cancel safety
    ///
    /// Cancel-safe: an end is not missed if the future is dropped and the method called again.
    ///
    /// # Examples
    ///
    /// ```
    /// use registry_router::{EndReason, Registry, mailbox};
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let registry = Registry::<String>::builder().build()?;
    /// let (to_server, mut inbox) = mailbox(16);
    /// let lease = registry.register_server("tools", to_server, ())?;
    ///
    /// let (reason, message) = tokio::join!(lease.ended(), async {
    ///     registry.unregister_server("tools");
    ///     inbox.recv().await
    /// });
    /// assert_eq!(reason, EndReason::Unregistered);
    /// assert!(message.is_none());
    /// # Ok(())
    /// # }
    /// ```
    pub async fn ended(&self) -> EndReason {
        let Some(owner) = self.owner.as_ref().and_then(Weak::upgrade) else {
            return EndReason::RegistryDropped;
        };
        let waiter = owner.lease_end_waiter(self.hash, self.incarnation);
        drop(owner);
        waiter.ended(|| self.is_current()).await;
        self.end_reason().unwrap_or(EndReason::RegistryDropped)
    }

    pub(crate) fn new(owner: Weak<dyn LeaseOwner<I>>, hash: u64, id: I, incarnation: Incarnation) -> Self {
        Self { owner: Some(owner), id, hash, incarnation }
    }

    pub(crate) fn hash(&self) -> u64 {
        self.hash
    }

    /// Returns the address of the registry, which may have been dropped; null after a release.
    pub(crate) fn owner(&self) -> *const () {
        self.owner.as_ref().map_or(std::ptr::null(), |owner| owner.as_ptr().cast())
    }

    /// Makes this the lease of another registration of its id.
    pub(crate) fn renewed(&mut self, incarnation: Incarnation) {
        self.incarnation = incarnation;
    }

    /// Ends the registration unless the lease has been released or detached.
    fn release_once(&mut self) -> bool {
        let owner = self.owner.take().and_then(|owner| owner.upgrade());
        owner.is_some_and(|owner| owner.end_lease(self.hash, &self.id, self.incarnation))
    }
}

impl<I> Drop for Lease<I> {
    fn drop(&mut self) {
        self.release_once();
    }
}

impl<I: Send + Sync> Ownership for Lease<I> {
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

    fn end_reason(&self) -> Option<EndReason> {
        self.end_reason()
    }

    fn ended(&self) -> impl Future<Output = EndReason> + Send {
        self.ended()
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

/// A registry as a lease sees it, independent of the registry's type parameters.
pub(crate) trait LeaseOwner<I>: Send + Sync {
    /// Ends a registration, and returns whether it had not ended before.
    fn end_lease(&self, hash: u64, id: &I, incarnation: Incarnation) -> bool;

    /// Returns whether a registration has not ended.
    fn lease_is_current(&self, hash: u64, id: &I, incarnation: Incarnation) -> bool;

    /// Records that a registration has no lease any more.
    fn detach_lease(&self, hash: u64, id: &I, incarnation: Incarnation);

    /// Returns why a registration has ended, or `None` if it has not ended.
    fn lease_end_reason(&self, hash: u64, id: &I, incarnation: Incarnation) -> Option<EndReason>;

    /// Starts waiting for the end of a registration.
    fn lease_end_waiter(&self, hash: u64, incarnation: Incarnation) -> EndWaiter;
}
