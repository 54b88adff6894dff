//! Batch operations: each item behaves as a single lookup or message at an instant of its own.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use registry_core::Backend;
use registry_router::{
    Delivery, MonitorSettings, Registry, RouteError, ServerId, ShardStats, ToServer, TransportLease, mailbox,
};

use crate::support::{
    registry, server_mailbox, transport, transport_mailbox, unread_server_mailbox, unread_transport_mailbox,
    within_time_limit,
};

test_every_backend! {
    batch_lookups_equal_single_lookups,
    batch_messages_are_delivered_or_returned_in_order,
    batch_messages_to_a_closed_mailbox_are_returned_and_free_the_id,
    batch_operations_are_counted_as_single_ones,
    batch_lookups_are_sampled_as_single_ones,
    user_code_may_write_between_the_items_of_a_batch,
    a_broadcast_delivers_once_to_each_bound_transport,
    every_batch_message_is_delivered_or_returned,
}

/// Registers servers `s0` to `s99`, without every seventh and with every tenth mailbox closed, and returns all ids.
fn hundred_servers<B: Backend>(registry: &Registry<u64, B>) -> Vec<String> {
    let ids: Vec<String> = (0..100).map(|i| format!("s{i}")).collect();
    for (i, id) in ids.iter().enumerate().filter(|(i, _)| i % 7 != 0) {
        let (mailbox, inbox) = server_mailbox();
        registry.register_server(id.as_str(), mailbox, ()).unwrap().detach();
        registry.register_transport(id.as_str(), unread_transport_mailbox(), ()).unwrap().detach();
        if i % 10 != 0 {
            std::mem::forget(inbox);
        }
    }
    ids
}

fn batch_lookups_equal_single_lookups<B: Backend>(shards: usize) {
    let registry = registry::<B>(shards);
    let ids = hundred_servers(&registry);
    // With repeated ids, out of order, and with invalid ids.
    let asked: Vec<&str> = (0..250).map(|n| if n % 11 == 3 { "no\nid" } else { ids[n * 37 % 100].as_str() }).collect();
    for length in [0, 1, 15, 16, 17, 250] {
        let asked = &asked[..length];
        let one_by_one: Vec<_> =
            asked.iter().map(|id| registry.find_server(id).map(|found| found.incarnation)).collect();
        let many = registry.find_many_servers(asked);
        assert_eq!(
            many.iter().map(|found| found.as_ref().map(|found| found.incarnation)).collect::<Vec<_>>(),
            one_by_one
        );
        let named =
            many.iter().zip(asked).all(|(found, id)| found.as_ref().is_none_or(|found| found.id.as_str() == *id));
        assert!(named);

        let mut positions = Vec::new();
        registry.with_many_servers(asked, |position, entry| {
            assert_eq!(entry.map(|entry| entry.incarnation), one_by_one[position]);
            // Lookups may nest, as in any read.
            assert_eq!(registry.with_server(asked[position], |entry| entry.incarnation), one_by_one[position]);
            positions.push(position);
        });
        assert_eq!(positions, (0..length).collect::<Vec<_>>());

        let transports: Vec<_> = asked.iter().map(|id| registry.find_transport(id).is_some()).collect();
        let many = registry.find_many_transports(asked);
        assert_eq!(many.iter().map(Option::is_some).collect::<Vec<_>>(), transports);
        let mut many = Vec::new();
        registry.with_many_transports(asked, |_, entry| many.push(entry.is_some()));
        assert_eq!(many, transports);
    }
}

fn batch_messages_are_delivered_or_returned_in_order<B: Backend>(shards: usize) {
    let registry = registry::<B>(shards);
    let (mailbox, mut of_s) = server_mailbox();
    let _s = registry.register_server("s", mailbox, ()).unwrap();
    let (mailbox, mut of_u) = mailbox_of_forty();
    let _u = registry.register_server("u", mailbox, ()).unwrap();
    let (mailbox, mut of_t) = transport_mailbox();
    let t = registry.register_transport("t", mailbox, ()).unwrap();
    registry.route_to_server("s", t.id(), 1_000).unwrap();
    // Thirty to `u`, ten to `s`, which has capacity for seven more, and five to an absent id.
    let messages_with_ids: Vec<(&str, u64)> = (0..45)
        .map(|n| {
            (
                if n % 9 == 4 {
                    "absent"
                } else if n % 9 < 2 {
                    "s"
                } else {
                    "u"
                },
                n,
            )
        })
        .collect();
    let returned = registry.route_many_to_servers(messages_with_ids.iter().map(|&(to, message)| (to, t.id(), message)));
    let (to_s, to_u): (Vec<_>, Vec<_>) =
        messages_with_ids.iter().filter(|(to, _)| *to != "absent").partition::<Vec<_>, _>(|(to, _)| *to == "s");
    let mut expected: Vec<_> = to_s[7..].iter().map(|&(_, n)| (n as usize, RouteError::Full(n))).collect();
    expected.extend((0..45).filter(|n| n % 9 == 4).map(|n| (n as usize, RouteError::NotFound(n))));
    expected.sort_by_key(|(position, _)| *position);
    assert_eq!(returned, expected);
    assert_eq!(of_s.try_recv().unwrap().message, 1_000);
    for (of, sent) in [(&mut of_s, &to_s[..7]), (&mut of_u, &to_u[..])] {
        for &(_, message) in sent {
            assert_eq!(of.try_recv(), Ok(Delivery { from: t.id().clone(), message }));
        }
        assert!(of.try_recv().is_err());
    }
    let s = ServerId::new("s").unwrap();
    let returned = registry.route_many_to_transports([("t", &s, 1), ("absent", &s, 2), ("t", &s, 3)]);
    assert_eq!(returned, [(1, RouteError::NotFound(2))]);
    for message in [1, 3] {
        assert_eq!(of_t.try_recv(), Ok(Delivery { from: s.clone(), message }));
    }
    assert_eq!(registry.route_many_to_servers::<&str>([]), []);
}

fn mailbox_of_forty() -> (registry_router::TokioMailbox<ToServer<u64>>, registry_router::Inbox<ToServer<u64>>) {
    mailbox(40)
}

fn batch_messages_to_a_closed_mailbox_are_returned_and_free_the_id<B: Backend>(shards: usize) {
    let registry = registry::<B>(shards);
    let (mailbox, inbox) = server_mailbox();
    let closed = registry.register_server("s", mailbox, ()).unwrap();
    let _t = registry.register_transport_bound_to("t", unread_transport_mailbox(), (), "s").unwrap();
    let (mailbox, of_open) = mailbox_of_forty();
    let _open = registry.register_server("open", mailbox, ()).unwrap();
    drop(inbox);
    let from = transport("t");
    let messages_with_ids = (0..50).map(|n| (if n % 2 == 0 { "s" } else { "open" }, &from, n));
    let returned = registry.route_many_to_servers(messages_with_ids);
    assert_eq!(of_open.len(), 25);
    assert_eq!(returned[0], (0, RouteError::Closed(0)));
    let mut removed = false;
    for (n, (position, error)) in returned.into_iter().enumerate() {
        assert_eq!((position, error.into_message()), (2 * n, 2 * n as u64));
        removed |= matches!(error, RouteError::NotFound(_));
        assert_eq!(matches!(error, RouteError::Closed(_)), !removed, "closed until it is removed");
    }
    assert!(removed, "not removed after the first batch");
    assert!(!closed.is_current());
    assert_eq!(registry.server_for_transport("t"), None);
    let _successor = registry.register_server("s", unread_server_mailbox(), ()).unwrap();
    assert_eq!(registry.route_many_to_servers([("s", &from, 1)]), []);
}

fn total<B: Backend>(registry: &Registry<u64, B>) -> [u64; 5] {
    let of = |figure: fn(&ShardStats) -> u64| registry.all_shard_stats().iter().map(figure).sum();
    [of(|s| s.lookups), of(|s| s.misses), of(|s| s.routes), of(|s| s.full), of(|s| s.closed)]
}

fn batch_operations_are_counted_as_single_ones<B: Backend>(shards: usize) {
    let registry = registry::<B>(shards);
    let ids = hundred_servers(&registry);
    let closed_or_absent = (0..100).filter(|i| i % 7 == 0 || i % 10 == 0).count() as u64;
    registry.find_many_servers(&ids);
    assert_eq!(total(&registry), [100, closed_or_absent, 0, 0, 0]);
    for stats in registry.all_shard_stats() {
        let in_it = ids.iter().filter(|id| registry.shard_of(id) == stats.shard).count() as u64;
        assert_eq!(stats.lookups, in_it, "in shard {}", stats.shard);
    }
    registry.reset_stats();
    // `s1` has capacity 8, `s10` is closed, and `s7` is absent.
    let from = transport("t");
    let messages_with_ids = [vec!["s1"; 10], vec!["s10"], vec!["s7"; 3]].concat();
    let returned = registry.route_many_to_servers(messages_with_ids.into_iter().map(|to| (to, &from, 1)));
    assert_eq!(returned.len(), 6);
    assert_eq!(total(&registry), [14, 3, 8, 2, 1]);
}

fn batch_lookups_are_sampled_as_single_ones<B: Backend>(shards: usize) {
    for (sample_every, sampled) in [(1, 40), (4, 10)] {
        let monitor = MonitorSettings::default()
            .with_sample_every(sample_every)
            .with_window(std::time::Duration::from_secs(3_600));
        let registry: Registry<u64, B> = Registry::builder().shards(shards).monitor(monitor).build().unwrap();
        let _s = registry.register_server("s", unread_server_mailbox(), ()).unwrap();
        let mut found = Vec::new();
        registry.with_many_servers(&["s"; 40], |position, entry| found.extend(entry.map(|_| position)));
        assert_eq!(found, (0..40).collect::<Vec<_>>(), "the order does not depend on which lookups are sampled");
        let stats = registry.shard_stats(registry.shard_of("s")).unwrap();
        assert_eq!((stats.lookups, stats.misses, stats.reads.count), (40, 0, sampled));
    }
}

/// A message that writes to another registry when it is cloned and when it is dropped.
struct WritingMessage<B: Backend>(Registry<u64, B>);

impl<B: Backend> WritingMessage<B> {
    fn write(&self) {
        // The id is absent; but inside a read, the write would panic or deadlock all the same.
        self.0.unregister_transport("absent");
    }
}

impl<B: Backend> Clone for WritingMessage<B> {
    fn clone(&self) -> Self {
        self.write();
        Self(self.0.clone())
    }
}

impl<B: Backend> Drop for WritingMessage<B> {
    fn drop(&mut self) {
        self.write();
    }
}

fn user_code_may_write_between_the_items_of_a_batch<B: Backend>(shards: usize) {
    within_time_limit(move || {
        let registry: Registry<WritingMessage<B>, B> = Registry::builder().shards(shards).build().unwrap();
        let writing_message = WritingMessage(crate::support::registry(shards));
        let (mailbox, inbox) = mailbox(4);
        let s = registry.register_server("s", mailbox, ()).unwrap();
        let from = transport("t");
        let messages = (0..40).map(|n| {
            registry.unregister_server("absent");
            (if n % 2 == 0 { "s" } else { "none" }, &from, writing_message.clone())
        });
        assert_eq!(registry.route_many_to_servers(messages).len(), 36);
        let leases: Vec<_> = (0..40)
            .map(|n| {
                let (mailbox, inbox) = mailbox_of_one();
                let lease = registry.register_transport_bound_to(format!("t{n}"), mailbox, (), "s").unwrap();
                (lease, (n % 3 > 0).then_some(inbox))
            })
            .collect();
        let first = registry.broadcast("s", writing_message.clone());
        assert_eq!((first.delivered, first.full.len(), first.closed.len()), (26, 0, 14));
        let second = registry.broadcast("s", writing_message.clone());
        assert_eq!((second.delivered, second.full.len(), second.closed.len()), (0, 26, 0));
        drop((leases, inbox, s));
    });
}

fn mailbox_of_one<T: Send + 'static>() -> (registry_router::TokioMailbox<T>, registry_router::Inbox<T>) {
    mailbox(1)
}

fn a_broadcast_delivers_once_to_each_bound_transport<B: Backend>(shards: usize) {
    let registry = registry::<B>(shards);
    let _s = registry.register_server("s", unread_server_mailbox(), ()).unwrap();
    let _other = registry.register_server("other", unread_server_mailbox(), ()).unwrap();
    let mut bound: Vec<(TransportLease, _)> = (0..100)
        .map(|n| {
            let (mailbox, inbox) = transport_mailbox();
            (registry.register_transport_bound_to(format!("t{n}"), mailbox, (), "s").unwrap(), inbox)
        })
        .collect();
    for n in 0..10 {
        registry.unbind_transport(format!("t{n}"));
        registry.bind_transport_to_server(format!("t{}", 10 + n), "other").unwrap();
    }
    for (_, inbox) in &mut bound[20..30] {
        inbox.close();
    }
    let report = registry.broadcast("s", 9);
    assert_eq!((report.delivered, report.full.len(), report.closed.len()), (70, 0, 10));
    for (n, (lease, inbox)) in bound.iter_mut().enumerate() {
        assert_eq!(inbox.try_recv().is_ok(), n >= 30, "t{n}");
        assert!(inbox.try_recv().is_err());
        assert_eq!(lease.is_current(), !(20..30).contains(&n), "t{n}");
    }
    assert_eq!(registry.broadcast("s", 10).attempted(), 70);
}

fn every_batch_message_is_delivered_or_returned<B: Backend>(shards: usize) {
    within_time_limit(move || {
        const SENDERS: u64 = 2;
        const CALLS: u64 = 100;
        let registry = registry::<B>(shards);
        let done = AtomicBool::new(false);
        let names = ["a", "b", "c"];
        let received = Mutex::new(Vec::new());
        let accepted: Vec<(Arc<str>, u64)> = std::thread::scope(|scope| {
            let senders: Vec<_> = (0..SENDERS)
                .map(|sender| {
                    let registry = &registry;
                    scope.spawn(move || {
                        let name: Arc<str> = format!("t{sender}").into();
                        let from = transport(&name);
                        let mut accepted = Vec::new();
                        for call in 0..CALLS {
                            let messages: Vec<u64> = (0..20).map(|n| call * 20 + n).collect();
                            let to = |message: u64| names[message as usize % 3];
                            let messages_with_ids = messages.iter().map(|&message| (to(message), &from, message));
                            let returned = registry.route_many_to_servers(messages_with_ids);
                            assert!(returned.is_sorted_by_key(|(position, _)| *position));
                            let returned: Vec<u64> = returned
                                .into_iter()
                                .map(|(position, error)| {
                                    let message = error.into_message();
                                    assert_eq!(message, messages[position]);
                                    message
                                })
                                .collect();
                            let delivered = messages.into_iter().filter(|message| !returned.contains(message));
                            accepted.extend(delivered.map(|message| (Arc::clone(&name), message)));
                        }
                        accepted
                    })
                })
                .collect();
            // Servers that are removed and registered again, and drain the inbox of each registration.
            for name in names {
                let (registry, done, received) = (&registry, &done, &received);
                scope.spawn(move || {
                    while !done.load(Ordering::SeqCst) {
                        let (mailbox, mut inbox) = server_mailbox();
                        let lease = registry.register_server(name, mailbox, ()).unwrap();
                        let mut read: Vec<_> = (0..20).filter_map(|_| inbox.try_recv().ok()).collect();
                        lease.release();
                        inbox.close();
                        while let Some(delivery) = inbox.blocking_recv() {
                            read.push(delivery);
                        }
                        let ascending = |from: &str| {
                            let of = read.iter().filter(|delivery| delivery.from.as_str() == from);
                            of.map(|delivery| delivery.message).is_sorted()
                        };
                        assert!(ascending("t0") && ascending("t1"), "messages of one sender arrive in order");
                        received.lock().unwrap().extend(read);
                    }
                });
            }
            let accepted = senders.into_iter().flat_map(|sender| sender.join().unwrap()).collect();
            done.store(true, Ordering::SeqCst);
            accepted
        });
        let mut received: Vec<(Arc<str>, u64)> =
            received.into_inner().unwrap().iter().map(|d| (d.from.as_str().into(), d.message)).collect();
        let mut accepted = accepted;
        received.sort();
        accepted.sort();
        assert_eq!(received, accepted);
    });
}

mod reentrancy {
    use std::panic::{AssertUnwindSafe, catch_unwind};

    use registry_core::Backend;

    use crate::support::{registry, unread_server_mailbox};

    test_every_backend! { a_write_inside_a_batch_read_panics }

    fn a_write_inside_a_batch_read_panics<B: Backend>(shards: usize) {
        let registry = registry::<B>(shards);
        let _lease = registry.register_server("s", unread_server_mailbox(), ()).unwrap();
        for ids in [["s", "absent"], ["absent", "s"]] {
            let caught = catch_unwind(AssertUnwindSafe(|| {
                registry.with_many_servers(&ids, |_, _| {
                    registry.unregister_server("s");
                });
            }));
            assert!(caught.is_err());
            assert!(registry.find_server("s").is_some());
        }
        assert!(registry.unregister_server("s"));
    }
}
