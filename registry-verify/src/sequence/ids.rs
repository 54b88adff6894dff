//! The ids that sequences use.

use std::sync::LazyLock;

use registry_router::{ServerId, TransportId};

use crate::spec::{self, Name, Side};

/// Returns the names of several ids.
pub(super) fn names(side: Side, ids: &[u8]) -> Vec<Name> {
    ids.iter().map(|&id| Name { side, id }).collect()
}

/// Returns a server's id. Server ids are long and transport ids short, to cover both the heap and the inline representation.
pub(super) fn server(id: u8) -> &'static ServerId {
    static IDS: LazyLock<[ServerId; spec::IDS]> = LazyLock::new(|| {
        std::array::from_fn(|id| ServerId::new(format!("{}{id}", "server-".repeat(8))).expect("the id is valid"))
    });
    &IDS[usize::from(id)]
}

/// Returns a transport's id; see [`server`].
pub(super) fn transport(id: u8) -> &'static TransportId {
    static IDS: LazyLock<[TransportId; spec::IDS]> =
        LazyLock::new(|| std::array::from_fn(|id| TransportId::new(format!("t{id}")).expect("the id is valid")));
    &IDS[usize::from(id)]
}

/// Returns the number of an id.
pub(super) fn number(id: &str) -> u8 {
    id.bytes().last().map_or(u8::MAX, |digit| digit - b'0')
}
