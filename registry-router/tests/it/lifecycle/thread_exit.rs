//! Leases, inboxes and registries in thread-locals work while the thread exits, in destructors that run after those of
//! other thread-locals.

use std::any::Any;
use std::cell::RefCell;
use std::sync::mpsc;
use std::thread;

use registry_core::Backend;
use registry_router::Registry;

use crate::support::{
    registry, server_mailbox, transport, transport_mailbox, unread_server_mailbox, within_time_limit,
};

test_every_backend! {
    a_lease_in_a_thread_local_frees_its_id,
    an_inbox_in_a_thread_local_is_closed,
    a_registry_is_usable_in_thread_local_destructors,
    a_runtime_worker_may_exit_with_leases,
}

/// Values of a thread, dropped in order of insertion when it exits.
#[derive(Default)]
struct ThreadLocalStore(RefCell<Vec<Box<dyn Any>>>);

thread_local! {
    static KEPT: ThreadLocalStore = ThreadLocalStore::default();
}

fn keep(value: impl Any) {
    KEPT.with(|kept| kept.0.borrow_mut().push(Box::new(value)));
}

/// Runs a closure when dropped.
struct OnDrop<F: FnMut()>(F);

impl<F: FnMut()> Drop for OnDrop<F> {
    fn drop(&mut self) {
        (self.0)();
    }
}

/// Runs a thread to its end, once with the thread-local initialized first and once with the registry used first.
fn in_both_orders<B: Backend>(shards: usize, body: fn(&Registry<u64, B>), after: fn(&Registry<u64, B>)) {
    for store_first in [true, false] {
        within_time_limit(move || {
            let registry = registry::<B>(shards);
            let _s = registry.register_server("existing", unread_server_mailbox(), ()).unwrap();
            let ours = registry.clone();
            let thread = thread::spawn(move || {
                if store_first {
                    keep(());
                }
                assert!(ours.find_server("existing").is_some());
                body(&ours);
            });
            thread.join().unwrap();
            after(&registry);
            assert!(registry.find_server("existing").is_some());
            assert_eq!((registry.server_count(), registry.transport_count(), registry.binding_count()), (1, 0, 0));
            drop(registry.register_server("a", server_mailbox().0, ()).unwrap());
            drop(registry.register_transport("a", transport_mailbox().0, ()).unwrap());
        });
    }
}

fn a_lease_in_a_thread_local_frees_its_id<B: Backend>(shards: usize) {
    in_both_orders::<B>(
        shards,
        |registry| {
            keep(registry.register_server("a", server_mailbox().0, ()).unwrap());
            keep(registry.register_transport_bound_to("a", transport_mailbox().0, (), "existing").unwrap());
        },
        |_| (),
    );
}

fn an_inbox_in_a_thread_local_is_closed<B: Backend>(shards: usize) {
    in_both_orders::<B>(
        shards,
        |registry| {
            let (mailbox, inbox) = server_mailbox();
            registry.register_server("a", mailbox, ()).unwrap().detach();
            registry.route_to_server("a", &transport("t"), 1).unwrap();
            keep(inbox);
        },
        |registry| {
            assert!(registry.find_server("a").is_none());
            assert!(registry.route_to_server("a", &transport("t"), 1).is_err());
        },
    );
}

fn a_registry_is_usable_in_thread_local_destructors<B: Backend>(shards: usize) {
    in_both_orders::<B>(
        shards,
        |registry| {
            let registry = registry.clone();
            keep(OnDrop(move || {
                assert!(registry.find_server("existing").is_some() && registry.find_server("absent").is_none());
                assert_eq!(registry.find_many_servers(&["existing", "absent"]).len(), 2);
                assert_eq!(registry.list_servers().len(), 1);
                registry.route_to_server("existing", &transport("t"), 1).unwrap();
                let (mailbox, _inbox) = server_mailbox();
                let lease = registry.register_server("a", mailbox.clone(), ()).unwrap();
                assert!(registry.register_server("a", mailbox, ()).is_err());
                assert!(lease.release() && registry.find_server("a").is_none());
                let (mailbox, inbox) = transport_mailbox();
                let lease = registry.register_transport("a", mailbox, ()).unwrap();
                registry.bind_transport_to_server("a", "existing").unwrap();
                assert_eq!(registry.broadcast("existing", 1).delivered, 1);
                drop(inbox);
                assert_eq!(registry.sweep().transports, 1);
                assert!(!lease.release());
            }));
        },
        |_| (),
    );
}

fn a_runtime_worker_may_exit_with_leases<B: Backend>(shards: usize) {
    within_time_limit(move || {
        let registry = registry::<B>(shards);
        let (sender, receiver) = mpsc::channel();
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).build().unwrap();
        for number in 0..8 {
            let (registry, sender) = (registry.clone(), sender.clone());
            runtime.spawn(async move {
                keep(());
                let id = format!("s{number}");
                keep(registry.register_server(id, server_mailbox().0, ()).unwrap());
                keep(registry);
                sender.send(()).unwrap();
            });
        }
        assert_eq!(receiver.iter().take(8).count(), 8);
        drop(runtime);
        assert_eq!(registry.server_count(), 0);
    });
}
