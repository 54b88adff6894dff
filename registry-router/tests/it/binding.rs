//! Binding transports to servers: both sides, moves, and what a death undoes.

use registry_core::Backend;
use registry_router::{BindError, RegisterErrorKind, Registry, ServerLease, TransportLease};

use crate::support::{registry, unread_server_mailbox, unread_transport_mailbox};

over_every_backend! {
    a_binding_is_seen_from_both_sides,
    what_is_missing_is_told_apart,
    unbinding_what_is_not_bound_is_false,
    binding_twice_changes_nothing,
    a_bound_transport_can_be_moved,
    a_failed_move_leaves_the_binding,
    a_server_takes_its_bindings_with_it,
    a_transport_takes_its_binding_with_it,
    successors_inherit_nothing,
    a_transport_can_be_born_bound,
    a_birth_that_fails_leaves_no_binding,
}

fn server<B: Backend>(registry: &Registry<u64, B>, id: &str) -> ServerLease {
    let mailbox = unread_server_mailbox();
    registry.register_server(id, mailbox, ()).unwrap()
}

fn transport<B: Backend>(registry: &Registry<u64, B>, id: &str) -> TransportLease {
    let mailbox = unread_transport_mailbox();
    registry.register_transport(id, mailbox, ()).unwrap()
}

fn transports_of<B: Backend>(registry: &Registry<u64, B>, server: &str) -> Vec<String> {
    let mut ids: Vec<_> = registry.transports_of(server).iter().map(ToString::to_string).collect();
    ids.sort();
    ids
}

fn server_of<B: Backend>(registry: &Registry<u64, B>, transport: &str) -> Option<String> {
    registry.server_for_transport(transport).map(|id| id.to_string())
}

fn a_binding_is_seen_from_both_sides<B: Backend>(shards: usize) {
    let registry = registry::<B>(shards);
    let _s = server(&registry, "s");
    let leases: Vec<_> = (0..100).map(|i| transport(&registry, &format!("t{i:02}"))).collect();
    assert_eq!(transports_of(&registry, "s"), [""; 0]);
    for lease in &leases {
        assert_eq!(registry.server_for_transport(lease.id()), None);
        registry.bind_transport_to_server(lease.id(), "s").unwrap();
        assert_eq!(registry.server_for_transport(lease.id()).unwrap(), "s");
    }
    let ids: Vec<_> = leases.iter().map(|lease| lease.id().to_string()).collect();
    assert_eq!(transports_of(&registry, "s"), ids);
    assert!(registry.unbind_transport("t00"));
    assert_eq!(server_of(&registry, "t00"), None);
    assert_eq!(transports_of(&registry, "s"), ids[1..]);
}

fn what_is_missing_is_told_apart<B: Backend>(shards: usize) {
    let registry = registry::<B>(shards);
    let _s = server(&registry, "s");
    let _t = transport(&registry, "t");
    assert_eq!(registry.bind_transport_to_server("t", "nobody"), Err(BindError::ServerNotFound));
    assert_eq!(registry.bind_transport_to_server("nobody", "s"), Err(BindError::TransportNotFound));
    assert_eq!(transports_of(&registry, "nobody"), [""; 0]);
    assert_eq!(server_of(&registry, "nobody"), None);
    assert_eq!(transports_of(&registry, "s"), [""; 0]);
}

fn unbinding_what_is_not_bound_is_false<B: Backend>(shards: usize) {
    let registry = registry::<B>(shards);
    assert!(!registry.unbind_transport("t"));
    let _t = transport(&registry, "t");
    assert!(!registry.unbind_transport("t"));
    let s = server(&registry, "s");
    registry.bind_transport_to_server("t", "s").unwrap();
    assert!(registry.unbind_transport("t"));
    assert!(!registry.unbind_transport("t"));
    registry.bind_transport_to_server("t", "s").unwrap();
    drop(s);
    assert!(!registry.unbind_transport("t"), "the server's death has undone it");
}

fn binding_twice_changes_nothing<B: Backend>(shards: usize) {
    let registry = registry::<B>(shards);
    let _s = server(&registry, "s");
    let _t = transport(&registry, "t");
    registry.bind_transport_to_server("t", "s").unwrap();
    registry.bind_transport_to_server("t", "s").unwrap();
    assert_eq!(transports_of(&registry, "s"), ["t"]);
    let binds: u64 = registry.all_shard_stats().iter().map(|shard| shard.binds).sum();
    assert_eq!(binds, 1);
    assert!(registry.unbind_transport("t"));
    assert!(!registry.unbind_transport("t"));
}

fn a_bound_transport_can_be_moved<B: Backend>(shards: usize) {
    let registry = registry::<B>(shards);
    let (_a, _b) = (server(&registry, "a"), server(&registry, "b"));
    let _t = transport(&registry, "t");
    registry.bind_transport_to_server("t", "a").unwrap();
    registry.bind_transport_to_server("t", "b").unwrap();
    assert_eq!(server_of(&registry, "t").as_deref(), Some("b"));
    assert_eq!((transports_of(&registry, "a"), transports_of(&registry, "b")), (vec![], vec!["t".to_owned()]));
}

fn a_failed_move_leaves_the_binding<B: Backend>(shards: usize) {
    let registry = registry::<B>(shards);
    let _a = server(&registry, "a");
    let _t = transport(&registry, "t");
    registry.bind_transport_to_server("t", "a").unwrap();
    assert_eq!(registry.bind_transport_to_server("t", "b"), Err(BindError::ServerNotFound));
    assert_eq!(server_of(&registry, "t").as_deref(), Some("a"));
    assert_eq!(transports_of(&registry, "a"), ["t"]);
}

fn a_server_takes_its_bindings_with_it<B: Backend>(shards: usize) {
    let registry = registry::<B>(shards);
    let (a, _b) = (server(&registry, "a"), server(&registry, "b"));
    let _leases: Vec<_> = (0..20).map(|i| transport(&registry, &format!("t{i:02}"))).collect();
    for i in 0..20 {
        let server = if i < 10 { "a" } else { "b" };
        registry.bind_transport_to_server(format!("t{i:02}"), server).unwrap();
    }
    drop(a);
    assert_eq!(transports_of(&registry, "a"), [""; 0]);
    assert_eq!(transports_of(&registry, "b").len(), 10);
    for i in 0..20 {
        let expected = (i >= 10).then(|| "b".to_owned());
        assert_eq!(server_of(&registry, &format!("t{i:02}")), expected);
    }
    // They are free to be bound again.
    registry.bind_transport_to_server("t00", "b").unwrap();
    assert_eq!(transports_of(&registry, "b").len(), 11);
}

fn a_transport_takes_its_binding_with_it<B: Backend>(shards: usize) {
    let registry = registry::<B>(shards);
    let _s = server(&registry, "s");
    let t = transport(&registry, "t");
    let _u = transport(&registry, "u");
    registry.bind_transport_to_server("t", "s").unwrap();
    registry.bind_transport_to_server("u", "s").unwrap();
    drop(t);
    assert_eq!(transports_of(&registry, "s"), ["u"]);
    assert_eq!(server_of(&registry, "t"), None);
}

fn successors_inherit_nothing<B: Backend>(shards: usize) {
    let registry = registry::<B>(shards);
    let s = server(&registry, "s");
    let t = transport(&registry, "t");
    registry.bind_transport_to_server("t", "s").unwrap();
    drop(t);
    let _t = transport(&registry, "t");
    assert_eq!((server_of(&registry, "t"), transports_of(&registry, "s")), (None, vec![]));
    registry.bind_transport_to_server("t", "s").unwrap();
    drop(s);
    let _s = server(&registry, "s");
    assert_eq!((server_of(&registry, "t"), transports_of(&registry, "s")), (None, vec![]));
}

fn a_transport_can_be_born_bound<B: Backend>(shards: usize) {
    let registry = registry::<B>(shards);
    let s = server(&registry, "s");
    let mailbox = unread_transport_mailbox();
    let t = registry.register_transport_bound_to("t", mailbox, (), "s").unwrap();
    assert_eq!(server_of(&registry, "t").as_deref(), Some("s"));
    assert_eq!(transports_of(&registry, "s"), ["t"]);
    drop(t);
    assert_eq!(transports_of(&registry, "s"), [""; 0]);
    let mailbox = unread_transport_mailbox();
    let _t = registry.register_transport_bound_to("t", mailbox, (), "s").unwrap();
    drop(s);
    assert_eq!(server_of(&registry, "t"), None);
}

fn a_birth_that_fails_leaves_no_binding<B: Backend>(shards: usize) {
    let registry = registry::<B>(shards);
    let mailbox = unread_transport_mailbox();
    let error = registry.register_transport_bound_to("t", mailbox, (), "s").unwrap_err();
    assert_eq!(error.kind, RegisterErrorKind::ServerNotFound);
    assert_eq!(registry.transport_count(), 0);
    let _s = server(&registry, "s");
    let t = transport(&registry, "t");
    let error = registry.register_transport_bound_to("t", error.mailbox, (), "s").unwrap_err();
    assert_eq!(error.kind, RegisterErrorKind::Taken { by: t.incarnation() });
    assert_eq!((server_of(&registry, "t"), transports_of(&registry, "s")), (None, vec![]));
    assert_eq!(registry.binding_count(), 0);
    let error = registry.register_transport_bound_to("", error.mailbox, (), "s").unwrap_err();
    assert!(matches!(error.kind, RegisterErrorKind::InvalidId(_)));
}
