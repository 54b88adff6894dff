//! Looking up, listing and selecting.

use registry_core::Backend;
use registry_router::{Metadata, Registry, Select, ServerLease};

use crate::support::{registry, unread_server_mailbox, unread_transport_mailbox};

over_every_backend! {
    what_is_not_there_is_not_found,
    names_of_any_form_find_the_same,
    an_entry_is_read_in_place,
    lists_show_everything_once,
    selections_narrow_a_list,
    a_filter_may_write,
    long_and_odd_names_work,
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

fn what_is_not_there_is_not_found<B: Backend>(shards: usize) {
    let registry = registry::<B>(shards);
    assert!(registry.find_server("s").is_none());
    assert!(registry.find_transport("t").is_none());
    assert_eq!(registry.with_server("s", |_| unreachable!("there is no server")), None::<()>);
    assert_eq!(registry.with_transport("t", |_| unreachable!("there is no transport")), None::<()>);
    assert!(registry.list_servers().is_empty());
    assert!(registry.list_transports().is_empty());
    assert!(registry.find_server(vec![b'x'; 1 << 20]).is_none());
    assert!(registry.find_server([0xff, 0xfe]).is_none());
}

fn names_of_any_form_find_the_same<B: Backend>(shards: usize) {
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

fn lists_show_everything_once<B: Backend>(shards: usize) {
    let registry = registry::<B>(shards);
    let ids: Vec<String> = (0..500).map(|i| format!("s{i:03}")).collect();
    let ids: Vec<(&str, &str)> = ids.iter().map(|id| (id.as_str(), "eu")).collect();
    let _leases = servers(&registry, &ids);
    assert_eq!(selected(&registry, Select::all()), ids.iter().map(|(id, _)| *id).collect::<Vec<_>>());
    assert_eq!(registry.list_servers().len(), 500);
    assert_eq!(registry.server_count(), 500);
    assert!(registry.list_servers().iter().all(|listing| listing.metadata.get("region") == Some("eu")));
}

fn selections_narrow_a_list<B: Backend>(shards: usize) {
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

fn a_filter_may_write<B: Backend>(shards: usize) {
    let registry = registry::<B>(shards);
    for lease in servers(&registry, &[("a", "eu"), ("b", "us")]) {
        lease.detach();
    }
    let taken = registry.select_servers(Select::all().filter(|metadata| {
        let region = metadata.get("region").unwrap();
        let mailbox = unread_transport_mailbox();
        registry.register_transport(region, mailbox, ()).unwrap().detach();
        true
    }));
    assert_eq!((taken.len(), registry.transport_count()), (2, 2));
}

fn long_and_odd_names_work<B: Backend>(shards: usize) {
    let registry = registry::<B>(shards);
    let names = ["x".repeat(38), "x".repeat(39), "ü".repeat(127), " ".to_owned(), "a b/c:d?e=f#g".to_owned()];
    let leases: Vec<_> = names
        .iter()
        .map(|name| {
            let mailbox = unread_server_mailbox();
            registry.register_server(name.as_str(), mailbox, ()).unwrap()
        })
        .collect();
    for (name, lease) in names.iter().zip(&leases) {
        assert_eq!(registry.with_server(name, |entry| entry.incarnation), Some(lease.incarnation()));
    }
    drop(leases);
    assert_eq!(registry.server_count(), 0);
}

/// See `registry_core::reentrancy`.
mod reentrancy {
    use std::panic::{AssertUnwindSafe, catch_unwind};

    use registry_core::Backend;

    use crate::support::{registry, unread_server_mailbox};

    over_every_backend! { a_write_inside_a_read_is_caught }

    fn a_write_inside_a_read_is_caught<B: Backend>(shards: usize) {
        let registry = registry::<B>(shards);
        let mailbox = unread_server_mailbox();
        let _lease = registry.register_server("s", mailbox, ()).unwrap();
        let caught = catch_unwind(AssertUnwindSafe(|| registry.with_server("s", |_| registry.unregister_server("s"))));
        assert!(caught.is_err());
        assert!(registry.find_server("s").is_some());
        assert!(registry.unregister_server("s"));
    }
}
