//! Checks before a registration has any effect: the size of metadata, and invisible characters in ids.

use registry_core::Backend;
use registry_router::{
    BuildError, IdRule, InvalidId, Limits, Metadata, MetadataLimit, RegisterErrorKind, Registry, RouteError, ServerId,
};

use crate::support::{registry, transport, unread_server_mailbox, unread_transport_mailbox};

test_every_backend! {
    oversized_metadata_is_refused_and_returned,
    metadata_size_is_bounded_by_default,
    invisible_ids_are_refused_under_the_visible_rule,
}

fn with_limit<B: Backend>(shards: usize, labels: usize, bytes: usize) -> Registry<u64, B> {
    // With a limit of one entry, the tests show that the size is checked before admission.
    let limits =
        Limits::default().with_metadata(MetadataLimit::default().with_labels(labels).with_bytes(bytes)).with_servers(1);
    Registry::builder().shards(shards).limits(limits).build().unwrap()
}

fn oversized_metadata_is_refused_and_returned<B: Backend>(shards: usize) {
    let registry = with_limit::<B>(shards, 2, 10);
    let largest = Metadata::new().with("a", "1234").with("b", "5678");
    let mut server = registry.register_server("s", unread_server_mailbox(), largest.clone()).unwrap();
    let incarnation = server.incarnation();
    let cases = [
        (Metadata::new().with("a", "").with("b", "").with("c", ""), 3, 3),
        (Metadata::new().with("key", "12345678"), 1, 11),
    ];
    for (round, (metadata, labels, bytes)) in cases.into_iter().enumerate() {
        let expected = RegisterErrorKind::MetadataTooLarge { labels, bytes, max_labels: 2, max_bytes: 10 };
        let error = registry.register_server("x", unread_server_mailbox(), metadata.clone()).unwrap_err();
        assert_eq!((error.kind(), error.metadata()), (&expected, &metadata));
        let error = registry.register_transport("t", unread_transport_mailbox(), metadata.clone()).unwrap_err();
        assert_eq!((error.kind(), error.metadata()), (&expected, &metadata));
        let mailbox = unread_transport_mailbox();
        let error = registry.register_transport_bound_to("t", mailbox, metadata.clone(), "s").unwrap_err();
        assert_eq!((error.kind(), error.metadata()), (&expected, &metadata));
        // A renewal is refused too, and the entry remains.
        let error = registry.renew_server(&mut server, unread_server_mailbox(), metadata.clone()).unwrap_err();
        assert_eq!((error.kind(), error.metadata()), (&expected, &metadata));
        let rejections: u64 = registry.all_shard_stats().iter().map(|shard| shard.rejections).sum();
        assert_eq!(rejections, 4 * (round as u64 + 1));
    }
    assert!(server.is_current() && server.incarnation() == incarnation);
    assert_eq!((registry.server_count(), registry.transport_count(), registry.binding_count()), (1, 0, 0));
    // Refusals consumed no permit: the size limit itself is allowed, and so is another entry afterwards.
    registry.renew_server(&mut server, unread_server_mailbox(), largest).unwrap();
    drop(server);
    assert!(registry.register_server("x", unread_server_mailbox(), ()).is_ok());
}

fn metadata_size_is_bounded_by_default<B: Backend>(shards: usize) {
    let registry = registry::<B>(shards);
    let labels = |count: usize| (0..count).map(|number| (format!("k{number}"), "")).collect::<Metadata>();
    assert!(registry.register_server("s", unread_server_mailbox(), labels(256)).is_ok());
    for metadata in [labels(200_001), Metadata::new().with("k", "v".repeat(50 << 20))] {
        let error = registry.register_server("s", unread_server_mailbox(), metadata).unwrap_err();
        let RegisterErrorKind::MetadataTooLarge { max_labels: 256, max_bytes: 65_536, .. } = error.kind() else {
            panic!("{}", error.kind())
        };
    }
}

#[test]
fn metadata_limits_of_zero_are_errors() {
    for (labels, bytes, wrong) in [(0, 1, "limits.metadata.labels"), (1, 0, "limits.metadata.bytes")] {
        let limits = Limits::default().with_metadata(MetadataLimit::default().with_labels(labels).with_bytes(bytes));
        let builder = Registry::<u64, registry_router::backends::Reference>::builder().limits(limits);
        let BuildError::Setting { name, .. } = builder.build().unwrap_err() else { panic!("not a setting error") };
        assert_eq!(name, wrong);
    }
}

fn invisible_ids_are_refused_under_the_visible_rule<B: Backend>(shards: usize) {
    let hidden = "admin\u{200b}";
    let all = registry::<B>(shards);
    assert!(all.register_server(hidden, unread_server_mailbox(), ()).is_ok());
    let registry: Registry<u64, B> = Registry::builder().shards(shards).ids(IdRule::Visible).build().unwrap();
    let expected = RegisterErrorKind::InvalidId(InvalidId::Invisible { character: '\u{200b}', at: 5 });
    let id = ServerId::new(hidden).unwrap();
    let metadata = Metadata::new().with("k", "v");
    let error = registry.register_server(&id, unread_server_mailbox(), metadata.clone()).unwrap_err();
    assert_eq!((error.kind(), error.metadata()), (&expected, &metadata));
    let error = registry.register_transport(hidden, unread_transport_mailbox(), ()).unwrap_err();
    assert_eq!(error.kind(), &expected);
    let error = registry.register_transport("ab\u{202e}", unread_transport_mailbox(), ()).unwrap_err();
    assert_eq!(error.kind(), &InvalidId::Invisible { character: '\u{202e}', at: 2 }.into());
    // Looking one up is not an error.
    assert!(registry.find_server(&id).is_none());
    assert_eq!(registry.route_to_server(hidden, &transport("t"), 7), Err(RouteError::NotFound(7)));
    assert!(registry.register_server("tools/é語🦀", unread_server_mailbox(), ()).is_ok());
}
