//! The cost of a removal, in accesses to shards: independent of the number of bound transports and of other entries.

use std::cell::Cell;
use std::ops::ControlFlow;

use registry_core::{Backend, Key, NotInserted, Shard, State, Value};
use registry_router::Registry;

use crate::support::{unread_server_mailbox, unread_transport_mailbox};

test_every_backend! {
    removing_a_server_costs_the_same_with_any_number_of_transports,
    removing_an_entry_costs_the_same_among_any_number_of_entries,
}

thread_local! {
    /// Calls to shards by this thread, plus entries visited.
    static ACCESSES: Cell<usize> = const { Cell::new(0) };
}

fn record_access() {
    ACCESSES.set(ACCESSES.get() + 1);
}

/// Returns the number of accesses that `act` makes.
fn accesses(act: impl FnOnce()) -> usize {
    let before = ACCESSES.get();
    act();
    ACCESSES.get() - before
}

/// A backend that counts the accesses to its shards.
#[derive(Debug, Default)]
struct Counting<B>(B);

struct CountingShard<T>(T);

impl<B: Backend> Backend for Counting<B> {
    const NAME: &'static str = B::NAME;

    type Shard<K: Key, V: Value, S: State> = CountingShard<B::Shard<K, V, S>>;

    fn shard<K: Key, V: Value, S: State>(&self, capacity: usize) -> Self::Shard<K, V, S> {
        CountingShard(self.0.shard(capacity))
    }
}

impl<K: Key, V: Value, S: State, T: Shard<K, V, S>> Shard<K, V, S> for CountingShard<T> {
    fn with<R>(&self, hash: u64, key: &[u8], read: impl FnOnce(&K, &V, &S) -> R) -> Option<R> {
        record_access();
        self.0.with(hash, key, read)
    }

    fn insert_new_with<E>(
        &self,
        hash: u64,
        key: K,
        value: V,
        state: S,
        complete: impl FnOnce(&mut [V]) -> Result<(), E>,
    ) -> Result<(), NotInserted<V, S, E>> {
        record_access();
        self.0.insert_new_with(hash, key, value, state, complete)
    }

    fn remove_if(&self, hash: u64, key: &[u8], owned: impl FnMut(&K, &V, &S) -> bool) -> bool {
        record_access();
        self.0.remove_if(hash, key, owned)
    }

    fn for_each(&self, mut visit: impl FnMut(&K, &V, &S) -> ControlFlow<()>) {
        self.0.for_each(|key, value, state| {
            record_access();
            visit(key, value, state)
        });
    }

    fn len(&self) -> usize {
        self.0.len()
    }
}

fn removing_a_server_costs_the_same_with_any_number_of_transports<B: Backend>(shards: usize) {
    let cost = [0, 1, 1_000].map(|transports| {
        let registry = Registry::<u64, Counting<B>>::builder().shards(shards).build().unwrap();
        let server = registry.register_server("s", unread_server_mailbox(), ()).unwrap();
        for number in 0..transports {
            let id = format!("t{number}");
            registry.register_transport_bound_to(id, unread_transport_mailbox(), (), "s").unwrap().detach();
        }
        assert_eq!(registry.binding_count(), transports);
        let cost = accesses(|| drop(server));
        assert_eq!(registry.binding_count(), 0);
        cost
    });
    assert_eq!(cost, [cost[0]; 3], "cost by number of bound transports");
    assert!(cost[0] > 0);
}

fn removing_an_entry_costs_the_same_among_any_number_of_entries<B: Backend>(shards: usize) {
    let cost = [0, 1_000].map(|others| {
        let registry = Registry::<u64, Counting<B>>::builder().shards(shards).build().unwrap();
        for number in 0..others {
            let id = format!("s{number}");
            registry.register_server(&*id, unread_server_mailbox(), ()).unwrap().detach();
            let bound = registry.register_transport_bound_to(&*id, unread_transport_mailbox(), (), &id);
            bound.unwrap().detach();
        }
        let server = registry.register_server("s", unread_server_mailbox(), ()).unwrap();
        let transport = registry.register_transport("t", unread_transport_mailbox(), ()).unwrap();
        accesses(|| drop((server, transport)))
    });
    assert_eq!(cost, [cost[0]; 2], "cost by number of other entries");
    assert!(cost[0] > 0);
}
