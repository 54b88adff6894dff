//! Shared fixtures of storms: a registry of integers with default settings, and ids.

use registry_core::{Backend, MailboxFamily, Probe};
use registry_router::{Registry, ServerId, TransportId};

use super::recorder::EntryCounts;

/// Returns an empty registry with default settings: 64 shards, and a monitor.
pub(super) fn registry<B: Backend>() -> Registry<u64, B> {
    Registry::builder().build().expect("the default settings are valid")
}

/// Returns the n-th server id of a kind.
pub(super) fn server(kind: &str, number: usize) -> ServerId {
    ServerId::new(format!("{kind}-{number}")).expect("the id is valid")
}

/// Returns the n-th transport id of a kind.
pub(super) fn transport(kind: &str, number: usize) -> TransportId {
    TransportId::new(format!("{kind}-{number}")).expect("the id is valid")
}

/// Returns the number of entries and bindings in a registry.
pub(super) fn entry_counts<B: Backend, X: MailboxFamily, P: Probe>(registry: &Registry<u64, B, X, P>) -> EntryCounts {
    EntryCounts {
        servers: registry.server_count(),
        transports: registry.transport_count(),
        bindings: registry.binding_count(),
    }
}
