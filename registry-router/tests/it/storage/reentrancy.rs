//! Calls from inside a read closure: sending and binding work, writes panic, and none deadlocks.

use std::marker::PhantomData;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, OnceLock};
use std::task::{Context, Waker};

use registry_core::{Backend, Mailbox, MailboxFamily, TrySendError};
use registry_router::{Limits, Registry, RouteError, ServerId};

use crate::support::{registry, transport_mailbox, unread_server_mailbox, unread_transport_mailbox, within_time_limit};

test_every_backend! {
    sending_to_closed_entries_inside_a_read_removes_them_after_it,
    a_broadcast_inside_a_read_removes_closed_entries_after_it,
    binding_to_a_full_server_inside_a_read_is_refused,
    writes_inside_a_read_panic,
    a_lease_dropped_by_a_panic_inside_a_read_ends_after_it,
    lookups_and_sends_inside_a_filter_work,
    a_mailbox_may_send_to_a_closed_mailbox,
}

/// Registers transports whose mailboxes are closed.
fn register_closed_transports<B: Backend>(registry: &Registry<u64, B>, ids: &[String]) {
    for id in ids {
        registry.register_transport(id.as_str(), transport_mailbox().0, ()).unwrap().detach();
    }
}

fn sending_to_closed_entries_inside_a_read_removes_them_after_it<B: Backend>(shards: usize) {
    within_time_limit(move || {
        let registry = registry::<B>(shards);
        let (mailbox, mut inbox) = transport_mailbox();
        let _open = registry.register_transport("open", mailbox, ()).unwrap();
        let _server = registry.register_server("s", unread_server_mailbox(), ()).unwrap();
        let ids: Vec<String> = (0..40).map(|n| format!("closed-{n}")).collect();
        let from = ServerId::new("s").unwrap();
        type Send<B> = fn(&Registry<u64, B>, &[String], &ServerId);
        let senders: [Send<B>; 3] = [
            |registry, ids, from| {
                for id in ids {
                    assert_eq!(registry.route_to_transport(id, from, 7), Err(RouteError::Closed(7)));
                }
            },
            |registry, ids, from| {
                let messages = ids.iter().map(|id| (id, from, 7));
                assert_eq!(registry.route_many_to_transports(messages).len(), ids.len());
            },
            |registry, ids, from| {
                for id in ids {
                    let mut send = Box::pin(registry.send_to_transport(id, from, 7, None));
                    assert!(send.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_ready());
                }
            },
        ];
        for send in senders {
            register_closed_transports(&registry, &ids);
            registry.with_transport("open", |_| {
                registry.with_server("s", |_| send(&registry, &ids, &from));
                assert_eq!(registry.transport_count(), ids.len() + 1, "removed before the outer read ended");
                assert_eq!(registry.find_transport("closed-0").map(|entry| entry.id), None);
            });
            assert_eq!(registry.transport_count(), 1, "not removed when the read ended");
            register_closed_transports(&registry, &ids);
            registry.with_many_transports(&["open"], |_, _| send(&registry, &ids, &from));
            assert_eq!(registry.transport_count(), 1);
        }
        registry.with_transport("open", |_| registry.route_to_transport("open", &from, 8)).unwrap().unwrap();
        assert_eq!(inbox.try_recv().unwrap().message, 8);
    });
}

fn a_broadcast_inside_a_read_removes_closed_entries_after_it<B: Backend>(shards: usize) {
    within_time_limit(move || {
        let registry = registry::<B>(shards);
        let _server = registry.register_server("s", unread_server_mailbox(), ()).unwrap();
        let mut inboxes: Vec<_> = (0..20)
            .map(|n| {
                let (mailbox, inbox) = transport_mailbox();
                registry.register_transport_bound_to(format!("t{n}"), mailbox, (), "s").unwrap().detach();
                inbox
            })
            .collect();
        inboxes.truncate(5);
        let report = registry.with_server("s", |_| registry.broadcast("s", 7)).unwrap();
        assert_eq!((report.delivered, report.closed.len()), (5, 15));
        assert_eq!((registry.transport_count(), registry.binding_count()), (5, 5));
    });
}

fn binding_to_a_full_server_inside_a_read_is_refused<B: Backend>(shards: usize) {
    within_time_limit(move || {
        let limits = Limits::default().with_transports_per_server(1);
        let registry: Registry<u64, B> = Registry::builder().shards(shards).limits(limits).build().unwrap();
        let _server = registry.register_server("s", unread_server_mailbox(), ()).unwrap();
        registry.register_transport_bound_to("closed", transport_mailbox().0, (), "s").unwrap().detach();
        let _t = registry.register_transport("t", unread_transport_mailbox(), ()).unwrap();
        registry.with_transport("t", |_| assert!(registry.bind_transport_to_server("t", "s").is_err()));
        registry.bind_transport_to_server("t", "s").unwrap();
        registry.with_transport("t", |_| assert!(registry.unbind_transport("t")));
        registry.with_transport("t", |_| registry.bind_transport_to_server("t", "s")).unwrap().unwrap();
    });
}

fn writes_inside_a_read_panic<B: Backend>(shards: usize) {
    within_time_limit(move || {
        let registry = registry::<B>(shards);
        let mut lease = registry.register_server("s", unread_server_mailbox(), ()).unwrap();
        let writes: [&dyn Fn() -> bool; 6] = [
            &|| registry.register_server("x", unread_server_mailbox(), ()).is_ok(),
            &|| registry.register_server("", unread_server_mailbox(), ()).is_ok(),
            &|| registry.unregister_server("s"),
            &|| registry.unregister_server("absent"),
            &|| registry.sweep().servers > 0,
            &|| registry.sweep_shard(0, std::time::Instant::now()).servers > 0,
        ];
        for write in writes {
            assert!(catch_unwind(AssertUnwindSafe(|| registry.with_server("s", |_| write()))).is_err());
            assert!(registry.find_server("s").is_some());
        }
        let renewed = catch_unwind(AssertUnwindSafe(|| {
            registry.with_server("s", |_| registry.renew_server(&mut lease, unread_server_mailbox(), ()).is_ok())
        }));
        assert!(renewed.is_err() && lease.is_current());
        assert!(lease.release());
    });
}

fn a_lease_dropped_by_a_panic_inside_a_read_ends_after_it<B: Backend>(shards: usize) {
    within_time_limit(move || {
        let registry = registry::<B>(shards);
        let _s = registry.register_server("s", unread_server_mailbox(), ()).unwrap();
        let leases: Vec<_> =
            (0..8).map(|n| registry.register_server(format!("x{n}"), unread_server_mailbox(), ()).unwrap()).collect();
        let read = AssertUnwindSafe(|| {
            registry.with_server("s", |_| {
                let _leases = leases;
                panic!("a panic inside a read");
            })
        });
        assert!(catch_unwind(read).is_err());
        assert!(registry.with_server("s", |_| ()).is_some());
        assert_eq!(registry.server_count(), 1);
    });
}

fn lookups_and_sends_inside_a_filter_work<B: Backend>(shards: usize) {
    within_time_limit(move || {
        let registry = registry::<B>(shards);
        let _s = registry.register_server("s", unread_server_mailbox(), ()).unwrap();
        register_closed_transports(&registry, &["closed".to_owned()]);
        let from = ServerId::new("s").unwrap();
        let filter = |_: &registry_router::Metadata| registry.route_to_transport("closed", &from, 1).is_err();
        assert_eq!(registry.select_servers(registry_router::Select::all().filter(filter)).len(), 1);
        assert_eq!(registry.transport_count(), 0);
    });
}

/// A mailbox that looks up and sends from its `try_send`, which runs inside a read.
fn a_mailbox_may_send_to_a_closed_mailbox<B: Backend>(shards: usize) {
    struct LookupMailbox<B: Backend, T>(Arc<OnceLock<Registry<u64, B, LookupMailboxes<B>>>>, PhantomData<fn() -> T>);

    struct LookupMailboxes<B>(PhantomData<B>);

    impl<B: Backend> MailboxFamily for LookupMailboxes<B> {
        type Mailbox<T: Send + 'static> = LookupMailbox<B, T>;
    }

    impl<B: Backend, T> Clone for LookupMailbox<B, T> {
        fn clone(&self) -> Self {
            Self(Arc::clone(&self.0), PhantomData)
        }
    }

    impl<B: Backend, T: Send + 'static> Mailbox<T> for LookupMailbox<B, T> {
        fn try_send(&self, item: T) -> Result<(), TrySendError<T>> {
            let Some(registry) = self.0.get() else { return Err(TrySendError::Closed(item)) };
            assert!(registry.find_server("s").is_some());
            let from = ServerId::new("s").unwrap();
            assert_eq!(registry.route_to_transport("closed", &from, 1), Err(RouteError::Closed(1)));
            Ok(())
        }

        fn is_closed(&self) -> bool {
            self.0.get().is_none()
        }
    }

    within_time_limit(move || {
        let registry: Registry<u64, B, LookupMailboxes<B>> = Registry::builder().shards(shards).build().unwrap();
        let registry_cell = Arc::new(OnceLock::new());
        registry_cell.set(registry.clone()).unwrap();
        registry.register_server("s", LookupMailbox(Arc::clone(&registry_cell), PhantomData), ()).unwrap().detach();
        registry.register_transport("closed", LookupMailbox(Arc::default(), PhantomData), ()).unwrap().detach();
        for message in 0..3 {
            registry.route_to_server("s", &crate::support::transport("t"), message).unwrap();
        }
        assert_eq!(registry.transport_count(), 1, "its removal is deferred");
        registry.tick(std::time::Instant::now());
        assert_eq!(registry.transport_count(), 0);
    });
}
