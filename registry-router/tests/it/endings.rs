//! What a thread keeps in thread-locals of its own is dropped at its end, after much else is gone: leases, inboxes and
//! registries do their work there too.

use std::any::Any;
use std::cell::RefCell;
use std::sync::mpsc;
use std::thread;

use registry_core::Backend;
use registry_router::Registry;

use crate::support::{
    registry, server_mailbox, transport, transport_mailbox, unread_server_mailbox, within_time_limit,
};

over_every_backend! {
    a_lease_in_a_thread_local_frees_its_name,
    an_inbox_in_a_thread_local_is_closed,
    a_registry_in_a_thread_local_can_be_used_to_the_end,
    a_worker_of_a_runtime_may_end_with_leases,
}

/// Kept by a thread until its end; dropped in the order in which it was put here.
#[derive(Default)]
struct Kept(RefCell<Vec<Box<dyn Any>>>);

thread_local! {
    static KEPT: Kept = Kept::default();
}

fn keep(value: impl Any) {
    KEPT.with(|kept| kept.0.borrow_mut().push(Box::new(value)));
}

/// Does something when it is dropped.
struct Finally<F: FnMut()>(F);

impl<F: FnMut()> Drop for Finally<F> {
    fn drop(&mut self) {
        (self.0)();
    }
}

/// Runs a thread to its end, once with the thread-local used first and once with the registry used first.
fn both_orders<B: Backend>(shards: usize, body: fn(&Registry<u64, B>), after: fn(&Registry<u64, B>)) {
    for kept_first in [true, false] {
        within_time_limit(move || {
            let registry = registry::<B>(shards);
            let _s = registry.register_server("there", unread_server_mailbox(), ()).unwrap();
            let ours = registry.clone();
            let thread = thread::spawn(move || {
                if kept_first {
                    keep(());
                }
                assert!(ours.find_server("there").is_some());
                body(&ours);
            });
            thread.join().unwrap();
            after(&registry);
            assert!(registry.find_server("there").is_some());
            assert_eq!((registry.server_count(), registry.transport_count(), registry.binding_count()), (1, 0, 0));
            drop(registry.register_server("a", server_mailbox().0, ()).unwrap());
            drop(registry.register_transport("a", transport_mailbox().0, ()).unwrap());
        });
    }
}

fn a_lease_in_a_thread_local_frees_its_name<B: Backend>(shards: usize) {
    both_orders::<B>(
        shards,
        |registry| {
            keep(registry.register_server("a", server_mailbox().0, ()).unwrap());
            keep(registry.register_transport_bound_to("a", transport_mailbox().0, (), "there").unwrap());
        },
        |_| (),
    );
}

fn an_inbox_in_a_thread_local_is_closed<B: Backend>(shards: usize) {
    both_orders::<B>(
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

fn a_registry_in_a_thread_local_can_be_used_to_the_end<B: Backend>(shards: usize) {
    both_orders::<B>(
        shards,
        |registry| {
            let registry = registry.clone();
            keep(Finally(move || {
                assert!(registry.find_server("there").is_some() && registry.find_server("absent").is_none());
                assert_eq!(registry.find_many_servers(&["there", "absent"]).len(), 2);
                assert_eq!(registry.list_servers().len(), 1);
                registry.route_to_server("there", &transport("t"), 1).unwrap();
                let (mailbox, _inbox) = server_mailbox();
                let lease = registry.register_server("a", mailbox.clone(), ()).unwrap();
                assert!(registry.register_server("a", mailbox, ()).is_err());
                assert!(lease.release() && registry.find_server("a").is_none());
                let (mailbox, inbox) = transport_mailbox();
                let lease = registry.register_transport("a", mailbox, ()).unwrap();
                registry.bind_transport_to_server("a", "there").unwrap();
                assert_eq!(registry.broadcast("there", 1).delivered, 1);
                drop(inbox);
                assert_eq!(registry.sweep().transports, 1);
                assert!(!lease.release());
            }));
        },
        |_| (),
    );
}

fn a_worker_of_a_runtime_may_end_with_leases<B: Backend>(shards: usize) {
    within_time_limit(move || {
        let registry = registry::<B>(shards);
        let (told, tell) = mpsc::channel();
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).build().unwrap();
        for number in 0..8 {
            let (registry, told) = (registry.clone(), told.clone());
            runtime.spawn(async move {
                keep(());
                let id = format!("s{number}");
                keep(registry.register_server(id, server_mailbox().0, ()).unwrap());
                keep(registry);
                told.send(()).unwrap();
            });
        }
        assert_eq!(tell.iter().take(8).count(), 8);
        drop(runtime);
        assert_eq!(registry.server_count(), 0);
    });
}
