//! A dropped registry drops all that it held, also while other registries with the same backend live on.

use registry_core::Backend;
use registry_router::backends::Papaya;
use registry_router::{Inbox, Registry, ToServer, ToTransport};

use crate::support::{registry, server_mailbox, transport_mailbox};

test_every_backend! {
    a_dropped_registry_drops_its_mailboxes,
}

type Inboxes = (Inbox<ToServer<u64>>, Inbox<ToTransport<u64>>);

/// Registers two detached pairs of a server and a transport, and three that are removed again.
fn populate<B: Backend>(registry: &Registry<u64, B>) -> Vec<Inboxes> {
    let register = |number: usize| {
        let id = format!("{number}");
        let ((server, requests), (transport, replies)) = (server_mailbox(), transport_mailbox());
        let server = registry.register_server(&*id, server, ()).unwrap();
        let transport = registry.register_transport_bound_to(&*id, transport, (), &id).unwrap();
        if number < 2 {
            server.detach();
            transport.detach();
        }
        (requests, replies)
    };
    (0..5).map(register).collect()
}

fn are_released(inboxes: Vec<Inboxes>) -> bool {
    inboxes.iter().all(|(requests, replies)| requests.sender_strong_count() + replies.sender_strong_count() == 0)
}

fn a_dropped_registry_drops_its_mailboxes<B: Backend>(shards: usize) {
    let long = registry::<B>(shards);
    let _inboxes = populate(&long);
    for _ in 0..20 {
        let short = registry::<B>(shards);
        let inboxes = populate(&short);
        drop(short);
        assert!(are_released(inboxes));
    }
}

#[test]
fn a_clone_of_papaya_shares_no_memory_with_it() {
    let papaya = Papaya::default();
    let of = |papaya| Registry::<u64, Papaya>::builder().shards(4).backend(papaya).build().unwrap();
    let long = of(papaya.clone());
    let _inboxes = populate(&long);
    for _ in 0..200 {
        let short = of(papaya.clone());
        let inboxes = populate(&short);
        drop(short);
        assert!(are_released(inboxes));
    }
}
