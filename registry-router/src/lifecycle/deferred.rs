//! Work that a call leaves to a later one: ends of registrations that were found where nothing may be written, and what
//! the end of a server leaves to be freed.

use std::collections::{HashMap, VecDeque};
use std::sync::PoisonError;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use registry_core::{Backend, Incarnation, Kind, MailboxFamily, Probe, ServerId, TransportId, reentrancy};

use crate::binding::group::{Leftover, Members};
use crate::endpoint::Endpoint;
use crate::registry::Inner;
use crate::seeded::SeededBug;
use crate::storage::table::Location;
use crate::sync::{Mutex, MutexGuard};

/// A server's end frees the names of its transports itself if there are at most so many, and leaves them otherwise.
const FREED_AT_ONCE: usize = 64;

/// How many names a registration or an end frees of those that were left.
const FREED_BY_WRITE: usize = 64;

/// How many names the sweep of a shard and a check of the health free of those that were left.
const FREED_BY_SWEEP: usize = 4_096;

/// What is left to be done in one registry.
#[derive(Default)]
pub(crate) struct Deferred {
    /// Whether there are ends, so that asking takes no lock. A plain atomic: at worst the next call asks again.
    has_ends: AtomicBool,
    /// By incarnation, so that a registration is in it once, however many messages find it dead.
    ends: Mutex<HashMap<u64, End>>,
    has_leftovers: AtomicBool,
    leftovers: Mutex<VecDeque<Leftover>>,
}

/// A registration that is to be ended.
struct End {
    kind: Kind,
    location: Location,
    id: Box<[u8]>,
    incarnation: Incarnation,
}

impl Deferred {
    fn push(&self, end: End) {
        locked(&self.ends).insert(end.incarnation.as_u64(), end);
        self.has_ends.store(true, Ordering::Release);
    }

    fn take_ends(&self) -> HashMap<u64, End> {
        self.has_ends.store(false, Ordering::Relaxed);
        std::mem::take(&mut *locked(&self.ends))
    }

    /// Takes what the end of a server has left. To be called with nothing held.
    pub(crate) fn leave(&self, members: Members) {
        if members.len() > FREED_AT_ONCE {
            locked(&self.leftovers).push_back(members.into());
            self.has_leftovers.store(true, Ordering::Release);
        }
    }

    /// Frees at most so many of the names that were left.
    fn free(&self, mut most: usize) {
        while most > 0 {
            // Freed with nothing held, and by one at a time: what another one has taken comes back when it is done.
            let Some(mut leftover) = locked(&self.leftovers).pop_front() else {
                return;
            };
            let freed = leftover.free(most);
            if freed == most {
                locked(&self.leftovers).push_front(leftover);
                self.has_leftovers.store(true, Ordering::Release);
                return;
            }
            most -= freed;
            let is_last = {
                let leftovers = locked(&self.leftovers);
                let is_last = leftovers.is_empty();
                self.has_leftovers.store(!is_last, Ordering::Relaxed);
                is_last
            };
            if is_last {
                return;
            }
        }
    }

    /// Returns how many names are left to be freed.
    #[cfg(all(test, not(shuttle)))]
    fn left(&self) -> usize {
        locked(&self.leftovers).iter().map(Leftover::len).sum()
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // Nothing in here calls code that can panic half-way.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl<M, B, X, P> Inner<M, B, X, P>
where
    M: Send + 'static,
    B: Backend,
    X: MailboxFamily,
    P: Probe,
{
    /// Ends a registration whose owner was found dead: at once, or when the read has ended that this thread is in.
    pub(crate) fn evict<I: Endpoint>(&self, location: Location, id: &[u8], incarnation: Incarnation) {
        if reentrancy::is_active() {
            self.deferred.push(End { kind: I::KIND, location, id: id.into(), incarnation });
        } else {
            let which = Some(incarnation).filter(|_| !SeededBug::ClosedRemovesByName.is_on());
            self.end::<I>(location, id, which);
            self.settle();
        }
    }

    /// Leaves the end of a registration to a later call if it cannot be ended now, and says whether that one is there:
    /// a destructor that runs because of a panic inside a read must neither wait nor panic.
    pub(crate) fn put_off<I: Endpoint>(
        &self,
        location: Location,
        id: &[u8],
        which: Option<Incarnation>,
    ) -> Option<bool> {
        if !reentrancy::is_active() || !thread::panicking() {
            return None;
        }
        let found = I::table(self).peek(location, id, |_, record, _| record.incarnation);
        let incarnation = found.filter(|found| which.is_none_or(|which| which == *found));
        if let Some(incarnation) = incarnation {
            self.deferred.push(End { kind: I::KIND, location, id: id.into(), incarnation });
        }
        Some(incarnation.is_some())
    }

    /// Ends what was to be ended, unless this thread is still inside a read. One load if there is nothing.
    #[inline]
    pub(crate) fn settle(&self) {
        if self.deferred.has_ends.load(Ordering::Relaxed) {
            self.end_deferred();
        }
    }

    #[cold]
    fn end_deferred(&self) {
        if reentrancy::is_active() {
            return;
        }
        for End { kind, location, id, incarnation } in self.deferred.take_ends().into_values() {
            match kind {
                Kind::Server => self.end::<ServerId>(location, &id, Some(incarnation)),
                Kind::Transport => self.end::<TransportId>(location, &id, Some(incarnation)),
            };
        }
    }

    /// Does a share of what was left by earlier calls; for those that write.
    #[inline]
    pub(crate) fn tidy(&self) {
        self.settle();
        if self.deferred.has_leftovers.load(Ordering::Relaxed) {
            self.deferred.free(FREED_BY_WRITE);
        }
    }

    /// As [`tidy`](Self::tidy), for those that have time.
    pub(crate) fn tidy_up(&self) {
        self.settle();
        self.deferred.free(FREED_BY_SWEEP);
    }
}

#[cfg(all(test, not(shuttle)))]
mod tests {
    use registry_core::{ServerId, ToServer, ToTransport, TransportId};

    use super::*;
    use crate::{Registry, mailbox};

    fn the_end_of_a_server_leaves_its_bindings_to_be_freed_in_pieces<B: Backend>(shards: usize) {
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
        let left = || registry.inner.deferred.left();
        drop(bound("small", FREED_AT_ONCE));
        assert_eq!(left(), 0, "a few are freed at once");

        let (large, other) = (bound("large", 10_000), bound("other", 100));
        drop(large);
        assert_eq!((left(), registry.binding_count()), (10_000 - FREED_BY_WRITE, 100));
        let transport = registry.register_transport("t", to_transport.clone(), ()).unwrap();
        assert_eq!(left(), 10_000 - 2 * FREED_BY_WRITE);
        drop(transport);
        assert!(!registry.unregister_server("absent"));
        assert_eq!(left(), 10_000 - 4 * FREED_BY_WRITE);
        registry.sweep_shard(0, std::time::Instant::now());
        assert_eq!(left(), 10_000 - 4 * FREED_BY_WRITE - FREED_BY_SWEEP);
        drop(other);
        for _ in 0..3 {
            registry.sweep_shard(0, std::time::Instant::now());
        }
        assert_eq!(left(), 0);
        assert!(!registry.inner.deferred.has_leftovers.load(Ordering::Relaxed));
        assert_eq!(registry.server_for_transport("large-7"), None::<ServerId>);
    }

    macro_rules! over_every_backend {
        ($($module:ident $Backend:ident),* $(,)?) => {
            $(
                #[test]
                fn $module() {
                    for shards in [1, 64] {
                        the_end_of_a_server_leaves_its_bindings_to_be_freed_in_pieces::<crate::backends::$Backend>(shards);
                    }
                }
            )*
        };
    }

    registry_backends::for_every_backend!(over_every_backend);
}
