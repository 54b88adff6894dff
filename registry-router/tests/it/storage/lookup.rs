//! Lookups, lists and selections.

use registry_core::Backend;
use registry_router::{Metadata, Registry, Select, ServerLease};

use crate::support::{registry, unread_server_mailbox, unread_transport_mailbox};

test_every_backend! {
    absent_ids_are_not_found,
    all_key_types_find_the_same_entry,
    an_entry_is_read_in_place,
    lists_contain_each_entry_once,
    selections_filter_and_limit_a_list,
    a_select_filter_may_write,
    long_and_unusual_ids_are_accepted,
}

fn servers<B: Backend>(registry: &Registry<u64, B>, ids: &[(&str, &str)]) -> Vec<ServerLease> {
    ids.iter()
        .map(|(id, region)| {
            let mailbox = unread_server_mailbox();
            registry.register_server(*id, mailbox, Metadata::new().with("region", *region)).unwrap()
        })
        .collect()
}

fn selected<B: Backend>(registry: &Registry<u64, B>, select: Select<'_>) -> Vec<String> {
    let mut ids: Vec<_> = registry.select_servers(select).iter().map(|listing| listing.id.to_string()).collect();
    ids.sort();
    ids
}

fn absent_ids_are_not_found<B: Backend>(shards: usize) {
    let registry = registry::<B>(shards);
    assert!(registry.find_server("s").is_none());
    assert!(registry.find_transport("t").is_none());
    assert_eq!(registry.with_server("s", |_| unreachable!("the server is absent")), None::<()>);
    assert_eq!(registry.with_transport("t", |_| unreachable!("the transport is absent")), None::<()>);
    assert!(registry.list_servers().is_empty());
    assert!(registry.list_transports().is_empty());
    assert!(registry.find_server(vec![b'x'; 1 << 20]).is_none());
    assert!(registry.find_server([0xff, 0xfe]).is_none());
}

fn all_key_types_find_the_same_entry<B: Backend>(shards: usize) {
    let registry = registry::<B>(shards);
    let lease = servers(&registry, &[("name", "eu")]).remove(0);
    let incarnation = Some(lease.incarnation());
    assert_eq!(registry.with_server("name", |entry| entry.incarnation), incarnation);
    assert_eq!(registry.with_server(String::from("name"), |entry| entry.incarnation), incarnation);
    assert_eq!(registry.with_server(lease.id(), |entry| entry.incarnation), incarnation);
    assert_eq!(registry.with_server(b"name", |entry| entry.incarnation), incarnation);
}

fn an_entry_is_read_in_place<B: Backend>(shards: usize) {
    let registry = registry::<B>(shards);
    let mailbox = unread_transport_mailbox();
    let lease = registry.register_transport("t", mailbox, Metadata::new().with("peer", "10.0.0.1")).unwrap();
    let seen = registry.with_transport("t", |entry| {
        assert_eq!(*entry.id, "t");
        // Reads nest, also on the same entry.
        let again = registry.with_transport("t", |entry| entry.mailbox.capacity());
        (entry.incarnation, entry.metadata.get("peer").map(str::to_owned), again)
    });
    assert_eq!(seen, Some((lease.incarnation(), Some("10.0.0.1".to_owned()), Some(8))));
}

fn lists_contain_each_entry_once<B: Backend>(shards: usize) {
    let registry = registry::<B>(shards);
    let ids: Vec<String> = (0..500).map(|i| format!("s{i:03}")).collect();
    let ids: Vec<(&str, &str)> = ids.iter().map(|id| (id.as_str(), "eu")).collect();
    let _leases = servers(&registry, &ids);
    assert_eq!(selected(&registry, Select::all()), ids.iter().map(|(id, _)| *id).collect::<Vec<_>>());
    assert_eq!(registry.list_servers().len(), 500);
    assert_eq!(registry.server_count(), 500);
    assert!(registry.list_servers().iter().all(|listing| listing.metadata.get("region") == Some("eu")));
}

fn selections_filter_and_limit_a_list<B: Backend>(shards: usize) {
    let registry = registry::<B>(shards);
    let ids = [("tools/a", "eu"), ("tools/b", "us"), ("tools/c", "eu"), ("files/a", "eu")];
    let _leases = servers(&registry, &ids);
    let eu = |metadata: &Metadata| metadata.get("region") == Some("eu");
    assert_eq!(selected(&registry, Select::prefix("tools/")), ["tools/a", "tools/b", "tools/c"]);
    assert_eq!(selected(&registry, Select::prefix("tools/").filter(eu)), ["tools/a", "tools/c"]);
    assert_eq!(selected(&registry, Select::all().filter(eu).filter(|_| false)), [""; 0]);
    assert_eq!(selected(&registry, Select::prefix("nothing")), [""; 0]);
    for limit in 0..=5 {
        assert_eq!(selected(&registry, Select::all().limit(limit)).len(), limit.min(4));
        assert_eq!(selected(&registry, Select::prefix("tools/").filter(eu).limit(limit)).len(), limit.min(2));
    }
}

fn a_select_filter_may_write<B: Backend>(shards: usize) {
    let registry = registry::<B>(shards);
    for lease in servers(&registry, &[("a", "eu"), ("b", "us")]) {
        lease.detach();
    }
    let selected = registry.select_servers(Select::all().filter(|metadata| {
        let region = metadata.get("region").unwrap();
        let mailbox = unread_transport_mailbox();
        registry.register_transport(region, mailbox, ()).unwrap().detach();
        true
    }));
    assert_eq!((selected.len(), registry.transport_count()), (2, 2));
}

fn long_and_unusual_ids_are_accepted<B: Backend>(shards: usize) {
    let registry = registry::<B>(shards);
    let ids = ["x".repeat(38), "x".repeat(39), "ü".repeat(127), " ".to_owned(), "a b/c:d?e=f#g".to_owned()];
    let leases: Vec<_> = ids
        .iter()
        .map(|id| {
            let mailbox = unread_server_mailbox();
            registry.register_server(id.as_str(), mailbox, ()).unwrap()
        })
        .collect();
    for (id, lease) in ids.iter().zip(&leases) {
        assert_eq!(registry.with_server(id, |entry| entry.incarnation), Some(lease.incarnation()));
    }
    drop(leases);
    assert_eq!(registry.server_count(), 0);
}

/// Detection of writes inside a read: see `registry_core::reentrancy`.
mod reentrancy {
    use std::panic::{AssertUnwindSafe, catch_unwind};

    use registry_core::Backend;

    use crate::support::{registry, unread_server_mailbox};

    test_every_backend! { a_write_inside_a_read_panics }

    fn a_write_inside_a_read_panics<B: Backend>(shards: usize) {
        let registry = registry::<B>(shards);
        let mailbox = unread_server_mailbox();
        let _lease = registry.register_server("s", mailbox, ()).unwrap();
        let caught = catch_unwind(AssertUnwindSafe(|| registry.with_server("s", |_| registry.unregister_server("s"))));
        assert!(caught.is_err());
        assert!(registry.find_server("s").is_some());
        assert!(registry.unregister_server("s"));
    }
}
