//! Where storms rage: a registry of plain numbers with default settings, and names to fill it with.

use registry_core::{Backend, MailboxFamily, Probe};
use registry_router::{Registry, ServerId, TransportId};

use super::recorder::EntryCounts;

/// An empty registry with default settings: 64 shards, and everything counted.
pub(super) fn registry<B: Backend>() -> Registry<u64, B> {
    Registry::builder().build().expect("the default settings are valid")
}

/// The n-th name of a kind of server.
pub(super) fn server(kind: &str, number: usize) -> ServerId {
    ServerId::new(format!("{kind}-{number}")).expect("the name is valid")
}

/// The n-th name of a kind of transport.
pub(super) fn transport(kind: &str, number: usize) -> TransportId {
    TransportId::new(format!("{kind}-{number}")).expect("the name is valid")
}

/// What a registry holds.
pub(super) fn entry_counts<B: Backend, X: MailboxFamily, P: Probe>(registry: &Registry<u64, B, X, P>) -> EntryCounts {
    EntryCounts {
        servers: registry.server_count(),
        transports: registry.transport_count(),
        bindings: registry.binding_count(),
    }
}
