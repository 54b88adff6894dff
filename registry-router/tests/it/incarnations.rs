//! Incarnations: of two owners of one name the later has the greater one, whatever they do at once.

use std::fmt;
use std::ops::ControlFlow;
use std::sync::{Arc, Mutex};

use registry_core::{Backend, Key, NotInserted, Shard, State, Value};
use registry_router::{Incarnation, Lease, RegisterErrorKind, Registry};

use crate::support::{unread_server_mailbox, unread_transport_mailbox};

over_every_backend! {
    a_later_owner_has_the_greater_incarnation,
    a_later_owner_that_is_born_bound_has_the_greater_incarnation,
    a_server_that_ends_before_the_name_is_won_leaves_nothing_registered,
}

/// What is to be done at the next insertion, before the shard knows of it.
type Before = Arc<Mutex<Option<Box<dyn FnOnce() + Send>>>>;

/// A backend that does something before an insertion, once.
#[derive(Default)]
struct Preceded<B> {
    inner: B,
    before: Before,
}

struct PrecededShard<T> {
    inner: T,
    before: Before,
}

impl<B> fmt::Debug for Preceded<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Preceded").finish_non_exhaustive()
    }
}

impl<B: Backend> Backend for Preceded<B> {
    const NAME: &'static str = B::NAME;

    type Shard<K: Key, V: Value, S: State> = PrecededShard<B::Shard<K, V, S>>;

    fn shard<K: Key, V: Value, S: State>(&self, capacity: usize) -> Self::Shard<K, V, S> {
        PrecededShard { inner: self.inner.shard(capacity), before: Arc::clone(&self.before) }
    }
}

impl<K: Key, V: Value, S: State, T: Shard<K, V, S>> Shard<K, V, S> for PrecededShard<T> {
    fn with<R>(&self, hash: u64, key: &[u8], read: impl FnOnce(&K, &V, &S) -> R) -> Option<R> {
        self.inner.with(hash, key, read)
    }

    fn insert_new_with<E>(
        &self,
        hash: u64,
        key: K,
        value: V,
        state: S,
        complete: impl FnOnce(&mut [V]) -> Result<(), E>,
    ) -> Result<(), NotInserted<V, S, E>> {
        let before = self.before.lock().unwrap().take();
        if let Some(before) = before {
            before();
        }
        self.inner.insert_new_with(hash, key, value, state, complete)
    }

    fn remove_if(&self, hash: u64, key: &[u8], owned: impl FnMut(&K, &V, &S) -> bool) -> bool {
        self.inner.remove_if(hash, key, owned)
    }

    fn for_each(&self, visit: impl FnMut(&K, &V, &S) -> ControlFlow<()>) {
        self.inner.for_each(visit);
    }

    fn len(&self) -> usize {
        self.inner.len()
    }
}

type Subject<B> = Registry<u64, Preceded<B>>;

fn subject<B: Backend>(shards: usize) -> (Subject<B>, Before) {
    let before = Before::default();
    let backend = Preceded { inner: B::default(), before: Arc::clone(&before) };
    (Registry::builder().shards(shards).backend(backend).build().unwrap(), before)
}

/// Has the registry do something in the middle of its next registration, and returns what came of it.
fn meanwhile<B: Backend, R: Send + 'static>(
    registry: &Subject<B>,
    before: &Before,
    act: impl FnOnce(&Subject<B>) -> R + Send + 'static,
) -> Arc<Mutex<Option<R>>> {
    let came_of_it = Arc::new(Mutex::new(None));
    let (registry, there) = (registry.clone(), Arc::clone(&came_of_it));
    *before.lock().unwrap() = Some(Box::new(move || *there.lock().unwrap() = Some(act(&registry))));
    came_of_it
}

fn ended<I>(lease: Lease<I>) -> Incarnation {
    let incarnation = lease.incarnation();
    assert!(lease.release());
    incarnation
}

fn a_later_owner_has_the_greater_incarnation<B: Backend>(shards: usize) {
    let (registry, before) = subject::<B>(shards);
    let rival = meanwhile(&registry, &before, |registry| {
        ended(registry.register_server("s", unread_server_mailbox(), ()).unwrap())
    });
    let mut lease = registry.register_server("s", unread_server_mailbox(), ()).unwrap();
    assert!(Some(lease.incarnation()) > *rival.lock().unwrap());
    assert_eq!(registry.find_server("s").unwrap().incarnation, lease.incarnation());
    // And so when one comes back.
    let rival = meanwhile(&registry, &before, |registry| {
        ended(registry.register_server("s", unread_server_mailbox(), ()).unwrap())
    });
    registry.renew_server(&mut lease, unread_server_mailbox(), ()).unwrap();
    assert!(Some(lease.incarnation()) > *rival.lock().unwrap());
    assert_eq!(registry.find_server("s").unwrap().incarnation, lease.incarnation());
    assert!(lease.release());
}

fn a_later_owner_that_is_born_bound_has_the_greater_incarnation<B: Backend>(shards: usize) {
    let (registry, before) = subject::<B>(shards);
    let s = registry.register_server("s", unread_server_mailbox(), ()).unwrap();
    let rival = meanwhile(&registry, &before, |registry| {
        ended(registry.register_transport_bound_to("t", unread_transport_mailbox(), (), "s").unwrap())
    });
    let lease = registry.register_transport_bound_to("t", unread_transport_mailbox(), (), "s").unwrap();
    assert!(Some(lease.incarnation()) > *rival.lock().unwrap());
    assert_eq!(registry.find_transport("t").unwrap().incarnation, lease.incarnation());
    assert_eq!((registry.transports_of("s"), registry.binding_count()), (vec![lease.id().clone()], 1));
    assert_eq!(registry.server_for_transport("t").as_ref(), Some(s.id()));
    drop(lease);
    assert_eq!(registry.binding_count(), 0);
}

fn a_server_that_ends_before_the_name_is_won_leaves_nothing_registered<B: Backend>(shards: usize) {
    let (registry, before) = subject::<B>(shards);
    registry.register_server("s", unread_server_mailbox(), ()).unwrap().detach();
    meanwhile(&registry, &before, |registry| assert!(registry.unregister_server("s")));
    let refused = registry.register_transport_bound_to("t", unread_transport_mailbox(), (), "s").unwrap_err();
    assert_eq!(refused.kind, RegisterErrorKind::ServerNotFound);
    assert_eq!((registry.transport_count(), registry.binding_count()), (0, 0));
    registry.register_transport("t", refused.mailbox, refused.metadata).unwrap().detach();
}
