//! Work that a call defers to a later one: ends of registrations that cannot be written where they are found, and freeing
//! the members of closed groups.

use std::collections::{HashMap, VecDeque};
use std::sync::PoisonError;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use registry_core::{EndReason, Incarnation, Kind, ServerId, TransportId, reentrancy};

use crate::binding::members::{DetachedMembers, Members};
use crate::endpoint::Endpoint;
use crate::registry::Inner;
use crate::storage::table::Location;
use crate::sync::{Mutex, MutexGuard};
use crate::types::Types;

/// The maximum number of members that the end of a server frees at once. It defers more than that.
const FREED_AT_ONCE: usize = 64;

/// The maximum number of deferred members that a registration or an end of one frees.
const FREED_BY_WRITE: usize = 64;

/// The maximum number of deferred members that a sweep of a shard or a health check frees.
const FREED_BY_SWEEP: usize = 4_096;

/// The deferred work of one registry.
#[derive(Default)]
pub(crate) struct Deferred {
    /// Whether `ends` is not empty, so that checking takes no lock. Always `std`'s atomic: at worst, a later call does
    /// the work.
    has_ends: AtomicBool,
    /// Keyed by incarnation, so that a registration is in it once, however many senders find it dead.
    ends: Mutex<HashMap<u64, DeferredEnd>>,
    has_detached: AtomicBool,
    detached: Mutex<VecDeque<DetachedMembers>>,
}

/// A registration that is to be ended.
struct DeferredEnd {
    kind: Kind,
    location: Location,
    id: Box<[u8]>,
    incarnation: Incarnation,
    reason: EndReason,
}

impl Deferred {
    fn push(&self, end: DeferredEnd) {
        locked(&self.ends).insert(end.incarnation.as_u64(), end);
        self.has_ends.store(true, Ordering::Release);
    }

    fn take_ends(&self) -> HashMap<u64, DeferredEnd> {
        self.has_ends.store(false, Ordering::Relaxed);
        std::mem::take(&mut *locked(&self.ends))
    }

    /// Frees the members of a closed group, later if there are many. The caller must hold no lock.
    pub(crate) fn free(&self, members: Members) {
        if members.len() > FREED_AT_ONCE {
            locked(&self.detached).push_back(members.into());
            self.has_detached.store(true, Ordering::Release);
        }
    }

    /// Frees at most `max` deferred members.
    fn free_deferred(&self, mut max: usize) {
        while max > 0 {
            // Freed with no lock held. No other thread frees from the same group meanwhile, because it is not in the queue.
            let Some(mut members) = locked(&self.detached).pop_front() else {
                return;
            };
            let freed = members.free(max);
            if freed == max {
                locked(&self.detached).push_front(members);
                self.has_detached.store(true, Ordering::Release);
                return;
            }
            max -= freed;
            let is_last = {
                let detached = locked(&self.detached);
                let is_last = detached.is_empty();
                self.has_detached.store(!is_last, Ordering::Relaxed);
                is_last
            };
            if is_last {
                return;
            }
        }
    }

    /// Returns the number of deferred members.
    #[cfg(all(test, not(shuttle)))]
    fn detached_len(&self) -> usize {
        locked(&self.detached).iter().map(DetachedMembers::len).sum()
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // No code under these locks can panic with the data half updated, so a poisoned lock is still consistent.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl<T: Types> Inner<T> {
    /// Ends a registration that was found dead: at once, or after the read that this thread is in.
    pub(crate) fn evict<I: Endpoint>(&self, location: Location, id: &[u8], incarnation: Incarnation) {
        if reentrancy::is_active() {
            let reason = EndReason::MailboxClosed;
            self.deferred.push(DeferredEnd { kind: I::KIND, location, id: id.into(), incarnation, reason });
        } else {
            self.unregister::<I>(location, id, Some(incarnation), EndReason::MailboxClosed);
            self.settle();
        }
    }

    /// Defers the end of a registration if this thread is panicking inside a read, and returns whether the registration
    /// exists. Returns `None` otherwise.
    ///
    /// A destructor that runs because of a panic inside a read must neither block nor panic.
    pub(crate) fn defer_if_panicking<I: Endpoint>(
        &self,
        location: Location,
        id: &[u8],
        incarnation: Option<Incarnation>,
        reason: EndReason,
    ) -> Option<bool> {
        if !reentrancy::is_active() || !thread::panicking() {
            return None;
        }
        let found = I::table(self).peek(location, id, |_, record, _| record.incarnation);
        let found = found.filter(|found| incarnation.is_none_or(|incarnation| incarnation == *found));
        if let Some(incarnation) = found {
            self.deferred.push(DeferredEnd { kind: I::KIND, location, id: id.into(), incarnation, reason });
        }
        Some(found.is_some())
    }

    /// Runs deferred ends, unless this thread is inside a read. One load if there are none.
    #[inline]
    pub(crate) fn settle(&self) {
        if self.deferred.has_ends.load(Ordering::Relaxed) {
            self.run_deferred_ends();
        }
    }

    #[cold]
    fn run_deferred_ends(&self) {
        if reentrancy::is_active() {
            return;
        }
        for DeferredEnd { kind, location, id, incarnation, reason } in self.deferred.take_ends().into_values() {
            let ended = match kind {
                Kind::Server => self.unregister::<ServerId>(location, &id, Some(incarnation), reason),
                Kind::Transport => self.unregister::<TransportId>(location, &id, Some(incarnation), reason),
            };
            // It was ended meanwhile, and the lease that was to be told is gone.
            if !ended && reason == EndReason::Released {
                self.ends.forget(location.shard, incarnation);
            }
        }
    }

    /// Runs deferred ends, and frees a small number of deferred members. Called by writes.
    #[inline]
    pub(crate) fn run_deferred(&self) {
        self.settle();
        if self.deferred.has_detached.load(Ordering::Relaxed) {
            self.deferred.free_deferred(FREED_BY_WRITE);
        }
    }

    /// Like [`run_deferred`](Self::run_deferred), with a larger number of members. Called by sweeps and health checks.
    pub(crate) fn run_deferred_in_background(&self) {
        self.settle();
        self.deferred.free_deferred(FREED_BY_SWEEP);
    }
}

#[cfg(all(test, not(shuttle)))]
mod tests {
    use registry_core::{Backend, ServerId, ToServer, ToTransport, TransportId};

    use super::*;
    use crate::{Registry, mailbox};

    fn the_members_of_a_large_group_are_freed_in_parts<B: Backend>(shards: usize) {
        let registry: Registry<u64, B> = Registry::builder().shards(shards).build().unwrap();
        let (to_server, _inbox) = mailbox::<ToServer<u64>>(1);
        let (to_transport, _inbox) = mailbox::<ToTransport<u64>>(1);
        let bound = |server: &str, transports: usize| {
            let lease = registry.register_server(server, to_server.clone(), ()).unwrap();
            for n in 0..transports {
                let id = TransportId::new(format!("{server}-{n}")).unwrap();
                registry.register_transport_bound_to(id, to_transport.clone(), (), server).unwrap().detach();
            }
            lease
        };
        let deferred = || registry.inner.deferred.detached_len();
        drop(bound("small", FREED_AT_ONCE));
        assert_eq!(deferred(), 0, "a small number is freed at once");

        let (large, other) = (bound("large", 10_000), bound("other", 100));
        drop(large);
        assert_eq!((deferred(), registry.binding_count()), (10_000 - FREED_BY_WRITE, 100));
        let transport = registry.register_transport("t", to_transport.clone(), ()).unwrap();
        assert_eq!(deferred(), 10_000 - 2 * FREED_BY_WRITE);
        drop(transport);
        assert!(!registry.unregister_server("absent"));
        assert_eq!(deferred(), 10_000 - 4 * FREED_BY_WRITE);
        registry.sweep_shard(0, std::time::Instant::now());
        assert_eq!(deferred(), 10_000 - 4 * FREED_BY_WRITE - FREED_BY_SWEEP);
        drop(other);
        for _ in 0..3 {
            registry.sweep_shard(0, std::time::Instant::now());
        }
        assert_eq!(deferred(), 0);
        assert!(!registry.inner.deferred.has_detached.load(Ordering::Relaxed));
        assert_eq!(registry.server_for_transport("large-7"), None::<ServerId>);
    }

    fn reasons_of_ends_are_kept_for_leases_only<B: Backend>(shards: usize) {
        let registry: Registry<u64, B> = Registry::builder().shards(shards).build().unwrap();
        let (to_server, _inbox) = mailbox::<ToServer<u64>>(1);
        let register = || registry.register_server("s", to_server.clone(), ()).unwrap();
        let recorded = || registry.inner.ends.recorded();
        register().detach();
        assert!(registry.unregister_server("s"));
        assert_eq!(recorded(), 0, "there was no lease");
        let lease = register();
        assert!(registry.unregister_server("s"));
        assert_eq!(recorded(), 1);
        drop(lease);
        assert_eq!(recorded(), 0);
        let lease = register();
        assert!(registry.unregister_server("s"));
        lease.detach();
        assert_eq!(recorded(), 0);

        // The lease is dropped by a panic inside a read, which defers its end; meanwhile the id is unregistered.
        let lease = register();
        let panicked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            registry.with_server("s", move |_| {
                let _lease = lease;
                panic!("inside a read");
            })
        }));
        assert!(panicked.is_err());
        assert!(registry.unregister_server("s"));
        assert_eq!((recorded(), registry.server_count()), (0, 0));
    }

    macro_rules! over_every_backend {
        ($($module:ident $Backend:ident),* $(,)?) => {
            $(
                #[test]
                fn $module() {
                    for shards in [1, 64] {
                        the_members_of_a_large_group_are_freed_in_parts::<crate::backends::$Backend>(shards);
                        reasons_of_ends_are_kept_for_leases_only::<crate::backends::$Backend>(shards);
                    }
                }
            )*
        };
    }

    registry_backends::for_every_backend!(over_every_backend);
}
