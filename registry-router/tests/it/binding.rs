//! Bindings of transports to servers: both directions, rebinding, and removal of either endpoint.

use registry_core::Backend;
use registry_router::{BindError, RegisterErrorKind, Registry, ServerLease, TransportLease};

use crate::support::{registry, unread_server_mailbox, unread_transport_mailbox};

test_every_backend! {
    a_count_of_transports_follows_the_bindings,
    bindings_are_visible_from_both_endpoints,
    bind_reports_which_endpoint_is_missing,
    unbinding_an_unbound_transport_returns_false,
    rebinding_to_the_same_server_changes_nothing,
    a_bound_transport_can_be_rebound,
    a_failed_rebind_keeps_the_binding,
    removing_a_server_removes_its_bindings,
    removing_a_transport_removes_its_binding,
    successors_inherit_no_bindings,
    a_transport_can_be_registered_bound,
    a_failed_bound_registration_leaves_no_binding,
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

fn bindings_are_visible_from_both_endpoints<B: Backend>(shards: usize) {
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

fn bind_reports_which_endpoint_is_missing<B: Backend>(shards: usize) {
    let registry = registry::<B>(shards);
    let _s = server(&registry, "s");
    let _t = transport(&registry, "t");
    assert_eq!(registry.bind_transport_to_server("t", "absent"), Err(BindError::ServerNotFound));
    assert_eq!(registry.bind_transport_to_server("absent", "s"), Err(BindError::TransportNotFound));
    assert_eq!(transports_of(&registry, "absent"), [""; 0]);
    assert_eq!(server_of(&registry, "absent"), None);
    assert_eq!(transports_of(&registry, "s"), [""; 0]);
}

fn unbinding_an_unbound_transport_returns_false<B: Backend>(shards: usize) {
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
    assert!(!registry.unbind_transport("t"), "the removal of the server ended the binding");
}

fn rebinding_to_the_same_server_changes_nothing<B: Backend>(shards: usize) {
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

fn a_bound_transport_can_be_rebound<B: Backend>(shards: usize) {
    let registry = registry::<B>(shards);
    let (_a, _b) = (server(&registry, "a"), server(&registry, "b"));
    let _t = transport(&registry, "t");
    registry.bind_transport_to_server("t", "a").unwrap();
    registry.bind_transport_to_server("t", "b").unwrap();
    assert_eq!(server_of(&registry, "t").as_deref(), Some("b"));
    assert_eq!((transports_of(&registry, "a"), transports_of(&registry, "b")), (vec![], vec!["t".to_owned()]));
}

fn a_failed_rebind_keeps_the_binding<B: Backend>(shards: usize) {
    let registry = registry::<B>(shards);
    let _a = server(&registry, "a");
    let _t = transport(&registry, "t");
    registry.bind_transport_to_server("t", "a").unwrap();
    assert_eq!(registry.bind_transport_to_server("t", "b"), Err(BindError::ServerNotFound));
    assert_eq!(server_of(&registry, "t").as_deref(), Some("a"));
    assert_eq!(transports_of(&registry, "a"), ["t"]);
}

fn removing_a_server_removes_its_bindings<B: Backend>(shards: usize) {
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
    // The transports can be bound again.
    registry.bind_transport_to_server("t00", "b").unwrap();
    assert_eq!(transports_of(&registry, "b").len(), 11);
}

fn removing_a_transport_removes_its_binding<B: Backend>(shards: usize) {
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

fn successors_inherit_no_bindings<B: Backend>(shards: usize) {
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

fn a_transport_can_be_registered_bound<B: Backend>(shards: usize) {
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

fn a_failed_bound_registration_leaves_no_binding<B: Backend>(shards: usize) {
    let registry = registry::<B>(shards);
    let mailbox = unread_transport_mailbox();
    let error = registry.register_transport_bound_to("t", mailbox, (), "s").unwrap_err();
    assert_eq!(error.kind(), &RegisterErrorKind::ServerNotFound);
    assert_eq!(registry.transport_count(), 0);
    let _s = server(&registry, "s");
    let t = transport(&registry, "t");
    let error = registry.register_transport_bound_to("t", error.into_mailbox(), (), "s").unwrap_err();
    assert_eq!(error.kind(), &RegisterErrorKind::Taken { by: t.incarnation() });
    assert_eq!((server_of(&registry, "t"), transports_of(&registry, "s")), (None, vec![]));
    assert_eq!(registry.binding_count(), 0);
    let error = registry.register_transport_bound_to("", error.into_mailbox(), (), "s").unwrap_err();
    assert!(matches!(error.kind(), RegisterErrorKind::InvalidId(_)));
}

fn a_count_of_transports_follows_the_bindings<B: Backend>(shards: usize) {
    let registry = registry::<B>(shards);
    let server = registry.register_server("s", unread_server_mailbox(), ()).unwrap();
    let _other = registry.register_server("other", unread_server_mailbox(), ()).unwrap();
    let counts = || (registry.transport_count_of("s"), registry.transport_count_of("other"));
    assert_eq!(counts(), (0, 0));
    let leases: Vec<_> = (0..5)
        .map(|n| registry.register_transport_bound_to(format!("t{n}"), unread_transport_mailbox(), (), "s").unwrap())
        .collect();
    assert_eq!(counts(), (5, 0));
    registry.bind_transport_to_server("t0", "other").unwrap();
    assert!(registry.unbind_transport("t1"));
    assert_eq!(counts(), (3, 1));
    drop(leases);
    assert_eq!(counts(), (0, 0));
    drop(server);
    assert_eq!(registry.transport_count_of("s"), 0);
}
