//! What is refused before a registration does anything: metadata that are too large, and ids that cannot be seen.

use registry_core::Backend;
use registry_router::{
    BuildError, IdRule, InvalidId, Limits, Metadata, MetadataLimit, RegisterErrorKind, Registry, RouteError, ServerId,
};

use crate::support::{registry, transport, unread_server_mailbox, unread_transport_mailbox};

over_every_backend! {
    metadata_that_are_too_large_are_refused_and_come_back,
    by_default_metadata_may_be_large_but_not_endless,
    invisible_ids_are_refused_where_the_rule_says_so,
}

fn with_limit<B: Backend>(shards: usize, labels: usize, bytes: usize) -> Registry<u64, B> {
    // A cap that is full at once shows that size is looked at first.
    let limits = Limits { metadata: MetadataLimit { labels, bytes }, servers: Some(1), ..Limits::default() };
    Registry::builder().shards(shards).limits(limits).build().unwrap()
}

fn metadata_that_are_too_large_are_refused_and_come_back<B: Backend>(shards: usize) {
    let registry = with_limit::<B>(shards, 2, 10);
    let most = Metadata::new().with("a", "1234").with("b", "5678");
    let mut server = registry.register_server("s", unread_server_mailbox(), most.clone()).unwrap();
    let incarnation = server.incarnation();
    let cases = [
        (Metadata::new().with("a", "").with("b", "").with("c", ""), 3, 3),
        (Metadata::new().with("key", "12345678"), 1, 11),
    ];
    for (round, (metadata, labels, bytes)) in cases.into_iter().enumerate() {
        let expected = RegisterErrorKind::MetadataTooLarge { labels, bytes, max_labels: 2, max_bytes: 10 };
        let error = registry.register_server("x", unread_server_mailbox(), metadata.clone()).unwrap_err();
        assert_eq!((&error.kind, &error.metadata), (&expected, &metadata));
        let error = registry.register_transport("t", unread_transport_mailbox(), metadata.clone()).unwrap_err();
        assert_eq!((&error.kind, &error.metadata), (&expected, &metadata));
        let mailbox = unread_transport_mailbox();
        let error = registry.register_transport_bound_to("t", mailbox, metadata.clone(), "s").unwrap_err();
        assert_eq!((&error.kind, &error.metadata), (&expected, &metadata));
        // An owner who comes back is refused too, and keeps what he has.
        let error = registry.renew_server(&mut server, unread_server_mailbox(), metadata.clone()).unwrap_err();
        assert_eq!((&error.kind, &error.metadata), (&expected, &metadata));
        let rejections: u64 = registry.all_shard_stats().iter().map(|shard| shard.rejections).sum();
        assert_eq!(rejections, 4 * (round as u64 + 1));
    }
    assert!(server.is_current() && server.incarnation() == incarnation);
    assert_eq!((registry.server_count(), registry.transport_count(), registry.binding_count()), (1, 0, 0));
    // What was refused took nothing: the limit itself can be reached, and the place is there.
    registry.renew_server(&mut server, unread_server_mailbox(), most).unwrap();
    drop(server);
    assert!(registry.register_server("x", unread_server_mailbox(), ()).is_ok());
}

fn by_default_metadata_may_be_large_but_not_endless<B: Backend>(shards: usize) {
    let registry = registry::<B>(shards);
    let labels = |count: usize| (0..count).map(|number| (format!("k{number}"), "")).collect::<Metadata>();
    assert!(registry.register_server("s", unread_server_mailbox(), labels(256)).is_ok());
    for metadata in [labels(200_001), Metadata::new().with("k", "v".repeat(50 << 20))] {
        let error = registry.register_server("s", unread_server_mailbox(), metadata).unwrap_err();
        let RegisterErrorKind::MetadataTooLarge { max_labels: 256, max_bytes: 65_536, .. } = error.kind else {
            panic!("{}", error.kind)
        };
    }
}

#[test]
fn a_limit_of_nothing_is_an_error() {
    for (labels, bytes, wrong) in [(0, 1, "limits.metadata.labels"), (1, 0, "limits.metadata.bytes")] {
        let limits = Limits { metadata: MetadataLimit { labels, bytes }, ..Limits::default() };
        let builder = Registry::<u64, registry_router::backends::Reference>::builder().limits(limits);
        let BuildError::Setting { name, .. } = builder.build().unwrap_err() else { panic!("another error") };
        assert_eq!(name, wrong);
    }
}

fn invisible_ids_are_refused_where_the_rule_says_so<B: Backend>(shards: usize) {
    let hidden = "admin\u{200b}";
    let all = registry::<B>(shards);
    assert!(all.register_server(hidden, unread_server_mailbox(), ()).is_ok());
    let registry: Registry<u64, B> = Registry::builder().shards(shards).ids(IdRule::Visible).build().unwrap();
    let expected = RegisterErrorKind::InvalidId(InvalidId::Invisible { character: '\u{200b}', at: 5 });
    let id = ServerId::new(hidden).unwrap();
    let metadata = Metadata::new().with("k", "v");
    let error = registry.register_server(&id, unread_server_mailbox(), metadata.clone()).unwrap_err();
    assert_eq!((error.kind, error.metadata), (expected.clone(), metadata));
    let error = registry.register_transport(hidden, unread_transport_mailbox(), ()).unwrap_err();
    assert_eq!(error.kind, expected);
    let error = registry.register_transport("ab\u{202e}", unread_transport_mailbox(), ()).unwrap_err();
    assert_eq!(error.kind, InvalidId::Invisible { character: '\u{202e}', at: 2 }.into());
    // Asking for one is no error.
    assert!(registry.find_server(&id).is_none());
    assert_eq!(registry.route_to_server(hidden, &transport("t"), 7), Err(RouteError::NotFound(7)));
    assert!(registry.register_server("tools/é語🦀", unread_server_mailbox(), ()).is_ok());
}
