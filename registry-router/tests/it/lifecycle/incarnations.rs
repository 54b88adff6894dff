//! Incarnations: the later of two registrations of one id has the greater one, also under concurrency.

use std::fmt;
use std::ops::ControlFlow;
use std::sync::{Arc, Mutex};

use registry_core::{Backend, Key, NotInserted, Shard, State, Value};
use registry_router::{Incarnation, Lease, RegisterErrorKind, Registry};

use crate::support::{unread_server_mailbox, unread_transport_mailbox};

test_every_backend! {
    a_later_registration_has_the_greater_incarnation,
    a_later_bound_registration_has_the_greater_incarnation,
    a_server_removed_during_a_bound_registration_leaves_nothing_registered,
}

/// Runs once, before the next insertion reaches its shard.
type Hook = Arc<Mutex<Option<Box<dyn FnOnce() + Send>>>>;

/// A backend that runs a hook before an insertion.
#[derive(Default)]
struct InterposedBackend<B> {
    inner: B,
    hook: Hook,
}

struct InterposedShard<T> {
    inner: T,
    hook: Hook,
}

impl<B> fmt::Debug for InterposedBackend<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("InterposedBackend").finish_non_exhaustive()
    }
}

impl<B: Backend> Backend for InterposedBackend<B> {
    const NAME: &'static str = B::NAME;

    type Shard<K: Key, V: Value, S: State> = InterposedShard<B::Shard<K, V, S>>;

    fn shard<K: Key, V: Value, S: State>(&self, capacity: usize) -> Self::Shard<K, V, S> {
        InterposedShard { inner: self.inner.shard(capacity), hook: Arc::clone(&self.hook) }
    }
}

impl<K: Key, V: Value, S: State, T: Shard<K, V, S>> Shard<K, V, S> for InterposedShard<T> {
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
        let hook = self.hook.lock().unwrap().take();
        if let Some(hook) = hook {
            hook();
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

type InterposedRegistry<B> = Registry<u64, InterposedBackend<B>>;

fn interposed_registry<B: Backend>(shards: usize) -> (InterposedRegistry<B>, Hook) {
    let hook = Hook::default();
    let backend = InterposedBackend { inner: B::default(), hook: Arc::clone(&hook) };
    (Registry::builder().shards(shards).backend(backend).build().unwrap(), hook)
}

/// Sets the hook to run `act` during the next registration; the returned cell receives its result.
fn during_next_insert<B: Backend, R: Send + 'static>(
    registry: &InterposedRegistry<B>,
    hook: &Hook,
    act: impl FnOnce(&InterposedRegistry<B>) -> R + Send + 'static,
) -> Arc<Mutex<Option<R>>> {
    let outcome = Arc::new(Mutex::new(None));
    let (registry, result) = (registry.clone(), Arc::clone(&outcome));
    *hook.lock().unwrap() = Some(Box::new(move || *result.lock().unwrap() = Some(act(&registry))));
    outcome
}

fn release<I>(lease: Lease<I>) -> Incarnation {
    let incarnation = lease.incarnation();
    assert!(lease.release());
    incarnation
}

fn a_later_registration_has_the_greater_incarnation<B: Backend>(shards: usize) {
    let (registry, hook) = interposed_registry::<B>(shards);
    let rival = during_next_insert(&registry, &hook, |registry| {
        release(registry.register_server("s", unread_server_mailbox(), ()).unwrap())
    });
    let mut lease = registry.register_server("s", unread_server_mailbox(), ()).unwrap();
    assert!(Some(lease.incarnation()) > *rival.lock().unwrap());
    assert_eq!(registry.find_server("s").unwrap().incarnation, lease.incarnation());
    // The same for a renewal.
    let rival = during_next_insert(&registry, &hook, |registry| {
        release(registry.register_server("s", unread_server_mailbox(), ()).unwrap())
    });
    registry.renew_server(&mut lease, unread_server_mailbox(), ()).unwrap();
    assert!(Some(lease.incarnation()) > *rival.lock().unwrap());
    assert_eq!(registry.find_server("s").unwrap().incarnation, lease.incarnation());
    assert!(lease.release());
}

fn a_later_bound_registration_has_the_greater_incarnation<B: Backend>(shards: usize) {
    let (registry, hook) = interposed_registry::<B>(shards);
    let s = registry.register_server("s", unread_server_mailbox(), ()).unwrap();
    let rival = during_next_insert(&registry, &hook, |registry| {
        release(registry.register_transport_bound_to("t", unread_transport_mailbox(), (), "s").unwrap())
    });
    let lease = registry.register_transport_bound_to("t", unread_transport_mailbox(), (), "s").unwrap();
    assert!(Some(lease.incarnation()) > *rival.lock().unwrap());
    assert_eq!(registry.find_transport("t").unwrap().incarnation, lease.incarnation());
    assert_eq!((registry.transports_of("s"), registry.binding_count()), (vec![lease.id().clone()], 1));
    assert_eq!(registry.server_for_transport("t").as_ref(), Some(s.id()));
    drop(lease);
    assert_eq!(registry.binding_count(), 0);
}

fn a_server_removed_during_a_bound_registration_leaves_nothing_registered<B: Backend>(shards: usize) {
    let (registry, hook) = interposed_registry::<B>(shards);
    registry.register_server("s", unread_server_mailbox(), ()).unwrap().detach();
    during_next_insert(&registry, &hook, |registry| assert!(registry.unregister_server("s")));
    let refused = registry.register_transport_bound_to("t", unread_transport_mailbox(), (), "s").unwrap_err();
    assert_eq!(refused.kind(), &RegisterErrorKind::ServerNotFound);
    assert_eq!((registry.transport_count(), registry.binding_count()), (0, 0));
    let (_, mailbox, metadata) = refused.into_parts();
    registry.register_transport("t", mailbox, metadata).unwrap().detach();
}
